//! What a checker makes of reports; time is passed in.

use super::*;
use crate::config::tests::config;
use crate::health::{Phase, ServerState};

const SILENT: Failure = Failure::TimedOut(Phase::Connect);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A checker of a server that is alive, beside another one that is, and the health table into which it writes.
fn checker() -> (Checker, SocketAddr, watch::Receiver<HealthTable>) {
    let config = config("--rs 10.0.0.1:6443,10.0.0.2:6443 --health-scheme http").unwrap();
    let service = &config.services[0];
    let id = ServerId { service: service.at, server: service.servers[0].address };
    let other = service.servers[1].address;
    let verdict = Verdict { verified: true, ..Verdict::presumed(Condition::Alive, Instant::now()) };
    let state = ServerState { verdict, last_probe: None, certificate_expiry: None };
    let health_table = watch::Sender::new(HealthTable::from([(id, state)]));
    let mut peers = Peers::default();
    peers.is_this_node = |_| false;
    let peers = Arc::new(peers);
    peers.join(other, true);
    let settings = Arc::new(Settings::new(&service.probe).unwrap());
    let reader = health_table.subscribe();
    let checker = Checker::new(id, service.policy, settings, health_table, peers, Metrics::new().unwrap());
    (Checker { is_hop_known: |_| true, ..checker }, other, reader)
}

fn report(failure: Failure, confirmations: u32, redialled: Option<Instant>) -> Report {
    let (outcome, took, silence) = (Outcome::Failed(failure), millis(250), Duration::ZERO);
    Report { outcome, took, silence, confirmations, redialled }
}

/// The kernel gives a held connection up, others are asked at once, and the server is dialled in vain. Each line: when
/// another one has answered what it was asked then, whether the next hop was known before and after, and whether the
/// first that the applier hears of it is both that the server gets no new connections and that its open ones are cut.
#[test]
fn a_vanished_host_loses_its_weight_and_its_clients_at_once() {
    for (answered, hop_was_known, hop_is_known, at_once) in [
        (Some(5), true, true, true),
        // None was heard, or not before the last time that the server was dialled.
        (None, true, true, false),
        (Some(200), true, true, false),
        // This node's own link was away, and its neighbours are being looked for.
        (Some(5), false, true, false),
        (Some(5), true, false, false),
    ] {
        let (mut checker, other, mut health_table) = checker();
        let began = Instant::now();
        let end = began + millis(250);
        checker.hop_was_known = hop_was_known;
        checker.is_hop_known = if hop_is_known { |_| true } else { |_| false };
        if let Some(answered) = answered {
            let (began, ended) = (began + millis(1), began + millis(answered));
            checker.peers.ended(other, Some(Answer { began, ended, anew: false }));
        }
        health_table.borrow_and_update();
        checker.take_in(report(SILENT, 2, Some(began + millis(166))), began, false, false, end);
        assert!(health_table.has_changed().unwrap());
        let verdict = health_table.borrow_and_update()[&checker.id].verdict.clone();
        assert_eq!(verdict.condition, Condition::Dead);
        assert_eq!(verdict.confirmed, at_once, "{answered:?} {hop_was_known} {hop_is_known}");
    }
}

/// On a node without processor time every other question ends late, and yet a host that has vanished is found lost.
#[test]
fn a_late_question_takes_nothing_back() {
    let (mut checker, other, health_table) = checker();
    let start = Instant::now();
    let mut lost = None;
    for round in 0..10 {
        let began = start + millis(round * 4000);
        let end = began + millis(3000);
        let is_dead = checker.machine.verdict().condition == Condition::Dead;
        if let Some(trial) = checker.trial.as_mut().filter(|_| is_dead) {
            trial.retry(began);
        }
        let failure = if round % 2 == 0 { Failure::Unacknowledged } else { Failure::Late };
        let (asked, ended) = (began + millis(100), began + millis(200));
        checker.peers.ended(other, Some(Answer { began: asked, ended, anew: false }));
        checker.take_in(report(failure, 1, None), began, false, true, end);
        if health_table.borrow()[&checker.id].verdict.confirmed {
            lost.get_or_insert(round);
        }
    }
    // Dead by two that were in time, asked once more, and once more in time.
    assert_eq!(lost, Some(4));
}
