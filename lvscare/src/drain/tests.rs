//! Who may be drained, what is said of it, and what is remembered.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::config::tests::config;
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
    Drained { since: servers.iter().map(|server| (addr(server), 1000)).collect() }
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
fn an_address_is_a_host_or_a_server() {
    let whom = |text: &str| text.parse::<Whom>().map(|whom| whom.to_string());
    for (text, meant) in
        [("10.0.0.1", "10.0.0.1"), (ONE, ONE), ("fd00::1", "fd00::1"), ("[fd00::1]", "fd00::1")]
    {
        assert_eq!(whom(text).as_deref(), Ok(meant), "{text}");
    }
    assert!(whom("m1").is_err() && whom("10.0.0.1:0").is_err() && whom("").is_err());
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
fn the_rules_before_a_join_leave_the_drained_ones_out() {
    let config = config("--rs 10.0.0.1:6443,10.0.0.2:6443").unwrap();
    let left = |servers: &[&str]| -> Vec<String> {
        let config = drained(servers).without(&config);
        config.services[0].servers.iter().map(|server| server.address.to_string()).collect()
    };
    assert_eq!(left(&[]), [ONE, TWO]);
    assert_eq!(left(&[ONE]), [TWO]);
    assert_eq!(left(&[ONE, TWO]), [ONE, TWO]);
}

#[test]
fn it_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    assert_eq!(file::load(&state).unwrap(), Drained::default());
    let add = |server: &'static str| {
        file::change(&state, move |drained| drained.since.insert(addr(server), 1000)).unwrap()
    };
    assert_eq!(add(ONE), None);
    assert_eq!(add(TWO), None);
    // Twice is once.
    assert_eq!(add(TWO), Some(1000));
    assert_eq!(file::load(&state).unwrap(), drained(&[ONE, TWO]));
    file::change(&state, |drained| drained.since.remove(&addr(ONE))).unwrap();
    assert_eq!(file::load(&state).unwrap(), drained(&[TWO]));
    let left: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["drained.json"], "nothing is left beside it");
}

#[test]
fn what_is_no_such_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = file::path(directory.path());
    for (text, why) in [
        ("", "EOF"),
        ("[", "EOF"),
        ("{\"version\": 2, \"servers\": []}", "its version is 2 instead of 1"),
        ("{\"version\": 1, \"servers\": [], \"more\": 1}", "unknown field `more`"),
        ("{\"version\": 1, \"servers\": [{\"address\": \"m1\", \"since\": 1}]}", "invalid socket address"),
        (&" ".repeat(70_000), "longer than 65536 bytes"),
    ] {
        fs::write(&path, text).unwrap();
        let error = file::load(directory.path()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        // It is not written over either: somebody may want to mend it.
        assert!(file::change(directory.path(), |drained| drained.since.clear()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert!(file::load(directory.path()).is_err());
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert_eq!(file::load(directory.path()).unwrap_err().to_string(), "not a regular file");
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
