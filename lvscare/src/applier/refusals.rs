//! Changes that the kernel refused: which they are, and when to try them again. Pure.
//!
//! A refused change keeps none of the others back. It is tried again ever more seldom: a scheduler that does not exist
//! makes the kernel start a program at each try.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use crate::kernel::Error;
use crate::model::Change;
use crate::retry::Retry;

/// What is refused at present.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Change, Refusal>);

#[derive(Debug)]
struct Refusal {
    retry: Retry,
    why: String,
}

impl Refusals {
    /// The kernel refused `change`. Returns that in words.
    pub(super) fn add(&mut self, change: Change, error: &Error, now: Instant) -> String {
        let why = describe(&change, error);
        let retry = Retry::after(self.0.get(&change).map(|refusal| refusal.retry), now);
        self.0.insert(change, Refusal { retry, why: why.clone() });
        why
    }

    /// Those of `changes` that are to be tried now. What is not among them is no longer wanted, and forgotten.
    pub(super) fn due(&mut self, changes: Vec<Change>, now: Instant) -> Vec<Change> {
        self.0.retain(|refused, _| changes.contains(refused));
        let waits = |change: &Change| self.0.get(change).is_some_and(|refusal| !refusal.retry.is_due(now));
        let missing: BTreeSet<SocketAddr> =
            changes.iter().filter(|change| waits(change)).filter_map(created).collect();
        // Without their virtual server they cannot be added.
        let has_place =
            |change: &Change| !matches!(change, Change::AddServer { at, .. } if missing.contains(at));
        changes.into_iter().filter(|change| !waits(change) && has_place(change)).collect()
    }

    /// Routes and addresses have changed: routes that were refused may be possible now.
    pub(super) fn retry_routes(&mut self, now: Instant) {
        for (change, refusal) in &mut self.0 {
            if matches!(change, Change::SetRoute { .. } | Change::RemoveRoute { .. }) {
                refusal.retry.hasten(now);
            }
        }
    }

    /// What is refused, in words, each once.
    pub(super) fn problems(&self) -> Vec<String> {
        let words: BTreeSet<&String> = self.0.values().map(|refusal| &refusal.why).collect();
        words.into_iter().cloned().collect()
    }
}

/// The virtual server that a change makes.
pub(super) fn created(change: &Change) -> Option<SocketAddr> {
    match change {
        Change::AddService { at, .. } => Some(*at),
        _ => None,
    }
}

/// A refusal, with what follows from it.
fn describe(change: &Change, error: &Error) -> String {
    match (change, error) {
        (Change::UpdateService { at, .. }, Error::NoScheduler(_) | Error::HangingScheduler(_)) => {
            format!("virtual server {at} keeps its scheduler: {error}")
        }
        (Change::AddService { at, .. }, Error::NoScheduler(_) | Error::HangingScheduler(_)) => {
            format!("virtual server {at} cannot be made: {error}")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Destination, Service};
    use crate::retry::SHORTEST_PAUSE;

    const AT: ([u8; 4], u16) = ([10, 103, 97, 2], 6443);

    fn add_service() -> Change {
        Change::AddService { at: AT.into(), service: Service { scheduler: "twos".into(), flags: 0 } }
    }

    fn add_server(at: ([u8; 4], u16)) -> Change {
        let server = ([10, 0, 0, 1], 6443).into();
        Change::AddServer { at: at.into(), server, destination: Destination::masqueraded(1) }
    }

    /// How many tries within these seconds, one pass a second.
    fn tries(refusals: &mut Refusals, start: Instant, seconds: std::ops::Range<u64>) -> usize {
        let mut tries = 0;
        for second in seconds {
            let now = start + Duration::from_secs(second);
            for change in refusals.due(vec![add_service()], now) {
                refusals.add(change, &Error::NoScheduler("twos".into()), now);
                tries += 1;
            }
        }
        tries
    }

    #[test]
    fn the_longer_it_is_refused_the_more_seldom_it_is_tried() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        assert_eq!(tries(&mut refusals, start, 0..1), 1);
        // After 1, 2, 4, .. 64 seconds.
        assert_eq!(tries(&mut refusals, start, 1..65), 7);
        assert_eq!(tries(&mut refusals, start, 65..65 + 3600), 60);
        let why = "virtual server 10.103.97.2:6443 cannot be made: this kernel has no IPVS scheduler `twos` and could \
                   not load it";
        assert_eq!(refusals.problems(), [why]);
    }

    #[test]
    fn what_is_no_longer_wanted_is_forgotten() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        refusals.add(add_service(), &Error::NotPermitted, now);
        assert_eq!(refusals.due(vec![], now), []);
        assert_eq!(refusals.problems(), [""; 0]);
        assert_eq!(refusals.due(vec![add_service()], now), [add_service()]);
    }

    #[test]
    fn servers_wait_for_their_virtual_server_and_nothing_else_does() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        refusals.add(add_service(), &Error::NotPermitted, now);
        let other = add_server(([10, 103, 97, 3], 6443));
        let changes = vec![add_service(), add_server(AT), other.clone()];
        assert_eq!(refusals.due(changes.clone(), now), [other]);
        assert_eq!(refusals.due(changes.clone(), now + SHORTEST_PAUSE), changes);
    }

    #[test]
    fn a_route_need_not_wait_once_something_has_changed() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let [vip, source] = [[10, 103, 97, 2], [10, 0, 0, 9]].map(Into::into);
        let route = Change::SetRoute { vip, source };
        refusals.add(route.clone(), &Error::ForeignSource(source), now);
        refusals.add(add_service(), &Error::NotPermitted, now);
        assert_eq!(refusals.due(vec![route.clone(), add_service()], now), []);
        refusals.retry_routes(now);
        assert_eq!(refusals.due(vec![route.clone(), add_service()], now), [route]);
    }
}
