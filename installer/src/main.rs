//! The life of the process: parse, act, say what was done or what was wrong.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use installer::cli::join::JoinArgs;
use installer::cli::{
    Cli, Command, HostsCommand, KubeadmCommand, NodeCommand, Output, PrepareArgs, StatusArgs, UndoArgs,
};
use installer::files::Content;
use installer::node::action::Action;
use installer::node::facts;
use installer::node::hands::Hands;
use installer::node::paths::{self, Root};
use installer::node::prepare::{self, Event, Manner};
use installer::node::session::{self, Session};
use installer::node::wanted::{Part, Rendered, Wanted};
use installer::show::{self, Report};
use installer::spec::Spec;
use installer::things::Things;
use installer::{hosts, kubeadm};
use lvscare::cli::explain;
use lvscare::client;
use lvscare::exit::{Exit, Failure};

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
    let root = Root::at("/");
    match command {
        Command::Node { command } => match command {
            NodeCommand::Prepare(args) => prepare_node(&root, &args, None, &holder("node prepare")),
            NodeCommand::Status(args) => show_status(&root, &args),
            NodeCommand::Undo(args) => undo(&root, &args),
        },
        Command::Kubeadm { command } => {
            let KubeadmCommand::Join(args) = *command;
            join(&root, args)
        }
        Command::Hosts { command } => edit_hosts(&root, &command),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "lvscare-installer", &mut io::stdout());
            Ok(Exit::Success)
        }
    }
}

fn prepare_node(
    root: &Root,
    args: &PrepareArgs,
    join: Option<Vec<u8>>,
    holder: &str,
) -> Result<Exit, Failure> {
    let spec = Spec::new(&args.spec)?;
    if let Some(archive) = &args.import {
        File::open(archive).map_err(|error| {
            Failure::new(Exit::Image, format!("--import {}: {error}; nothing was changed", archive.display()))
        })?;
    }
    let pod = Some((spec.pod()?, spec.image.clone()));
    let rendered = Rendered { pod, archive: args.import.clone(), join };
    let wanted = Wanted::new(spec.config, &spec.name, rendered, &args.skip);
    let reach = !args.skip.contains(&Part::Reach);
    let manner = Manner { holder, name: &spec.name, reach, force: args.force };
    if args.dry_run { preview(root, &wanted, manner, args) } else { prepare(root, &wanted, manner, args) }
}

fn preview(root: &Root, wanted: &Wanted, manner: Manner<'_>, args: &PrepareArgs) -> Result<Exit, Failure> {
    let (plan, facts) = prepare::preview(root, wanted, manner)?;
    let notes = facts.silent.iter().map(|(server, why)| left_out(*server, why)).collect();
    let report = Report::new(&plan, true, notes);
    say(&match args.output {
        Output::Text => show::preview(&report, args.diff),
        Output::Json => show::json(&report)?,
    })?;
    Ok(if args.detailed_exitcode && report.changed { Exit::Pending } else { Exit::Success })
}

fn prepare(root: &Root, wanted: &Wanted, manner: Manner<'_>, args: &PrepareArgs) -> Result<Exit, Failure> {
    let text = args.output == Output::Text;
    let mut notes = Vec::new();
    let plan = prepare::prepare(root, wanted, manner, &mut |event| {
        let line = match event {
            Event::Silent { server, why } => {
                notes.push(left_out(server, why));
                format!("! {}", left_out(server, why))
            }
            Event::Done(step) => show::steps([step], args.diff).trim_end().to_owned(),
            Event::Reached(at) => format!("  the apiservers answer through {at}"),
        };
        if text {
            let _ = say(&line);
        }
    })?;
    if !text {
        say(&show::json(&Report::new(&plan, false, notes))?)?;
    } else if plan.is_empty() {
        say("nothing to do; this node is prepared")?;
    } else {
        say("")?;
        say(&Things::of(root)?.to_string())?;
    }
    Ok(Exit::Success)
}

