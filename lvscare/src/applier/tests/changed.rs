//! The configuration changes while the daemon runs.

use super::*;
use crate::config::Config;

pub(super) const OTHER: &str = "10.103.97.3:5000";
pub(super) const REGISTRY: &str = "10.0.0.7:5000";

/// The usual configuration with these real servers of the usual virtual server.
pub(super) fn with_servers(servers: &[&str]) -> Config {
    let mut config = config();
    let server = |server: &&str| RealServer { address: addr(server), weight: 1 };
    config.services[0].servers = servers.iter().map(server).collect();
    config
}

pub(super) fn with_registry() -> Config {
    let mut config = config();
    let mut registry = config.services[0].clone();
    registry.at = addr(OTHER);
    registry.servers = vec![RealServer { address: addr(REGISTRY), weight: 1 }];
    config.services.push(registry);
    config
}

impl Node {
    /// Another configuration is in force; of its servers the health table says what it said, and of new ones this.
    pub(super) fn reconfigure(&mut self, config: Config, new: Condition) {
        let verdict = Verdict { verified: true, ..Verdict::presumed(new, self.now) };
        let old = std::mem::take(&mut self.health_table);
        for service in &config.services {
            for server in &service.servers {
                let id = ServerId { service: service.at, server: server.address };
                let state =
                    ServerState { verdict: verdict.clone(), last_probe: None, certificate_expiry: None };
                self.health_table.insert(id, old.get(&id).cloned().unwrap_or(state));
            }
        }
        self.applier.set(active(config), self.now);
    }
}

#[test]
fn a_removed_server_finishes_what_it_has() {
    let mut node = Node::settled();
    node.ours().destinations.get_mut(&addr(SERVERS[0])).unwrap().active = 2;
    node.reconfigure(with_servers(&SERVERS[1..]), Condition::Alive);
    let applied = node.pass();
    assert_eq!(node.take_changes(), ["update real server 10.0.0.1:6443 weight 0 of 10.103.97.2:6443"]);
    assert_eq!(applied.repairs, 0, "it was us");
    node.pass();
    assert_eq!(node.take_changes(), [""; 0]);

    node.ours().destinations.get_mut(&addr(SERVERS[0])).unwrap().active = 0;
    node.pass();
    assert_eq!(node.take_changes(), ["remove real server 10.0.0.1:6443 from 10.103.97.2:6443"]);
    node.pass();
    assert!(node.applier.handover.leaving.is_empty());
}

/// A daemon that starts with other servers than the one before had treats those alike.
#[test]
fn a_restart_with_other_servers_is_no_different() {
    let mut before = Node::settled();
    before.ours().destinations.get_mut(&addr(SERVERS[0])).unwrap().active = 2;
    let mut after = Node::with(with_servers(&SERVERS[1..]));
    *after.state() = before.state().clone();
    let applied = after.pass();
    assert_eq!(after.take_changes(), ["update real server 10.0.0.1:6443 weight 0 of 10.103.97.2:6443"]);
    assert_eq!(applied.repairs, 0);
    after.ours().destinations.get_mut(&addr(SERVERS[0])).unwrap().active = 0;
    after.now += Duration::from_secs(10);
    after.pass();
    assert_eq!(after.take_changes(), ["remove real server 10.0.0.1:6443 from 10.103.97.2:6443"]);
}

/// But not for ever.
#[test]
fn a_removed_server_is_cut_off_in_the_end() {
    let mut node = Node::settled();
    node.ours().destinations.get_mut(&addr(SERVERS[0])).unwrap().active = 2;
    let client = addr("10.0.0.9:40000");
    node.kernel().clients.insert((addr(AT), addr(SERVERS[0])), vec![client]);
    node.reconfigure(with_servers(&SERVERS[1..]), Condition::Alive);
    node.pass();
    node.now += Duration::from_secs(31);
    node.take_changes();
    node.pass();
    assert_eq!(node.take_changes(), ["remove real server 10.0.0.1:6443 from 10.103.97.2:6443"]);
    assert_eq!(node.kernel().cut, [(addr(AT), client)]);
}

/// All masters are replaced: the old ones serve until one of the new ones is alive.
#[test]
fn the_table_is_never_empty_between_two_configurations() {
    let mut node = Node::settled();
    node.reconfigure(with_servers(&["10.0.0.8:6443"]), Condition::Dead);
    for _ in 0..60 {
        node.pass();
        let serving = node.weights().into_iter().filter(|(_, weight)| *weight > 0).count();
        assert_eq!(serving, 3);
    }
    let new = node.health_table.values_mut().next().unwrap();
    new.verdict.condition = Condition::Alive;
    node.take_changes();
    node.pass();
    let serving: Vec<_> = node.weights().into_iter().filter(|(_, weight)| *weight > 0).collect();
    assert_eq!(serving, [("10.0.0.8:6443".to_owned(), 1)]);
}

#[test]
fn a_server_that_is_wanted_again_comes_back() {
    let mut node = Node::settled();
    node.ours().destinations.get_mut(&addr(SERVERS[0])).unwrap().active = 2;
    node.reconfigure(with_servers(&SERVERS[1..]), Condition::Alive);
    node.pass();
    node.reconfigure(config(), Condition::Alive);
    node.take_changes();
    node.pass();
    assert_eq!(node.take_changes(), ["update real server 10.0.0.1:6443 weight 1 of 10.103.97.2:6443"]);
}

