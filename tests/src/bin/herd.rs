//! Five thousand nodes and three apiservers, in virtual time: what do our defaults ask of each apiserver?
//!
//! The state machine, its delays, the life of a held connection and the pace of questions through the virtual server are
//! the daemon's own; network and apiserver are reduced to what they cost: a request, or a new connection with its TLS
//! handshake.

#![allow(clippy::print_stdout, reason = "a report is its purpose")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use lvscare::config::Policy;
use lvscare::health::machine::Machine;
use lvscare::health::probe::renewal;
use lvscare::health::{Condition, Failure, Outcome, Phase, Verdict, through};

const NODES: usize = 5_000;
const SERVERS: usize = 3;

/// The defaults of `lvscare care`.
const POLICY: Policy =
    Policy { interval: Duration::from_secs(2), fast_interval: Duration::from_millis(200), fall: 2, rise: 2 };
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A round trip with an answer.
const ANSWER: Duration = Duration::from_millis(3);

/// What is wrong with the first apiserver, and when; the others are fine.
#[derive(Clone, Copy)]
enum Trouble {
    None,
    /// The process is gone: connections end, new ones are refused.
    Killed(Duration, Duration),
    /// Nothing gets through.
    CutOff(Duration, Duration),
}

impl Trouble {
    fn at(self, time: Duration) -> Option<Outcome> {
        match self {
            Self::Killed(from, to) if (from..to).contains(&time) => Some(Outcome::Failed(Failure::Refused)),
            Self::CutOff(from, to) if (from..to).contains(&time) => {
                Some(Outcome::Failed(Failure::TimedOut(Phase::Connect)))
            }
            _ => None,
        }
    }
}

/// One node's view of one apiserver.
struct Checker {
    machine: Machine,
    server: usize,
    /// When the held connection is to be renewed; `None`: there is none.
    held_until: Option<Duration>,
}

/// What an apiserver has to do, in slices of a tenth of a second.
#[derive(Default)]
struct Work {
    requests: Vec<u32>,
    connections: Vec<u32>,
}

impl Work {
    fn count(slices: &mut Vec<u32>, time: Duration, number: u32) {
        let slice = usize::try_from(time.as_millis() / 100).unwrap_or_default();
        slices.resize(slices.len().max(slice + 1), 0);
        slices[slice] += number;
    }

    /// The busiest second, and the busiest tenth of one, between two times.
    fn peaks(slices: &[u32], from: u64, to: u64) -> (u32, u32) {
        let (from, to) = (usize::try_from(from * 10), usize::try_from(to * 10));
        let (Ok(from), Ok(to)) = (from, to) else { return (0, 0) };
        let slices = &slices[from.min(slices.len())..to.min(slices.len())];
        let second = slices.windows(10).map(|window| window.iter().sum()).max().unwrap_or_default();
        (second, slices.iter().copied().max().unwrap_or_default())
    }
}

