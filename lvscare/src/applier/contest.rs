//! Somebody else who changes the same rules: how soon to look again, and whom to suspect. Pure.
//!
//! One look a second leaves rules that are deleted every second absent half of the time. So after somebody's change
//! the next looks follow soon, and ever more slowly while nothing happens.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::config::value::brief;
use crate::model::Change;

use super::refusals::created;

/// After somebody's change the next look comes after this fraction of the time since: what comes back regularly is
/// repaired within a twentieth of its period.
const FRACTION: u32 = 20;

/// Looking more often than this would cost more than it could save.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// Changes further apart than this have nothing to do with each other.
const MEMORY: Duration = Duration::from_secs(60);

/// So many passes in a row that had to repair something are a fight; fewer happen when a program starts or a person
/// tries something.
const PASSES: u64 = 3;

/// A fight is told of this often.
const REMINDER: Duration = Duration::from_secs(60);

/// What somebody does to the rules, as far as a repair shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    Deletion,
    Edit,
    Route,
    Sysctl,
}

impl Damage {
    /// Of which kind the damage is that `change` repairs.
    fn repaired_by(change: &Change) -> Self {
        match change {
            Change::AddService { .. } => Self::Deletion,
            Change::UpdateService { .. }
            | Change::RemoveService { .. }
            | Change::AddServer { .. }
            | Change::UpdateServer { .. }
            | Change::RemoveServer { .. } => Self::Edit,
            Change::SetRoute { .. } | Change::RemoveRoute { .. } => Self::Route,
            Change::SetSysctl { .. } => Self::Sysctl,
        }
    }

    /// What was done, and who does such things. A process in a pod sees no other processes: this is what is likely.
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Deletion => [
                "deletes virtual servers",
                "kube-proxy in mode ipvs without this address in excludeCIDRs, kube-proxy in mode nftables that \
                 keeps restarting, or keepalived",
            ],
            Self::Edit => [
                "changes their settings or real servers",
                "a second lvscare (static pod and service) or keepalived with the same virtual server",
            ],
            Self::Route => [
                "changes the local route",
                "a network manager that removes foreign routes (systemd-networkd: ManageForeignRoutes=no), or a \
                 second lvscare",
            ],
            Self::Sysctl => [
                "changes kernel settings",
                "a program that applies /etc/sysctl.d, as tuned does, or kube-proxy",
            ],
        }
    }
}

/// What others did lately.
#[derive(Debug, Default)]
pub(super) struct Contest {
    /// When the present series of changes began, and its latest one.
    series: Option<(Instant, Instant)>,
    /// Passes of the series that had to repair something.
    passes: u64,
    /// And how many of them had to repair what.
    damages: BTreeMap<Damage, u64>,
    said_at: Option<Instant>,
}

impl Contest {
    /// A pass had to make these changes because of somebody else.
    pub(super) fn add(&mut self, repairs: &[Change], now: Instant) {
        if repairs.is_empty() {
            return;
        }
        let began = match self.series {
            Some((began, latest)) if now.saturating_duration_since(latest) < MEMORY => began,
            _ => {
                (self.passes, self.damages, self.said_at) = (0, BTreeMap::new(), None);
                now
            }
        };
        self.series = Some((began, now));
        self.passes += 1;
        // The servers of a virtual server went with it.
        let is_part = |change: &Change| matches!(change, Change::AddServer { at, .. } if repairs.iter().any(|other| created(other) == Some(*at)));
        let kinds: std::collections::BTreeSet<Damage> =
            repairs.iter().filter(|change| !is_part(change)).map(Damage::repaired_by).collect();
        for kind in kinds {
            *self.damages.entry(kind).or_default() += 1;
        }
    }

    /// How long to wait before the next look.
    pub(super) fn pause(&self, resync: Duration, now: Instant) -> Duration {
        let Some((_, latest)) = self.series else { return resync };
        (now.saturating_duration_since(latest) / FRACTION).max(SHORTEST_PAUSE).min(resync)
    }

    /// The fight that is going on, for `status`.
    pub(super) fn describe(&self, now: Instant) -> Option<String> {
        let (began, latest) = self.series?;
        let age = now.saturating_duration_since(latest);
        if self.passes < PASSES || age >= MEMORY {
            return None;
        }
        let mut text = String::from("somebody else keeps changing the same rules:");
        for (index, (damage, times)) in self.damages.iter().enumerate() {
            let [what, who] = damage.words();
            let separator = if index == 0 { "" } else { ";" };
            let _ = write!(text, "{separator} it {what} ({times} times), likely {who}");
        }
        let _ = write!(
            text,
            "; for {}, lastly {} ago; `lvscare doctor` on the node looks for it",
            brief(now.saturating_duration_since(began)),
            brief(age)
        );
        Some(text)
    }

