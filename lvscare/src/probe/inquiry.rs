//! What to ask, and what the answers mean. Pure.
//!
//! An apiserver that is ready is healthy as well: its `/readyz` does all the checks of `/healthz` and more. So `/readyz`
//! alone is asked while it is fine, and `/healthz` only to tell a server that drains from one that is sick. Of other
//! paths nobody knows what one says about the other; then both are asked, one after the other.

use std::collections::BTreeSet;

use crate::config::ProbeConfig;
use crate::health::Outcome;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Alive or dead?
    Health,
    /// Ready or draining?
    Readiness,
}

/// Which questions it takes to know all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// There is one question.
    Health,
    /// Whoever is ready is healthy.
    Readiness,
    /// The answers have nothing to do with each other.
    Both,
}

/// What a server does not tell, as far as it is known. It is asked again over each new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Untold {
    /// It tells all.
    #[default]
    Nothing,
    /// Whether it is ready.
    Readiness,
    /// Whether it is ready or healthy, to us.
    All,
}

/// The next step of an inquiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Ask(Question),
    Done(Outcome),
}

/// One round of questions to one server.
pub(super) struct Inquiry<'a> {
    plan: Plan,
    accepted: &'a BTreeSet<u16>,
    untold: Untold,
    health: Option<u16>,
    readiness: Option<u16>,
}

impl Plan {
    pub(super) fn of(config: &ProbeConfig) -> Self {
        let path = config.health_path.split('?').next();
        match config.ready_path.as_deref() {
            None => Self::Health,
            // With a query it leaves out checks.
            Some("/readyz") if matches!(path, Some("/healthz" | "/livez")) => Self::Readiness,
            Some(_) => Self::Both,
        }
    }
}

impl<'a> Inquiry<'a> {
    /// Nothing is known yet in this round. `accepted` are the statuses of the health path that count as alive besides the
    /// usual ones.
    pub(super) fn new(plan: Plan, accepted: &'a BTreeSet<u16>, untold: Untold) -> Self {
        Self { plan, accepted, untold, health: None, readiness: None }
    }

    /// The first question.
    pub(super) fn first(&self) -> Question {
        match self.next() {
            Step::Ask(question) => question,
            // Nothing is known before something was asked.
            Step::Done(_) => Question::Health,
        }
    }

    /// Takes in an answer.
    pub(super) fn heard(&mut self, question: Question, status: u16) {
        match question {
            Question::Health => self.health = Some(status),
            Question::Readiness => self.readiness = Some(status),
        }
        self.untold = match (self.readiness, self.health) {
            (Some(401 | 403), Some(401 | 403)) => Untold::All,
            (Some(401 | 403), None) if self.untold == Untold::All => Untold::All,
            (Some(401 | 403 | 404), _) => Untold::Readiness,
            (Some(_), _) => Untold::Nothing,
            (None, _) => self.untold,
        };
    }

    /// What is known now of what the server does not tell.
    pub(super) fn untold(&self) -> Untold {
        self.untold
    }

