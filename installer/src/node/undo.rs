//! The way back: from the journal to the steps that make everything as it was. Pure but for looking.

use std::path::{Path, PathBuf};

use lvscare::exit::Failure;
use lvscare::model::Desired;
use lvscare::reconcile;

use super::action::Action;
use super::facts;
use super::hands::Hands;
use super::journal::{FormerService, Original};
use super::paths::Root;
use crate::files::Content;
use crate::hosts;

/// The steps that make one thing as it was; none when it is so already.
pub fn steps(original: &Original, root: &Root, hands: &mut Hands) -> Result<Vec<Action>, Failure> {
    Ok(match original {
        Original::Directory { path } if root.join(path).is_dir() => {
            vec![Action::RemoveDirectory { path: path.clone() }]
        }
        Original::Directory { .. } => Vec::new(),
        Original::File { path, before } => file(path, before.as_ref(), look(root, path)?),
        Original::HostsEntry { path, name } => match look(root, path)? {
            None => Vec::new(),
            Some(now) => {
                let after = Content { bytes: hosts::unset(&now.bytes, name)?, ..now.clone() };
                file(path, Some(&after), Some(now))
            }
        },
        Original::Sysctl { name, before } => match facts::sysctl(root, name) {
            Some(now) if now != *before => {
                vec![Action::SetSysctl { name: name.clone(), before: Some(now), after: before.clone() }]
            }
            _ => Vec::new(),
        },
        Original::Rules { at, service, route, .. } => {
            let desired = Desired {
                services: [(*at, service.as_ref().map(FormerService::wanted))].into(),
                routes: [(at.ip(), *route)].into(),
                ..Desired::default()
            };
            let actual = hands.read_rules(*at)?;
            reconcile::plan(&desired, &actual).into_iter().map(Action::Rule).collect()
        }
    })
}

fn look(root: &Root, path: &Path) -> Result<Option<Content>, Failure> {
    facts::read(root, &path.to_string_lossy())
}

fn file(path: &Path, before: Option<&Content>, now: Option<Content>) -> Vec<Action> {
    let path = PathBuf::from(path);
    match before {
        _ if before == now.as_ref() => Vec::new(),
        None => vec![Action::RemoveFile { path }],
        Some(content) => vec![Action::WriteFile { path, before: now, after: content.clone(), secret: true }],
    }
}
