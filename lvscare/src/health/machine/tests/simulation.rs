//! A day in the life of servers that come and go, on a clock that costs nothing.

use std::ops::Range;

use fastrand::Rng;

use super::*;

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
}

/// What was said about the server, and when.
type Diary = Vec<(Duration, Condition)>;

impl Server {
    /// Down between one and ten minutes, up between one and sixty, all day.
    fn random(random: &mut Rng, downtime: Downtime, loss: f64) -> Self {
        let mut windows = Vec::new();
        let mut time = Duration::ZERO;
        loop {
            let from = time + Duration::from_secs_f64(60.0 + 3540.0 * random.f64());
            time = from + Duration::from_secs_f64(60.0 + 540.0 * random.f64());
            if time + Duration::from_secs(60) > DAY {
                return Self { windows, downtime, loss };
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
            if let Some(transition) = machine.observe(&outcome, start + time) {
                diary.push((time, transition.to));
            }
            time += machine.delay(&outcome, random.f64(), start + time);
        }
        (diary, probes)
    }
}

/// Checks that each window shows as exactly one death and one return, each within its bound.
fn assert_follows(server: &Server, policy: Policy, diary: &Diary) {
    assert_eq!(diary.len(), 2 * server.windows.len(), "{:?}", server.downtime);
    let step = policy.fast_interval.mul_f64(1.2);
    let (first, each) = match server.downtime {
        // The last good probe may have been the moment before; a probe that was lost then costs its limit.
        Downtime::Refusing => (policy.interval.mul_f64(1.2) + PROBE, PROBE + step),
        Downtime::Silent => (policy.interval.mul_f64(1.2) + TIMEOUT, TIMEOUT + step),
    };
    let first = if server.loss > 0.0 { first + TIMEOUT + step } else { first };
    for (window, said) in server.windows.iter().zip(diary.chunks(2)) {
        let [(died, Condition::Dead), (returned, Condition::Alive)] = *said else {
            panic!("{window:?} shows as {said:?}");
        };
        let fall = first + each * (policy.fall - 1);
        assert!((window.start..=window.start + fall).contains(&died), "{window:?} noticed at {died:?}");
        // At worst a probe has just begun to wait for the silent server, the next one comes late because it was
        // out for long, and one that is lost comes between.
        let rise = TIMEOUT + policy.interval.mul_f64(1.2) + (TIMEOUT + step + PROBE + step) * policy.rise;
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
            let server = Server::random(&mut random, downtime, loss);
            let policy = policy(fall, rise);
            let (diary, _) = server.watch(policy, &mut random);
            assert!(server.windows.len() > 20, "a day has {} windows only", server.windows.len());
            assert_follows(&server, policy, &diary);
        }
    }
}

/// One probe in twenty gets lost, and nobody is ever taken out; nor is the server asked much more often.
#[test]
fn a_day_with_a_lossy_network() {
    let mut random = Rng::with_seed(97);
    let server = Server { windows: Vec::new(), downtime: Downtime::Silent, loss: 0.05 };
    let (diary, probes) = server.watch(policy(2, 2), &mut random);
    assert_eq!(diary, []);
    assert!((40_000..46_000).contains(&probes), "{probes} probes in a day");
}

/// Thousands of nodes that start in step do not stay in step.
#[test]
fn nodes_spread_out() {
    let mut random = Rng::with_seed(31);
    let machine = judged(Condition::Alive);
    let second = Duration::from_secs(1).as_nanos();
    let mut per_tenth = [0_usize; 10];
    for _ in 0..1000 {
        let time: Duration =
            (0..60).map(|_| machine.delay(&Outcome::Ready, random.f64(), Instant::now())).sum();
        let tenth = time.as_nanos() % second * 10 / second;
        per_tenth[usize::try_from(tenth).unwrap()] += 1;
    }
    assert!(per_tenth.iter().all(|&nodes| (50..200).contains(&nodes)), "{per_tenth:?}");
}
