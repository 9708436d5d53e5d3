//! The ways in which an apiserver can be well or unwell, as words for the control socket.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How the server behaves, towards new and open connections alike unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers everything with 200.
    Healthy,
    /// Answers `/healthz` with this status, and `/readyz`, which does all the checks of `/healthz` and more.
    Healthz(u16),
    /// Answers `/readyz` with this status, as an apiserver that starts or shuts down.
    Readyz(u16),
    /// Accepts connections and does nothing more, as a stuck process. Open connections hang at their next request.
    HangAccept,
    /// Completes TLS, then never answers a request.
    HangAnswer,
    /// Answers the first bytes of a new connection with junk. Open connections work.
    TlsGarbage,
    /// Sends one byte of an answer every 200 ms: every read succeeds, the whole never ends.
    SlowLoris,
    /// Closes every connection this long after it was accepted.
    CloseAfter(Duration),
    /// Stops to listen. Open connections work.
    Deaf,
    /// Resets every connection.
    Reset,
    /// Answers everything this much later.
    Delay(Duration),
    /// Answers health requests with a date this much later than it is.
    Ahead(Duration),
    /// Answers health requests with 302.
    Redirect,
    /// Answers health requests with 200 and a gigabyte.
    HugeBody,
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Healthz(status) => write!(f, "healthz {status}"),
            Self::Readyz(status) => write!(f, "readyz {status}"),
            Self::HangAccept => f.write_str("hang-accept"),
            Self::HangAnswer => f.write_str("hang-answer"),
            Self::TlsGarbage => f.write_str("tls-garbage"),
            Self::SlowLoris => f.write_str("slow-loris"),
            Self::CloseAfter(time) => write!(f, "close-after {}", time.as_millis()),
            Self::Deaf => f.write_str("deaf"),
            Self::Reset => f.write_str("reset"),
            Self::Delay(time) => write!(f, "delay {}", time.as_millis()),
            Self::Ahead(time) => write!(f, "ahead {}", time.as_secs()),
            Self::Redirect => f.write_str("redirect"),
            Self::HugeBody => f.write_str("huge-body"),
        }
    }
}

impl FromStr for Behaviour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("no behaviour '{text}'");
        let (word, number) = match text.split_once(' ') {
            None => (text, None),
            Some((word, number)) => (word, Some(number.parse::<u16>().map_err(|_| unknown())?)),
        };
        let time = |milliseconds: u16| Duration::from_millis(milliseconds.into());
        Ok(match (word, number) {
            ("healthy", None) => Self::Healthy,
            ("healthz", Some(status)) => Self::Healthz(status),
            ("readyz", Some(status)) => Self::Readyz(status),
            ("hang-accept", None) => Self::HangAccept,
            ("hang-answer", None) => Self::HangAnswer,
            ("tls-garbage", None) => Self::TlsGarbage,
            ("slow-loris", None) => Self::SlowLoris,
            ("close-after", Some(number)) => Self::CloseAfter(time(number)),
            ("deaf", None) => Self::Deaf,
            ("reset", None) => Self::Reset,
            ("delay", Some(number)) => Self::Delay(time(number)),
            ("ahead", Some(number)) => Self::Ahead(Duration::from_secs(number.into())),
            ("redirect", None) => Self::Redirect,
            ("huge-body", None) => Self::HugeBody,
            _ => return Err(unknown()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        let time = Duration::from_millis(250);
        for behaviour in [
            Behaviour::Healthy,
            Behaviour::Healthz(500),
            Behaviour::Readyz(500),
            Behaviour::HangAccept,
            Behaviour::HangAnswer,
            Behaviour::TlsGarbage,
            Behaviour::SlowLoris,
            Behaviour::CloseAfter(time),
            Behaviour::Deaf,
            Behaviour::Reset,
            Behaviour::Delay(time),
            Behaviour::Ahead(Duration::from_secs(300)),
            Behaviour::Redirect,
            Behaviour::HugeBody,
        ] {
            assert_eq!(behaviour.to_string().parse(), Ok(behaviour));
        }
    }

    #[test]
    fn other_words_are_refused() {
        for text in ["", "well", "healthz", "healthz bad", "deaf 3"] {
            assert_eq!(text.parse::<Behaviour>(), Err(format!("no behaviour '{text}'")));
        }
    }
}