/// Prepares, joins, and looks whether the daemon has come up.
fn join(root: &Root, mut args: JoinArgs) -> Result<Exit, Failure> {
    if let Some(endpoint) = args.endpoint {
        args.prepare.spec.vip = endpoint;
    }
    let version = match args.kubeadm.kube_version {
        Some(version) => version,
        None => kubeadm::version()?,
    };
    let spec = &args.prepare.spec;
    let rendered = args.kubeadm.join(format!("{}:{}", spec.apiserver, spec.vip.port())).render(version)?;
    let config = rendered.yaml.reveal().as_bytes().to_vec();
    let exit = prepare_node(root, &args.prepare, Some(config), &holder("kubeadm join"))?;
    if args.prepare.dry_run {
        return Ok(exit);
    }
    kubeadm::join(&root.join(Path::new(paths::JOIN)), &rendered.flags)?;
    let listen = Spec::new(&args.prepare.spec)?.config.listen;
    let Some(listen) = listen.filter(|_| !args.prepare.skip.contains(&Part::Pod)) else {
        return Ok(Exit::Success);
    };
    let begin = Instant::now();
    while client::daemon(listen).is_none() {
        if begin.elapsed() > args.wait {
            say(
                "joined; the rules are in place, but the static pod is not up yet: is its image on this node?",
            )?;
            return Ok(Exit::Success);
        }
        sleep(Duration::from_secs(1));
    }
    say("joined; lvscare guards the rules")?;
    Ok(Exit::Success)
}

fn show_status(root: &Root, args: &StatusArgs) -> Result<Exit, Failure> {
    let things = Things::of(root)?;
    say(&match args.output {
        Output::Text => things.to_string(),
        Output::Json => show::json(&things)?,
    })?;
    Ok(Exit::Success)
}

fn undo(root: &Root, args: &UndoArgs) -> Result<Exit, Failure> {
    if !session::is_touched(root) {
        say("nothing to undo; nothing was changed on this node")?;
        return Ok(Exit::Success);
    }
    let mut session = Session::open(root, &holder("node undo"))?;
    let mut steps = Vec::new();
    if args.dry_run {
        steps = session.way_back()?;
        steps
            .iter()
            .filter(|_| args.output == Output::Text)
            .try_for_each(|step| say(&format!("  {step}")))?;
    } else {
        session.undo(&mut |step| {
            if args.output == Output::Text {
                let _ = say(&format!("  {step}"));
            }
            steps.push(step.clone());
        })?;
    }
    session.close()?;
    if args.output == Output::Json {
        say(&show::json(&Report::of_undo(&steps, args.dry_run))?)?;
    }
    Ok(Exit::Success)
}

fn edit_hosts(root: &Root, command: &HostsCommand) -> Result<Exit, Failure> {
    let before = facts::read(root, paths::HOSTS)?.unwrap_or_else(|| Content::new("", 0o644));
    let bytes = match command {
        HostsCommand::Set { name, address, force } => hosts::set(&before.bytes, name, *address, *force)?,
        HostsCommand::Unset { name } => hosts::unset(&before.bytes, name)?,
        HostsCommand::List => {
            hosts::list(&before.bytes)?
                .iter()
                .try_for_each(|entry| say(&format!("{} {}", entry.address, entry.name)))?;
            return Ok(Exit::Success);
        }
    };
    if bytes == before.bytes {
        say("nothing to do")?;
        return Ok(Exit::Success);
    }
    let path = PathBuf::from(paths::HOSTS);
    let after = Content { bytes, ..before.clone() };
    let step = Action::WriteFile { path, before: Some(before), after, secret: false };
    Hands::new(root.clone()).perform(&step)?;
    say(&step.diff().unwrap_or_default())?;
    Ok(Exit::Success)
}

fn left_out(server: SocketAddr, why: &str) -> String {
    format!("{server} does not answer and is left out until it does: {why}")
}

/// What another run is told when it finds this one at work.
fn holder(command: &str) -> String {
    let since = httpdate::fmt_http_date(SystemTime::now());
    format!("process {}, `lvscare-installer {command}`, since {since}", std::process::id())
}

/// A reader that went away is no failure.
fn say(line: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, format!("cannot write the answer: {error}")))
        }
        _ => Ok(()),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    let _ = writeln!(io::stderr(), "lvscare-installer: {failure}");
    failure.exit.into()
}
