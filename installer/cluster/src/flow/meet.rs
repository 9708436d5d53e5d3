//! Hosts of which nothing is recorded: a person is shown the keys of all of them, and asked once.

use std::net::SocketAddr;
use std::thread::Builder;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Error, Way};
use crate::runner::{self, Ended, Stop};
use crate::transport;
use crate::transport::known_hosts::HostName;
use crate::transport::policy::{Fingerprint, Policy, Untrusted};
use crate::transport::ssh::Ssh;

/// A host that nobody knows, and the key that it has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// As `known_hosts` calls it.
    pub host: HostName,
    /// The type of its key.
    pub algorithm: String,
    /// Its key.
    pub fingerprint: Fingerprint,
    blob: Vec<u8>,
}

/// Whether these are the hosts that are meant, as a person says.
pub type Question = fn(&[Unknown]) -> bool;

/// Has a person answer, on a thread of its own: hosts that are spoken with are not kept waiting, and who asks to stop is
/// heard. `None`: so it was.
pub(super) async fn answer(
    question: impl FnOnce() -> bool + Send + 'static,
    stop: &mut Stop,
) -> Result<Option<bool>, Error> {
    let (told, answer) = oneshot::channel();
    // Who stops does not wait for it, and it ends with the process.
    Builder::new().name("question".into()).spawn(move || told.send(question()))?;
    Ok(tokio::select! {
        answer = answer => answer.ok(),
        () = stop.asked() => None,
    })
}

impl Way {
    /// Records those of these hosts that nobody knows, if a person says that they are the right ones. What cannot be
    /// reached or read is not told here: whoever connects to it will.
    pub(super) async fn meet(
        &self,
        hosts: impl Iterator<Item = SocketAddr>,
        stop: &mut Stop,
    ) -> Result<(), Error> {
        let Some(question) = self.question else { return Ok(()) };
        let is_unknown = |at: &SocketAddr| {
            self.host_keys.known(&HostName::new(*at)).is_ok_and(|known| known.keys.is_empty())
        };
        let jobs = hosts.filter(is_unknown).map(|at| {
            let way = self.clone();
            async move { way.shown(at).await }
        });
        let mut unknown = Vec::new();
        runner::run(jobs, stop.clone(), Duration::ZERO, |event| {
            if let runner::Event::Ended(place, Ended::Done(Some(shown))) = event {
                unknown.push((place, shown));
            }
        })
        .await;
        unknown.sort_by_key(|(place, _)| *place);
        let unknown: Vec<_> = unknown.into_iter().map(|(_, shown)| shown).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let asked = unknown.clone();
        match answer(move || question(&asked), stop).await? {
            Some(true) => {}
            Some(false) => return Err(Error::NotAccepted),
            None => return Err(Error::Stopped),
        }
        for Unknown { host, algorithm, blob, .. } in unknown {
            // One that somebody else has recorded meanwhile is judged by that.
            let _ = self.host_keys.record(&host, &algorithm, &blob).await.map_err(Error::Record)?;
        }
        Ok(())
    }

    /// The key of a host, if nobody knows it. Nobody logs in.
    async fn shown(&self, at: SocketAddr) -> Option<Unknown> {
        match Ssh::check(at, &Policy::Strict, &self.host_keys, self.bastion.as_ref()).await {
            Err(transport::Error::HostKey {
                host,
                why: Untrusted::Unknown { algorithm, fingerprint, blob },
            }) => Some(Unknown { host, algorithm, fingerprint, blob }),
            _ => None,
        }
    }
}
