//! What is to be done: the difference between what a node shall have and what it has. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lvscare::config::ServiceConfig;
use lvscare::desired::{Sources, judged, no_source};
use lvscare::reconcile;

use crate::api::{Failure, Kind};
use crate::desired::{DesiredFile, DesiredNode};
use crate::facts::node::Facts;
use crate::paths;
use crate::render::hosts;
use crate::step::{Content, HostsEdit, Step};

/// The steps, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Those that make the virtual server work; it is tried before anything else is done.
    pub data_path: Vec<Step>,
    /// Those that make it last, and known by its name.
    pub node: Vec<Step>,
}

impl Plan {
    /// Every step.
    pub fn all(&self) -> impl Iterator<Item = &Step> {
        self.data_path.iter().chain(&self.node)
    }

    /// Whether everything is as it should be.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }
}

/// Plans the way from `facts` to `desired`. `force` takes over what is somebody else's, reversibly.
pub fn plan(desired: &DesiredNode, facts: &Facts, force: bool) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    refuse_stranger(desired, facts)?;
    if !force {
        refuse_edited(facts)?;
    }
    // The first that is done is undone last: when the daemon that writes there has ended.
    if let Some(directory) = desired.state().filter(|directory| !facts.directories.contains(*directory)) {
        plan.data_path.push(Step::MakeDirectory { path: directory.to_owned() });
    }
    for module in desired.modules.iter().filter(|module| !facts.modules.contains(*module)) {
        plan.data_path.push(Step::LoadModule { name: module.clone() });
    }
    for (name, value) in &desired.sysctls {
        let before = facts.sysctls.get(name).cloned();
        if before.as_ref() != Some(value) {
            plan.data_path.push(Step::SetSysctl { name: name.clone(), before, after: value.clone() });
        }
    }
    if desired.rules {
        plan.data_path.extend(rules(desired, facts, force)?);
    }
    let mut made = BTreeSet::new();
    let (boot, late): (Vec<_>, Vec<_>) =
        desired.files.iter().partition(|file| matches!(file.path, paths::MODULES | paths::SYSCTLS));
    for file in boot {
        write(file, facts, &mut made, &mut plan.node);
    }
    plan.node.extend(hosts_entry(desired, facts, force)?);
    if let (Some(archive), Some(image)) = (&desired.archive, &desired.image)
        && facts.image != Some(true)
    {
        plan.node.push(Step::ImportImages { archive: archive.clone(), images: vec![image.clone()] });
    }
    for file in late {
        write(file, facts, &mut made, &mut plan.node);
    }
    Ok(plan)
}

fn write(file: &DesiredFile, facts: &Facts, made: &mut BTreeSet<PathBuf>, steps: &mut Vec<Step>) {
    let path = PathBuf::from(file.path);
    let before = facts.files.get(&path).cloned();
    let after = Content::new(file.bytes.clone(), file.mode);
    if before.as_ref() == Some(&after) {
        return;
    }
    let mut missing: Vec<_> =
        path.ancestors().skip(1).take_while(|path| !facts.directories.contains(*path)).collect();
    // From the top down; the state directory is there before anything is done.
    missing.retain(|path| *path != Path::new(paths::STATE));
    for directory in missing.into_iter().rev() {
        if made.insert(directory.to_owned()) {
            steps.push(Step::MakeDirectory { path: directory.to_owned() });
        }
    }
    steps.push(Step::WriteFile { path, before, after, secret: file.secret });
}

fn hosts_entry(desired: &DesiredNode, facts: &Facts, force: bool) -> Result<Option<Step>, Failure> {
    let Some((name, address)) = &desired.hosts else { return Ok(None) };
    let before = facts.files.get(Path::new(paths::HOSTS)).cloned();
    let force = force || desired.adopts;
    let edit = HostsEdit::Set { name: name.clone(), address: *address, force };
    Ok(edit_hosts(edit, before)?)
}

