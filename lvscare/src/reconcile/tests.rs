//! Each difference and the change it asks for; the order of several; then any differences at all.

mod properties;

use std::net::IpAddr;

use super::*;
use crate::model::{Forwarding, SeenRoute, SeenService, Service, Sysctl, Traffic};
use crate::survey::Survey;

const AT: &str = "10.103.97.2:6443";
const VIP: &str = "10.103.97.2";
const SOURCE: &str = "10.0.0.9";
const FIRST: &str = "10.0.0.1:6443";
const SECOND: &str = "10.0.0.2:6443";
const THIRD: &str = "10.0.0.3:6443";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn service(scheduler: &str) -> Service {
    Service { scheduler: scheduler.to_owned(), flags: 0 }
}

fn seen(destination: Destination) -> SeenDestination {
    SeenDestination { destination, active: 7, inactive: 3 }
}

/// Round robin over these servers, at their weights.
fn wanted(servers: &[(&str, u32)]) -> Desired {
    let destinations =
        servers.iter().map(|&(server, weight)| (addr(server), Destination::masqueraded(weight)));
    let service = WantedService { service: service("rr"), destinations: destinations.collect() };
    Desired {
        services: BTreeMap::from([(addr(AT), Some(service))]),
        routes: BTreeMap::from([(ip(VIP), Some(ip(SOURCE)))]),
        sysctls: BTreeMap::from([(Sysctl::ExpireNodestConn, 1)]),
    }
}

/// The kernel when `wanted(servers)` is reached, with connections.
fn reached(servers: &[(&str, u32)]) -> Actual {
    let destinations =
        servers.iter().map(|&(server, weight)| (addr(server), seen(Destination::masqueraded(weight))));
    let service = SeenService {
        service: service("rr"),
        destinations: destinations.collect(),
        traffic: Traffic::default(),
    };
    let route = SeenRoute { source: Some(ip(SOURCE)), owner: RouteOwner::Ours };
    Actual {
        services: BTreeMap::from([(addr(AT), service)]),
        routes: BTreeMap::from([(ip(VIP), route)]),
        sysctls: BTreeMap::from([(Sysctl::ExpireNodestConn, 1)]),
    }
}

/// The changes as `--run-once` prints them.
fn steps(desired: &Desired, actual: &Actual) -> Vec<String> {
    plan(desired, actual).iter().map(ToString::to_string).collect()
}

const BOTH: [(&str, u32); 2] = [(FIRST, 1), (SECOND, 1)];

#[test]
fn nothing_to_do() {
    assert_eq!(plan(&wanted(&BOTH), &reached(&BOTH)), []);
    assert_eq!(plan(&Desired::default(), &reached(&BOTH)), []);
    assert_eq!(plan(&Desired::default(), &Actual::default()), []);
}

#[test]
fn everything_to_do() {
    let mut actual = Actual::default();
    actual.sysctls.insert(Sysctl::ExpireNodestConn, 0);
    assert_eq!(
        steps(&wanted(&BOTH), &actual),
        [
            "add virtual server 10.103.97.2:6443 scheduler rr",
            "add real server 10.0.0.1:6443 weight 1 to 10.103.97.2:6443",
            "add real server 10.0.0.2:6443 weight 1 to 10.103.97.2:6443",
            "set net.ipv4.vs.expire_nodest_conn = 1",
            "set route local 10.103.97.2 dev lo src 10.0.0.9",
        ]
    );
}

