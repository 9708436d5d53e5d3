//! `lvscare-installer node prepare`, and the part of a join that is the same.

use std::fs::File;

use installer::check::{Asked, Role};
use installer::cli::kubeadm::KubeadmArgs;
use installer::cli::node::PrepareNodeArgs;
use installer::cli::prepare::PrepareArgs;
use installer::cli::{ChangeArgs, Output};
use installer::kubeadm;
use installer::kubernetes::join::Rendered as Join;
use installer::node::paths::{self, Root};
use installer::node::prepare::{self, Event, Manner};
use installer::node::session::Session;
use installer::node::wanted::{Part, Rendered, Wanted};
use installer::show::{self, Report};
use installer::spec::Spec;
use installer::things::Things;
use lvscare::exit::{Exit, Failure};

use super::{holder, say};

pub(crate) fn run(root: &Root, mut args: PrepareNodeArgs) -> Result<Exit, Failure> {
    args.kubeadm.read_token()?;
    let join = args.kubeadm.says_how().then(|| render(&args.prepare, &args.kubeadm)).transpose()?;
    let job = Job::new(&args.prepare, &args.kubeadm, join.as_ref(), false)?;
    if args.prepare.change.dry_run {
        return job.preview(root);
    }
    let mut session = Session::open(root, &holder("node prepare"))?;
    let done = job.perform(&mut session, root);
    session.close()?;
    let (changed, report) = done?;
    if args.prepare.change.output == Output::Json {
        say(&report)?;
    } else if changed {
        say(&format!("\n{}", Things::of(root)?))?;
    } else {
        say("nothing to do; this node is prepared")?;
    }
    if let Some(join) = join.filter(|_| args.prepare.change.output == Output::Text) {
        let words = [&["kubeadm join --config".to_owned(), paths::JOIN.to_owned()][..], &join.flags].concat();
        say(&format!("\njoin it: {}", words.join(" ")))?;
    }
    Ok(Exit::Success)
}

/// How kubeadm of the version on this node, or of the one told, is to join.
pub(crate) fn render(prepare: &PrepareArgs, kubeadm: &KubeadmArgs) -> Result<Join, Failure> {
    let version = match kubeadm.kube_version {
        Some(version) => version,
        None => kubeadm::version()?,
    };
    let endpoint = format!("{}:{}", prepare.spec.apiserver, prepare.spec.vip.port());
    Ok(kubeadm.join(endpoint).render(version)?)
}

/// A node is to be prepared.
pub(crate) struct Job<'a> {
    pub(crate) spec: Spec,
    pub(crate) wanted: Wanted,
    args: &'a PrepareArgs,
    asked: Asked,
}

impl<'a> Job<'a> {
    /// As `args` say; for kubeadm, if it comes next.
    pub(crate) fn new(
        args: &'a PrepareArgs,
        kubeadm: &KubeadmArgs,
        join: Option<&Join>,
        joins: bool,
    ) -> Result<Self, Failure> {
        let spec = Spec::new(&args.spec)?;
        if let Some(archive) = &args.import {
            File::open(archive).map_err(|error| {
                let archive = archive.display();
                Failure::new(Exit::Image, format!("--import {archive}: {error}; nothing was changed"))
            })?;
        }
        let rendered = Rendered {
            pod: Some((spec.pod()?, spec.image.clone())),
            archive: args.import.clone(),
            join: join.map(|join| join.yaml.reveal().as_bytes().to_vec()),
        };
        let wanted = Wanted::new(spec.config.clone(), &spec.name, rendered, &args.skip);
        let asked = Asked {
            cri_socket: kubeadm.cri_socket.clone(),
            node_name: kubeadm.node_name.clone(),
            authorities: kubeadm
                .discovery_token_ca_cert_hash
                .iter()
                .map(|hash| hash.as_str().to_owned())
                .collect(),
            role: if kubeadm.control_plane { Role::Master } else { Role::Worker },
            archive: args.import.clone(),
            joins,
            ..spec.asked()
        };
        Ok(Self { spec, wanted, args, asked })
    }

    fn manner(&self) -> Manner<'_> {
        let has = |part| !self.args.skip.contains(&part);
        Manner {
            name: &self.spec.name,
            reach: has(Part::Reach),
            checks: has(Part::Checks).then_some(&self.asked),
            force: self.args.force,
        }
    }

    pub(crate) fn preview(&self, root: &Root) -> Result<Exit, Failure> {
        let seen = prepare::preview(root, &self.wanted, self.manner())?;
        tell_preview(
            &Report::new(seen.plan.all(), true, seen.notes),
            self.args.change,
            "this node is prepared",
        )
    }

    /// Does it, and tells each step to people. Returns whether there was any, and what programs are told.
    pub(crate) fn perform(&self, session: &mut Session, root: &Root) -> Result<(bool, String), Failure> {
        let mut notes = Vec::new();
        let plan = prepare::within(session, root, &self.wanted, self.manner(), &mut |event| {
            tell(event, self.args.change, &mut notes);
        })?;
        let report = show::json(&Report::new(plan.all(), false, notes))?;
        Ok((!plan.is_empty(), report))
    }
}

/// Tells people what would be done, or programs.
pub(crate) fn tell_preview(report: &Report<'_>, change: ChangeArgs, state: &str) -> Result<Exit, Failure> {
    say(&match change.output {
        Output::Text => show::preview(report, change.diff, &format!("nothing to do; {state}")),
        Output::Json => show::json(report)?,
    })?;
    Ok(if change.detailed_exitcode && report.changed { Exit::Pending } else { Exit::Success })
}

/// Tells people what happens, as it happens; for programs the notes are kept.
pub(crate) fn tell(event: Event<'_>, change: ChangeArgs, notes: &mut Vec<String>) {
    let line = match event {
        Event::Note(note) => {
            notes.push(note.to_owned());
            format!("! {note}")
        }
        Event::Done(step) => show::steps([step], change.diff).trim_end().to_owned(),
        Event::Reached(at) => format!("  the apiservers answer through {at}"),
    };
    if change.output == Output::Text {
        let _ = say(&line);
    }
}
