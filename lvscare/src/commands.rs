//! What each command does, one file per command, and how it speaks.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::cli::{Cli, Command, DrainArgs, Output};
use crate::exit::{Exit, Failure};

mod care;
mod clean;
mod config;
mod doctor;
mod drain;
mod status;

/// Does what was typed.
pub fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        // Its answer is no failure of its own, and says more than a line.
        Command::Doctor(args) => return doctor::run(&args),
        Command::Care(args) if args.clean => clean::instead_of_care(&args),
        Command::Care(args) => care::run(*args),
        Command::Clean(args) => clean::run(&args),
        Command::Config { command } => config::run(&command),
        Command::Status(args) => status::run(&args),
        Command::Drain(DrainArgs { force, common }) => drain::drain(&common.try_into()?, force, say),
        Command::Undrain(args) => drain::undrain(&args.try_into()?, say),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lvscare", &mut script);
            say(String::from_utf8_lossy(&script).trim_end())
        }
        Command::Version { short: true } => say(env!("CARGO_PKG_VERSION")),
        Command::Version { short: false } => say(concat!("lvscare ", env!("CARGO_PKG_VERSION"))),
    }?;
    Ok(Exit::Success)
}

/// An answer for programs.
fn text_of(value: &impl serde::Serialize, form: Output) -> Result<String, Failure> {
    let failed = |error: String| Failure::new(Exit::Failed, error);
    if form == Output::Yaml {
        return serde_yaml::to_string(value).map_err(|error| failed(error.to_string()));
    }
    serde_json::to_string_pretty(value).map_err(|error| failed(error.to_string()))
}

fn tell(lines: impl IntoIterator<Item = impl ToString>, nothing: &str) -> Result<(), Failure> {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return say(nothing);
    }
    lines.try_for_each(|line| say(&line.to_string()))
}

/// A reader that went away (`lvscare status | head -1`) is no failure.
fn say(line: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, format!("cannot write the answer: {error}")))
        }
        _ => Ok(()),
    }
}
