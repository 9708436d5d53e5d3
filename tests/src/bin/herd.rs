//! Thousands of nodes and three apiservers, in virtual time: what do our defaults ask of each apiserver?
//!
//! The state machine, the times of questions, the life of a held connection and the pace of questions through the virtual
//! server are the daemon's own; network and apiserver are reduced to what they cost: a request, or a new connection with
//! its TLS handshake.

#![allow(clippy::print_stdout, reason = "a report is its purpose")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lvscare::checker::self_probe;
use lvscare::config::Policy;
use lvscare::health::cadence::{self, News, Situation};
use lvscare::health::machine::Machine;
use lvscare::health::{Condition, Failure, Outcome, Phase, Verdict};

const NODES: usize = 5_000;
const SERVERS: usize = 3;

/// The defaults of `lvscare care`.
const POLICY: Policy =
    Policy { interval: Duration::from_secs(5), fast_interval: Duration::from_millis(200), fall: 2, rise: 2 };
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A round trip with an answer.
const ANSWER: Duration = Duration::from_millis(3);
/// How long a connection is tried beside one that is silent, and a question is unanswered before others are asked.
const DOUBT: Duration = Duration::from_millis(250);

/// What a question and a handshake cost a kube-apiserver 1.20.2, in milliseconds of one core.
const REQUEST_COST: f64 = 0.34;
const HANDSHAKE_COST: f64 = 2.07;

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
    /// When the held connection is to be renewed; `None`: there is none.
    held_until: Option<Duration>,
    /// When it is asked next in turn.
    planned: Duration,
}

/// A question to a server: when, by which checker, and whether it is in turn.
type Event = Reverse<(Duration, usize, bool)>;

/// What an apiserver has to do, in slices of a tenth of a second.
#[derive(Default)]
struct Work {
    requests: Vec<u32>,
    connections: Vec<u32>,
}

/// How much was done a second: on average, in the busiest second, and in the busiest tenth of one.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    mean: f64,
    second: u32,
    tenth: u32,
}

impl Work {
    fn count(slices: &mut Vec<u32>, time: Duration) {
        let slice = usize::try_from(time.as_millis() / 100).unwrap_or_default();
        slices.resize(slices.len().max(slice + 1), 0);
        slices[slice] += 1;
    }

    /// What was done between two times, in seconds.
    fn load(slices: &[u32], (from, to): (u32, u32)) -> Load {
        let at = |second: u32| (second as usize * 10).min(slices.len());
        let slices = &slices[at(from)..at(to)];
        Load {
            mean: f64::from(slices.iter().sum::<u32>()) / f64::from(to - from),
            second: slices.windows(10).map(|window| window.iter().sum()).max().unwrap_or_default(),
            tenth: slices.iter().copied().max().unwrap_or_default(),
        }
    }
}

/// All nodes.
struct Herd {
    trouble: Trouble,
    random: fastrand::Rng,
    epoch: Instant,
    checkers: Vec<Checker>,
    queue: BinaryHeap<Event>,
    /// Questions through the virtual server: when, and by which node.
    self_probes: BinaryHeap<Reverse<(Duration, usize)>>,
    work: [Work; SERVERS],
}

impl Herd {
    /// Nodes that all start within `start`.
    fn new(trouble: Trouble, start: Duration) -> Self {
        let epoch = Instant::now();
        let mut herd = Self {
            trouble,
            random: fastrand::Rng::with_seed(5),
            epoch,
            checkers: Vec::new(),
            queue: BinaryHeap::new(),
            self_probes: BinaryHeap::new(),
            work: Default::default(),
        };
        for node in 0..NODES {
            let begin = start.mul_f64(herd.random.f64());
            let first = begin + self_probe::first_pause(herd.random.f64());
            herd.self_probes.push(Reverse((first, node)));
            for server in 0..SERVERS {
                let machine = Machine::new(POLICY, Verdict::presumed(Condition::Alive, epoch));
                let chance = herd.random.f64();
                let planned = begin + cadence::first(&POLICY, Condition::Alive, SERVERS - 1, chance);
                herd.queue.push(Reverse((planned, node * SERVERS + server, true)));
                herd.checkers.push(Checker { machine, held_until: None, planned });
            }
            // The end of a killed server's connections wakes everybody at once; that nobody acknowledges anything is
            // noticed when the second sign of life is due.
            let ended = match trouble {
                Trouble::None => continue,
                Trouble::Killed(at, _) => at,
                Trouble::CutOff(at, _) => at + Duration::from_secs(1).mul_f64(1.0 + herd.random.f64()),
            };
            herd.queue.push(Reverse((ended, node * SERVERS, false)));
        }
        herd
    }

