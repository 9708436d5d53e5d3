//! `lvscare doctor`.

use super::{say, text_of};
use crate::cli::{DoctorArgs, Output};
use crate::doctor::{Report, facts, render};
use crate::exit::{Exit, Failure};

/// Finds out, says it, and tells by the exit code whether anything is wrong.
pub(super) fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    let report = Report::of(&facts::gather(&args.into())?);
    match args.output {
        Output::Table | Output::Wide => {
            say(render::render(&report, args.verbose || args.output == Output::Wide).trim_end())
        }
        Output::Json | Output::Yaml => say(&text_of(&report, args.output)?),
    }?;
    Ok(if report.healthy { Exit::Success } else { Exit::Failed })
}