/// One difference at a time, and the one step that undoes it.
#[test]
fn each_difference() {
    fn only(actual: &mut Actual) -> &mut SeenService {
        actual.services.values_mut().next().unwrap()
    }
    fn first(actual: &mut Actual) -> &mut Destination {
        &mut only(actual).destinations.get_mut(&addr(FIRST)).unwrap().destination
    }
    type Difference = (fn(&mut Actual), &'static str);
    let differences: [Difference; 11] = [
        (|it| it.sysctls.values_mut().for_each(|value| *value = 0), "set net.ipv4.vs.expire_nodest_conn = 1"),
        (|it| it.routes.clear(), "set route local 10.103.97.2 dev lo src 10.0.0.9"),
        (
            |it| it.routes.values_mut().for_each(|route| route.source = Some(ip("10.9.9.9"))),
            "set route local 10.103.97.2 dev lo src 10.0.0.9",
        ),
        (
            |it| it.routes.values_mut().for_each(|route| route.source = None),
            "set route local 10.103.97.2 dev lo src 10.0.0.9",
        ),
        (
            |it| only(it).service.scheduler = "wlc".into(),
            "update virtual server 10.103.97.2:6443 scheduler rr",
        ),
        (|it| only(it).service.flags = 1, "update virtual server 10.103.97.2:6443 scheduler rr"),
        (|it| first(it).weight = 0, "update real server 10.0.0.1:6443 weight 1 of 10.103.97.2:6443"),
        (
            |it| first(it).forwarding = Forwarding::Other(3),
            "update real server 10.0.0.1:6443 weight 1 of 10.103.97.2:6443",
        ),
        (
            |it| first(it).upper_threshold = 100,
            "update real server 10.0.0.1:6443 weight 1 of 10.103.97.2:6443",
        ),
        (
            |it| _ = only(it).destinations.remove(&addr(FIRST)),
            "add real server 10.0.0.1:6443 weight 1 to 10.103.97.2:6443",
        ),
        (
            |it| _ = only(it).destinations.insert(addr(THIRD), seen(Destination::masqueraded(1))),
            "remove real server 10.0.0.3:6443 from 10.103.97.2:6443",
        ),
    ];
    for (difference, step) in differences {
        let mut actual = reached(&BOTH);
        difference(&mut actual);
        assert_eq!(steps(&wanted(&BOTH), &actual), [step]);
    }
}

/// What takes traffic comes before what loses it.
#[test]
fn order_within_a_virtual_server() {
    let mut actual = reached(&[("10.0.0.1:6443", 1), ("10.0.0.2:6443", 0), ("10.0.0.4:6443", 1)]);
    actual.services.get_mut(&addr(AT)).unwrap().service.scheduler = "sh".into();
    let desired = wanted(&[("10.0.0.1:6443", 0), ("10.0.0.2:6443", 1), ("10.0.0.3:6443", 1)]);
    assert_eq!(
        steps(&desired, &actual),
        [
            "update virtual server 10.103.97.2:6443 scheduler rr",
            "add real server 10.0.0.3:6443 weight 1 to 10.103.97.2:6443",
            "update real server 10.0.0.2:6443 weight 1 of 10.103.97.2:6443",
            "update real server 10.0.0.1:6443 weight 0 of 10.103.97.2:6443",
            "remove real server 10.0.0.4:6443 from 10.103.97.2:6443",
        ]
    );
}

#[test]
fn an_empty_pool_loses_its_virtual_server_and_keeps_its_route() {
    let mut desired = wanted(&BOTH);
    desired.services.insert(addr(AT), None);
    assert_eq!(steps(&desired, &reached(&BOTH)), ["remove virtual server 10.103.97.2:6443"]);
    assert_eq!(
        steps(&desired, &Actual::default()),
        ["set route local 10.103.97.2 dev lo src 10.0.0.9"],
        "without a virtual server the route is what makes a refusal instant"
    );
}

#[test]
fn clean_removes_the_virtual_server_before_its_route() {
    let nothing = crate::desired::nothing(&[addr(AT)], &Survey::default());
    assert_eq!(
        steps(&nothing, &reached(&BOTH)),
        ["remove virtual server 10.103.97.2:6443", "remove route local 10.103.97.2"]
    );
    assert_eq!(plan(&nothing, &Actual::default()), []);
}

/// Replacing the route of an interface's address would take that address's own traffic away.
#[test]
fn whose_route_it_is() {
    let nothing = crate::desired::nothing(&[addr(AT)], &Survey::default());
    let other = Some(ip("10.9.9.9"));
    let set: &[&str] = &["set route local 10.103.97.2 dev lo src 10.0.0.9"];
    let remove: &[&str] = &["remove route local 10.103.97.2"];
    for (owner, to_wanted, to_nothing) in
        [(RouteOwner::Ours, set, remove), (RouteOwner::Foreign, set, &[]), (RouteOwner::Interface, &[], &[])]
    {
        let mut actual = reached(&BOTH);
        actual.routes.insert(ip(VIP), SeenRoute { source: other, owner });
        assert_eq!(steps(&wanted(&BOTH), &actual), to_wanted, "{owner:?}");
        actual.services.clear();
        assert_eq!(steps(&nothing, &actual), to_nothing, "{owner:?}");
    }
}

#[test]
fn a_sysctl_that_does_not_exist_is_not_written() {
    let mut actual = reached(&BOTH);
    actual.sysctls.clear();
    assert_eq!(plan(&wanted(&BOTH), &actual), []);
}

#[test]
fn order_across_virtual_servers() {
    let mut desired = wanted(&[(FIRST, 1)]);
    desired.services.insert(addr("[fd00::6443]:6443"), None);
    desired.routes.insert(ip("fd00::6443"), None);
    let mut actual = Actual::default();
    let v6 = reached(&[]).services[&addr(AT)].clone();
    actual.services.insert(addr("[fd00::6443]:6443"), v6);
    actual.routes.insert(ip("fd00::6443"), SeenRoute { source: None, owner: RouteOwner::Ours });
    assert_eq!(
        steps(&desired, &actual),
        [
            "add virtual server 10.103.97.2:6443 scheduler rr",
            "add real server 10.0.0.1:6443 weight 1 to 10.103.97.2:6443",
            "set route local 10.103.97.2 dev lo src 10.0.0.9",
            "remove virtual server [fd00::6443]:6443",
            "remove route local fd00::6443",
        ]
    );
}
