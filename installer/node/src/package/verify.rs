//! What is wrong with a package. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::SUMS;
use super::program::Arch;
use super::read::Package;
use crate::spec::version::KubernetesVersion;

/// What every node needs.
pub const PROGRAMS: [&str; 3] = ["kubeadm", "kubectl", "kubelet"];

/// Images that have the version of Kubernetes as their tag, and those that have one of their own.
const OF_KUBERNETES: [&str; 4] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
const OTHERS: [&str; 3] = ["pause", "etcd", "coredns"];

/// What a package shall be for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Which version of Kubernetes.
    pub version: Option<KubernetesVersion>,
    /// Which processors.
    pub arch: Option<Arch>,
}

/// What is to be said of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The version of Kubernetes that it is of, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<KubernetesVersion>,
    /// The processor that its programs are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Why it cannot be used.
    pub problems: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Says all that is wrong.
pub fn verify(package: &Package, wanted: &Wanted) -> Verdict {
    let mut verdict = Verdict::default();
    programs(package, wanted, &mut verdict);
    sums(package, &mut verdict);
    version(package, wanted, &mut verdict);
    images(package, &mut verdict);
    verdict
}

fn programs(package: &Package, wanted: &Wanted, verdict: &mut Verdict) {
    let mut archs = BTreeSet::new();
    for name in PROGRAMS {
        let path = format!("bin/{name}");
        match package.files.get(&path) {
            None => verdict.problems.push(format!("{path} is not in it")),
            Some(facts) => match &facts.arch {
                None => verdict.problems.push(format!("{path} is no program for Linux")),
                Some(arch) => {
                    archs.insert(arch.clone());
                    if let Some(other) = wanted.arch.as_ref().filter(|wanted| *wanted != arch) {
                        verdict.problems.push(format!("{path} is for {arch}, not for {other}"));
                    }
                }
            },
        }
    }
    if archs.len() > 1 {
        let names: Vec<_> = archs.iter().map(ToString::to_string).collect();
        verdict.problems.push(format!("its programs are for different processors: {}", names.join(", ")));
    }
    verdict.arch = archs.into_iter().next();
}

fn sums(package: &Package, verdict: &mut Verdict) {
    let sums = match &package.sums {
        None => {
            verdict.notes.push(format!("{SUMS} is not in it: what happened to a file cannot be told"));
            return;
        }
        Some(Err(why)) => {
            verdict.problems.push(format!("{SUMS}: {why}"));
            return;
        }
        Some(Ok(sums)) => sums,
    };
    for (path, facts) in &package.files {
        match sums.get(path) {
            None => verdict.problems.push(format!("{path} is not in {SUMS}")),
            Some(said) if *said != facts.sha256 => {
                verdict.problems.push(format!("{path} has the SHA-256 {}, {SUMS} says {said}", facts.sha256));
            }
            Some(_) => {}
        }
    }
    let missing = sums.keys().filter(|path| !package.files.contains_key(*path));
    verdict.problems.extend(missing.map(|path| format!("{path} is in {SUMS} only")));
}

fn version(package: &Package, wanted: &Wanted, verdict: &mut Verdict) {
    let versions = package.versions();
    let Some((first, who)) = versions.first() else {
        verdict.notes.push("it does not say of which version of Kubernetes it is".to_owned());
        return;
    };
    verdict.version = Some(*first);
    for (other, whose) in versions.iter().filter(|(other, _)| other != first) {
        verdict.problems.push(format!("{who} is of {first}, {whose} of {other}"));
    }
    if let Some(wanted) = wanted.version.filter(|wanted| wanted != first) {
        verdict.problems.push(format!("it is of Kubernetes {first} ({who}), not of {wanted}"));
    }
}

fn images(package: &Package, verdict: &mut Verdict) {
    for (path, found) in &package.images {
        if let Err(why) = found {
            verdict.problems.push(format!("{path}: {why}"));
        }
    }
    if package.images.is_empty() {
        verdict.problems.push("there is no archive of images in images/".to_owned());
        return;
    }
    let has = |name: &str, tag: Option<&str>| {
        package.all_images().any(|image| {
            let last = image.name.rsplit('/').next().unwrap_or_default();
            let (known, known_tag) = last.split_once(':').unwrap_or((last, ""));
            known == name && tag.is_none_or(|tag| tag == known_tag)
        })
    };
    if let Some(version) = verdict.version {
        let tag = version.to_string();
        let missing = OF_KUBERNETES.iter().filter(|name| !has(name, Some(&tag)));
        verdict.problems.extend(missing.map(|name| format!("there is no image {name}:{tag} in images/")));
    } else {
        let missing = OF_KUBERNETES.iter().filter(|name| !has(name, None));
        verdict.problems.extend(missing.map(|name| format!("there is no image {name} in images/")));
    }
    let missing = OTHERS.iter().filter(|name| !has(name, None));
    verdict.problems.extend(missing.map(|name| format!("there is no image {name} in images/")));
    if let Some(arch) = &verdict.arch {
        for image in package.all_images() {
            if let Some(other) = image.arch.as_ref().filter(|other| *other != arch) {
                verdict.problems.push(format!("the image {} is for {other}, not for {arch}", image.name));
            }
        }
    }
    if !has("lvscare", None) {
        verdict.notes.push("there is no image of lvscare in it: nodes have to get it elsewhere".to_owned());
    }
}