    /// Lets them live for a while, and returns the work of each apiserver.
    fn live(mut self, length: Duration) -> [Work; SERVERS] {
        while let Some(Reverse((time, index, in_turn))) = self.queue.pop() {
            if time > length {
                break;
            }
            while let Some(&Reverse((due, node))) =
                self.self_probes.peek().filter(|Reverse((due, _))| *due <= time)
            {
                self.self_probes.pop();
                let works = self.self_probe(node, due);
                self.self_probes.push(Reverse((due + self_probe::pause(works, self.random.f64()), node)));
            }
            // Whatever was planned before a question out of turn is void.
            if !in_turn || time == self.checkers[index].planned {
                self.ask(index, time, in_turn);
            }
        }
        self.work
    }

    fn is_alive(&self, index: usize) -> bool {
        self.checkers[index].machine.verdict().condition == Condition::Alive
    }

    /// The checkers of the same node beside this one.
    fn others(index: usize) -> impl Iterator<Item = usize> {
        let node = index / SERVERS * SERVERS;
        (node..node + SERVERS).filter(move |other| *other != index)
    }

    fn ask(&mut self, index: usize, time: Duration, in_turn: bool) {
        let server = index % SERVERS;
        let outcome = self.trouble.at(time).filter(|_| server == 0).unwrap_or(Outcome::Ready);
        // Where a held connection was silent, another one that does not come about is the second witness.
        let twice = outcome.is_silence() && self.checkers[index].held_until.take().is_some();
        let took = match &outcome {
            Outcome::Ready => ANSWER,
            silence if silence.is_silence() => {
                if twice {
                    DOUBT
                } else {
                    CONNECT_TIMEOUT
                }
            }
            _ => ANSWER / 3,
        };
        let checker = &mut self.checkers[index];
        if outcome == Outcome::Ready {
            if checker.held_until.is_none_or(|until| time >= until) {
                checker.held_until = Some(time + cadence::renewal(&POLICY, self.random.f64()));
                Work::count(&mut self.work[server].connections, time);
            }
            Work::count(&mut self.work[server].requests, time);
        } else {
            checker.held_until = None;
        }
        if twice {
            // Two others are asked what they know.
            self.queue.extend(Self::others(index).map(|other| Reverse((time + DOUBT, other, false))));
        }
        let now = self.epoch + time + took;
        let mut transition = None;
        for _ in 0..=u8::from(twice) {
            transition = checker.machine.observe(&outcome, now).or(transition);
        }
        let news = checker.machine.news(&outcome, transition.as_ref());
        let delay = self.situation(index, news, in_turn, now).pause(&POLICY, self.random.f64());
        // The next attempt keeps its distance from the beginning of one that was silent.
        let next = if outcome.is_silence() { delay.max(took) } else { took + delay };
        self.checkers[index].planned = time + next;
        self.queue.push(Reverse((time + next, index, true)));
    }

    fn situation(&self, index: usize, news: News, in_turn: bool, now: Instant) -> Situation {
        let machine = &self.checkers[index].machine;
        let others = Self::others(index).filter(|&other| self.is_alive(other)).count();
        Situation {
            condition: machine.verdict().condition,
            outage: machine.outage(now),
            others,
            news,
            in_turn,
        }
    }

    /// A question through the virtual server of a node; says whether it was answered.
    fn self_probe(&mut self, node: usize, time: Duration) -> bool {
        let serving: Vec<usize> =
            (0..SERVERS).filter(|server| self.is_alive(node * SERVERS + server)).collect();
        let Some(&server) = serving.get(self.random.usize(..serving.len().max(1))) else { return false };
        let answered = server > 0 || self.trouble.at(time).is_none();
        if answered {
            Work::count(&mut self.work[server].connections, time);
            Work::count(&mut self.work[server].requests, time);
        }
        answered
    }
}

