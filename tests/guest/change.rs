//! What a new configuration does to masters and virtual servers: who leaves drains first, who comes is judged first,
//! and no client notices.
//!
//! `-- --nocapture` shows the measured times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvscare::health::Condition;
use tests::apiserver::Behaviour;
use tests::configuration::{ConfigFile, masters, virtual_server};
use tests::daemon::{
    Daemon, Frame, LIMIT, TableReader, TableRecorder, URL, VIP, answering, connection_to, names, table, vip,
    wait_table,
};
use tests::lab::Lab;
use tests::wait::eventually;
use tests::web::{self, Web};

/// The second virtual server.
const REGISTRY: &str = "10.103.97.3:5000";

/// Who takes new connections in a frame.
fn serving((_, table): &Frame) -> Vec<SocketAddr> {
    let serving = table.iter().flatten().filter(|(_, weight)| **weight > 0);
    serving.map(|(&server, _)| server).collect()
}

#[test]
fn a_removed_master_finishes_what_it_has() {
    let lab = Lab::new();
    let [m1, m2, m3] = lab.addresses()[..] else { panic!("three masters") };
    let file = ConfigFile::new(&lab, &masters(&[m1, m2, m3]));
    let daemon = Daemon::following(&lab, &file, &[]);
    let reader = TableReader::open(lab.node());
    let load = lab.load(lab.node(), URL, 1, LIMIT);
    let mut connection = connection_to(&lab, lab.pod(), "m2");

    file.replace(&masters(&[m1, m3]));
    reader.time(LIMIT, "m2 drained", |reader| reader.weight(vip(), m2) == Some(0));
    assert_eq!(answering(&lab, lab.node()), names(&["m1", "m3"]));
    // Much longer than it takes to settle.
    sleep(Duration::from_secs(3));
    assert_eq!(connection.get("/", LIMIT).unwrap().body, "m2", "it may finish");
    assert_eq!(reader.weight(vip(), m2), Some(0));
    drop(connection);
    wait_table(lab.node(), VIP, &[m1, m3], 1);

    // But not for ever.
    file.replace(&masters(&[m1, m2, m3]));
    reader.time(LIMIT, "m2 back", |reader| reader.only(vip(), &[m1, m2, m3]));
    let mut connection = connection_to(&lab, lab.pod(), "m2");
    // From before the draining begins, so that it is never measured too short.
    let began = Instant::now();
    file.replace(&(masters(&[m1, m3]) + "guard: {drainTimeout: 3s}\n"));
    reader.time(LIMIT, "m2 drained", |reader| reader.weight(vip(), m2) == Some(0));
    reader.time(LIMIT, "m2 out", |reader| reader.weight(vip(), m2).is_none());
    let drained = began.elapsed();
    println!("cut off {} ms after it was removed", drained.as_millis());
    assert!(drained >= Duration::from_secs(3), "{drained:?}");
    assert!(connection.get("/", LIMIT).is_err());

    let report = load.stop();
    assert!(report.failures().is_empty(), "{:?}", report.failures());
    assert_eq!(daemon.repairs(), Some(0), "all that was us");
}

#[test]
fn an_added_master_is_judged_before_it_serves() {
    let lab = Lab::new();
    let [m1, m2, m3] = lab.addresses()[..] else { panic!("three masters") };
    let file = ConfigFile::new(&lab, &masters(&[m1, m2]));
    let daemon = Daemon::following(&lab, &file, &[]);
    let load = lab.load(lab.node(), URL, 1, LIMIT);
    let never_served = |camera: TableRecorder| {
        let frames = camera.stop();
        assert!(frames.iter().all(|frame| !serving(frame).contains(&m3)), "{frames:?}");
    };

    lab.master(3).kill();
    let camera = TableRecorder::start(lab.node(), vip());
    file.replace(&masters(&[m1, m2, m3]));
    daemon.wait_condition(m3, Condition::Dead);
    sleep(Duration::from_secs(2));
    never_served(camera);
    file.replace(&masters(&[m1, m2]));
    daemon.wait_reloads("without it", |now| now.generation == 3);

    // Two probes are needed, of two questions each.
    lab.master(3).start();
    let slow = Duration::from_millis(500);
    lab.master(3).control().set(Behaviour::Delay(slow));
    let camera = TableRecorder::start(lab.node(), vip());
    let began = Instant::now();
    file.replace(&masters(&[m1, m2, m3]));
    wait_table(lab.node(), VIP, &[m1, m2, m3], 1);
    let frames = camera.stop();
    let (served, _) = frames.iter().find(|frame| serving(frame).contains(&m3)).unwrap();
    assert!(*served >= began + 3 * slow, "{:?} {frames:?}", *served - began);
    let report = load.stop();
    assert!(report.failures().is_empty(), "{:?}", report.failures());
}

