//! One pass after another against a kernel in memory, in which others have a hand as well.

mod changed;
mod refused;
mod troubled;

use std::net::IpAddr;

use super::*;
use crate::config::{Config, Policy, ProbeConfig, ServiceConfig, value::RealServer};
use crate::drain::Drained;
use crate::health::{Condition, HealthTable, ServerId, ServerState, Verdict};
use crate::kernel::fake::Fake;
use crate::metrics::Metrics;
use crate::model::{Destination, Forwarding, RouteOwner, SeenDestination, SeenRoute, SeenService};
use crate::model::{Service, Services, Sysctl, Traffic};
use troubled::Troubled;

const AT: &str = "10.103.97.2:6443";
const VIP: &str = "10.103.97.2";
const SERVERS: [&str; 3] = ["10.0.0.1:6443", "10.0.0.2:6443", "10.0.0.3:6443"];
const FOREIGN: &str = "10.96.0.1:443";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn config() -> Config {
    let second = Duration::from_secs(1);
    let servers = SERVERS.map(|server| RealServer { address: addr(server), weight: 1 });
    Config {
        services: vec![ServiceConfig {
            at: addr(AT),
            scheduler: "rr".parse().unwrap(),
            servers: servers.to_vec(),
            kubeconfig: None,
            policy: Policy { interval: second, fast_interval: second, fall: 2, rise: 2 },
            probe: ProbeConfig {
                scheme: crate::config::value::Scheme::Https,
                health_path: "/healthz".into(),
                ready_path: None,
                accepted: BTreeSet::new(),
                connect_timeout: second,
                timeout: second,
                ca_file: None,
                server_name: "kubernetes".into(),
                identity: None,
                token_file: None,
            },
        }],
        node_ip: None,
        prefer_local: false,
        resync: second,
        drain_timeout: Duration::from_secs(30),
        listen: None,
        state_dir: None,
    }
}

fn active(config: Config) -> Arc<ActiveConfig> {
    Arc::new(ActiveConfig { config, settings: BTreeMap::new(), drained: Drained::default() })
}

/// A guard, its kernel, and what the checkers say.
struct Node {
    applier: Applier<Troubled>,
    health_table: HealthTable,
    now: Instant,
}

impl Node {
    /// A kernel without anything of ours, and checkers that presume every server alive.
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: Config) -> Self {
        let now = Instant::now();
        let mut fake = Fake { source: Some(ip("10.0.0.9")), ..Fake::default() };
        fake.state.sysctls.insert(Sysctl::ExpireNodestConn, 0);
        fake.state.services.insert(addr(FOREIGN), foreign_service());
        fake.state.routes.insert(ip("10.96.0.1"), SeenRoute { source: None, owner: RouteOwner::Foreign });
        let verdict = Verdict::presumed(Condition::Alive, now);
        let state = |server| {
            (
                ServerId { service: addr(AT), server: addr(server) },
                ServerState { verdict: verdict.clone(), last_probe: None, certificate_expiry: None },
            )
        };
        let health_table = SERVERS.into_iter().map(state).collect();
        let applier = Applier::new(Troubled::new(fake), active(config), Metrics::new().unwrap());
        Self { applier, health_table, now }
    }

    /// One that has done its first pass.
    fn settled() -> Self {
        let mut node = Self::new();
        node.pass();
        node.take_changes();
        node
    }

    fn kernel(&mut self) -> &mut Fake {
        &mut self.applier.kernel.fake
    }

    fn state(&mut self) -> &mut Actual {
        &mut self.kernel().state
    }

    fn ours(&mut self) -> &mut SeenService {
        self.state().services.get_mut(&addr(AT)).expect("our virtual server")
    }

    /// The checker of the server with this index has made up its mind.
    fn judge(&mut self, index: usize, condition: Condition, certain: bool) {
        let state =
            self.health_table.get_mut(&ServerId { service: addr(AT), server: addr(SERVERS[index]) }).unwrap();
        state.verdict = Verdict {
            verified: true,
            certain,
            confirmed: condition == Condition::Dead,
            ..Verdict::presumed(condition, self.now)
        };
    }

    /// One pass, a second later.
    fn pass(&mut self) -> Applied {
        self.now += Duration::from_secs(1);
        // Meanwhile every checker has asked again, and has found the same.
        self.health_table.values_mut().for_each(|state| state.verdict.seen = self.now);
        self.applier.pass(&self.health_table, self.now).expect("a pass")
    }

    /// What was asked of the kernel since this was called last.
    fn take_changes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.kernel().changes).iter().map(ToString::to_string).collect()
    }

    /// The servers in our virtual server with their weights.
    fn weights(&mut self) -> Vec<(String, u32)> {
        let services = &self.state().services;
        let destinations = services.get(&addr(AT)).into_iter().flat_map(|seen| &seen.destinations);
        destinations.map(|(server, seen)| (server.to_string(), seen.destination.weight)).collect()
    }

    fn assert_all_serve(&mut self) {
        assert_eq!(self.weights(), SERVERS.map(|server| (server.to_owned(), 1)));
    }
}

