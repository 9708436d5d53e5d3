//! `lvscare doctor` on a machine where nobody answers, which need not even be a node: it ends in time and says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "a measured time is worth a look")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use clap::Parser;
use lvscare::cli::{Cli, Command};
use lvscare::doctor::Report;
use lvscare::doctor::facts::{Asked, gather};

/// So many that keep silent: asked one after the other, at a second each, they would take twice the limit.
const SILENT: usize = 40;

/// The manual promises two seconds; this machine may be busy with something else.
const LIMIT: Duration = Duration::from_secs(20);

/// What `lvscare doctor` without options looks at.
fn asked() -> Asked {
    match Cli::try_parse_from(["lvscare", "doctor"]).unwrap().command {
        Command::Doctor(args) => (&args).into(),
        other => panic!("{other:?}"),
    }
}

fn timed(asked: &Asked) -> Report {
    let began = Instant::now();
    let report = Report::of(&gather(asked).unwrap());
    let took = began.elapsed();
    println!("{} findings after {took:?}", report.findings.len());
    assert!(took < LIMIT, "{took:?}");
    report
}

/// The kernel accepts connections for it, and nobody ever looks.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn a_machine_without_anything() {
    let report = timed(&asked());
    assert!(report.findings.iter().any(|finding| finding.id == "daemon"), "{report:?}");
}

#[test]
fn a_node_where_everybody_keeps_silent() {
    let (_listeners, servers): (Vec<_>, Vec<_>) = (0..SILENT).map(|_| silent()).unzip();
    let [(_v, vs), (_d, daemon)] = [(); 2].map(|()| silent());
    let asked = Asked { vs, servers, listen: Some(daemon), ..asked() };
    let report = timed(&asked);
    let found = |id: &str| report.findings.iter().filter(|finding| finding.id == id).count();
    assert_eq!(found("apiserver-unreachable"), SILENT, "{report:?}");
    assert_eq!(found("vip-unreachable"), 1, "{report:?}");
    assert!(!report.healthy);
}