/// Lets all nodes live for a while, all started within `start`, and returns the work of the first apiserver.
fn simulate(trouble: Trouble, start: Duration, length: Duration) -> Work {
    let mut random = fastrand::Rng::with_seed(5);
    let epoch = Instant::now();
    let mut work = Work::default();
    let mut checkers = Vec::new();
    let mut queue = BinaryHeap::new();
    let mut planned = Vec::new();
    let mut throughs = BinaryHeap::new();
    for node in 0..NODES {
        let begin = start.mul_f64(random.f64());
        throughs.push(Reverse((begin, node)));
        for server in 0..SERVERS {
            let machine = Machine::new(POLICY, Verdict::presumed(Condition::Alive, epoch));
            queue.push(Reverse((begin, node * SERVERS + server)));
            planned.push(begin);
            checkers.push(Checker { machine, server, held_until: None });
        }
    }
    // The end of a killed server's connections wakes everybody at once.
    if let Trouble::Killed(at, _) = trouble {
        queue.extend((0..NODES).map(|node| Reverse((at, node * SERVERS))));
    }

    while let Some(Reverse((time, index))) = queue.pop() {
        if time > length {
            break;
        }
        while let Some(&Reverse((due, node))) = throughs.peek().filter(|Reverse((due, _))| *due <= time) {
            throughs.pop();
            let works = ask_through(&checkers[node * SERVERS], trouble, due, &mut random, &mut work);
            throughs.push(Reverse((due + through::pause(works, random.f64()), node)));
        }
        // Whatever was planned before a trip-wire went off is void.
        let tripped = matches!(trouble, Trouble::Killed(at, _) if at == time);
        if time != planned[index] && !tripped {
            continue;
        }
        let checker = &mut checkers[index];
        let first = checker.server == 0;
        let bad = if first { trouble.at(time) } else { None };
        let (outcome, took) = match bad {
            Some(refused @ Outcome::Failed(Failure::Refused)) => (refused, ANSWER / 3),
            Some(silent) => (silent, CONNECT_TIMEOUT),
            None => (Outcome::Ready, ANSWER),
        };
        if outcome == Outcome::Ready {
            if checker.held_until.is_none_or(|until| time >= until) {
                checker.held_until = Some(time + renewal(random.f64()));
                if first {
                    Work::count(&mut work.connections, time, 1);
                }
            }
            if first {
                Work::count(&mut work.requests, time, 1);
            }
        } else {
            checker.held_until = None;
        }
        let now = time + took;
        checker.machine.observe(&outcome, epoch + now);
        planned[index] = now + checker.machine.delay(&outcome, random.f64(), epoch + now);
        queue.push(Reverse((planned[index], index)));
    }
    work
}

/// A question through the virtual server of a node that sees the first apiserver as `first`; says whether it was answered.
fn ask_through(
    first: &Checker,
    trouble: Trouble,
    time: Duration,
    random: &mut fastrand::Rng,
    work: &mut Work,
) -> bool {
    let serves = first.machine.verdict().condition == Condition::Alive;
    if !serves || random.usize(..SERVERS) > 0 {
        // Another one was met.
        return true;
    }
    let answered = trouble.at(time).is_none();
    if answered {
        Work::count(&mut work.connections, time, 1);
        Work::count(&mut work.requests, time, 1);
    }
    answered
}

fn main() {
    let seconds = Duration::from_secs;
    println!("{NODES} nodes, {SERVERS} apiservers, defaults: what one apiserver gets");
    println!();
    println!("{:44} {:>12} {:>12} {:>12} {:>12}", "", "requests/s", "in 0.1 s", "new conn./s", "in 0.1 s");
    let rows = [
        ("steady", Trouble::None, seconds(2), (60, 110)),
        ("all nodes start within one second", Trouble::None, seconds(1), (0, 5)),
        ("returns after 5 s", Trouble::Killed(seconds(60), seconds(65)), seconds(2), (64, 70)),
        ("returns after 30 s", Trouble::Killed(seconds(60), seconds(90)), seconds(2), (89, 95)),
        ("returns after 5 min", Trouble::Killed(seconds(60), seconds(360)), seconds(2), (359, 368)),
        ("partition of 30 s heals", Trouble::CutOff(seconds(60), seconds(90)), seconds(2), (89, 95)),
        ("partition of 5 min heals", Trouble::CutOff(seconds(60), seconds(360)), seconds(2), (359, 368)),
    ];
    for (name, trouble, start, (from, to)) in rows {
        let work = simulate(trouble, start, seconds(to));
        let (requests, requests_peak) = Work::peaks(&work.requests, from, to);
        let (connections, connections_peak) = Work::peaks(&work.connections, from, to);
        println!("{name:44} {requests:>12} {requests_peak:>12} {connections:>12} {connections_peak:>12}");
    }
    println!();
    println!("Figures are of the busiest second and the busiest tenth of a second in each situation.");
}
