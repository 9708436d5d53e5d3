//! The life of the process: parse, log, act, say what was wrong.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use lvscare::cli::{Cli, Command, DoctorArgs, Output, StatusArgs, explain};
use lvscare::config::Config;
use lvscare::config::raw::{CareArgs, LogLevel};
use lvscare::doctor::{Report, facts, render};
use lvscare::exit::{Exit, Failure};
use lvscare::health::probe::Settings;
use lvscare::kernel::{Linux, address};
use lvscare::model::Change;
use lvscare::{client, daemon, once, preflight, status};

fn main() -> ExitCode {
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
        Err(error) => return fail(&Failure::usage(explain(&error))),
    };
    match run(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => fail(&failure),
    }
}

fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        // Its answer is no failure of its own, and says more than a line.
        Command::Doctor(args) => return doctor(&args),
        Command::Care(args) if args.clean => clean(&[args.target.vs]),
        Command::Care(args) => care(&args),
        Command::Clean(target) => clean(&[target.vs]),
        Command::Status(args) => show_status(&args),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "lvscare", &mut io::stdout());
            Ok(())
        }
        Command::Version { short: true } => say(env!("CARGO_PKG_VERSION")),
        Command::Version { short: false } => say(concat!("lvscare ", env!("CARGO_PKG_VERSION"))),
    }?;
    Ok(Exit::Success)
}

fn care(args: &CareArgs) -> Result<(), Failure> {
    log_to_stderr(args.log);
    let mut config = Config::from_args(args)?;
    for flag in args.ignored.given() {
        tracing::warn!(
            "{flag} has no meaning any more and is ignored; route and source address need no help"
        );
    }
    let service = &config.services[0];
    if !service.scheduler.heeds_weights() && service.servers.iter().any(|server| server.weight != 1) {
        tracing::warn!("scheduler {} does not heed weights; use --scheduler wrr", service.scheduler);
    }
    let settings = Settings::new(&config.probe)?;
    let addresses = address::list()?;
    preflight::check(&config, &addresses)?;
    if args.prefer_local {
        config.preferred = addresses.iter().map(|own| own.address).collect();
    }
    let mut kernel = Linux::open()?;
    if args.run_once {
        let changes = once::build(&mut kernel, &config)?;
        return tell(&changes, "nothing to change; route and rules are in place");
    }
    daemon::run(config, settings, kernel)
}

fn clean(services: &[std::net::SocketAddr]) -> Result<(), Failure> {
    let changes = once::clean(&mut Linux::open()?, services)?;
    tell(&changes, "nothing to remove")
}

fn show_status(args: &StatusArgs) -> Result<(), Failure> {
    let status = client::status(args.listen.0, args.target.vs)?;
    match args.output {
        Output::Table => say(status::render(&status).trim_end()),
        Output::Json => say_json(&status),
    }
}

fn doctor(args: &DoctorArgs) -> Result<Exit, Failure> {
    let report = Report::of(&facts::gather(&args.into())?);
    match args.output {
        Output::Table => say(render::render(&report, args.verbose).trim_end()),
        Output::Json => say_json(&report),
    }?;
    Ok(if report.healthy { Exit::Success } else { Exit::Failed })
}

fn tell(changes: &[Change], nothing: &str) -> Result<(), Failure> {
    if changes.is_empty() {
        return say(nothing);
    }
    changes.iter().try_for_each(|change| say(&change.to_string()))
}

fn say_json(answer: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(answer);
    say(&json.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?)
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

fn fail(failure: &Failure) -> ExitCode {
    let _ = writeln!(io::stderr(), "lvscare: {failure}");
    failure.exit.into()
}

fn log_to_stderr(level: LogLevel) {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
