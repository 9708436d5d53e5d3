//! What the daemon costs, and that the thousandth failure costs no more than the first.
//!
//! `-- --nocapture` shows the figures.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured figures are worth a look")]

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use tests::apiserver::Behaviour;
use tests::care::{Care, Eye, LIMIT, VIP};
use tests::lab::{Lab, Master};

/// So many changes of condition are wanted, as far as the time allows.
const TRANSITIONS: usize = 1000;
const TIME: Duration = Duration::from_secs(60);

/// Those before are warming up.
const WARM: usize = 100;

/// What must not grow.
#[derive(Debug)]
struct Costs {
    descriptors: usize,
    resident: u64,
    threads: u64,
}

impl Costs {
    fn of(care: &Care) -> Self {
        Self {
            descriptors: care.descriptors(),
            resident: care.memory("VmRSS"),
            threads: care.memory("Threads"),
        }
    }
}

fn transitions(care: &Care) -> usize {
    care.log().matches("real server is ").count()
}

#[test]
fn failures_leave_nothing_behind() {
    const FAST: [&str; 8] = ["--interval", "100ms", "--fast-interval", "20ms", "--fall", "1", "--rise", "1"];
    let lab = Lab::new();
    let care = Care::judged(&lab, &FAST);
    let eye = Eye::open(lab.node());
    let at: SocketAddr = VIP.parse().unwrap();
    let serves = |master: &Master| eye.weight(at, master.address()).is_some_and(|weight| weight > 0);

    let began = Instant::now();
    let mut warm = None;
    for cycle in 0.. {
        let seen = transitions(&care);
        if seen >= WARM && warm.is_none() {
            warm = Some(Costs::of(&care));
        }
        if seen >= TRANSITIONS || began.elapsed() > TIME {
            break;
        }
        // Two fail in different ways, the third merely closes its connections.
        let ways =
            [Behaviour::Reset, Behaviour::Healthz(500), Behaviour::CloseAfter(Duration::from_millis(500))];
        let (mut failing, mut others) = (Vec::new(), Vec::new());
        for (number, master) in lab.masters().iter().enumerate() {
            let way = ways[(number + cycle) % ways.len()];
            master.control().set(way);
            if matches!(way, Behaviour::CloseAfter(_)) { others.push(master) } else { failing.push(master) }
        }
        eye.time(LIMIT, "two out", |_| !failing.iter().any(|master| serves(master)));
        failing.iter().chain(&others).for_each(|master| master.control().set(Behaviour::Healthy));
        eye.time(LIMIT, "all back", |_| lab.masters().iter().all(serves));
    }

    let (warm, end) = (warm.expect("time for a warm start"), Costs::of(&care));
    println!("{} transitions in {:.0?}: from {warm:?} to {end:?}", transitions(&care), began.elapsed());
    assert!(end.descriptors.abs_diff(warm.descriptors) <= 3, "{warm:?}, {end:?}");
    assert!(end.resident < warm.resident + 512, "{warm:?}, {end:?}");
    assert_eq!((warm.threads, end.threads), (1, 1));
}

#[test]
fn an_idle_daemon_costs_next_to_nothing() {
    const WHILE: Duration = Duration::from_secs(20);
    let lab = Lab::new();
    let care = Care::judged(&lab, &[]);
    let probes = || lab.masters().iter().map(|m| m.control().stats().healthz).sum::<u64>();
    let (used, asked, began) = (care.cpu_time(), probes(), Instant::now());
    thread::sleep(WHILE);
    let (used, asked, time) = (care.cpu_time().saturating_sub(used), probes() - asked, began.elapsed());
    let per_minute = used.mul_f64(60.0 / time.as_secs_f64());
    println!(
        "idle: RSS {} KiB, PSS {} KiB, at most {} KiB; {} files, {} thread; {} ms of processor a minute, \
         with {asked} probes in {time:.0?}",
        care.memory("VmRSS"),
        care.memory("Pss"),
        care.memory("VmHWM"),
        care.descriptors(),
        care.memory("Threads"),
        per_minute.as_millis()
    );
    assert_eq!(care.memory("Threads"), 1);
    assert!(care.memory("VmRSS") < 16 << 10);
    // The machine may be twenty times slower than a real one.
    assert!(per_minute < Duration::from_secs(6), "{per_minute:?}");
}
