//! A client that keeps making new connections, one after the other, and whose fate can be watched meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::daemon::URL;
use crate::lab::Lab;

/// What a call may take.
const LIMIT: Duration = Duration::from_secs(1);

/// One connection with one request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    /// The server that answered, if one did.
    pub(super) answered_by: Option<String>,
}

/// The client at work; dropping it ends it.
pub(super) struct Caller {
    stop: Arc<AtomicBool>,
    calls: Arc<Mutex<Vec<Call>>>,
    thread: Option<JoinHandle<()>>,
}

/// How an incident looked to the client.
pub(super) struct Outage {
    pub(super) failed: usize,
    /// The longest time without success.
    pub(super) gap: Duration,
}

impl Caller {
    /// Starts it on the laboratory's node: a call each `pace`, if the one before is done.
    pub(super) fn start(lab: &Lab, pace: Duration) -> Self {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, made, client) = (stop.clone(), calls.clone(), lab.client.clone());
        let thread = lab.node().thread(move || {
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                let answered_by = client.get(URL, LIMIT).ok().map(|answer| answer.body);
                let call = Call { began, ended: Instant::now(), answered_by };
                made.lock().expect("no holder panics").push(call);
                sleep(pace.saturating_sub(began.elapsed()));
            }
        });
        Self { stop, calls, thread: Some(thread) }
    }

    /// The calls that ended after `at`.
    pub(super) fn since(&self, at: Instant) -> Vec<Call> {
        let calls = self.calls.lock().expect("no holder panics");
        calls.iter().filter(|call| call.ended >= at).cloned().collect()
    }

    /// What the client has suffered since `at`.
    pub(super) fn outage(&self, at: Instant) -> Outage {
        let calls = self.calls.lock().expect("no holder panics");
        let good = |call: &&Call| call.answered_by.is_some();
        let (before, after): (Vec<&Call>, Vec<&Call>) = calls.iter().partition(|call| call.ended < at);
        let answers =
            before.into_iter().rev().find(good).into_iter().chain(after.iter().copied().filter(good));
        let answers: Vec<Instant> = answers.map(|call| call.ended).collect();
        let gap = answers.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        Outage { failed: after.iter().filter(|call| call.answered_by.is_none()).count(), gap }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}
