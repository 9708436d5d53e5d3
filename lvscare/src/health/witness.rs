//! Is a server lost, or is it this node that is cut off? Pure: what was seen and the time go in, the answer comes out.
//!
//! Silence, a host that cannot be reached and TLS that fails can all be this node's own trouble: a switch port that
//! resets, a bond that fails over, a wrong clock. Such trouble passes, TCP survives it, and whoever had cut the
//! connections meanwhile would have done the only damage. So a server that is taken for dead for such a reason gets no
//! new connections, but it stays in the table, and whoever is connected stays connected, until there is a **witness**:
//! another server that answered a question which began after the one that failed. The accused server, then, must
//!
//! 1. have been silent since, although the way out of this node has worked for a while (its neighbours are found again
//!    one by one, see [`SETTLE`]), and
//! 2. have been asked once more since it was taken for dead, and not have answered in a time in which others do.
//!
//! Where packets are lost (the kernel gives up a held connection, or sees a question not acknowledged) it takes less: others
//! are asked at once while the server is dialled three times in a row, and it is lost if one of them answers before the last
//! time. So no new connections and the end of the open ones are one step. It is enough only while nobody can be waiting for
//! a neighbour to be found: within a moment (see [`REMEMBERED`]), and with a next hop that has been known all along.
//!
//! A server that answers, but not as TLS should, is confirmed by one that has shown its certificate since.
//!
//! ```text
//!  accused   ?·······························✗ dead    ?············✗ lost
//!  another          ?!                                  ?!
//!                    └─ the way has worked since        └─ and works now
//! ```

use std::time::{Duration, Instant};

/// A question that has not been answered after this time is in doubt: others are asked what they know.
pub const DOUBT: Duration = Duration::from_millis(250);

/// When the way out of this node comes back, each neighbour is looked for anew, and again a second later
/// (`retrans_time_ms` of `/proc/sys/net/ipv4/neigh`): the first may answer a second before the last can be heard.
pub const SETTLE: Duration = Duration::from_millis(1200);

/// For so long after the first question that was not answered, every neighbour that was known is known: it is given up only
/// when three questions to it are lost, one a second (`ucast_solicit` and `retrans_time_ms` of `/proc/sys/net/ipv4/neigh`),
/// and two of these seconds may be over when the kernel gives up a held connection. A node that loses its own link forgets
/// them sooner, which shows.
pub const REMEMBERED: Duration = Duration::from_secs(1);

/// Whoever takes so many times as long as usual does not answer.
const TIMES_AS_LONG: u32 = 8;

/// Another server has answered a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it was asked.
    pub began: Instant,
    /// When the answer came.
    pub ended: Instant,
    /// Whether it was asked over a connection of its own, with whatever handshakes that takes.
    pub anew: bool,
}

/// What is held against one server since it last answered.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// When the first question began that it did not answer.
    accused: Instant,
    /// When it was first asked again after it was taken for dead.
    retried: Option<Instant>,
    /// Since when the way out of this node is known to work.
    works_since: Option<Instant>,
    /// Somebody has answered a question that began after `retried`.
    works_now: bool,
    /// Somebody has made a new connection since.
    works_anew: bool,
}

impl Trial {
    /// A question that began then is not answered.
    pub fn new(began: Instant) -> Self {
        Self { accused: began, retried: None, works_since: None, works_now: false, works_anew: false }
    }

    /// The server is taken for dead and asked again.
    pub fn retry(&mut self, began: Instant) {
        self.retried.get_or_insert(began);
    }

    /// Whether the answer would tell something new.
    pub fn wants(&self, answer: &Answer) -> bool {
        let mut heard = *self;
        heard.hear(answer);
        (heard.works_since, heard.works_now, heard.works_anew)
            != (self.works_since, self.works_now, self.works_anew)
    }

    /// Another server, which is not this node itself, has answered.
    pub fn hear(&mut self, answer: &Answer) {
        if answer.began <= self.accused {
            return;
        }
        self.works_since = Some(self.works_since.map_or(answer.ended, |since| since.min(answer.ended)));
        self.works_now |= self.retried.is_some_and(|retried| answer.began > retried);
        self.works_anew |= answer.anew;
    }

