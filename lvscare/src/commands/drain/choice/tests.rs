//! Who may be drained, and what is said of it.

use super::*;
use crate::status::{Health, VirtualServer};

const ONE: &str = "10.0.0.1:6443";
const TWO: &str = "10.0.0.2:6443";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn set(servers: &[&str]) -> BTreeSet<SocketAddr> {
    servers.iter().map(|server| addr(server)).collect()
}

fn drained(servers: &[&str]) -> Drained {
    Drained { since: servers.iter().map(|server| (addr(server), 1000)).collect(), problem: None }
}

/// `a` alive, `d` dead, `w` no daemon but a weight, `0` no daemon and no weight.
fn server(address: &str, letter: char) -> RealServer {
    let condition = match letter {
        'a' => Some(Condition::Alive),
        'd' => Some(Condition::Dead),
        _ => None,
    };
    let health = condition.map(|condition| Health {
        condition: Some(condition),
        since_seconds: 1.0,
        last_probe: None,
    });
    let weight = Some(u32::from("aw".contains(letter)));
    RealServer { address: addr(address), weight, active: 0, inactive: 0, health, drained_seconds: None }
}

fn status(services: &[(&str, &[(&str, char)])]) -> Status {
    let virtual_servers = services.iter().map(|(at, servers)| VirtualServer {
        address: addr(at),
        scheduler: Some("rr".into()),
        route_source: None,
        mode: None,
        self_probe: None,
        masters: None,
        traffic: crate::model::Traffic::default(),
        real_servers: servers.iter().map(|(address, letter)| server(address, *letter)).collect(),
    });
    Status { daemon: None, virtual_servers: virtual_servers.collect(), bare_routes: Vec::new() }
}

#[test]
fn an_unknown_address_is_refused_with_the_known_ones() {
    let status = status(&[("10.103.97.2:6443", &[(ONE, 'a'), (TWO, 'a')]), ("10.103.97.3:5000", &[])]);
    assert_eq!(find(Whom::Host(addr(ONE).ip()), &status), Ok(set(&[ONE])));
    assert_eq!(
        find("10.0.0.9".parse().unwrap(), &status).unwrap_err(),
        "10.0.0.9 is no real server here; there are 10.0.0.1:6443, 10.0.0.2:6443"
    );
    assert_eq!(
        find("10.0.0.1:80".parse().unwrap(), &status).unwrap_err(),
        "10.0.0.1:80 is no real server here; there are 10.0.0.1:6443, 10.0.0.2:6443"
    );
}

/// The servers, who is drained already, and whether the first is the last.
type Case<'a> = (&'a [(&'a str, char)], &'a [&'a str], bool);

#[test]
fn the_last_one_that_serves_stays() {
    let at = "10.103.97.2:6443";
    let cases: &[Case<'_>] = &[
        (&[(ONE, 'a'), (TWO, 'a')], &[], false),
        (&[(ONE, 'a'), (TWO, 'a')], &[TWO], true),
        (&[(ONE, 'a'), (TWO, 'd')], &[], true),
        (&[(ONE, 'w'), (TWO, 'w')], &[], false),
        (&[(ONE, 'w'), (TWO, '0')], &[], true),
        (&[(ONE, 'a')], &[], true),
    ];
    for (servers, already, is_last) in cases {
        let status = status(&[(at, servers)]);
        let forsaken = forsaken(&status, &drained(already), &set(&[ONE]));
        assert_eq!(forsaken.is_some(), *is_last, "{servers:?} {already:?}");
    }
    // Of several virtual servers, only those that have it count.
    let other = ("10.103.97.3:5000", &[(TWO, 'd')][..]);
    let both = status(&[other, (at, &[(ONE, 'a'), (TWO, 'a')])]);
    assert_eq!(forsaken(&both, &Drained::default(), &set(&[ONE])), None);
}

#[test]
fn what_came_of_it() {
    let at = addr("10.103.97.2:6443");
    let said = |drained: bool, weight: Option<u32>, active: u32, letter: char| {
        let server = server(ONE, letter);
        let drained_seconds = drained.then_some(1.0);
        outcome(at, &RealServer { weight, active, drained_seconds, ..server })
    };
    for (said, wanted) in [
        (said(true, None, 0, 'a'), "is out of 10.103.97.2:6443"),
        (
            said(true, Some(0), 12, 'a'),
            "gets no new connections from 10.103.97.2:6443; its 12 open ones may finish",
        ),
        (
            said(true, Some(0), 1, 'a'),
            "gets no new connections from 10.103.97.2:6443; its open one may finish",
        ),
        (said(true, Some(0), 0, 'a'), "gets no new connections from 10.103.97.2:6443; it leaves in a moment"),
        (said(true, Some(1), 3, 'a'), "goes on serving 10.103.97.2:6443 for now: nobody else can"),
        (said(false, Some(1), 0, 'a'), "serves 10.103.97.2:6443"),
        (said(false, Some(0), 0, 'a'), "stands by for 10.103.97.2:6443"),
        (said(false, None, 0, 'd'), "is dead; it serves 10.103.97.2:6443 once it is alive"),
    ] {
        assert_eq!(said, format!("{ONE} {wanted}"));
    }
}
