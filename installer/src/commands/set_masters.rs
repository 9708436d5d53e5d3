//! `lvscare-installer node set-masters`.

use installer::cli::Output;
use installer::cli::node::SetMastersArgs;
use installer::hosts;
use installer::node::facts;
use installer::node::journal::Journal;
use installer::node::paths::{self, Root};
use installer::node::prepared::Prepared;
use installer::node::replace::{self, Manner};
use installer::node::session::Session;
use installer::show::{self, Report};
use installer::spec;
use installer::things::Things;
use lvscare::exit::{Exit, Failure};

use super::prepare::{tell, tell_preview};
use super::{holder, say};

pub(crate) fn run(root: &Root, args: &SetMastersArgs) -> Result<Exit, Failure> {
    if args.change.dry_run {
        let journal = Journal::at(root)?;
        let replacement = look(root, args, &journal)?;
        let report = Report::new(replacement.steps.all(), true, replacement.notes.clone());
        return tell_preview(&report, args.change, "these are the masters");
    }
    let mut session = Session::open(root, &holder("node set-masters"))?;
    let done = within(root, args, &mut session);
    session.close()?;
    done
}

fn look(root: &Root, args: &SetMastersArgs, journal: &Journal) -> Result<replace::Replacement, Failure> {
    let prepared = Prepared::of(root, journal)?;
    let vip = prepared.service()?.at.ip();
    let masters = spec::masters(&args.masters, vip.is_ipv4())?;
    let hosts = facts::read(root, paths::HOSTS)?.map(|content| content.bytes).unwrap_or_default();
    let entry = hosts::list(&hosts)?.into_iter().find(|entry| entry.address == vip);
    let name = entry.map_or_else(|| vip.to_string(), |entry| entry.name);
    replace::look(root, &prepared, &masters, &name)
}

fn within(root: &Root, args: &SetMastersArgs, session: &mut Session) -> Result<Exit, Failure> {
    let replacement = look(root, args, session.journal())?;
    let manner = Manner { drain: args.drain_timeout, wait: args.wait };
    let mut notes = Vec::new();
    replace::replace(session, &replacement, manner, &mut |event| tell(event, args.change, &mut notes))?;
    let report = Report::new(replacement.steps.all(), false, notes);
    say(&match args.change.output {
        Output::Json => show::json(&report)?,
        Output::Text if report.changed => format!("\n{}", Things::of(root)?),
        Output::Text => "nothing to do; these are the masters".to_owned(),
    })?;
    Ok(Exit::Success)
}
