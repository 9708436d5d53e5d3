//! The stock `kubeadm`, as it is on the node.

use std::time::Duration;

use crate::api::{Failure, Kind};
use crate::facts;
use crate::machine::{Machine, Program};
use crate::paths;
use crate::render::join::{Base, Join, Rendered};
use crate::spec::kubeadm::KubeadmSpec;
use crate::spec::version::KubernetesVersion;

/// How long kubeadm may take to say its version.
const ASKED: Duration = Duration::from_secs(30);

/// Which one it is (`kubeadm version -o short`).
pub fn version<M: Machine>(machine: &mut M) -> Result<KubernetesVersion, Failure> {
    let failed = |why: &str| {
        let help = "install it, or say which one it will be with --kube-version";
        Failure::new(Kind::Kubeadm, format!("cannot ask kubeadm for its version: {why}; {help}"))
    };
    let program = Program::asked("kubeadm", &["version", "--output", "short"], ASKED);
    let finished = machine.run(&program).map_err(|error| failed(&error.to_string()))?;
    if !finished.success {
        return Err(failed(finished.complaint()));
    }
    finished.stdout.trim().parse().map_err(|error: String| match finished.stderr.trim() {
        "" => failed(&error),
        said => failed(&format!("{error}; it said: {said}")),
    })
}

/// How it is to join at `endpoint`. What was said of its version must be true by the time it joins.
pub fn render<M: Machine>(
    machine: &mut M,
    asked: &KubeadmSpec,
    endpoint: String,
    joins: bool,
) -> Result<Rendered, Failure> {
    let version = match asked.version {
        Some(told) => {
            if joins
                && let Ok(there) = version(machine)
                && (told.kubeadm_api(), told.checks_manifests())
                    != (there.kubeadm_api(), there.checks_manifests())
            {
                return Err(Failure::usage(format!(
                    "--kube-version {told}, but kubeadm here is {there}, which is configured in another way; leave the \
                     option out, or install that kubeadm"
                )));
            }
            told
        }
        None => version(machine)?,
    };
    let base = asked.config.as_deref().map(|file| base(machine, file, version)).transpose()?;
    Ok(Join { base, ..Join::new(asked, endpoint) }.render(version)?)
}

/// What somebody wrote of the join.
fn base<M: Machine>(machine: &M, file: &str, version: KubernetesVersion) -> Result<Base, Failure> {
    let text = facts::read(machine, file)?;
    let bytes = text.map(|content| content.bytes).unwrap_or_default();
    let invalid = |error| Failure::new(Kind::Invalid, format!("--config {file}: {error}"));
    Base::read(&bytes, version).map_err(invalid)
}

/// What is typed to have it join.
pub fn words(asked: &KubeadmSpec, rendered: &Rendered) -> Vec<String> {
    join_words(rendered.flags.iter().cloned(), asked.verbosity)
}

/// The same, with these flags and so much said.
pub fn join_words(flags: impl IntoIterator<Item = String>, verbosity: Option<u8>) -> Vec<String> {
    let words = ["join".to_owned(), "--config".to_owned(), paths::JOIN.to_owned()];
    words.into_iter().chain(flags).chain(verbosity.map(|level| format!("--v={level}"))).collect()
}

/// Joins. Secrets are in the file alone.
pub fn join<M: Machine>(machine: &mut M, words: &[String]) -> Result<(), Failure> {
    let program = Program { name: "kubeadm", words: words.to_vec(), limit: None, input: None };
    let finished = machine.run(&program).map_err(|error| {
        Failure::new(Kind::Kubeadm, format!("cannot run kubeadm: {error}; the node stays prepared"))
    })?;
    if finished.success {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Kubeadm,
        format!(
            "kubeadm join ended with {}, see above; the node stays prepared: run this again, after `kubeadm reset` if \
             the join had begun, or take it back with `lvscare-installer node undo`",
            finished.how
        ),
    ))
}
