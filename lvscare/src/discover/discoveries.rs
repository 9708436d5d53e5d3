//! All discoveries: one task per virtual server whose masters are learned, as the configuration says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::membership::Health;
use super::{Found, Settings, Source, initial, run};
use crate::config::Config;
use crate::health::Condition;
use crate::health::{HealthTable, ServerId};
use crate::metrics::Metrics;

/// How often the API is asked; masters change seldom.
const INTERVAL: Duration = Duration::from_secs(30);

/// The tasks and what they found.
pub struct Discoveries {
    metrics: Metrics,
    running: BTreeMap<SocketAddr, Running>,
    tasks: JoinSet<()>,
    news: Arc<Notify>,
}

struct Running {
    settings: Settings,
    found: watch::Sender<Found>,
    /// Nothing before the first [`Discoveries::start`].
    tasks: Vec<AbortHandle>,
}

impl Discoveries {
    /// None yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, running: BTreeMap::new(), tasks: JoinSet::new(), news: Arc::default() }
    }

    /// Makes the discoveries those of `config`: what is known of new ones is what the disk says, or the configuration.
    pub fn set(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.running);
        for service in &config.services {
            let Some(kubeconfig) = service.kubeconfig.clone() else { continue };
            let settings = Settings {
                at: service.at,
                configured: service.servers.iter().map(|server| server.address).collect(),
                kubeconfig,
                server_name: service.probe.server_name.clone(),
                store: config.state_dir.as_ref().map(|directory| directory.join(file_name(service.at))),
                interval: INTERVAL,
            };
            let running = match before.remove(&service.at) {
                Some(running) if running.settings == settings => running,
                // What the API has said stays; the next task goes on from there.
                Some(mut running) => {
                    running.tasks.drain(..).for_each(|task| task.abort());
                    running.found.send_if_modified(|found| {
                        let learned = found.source == Source::Api;
                        if !learned {
                            *found = initial(&settings);
                        }
                        !learned
                    });
                    Running { settings, found: running.found.clone(), tasks: Vec::new() }
                }
                None => {
                    Running { found: watch::Sender::new(initial(&settings)), settings, tasks: Vec::new() }
                }
            };
            self.running.insert(service.at, running);
        }
        before.into_values().flat_map(|running| running.tasks).for_each(|task| task.abort());
        // Whatever has ended since the last time is forgotten.
        while self.tasks.try_join_next().is_some() {}
    }

    /// Starts what is not running yet; `health_table` tells who is alive.
    pub fn start(&mut self, health_table: &watch::Receiver<HealthTable>) {
        for (&at, running) in self.running.iter_mut().filter(|(_, running)| running.tasks.is_empty()) {
            let health = move |health_table: &HealthTable, server| match health_table
                .get(&ServerId { service: at, server })
            {
                Some(state) if state.verdict.verified => match state.verdict.condition {
                    Condition::Alive => Health::Alive,
                    _ => Health::NotAlive,
                },
                _ => Health::Unknown,
            };
            let (settings, found) = (running.settings.clone(), running.found.clone());
            let discovery = run(settings, health_table.clone(), health, found, self.metrics.clone());
            let mut found = running.found.subscribe();
            let news = self.news.clone();
            let messenger = async move {
                while found.changed().await.is_ok() {
                    news.notify_one();
                }
            };
            running.tasks = vec![self.tasks.spawn(discovery), self.tasks.spawn(messenger)];
        }
    }

    /// Waits until something was found. Cancel-safe.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// What is known, by virtual server.
    pub fn found(&self) -> BTreeMap<SocketAddr, Found> {
        self.running.iter().map(|(&at, running)| (at, running.found.borrow().clone())).collect()
    }
}

/// A name without characters that some file system dislikes.
fn file_name(at: SocketAddr) -> String {
    let name: String =
        at.to_string().chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    format!("masters-{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    /// A reload a day for years.
    #[tokio::test]
    async fn tasks_that_have_ended_are_forgotten() {
        let mut discoveries = Discoveries::new(Metrics::new().unwrap());
        let health_table = watch::Sender::new(HealthTable::new()).subscribe();
        for number in 1..=50 {
            let options = format!("--rs 10.0.0.{number}:6443 --kubeconfig /nowhere --state-dir none");
            discoveries.set(&config(&options).unwrap());
            discoveries.start(&health_table);
            // Those that were aborted end when it is their turn.
            tokio::task::yield_now().await;
            assert_eq!(discoveries.found().len(), 1);
        }
        assert!(discoveries.tasks.len() <= 4, "{}", discoveries.tasks.len());
    }

    /// Somebody has corrected the list, and the API has never answered.
    #[test]
    fn other_settings_replace_what_the_api_has_not_said() {
        let mut discoveries = Discoveries::new(Metrics::new().unwrap());
        for number in 1..=2 {
            let options = format!("--rs 10.0.0.{number}:6443 --kubeconfig /nowhere --state-dir none");
            discoveries.set(&config(&options).unwrap());
            let found = discoveries.found().into_values().next().unwrap();
            let configured = [SocketAddr::from(([10, 0, 0, number], 6443))];
            assert_eq!((&found.servers[..], found.source), (&configured[..], Source::Configured));
        }
    }
}
