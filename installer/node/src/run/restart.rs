//! kubelet and its static pods, restarted so that they read their files.
//!
//! kubelet makes a pod anew when its manifest has been away. A run that is killed meanwhile leaves it away; so it lies where
//! every later run finds it and puts it back ([`put_back`]), and the journal knows who is still to be restarted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use lvscare::yaml;
use serde::Deserialize;

use super::session::Session;
use crate::api::{Event, Failure, Kind};
use crate::facts;
use crate::journal::Restart;
use crate::machine::{HealthPage, Machine, Program, until};
use crate::paths;
use crate::render::manifest::Pod;
use crate::step::Step;

/// How often somebody is asked whether he has ended, or begun.
const PAUSE: Duration = Duration::from_secs(1);

/// Between the end of a server and the end of its pod.
const SETTLE: Duration = Duration::from_secs(3);

/// By then kubelet has seen that a manifest is gone: it looks every 20 s, even where the kernel tells it of nothing.
const NOTICED: Duration = Duration::from_secs(25);

/// By then a pod has ended that cannot be asked: kubelet gives it 30 s.
const ENDED: Duration = Duration::from_secs(60);

/// How long systemd may take to restart kubelet.
const KUBELET: Duration = Duration::from_secs(120);

/// Those that others need first.
const FIRST: [&str; 4] =
    ["etcd.yaml", "kube-apiserver.yaml", "kube-controller-manager.yaml", "kube-scheduler.yaml"];

/// Who reads files that are about to change: kubelet by its name, static pods because their manifests name the files.
pub fn affected<M: Machine>(machine: &M, changed: &[&Path]) -> Vec<Restart> {
    let mut all = Vec::new();
    // A kubelet that kubeadm has not configured yet has read nothing.
    let is_configured = facts::text(machine, paths::KUBELET_CONFIG).is_some();
    if is_configured
        && changed
            .iter()
            .any(|path| [paths::KUBELET, paths::KUBELET_CLIENT].contains(&&*path.to_string_lossy()))
    {
        all.push(Restart::Kubelet);
    }
    let mut names = machine.entries(Path::new(paths::MANIFESTS)).unwrap_or_default();
    names.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    for name in names {
        let manifest = Path::new(paths::MANIFESTS).join(&name);
        // Our own pod follows its files.
        let is_yaml = manifest.extension().is_some_and(|end| end == "yaml");
        let is_pod = is_yaml && !name.starts_with('.') && manifest != Path::new(paths::POD);
        let reads = |text: &String| changed.iter().any(|path| text.contains(&*path.to_string_lossy()));
        if is_pod && facts::text(machine, &manifest).is_some_and(|text| reads(&text)) {
            all.push(Restart::Pod(manifest));
        }
    }
    all
}

/// As a step, to be told.
pub fn step(restart: &Restart) -> Step {
    match restart {
        Restart::Kubelet => Step::RestartKubelet,
        Restart::Pod(manifest) => Step::RestartPod { manifest: manifest.clone() },
    }
}

/// Restarts all that the journal names, one after the other, and strikes each out.
pub fn all<M: Machine>(
    session: &mut Session<'_, M>,
    wait: Duration,
    tell: &mut dyn FnMut(Event),
) -> Result<(), Failure> {
    while let Some((next, rest)) = session.journal.restarts().split_first() {
        session.check_wanted()?;
        let (next, rest) = (next.clone(), rest.to_vec());
        match &next {
            Restart::Kubelet => kubelet(session.machine, tell)?,
            Restart::Pod(manifest) => pod(session.machine, manifest, wait, tell)?,
        }
        session.journal.set_restarts(session.machine, rest)?;
        tell(Event::Done(step(&next).report()));
    }
    Ok(())
}

fn kubelet<M: Machine>(machine: &mut M, tell: &mut dyn FnMut(Event)) -> Result<(), Failure> {
    let failed = |why: &str| {
        let text = format!("cannot restart kubelet: {why}; see `journalctl -u kubelet`, then run this again");
        Failure::new(Kind::Failed, text)
    };
    match machine.run(&Program::asked("systemctl", &["restart", "kubelet.service"], KUBELET)) {
        Ok(finished) if finished.success => Ok(()),
        Ok(finished) => Err(failed(finished.complaint())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            tell(Event::Note { text: "there is no systemctl here: restart kubelet yourself".to_owned() });
            Ok(())
        }
        Err(error) => Err(failed(&error.to_string())),
    }
}

