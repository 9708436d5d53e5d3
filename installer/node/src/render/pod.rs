//! The static pod that guards the node's rules once kubelet runs. Pure.
//!
//! [`EXAMPLE`] is the pod, as a file that anybody can use without the installer. Rendering reads it and changes what
//! differs from node to node: image, arguments, where the daemon answers, and the files that it reads.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use lvscare::config::Config;
use ring::digest::{SHA256, digest};

use super::yaml;
use crate::api::{Failure, Kind};
use crate::spec::image::{ImageError, check_image};

mod wire;

#[cfg(test)]
mod tests;

use wire::{Container, HostPath, Manifest, Probe, Volume, VolumeMount};

/// The pod for the cluster of the documentation.
pub const EXAMPLE: &str = include_str!("../../../../manifests/static-pod.yaml");

/// By this one sees, in the API as well, which manifest a pod was made from.
const HASH: &str = "lvscare/spec-hash";

/// Of kubelet's kubeconfig, the client certificate lies here, and is renewed by a new file and a link.
const KUBELET_PKI: &str = "/var/lib/kubelet/pki";

/// What differs from node to node.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    /// The image, with a tag or a digest.
    pub image: &'a str,
    /// What the daemon is told, `care` and its options.
    pub arguments: &'a [String],
    /// What that means.
    pub config: &'a Config,
}

/// Why there is no pod.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image must not be used.
    #[error("{0}")]
    Image(#[from] ImageError),
    /// A file that the daemon reads has no place in the pod.
    #[error("{0}: the pod has another working directory; give the whole path, beginning with /")]
    Relative(PathBuf),
    /// The example is not a pod; a test sees to it that it is.
    #[error("manifests/static-pod.yaml: {0}")]
    Example(#[from] serde_yaml::Error),
    /// The manifest on the node is not one of ours.
    #[error("the manifest is not as this installer writes it: {0}; put the masters into it by hand (--rs)")]
    Foreign(serde_yaml::Error),
    /// It runs more than the daemon.
    #[error("the manifest has more than one container; put the masters into it by hand (--rs)")]
    Containers,
    /// It cannot be printed.
    #[error("cannot print the static pod: {0}")]
    Print(#[from] serde_json::Error),
}

/// The manifest; the same bytes for the same pod.
pub fn render(pod: &Pod<'_>) -> Result<String, Error> {
    check_image(pod.image)?;
    let mut manifest: Manifest = serde_yaml::from_str(EXAMPLE)?;
    let volumes = volumes(pod.config)?;
    for container in &mut manifest.spec.containers {
        pod.image.clone_into(&mut container.image);
        pod.arguments.clone_into(&mut container.args);
        container.volume_mounts = volumes.iter().map(mount).collect();
        answer_at(container, pod.config.listen);
    }
    manifest.spec.volumes = volumes.into_iter().map(|(volume, _)| volume).collect();
    manifest.metadata.annotations = scrape(pod.config.listen);
    print(manifest, EXAMPLE)
}

/// What a manifest of ours runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The image.
    pub image: String,
    /// What the daemon is told.
    pub arguments: Vec<String>,
}

/// Reads a manifest of ours; what somebody has added to it is not understood.
pub fn read(text: &str) -> Result<Seen, Error> {
    let manifest: Manifest = serde_yaml::from_str(text).map_err(Error::Foreign)?;
    match <[Container; 1]>::try_from(manifest.spec.containers) {
        Ok([container]) => Ok(Seen { image: container.image, arguments: container.args }),
        Err(_) => Err(Error::Containers),
    }
}

/// The same manifest with other arguments for the daemon, which change nothing but what it is told.
pub fn with_arguments(text: &str, arguments: &[String]) -> Result<String, Error> {
    let mut manifest: Manifest = serde_yaml::from_str(text).map_err(Error::Foreign)?;
    for container in &mut manifest.spec.containers {
        arguments.clone_into(&mut container.args);
    }
    print(manifest, text)
}

/// Prints a manifest with its hash, below the comment of `template`.
fn print(mut manifest: Manifest, template: &str) -> Result<String, Error> {
    manifest.metadata.annotations.remove(HASH);
    let hash = digest(&SHA256, yaml::print(&manifest)?.as_bytes());
    let hash = hash.as_ref().first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    manifest.metadata.annotations.insert(HASH.to_owned(), format!("{hash:016x}"));
    let header = template.lines().take_while(|line| line.starts_with('#'));
    let header: String = header.flat_map(|line| [line, "\n"]).collect();
    Ok(header + &yaml::print(&manifest)?)
}

/// Kubelet's probes go to where the daemon listens.
fn answer_at(container: &mut Container, listen: Option<SocketAddr>) {
    for probe in [&mut container.liveness_probe, &mut container.readiness_probe] {
        match (listen, probe.as_mut()) {
            (Some(listen), Some(Probe { http_get, .. })) => {
                http_get.host = reached(listen.ip()).to_string();
                http_get.port = listen.port();
            }
            _ => *probe = None,
        }
    }
}

/// Who listens on every address is asked at loopback.
fn reached(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// What Prometheus' usual configuration looks for. At loopback it would find nobody.
fn scrape(listen: Option<SocketAddr>) -> BTreeMap<String, String> {
    let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback()) else { return [].into() };
    [("path", "/metrics".to_owned()), ("port", listen.port().to_string()), ("scrape", "true".to_owned())]
        .map(|(name, value)| (format!("prometheus.io/{name}"), value))
        .into()
}

/// The files that the daemon reads, and no more: beside a master's authority lies its key.
fn volumes(config: &Config) -> Result<Vec<(Volume, bool)>, Error> {
    let mut volumes: Vec<(Volume, bool)> = Vec::new();
    let mut add = |path: &Path, kind: &str, read_only: bool| {
        if !path.is_absolute() {
            return Err(Error::Relative(path.to_owned()));
        }
        if volumes.iter().all(|(volume, _)| volume.host_path.path != path) {
            let host_path = HostPath { path: path.to_owned(), kind: kind.to_owned() };
            volumes.push((Volume { host_path, name: format!("host-{}", volumes.len()) }, read_only));
        }
        Ok(())
    };
    for service in &config.services {
        if let Some(file) = &service.probe.ca_file {
            // kubelet waits for it: before the join there is none.
            add(file, "File", true)?;
        }
        // These are renewed by new files, which only their directory shows.
        let identity = service.probe.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        for file in identity.chain(&service.probe.token_file) {
            add(file.parent().unwrap_or(file), "Directory", true)?;
        }
        if let Some(file) = &service.kubeconfig {
            add(file, "File", true)?;
            add(Path::new(KUBELET_PKI), "Directory", true)?;
            if let Some(directory) = &config.state_dir {
                add(directory, "DirectoryOrCreate", false)?;
            }
        }
    }
    if let Some(directory) = &config.state_dir {
        // Whom an administrator drains on the node stands there.
        add(directory, "DirectoryOrCreate", true)?;
    }
    Ok(volumes)
}

fn mount((volume, read_only): &(Volume, bool)) -> VolumeMount {
    VolumeMount {
        mount_path: volume.host_path.path.clone(),
        name: volume.name.clone(),
        read_only: *read_only,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Image(_) | Error::Relative(_) => Kind::Usage,
            Error::Foreign(_) | Error::Containers => Kind::Foreign,
            Error::Example(_) | Error::Print(_) => Kind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}
