//! What a person sees, whole.

use super::*;
use crate::health::Condition;
use crate::model::Actual;
use crate::status::{Daemon, Health, Masters, Probe, Reloads};
use crate::survey::Survey;

fn server(address: &str, weight: Option<u32>, connections: (u32, u32), health: Option<Health>) -> RealServer {
    let (active, inactive) = connections;
    RealServer { address: address.parse().unwrap(), weight, active, inactive, health, drained_seconds: None }
}

fn health(condition: Condition, since: f64, ago: f64, took: f64, result: &str) -> Health {
    let probe = Probe { ago_seconds: ago, took_seconds: took, result: result.to_owned() };
    Health { condition: Some(condition), since_seconds: since, last_probe: Some(probe) }
}

/// Without colours and extras.
fn plain(status: &Status) -> String {
    render(status, Style::default())
}

fn ready() -> Health {
    health(Condition::Alive, 3725.4, 1.2, 0.0041, "ok")
}

/// A daemon that guards one virtual server with these real servers.
fn guarded(mode: Mode, real_servers: Vec<RealServer>) -> Status {
    Status {
        daemon: Some(Daemon {
            version: "1.2.3".into(),
            uptime_seconds: 3725.9,
            last_pass_seconds: 0.4,
            repairs: 4,
            problems: vec![],
            notes: vec![],
            configuration: Reloads { generation: 1, hash: "0a1b2c3d".into(), ..Reloads::default() },
            process: "process 7, service lvscare.service".into(),
        }),
        bare_routes: Vec::new(),
        virtual_servers: vec![VirtualServer {
            address: "10.103.97.2:6443".parse().unwrap(),
            scheduler: Some("rr".into()),
            route_source: Some("10.0.0.9".parse().unwrap()),
            mode: Some(mode),
            self_probe: None,
            masters: None,
            traffic: Traffic::default(),
            real_servers,
        }],
    }
}

fn healthy() -> Status {
    guarded(
        Mode::Normal,
        vec![
            server("10.0.0.1:6443", Some(1), (12, 3), Some(ready())),
            server("10.0.0.2:6443", Some(1), (9, 0), Some(ready())),
            server("10.0.0.30:6443", Some(10), (104, 17), Some(ready())),
        ],
    )
}

/// Without daemon, as the kernel alone tells it.
fn unguarded(mut status: Status) -> Status {
    status.daemon = None;
    for service in &mut status.virtual_servers {
        service.mode = None;
        service.real_servers.iter_mut().for_each(|server| server.health = None);
    }
    status
}

#[test]
fn everything_is_fine() {
    assert_eq!(
        plain(&healthy()),
        "\
virtual server 10.103.97.2:6443 (rr), local route with source 10.0.0.9
guarded by lvscare 1.2.3 for 1h02m, 4 repairs

REAL SERVER     STATE    FOR  WEIGHT  ACTIVE  INACTIVE  LAST PROBE       RESULT
10.0.0.1:6443   alive  1h02m       1      12         3  1.2s ago, 4.1ms  ok
10.0.0.2:6443   alive  1h02m       1       9         0  1.2s ago, 4.1ms  ok
10.0.0.30:6443  alive  1h02m      10     104        17  1.2s ago, 4.1ms  ok
"
    );
}

#[test]
fn somebody_has_drained_one() {
    let mut status = healthy();
    let servers = &mut status.virtual_servers[0].real_servers;
    (servers[0].weight, servers[0].drained_seconds) = (Some(0), Some(7500.0));
    let text = plain(&status);
    let told =
        "drained by an administrator 2h05m ago: 10.0.0.1:6443 (back with: lvscare undrain 10.0.0.1:6443)\n";
    assert!(text.ends_with(told), "{text}");
    // Nobody else can serve.
    status.virtual_servers[0].real_servers[0].weight = Some(1);
    assert!(plain(&status).contains("10.0.0.1:6443; it serves because nobody else can ("));
}

#[test]
fn one_is_dead_and_one_drains() {
    let dead = health(Condition::Dead, 65.0, 0.1, 0.0, "connection refused");
    let draining = health(Condition::Draining, 7.9, 0.15, 0.012, "not ready (HTTP 500)");
    let unknown = Health { condition: None, since_seconds: 0.2, last_probe: None };
    let status = guarded(
        Mode::Normal,
        vec![
            server("10.0.0.1:6443", None, (0, 0), Some(dead)),
            server("10.0.0.2:6443", Some(0), (5, 1), Some(draining)),
            server("10.0.0.3:6443", Some(1), (20, 2), Some(ready())),
            server("10.0.0.4:6443", Some(0), (0, 0), Some(unknown)),
        ],
    );
    assert_eq!(
        plain(&status),
        "\
virtual server 10.103.97.2:6443 (rr), local route with source 10.0.0.9
guarded by lvscare 1.2.3 for 1h02m, 4 repairs

REAL SERVER    STATE       FOR  WEIGHT  ACTIVE  INACTIVE  LAST PROBE        RESULT
10.0.0.1:6443  dead      1m05s     out       0         0  100ms ago, 0.0ms  connection refused
10.0.0.2:6443  draining   7.9s       0       5         1  150ms ago, 12ms   not ready (HTTP 500)
10.0.0.3:6443  alive     1h02m       1      20         2  1.2s ago, 4.1ms   ok
10.0.0.4:6443  unknown   200ms       0       0         0  -                 -
"
    );
}