    /// Whether the server is lost although the present question, which began at `began`, is still open. An answer
    /// takes `usual` otherwise.
    pub fn proves_silence(&self, began: Instant, usual: Duration, now: Instant) -> bool {
        let retried = self.retried.is_some_and(|retried| began >= retried);
        let given = now.saturating_duration_since(began);
        retried && given >= DOUBT + usual * TIMES_AS_LONG && self.proves_failed_silence(now)
    }

    /// Whether the server is lost when a question has just come to nothing in silence.
    pub fn proves_failed_silence(&self, now: Instant) -> bool {
        let settled = |since| now.saturating_duration_since(since) >= SETTLE;
        self.works_now && self.works_since.is_some_and(settled)
    }

    /// Whether the server is lost when neither a held connection nor a new one was acknowledged, which was dialled last at
    /// `dialled`. Its next hop has been known all the time.
    pub fn proves_lost_packets(&self, dialled: Instant, now: Instant) -> bool {
        let is_remembered = now.saturating_duration_since(self.accused) <= REMEMBERED;
        is_remembered && self.works_since.is_some_and(|since| since <= dialled)
    }

    /// Whether the server is lost when it has just answered wrongly.
    pub fn proves_failure(&self) -> bool {
        self.works_anew
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const USUAL: Duration = Duration::from_millis(3);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn answer(start: Instant, began: u64, ended: u64) -> Answer {
        Answer { began: start + millis(began), ended: start + millis(ended), anew: false }
    }

    /// A vanished host: it is asked at 0, taken for dead after two seconds and asked again at once. Others answer.
    #[test]
    fn a_vanished_host_is_lost_a_moment_after_its_limit() {
        let start = Instant::now();
        let mut trial = Trial::new(start);
        trial.hear(&answer(start, 250, 253));
        let again = start + millis(2000);
        trial.retry(again);
        trial.hear(&answer(start, 2001, 2004));
        assert!(!trial.proves_silence(again, USUAL, again + DOUBT));
        assert!(trial.proves_silence(again, USUAL, again + DOUBT + millis(24)));
    }

    /// Each line: the answers of others, and whether they prove that the server is lost which was asked at 0, taken for
    /// dead and asked again at 2000, and has not answered at 4000.
    #[test]
    fn what_a_witness_must_have_seen() {
        let cases: [(&[(u64, u64)], bool); 7] = [
            (&[], false),
            (&[(250, 253), (2001, 2004)], true),
            // Asked before the accused was.
            (&[(0, 253), (0, 3000)], false),
            // The way has worked before, but who knows whether it does now.
            (&[(250, 253)], false),
            (&[(250, 253), (1999, 2500)], false),
            // Somebody is back, others may need a moment longer.
            (&[(2001, 2801)], false),
            (&[(2001, 2800)], true),
        ];
        let start = Instant::now();
        for (answers, lost) in cases {
            let mut trial = Trial::new(start);
            trial.retry(start + millis(2000));
            for &(began, ended) in answers {
                trial.hear(&answer(start, began, ended));
            }
            assert_eq!(trial.proves_failed_silence(start + millis(4000)), lost, "{answers:?}");
        }
    }

    /// The kernel has given up a held connection at 0; the server is dialled at once, and the last time after 166 ms. Each
    /// line: the answers of others, when the new connection was given up as well, and whether the server is lost.
    #[test]
    fn who_is_dialled_in_vain_while_the_way_works_is_lost() {
        let cases = [
            (vec![], 250, false),
            (vec![(1, 4)], 250, true),
            (vec![(1, 166)], 250, true),
            // By then nobody dialled any more.
            (vec![(1, 167)], 250, false),
            // Asked before.
            (vec![(0, 4)], 250, false),
            // Whoever is so far away may have been forgotten on the way.
            (vec![(1, 4)], 1000, true),
            (vec![(1, 4)], 1001, false),
        ];
        let start = Instant::now();
        for (answers, now, lost) in cases {
            let mut trial = Trial::new(start);
            for &(began, ended) in &answers {
                trial.hear(&answer(start, began, ended));
            }
            let proved = trial.proves_lost_packets(start + millis(166), start + millis(now));
            assert_eq!(proved, lost, "{answers:?} {now}");
        }
    }

    /// A wrong clock, a wrong authority: who was connected before goes on answering.
    #[test]
    fn who_fails_a_handshake_is_confirmed_by_a_handshake() {
        let start = Instant::now();
        let mut trial = Trial::new(start);
        trial.hear(&answer(start, 5, 10));
        assert!(!trial.proves_failure());
        trial.hear(&Answer { anew: true, ..answer(start, 0, 10) });
        assert!(!trial.proves_failure(), "asked before");
        trial.hear(&Answer { anew: true, ..answer(start, 5, 10) });
        assert!(trial.proves_failure());
    }

    proptest! {
        /// Never without an answer to a question that began after the failing one, and after it was asked again.
        #[test]
        fn nobody_is_lost_without_a_witness(
            accused in 0_u64..3000,
            retried in prop::option::of(0_u64..6000),
            answers in vec((0_u64..9000, 0_u64..3000, any::<bool>()), 0..12),
            now in 0_u64..12_000,
        ) {
            let start = Instant::now();
            let mut trial = Trial::new(start + millis(accused));
            if let Some(retried) = retried {
                trial.retry(start + millis(retried));
            }
            for &(began, took, anew) in answers.iter().filter(|(began, took, _)| began + took <= now) {
                trial.hear(&Answer { anew, ..answer(start, began, began + took) });
            }
            let now_then = start + millis(now);
            let after = |time: u64| answers.iter().any(|&(began, took, _)| began > time && began + took <= now);
            if trial.proves_failed_silence(now_then) {
                prop_assert!(after(accused) && retried.is_some_and(after));
            }
            for dialled in 0..now {
                if trial.proves_lost_packets(start + millis(dialled), now_then) {
                    prop_assert!(after(accused));
                }
            }
            if trial.proves_failure() {
                prop_assert!(after(accused));
            }
        }

        /// The same where the kernel has given up a held connection: from `heard` on, the last sign of life before an outage
        /// that begins at 5000, nothing came for two seconds. With `forgets` the link was lost and all neighbours with it.
        #[test]
        fn an_outage_of_this_node_loses_nobody_whom_the_kernel_has_given_up(
            outage in 1_u64..4000,
            heard in (4000_u64..5000, 4000_u64..5000),
            forgets: bool,
        ) {
            let back = 5000 + outage;
            // Of a forgotten neighbour the first packet in the outage asks, and then each second.
            let found = |heard: u64| {
                if forgets { heard + (back - heard).next_multiple_of(1000) } else { back }
            };
            let given_up = heard.0 + 2000;
            let dials = [0, 83, 166].map(|pause| given_up + pause);
            let end = given_up + 250;
            let is_known = |time| !forgets || time >= found(heard.0);
            // What was sent to a neighbour that is looked for leaves when it is found.
            let is_answered = dials.iter().any(|&dial| dial >= back || (forgets && found(heard.0) < end));
            // The kernel sends the question to the witness again.
            let repeats = [0, 200, 600, 1400, 3000].map(|pause| given_up + 1 + pause);
            let witness = found(heard.1);
            let answered = repeats.into_iter().find(|&time| time >= back).map(|time| time.max(witness));

            let start = Instant::now();
            let mut trial = Trial::new(start + millis(given_up));
            if let Some(answered) = answered.filter(|&answered| answered <= end) {
                trial.hear(&answer(start, given_up + 1, answered));
            }
            let is_lost = is_known(given_up)
                && trial.proves_lost_packets(start + millis(dials[2]), start + millis(end))
                && is_known(end);
            prop_assert!(is_answered || !is_lost);
        }

        /// However the way out of this node comes and goes: while every server answers as soon as it can be reached, and
        /// neighbours are found within a second after that, none is lost.
        #[test]
        fn an_outage_of_this_node_loses_nobody(
            outage in 1_u64..9000,
            asked_before in 0_u64..40,
            delays in (0_u64..1000, 0_u64..1000),
            period in 100_u64..2500,
        ) {
            let before = Instant::now();
            let start = before + millis(asked_before);
            let [back, witness_back] = [outage + delays.0, outage + delays.1];
            // The accused is asked a moment before the outage or in it, and then again and again until it is back.
            let mut trial = Trial::new(before);
            let mut now = 0;
            let mut round = 2000;
            while now < back {
                if now >= round {
                    trial.retry(start + millis(round));
                    round += 1000;
                }
                // The other one answers once it is back, whatever it was asked.
                if now >= witness_back {
                    trial.hear(&answer(start, now.saturating_sub(period), now));
                }
                let began = start + millis(round.saturating_sub(1000));
                prop_assert!(!trial.proves_silence(began, USUAL, start + millis(now)), "{now} of {back}");
                now += 50;
            }
        }
    }
}
