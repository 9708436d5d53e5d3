//! The way back: from the journal to the steps that make everything as it was. Pure.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use lvscare::model::{Actual, Desired};
use lvscare::reconcile;

use crate::desired::FORWARDING;
use crate::journal::{FormerService, Original};
use crate::paths;
use crate::render::hosts;
use crate::step::{Content, Digest, HostsEdit, Step};

/// How a thing is now.
#[derive(Clone, Debug, Default)]
pub struct Now {
    /// The file.
    pub file: Option<Content>,
    /// What the program holds.
    pub program: Option<Digest>,
    /// What is in the directory; `None`: it is not there.
    pub names: Option<Vec<String>>,
    /// The kernel setting.
    pub sysctl: Option<String>,
    /// The rules.
    pub rules: Actual,
}

/// What is true of the node as a whole.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// Whether kubelet runs pods here: they need what is not ours alone.
    pub runs_pods: bool,
    /// The virtual servers that were made here.
    pub services: Vec<SocketAddr>,
}

/// The order of the way back: first nobody is told to guard the rules, then the rules go, then the rest, the last that
/// was touched first.
pub fn order(originals: &[Original]) -> Vec<Original> {
    let stage = |original: &Original| match original {
        Original::File { path, .. } if path == Path::new(paths::POD) => 0,
        Original::Rules { .. } => 1,
        _ => 2,
    };
    let mut all: Vec<_> = originals.iter().rev().cloned().collect();
    // Those of one stage keep their order.
    all.sort_by_key(stage);
    all
}

/// The steps that make one thing as it was; none when it is so already.
pub fn steps(
    original: &Original,
    now: &Now,
    circumstances: &Circumstances,
) -> Result<Vec<Step>, hosts::Error> {
    Ok(match original {
        Original::Directory { path } => match &now.names {
            Some(names) => {
                let mut steps = lists(path, names, &circumstances.services);
                steps.push(Step::RemoveDirectory { path: path.clone() });
                steps
            }
            None => Vec::new(),
        },
        Original::File { path, before } => file(path, before.as_ref(), now.file.clone()),
        Original::Program { path, kept } => program(path, *kept, now.program),
        Original::HostsEntry { name, before, existed, .. } => match &now.file {
            None => Vec::new(),
            Some(file) => hosts_entry(name, *before, *existed, file)?,
        },
        Original::Sysctl { name, .. } if stays(name, circumstances) => Vec::new(),
        Original::Sysctl { name, before } => match &now.sysctl {
            Some(value) if value != before => {
                vec![Step::SetSysctl {
                    name: name.clone(),
                    before: Some(value.clone()),
                    after: before.clone(),
                }]
            }
            _ => Vec::new(),
        },
        Original::Rules { at, service, route, .. } => {
            let desired = Desired {
                services: [(*at, service.as_ref().map(FormerService::wanted))].into(),
                routes: [(at.ip(), *route)].into(),
                ..Desired::default()
            };
            reconcile::plan(&desired, &now.rules).into_iter().map(Step::Rule).collect()
        }
    })
}

/// Whether a setting is left as it is: without it the pods of this node would lose the network.
pub fn stays(name: &str, circumstances: &Circumstances) -> bool {
    circumstances.runs_pods && FORWARDING.contains(&name)
}

/// The lists of masters that the daemon has kept in its directory, which we made for it. Others' files stay.
fn lists(directory: &Path, names: &[String], services: &[SocketAddr]) -> Vec<Step> {
    let ours: BTreeSet<String> = services.iter().map(|at| list_of(*at)).collect();
    let lists = names.iter().filter(|name| ours.contains(*name));
    lists.map(|name| Step::RemoveFile { path: directory.join(name) }).collect()
}

/// As the daemon names it.
fn list_of(at: SocketAddr) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("masters-{}.json", at.to_string().chars().map(plain).collect::<String>())
}

fn hosts_entry(
    name: &str,
    before: Option<std::net::IpAddr>,
    existed: bool,
    now: &Content,
) -> Result<Vec<Step>, hosts::Error> {
    let name = name.to_owned();
    let edit = match before {
        Some(address) => HostsEdit::Set { name, address, force: true },
        None => HostsEdit::Unset { name },
    };
    let after = Content { bytes: hosts::edit(&now.bytes, &edit)?, ..now.clone() };
    Ok(if after == *now {
        Vec::new()
    } else if after.bytes.is_empty() && !existed {
        vec![Step::RemoveFile { path: paths::HOSTS.into() }]
    } else {
        vec![Step::EditHosts { edit, before: Some(now.clone()), after }]
    })
}