#[test]
fn nobody_is_ready() {
    let draining = health(Condition::Draining, 3.0, 0.1, 0.002, "not ready (HTTP 500)");
    assert_eq!(
        plain(&guarded(Mode::Unready, vec![server("10.0.0.1:6443", Some(1), (2, 0), Some(draining))])),
        "\
virtual server 10.103.97.2:6443 (rr), local route with source 10.0.0.9
guarded by lvscare 1.2.3 for 1h02m, 4 repairs
NO REAL SERVER IS READY: those that are healthy go on serving

REAL SERVER    STATE      FOR  WEIGHT  ACTIVE  INACTIVE  LAST PROBE        RESULT
10.0.0.1:6443  draining  3.0s       1       2         0  100ms ago, 2.0ms  not ready (HTTP 500)
"
    );
}

#[test]
fn nobody_is_healthy() {
    let silent = health(Condition::Dead, 3.0, 0.1, 1.001, "no connection in time");
    assert_eq!(
        plain(&guarded(Mode::LastResort, vec![server("10.0.0.1:6443", Some(1), (2, 0), Some(silent))])),
        "\
virtual server 10.103.97.2:6443 (rr), local route with source 10.0.0.9
guarded by lvscare 1.2.3 for 1h02m, 4 repairs
NO REAL SERVER IS HEALTHY: the last good ones go on serving
If the masters were replaced, name the new ones: --rs, or realServers in the file

REAL SERVER    STATE   FOR  WEIGHT  ACTIVE  INACTIVE  LAST PROBE       RESULT
10.0.0.1:6443  dead   3.0s       1       2         0  100ms ago, 1.0s  no connection in time
"
    );
}

#[test]
fn everybody_is_down() {
    let refused = health(Condition::Dead, 3.0, 0.1, 0.001, "connection refused");
    let mut status = guarded(Mode::Empty, vec![server("10.0.0.1:6443", None, (0, 0), Some(refused))]);
    status.virtual_servers[0].scheduler = None;
    assert_eq!(
        plain(&status),
        "\
virtual server 10.103.97.2:6443: not in the kernel's table, local route with source 10.0.0.9
guarded by lvscare 1.2.3 for 1h02m, 4 repairs
EVERY REAL SERVER IS DOWN: clients are refused at once
If the masters were replaced, name the new ones: --rs, or realServers in the file

REAL SERVER    STATE   FOR  WEIGHT  ACTIVE  INACTIVE  LAST PROBE        RESULT
10.0.0.1:6443  dead   3.0s     out       0         0  100ms ago, 1.0ms  connection refused
"
    );
}

#[test]
fn problems_come_last() {
    let mut status = guarded(Mode::Normal, vec![]);
    status.virtual_servers[0].route_source = None;
    let problems = ["no route for 10.103.97.2", "10.0.0.9 is not an address of this node"];
    status.daemon.as_mut().unwrap().problems = problems.map(str::to_owned).to_vec();
    status.daemon.as_mut().unwrap().notes = vec!["somebody else keeps changing the same rules".into()];
    assert_eq!(
        plain(&status),
        "\
virtual server 10.103.97.2:6443 (rr), no local route
guarded by lvscare 1.2.3 for 1h02m, 4 repairs
problem: no route for 10.103.97.2
problem: 10.0.0.9 is not an address of this node
note: somebody else keeps changing the same rules
"
    );
}

#[test]
fn no_daemon_answers() {
    assert_eq!(
        plain(&unguarded(healthy())),
        "\
virtual server 10.103.97.2:6443 (rr), local route with source 10.0.0.9
no lvscare answers; this is what the kernel has

REAL SERVER     STATE  FOR  WEIGHT  ACTIVE  INACTIVE  LAST PROBE  RESULT
10.0.0.1:6443   -        -       1      12         3  -           -
10.0.0.2:6443   -        -       1       9         0  -           -
10.0.0.30:6443  -        -      10     104        17  -           -
"
    );
}

