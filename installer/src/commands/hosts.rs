//! `lvscare-installer hosts`.

use std::path::PathBuf;

use installer::cli::HostsCommand;
use installer::files::Content;
use installer::hosts;
use installer::node::action::Action;
use installer::node::facts;
use installer::node::hands::Hands;
use installer::node::paths::{self, Root};
use installer::node::session;
use lvscare::exit::{Exit, Failure};

use super::say;

pub(crate) fn run(root: &Root, command: &HostsCommand) -> Result<Exit, Failure> {
    session::mend_hosts(root)?;
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
