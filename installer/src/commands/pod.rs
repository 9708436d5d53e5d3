//! `lvscare-installer pod`.

use std::path::PathBuf;

use installer::cli::pod::{PodCommand, PodWriteArgs};
use installer::cli::{ChangeArgs, Output};
use installer::node::action::Action;
use installer::node::facts;
use installer::node::paths::{self, Root};
use installer::node::plan::plan;
use installer::node::prepare::Event;
use installer::node::session::Session;
use installer::node::wanted::{Part, Rendered, Wanted};
use installer::pod;
use installer::show::{self, Report};
use installer::spec::{Spec, understood};
use lvscare::exit::{Exit, Failure};

use super::prepare::{tell, tell_preview};
use super::{holder, print, say};

/// All but the pod.
const OTHERS: [Part; 6] = [Part::Checks, Part::Modules, Part::Sysctl, Part::Rules, Part::Reach, Part::Hosts];

pub(crate) fn run(root: &Root, command: &PodCommand) -> Result<Exit, Failure> {
    match command {
        PodCommand::Render(args) => render(&Spec::new(args)?),
        PodCommand::Write(args) => write(root, args),
        PodCommand::Remove(change) => remove(root, *change),
    }
}

/// The bytes of the file, and no line end more.
fn render(spec: &Spec) -> Result<Exit, Failure> {
    print(&spec.pod()?)?;
    Ok(Exit::Success)
}

fn write(root: &Root, args: &PodWriteArgs) -> Result<Exit, Failure> {
    let spec = Spec::new(&args.spec)?;
    let rendered = Rendered { pod: Some((spec.pod()?, spec.image.clone())), ..Rendered::default() };
    let wanted = Wanted::new(spec.config, &spec.name, rendered, &OTHERS);
    let steps = |root: &Root| -> Result<Vec<Action>, Failure> {
        Ok(plan(&wanted, &facts::gather(root, &wanted)?, false)?.node)
    };
    change(root, Some(&wanted), args.change, "pod write", steps)
}

fn remove(root: &Root, args: ChangeArgs) -> Result<Exit, Failure> {
    let ours = match facts::read(root, paths::POD)? {
        None => None,
        // Another pod under our name is refused.
        Some(content) => Some(pod::read(&String::from_utf8_lossy(&content.bytes))?),
    };
    let wanted = match &ours {
        None => None,
        Some(seen) => Some(Wanted::nothing(understood(&seen.arguments)?)),
    };
    let step = ours.map(|_| Action::RemoveFile { path: PathBuf::from(paths::POD) });
    change(root, wanted.as_ref(), args, "pod remove", |_| Ok(step.clone().into_iter().collect()))
}

/// Plans, and does it unless it is only to be shown.
fn change(
    root: &Root,
    wanted: Option<&Wanted>,
    args: ChangeArgs,
    command: &str,
    plan: impl Fn(&Root) -> Result<Vec<Action>, Failure>,
) -> Result<Exit, Failure> {
    if args.dry_run {
        return tell_preview(
            &Report::new(&plan(root)?, true, Vec::new()),
            args,
            "the manifest is so already",
        );
    }
    let mut session = Session::open(root, &holder(command))?;
    let done = plan(root).and_then(|steps| {
        if let Some(wanted) = wanted {
            session.perform(&steps, wanted, &mut |step| tell(Event::Done(step), args, &mut Vec::new()))?;
        }
        Ok(steps)
    });
    session.close()?;
    let steps = done?;
    match args.output {
        Output::Json => say(&show::json(&Report::new(&steps, false, Vec::new()))?)?,
        Output::Text if steps.is_empty() => say("nothing to do; the manifest is so already")?,
        Output::Text => {}
    }
    Ok(Exit::Success)
}
