//! The life of the process: parse, log, act, say what was wrong.

#![cfg_attr(
    not(test),
    warn(clippy::disallowed_methods, clippy::indexing_slicing, clippy::panic, clippy::string_slice)
)]

use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory;
use clap::error::ErrorKind;
use lvscare::cli::{
    self, CleanArgs, Cli, Command, ConfigCommand, DoctorArgs, DrainArgs, Output, StatusArgs, UndrainArgs,
    explain,
};
use lvscare::commands::drain::{self as drains, Request};
use lvscare::config::raw::{CareArgs, File, SCHEMA};
use lvscare::config::value::LogFormat;
use lvscare::config::{Config, Logging};
use lvscare::doctor::{Report, facts, render};
use lvscare::exit::{Exit, Failure};
use lvscare::job::Job;
use lvscare::kernel::{Kernel, Linux};
use lvscare::model::Change;
use lvscare::reload::Watched;
use lvscare::status::Style;
use lvscare::survey::LeftBehind;
use lvscare::terminal::printable;
use lvscare::{client, daemon, drain, once, rivals, status};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where a daemon listens that is not told otherwise.
const DEFAULT_LISTEN: Option<SocketAddr> =
    Some(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10261)));

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
        Command::Care(args) if args.clean => {
            let listen = args.config.operation.listen.map_or(DEFAULT_LISTEN, |listen| listen.0);
            let targets = args.config.targets()?;
            clean(&mut Linux::open()?, &targets, listen, args.force)
        }
        Command::Care(args) => care(*args),
        Command::Clean(args) => clean_targets(&args),
        Command::Config { command } => config(&command),
        Command::Status(args) => show_status(&args),
        Command::Drain(DrainArgs { force, common }) => drains::drain(&request(common)?, force, say),
        Command::Undrain(args) => drains::undrain(&request(args)?, say),
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

fn care(args: CareArgs) -> Result<(), Failure> {
    log_to_stderr(&Logging::load(&args.config)?);
    for flag in args.ignored.given() {
        tracing::warn!(
            "{flag} has no meaning any more and is ignored; route and source address need no help"
        );
    }
    let (file, job) = Watched::reading(args.config.file.clone(), || Job::load(&args.config))?;
    for service in &job.config.services {
        if !service.scheduler.heeds_weights() && service.servers.iter().any(|server| server.weight != 1) {
            tracing::warn!("scheduler {} does not heed weights; use --scheduler wrr", service.scheduler);
        }
    }
    let mut kernel = Linux::open()?;
    if args.run_once {
        let directory = job.config.state_dir.as_deref();
        let drained = directory.and_then(drain::file::known).unwrap_or_default();
        return run_once(&mut kernel, &drained.without(&job.config), args.force);
    }
    daemon::run(args.config, job, file, kernel, args.force)
}

fn run_once(kernel: &mut Linux, config: &Config, forced: bool) -> Result<(), Failure> {
    let preview = once::preview(kernel, config)?;
    if !forced && !preview.changes.is_empty() {
        rivals::refuse(&rivals::find(&config.addresses(), config.listen)?)?;
    }
    for (at, what) in &preview.taken_over {
        if !forced {
            return Err(Failure::new(
                Exit::Foreign,
                format!(
                    "{at} is there and not known to be lvscare's: {what}; choose another --vs, or replace it with --force"
                ),
            ));
        }
        say(&format!("replace what was at {at}: {what}"))?;
    }
    tell(&once::build(kernel, config)?, "nothing to change; route and rules are in place")
}

fn config(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(args) => {
            let config = Job::load(args)?.config;
            let servers = config.services.iter().map(|service| service.servers.len()).sum::<usize>();
            let services = config.services.len();
            say(&format!("the configuration is valid: virtual servers: {services}, real servers: {servers}"))
        }
        ConfigCommand::Print(args) => {
            let file = File::from(&Config::load(args)?);
            say(text_of(&file, Output::Yaml)?.trim_end())
        }
        ConfigCommand::Schema => say(SCHEMA.trim_end()),
    }
}

