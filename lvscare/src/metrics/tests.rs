//! What Prometheus gets to see of made-up events and states.

use std::collections::BTreeMap;

use super::*;
use crate::health::Phase;
use crate::health::pool::Mode;
use crate::model::Traffic;

const AT: &str = "10.103.97.2:6443";

fn id(server: &str) -> ServerId {
    ServerId { service: AT.parse().unwrap(), server: server.parse().unwrap() }
}

fn server(address: &str, condition: Condition, weight: Option<u32>) -> Server {
    Server {
        id: id(address),
        condition,
        since: 1_700_000_000.5,
        weight,
        active: 3,
        inactive: 4,
        certificate_expiry: Some(1_800_000_000),
        drained: address == "10.0.0.2:6443",
    }
}

fn snapshot() -> Snapshot {
    let traffic = Traffic { connections: 7, packets_in: 70, packets_out: 60, bytes_in: 700, bytes_out: 6000 };
    Snapshot {
        servers: vec![
            server("10.0.0.1:6443", Condition::Alive, Some(1)),
            server("10.0.0.2:6443", Condition::Dead, None),
        ],
        services: vec![Service {
            at: AT.parse().unwrap(),
            mode: Mode::Normal,
            traffic,
            all_down: Duration::from_millis(1500),
            route: true,
            self_probe: Some(true),
        }],
        discoveries: Vec::new(),
        last_pass: 1_700_000_100.0,
        problems: 0,
        generation: 2,
        hash: "0a1b2c3d".into(),
        reload_failures: 1,
        reload_succeeded: false,
    }
}

/// Every sample by its name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn assert_samples(text: &str, expected: &[(&str, f64)]) {
    let samples = samples(text);
    for (name, value) in expected {
        let name = name.replace("VS", &format!("virtual_server=\"{AT}\""));
        let seen = *samples.get(&name).unwrap_or_else(|| panic!("{name} is not in\n{text}"));
        assert!((seen - value).abs() < 1e-9, "{name}: {seen}");
    }
}

