//! A package, and what is done with it on a host before anything else. Pure.

use std::path::Path;

use node::agent::task::{Hook, Systemctl, Task, Unit};
use node::api::package::InstallPackageRequest;
use node::api::{Change, Request};
use node::package::program::Arch;
use node::paths;
use node::spec::version::KubernetesVersion;
use node::step::Digest;

use super::Step;
use super::members::Member;
use crate::inventory::Role;

/// What was read of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Of the archive.
    pub sha256: Digest,
    /// The length of the archive in bytes.
    pub bytes: u64,
    /// The length of all files in it, in bytes.
    pub unpacked: u64,
    /// The version of Kubernetes that it is of.
    pub version: KubernetesVersion,
    /// The processor that its programs are for.
    pub arch: Option<Arch>,
    /// Its scripts that shall be run, in their order.
    pub hooks: Vec<Hook>,
}

impl Package {
    /// Whether its script brings what a host needs before the package can be used, a container runtime above all.
    pub fn has_init(&self) -> bool {
        self.hooks.contains(&Hook::Init)
    }

    /// Why a host cannot have it.
    pub fn problems(&self, member: &Member) -> Vec<String> {
        let (name, facts) = (&member.name, &member.facts);
        let mut problems = Vec::new();
        let arch = Arch::named(&facts.arch);
        if let (Some(packaged), Some(arch)) = (&self.arch, &arch)
            && packaged != arch
        {
            problems.push(format!("{name}: it is of {arch}, and the package is for {packaged}"));
        }
        // Once as it was sent, once unpacked, and once more what is installed of it.
        let needed = if self.is_on(member) { self.unpacked } else { self.bytes + 2 * self.unpacked };
        if let Some(free) = facts.free.filter(|free| *free < needed) {
            problems.push(format!(
                "{name}: the package needs {} MB below {}, and {} MB are free",
                megabytes(needed),
                paths::STATE,
                free / 1_000_000
            ));
        }
        problems
    }

    /// What is done on a host.
    pub fn steps(&self, member: &Member) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.is_on(member) {
            steps.push(Step::SendPackage { sha256: self.sha256, megabytes: megabytes(self.bytes) });
        }
        let hooks = self.hooks.iter().filter(|hook| **hook != Hook::Master || member.role == Role::Master);
        let hooks: Vec<_> =
            hooks.map(|hook| Step::Task(Task::Hook { package: self.sha256, hook: *hook })).collect();
        if !hooks.is_empty() {
            steps.push(self.install(true));
            steps.extend(hooks);
        }
        steps.push(self.install(false));
        if !member.facts.units.is_empty() {
            steps.push(Step::Task(Task::Systemctl(Systemctl::DaemonReload)));
            steps.push(Step::Task(Task::Systemctl(Systemctl::Enable(Unit::Kubelet))));
        }
        steps
    }

    fn is_on(&self, member: &Member) -> bool {
        member.facts.packages.contains(&self.sha256)
    }

    fn install(&self, unpack_only: bool) -> Step {
        Step::Run(Request::InstallPackage(InstallPackageRequest {
            archive: Path::new(paths::RECEIVED).join(self.sha256.to_string()),
            sha256: self.sha256,
            version: Some(self.version).filter(|_| !unpack_only),
            unpack_only,
            change: Change::default(),
        }))
    }
}

/// Rounded up.
fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