fn foreign_service() -> SeenService {
    let destination = Destination { weight: 5, forwarding: Forwarding::Other(3), upper_threshold: 9 };
    let seen = SeenDestination { destination, active: 4, inactive: 2 };
    SeenService {
        service: Service { scheduler: "wlc".into(), flags: 1 },
        destinations: BTreeMap::from([(addr("10.244.0.7:8443"), seen)]),
        traffic: Traffic::default(),
    }
}

#[test]
fn first_pass_builds_everything() {
    let mut node = Node::new();
    let applied = node.pass();
    assert_eq!(
        node.take_changes(),
        [
            "add virtual server 10.103.97.2:6443 scheduler rr",
            "add real server 10.0.0.1:6443 weight 1 to 10.103.97.2:6443",
            "add real server 10.0.0.2:6443 weight 1 to 10.103.97.2:6443",
            "add real server 10.0.0.3:6443 weight 1 to 10.103.97.2:6443",
            "set net.ipv4.vs.expire_nodest_conn = 1",
            "set route local 10.103.97.2 dev lo src 10.0.0.9",
        ]
    );
    assert_eq!(applied.modes, BTreeMap::from([(addr(AT), Mode::Normal)]));
    assert_eq!(applied.actual.services.keys().copied().collect::<Vec<_>>(), [addr(AT)]);
    assert_eq!((applied.repairs, applied.problems), (0, vec![]));
}

#[test]
fn second_pass_changes_nothing() {
    let mut node = Node::settled();
    let applied = node.pass();
    assert_eq!(node.take_changes(), [""; 0]);
    assert_eq!(applied.repairs, 0);
    assert_eq!(applied.time, node.now);
}

/// What a restart of kube-proxy in nftables mode does.
#[test]
fn flush_is_repaired_in_one_pass() {
    let mut node = Node::settled();
    node.state().services.clear();
    let applied = node.pass();
    node.assert_all_serve();
    assert_eq!(applied.repairs, 4);
    assert_eq!(node.pass().repairs, 4);
}

/// Only those who are alive come back, and those who had to go are nobody's damage.
#[test]
fn flush_together_with_a_verdict() {
    let mut node = Node::settled();
    node.judge(0, Condition::Sick, false);
    assert_eq!(node.pass().repairs, 0);
    node.state().services.clear();
    node.judge(1, Condition::Dead, true);
    let applied = node.pass();
    assert_eq!(node.weights(), [("10.0.0.3:6443".to_owned(), 1)]);
    assert_eq!(applied.repairs, 2, "the virtual server and the one that is alive");
}