/// The edit of a hosts file; nothing when it is so already.
pub fn edit_hosts(edit: HostsEdit, before: Option<Content>) -> Result<Option<Step>, hosts::Error> {
    let old = before.clone().unwrap_or_else(|| Content::new("", 0o644));
    let after = Content { bytes: hosts::edit(&old.bytes, &edit)?, ..old.clone() };
    Ok((old != after).then_some(Step::EditHosts { edit, before, after }))
}

/// What somebody has written into a file of ours would be lost.
fn refuse_edited(facts: &Facts) -> Result<(), Failure> {
    if facts.edited.is_empty() {
        return Ok(());
    }
    let files: Vec<_> = facts.edited.iter().map(|path| path.display().to_string()).collect();
    Err(Failure::new(
        Kind::Foreign,
        format!(
            "somebody has changed what was written here: {}; nothing was changed; to write it anew all the same, add \
             --force",
            files.join(", ")
        ),
    ))
}

/// Two daemons would guard the same rules, each with its own list of masters.
fn refuse_stranger(desired: &DesiredNode, facts: &Facts) -> Result<(), Failure> {
    let pod_comes = desired.files.iter().any(|file| file.path == paths::POD);
    if !(facts.guarded && pod_comes && facts.told.is_none()) {
        return Ok(());
    }
    let listen = desired.config.listen.map(|listen| listen.to_string()).unwrap_or_default();
    Err(Failure::new(
        Kind::Foreign,
        format!(
            "a daemon on {listen} guards the virtual server already, and it is not our static pod; nothing was changed; \
             leave the pod out with --skip pod, or end that daemon first (`systemctl disable --now lvscare`)"
        ),
    ))
}

/// A real server that does not answer is left out: a join must not run into it. The daemon takes it in once it is
/// alive. What a daemon is at work on is left to it.
fn rules(desired: &DesiredNode, facts: &Facts, force: bool) -> Result<Vec<Step>, Failure> {
    let mut sources = Sources::new();
    for service in &desired.config.services {
        let vip = service.at.ip();
        let source = facts.source.ok_or_else(|| Failure::new(Kind::Unreachable, no_source(vip)))?;
        sources.insert(vip, source);
        refuse_foreign(service, facts, force)?;
    }
    let mut rules =
        judged(&desired.config, &sources, |service| Some(weights(service, facts, desired.adopts)));
    rules.sysctls.clear();
    Ok(reconcile::plan(&rules, &facts.table).into_iter().map(Step::Rule).collect())
}

fn weights(service: &ServiceConfig, facts: &Facts, adopts: bool) -> BTreeMap<SocketAddr, u32> {
    let table = facts.table.services.get(&service.at);
    let all = || service.servers.iter().map(|server| (server.address, server.weight));
    if let Some(seen) = table.filter(|_| facts.guarded || adopts) {
        let weight = |server| Some((server, seen.destinations.get(&server)?.destination.weight));
        return all().filter_map(|(server, _)| weight(server)).collect();
    }
    let answering: BTreeMap<_, _> = all().filter(|(server, _)| !facts.silent.contains_key(server)).collect();
    // When none answers, none is left out.
    if answering.is_empty() { all().collect() } else { answering }
}