/// `status --all`: what lvscare made before and the daemon was not told of.
#[test]
fn what_nobody_guards() {
    let other: std::net::SocketAddr = "10.103.97.3:5000".parse().unwrap();
    let mut status = guarded(Mode::Normal, vec![]);
    let survey = Survey {
        routes: ["10.103.97.2", "10.103.97.3", "10.103.97.4"].map(|vip| (vip.parse().unwrap(), None)).into(),
        services: ["10.103.97.2:6443".parse().unwrap(), other, "10.96.0.1:443".parse().unwrap()].into(),
        ..Survey::default()
    };
    status.add_unguarded(&survey, &Actual::default());
    assert_eq!(
        plain(&status),
        "\
virtual server 10.103.97.2:6443 (rr), local route with source 10.0.0.9
guarded by lvscare 1.2.3 for 1h02m, 4 repairs

virtual server 10.103.97.3:5000: not in the kernel's table, no local route
no lvscare guards it; `lvscare clean --vs 10.103.97.3:5000` removes it

local route 10.103.97.4 of lvscare, without a virtual server: nobody guards it, or all its real servers are down
"
    );
    let json = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status, "{json}");
}

#[test]
fn nothing_there_at_all() {
    let at = "10.103.97.2:6443".parse().unwrap();
    assert_eq!(
        plain(&Status::of_kernel(&crate::model::Actual::default(), [&at])),
        "\
virtual server 10.103.97.2:6443: not in the kernel's table, no local route
no lvscare answers; this is what the kernel has
"
    );
}

/// What the daemon serves is what the command reads.
#[test]
fn json_is_read_back_as_written() {
    for status in [healthy(), unguarded(healthy()), guarded(Mode::LastResort, vec![])] {
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status, "{json}");
    }
}

/// Programs rely on these names.
#[test]
fn json_names() {
    let status = guarded(Mode::LastResort, vec![server("10.0.0.1:6443", None, (0, 0), Some(ready()))]);
    assert_eq!(
        serde_json::to_value(&status).unwrap(),
        serde_json::json!({
            "daemon": {
                "version": "1.2.3",
                "uptime_seconds": 3725.9,
                "last_pass_seconds": 0.4,
                "repairs": 4,
                "problems": [],
                "notes": [],
                "configuration": { "generation": 1, "hash": "0a1b2c3d", "failures": 0, "problem": null },
                "process": "process 7, service lvscare.service",
            },
            "virtual_servers": [{
                "address": "10.103.97.2:6443",
                "scheduler": "rr",
                "route_source": "10.0.0.9",
                "mode": "last-resort",
                "self_probe": null,
                "masters": null,
                "traffic": {"connections": 0, "packets_in": 0, "packets_out": 0, "bytes_in": 0, "bytes_out": 0},
                "real_servers": [{
                    "address": "10.0.0.1:6443",
                    "weight": null,
                    "active": 0,
                    "inactive": 0,
                    "health": {
                        "condition": "alive",
                        "since_seconds": 3725.4,
                        "last_probe": { "ago_seconds": 1.2, "took_seconds": 0.0041, "result": "ok" },
                    },
                }],
            }],
        })
    );
}

#[test]
fn how_masters_were_learned() {
    let mut status = healthy();
    for (source, problem, line) in [
        (Source::Configured, None, "\n3 masters as configured\n"),
        (Source::Disk, Some("no answer"), "\n3 masters as learned before; problem: no answer\n"),
        (Source::Api, None, "\n3 masters as the API said 12.5s ago\n"),
    ] {
        let problem = problem.map(str::to_owned);
        status.virtual_servers[0].masters = Some(Masters { count: 3, source, ago_seconds: 12.5, problem });
        let text = plain(&status);
        assert!(text.contains(line), "{text}");
    }
}

/// A clock that jumps or a daemon that lies is no reason to fail.
#[test]
fn odd_numbers_are_shown_as_zero() {
    for odd in [-1.0, f64::NAN, f64::INFINITY] {
        let odd = health(Condition::Alive, odd, odd, odd, "ok");
        let text = plain(&guarded(Mode::Normal, vec![server("10.0.0.1:6443", Some(1), (0, 0), Some(odd))]));
        assert!(text.contains("0.0ms ago, 0.0ms  ok"), "{text}");
    }
}

/// Colours are for the eye only: without them the text is the same.
#[test]
fn colours_and_width() {
    let mut status = healthy();
    status.virtual_servers[0].traffic.connections = 7;
    let coloured = render(&status, Style { colour: true, wide: false });
    assert!(coloured.contains("\x1b[32malive"), "{coloured}");
    let bare = coloured.replace("\x1b[32m", "").replace("\x1b[0m", "");
    assert_eq!(bare, plain(&status));

    let wide = render(&status, Style { colour: false, wide: true });
    assert!(wide.contains("\n7 connections, in 0 packets 0 bytes, out 0 packets 0 bytes\n"), "{wide}");
    assert!(wide.contains(", configuration 1 (0a1b2c3d), process 7, service lvscare.service\n"), "{wide}");
}