#[test]
fn each_damage_is_repaired() {
    type Damage = (fn(&mut Node), &'static str);
    let damages: [Damage; 9] = [
        (
            |node| node.ours().destinations.values_mut().next().unwrap().destination.weight = 0,
            "update real server 10.0.0.1:6443 weight 1 of 10.103.97.2:6443",
        ),
        (
            |node| {
                let forwarding = Forwarding::Other(3);
                node.ours().destinations.values_mut().next().unwrap().destination.forwarding = forwarding;
            },
            "update real server 10.0.0.1:6443 weight 1 of 10.103.97.2:6443",
        ),
        (
            |node| _ = node.ours().destinations.remove(&addr(SERVERS[1])),
            "add real server 10.0.0.2:6443 weight 1 to 10.103.97.2:6443",
        ),
        (
            |node| node.ours().destinations.extend(foreign_service().destinations),
            "remove real server 10.244.0.7:8443 from 10.103.97.2:6443",
        ),
        (
            |node| node.ours().service.scheduler = "sh".into(),
            "update virtual server 10.103.97.2:6443 scheduler rr",
        ),
        (|node| node.ours().service.flags = 1, "update virtual server 10.103.97.2:6443 scheduler rr"),
        (|node| _ = node.state().routes.remove(&ip(VIP)), "set route local 10.103.97.2 dev lo src 10.0.0.9"),
        (
            |node| {
                let route = SeenRoute { source: Some(ip("10.9.9.9")), owner: RouteOwner::Foreign };
                node.state().routes.insert(ip(VIP), route);
            },
            "set route local 10.103.97.2 dev lo src 10.0.0.9",
        ),
        (
            |node| _ = node.state().sysctls.insert(Sysctl::ExpireNodestConn, 0),
            "set net.ipv4.vs.expire_nodest_conn = 1",
        ),
    ];
    for (damage, repair) in damages {
        let mut node = Node::settled();
        let whole = node.state().clone();
        damage(&mut node);
        node.now += environment::MAX_AGE;
        let applied = node.pass();
        assert_eq!(node.take_changes(), [repair]);
        assert_eq!(*node.state(), whole);
        assert_eq!(applied.repairs, 1, "{repair}");
    }
}

/// What surrounds the table is read when the kernel tells of a change, together with any repair, and now and then.
#[test]
fn surroundings_are_read_less_often() {
    type Cause = fn(&mut Node);
    let causes: [(Cause, usize); 4] = [
        (|_| {}, 0),
        (|node| node.applier.environment.expire(), 1),
        (|node| node.now += environment::MAX_AGE, 1),
        (|node| node.state().services.clear(), 5),
    ];
    for (cause, changes) in causes {
        let mut node = Node::settled();
        node.state().sysctls.insert(Sysctl::ExpireNodestConn, 0);
        cause(&mut node);
        node.pass();
        assert_eq!(node.take_changes().len(), changes);
    }
}

#[test]
fn a_verdict_is_no_repair() {
    let mut node = Node::settled();
    node.judge(0, Condition::Dead, false);
    node.judge(1, Condition::Draining, false);
    let applied = node.pass();
    assert_eq!(node.weights(), [("10.0.0.2:6443".to_owned(), 0), ("10.0.0.3:6443".to_owned(), 1)]);
    assert_eq!(applied.repairs, 0);

    for index in 0..2 {
        node.judge(index, Condition::Alive, false);
    }
    let applied = node.pass();
    node.assert_all_serve();
    assert_eq!(applied.repairs, 0);
}

#[test]
fn all_down_for_certain_is_refused_at_once() {
    let mut node = Node::settled();
    for index in 0..3 {
        node.judge(index, Condition::Dead, true);
    }
    let applied = node.pass();
    assert_eq!(
        node.take_changes(),
        [
            "update real server 10.0.0.1:6443 weight 0 of 10.103.97.2:6443",
            "update real server 10.0.0.2:6443 weight 0 of 10.103.97.2:6443",
            "update real server 10.0.0.3:6443 weight 0 of 10.103.97.2:6443",
            "remove virtual server 10.103.97.2:6443",
        ]
    );
    assert_eq!(applied.modes[&addr(AT)], Mode::Empty);
    assert!(applied.actual.services.is_empty());
    assert!(applied.actual.routes.contains_key(&ip(VIP)), "without the route nobody would refuse");
    node.pass();
    assert_eq!(node.take_changes(), [""; 0]);

    node.judge(2, Condition::Alive, false);
    let applied = node.pass();
    assert_eq!(node.weights(), [("10.0.0.3:6443".to_owned(), 1)]);
    assert_eq!((applied.modes[&addr(AT)], applied.repairs), (Mode::Normal, 0));
}

/// The node's own connections to whoever leaves the table are cut, and no others.
#[test]
fn connections_to_removed_servers_are_cut() {
    let mut node = Node::settled();
    let clients = ["10.0.0.9:40001", "10.0.0.9:40002", "10.0.0.9:40003"].map(addr);
    for (server, client) in SERVERS.into_iter().zip(clients) {
        node.kernel().clients.insert((addr(AT), addr(server)), vec![client]);
        node.ours().destinations.get_mut(&addr(server)).unwrap().active = 1;
    }
    node.judge(0, Condition::Dead, false);
    node.judge(1, Condition::Sick, false);
    node.pass();
    assert_eq!(node.kernel().cut, [(addr(AT), clients[0])]);
    let of_the_dead = node.take_changes().into_iter().filter(|change| change.contains(SERVERS[0]));
    assert_eq!(
        of_the_dead.collect::<Vec<_>>(),
        [
            // It takes a while to find out whom to cut.
            "update real server 10.0.0.1:6443 weight 0 of 10.103.97.2:6443",
            "remove real server 10.0.0.1:6443 from 10.103.97.2:6443",
        ]
    );
    node.now += Duration::from_secs(30);
    node.pass();
    assert_eq!(node.kernel().cut, [(addr(AT), clients[0]), (addr(AT), clients[1])]);
    assert_eq!(node.weights(), [("10.0.0.3:6443".to_owned(), 1)]);
}

/// The node's own apiserver serves alone and dies: at no moment has nobody weight.
#[test]
fn standbys_have_weight_before_the_dead_one_loses_it() {
    let mut node = Node::with(Config { prefer_local: true, ..config() });
    node.kernel().own = BTreeSet::from([ip("10.0.0.9"), ip("10.0.0.1")]);
    node.pass();
    assert_eq!(node.weights().into_iter().map(|(_, weight)| weight).collect::<Vec<_>>(), [1, 0, 0]);
    node.take_changes();
    node.judge(0, Condition::Dead, true);
    node.pass();
    assert_eq!(
        node.take_changes(),
        [
            "update real server 10.0.0.2:6443 weight 1 of 10.103.97.2:6443",
            "update real server 10.0.0.3:6443 weight 1 of 10.103.97.2:6443",
            "update real server 10.0.0.1:6443 weight 0 of 10.103.97.2:6443",
            "remove real server 10.0.0.1:6443 from 10.103.97.2:6443",
        ]
    );
}