#[test]
fn virtual_servers_come_and_go() {
    let mut node = Node::settled();
    node.reconfigure(with_registry(), Condition::Alive);
    node.pass();
    assert_eq!(
        node.take_changes(),
        [
            "add virtual server 10.103.97.3:5000 scheduler rr",
            "add real server 10.0.0.7:5000 weight 1 to 10.103.97.3:5000",
            "set route local 10.103.97.3 dev lo src 10.0.0.9",
        ]
    );
    let before = node.state().clone();

    node.reconfigure(config(), Condition::Alive);
    let applied = node.pass();
    assert_eq!(
        node.take_changes(),
        ["remove virtual server 10.103.97.3:5000", "remove route local 10.103.97.3"]
    );
    assert_eq!(applied.repairs, 0);
    assert!(!node.state().services.contains_key(&addr(OTHER)));
    node.pass();
    assert!(node.applier.handover.retired.is_empty());
    // Whoever makes one there now is none of our business.
    let foreign = before.services[&addr(OTHER)].clone();
    node.state().services.insert(addr(OTHER), foreign);
    node.pass();
    assert_eq!(node.take_changes(), [""; 0]);
}

/// Whoever makes a virtual server at an address that we have left need not wait for us to have no other trouble.
#[test]
fn an_address_that_was_left_is_nobodys_business_whatever_else_is_refused() {
    let mut node = Node::settled();
    node.reconfigure(with_registry(), Condition::Alive);
    node.pass();
    let made = node.state().services[&addr(OTHER)].clone();
    // Read-only, as in a pod.
    node.state().sysctls.insert(Sysctl::ExpireNodestConn, 0);
    node.refuse(usize::MAX, |change| {
        let source = std::io::ErrorKind::ReadOnlyFilesystem;
        matches!(change, Change::SetSysctl { .. })
            .then(|| Error::File { path: "/proc/sys".into(), source: source.into() })
    });
    node.reconfigure(config(), Condition::Alive);
    assert_eq!(node.pass().problems, ["/proc/sys: read-only filesystem or storage medium"]);
    assert!(!node.state().services.contains_key(&addr(OTHER)));
    node.state().services.insert(addr(OTHER), made.clone());
    for _ in 0..100 {
        node.pass();
        assert_eq!(node.state().services.get(&addr(OTHER)), Some(&made));
    }
}

/// What stays of ours at an address that was left does not make a foreign virtual server there ours.
#[test]
fn a_route_that_cannot_be_removed_does_not_claim_the_address() {
    let mut node = Node::settled();
    node.reconfigure(with_registry(), Condition::Alive);
    node.pass();
    let made = node.state().services[&addr(OTHER)].clone();
    node.refuse(usize::MAX, |change| {
        matches!(change, Change::RemoveRoute { .. }).then(|| Error::Raced(change.to_string()))
    });
    node.reconfigure(config(), Condition::Alive);
    node.pass();
    node.state().services.insert(addr(OTHER), made.clone());
    for _ in 0..100 {
        node.pass();
        assert_eq!(node.state().services.get(&addr(OTHER)), Some(&made));
    }
    node.refuse(0, |_| None);
    node.pass();
    assert!(
        !node.state().routes.contains_key(&addr(OTHER).ip()),
        "but the route is ours, and goes when it can"
    );
}

/// A virtual server that joins is as one that is found at the start: who serves there finishes what he has.
#[test]
fn a_virtual_server_that_joins_is_adopted() {
    let mut node = Node::settled();
    let mut found = foreign_service();
    let stranger = addr("10.0.0.99:5000");
    let destination = Destination::masqueraded(1);
    found.destinations =
        BTreeMap::from([(stranger, SeenDestination { destination, active: 4, inactive: 0 })]);
    node.state().services.insert(addr(OTHER), found);
    node.reconfigure(with_registry(), Condition::Alive);
    node.pass();
    let weight = |node: &mut Node| {
        let seen = node.state().services[&addr(OTHER)].destinations.get(&stranger).copied();
        seen.map(|seen| seen.destination.weight)
    };
    assert_eq!(weight(&mut node), Some(0), "it drains");
    node.state().services.get_mut(&addr(OTHER)).unwrap().destinations.get_mut(&stranger).unwrap().active = 0;
    node.now += Duration::from_secs(2);
    node.pass();
    assert_eq!(weight(&mut node), None);
}

/// An administrator's own virtual server is taken over, at the start or when it joins: what he loses is told for a while.
#[test]
fn what_is_taken_over_is_told() {
    let mut node = Node::new();
    node.state().services.insert(addr(AT), foreign_service());
    let told = |applied: &Applied| {
        let is_it = |note: &String| {
            note.contains("taken over") && note.contains("wlc") && note.contains("10.244.0.7:8443")
        };
        applied.notes.iter().filter(|note| is_it(note)).count()
    };
    assert_eq!(told(&node.pass()), 1);
    node.state().services.insert(addr(OTHER), foreign_service());
    node.reconfigure(with_registry(), Condition::Alive);
    assert_eq!(told(&node.pass()), 2);
    node.now += handover::TAKEOVER_SHOWN;
    assert_eq!(told(&node.pass()), 0);

    // What a daemon before has left is ours, whatever it was told.
    let left = node.state().clone();
    let mut after = Node::with(with_servers(&SERVERS[1..]));
    *after.state() = left;
    assert_eq!(after.pass().notes, [""; 0]);
}

/// Two virtual servers share an address; when one goes the route stays.
#[test]
fn a_shared_route_stays() {
    let mut config = with_registry();
    config.services[1].at = addr("10.103.97.2:5000");
    let mut node = Node::settled();
    node.reconfigure(config, Condition::Alive);
    node.pass();
    node.take_changes();
    node.reconfigure(super::config(), Condition::Alive);
    node.pass();
    assert_eq!(node.take_changes(), ["remove virtual server 10.103.97.2:5000"]);
}
