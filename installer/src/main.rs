//! The life of the process: parse, act, say what was done or what was wrong.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use installer::cli::node::NodeCommand;
use installer::cli::{Cli, Command, KubeadmCommand, explain};
use installer::node::paths::Root;
use lvscare::cli::without_empty_variables;
use lvscare::exit::{Exit, Failure};
use lvscare::terminal::printable;

mod commands;

fn main() -> ExitCode {
    let matches = without_empty_variables(Cli::command()).try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
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
        Err(error) => return fail(&Failure::usage(explain(&error))),
    };
    match run(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => fail(&failure),
    }
}

fn run(command: Command) -> Result<Exit, Failure> {
    let root = Root::at("/");
    match command {
        Command::Node { command } => match command {
            NodeCommand::Check(args) => commands::check::run(&root, &args),
            NodeCommand::Prepare(args) => commands::prepare::run(&root, *args),
            NodeCommand::Join(args) => commands::join::run(&root, *args, "node join"),
            NodeCommand::SetMasters(args) => commands::set_masters::run(&root, &args),
            NodeCommand::Status(args) => commands::status::run(&root, &args),
            NodeCommand::Undo(args) => commands::undo::run(&root, &args),
        },
        Command::Kubeadm { command } => {
            let KubeadmCommand::Join(args) = *command;
            commands::join::run(&root, args, "kubeadm join")
        }
        Command::Hosts { command } => commands::hosts::run(&root, &command),
        Command::Pod { command } => commands::pod::run(&root, &command),
        Command::Completion { shell } => {
            // A reader that goes away is no failure, and the generator would panic.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lvscare-installer", &mut script);
            let _ = io::stdout().write_all(&script);
            Ok(Exit::Success)
        }
    }
}

fn fail(failure: &Failure) -> ExitCode {
    let _ = writeln!(io::stderr(), "lvscare-installer: {}", printable(&failure.message));
    failure.exit.into()
}