#[test]
fn states_are_shown() {
    let text = Metrics::new().unwrap().render(&snapshot()).unwrap();
    assert_samples(
        &text,
        &[
            (r#"lvscare_real_server_up{real_server="10.0.0.1:6443",VS}"#, 1.0),
            (r#"lvscare_real_server_up{real_server="10.0.0.2:6443",VS}"#, 0.0),
            (r#"lvscare_real_server_weight{real_server="10.0.0.1:6443",VS}"#, 1.0),
            (r#"lvscare_real_server_weight{real_server="10.0.0.2:6443",VS}"#, -1.0),
            (r#"lvscare_real_server_condition{condition="dead",real_server="10.0.0.2:6443",VS}"#, 1.0),
            (r#"lvscare_real_server_condition{condition="alive",real_server="10.0.0.2:6443",VS}"#, 0.0),
            (r#"lvscare_real_server_active_connections{real_server="10.0.0.1:6443",VS}"#, 3.0),
            (
                r#"lvscare_real_server_last_change_timestamp_seconds{real_server="10.0.0.1:6443",VS}"#,
                1_700_000_000.5,
            ),
            (r#"lvscare_virtual_server_mode{mode="normal",VS}"#, 1.0),
            (r#"lvscare_virtual_server_mode{mode="empty",VS}"#, 0.0),
            ("lvscare_virtual_server_connections_total{VS}", 7.0),
            ("lvscare_virtual_server_outgoing_bytes_total{VS}", 6000.0),
            ("lvscare_virtual_server_all_down_seconds_total{VS}", 1.5),
            ("lvscare_self_probe_success{VS}", 1.0),
            ("lvscare_route_present{VS}", 1.0),
            ("lvscare_config_generation", 2.0),
            (r#"lvscare_config_info{hash="0a1b2c3d"}"#, 1.0),
            ("lvscare_config_reload_failures_total", 1.0),
            ("lvscare_config_last_reload_success", 0.0),
            (r#"lvscare_repairs_total{kind="route"}"#, 0.0),
        ],
    );
}

/// However often it is asked: what is read off other books must not add up.
#[test]
fn asking_changes_nothing() {
    let metrics = Metrics::new().unwrap();
    let ours = |text: String| -> Vec<String> {
        text.lines().filter(|line| !line.contains("process_")).map(str::to_owned).collect()
    };
    let first = ours(metrics.render(&snapshot()).unwrap());
    assert_eq!(ours(metrics.render(&snapshot()).unwrap()), first);
}

#[test]
fn events_are_counted() {
    let metrics = Metrics::new().unwrap();
    let one = id("10.0.0.1:6443");
    let took = Duration::from_millis(30);
    metrics.probes(one).ended(&Outcome::Ready, took);
    metrics.probes(one).ended(&Outcome::Failed(Failure::TimedOut(Phase::Connect)), 10 * took);
    metrics.turned(one, Condition::Dead);
    metrics.repaired(&Change::RemoveServer { at: one.service, server: one.server });
    metrics.passed(Duration::from_micros(300));
    metrics.refused();
    metrics.cut(5);
    metrics.self_probed(one.service, took);
    let text = metrics.render(&snapshot()).unwrap();
    assert_samples(
        &text,
        &[
            (r#"lvscare_probe_duration_seconds_count{real_server="10.0.0.1:6443",VS}"#, 2.0),
            (r#"lvscare_probe_duration_seconds_bucket{real_server="10.0.0.1:6443",VS,le="0.05"}"#, 1.0),
            (r#"lvscare_probe_failures_total{real_server="10.0.0.1:6443",reason="timeout",VS}"#, 1.0),
            (r#"lvscare_real_server_transitions_total{real_server="10.0.0.1:6443",to="dead",VS}"#, 1.0),
            (r#"lvscare_real_server_transitions_total{real_server="10.0.0.1:6443",to="alive",VS}"#, 0.0),
            (r#"lvscare_repairs_total{kind="foreign"}"#, 1.0),
            (r#"lvscare_reconcile_duration_seconds_bucket{le="0.0005"}"#, 1.0),
            ("lvscare_netlink_errors_total", 1.0),
            ("lvscare_sockets_destroyed_total", 5.0),
            ("lvscare_self_probe_duration_seconds_count{VS}", 1.0),
        ],
    );
}

#[test]
fn learned_masters_are_shown_as_long_as_they_are_learned() {
    let metrics = Metrics::new().unwrap();
    let at = AT.parse().unwrap();
    let mut learning = snapshot();
    learning.discoveries = vec![Discovery { at, masters: 3, last_success: None }];
    metrics.not_learned(at, "forbidden");
    assert_samples(
        &metrics.render(&learning).unwrap(),
        &[
            ("lvscare_discovery_masters{VS}", 3.0),
            ("lvscare_discovery_last_success_timestamp_seconds{VS}", 0.0),
            (r#"lvscare_discovery_failures_total{reason="forbidden",VS}"#, 1.0),
            (r#"lvscare_discovery_failures_total{reason="useless",VS}"#, 0.0),
        ],
    );
    learning.discoveries[0].last_success = Some(1_700_000_099.5);
    let text = metrics.render(&learning).unwrap();
    assert_samples(&text, &[("lvscare_discovery_last_success_timestamp_seconds{VS}", 1_700_000_099.5)]);
    let text = metrics.render(&snapshot()).unwrap();
    assert!(!text.contains("lvscare_discovery_"), "{text}");
}

/// Labels are bounded by the configuration: thousands of servers that come and go leave nothing behind.
#[test]
fn servers_that_are_gone_are_forgotten() {
    let metrics = Metrics::new().unwrap();
    let length = metrics.render(&snapshot()).unwrap().lines().count();
    for number in 0..500_u16 {
        let mut other = snapshot();
        let [high, low] = number.to_be_bytes();
        let address = format!("10.1.{high}.{low}:6443");
        other.servers.push(server(&address, Condition::Alive, Some(1)));
        metrics.probes(id(&address)).ended(&Outcome::NotReady(500), Duration::ZERO);
        metrics.turned(id(&address), Condition::Draining);
        metrics.render(&other).unwrap();
    }
    let text = metrics.render(&snapshot()).unwrap();
    assert!(!text.contains("10.1."), "{text}");
    assert_eq!(text.lines().count(), length);
}