fn pod<M: Machine>(
    machine: &mut M,
    manifest: &Path,
    wait: Duration,
    tell: &mut dyn FnMut(Event),
) -> Result<(), Failure> {
    let Some(text) = facts::text(machine, manifest) else {
        // Whoever took it away since has no pod that reads old files.
        return Ok(());
    };
    let name = manifest.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let page = health_page(&text);
    let was_there = page.as_ref().map(|page| machine.health(page).is_some());
    take_out(machine, manifest)?;
    let has_ended = match &page {
        Some(page) => until(machine, wait, PAUSE, |machine| machine.health(page).is_none()),
        None => true,
    };
    machine.sleep(match was_there {
        Some(true) => SETTLE,
        Some(false) => NOTICED,
        None => ENDED,
    });
    // Whatever came of it.
    put_back(machine)?;
    if !has_ended {
        let text = format!(
            "kubelet has not ended the static pod {name} in {} s: does it run? See `systemctl status kubelet`, then run this \
             again; its manifest is where it was",
            wait.as_secs()
        );
        return Err(Failure::new(Kind::NotVerified, text));
    }
    let Some(page) = page else { return Ok(()) };
    let is_well = |status: u16| matches!(status, 200..=399 | 401 | 403);
    if until(machine, wait, PAUSE, |machine| machine.health(&page).is_some_and(is_well)) {
        return Ok(());
    }
    let place = format!("{}{}", page.address, page.path);
    if let Some(status) = machine.health(&page) {
        let text = format!(
            "{name} runs, but says that it is not well (HTTP {status} at {place}): it may need the other masters, whose \
             certificates are to be renewed as well"
        );
        tell(Event::Note { text });
        return Ok(());
    }
    let text = format!(
        "{name} does not answer at {place} in {} s; certificates are renewed, and its manifest is where it was; where other \
         masters have certificates that are over, renew those, then run this again here",
        wait.as_secs()
    );
    Err(Failure::new(Kind::NotVerified, text))
}

fn take_out<M: Machine>(machine: &mut M, manifest: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io(format_args!("take out {}", manifest.display()), &error);
    let Some(content) = facts::read(machine, manifest)? else { return Ok(()) };
    machine.make_directory(Path::new(paths::MOVED), 0o700).map_err(failed)?;
    machine
        .write(&Path::new(paths::MOVED).join(manifest.file_name().unwrap_or_default()), &content)
        .map_err(failed)?;
    machine.remove(manifest).map_err(failed)
}

/// Puts manifests back that were taken out, also by a run that was killed. One that somebody has written anew stays.
pub fn put_back<M: Machine>(machine: &mut M) -> Result<(), Failure> {
    let directory = Path::new(paths::MOVED);
    let Some(names) = machine.entries(directory) else { return Ok(()) };
    for name in names {
        let (from, to) = (directory.join(&name), Path::new(paths::MANIFESTS).join(&name));
        let failed = |error: std::io::Error| Failure::io(format_args!("put back {}", to.display()), &error);
        // What is being written has a name that begins with a dot.
        if !name.starts_with('.')
            && facts::read(machine, &to)?.is_none()
            && let Some(content) = facts::read(machine, &from)?
        {
            machine.write(&to, &content).map_err(failed)?;
        }
        machine.remove(&from).map_err(failed)?;
    }
    machine
        .remove_directory(directory)
        .map(|_| ())
        .map_err(|error| Failure::io(format_args!("tidy up {}", paths::MOVED), &error))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    http_get: Option<HttpGet>,
}

#[derive(Deserialize)]
struct HttpGet {
    #[serde(default)]
    host: Option<String>,
    path: Option<String>,
    // A name of a port is possible, and kubeadm writes none; a newer one does, beside a port of that name.
    port: PortOrName,
    scheme: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PortOrName {
    Port(u16),
    Name(String),
}

/// Where kubelet asks whether the pod lives; nothing where it asks in another way.
fn health_page(manifest: &str) -> Option<HealthPage> {
    let pod: Pod = yaml::parse(manifest.as_bytes()).ok()?;
    let probe = pod.spec.containers.into_iter().next()?.liveness_probe?;
    let get = serde_yaml::from_value::<Probe>(probe).ok()?.http_get?;
    let port = match get.port {
        PortOrName::Port(port) => port,
        PortOrName::Name(name) => name.parse().ok()?,
    };
    let host = get.host.map_or(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), |host| host.parse().ok())?;
    let tls = get.scheme.is_some_and(|scheme| scheme == "HTTPS");
    Some(HealthPage {
        address: SocketAddr::new(host, port),
        tls,
        path: get.path.unwrap_or_else(|| "/".to_owned()),
    })
}