/// IPVS rules carry no mark of their owner. One with other real servers than ours is somebody else's.
fn refuse_foreign(service: &ServiceConfig, facts: &Facts, force: bool) -> Result<(), Failure> {
    let Some(seen) = facts.table.services.get(&service.at) else { return Ok(()) };
    let foreign: Vec<_> =
        seen.destinations.keys().filter(|at| !service.has(**at)).map(ToString::to_string).collect();
    if foreign.is_empty() || force {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Foreign,
        format!(
            "the virtual server {} exists and has other real servers: {}; if the masters have changed, use \
             `lvscare-installer node set-masters`; to replace what somebody else made, add --force",
            service.at,
            foreign.join(", ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use lvscare::model::{SeenDestination, SeenService, Service, Traffic};

    use super::*;
    use crate::desired::{Rendered, RenderedPod};
    use crate::run::test::spec;

    const VIP: &str = "10.103.97.2:6443";

    fn wanted() -> DesiredNode {
        let spec = spec();
        let rendered = Rendered {
            pod: Some(RenderedPod {
                manifest: b"pod".to_vec(),
                image: spec.image.clone(),
                daemon: spec.daemon.clone(),
            }),
            join: Some(b"token".to_vec()),
            archive: Some("/image.tar".into()),
            release: "6.1.0".into(),
        };
        DesiredNode::new(spec.config, &spec.name, rendered, &[])
    }

    /// A node on which there is nothing yet.
    fn bare() -> Facts {
        Facts {
            source: "10.0.0.10".parse().ok(),
            directories: ["/", "/etc", "/etc/sysctl.d", "/var", "/var/lib"].map(PathBuf::from).into(),
            sysctls: [("net.ipv4.ip_forward".to_owned(), "0".to_owned())].into(),
            ..Facts::default()
        }
    }

    fn lines<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<String> {
        steps.into_iter().map(ToString::to_string).collect()
    }

    fn table(servers: &[&str]) -> lvscare::model::Actual {
        let seen = SeenDestination {
            destination: lvscare::model::Destination::masqueraded(1),
            active: 0,
            inactive: 0,
        };
        let service = SeenService {
            service: Service { scheduler: "rr".into(), flags: 0 },
            destinations: servers.iter().map(|server| (server.parse().unwrap(), seen)).collect(),
            traffic: Traffic::default(),
        };
        lvscare::model::Actual { services: [(VIP.parse().unwrap(), service)].into(), ..Default::default() }
    }

    #[test]
    fn rules_come_first_and_the_pod_last() {
        let plan = plan(&wanted(), &bare(), false).unwrap();
        assert_eq!(
            lines(&plan.data_path),
            [
                "load module ip_vs",
                "load module nf_conntrack",
                "load module ip_vs_rr",
                "set net.ipv4.ip_forward = 1 (was 0)",
                "set net.ipv4.vs.expire_nodest_conn = 1",
                "set net.ipv4.vs.conntrack = 1",
                "add virtual server 10.103.97.2:6443 scheduler rr",
                "add real server 10.0.0.1:6443 weight 1 to 10.103.97.2:6443",
                "add real server 10.0.0.2:6443 weight 1 to 10.103.97.2:6443",
                "add real server 10.0.0.3:6443 weight 1 to 10.103.97.2:6443",
                "set route local 10.103.97.2 dev lo src 10.0.0.10",
            ]
        );
        assert_eq!(
            lines(&plan.node),
            [
                "make directory /etc/modules-load.d",
                "write /etc/modules-load.d/lvscare.conf (mode 0644)",
                "write /etc/sysctl.d/zz-lvscare.conf (mode 0644)",
                "write /etc/hosts (mode 0644)",
                "import the image of /image.tar",
                "make directory /etc/kubernetes",
                "make directory /etc/kubernetes/manifests",
                "write /etc/kubernetes/manifests/kube-lvscare.yaml (mode 0600)",
                "write /var/lib/lvscare-installer/kubeadm-join.yaml (mode 0600)",
            ]
        );
    }

    #[test]
    fn the_daemons_directory_is_made_first_if_it_learns_masters() {
        let mut wanted = wanted();
        wanted.config.services[0].kubeconfig = Some("/etc/kubernetes/kubelet.conf".into());
        wanted.config.state_dir = Some("/var/lib/lvscare".into());
        let mut facts = bare();
        let first = |facts: &Facts| lines(plan(&wanted, facts, false).unwrap().all()).swap_remove(0);
        assert_eq!(first(&facts), "make directory /var/lib/lvscare");
        facts.directories.insert("/var/lib/lvscare".into());
        assert_eq!(first(&facts), "load module ip_vs");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let plan = plan(&wanted(), &bare(), false).unwrap();
        let reports: Vec<_> = plan.all().map(Step::report).collect();
        assert!(!serde_json::to_string(&reports).unwrap().contains("token"));
        assert_eq!(plan.node.last().unwrap().diff(), None);
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        let wanted = wanted();
        let mut facts = bare();
        facts.modules = wanted.modules.iter().cloned().collect();
        facts.sysctls = wanted.sysctls.iter().cloned().collect();
        facts.image = Some(true);
        facts.table = table(&["10.0.0.1:6443", "10.0.0.2:6443", "10.0.0.3:6443"]);
        for step in plan(&wanted, &facts, false).unwrap().node {
            match step {
                Step::WriteFile { path, after, .. } => facts.files.insert(path, after),
                Step::EditHosts { after, .. } => facts.files.insert(paths::HOSTS.into(), after),
                _ => None,
            };
        }
        assert_eq!(
            lines(plan(&wanted, &facts, false).unwrap().all()),
            ["set route local 10.103.97.2 dev lo src 10.0.0.10"]
        );
    }

    #[test]
    fn the_daemons_verdicts_are_left_to_it() {
        let mut facts = bare();
        facts.table = table(&["10.0.0.1:6443"]);
        facts.guarded = true;
        facts.told = Some(spec().daemon);
        let rules = |facts: &Facts| {
            let steps = plan(&wanted(), facts, false).unwrap().data_path;
            lines(&steps).into_iter().filter(|line| line.contains("real server")).collect::<Vec<_>>()
        };
        assert_eq!(rules(&facts), [""; 0]);
        facts.guarded = false;
        facts.silent.insert("10.0.0.3:6443".parse().unwrap(), "connection refused".into());
        assert_eq!(rules(&facts), ["add real server 10.0.0.2:6443 weight 1 to 10.103.97.2:6443"]);
    }

    #[test]
    fn somebody_elses_virtual_server_is_refused() {
        let mut facts = bare();
        facts.table = table(&["10.0.0.1:6443", "10.9.9.9:6443"]);
        let refusal = plan(&wanted(), &facts, false).unwrap_err();
        assert_eq!(refusal.kind, Kind::Foreign);
        assert!(refusal.message.contains("10.9.9.9:6443"), "{refusal}");
        let steps = plan(&wanted(), &facts, true).unwrap().data_path;
        assert!(lines(&steps).contains(&"remove real server 10.9.9.9:6443 from 10.103.97.2:6443".to_owned()));
    }

    #[test]
    fn without_a_way_to_any_master_nothing_is_planned() {
        let facts = Facts { source: None, ..bare() };
        assert_eq!(plan(&wanted(), &facts, false).unwrap_err().kind, Kind::Unreachable);
    }

    #[test]
    fn a_daemon_that_is_not_our_pod_is_refused() {
        let facts = Facts { guarded: true, ..bare() };
        let refusal = plan(&wanted(), &facts, true).unwrap_err();
        assert_eq!(refusal.kind, Kind::Foreign);
        assert!(refusal.message.contains("a daemon on 127.0.0.1:10261 guards"), "{refusal}");
        let mut without = wanted();
        without.files.retain(|file| file.path != paths::POD);
        assert!(plan(&without, &facts, false).is_ok());
    }

    #[test]
    fn what_somebody_has_written_into_a_file_of_ours_is_kept_unless_forced() {
        let mut facts = bare();
        facts.edited.insert(paths::SYSCTLS.into());
        let refusal = plan(&wanted(), &facts, false).unwrap_err();
        assert_eq!(refusal.kind, Kind::Foreign);
        assert!(refusal.message.contains("/etc/sysctl.d/zz-lvscare.conf"), "{refusal}");
        assert!(plan(&wanted(), &facts, true).is_ok());
    }

    #[test]
    fn packets_are_forwarded_in_the_family_of_the_virtual_server() {
        let names = |desired: &DesiredNode| -> Vec<String> {
            desired
                .sysctls
                .iter()
                .map(|(name, _)| name.clone())
                .filter(|name| name.contains("forward"))
                .collect()
        };
        assert_eq!(names(&wanted()), ["net.ipv4.ip_forward"]);
        let mut config = spec().config;
        config.services[0].at = "[fd00::2]:6443".parse().unwrap();
        let desired = DesiredNode::new(config, "apiserver", Rendered::default(), &[]);
        assert_eq!(names(&desired), ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]);
    }
}
