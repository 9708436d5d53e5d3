//! The programs and images of a package on this machine: what is there already stays, what was there before is kept.

use std::path::{Path, PathBuf};

use super::file::{install_steps, write_steps};
use super::image::Importer;
use super::session::Session;
use super::{kubeadm, reports};
use crate::api::package::InstallPackageRequest;
use crate::api::{Changed, Event, Failure, Kind, Outcome};
use crate::facts::{self, host};
use crate::journal::Original;
use crate::machine::Machine;
use crate::package::read::is_images;
use crate::package::verify::PROGRAMS;
use crate::paths;
use crate::render::kubelet;
use crate::step::{Content, Step};

/// Where programs are looked for, the first of them first, and where one goes that is nowhere.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const USUAL: &str = "/usr/bin";

/// Where units are looked for (`systemd.unit(5)`), the first of them first; those of administrators, and ours, are there.
const UNITS: [&str; 4] = [
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Answers the request.
pub fn run<M: Machine>(
    machine: &mut M,
    request: &InstallPackageRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let mut session = Session::open(machine, "pkg install", tell)?;
    let done = install(&mut session, request, tell);
    session.close()?;
    Ok(Outcome::Changed(done?))
}

fn install<M: Machine>(
    session: &mut Session<'_, M>,
    request: &InstallPackageRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Changed, Failure> {
    let top = paths::package(request.sha256);
    let planned = request.change.dry_run;
    let mut all = Vec::new();
    if session.machine.entries(&top).is_none() {
        let step = Step::UnpackPackage { archive: request.archive.clone(), sha256: request.sha256 };
        all.push(step.clone());
        if planned {
            let note = "what more there is to do is known when it is unpacked".to_owned();
            let notes = if request.unpack_only { Vec::new() } else { vec![note] };
            return Ok(Changed { changed: true, planned, steps: reports(&all), notes, ..Changed::default() });
        }
        session.perform_files(&[step], tell)?;
    }
    if !request.unpack_only {
        let steps = plan(session, &top)?;
        if !planned {
            session.perform_files(&steps, tell)?;
            verify(session.machine, request)?;
        }
        all.extend(steps);
    }
    Ok(Changed { changed: !all.is_empty(), planned, steps: reports(&all), ..Changed::default() })
}

/// All that is missing; what cannot be done is refused before anything is.
fn plan<M: Machine>(session: &mut Session<'_, M>, top: &Path) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    let mut kubelet = PathBuf::new();
    for name in PROGRAMS {
        let from = top.join("bin").join(name);
        let Some(digest) = facts::digest(session.machine, &from)? else {
            return Err(Failure::new(
                Kind::Image,
                format!("the package has no bin/{name}; nothing of it was installed"),
            ));
        };
        let is_there =
            |directory: &&&str| session.machine.place(&Path::new(directory).join(name)).length.is_some();
        let place = Path::new(PATH.iter().find(is_there).unwrap_or(&USUAL)).join(name);
        steps.extend(install_steps(session, &from, &digest, &place, 0o755)?);
        if name == "kubelet" {
            kubelet = place;
        }
    }
    for (name, packaged, own) in [
        ("kubelet.service", "conf/kubelet.service", kubelet::unit as fn(&Path) -> String),
        ("kubelet.service.d/10-kubeadm.conf", "conf/10-kubeadm.conf", kubelet::drop_in),
    ] {
        let text = match facts::read(session.machine, top.join(packaged))? {
            Some(content) => content.bytes,
            None => own(&kubelet).into_bytes(),
        };
        steps.extend(unit(session, name, &Content::new(text, 0o644))?);
    }
    steps.extend(images(session, top)?);
    let mut made = Vec::new();
    steps.retain(|step| {
        let is_new = !matches!(step, Step::MakeDirectory { .. }) || !made.contains(step);
        made.push(step.clone());
        is_new
    });
    Ok(steps)
}

/// A unit that somebody else has put there stays.
fn unit<M: Machine>(session: &Session<'_, M>, name: &str, after: &Content) -> Result<Vec<Step>, Failure> {
    let [here, elsewhere @ ..] = UNITS.map(|directory| Path::new(directory).join(name));
    let is_ours = session
        .journal
        .originals()
        .iter()
        .any(|original| matches!(original, Original::File { path, .. } if *path == here));
    let is_there = |path: &PathBuf| session.machine.place(path).length.is_some();
    if !is_ours && (is_there(&here) || elsewhere.iter().any(is_there)) {
        return Ok(Vec::new());
    }
    write_steps(session, &here, after, false)
}

fn images<M: Machine>(session: &mut Session<'_, M>, top: &Path) -> Result<Vec<Step>, Failure> {
    let names = session.machine.entries(&top.join("images")).unwrap_or_default();
    let archives: Vec<_> =
        names.iter().map(|name| format!("images/{name}")).filter(|path| is_images(path)).collect();
    if archives.is_empty() {
        return Ok(Vec::new());
    }
    let Some(importer) = Importer::find(session.machine, &host::RUNTIMES) else {
        let text = "no client of a container runtime can import the package's images (ctr, nerdctl, podman or docker, and \
                    the runtime at work); nothing of it was installed";
        return Err(Failure::new(Kind::Image, text));
    };
    let mut steps = Vec::new();
    for archive in archives {
        let archive = top.join(archive);
        let found = session.machine.images_in(&archive);
        let found = found.map_err(|error| {
            Failure::new(Kind::Image, format!("{}: {error}; nothing was installed", archive.display()))
        })?;
        let images: Vec<_> = found.into_iter().map(|image| image.name).collect();
        if importer.lacks(session.machine, &images).is_none_or(|lacking| !lacking.is_empty()) {
            steps.push(Step::ImportImages { archive, images });
        }
    }
    session.importer = Some(importer);
    Ok(steps)
}

/// The program itself says which version it is.
fn verify<M: Machine>(machine: &mut M, request: &InstallPackageRequest) -> Result<(), Failure> {
    let Some(wanted) = request.version else { return Ok(()) };
    let found = kubeadm::version(machine)?;
    if found == wanted {
        return Ok(());
    }
    let text = format!(
        "kubeadm says that it is {found}, not {wanted}, after it was installed; another one may come first in PATH; \
         `lvscare-installer node undo` puts back what was there"
    );
    Err(Failure::new(Kind::NotVerified, text))
}
