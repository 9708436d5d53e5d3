//! States: gauges and counters that are read off somebody else's books when Prometheus asks.

use std::net::SocketAddr;
use std::time::Duration;

use prometheus::{CounterVec, Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use super::{CONDITIONS, Discovery, SERVER, labels};
use crate::health::pool::Mode;
use crate::health::{Condition, ServerId};
use crate::model::Traffic;

const MODES: [(&str, Mode); 4] = [
    ("normal", Mode::Normal),
    ("unready", Mode::Unready),
    ("last-resort", Mode::LastResort),
    ("empty", Mode::Empty),
];

/// Everything at one moment. Times are seconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Every configured real server.
    pub servers: Vec<Server>,
    /// Every configured virtual server.
    pub services: Vec<Service>,
    /// Every virtual server whose masters are learned.
    pub discoveries: Vec<Discovery>,
    /// When the kernel was last compared with what should be there.
    pub last_pass: f64,
    /// What could not be done.
    pub problems: usize,
    /// How many configurations have been in force.
    pub generation: u64,
    /// The name of the present one.
    pub hash: String,
    /// How many were refused.
    pub reload_failures: u64,
    /// Whether the latest was not.
    pub reload_succeeded: bool,
}

/// One real server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Which one.
    pub id: ServerId,
    /// What it is taken for.
    pub condition: Condition,
    /// Since when.
    pub since: f64,
    /// Its weight; `None`: it is not in the table.
    pub weight: Option<u32>,
    /// Established connections.
    pub active: u32,
    /// Other connections.
    pub inactive: u32,
    /// When its certificate ends.
    pub certificate_expiry: Option<u64>,
    /// Whether an administrator has taken it out of service.
    pub drained: bool,
}

/// One virtual server.
#[derive(Clone, Debug)]
pub struct Service {
    /// Which one.
    pub at: SocketAddr,
    /// Who serves, and why.
    pub mode: Mode,
    /// What the kernel has counted since the virtual server was made.
    pub traffic: Traffic,
    /// How long nobody was healthy.
    pub all_down: Duration,
    /// Whether its route is there.
    pub route: bool,
    /// Whether the latest probe through it succeeded, if there was one.
    pub self_probe: Option<bool>,
}

/// Where a snapshot is put.
#[derive(Debug)]
pub(super) struct State {
    up: GaugeVec,
    condition: GaugeVec,
    weight: GaugeVec,
    drained: GaugeVec,
    active: GaugeVec,
    inactive: GaugeVec,
    last_change: GaugeVec,
    certificate_expiry: GaugeVec,
    mode: GaugeVec,
    traffic: [IntCounterVec; 5],
    all_down: CounterVec,
    self_probe: GaugeVec,
    route: GaugeVec,
    last_pass: Gauge,
    problems: Gauge,
    generation: Gauge,
    config: GaugeVec,
    reload_failures: IntCounter,
    reload_succeeded: Gauge,
}

impl State {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let vec = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counters = |name: &str, help: &str| {
            let vec = IntCounterVec::new(Opts::new(name, help), &SERVER[..1])?;
            registry.register(Box::new(vec.clone()))?;
            Ok::<_, prometheus::Error>(vec)
        };
        let service = &SERVER[..1];
        gauges("lvscare_build_info", "The version of this program.", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        let all_down = CounterVec::new(
            Opts::new(
                "lvscare_virtual_server_all_down_seconds_total",
                "How long, since start, no real server was healthy.",
            ),
            service,
        )?;
        registry.register(Box::new(all_down.clone()))?;
        let reload_failures =
            IntCounter::new("lvscare_config_reload_failures_total", "Configurations that were refused.")?;
        registry.register(Box::new(reload_failures.clone()))?;
        Ok(Self {
            up: gauges("lvscare_real_server_up", "Whether a real server is alive.", &SERVER)?,
            condition: gauges(
                "lvscare_real_server_condition",
                "What a real server is taken for: 1 for that, 0 for the others.",
                &[SERVER[0], SERVER[1], "condition"],
            )?,
            weight: gauges(
                "lvscare_real_server_weight",
                "The weight in the kernel's table; -1: it is not there.",
                &SERVER,
            )?,
            drained: gauges(
                "lvscare_real_server_drained",
                "Whether an administrator has taken a real server out of service.",
                &SERVER,
            )?,
            active: gauges(
                "lvscare_real_server_active_connections",
                "Established connections of this node.",
                &SERVER,
            )?,
            inactive: gauges(
                "lvscare_real_server_inactive_connections",
                "Connections of this node that are being opened or closed.",
                &SERVER,
            )?,
            last_change: gauges(
                "lvscare_real_server_last_change_timestamp_seconds",
                "When a real server's condition last changed.",
                &SERVER,
            )?,
            certificate_expiry: gauges(
                "lvscare_real_server_certificate_expiry_timestamp_seconds",
                "When a real server's certificate ends.",
                &SERVER,
            )?,
            mode: gauges(
                "lvscare_virtual_server_mode",
                "Who serves: 1 for the present mode, 0 for the others.",
                &[SERVER[0], "mode"],
            )?,
            traffic: [
                counters("lvscare_virtual_server_connections_total", "Connections that were scheduled.")?,
                counters("lvscare_virtual_server_incoming_packets_total", "Packets from clients.")?,
                counters("lvscare_virtual_server_outgoing_packets_total", "Packets to clients.")?,
                counters("lvscare_virtual_server_incoming_bytes_total", "Bytes from clients.")?,
                counters("lvscare_virtual_server_outgoing_bytes_total", "Bytes to clients.")?,
            ],
            all_down,
            self_probe: gauges(
                "lvscare_self_probe_success",
                "Whether the latest probe through the virtual server succeeded.",
                service,
            )?,
            route: gauges("lvscare_route_present", "Whether the local route is there.", service)?,
            last_pass: gauge(
                "lvscare_last_reconcile_timestamp_seconds",
                "When the kernel was last compared with what should be there.",
            )?,
            problems: gauge("lvscare_problems", "What could not be done; `lvscare status` names it.")?,
            generation: gauge("lvscare_config_generation", "Configurations that have been in force.")?,
            config: gauges("lvscare_config_info", "The name of the configuration in force.", &["hash"])?,
            reload_succeeded: gauge(
                "lvscare_config_last_reload_success",
                "Whether the latest configuration was accepted.",
            )?,
            reload_failures,
        })
    }

