//! `lvscare-installer node check`.

use installer::check::{self, Asked};
use installer::cli::Output;
use installer::cli::node::CheckArgs;
use installer::node::paths::Root;
use installer::show;
use installer::spec::Spec;
use lvscare::doctor::facts::Scope;
use lvscare::doctor::{Severity, render};
use lvscare::exit::{Exit, Failure};

use super::say;

pub(crate) fn run(root: &Root, args: &CheckArgs) -> Result<Exit, Failure> {
    let spec = Spec::new(&args.spec)?;
    let asked = Asked { role: args.role, cri_socket: args.cri_socket.clone(), joins: true, ..spec.asked() };
    let facts = check::facts::gather(root, &asked, &spec.config, Scope::Whole)?;
    let report = check::all(&facts);
    say(match args.output {
        Output::Text => render::render(&report, args.verbose),
        Output::Json => show::json(&report)?,
    }
    .trim_end())?;
    let refused = report.findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if refused { Exit::Refused } else { Exit::Success })
}
