//! Clients that keep making new connections while a test breaks things, and what became of each.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::netns::Namespace;

/// Between two connections of one client, so that clients leave some processor to the servers.
const PAUSE: Duration = Duration::from_millis(5);

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Sample>>>,
}

/// One attempt.
#[derive(Debug)]
pub struct Sample {
    /// When it began.
    pub began: Instant,
    /// How long it took, whatever came of it.
    pub took: Duration,
    /// The name of the server that answered, or why none did.
    pub outcome: io::Result<String>,
}

/// All attempts, in the order in which they began.
#[derive(Debug)]
pub struct Report {
    /// The attempts.
    pub samples: Vec<Sample>,
}

impl Load {
    /// Starts so many clients inside `namespace`, each giving an attempt `limit`.
    pub fn start(namespace: &Namespace, client: &Client, url: &str, clients: usize, limit: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |_| {
            let (stop, client, url) = (stop.clone(), client.clone(), url.to_owned());
            namespace
                .thread(move || attempt_until(&stop, || client.get(&url, limit).map(|answer| answer.body)))
        };
        let clients = (0..clients).map(start).collect();
        Self { stop, clients }
    }

    /// Lets the clients finish their last attempts and collects everything.
    pub fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let results = self.clients.into_iter().map(|client| client.join().expect("clients do not panic"));
        let mut samples: Vec<Sample> = results.flatten().collect();
        samples.sort_by_key(|sample| sample.began);
        Report { samples }
    }
}

fn attempt_until(stop: &AtomicBool, attempt: impl Fn() -> io::Result<String>) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let outcome = attempt();
        samples.push(Sample { began, took: began.elapsed(), outcome });
        sleep(PAUSE);
    }
    samples
}

impl Report {
    /// The attempts that failed.
    pub fn failures(&self) -> Vec<&Sample> {
        self.samples.iter().filter(|sample| sample.outcome.is_err()).collect()
    }

    /// How many attempts each server answered.
    pub fn answered_by(&self) -> BTreeMap<&str, usize> {
        let mut servers = BTreeMap::new();
        for server in self.samples.iter().filter_map(|sample| sample.outcome.as_deref().ok()) {
            *servers.entry(server).or_default() += 1;
        }
        servers
    }

    /// The longest time between two answers: how long an outage looked to these clients.
    pub fn longest_gap(&self) -> Duration {
        let good = self.samples.iter().filter(|sample| sample.outcome.is_ok());
        let mut answered: Vec<Instant> = good.map(|sample| sample.began + sample.took).collect();
        answered.sort();
        answered.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}
