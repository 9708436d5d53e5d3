//! What a scrape costs, over a real socket. How the endpoint bears attacks is tried on a real kernel.

#![allow(clippy::print_stdout, reason = "measured figures are worth a look")]

use std::io::{Read, Write};
use std::net::TcpStream as StdTcpStream;

use super::*;
use crate::config::tests::config;
use crate::drain::Drained;
use crate::health::pool::Mode;
use crate::health::{Condition, LastProbe, Outcome, ServerState, Verdict};
use crate::model::{Actual, Destination, SeenDestination, SeenService, Service, Traffic};

/// A scrape of the one-threaded daemon is paid for by its size.
const LARGEST: usize = 32 << 10;

/// The daemon of a healthy node with so many apiservers.
fn view(servers: u8, now: Instant) -> View {
    let rs: Vec<String> = (1..=servers).map(|number| format!("10.0.0.{number}:6443")).collect();
    let config = config(&format!("--resync 60s --rs {}", rs.join(","))).unwrap();
    let at = config.services[0].at;
    let servers = config.services[0].servers.iter();
    let ids: Vec<ServerId> = servers.map(|server| ServerId { service: at, server: server.address }).collect();
    let took = Duration::from_millis(3);
    let state = ServerState {
        verdict: Verdict { verified: true, ..Verdict::presumed(Condition::Alive, now) },
        last_probe: Some(LastProbe { time: now, took, outcome: Outcome::Ready }),
        certificate_expiry: Some(1_900_000_000),
    };
    let metrics = Metrics::new().unwrap();
    for &id in &ids {
        metrics.probes(id).ended(&Outcome::Ready, took);
    }
    metrics.self_probed(at, took);
    metrics.passed(took);
    let seen = SeenDestination { destination: Destination::masqueraded(1), active: 7, inactive: 3 };
    let service = SeenService {
        service: Service { scheduler: "rr".to_owned(), flags: 0 },
        destinations: ids.iter().map(|id| (id.server, seen)).collect(),
        traffic: Traffic { connections: 70, packets_in: 700, packets_out: 600, bytes_in: 1, bytes_out: 2 },
    };
    let applied = Applied {
        time: now,
        actual: Arc::new(Actual { services: [(at, service)].into(), ..Actual::default() }),
        modes: [(at, Mode::Normal)].into(),
        all_down: BTreeMap::new(),
        repairs: 0,
        notes: vec![],
        problems: Vec::new(),
    };
    let answers = Answers::from([(at, LastProbe { time: now, took, outcome: Outcome::Ready })]);
    View {
        active: watch::Sender::new(Arc::new(ActiveConfig {
            config,
            settings: BTreeMap::new(),
            drained: Drained::default(),
        }))
        .subscribe(),
        answers: watch::Sender::new(answers).subscribe(),
        masters: watch::Sender::new(BTreeMap::new()).subscribe(),
        metrics,
        health_table: watch::Sender::new(ids.iter().map(|&id| (id, state.clone())).collect()).subscribe(),
        applied: watch::Sender::new(applied).subscribe(),
        reloads: watch::Sender::new(Reloads::default()).subscribe(),
        start: now,
    }
}

/// One GET over a connection of its own; returns the answer and how long it took.
fn get(at: SocketAddr, path: &str) -> (String, Duration) {
    let began = Instant::now();
    let mut stream = StdTcpStream::connect(at).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer, began.elapsed())
}

/// Serves `view` in a thread of its own, until the process ends, and says where.
fn serve_in_background(view: View) -> SocketAddr {
    let (said, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            said.send(listener.local_addr().unwrap()).unwrap();
            accept(listener, view).await;
        });
    });
    heard.recv().unwrap()
}

#[test]
fn a_scrape_grows_with_the_servers_and_no_faster() {
    let [few, many] = [3_u8, 240].map(|servers| {
        let at = serve_in_background(view(servers, Instant::now()));
        let (answer, _) = get(at, "/metrics");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(answer.matches("\nlvscare_real_server_up{").count(), usize::from(servers), "{answer}");
        // The best of many: the machine may be busy with something else.
        let best = (0..50).map(|_| get(at, "/metrics").1).min().unwrap();
        println!("{} bytes for {servers} servers, in {best:?}", answer.len());
        (answer.len(), best)
    });
    assert!(few.0 < LARGEST, "{} bytes", few.0);
    assert!(many.0 < 80 * few.0, "{} bytes", many.0);
    // Each looking at each would be 6400 times.
    assert!(many.1 < 800 * few.1, "{many:?}, {few:?}");
}

#[test]
fn every_path_has_its_answer() {
    let at = serve_in_background(view(3, Instant::now()));
    for (path, status, part) in [
        ("/livez", "200", "ok"),
        ("/readyz", "200", "ok"),
        ("/status", "200", "\"10.0.0.2:6443\""),
        ("/metrics", "200", "lvscare_build_info"),
        ("/", "404", "there are /metrics, /livez, /readyz and /status"),
    ] {
        let (answer, _) = get(at, path);
        let head = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&head) && answer.contains(part), "{path}: {answer}");
    }
}

/// Whoever raises `--resync` by a reload must not be killed for passing seldom.
#[test]
fn a_loop_is_stuck_by_the_configuration_in_force() {
    let active = |options: &str| {
        let config = config(&format!("--rs 10.0.0.1:6443 {options}")).unwrap();
        Arc::new(ActiveConfig { config, settings: BTreeMap::new(), drained: Drained::default() })
    };
    let mut view = view(1, Instant::now());
    let passed = Instant::now().checked_sub(Duration::from_secs(100)).expect("the machine runs for so long");
    let applied = Applied { time: passed, ..view.applied.borrow().clone() };
    view.applied = watch::Sender::new(applied).subscribe();
    let jobs = watch::Sender::new(active("--resync 1s"));
    view.active = jobs.subscribe();
    let at = serve_in_background(view);
    assert!(get(at, "/livez").0.starts_with("HTTP/1.1 500 "));
    jobs.send_replace(active("--resync 60s"));
    assert!(get(at, "/livez").0.starts_with("HTTP/1.1 200 "));
    jobs.send_replace(active("--resync 1s"));
    assert!(get(at, "/livez").0.starts_with("HTTP/1.1 500 "));
}

/// Whoever was drained stays so while the file cannot be read, and that is said.
#[test]
fn a_damaged_file_of_the_drained_is_told() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("drained.json"), "{").unwrap();
    let server = "10.0.0.1:6443".parse().unwrap();
    let before = Drained { since: BTreeMap::from([(server, 1000)]), problem: None };
    let drained = crate::drain::file::follow(directory.path(), &before);
    assert!(drained.has(server));

    let mut view = view(1, Instant::now());
    let active = ActiveConfig { drained, ..ActiveConfig::clone(&view.active.borrow()) };
    view.active = watch::Sender::new(Arc::new(active)).subscribe();
    let problems = view.status(Instant::now()).daemon.unwrap().problems;
    let why = "drained.json is damaged and not followed: EOF while parsing";
    assert!(problems.iter().any(|problem| problem.contains(why)), "{problems:?}");
    assert!(get(serve_in_background(view), "/metrics").0.contains("\nlvscare_problems 1\n"));
}