/// What happens, and what it may cost.
struct Row {
    name: &'static str,
    trouble: Trouble,
    /// Within how many seconds all nodes start.
    start: u64,
    /// The seconds to look at.
    window: (u32, u32),
    /// Whose work to look at.
    server: usize,
    /// At most so many requests and connections in the busiest second; in steady state, on average.
    goal: Option<(u32, u32)>,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The work of a server that is fine.
const STEADY: Row = Row {
    name: "steady",
    trouble: Trouble::None,
    start: 5,
    window: (600, 900),
    server: 0,
    goal: Some((1050, 50)),
};

const ROWS: [Row; 8] = [
    STEADY,
    Row {
        name: "all nodes start within one second",
        start: 1,
        window: (0, 10),
        goal: Some((u32::MAX, 2500)),
        ..STEADY
    },
    Row {
        name: "is killed, returns after 5 s",
        trouble: Trouble::Killed(seconds(60), seconds(65)),
        window: (64, 72),
        goal: None,
        ..STEADY
    },
    Row {
        name: "is killed, returns after 30 s",
        trouble: Trouble::Killed(seconds(60), seconds(90)),
        window: (89, 100),
        goal: Some((3600, 1800)),
        ..STEADY
    },
    Row {
        name: "is killed, returns after 5 min",
        trouble: Trouble::Killed(seconds(60), seconds(360)),
        window: (359, 375),
        goal: Some((2200, 1100)),
        ..STEADY
    },
    Row {
        name: "is cut off for 30 s",
        trouble: Trouble::CutOff(seconds(60), seconds(90)),
        window: (89, 100),
        goal: Some((4000, 2000)),
        ..STEADY
    },
    Row {
        name: "is cut off for 5 min",
        trouble: Trouble::CutOff(seconds(60), seconds(360)),
        window: (359, 375),
        goal: Some((2200, 1100)),
        ..STEADY
    },
    Row {
        name: "another one is cut off",
        trouble: Trouble::CutOff(seconds(60), seconds(90)),
        window: (60, 90),
        server: 1,
        goal: None,
        ..STEADY
    },
];

impl Row {
    /// Requests and connections.
    fn loads(&self) -> [Load; 2] {
        let work = Herd::new(self.trouble, seconds(self.start)).live(seconds(self.window.1.into()));
        let Work { requests, connections } = &work[self.server];
        [requests, connections].map(|slices| Work::load(slices, self.window))
    }

    fn is_kept(&self, [requests, connections]: [Load; 2]) -> bool {
        let is_steady = matches!(self.trouble, Trouble::None) && self.start > 1;
        let figure = |load: Load| if is_steady { load.mean } else { f64::from(load.second) };
        self.goal.is_none_or(|(most_requests, most_connections)| {
            figure(requests) <= f64::from(most_requests) && figure(connections) <= f64::from(most_connections)
        })
    }
}

fn main() -> ExitCode {
    println!("{NODES} nodes, {SERVERS} apiservers, defaults: what one apiserver gets");
    println!();
    println!("{:34} {:^26}   {:^26} {:>7} {:>8}", "", "requests", "new connections", "cores", "goal");
    let three = format!("{:>8} {:>8} {:>8}", "mean/s", "in 1 s", "in 0.1 s");
    println!("{:34} {three}   {three} {:>7}", "", "in 1 s");
    let mut all_kept = true;
    for row in ROWS {
        let loads @ [requests, connections] = row.loads();
        let is_kept = row.is_kept(loads);
        all_kept &= is_kept;
        let [r, c] = loads.map(|Load { mean, second, tenth }| format!("{mean:>8.0} {second:>8} {tenth:>8}"));
        let cost = f64::from(requests.second) * REQUEST_COST + f64::from(connections.second) * HANDSHAKE_COST;
        let goal = row.goal.map_or("", |_| if is_kept { "kept" } else { "MISSED" });
        println!("{:34} {r}   {c} {:>7.1} {goal:>8}", row.name, cost / 1000.0);
    }
    println!();
    println!("Busiest second and tenth of a second; cores of an apiserver in its busiest second.");
    if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_apiserver_is_asked_for_more_than_it_can_spare() {
        for row in ROWS {
            let loads = row.loads();
            assert!(row.is_kept(loads), "{}: {loads:?}, goal {:?}", row.name, row.goal);
        }
    }
}
