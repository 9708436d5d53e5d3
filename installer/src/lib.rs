//! The life of the process: parse, do it, say what came of it.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use cli::{Cli, Command, Errand, explain};
use lvscare::exit::Exit;
use node::api::Failure;
use node::machine::Machine as _;
use node::machine::linux::Linux;
use node::machine::programs::Terminal;
use report::{Output, Reporter};

mod ask;
mod cli;
mod lifecycle;
mod login;
mod package;
mod remote;
mod report;
mod run_log;
mod secret;
mod signals;

/// The command line, for whoever writes its manual.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The whole life of the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
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
        Err(error) => {
            let _ = writeln!(io::stderr(), "lvscare-installer: {}", explain(&error));
            return Exit::Usage.into();
        }
    };
    run(cli.command).into()
}

fn run(command: Command) -> Exit {
    let asked = match command.errand() {
        Errand::Here(asked) => asked,
        Errand::There(request) => {
            return match request {
                Ok(request) => remote::run(*request),
                Err(failure) => {
                    report::refuse(&failure.message);
                    failure.exit
                }
            };
        }
        Errand::Agent(args) => return args.run(),
        Errand::Done(exit) => return exit,
        Errand::Completion(shell) => {
            // A reader that goes away is no failure, and the generator would panic.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lvscare-installer", &mut script);
            let _ = io::stdout().write_all(&script);
            return Exit::Success;
        }
    };
    let terminal = match asked.form.output {
        Output::Text => Terminal::Both,
        Output::Json => Terminal::Errors,
    };
    let mut reporter = Reporter::new(asked.form);
    let request = match asked.request {
        Ok(request) => request,
        Err(failure) => return reporter.failed(&failure),
    };
    let mut machine = Linux::new(terminal);
    // Whoever only looks is ended by any signal, as ever.
    if request.changes()
        && let Err(error) = signals::listen(machine.cancel().clone())
    {
        return reporter.failed(&Failure::io("listen for signals", &error));
    }
    let outcome = node::run(&request, &mut machine, &mut |event| reporter.tell(event));
    match outcome {
        Ok(outcome) => reporter.ended(&request, &outcome),
        Err(failure) => reporter.failed(&failure),
    }
}
