//! The life of the process: parse, act, say what was wrong.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use lvscare::exit::{Exit, Failure};
use lvscare::terminal::printable;
use lvscare::{cli, commands};

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        // `--help` and `--version` are errors to clap.
        Err(help) if !help.use_stderr() => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
        Err(nothing) if nothing.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = nothing.print();
            return Exit::Usage.into();
        }
        Err(error) => return fail(&Failure::usage(cli::explain(&error))),
    };
    match commands::run(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    let _ = writeln!(io::stderr(), "lvscare: {}", printable(&failure.message));
    failure.exit.into()
}
