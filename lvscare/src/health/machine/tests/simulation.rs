//! A day in the life of servers that come and go, on a clock that costs nothing.

use std::ops::Range;

use fastrand::Rng;

use super::*;
use crate::health::cadence::{self, Situation};
use crate::jitter::SPREAD;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PROBE: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(2);

/// How the server is when it is down.
#[derive(Clone, Copy, Debug)]
enum Downtime {
    /// The process is gone; its host refuses.
    Refusing,
    /// The host is gone; nothing comes back.
    Silent,
}

/// A server that is down in known windows, and answers one probe in so many too late while it is up.
struct Server {
    windows: Vec<Range<Duration>>,
    downtime: Downtime,
    loss: f64,
    /// How many others serve meanwhile.
    others: usize,
}

/// What was said about the server, and when.
type Diary = Vec<(Duration, Condition)>;

impl Server {
    /// Down between one and ten minutes, up between one and sixty, all day.
    fn random(random: &mut Rng, downtime: Downtime, loss: f64, others: usize) -> Self {
        let mut windows = Vec::new();
        let mut time = Duration::ZERO;
        loop {
            let from = time + Duration::from_secs_f64(60.0 + 3540.0 * random.f64());
            time = from + Duration::from_secs_f64(60.0 + 540.0 * random.f64());
            if time + Duration::from_secs(60) > DAY {
                return Self { windows, downtime, loss, others };
            }
            windows.push(from..time);
        }
    }

    fn is_down(&self, time: Duration) -> bool {
        self.windows.iter().any(|window| window.contains(&time))
    }

    /// What a probe that starts at `time` sees, and how long it takes.
    fn answer(&self, time: Duration, lost: bool) -> (Outcome, Duration) {
        match (self.is_down(time), self.downtime) {
            (true, Downtime::Refusing) => (REFUSED, PROBE),
            (true, Downtime::Silent) => (SILENCE, TIMEOUT),
            (false, _) if lost => (SILENCE, TIMEOUT),
            (false, _) => (Outcome::Ready, PROBE),
        }
    }

    fn situation(&self, machine: &Machine, news: News, now: Instant) -> Situation {
        let (condition, outage) = (machine.verdict().condition, machine.outage(now));
        Situation { condition, outage, others: self.others, news, in_turn: true }
    }

    /// A day of probes by a machine, as the checker makes them.
    fn watch(&self, policy: Policy, random: &mut Rng) -> (Diary, usize) {
        let start = Instant::now();
        let mut machine = Machine::new(policy, Verdict::presumed(Condition::Alive, start));
        let mut diary = Diary::new();
        let mut probes = 0;
        let mut time = Duration::ZERO;
        let mut lost = false;
        while time < DAY {
            // Never two in a row: that would be a failure.
            lost = !lost && random.f64() < self.loss;
            let (outcome, took) = self.answer(time, lost);
            time += took;
            probes += 1;
            let transition = machine.observe(&outcome, start + time);
            diary.extend(transition.iter().map(|transition| (time, transition.to)));
            let news = machine.news(&outcome, transition.as_ref());
            time += self.situation(&machine, news, start + time).pause(&policy, random.f64());
        }
        (diary, probes)
    }
}

/// Checks that each window shows as exactly one death and one return, each within its bound.
fn assert_follows(server: &Server, policy: Policy, diary: &Diary) {
    assert_eq!(diary.len(), 2 * server.windows.len(), "{:?}", server.downtime);
    let step = policy.fast_interval.mul_f64(1.0 + SPREAD);
    let interval = cadence::longest_interval(&policy);
    let (first, each) = match server.downtime {
        // The last good probe may have been the moment before; a probe that was lost then costs its limit.
        Downtime::Refusing => (interval + PROBE, PROBE + step),
        Downtime::Silent => (interval + TIMEOUT, TIMEOUT + step),
    };
    let first = if server.loss > 0.0 { first + TIMEOUT + step } else { first };
    for (window, said) in server.windows.iter().zip(diary.chunks(2)) {
        let [(died, Condition::Dead), (returned, Condition::Alive)] = *said else {
            panic!("{window:?} shows as {said:?}");
        };
        let fall = first + each * (policy.fall - 1);
        assert!((window.start..=window.start + fall).contains(&died), "{window:?} noticed at {died:?}");
        // At worst a probe has just begun to wait for the silent server, the next one comes late because it was
        // out for long; and where one is lost, twice, it begins anew.
        let outage = window.end.saturating_sub(window.start);
        let others = server.others;
        let situation =
            Situation { condition: Condition::Dead, outage, others, news: News::Same, in_turn: true };
        let backoff = situation.backoff(&policy).mul_f64(1.0 + SPREAD);
        let rise = (TIMEOUT + backoff + (PROBE + step) * policy.rise) * 3;
        assert!((window.end..=window.end + rise).contains(&returned), "{window:?} over at {returned:?}");
    }
}

#[test]
fn a_day_with_flapping_servers() {
    let mut random = Rng::with_seed(6443);
    for (fall, rise) in [(1, 1), (2, 2), (3, 2), (5, 3)] {
        for downtime in [Downtime::Refusing, Downtime::Silent] {
            // With a fall of 1 every lost probe is a death, as asked for.
            let loss = if fall == 1 { 0.0 } else { 0.01 };
            for others in [0, 1, 2] {
                let server = Server::random(&mut random, downtime, loss, others);
                let policy = policy(fall, rise);
                let (diary, _) = server.watch(policy, &mut random);
                assert!(server.windows.len() > 20, "a day has {} windows only", server.windows.len());
                assert_follows(&server, policy, &diary);
            }
        }
    }
}

/// One probe in twenty gets lost, and nobody is ever taken out; nor is the server asked much more often.
#[test]
fn a_day_with_a_lossy_network() {
    let mut random = Rng::with_seed(97);
    let server = Server { windows: Vec::new(), downtime: Downtime::Silent, loss: 0.05, others: 2 };
    let (diary, probes) = server.watch(policy(2, 2), &mut random);
    assert_eq!(diary, []);
    assert!((17_000..19_000).contains(&probes), "{probes} probes in a day");
}