    /// What to do next.
    pub(super) fn next(&self) -> Step {
        let Some(health) = self.health else {
            return match (self.plan, self.readiness) {
                (Plan::Readiness, Some(status)) if is_success(status) => Step::Done(Outcome::Ready),
                // Neither question has been answered over this connection, and this one is not either.
                (Plan::Readiness, Some(401 | 403)) if self.untold == Untold::All => {
                    Step::Done(Outcome::Ready)
                }
                (Plan::Readiness, None) if self.untold != Untold::Readiness => Step::Ask(Question::Readiness),
                _ => Step::Ask(Question::Health),
            };
        };
        if !is_success(health) {
            // Who does not talk to strangers is alive, too.
            let alive = matches!(health, 401 | 403) || self.accepted.contains(&health);
            return Step::Done(if alive { Outcome::Ready } else { Outcome::Unhealthy(health) });
        }
        match self.readiness {
            None if self.plan == Plan::Both && self.untold == Untold::Nothing => {
                Step::Ask(Question::Readiness)
            }
            Some(status) if !is_success(status) && self.untold == Untold::Nothing => {
                Step::Done(Outcome::NotReady(status))
            }
            _ => Step::Done(Outcome::Ready),
        }
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    /// What is asked of a server with these statuses (health, readiness), and the outcome.
    fn inquire(plan: Plan, statuses: (u16, u16), untold: Untold) -> (String, Outcome, Untold) {
        let accepted = BTreeSet::from([418]);
        let mut inquiry = Inquiry::new(plan, &accepted, untold);
        let mut asked = String::new();
        loop {
            match inquiry.next() {
                Step::Done(outcome) => return (asked, outcome, inquiry.untold()),
                Step::Ask(question) => {
                    let (letter, status) = match question {
                        Question::Health => ('h', statuses.0),
                        Question::Readiness => ('r', statuses.1),
                    };
                    asked.push(letter);
                    inquiry.heard(question, status);
                }
            }
        }
    }

    /// Health and readiness as the server has them, what is asked, what comes of it; and in the next round over the same
    /// connection what is asked then.
    #[test]
    fn readiness_alone_while_it_is_fine() {
        for (health, readiness, asked, outcome, again) in [
            (200, 200, "r", Outcome::Ready, "r"),
            (200, 204, "r", Outcome::Ready, "r"),
            (200, 500, "rh", Outcome::NotReady(500), "rh"),
            (500, 500, "rh", Outcome::Unhealthy(500), "rh"),
            (200, 404, "rh", Outcome::Ready, "h"),
            (500, 404, "rh", Outcome::Unhealthy(500), "h"),
            (200, 403, "rh", Outcome::Ready, "h"),
            (401, 401, "rh", Outcome::Ready, "r"),
            (403, 403, "rh", Outcome::Ready, "r"),
            (403, 500, "rh", Outcome::Ready, "rh"),
            (418, 500, "rh", Outcome::Ready, "rh"),
            (404, 404, "rh", Outcome::Unhealthy(404), "h"),
            (101, 302, "rh", Outcome::Unhealthy(101), "rh"),
        ] {
            let seen = inquire(Plan::Readiness, (health, readiness), Untold::Nothing);
            assert_eq!((seen.0.as_str(), &seen.1), (asked, &outcome), "{health} {readiness}");
            let seen = inquire(Plan::Readiness, (health, readiness), seen.2);
            assert_eq!((seen.0.as_str(), &seen.1), (again, &outcome), "{health} {readiness} again");
        }
    }

    /// Who did not talk to us does so later, over the same connection.
    #[test]
    fn what_was_not_told_may_be_told_later() {
        let (_, _, untold) = inquire(Plan::Readiness, (403, 403), Untold::Nothing);
        assert_eq!(untold, Untold::All);
        for (statuses, asked, outcome) in [
            ((200, 200), "r", Outcome::Ready),
            ((200, 500), "rh", Outcome::NotReady(500)),
            ((500, 500), "rh", Outcome::Unhealthy(500)),
        ] {
            let seen = inquire(Plan::Readiness, statuses, untold);
            assert_eq!((seen.0.as_str(), seen.1), (asked, outcome), "{statuses:?}");
        }
    }

    #[test]
    fn of_other_paths_both_are_asked() {
        for (health, readiness, asked, outcome, again) in [
            (200, 200, "hr", Outcome::Ready, "hr"),
            (200, 500, "hr", Outcome::NotReady(500), "hr"),
            (500, 200, "h", Outcome::Unhealthy(500), "h"),
            (403, 500, "h", Outcome::Ready, "h"),
            (418, 500, "h", Outcome::Ready, "h"),
            (200, 404, "hr", Outcome::Ready, "h"),
        ] {
            let seen = inquire(Plan::Both, (health, readiness), Untold::Nothing);
            assert_eq!((seen.0.as_str(), &seen.1), (asked, &outcome), "{health} {readiness}");
            let seen = inquire(Plan::Both, (health, readiness), seen.2);
            assert_eq!((seen.0.as_str(), &seen.1), (again, &outcome), "{health} {readiness} again");
        }
        assert_eq!(inquire(Plan::Health, (200, 500), Untold::Nothing).0, "h");
    }

    #[test]
    fn only_of_the_paths_of_an_apiserver_is_it_known_what_they_say() {
        for (options, plan) in [
            ("", Plan::Readiness),
            ("--health-path /livez", Plan::Readiness),
            ("--health-path /healthz?exclude=etcd", Plan::Readiness),
            ("--health-path /healthz --ready-path /readyz", Plan::Readiness),
            ("--health-path /ping", Plan::Both),
            ("--ready-path /readyz?exclude=etcd", Plan::Both),
            ("--ready-path /ready", Plan::Both),
            ("--ready-path none", Plan::Health),
        ] {
            let config = config(&format!("--rs 10.0.0.1:6443 {options}")).unwrap();
            assert_eq!(Plan::of(&config.services[0].probe), plan, "{options}");
        }
    }
}
