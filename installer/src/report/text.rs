//! What people read.

use std::fmt::Write as _;

use lvscare::status::{Style, render};
use lvscare::terminal;
use node::api::{Changed, Event, Joined, NodeStatus, Request, StepReport};

/// Parts of what is said come from strangers. Line ends are our own.
pub(super) fn printable(text: &str) -> String {
    text.split('\n').map(terminal::printable).collect::<Vec<_>>().join("\n")
}

/// What happens, as it happens.
pub(super) fn event(event: &Event, diff: bool) -> String {
    match event {
        Event::Note { text } => format!("! {text}"),
        Event::Done(step) => steps([step], diff).trim_end().to_owned(),
        Event::Reached { at } => format!("  the apiservers answer through {at}"),
    }
}

/// What was done, beyond what was told on the way; or what would be done.
pub(super) fn changed(request: &Request, changed: &Changed, diff: bool) -> String {
    let mut text = String::new();
    if changed.planned {
        for note in &changed.notes {
            let _ = writeln!(text, "! {note}");
        }
        if changed.changed {
            text.push_str("would do:\n");
            text.push_str(&steps(&changed.steps, diff));
        } else {
            text.push_str(nothing(request));
        }
        return text.trim_end().to_owned();
    }
    if let Some(joined) = joined(changed) {
        return joined;
    }
    if let Some(status) = shows_status(request, changed) {
        let _ = write!(text, "\n{}", self::status(&status));
    } else if !changed.changed {
        text.push_str(nothing(request));
    }
    if let Some(command) = &changed.join_command {
        let _ = write!(text, "\n\njoin it: {command}");
    }
    text
}

/// The three things of a prepared node, and what is not as it should be.
pub(super) fn status(status: &NodeStatus) -> String {
    let mut text = String::new();
    match &status.manifest {
        Some(path) => {
            let _ = writeln!(text, "static pod  {}", path.display());
        }
        None => text.push_str("static pod  none\n"),
    }
    for entry in &status.hosts {
        let _ = writeln!(text, "hosts       {} {}", entry.address, entry.name);
    }
    if status.hosts.is_empty() {
        text.push_str("hosts       none\n");
    }
    match &status.rules {
        Some(rules) => {
            let table = render(rules, Style { colour: false, wide: false });
            let _ = writeln!(text, "rules\n{}", table.trim_end());
        }
        None => {
            let _ = writeln!(text, "rules       {}", status.rules_unknown.as_deref().unwrap_or("not known"));
        }
    }
    for difference in &status.differences {
        let _ = writeln!(text, "! {difference}");
    }
    text.trim_end().to_owned()
}

/// The steps, each with what it changes in its file if `diff`.
fn steps<'a>(steps: impl IntoIterator<Item = &'a StepReport>, diff: bool) -> String {
    let mut text = String::new();
    for step in steps {
        let _ = writeln!(text, "  {}", step.text);
        if let Some(changes) = step.diff.as_deref().filter(|_| diff) {
            for line in changes.lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    text
}

/// What was done in a join, in one line.
fn joined(changed: &Changed) -> Option<String> {
    let how = match changed.joined? {
        Joined::Now => "joined",
        Joined::Already => "this node has joined already",
    };
    let guard = match changed.guarded {
        None => "",
        Some(true) => "; lvscare guards the rules",
        Some(false) => {
            "; the rules are in place, but the static pod is not up yet: is its image on this node?"
        }
    };
    Some(format!("{how}{guard}"))
}

/// What is said when there was nothing to do.
fn nothing(request: &Request) -> &'static str {
    match request {
        Request::Adopt(_) => "nothing to do; no older lvscare is left, and ours is here",
        Request::SetMasters(_) => "nothing to do; these are the masters",
        Request::Undo(_) => "nothing to undo; nothing was changed on this node",
        Request::SetHost(_) | Request::UnsetHost { .. } => "nothing to do",
        Request::Renew(_) => "nothing to do; no certificate would end more than 30 days later",
        Request::AddNames(_) => "nothing to do; the apiserver's certificate has these names",
        Request::Restore(_) => "nothing to do; no certificates are kept from a renewal",
        Request::WritePod { .. } | Request::RemovePod { .. } => "nothing to do; the manifest is so already",
        _ => "nothing to do; this node is prepared",
    }
}

/// Whether a request shows what there is when it is done.
fn shows_status(request: &Request, changed: &Changed) -> Option<NodeStatus> {
    let shows = matches!(request, Request::Prepare(_) | Request::Adopt(_) | Request::SetMasters(_));
    changed.status.clone().filter(|_| shows && changed.changed)
}