    pub(super) fn set(&self, snapshot: &Snapshot) {
        self.reset();
        let truth = |truth: bool| if truth { 1.0 } else { 0.0 };
        for server in &snapshot.servers {
            let [at, address] = labels(server.id);
            let set = |gauges: &GaugeVec, value: f64| gauges.with_label_values(&[&at, &address]).set(value);
            set(&self.up, truth(server.condition == Condition::Alive));
            set(&self.weight, server.weight.map_or(-1.0, f64::from));
            set(&self.drained, truth(server.drained));
            set(&self.active, server.active.into());
            set(&self.inactive, server.inactive.into());
            set(&self.last_change, server.since);
            if let Some(expiry) = server.certificate_expiry {
                #[expect(clippy::cast_precision_loss, reason = "the year 9999 is far below 2^52")]
                set(&self.certificate_expiry, expiry as f64);
            }
            for condition in CONDITIONS {
                let labels = [at.as_str(), &address, &condition.to_string()];
                self.condition.with_label_values(&labels).set(truth(condition == server.condition));
            }
        }
        for service in &snapshot.services {
            let at = service.at.to_string();
            for (name, mode) in MODES {
                self.mode.with_label_values(&[at.as_str(), name]).set(truth(mode == service.mode));
            }
            let Traffic { connections, packets_in, packets_out, bytes_in, bytes_out } = service.traffic;
            let counts = [connections, packets_in, packets_out, bytes_in, bytes_out];
            for (counters, count) in self.traffic.iter().zip(counts) {
                counters.with_label_values(&[&at]).inc_by(count);
            }
            self.all_down.with_label_values(&[&at]).inc_by(service.all_down.as_secs_f64());
            self.route.with_label_values(&[&at]).set(truth(service.route));
            if let Some(success) = service.self_probe {
                self.self_probe.with_label_values(&[&at]).set(truth(success));
            }
        }
        self.last_pass.set(snapshot.last_pass);
        #[expect(clippy::cast_precision_loss, reason = "counts of what people do stay far below 2^52")]
        let [problems, generation] = [snapshot.problems as f64, snapshot.generation as f64];
        self.problems.set(problems);
        self.generation.set(generation);
        self.config.with_label_values(&[&snapshot.hash]).set(1.0);
        self.reload_failures.inc_by(snapshot.reload_failures);
        self.reload_succeeded.set(truth(snapshot.reload_succeeded));
    }

    /// Forgets the last snapshot.
    fn reset(&self) {
        let gauges =
            [&self.up, &self.condition, &self.weight, &self.active, &self.inactive, &self.last_change];
        let more = [
            &self.certificate_expiry,
            &self.drained,
            &self.mode,
            &self.self_probe,
            &self.route,
            &self.config,
        ];
        gauges.into_iter().chain(more).for_each(prometheus::core::MetricVec::reset);
        self.traffic.iter().for_each(prometheus::core::MetricVec::reset);
        self.all_down.reset();
        self.reload_failures.reset();
    }
}
