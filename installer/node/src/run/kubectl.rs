//! What a master's own `kubectl` is asked and told of the cluster, on behalf of a controller.
//!
//! None of it is in the journal: it changes the cluster and not the machine.

use std::time::Duration;

use der::DateTime;

use crate::api::{Changed, ClusterRequest, Event, Failure, Outcome, StepReport};
use crate::facts::kubectl::{self, kubectl};
use crate::machine::{Finished, Machine};
use crate::spec::credentials::Token;
use crate::spec::secret::Secret;

/// How long the apiserver may take for one change.
const CHANGES: Duration = Duration::from_secs(60);

/// Beyond its own limit, `kubectl drain` needs time to say so.
const MARGIN: Duration = Duration::from_secs(30);

/// Answers the request.
pub fn run<M: Machine>(
    machine: &mut M,
    request: &ClusterRequest,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    let (kind, text, finished) = match request {
        ClusterRequest::Nodes => return Ok(Outcome::Nodes { nodes: kubectl::nodes(machine)? }),
        ClusterRequest::AddToken { token, lives } => {
            let expires = expires(machine.unix_time(), *lives)?;
            let manifest = token_secret(token, &expires);
            let words = ["apply", "--request-timeout=50s", "-f", "-"];
            let finished = kubectl(machine, &words, CHANGES, Some(manifest))?;
            ("add-token", format!("the token {}.*** may join until {expires}", token.id()), finished)
        }
        ClusterRequest::RemoveToken { id } => {
            // Whoever joins next is given new ones of both.
            let token = format!("bootstrap-token-{id}");
            let words = [
                "delete",
                "secret",
                "--namespace=kube-system",
                "--ignore-not-found",
                &token,
                "kubeadm-certs",
            ];
            let finished = kubectl(machine, &words, CHANGES, None)?;
            ("remove-token", format!("the token {id}.*** may join no more"), finished)
        }
        ClusterRequest::Drain { node, limit } => {
            let finished = drain(machine, node, *limit)?;
            ("drain", format!("{node} has no pod left that could be elsewhere"), finished)
        }
        ClusterRequest::DeleteNode { node } => {
            let words = ["delete", "node", "--ignore-not-found", "--", node];
            let finished = kubectl(machine, &words, CHANGES, None)?;
            ("delete-node", format!("{node} is no node of the cluster any more"), finished)
        }
    };
    // Idempotent commands say nothing where there was nothing to do.
    let changed = !finished.stdout.trim().is_empty() && !finished.stdout.contains("unchanged");
    let step = StepReport { kind: kind.to_owned(), text, diff: None };
    if changed {
        tell(Event::Done(step.clone()));
    }
    let steps = if changed { vec![step] } else { Vec::new() };
    Ok(Outcome::Changed(Changed { changed, steps, ..Changed::default() }))
}

/// The option that lets pods go whose volumes end with them has had another name since 1.20.
fn drain<M: Machine>(machine: &mut M, node: &str, limit: Duration) -> Result<Finished, Failure> {
    let timeout = format!("--timeout={}s", limit.as_secs());
    let mut with = |option| {
        let words = ["drain", "--ignore-daemonsets", "--force", option, &timeout, "--", node];
        kubectl(machine, &words, limit + MARGIN, None)
    };
    match with("--delete-emptydir-data") {
        Err(failure) if failure.message.contains("unknown flag") => with("--delete-local-data"),
        drained => drained,
    }
}

/// So much later than `now`, since 1970, as Kubernetes writes it (RFC 3339).
fn expires(now: Duration, lives: Duration) -> Result<String, Failure> {
    let time = now.checked_add(lives).map(DateTime::from_unix_duration);
    match time {
        Some(Ok(time)) => Ok(time.to_string()),
        _ => Err(Failure::usage(format!("a token cannot live for {} s from now on", lives.as_secs()))),
    }
}

/// A bootstrap token, as the apiserver keeps it
/// (<https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#bootstrap-token-secret-format>).
fn token_secret(token: &Token, expires: &str) -> Secret {
    let (id, secret) = token.reveal().split_once('.').unwrap_or_default();
    let manifest = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": { "name": format!("bootstrap-token-{id}"), "namespace": "kube-system" },
        "stringData": {
            "token-id": id,
            "token-secret": secret,
            "expiration": expires,
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": crate::render::init::JOINERS,
            "description": "made by lvscare-installer for one run",
        },
    });
    manifest.to_string().into()
}