fn file(path: &Path, before: Option<&Content>, now: Option<Content>) -> Vec<Step> {
    let path = path.to_owned();
    match before {
        _ if before == now.as_ref() => Vec::new(),
        None => vec![Step::RemoveFile { path }],
        Some(content) => vec![Step::WriteFile { path, before: now, after: content.clone(), secret: true }],
    }
}

fn program(path: &Path, kept: Option<Digest>, now: Option<Digest>) -> Vec<Step> {
    let path = path.to_owned();
    match kept {
        _ if kept == now => Vec::new(),
        None => vec![Step::RemoveFile { path }],
        Some(kept) => vec![Step::InstallProgram { from: paths::kept(kept), path, mode: None }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: &str = "10.103.97.2:6443";

    fn circumstances() -> Circumstances {
        Circumstances { runs_pods: false, services: vec![VIP.parse().unwrap()] }
    }

    fn lines(original: &Original, now: &Now) -> Vec<String> {
        steps(original, now, &circumstances()).unwrap().iter().map(ToString::to_string).collect()
    }

    fn hosts(text: &str) -> Now {
        Now { file: Some(Content::new(text, 0o644)), ..Now::default() }
    }

    fn rules() -> Original {
        Original::rules(VIP.parse().unwrap(), None, &Actual::default())
    }

    #[test]
    fn the_pod_goes_first_then_the_rules_whatever_came_first() {
        let file = |path: &str| Original::File { path: path.into(), before: None };
        let directory = Original::Directory { path: paths::MANIFESTS.into() };
        let sysctl = Original::Sysctl { name: "a".into(), before: "0".into() };
        let expected = [&file(paths::POD), &rules(), &sysctl, &directory].map(Clone::clone);
        for order_of_work in [
            [directory.clone(), file(paths::POD), sysctl.clone(), rules()],
            [directory.clone(), sysctl.clone(), rules(), file(paths::POD)],
        ] {
            assert_eq!(order(&order_of_work), expected);
        }
    }

    #[test]
    fn what_the_daemon_kept_goes_with_its_directory_and_nothing_else() {
        let now = |names: &[&str]| Now {
            names: Some(names.iter().map(ToString::to_string).collect()),
            ..Now::default()
        };
        let state = Original::Directory { path: "/var/lib/lvscare".into() };
        assert_eq!(
            lines(&state, &now(&["masters-10.103.97.2-6443.json", "somebody-elses"])),
            ["remove /var/lib/lvscare/masters-10.103.97.2-6443.json", "remove directory /var/lib/lvscare"]
        );
        for (directory, name) in
            [(paths::MANIFESTS, "masters-dashboard.json"), ("/etc/kubernetes", "masters-list.json")]
        {
            let original = Original::Directory { path: directory.into() };
            assert_eq!(lines(&original, &now(&[name])), [format!("remove directory {directory}")]);
        }
        assert_eq!(lines(&state, &Now::default()), [""; 0]);
    }

    #[test]
    fn a_name_gets_its_former_meaning_and_a_file_of_others_stays() {
        let entry = |before: Option<&str>, existed| Original::HostsEntry {
            path: paths::HOSTS.into(),
            name: "api".into(),
            before: before.map(|ip| ip.parse().unwrap()),
            existed,
        };
        let set = |file: &[u8], address: &str| {
            String::from_utf8(hosts::set(file, "api", address.parse().unwrap(), false).unwrap()).unwrap()
        };
        let now = set(b"", "10.103.97.2");
        assert_eq!(lines(&entry(None, false), &hosts(&now)), ["remove /etc/hosts"]);
        assert_eq!(lines(&entry(None, true), &hosts(&now)), ["change /etc/hosts (mode 0644)"]);
        let more = format!("10.0.0.7 mine\n{now}");
        let Step::EditHosts { after, .. } =
            steps(&entry(None, false), &hosts(&more), &circumstances()).unwrap().remove(0)
        else {
            panic!("another step")
        };
        assert_eq!(after.bytes, b"10.0.0.7 mine\n");
        let Step::EditHosts { after, .. } =
            steps(&entry(Some("10.0.0.1"), true), &hosts(&now), &circumstances()).unwrap().remove(0)
        else {
            panic!("another step")
        };
        assert_eq!(String::from_utf8(after.bytes).unwrap(), set(b"", "10.0.0.1"));
    }

    #[test]
    fn pods_keep_their_network() {
        let forward = Original::Sysctl { name: "net.ipv4.ip_forward".into(), before: "0".into() };
        let now = Now { sysctl: Some("1".into()), ..Now::default() };
        assert_eq!(lines(&forward, &now), ["set net.ipv4.ip_forward = 0 (was 1)"]);
        let joined = Circumstances { runs_pods: true, ..circumstances() };
        assert_eq!(steps(&forward, &now, &joined).unwrap(), []);
    }
}