    /// The same once a minute, for the log.
    pub(super) fn announce(&mut self, now: Instant) -> Option<String> {
        let is_fresh = |at| now.saturating_duration_since(at) < REMINDER;
        if self.said_at.is_some_and(is_fresh) {
            return None;
        }
        let text = self.describe(now)?;
        self.said_at = Some(now);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::model::{Destination, Service, Sysctl};

    const RESYNC: Duration = Duration::from_secs(1);

    fn at() -> SocketAddr {
        ([10, 103, 97, 2], 6443).into()
    }

    fn service() -> Change {
        Change::AddService { at: at(), service: Service { scheduler: "rr".into(), flags: 0 } }
    }

    fn server() -> Change {
        let destination = Destination::masqueraded(1);
        Change::AddServer { at: at(), server: ([10, 0, 0, 1], 6443).into(), destination }
    }

    #[test]
    fn looks_come_soon_after_a_change_and_slow_down() {
        let (mut contest, start) = (Contest::default(), Instant::now());
        let after = |contest: &Contest, millis| contest.pause(RESYNC, start + Duration::from_millis(millis));
        assert_eq!(after(&contest, 0), RESYNC);
        contest.add(&[service()], start);
        for (since, pause) in
            [(0, 20), (100, 20), (400, 20), (1000, 50), (10_000, 500), (20_000, 1000), (3_600_000, 1000)]
        {
            assert_eq!(after(&contest, since).as_millis(), pause, "{since} ms after");
        }
        // Who wants to look often anyway still does.
        let often = Duration::from_millis(5);
        assert_eq!(contest.pause(often, start), often);
        contest.add(&[], start + Duration::from_secs(30));
        assert_eq!(after(&contest, 30_000), RESYNC, "nothing to repair is no change");
    }

    const MILLIS: u64 = 60_000;

    /// Somebody deletes the virtual server at this period: for how much of the time is it there?
    #[test]
    fn what_is_deleted_regularly_is_mostly_there() {
        for (period, least) in [(1000, 0.95), (100, 0.8)] {
            let (mut contest, start) = (Contest::default(), Instant::now());
            let (mut is_there, mut present, mut next_look) = (true, 0, 0);
            for milli in 0..MILLIS {
                let now = start + Duration::from_millis(milli);
                if milli % period == 37 {
                    is_there = false;
                }
                if milli >= next_look {
                    if !is_there {
                        contest.add(&[service()], now);
                    }
                    is_there = true;
                    next_look = milli + u64::try_from(contest.pause(RESYNC, now).as_millis()).unwrap();
                }
                present += u64::from(is_there);
            }
            #[expect(clippy::cast_precision_loss, reason = "a minute in milliseconds")]
            let share = present as f64 / MILLIS as f64;
            assert!(share > least, "every {period} ms: {share}");
        }
    }

    #[test]
    fn a_fight_is_told_of_once_a_minute_with_who_it_may_be() {
        let (mut contest, start) = (Contest::default(), Instant::now());
        let mut said = Vec::new();
        for second in 0..180 {
            let now = start + Duration::from_secs(second);
            contest.add(&[service(), server()], now);
            said.extend(contest.announce(now).map(|text| (second, text)));
        }
        let times: Vec<u64> = said.iter().map(|(second, _)| *second).collect();
        assert_eq!(times, [2, 62, 122]);
        assert!(said[0].1.contains("deletes virtual servers (3 times), likely kube-proxy"), "{said:?}");
        assert!(!said[2].1.contains("real servers (") && !said[2].1.contains("second lvscare"), "{said:?}");
    }

    #[test]
    fn each_kind_has_its_suspects() {
        let route = Change::SetRoute { vip: at().ip(), source: [10, 0, 0, 9].into() };
        let sysctl = Change::SetSysctl { sysctl: Sysctl::Conntrack, value: 1 };
        let kinds = [
            (service(), "kube-proxy in mode ipvs"),
            (server(), "a second lvscare"),
            (route, "ManageForeignRoutes"),
            (sysctl, "/etc/sysctl.d"),
        ];
        for (change, suspect) in kinds {
            let (mut contest, now) = (Contest::default(), Instant::now());
            (0..3).for_each(|_| contest.add(std::slice::from_ref(&change), now));
            let text = contest.describe(now).unwrap();
            assert!(text.contains(suspect), "{text}");
        }
    }

    /// A program starts and flushes the table: that is no fight.
    #[test]
    fn few_changes_are_no_fight() {
        let (mut contest, start) = (Contest::default(), Instant::now());
        for minute in 0..100 {
            let now = start + Duration::from_secs(61 * minute);
            contest.add(&[service()], now);
            contest.add(&[service()], now);
            assert_eq!(contest.describe(now), None);
        }
        let now = start + Duration::from_secs(61 * 99);
        contest.add(&[service()], now);
        assert!(contest.describe(now).is_some());
        assert_eq!(contest.describe(now + MEMORY), None, "it is over");
    }
}