fn clean_targets(args: &CleanArgs) -> Result<(), Failure> {
    // What was typed is judged before the kernel is asked for anything.
    let told = match &args.file {
        Some(file) => File::read(file)?.addresses(),
        None => vec![args.target.vs],
    };
    let mut kernel = Linux::open()?;
    let targets = if args.all {
        let left = kernel.survey()?.left_behind(&[]);
        left.into_iter().map(LeftBehind::target).collect()
    } else {
        told
    };
    clean(&mut kernel, &targets, args.listen.0, args.force)
}

fn clean(
    kernel: &mut Linux,
    services: &[SocketAddr],
    listen: Option<SocketAddr>,
    forced: bool,
) -> Result<(), Failure> {
    if !forced {
        rivals::refuse(&rivals::find(services, listen)?)?;
    }
    tell(&once::clean(kernel, services)?, "nothing to remove")
}

fn show_status(args: &StatusArgs) -> Result<(), Failure> {
    let Some(every) = args.watch else { return say(&status_text(args)?) };
    loop {
        let text = status_text(args)?;
        // To the top left corner, and away with what was below.
        let mut out = io::stdout();
        if writeln!(out, "\x1b[H\x1b[2J{text}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
        std::thread::sleep(every.0.max(Duration::from_millis(100)));
    }
}

fn request(args: UndrainArgs) -> Result<Request, Failure> {
    let UndrainArgs { address, target, listen, state_dir } = args;
    if state_dir == Path::new("none") {
        return Err(Failure::usage(
            "--state-dir none: a drained real server could not be remembered; give a directory",
        ));
    }
    Ok(Request { whom: address, vs: target.vs, listen: listen.0, directory: state_dir })
}

fn status_text(args: &StatusArgs) -> Result<String, Failure> {
    let status = if args.all {
        client::status_of_all(args.listen.0)?
    } else {
        client::status(args.listen.0, args.target.vs)?
    };
    if args.all
        && matches!(args.output, Output::Table | Output::Wide)
        && status.virtual_servers.is_empty()
        && status.bare_routes.is_empty()
    {
        return Ok("nothing on this node was made by lvscare".to_owned());
    }
    let style = Style { colour: io::stdout().is_terminal(), wide: args.output == Output::Wide };
    let text = match args.output {
        Output::Table | Output::Wide => status::render(&status, style),
        Output::Json | Output::Yaml => text_of(&status, args.output)?,
    };
    Ok(text.trim_end().to_owned())
}

fn doctor(args: &DoctorArgs) -> Result<Exit, Failure> {
    let report = Report::of(&facts::gather(&args.into())?);
    match args.output {
        Output::Table | Output::Wide => {
            say(render::render(&report, args.verbose || args.output == Output::Wide).trim_end())
        }
        Output::Json | Output::Yaml => say(&text_of(&report, args.output)?),
    }?;
    Ok(if report.healthy { Exit::Success } else { Exit::Failed })
}

/// An answer for programs.
fn text_of(value: &impl serde::Serialize, form: Output) -> Result<String, Failure> {
    let failed = |error: String| Failure::new(Exit::Failed, error);
    if form == Output::Yaml {
        return serde_yaml::to_string(value).map_err(|error| failed(error.to_string()));
    }
    serde_json::to_string_pretty(value).map_err(|error| failed(error.to_string()))
}

fn tell(changes: &[Change], nothing: &str) -> Result<(), Failure> {
    if changes.is_empty() {
        return say(nothing);
    }
    changes.iter().try_for_each(|change| say(&change.to_string()))
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
    let _ = writeln!(io::stderr(), "lvscare: {}", printable(&failure.message));
    failure.exit.into()
}

fn log_to_stderr(logging: &Logging) {
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let layer = match logging.format {
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(logging.targets.clone())).init();
}
