//! `lvscare-installer hosts`.

use std::path::PathBuf;

use installer::cli::HostsCommand;
use installer::files::Content;
use installer::hosts;
use installer::node::action::Action;
use installer::node::facts;
use installer::node::hands::Hands;
use installer::node::paths::{self, Root};
use installer::node::session::Session;
use lvscare::exit::{Exit, Failure};

use super::{holder, say};

pub(crate) fn run(root: &Root, command: &HostsCommand) -> Result<Exit, Failure> {
    match command {
        HostsCommand::Set { name, address, force } => {
            edit(root, "hosts set", |file| hosts::set(file, name, *address, *force))
        }
        HostsCommand::Unset { name } => edit(root, "hosts unset", |file| hosts::unset(file, name)),
        HostsCommand::List => {
            let entries = hosts::list(&read(root)?.bytes)?;
            entries.iter().try_for_each(|entry| say(&format!("{} {}", entry.address, entry.name)))?;
            Ok(Exit::Success)
        }
    }
}

/// Alone, since another run may just be writing the same file.
fn edit(
    root: &Root,
    command: &str,
    change: impl Fn(&[u8]) -> Result<Vec<u8>, hosts::Error>,
) -> Result<Exit, Failure> {
    let session = Session::open(root, &holder(command))?;
    let done = within(root, change);
    session.close()?;
    say(&done?.unwrap_or_else(|| "nothing to do".to_owned()))?;
    Ok(Exit::Success)
}

/// Returns what was changed.
fn within(
    root: &Root,
    change: impl Fn(&[u8]) -> Result<Vec<u8>, hosts::Error>,
) -> Result<Option<String>, Failure> {
    let before = read(root)?;
    let bytes = change(&before.bytes)?;
    if bytes == before.bytes {
        return Ok(None);
    }
    let path = PathBuf::from(paths::HOSTS);
    let after = Content { bytes, ..before.clone() };
    let step = Action::WriteFile { path, before: Some(before), after, secret: false };
    Hands::new(root.clone()).perform(&step)?;
    Ok(step.diff())
}

fn read(root: &Root) -> Result<Content, Failure> {
    Ok(facts::read(root, paths::HOSTS)?.unwrap_or_else(|| Content::new("", 0o644)))
}
