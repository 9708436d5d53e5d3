//! The way back: from the journal to the steps that make everything as it was. Pure but for looking.

use std::fs;
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
            let mut steps = kept(root, path);
            steps.push(Action::RemoveDirectory { path: path.clone() });
            steps
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

/// The lists of masters that the daemon has kept in its directory, which we made for it. Others' files stay.
fn kept(root: &Root, directory: &Path) -> Vec<Action> {
    let names = fs::read_dir(root.join(directory)).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let is_list =
        |name: &str| name.strip_prefix("masters-").and_then(|rest| rest.strip_suffix(".json")).is_some();
    let lists = names.filter(|name| is_list(name));
    lists.map(|name| Action::RemoveFile { path: directory.join(name) }).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_daemon_kept_goes_with_its_directory() {
        let node = tempfile::tempdir().unwrap();
        let root = Root::at(node.path());
        let directory = Path::new("/var/lib/lvscare");
        fs::create_dir_all(root.join(directory)).unwrap();
        for name in ["masters-10.103.97.2-6443.json", "somebody-elses"] {
            fs::write(root.join(directory).join(name), "").unwrap();
        }
        let original = Original::Directory { path: directory.to_owned() };
        let steps = steps(&original, &root, &mut Hands::new(root.clone())).unwrap();
        let lines: Vec<String> = steps.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            ["remove /var/lib/lvscare/masters-10.103.97.2-6443.json", "remove directory /var/lib/lvscare"]
        );
    }
}
