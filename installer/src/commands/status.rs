//! `lvscare-installer node status`.

use installer::cli::Output;
use installer::cli::node::StatusArgs;
use installer::node::paths::Root;
use installer::show;
use installer::things::Things;
use lvscare::exit::{Exit, Failure};

use super::say;

pub(crate) fn run(root: &Root, args: &StatusArgs) -> Result<Exit, Failure> {
    let things = Things::of(root)?;
    say(&match args.output {
        Output::Text => things.to_string(),
        Output::Json => show::json(&things)?,
    })?;
    Ok(Exit::Success)
}