#[test]
fn all_masters_can_be_replaced_at_once() {
    let lab = Lab::new();
    let [m1, m2, m3] = lab.addresses()[..] else { panic!("three masters") };
    let file = ConfigFile::new(&lab, &masters(&[m1]));
    let daemon = Daemon::following(&lab, &file, &[]);
    let load = lab.load(lab.node(), URL, 1, LIMIT);
    let camera = TableRecorder::start(lab.node(), vip());

    file.replace(&masters(&[m2, m3]));
    wait_table(lab.node(), VIP, &[m2, m3], 1);
    // The new ones are not there yet: the old ones serve until one of them is.
    lab.master(1).control().set(Behaviour::HangAccept);
    file.replace(&masters(&[m1]));
    daemon.wait_condition(m1, Condition::Dead);
    sleep(Duration::from_secs(2));
    assert_eq!(answering(&lab, lab.node()), names(&["m2", "m3"]));
    lab.master(1).control().set(Behaviour::Healthy);
    wait_table(lab.node(), VIP, &[m1], 1);

    let frames = camera.stop();
    let report = load.stop();
    assert!(frames.iter().all(|frame| !serving(frame).is_empty()), "{frames:?}");
    assert!(report.failures().is_empty(), "{:?} {frames:?}", report.failures());
}

/// An image registry: plain HTTP, a health path of its own, no question whether it is ready.
#[test]
fn another_virtual_server_comes_and_goes() {
    let lab = Lab::new();
    let registry: SocketAddr = REGISTRY.parse().unwrap();
    let file = ConfigFile::new(&lab, &masters(&lab.addresses()));
    let daemon = Daemon::following(&lab, &file, &[]);
    let route = || lab.node().check(&["ip", "route", "show", "table", "local", "10.103.97.3"]);
    let load = lab.load(lab.node(), URL, 1, LIMIT);
    let camera = TableRecorder::start(lab.node(), vip());

    let webs = [1, 2].map(|number| {
        let master = lab.master(number);
        let web = Web::start(master.namespace(), 5000..=5000, "/v2/", master.name());
        (SocketAddr::new(master.address().ip(), 5000), web)
    });
    let servers = webs.each_ref().map(|(server, _)| *server);
    let health = "    health: {scheme: http, path: /v2/, readyPath: none, interval: 500ms}\n";
    file.replace(&(masters(&lab.addresses()) + &virtual_server(REGISTRY, &servers) + health));
    wait_table(lab.node(), REGISTRY, &servers, 1);
    eventually(LIMIT, "its route", || route().contains("src 10.0.0.10").then_some(()));
    for place in [lab.node(), lab.pod()] {
        let who = (0..4).map(|_| web::get(place, registry, "/v2/", LIMIT).unwrap()).collect();
        assert_eq!(names(&["m1", "m2"]), who);
    }
    for server in servers {
        daemon.wait_condition(server, Condition::Alive);
    }
    let [(_, first), (_, second)] = webs;
    for web in [&first, &second] {
        assert_eq!(web.seen().paths, names(&["/v2/"]));
    }
    // It is guarded as the other one is.
    drop(second);
    wait_table(lab.node(), REGISTRY, &servers[..1], 1);

    file.replace(&masters(&lab.addresses()));
    eventually(LIMIT, "it is gone", || table(lab.node(), REGISTRY).is_none().then_some(()));
    eventually(LIMIT, "its route is gone", || route().is_empty().then_some(()));
    assert!(web::get(lab.node(), registry, "/v2/", LIMIT).is_err());
    let status = daemon.status().unwrap();
    assert_eq!(status.virtual_servers.iter().map(|one| one.address).collect::<Vec<_>>(), [vip()]);
    // Nobody asks them any more.
    first.seen();
    sleep(Duration::from_secs(2));
    assert_eq!(first.seen().requests, 0);

    let frames = camera.stop();
    assert_eq!(frames.len(), 1, "the other one was not touched: {frames:?}");
    let report = load.stop();
    assert!(report.failures().is_empty(), "{:?}", report.failures());
}
