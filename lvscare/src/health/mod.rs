//! Is an apiserver alive, and should it get new connections?
//!
//! Two questions with two answers: `/healthz` decides alive or dead, `/readyz` decides ready or draining.
//!
//! - [`machine`] turns a sequence of [`Outcome`]s into a [`Condition`]; pure, time is passed in.
//! - [`pool`] turns the conditions of all servers into what should stand in the table; pure as well.
//! - [`cadence`] says when a server is asked next; pure.
//! - [`witness`] says when a server that keeps silent is lost for certain, and not this node itself; pure.
//! - [`lag`] says when this node was too late to judge anybody; pure.
//!
//! What is here decides and waits for nobody. [`probe`](crate::probe) asks, and [`checker`](crate::checker) joins the two.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub mod cadence;
pub mod lag;
pub mod machine;
pub mod pool;
pub mod witness;

/// What a server is taken for, from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It cannot be talked to. Out of the table, its connections are cut.
    Dead,
    /// It answers that it is not healthy. No new connections; open ones may finish.
    Sick,
    /// It is healthy but says it is not ready (starting or shutting down). As [`Sick`](Self::Sick).
    Draining,
    /// It takes its share of new connections.
    Alive,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dead => "dead",
            Self::Sick => "sick",
            Self::Draining => "draining",
            Self::Alive => "alive",
        })
    }
}

/// What one probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `/healthz` is fine and `/readyz` is, too, or does not tell.
    Ready,
    /// `/healthz` is fine but `/readyz` answered with this status.
    NotReady(u16),
    /// `/healthz` answered with this status.
    Unhealthy(u16),
    /// No answer at all.
    Failed(Failure),
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens (`ECONNREFUSED`).
    Refused,
    /// The peer, or something on the way, reset or closed a fresh connection.
    Reset,
    /// There is no way to the host (`EHOSTUNREACH`, `ENETUNREACH`).
    Unreachable,
    /// Time ran out in this phase.
    TimedOut(Phase),
    /// The kernel gave up: for seconds nobody has acknowledged anything (`ETIMEDOUT`). However late this node is, its
    /// kernel keeps time.
    Unacknowledged,
    /// The TLS handshake failed.
    Tls(String),
    /// The answer is not HTTP, or the connection could not be made for another reason.
    Garbled(String),
    /// This node could not ask: it lacks descriptors, memory, ports or a permission. Nothing is known of the server.
    Local(String),
    /// Time ran out while this node was late itself. Nothing is known of the server.
    Late,
}

/// Where a probe was when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the TCP connection.
    Connect,
    /// In the TLS handshake.
    Handshake,
    /// Waiting for the HTTP answer.
    Answer,
}

impl Outcome {
    /// The condition that this outcome alone speaks for; `None` where it says nothing about the server.
    pub fn implies(&self) -> Option<Condition> {
        match self {
            Self::Ready => Some(Condition::Alive),
            Self::NotReady(_) => Some(Condition::Draining),
            Self::Unhealthy(_) => Some(Condition::Sick),
            Self::Failed(Failure::Local(_) | Failure::Late) => None,
            Self::Failed(_) => Some(Condition::Dead),
        }
    }

    /// Whether nothing at all was heard of the server.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_silence())
    }

    /// Positive evidence that nothing serves there: the host itself refused or reset the connection.
    ///
    /// Silence proves nothing: a probe that runs into its limit may say more about the network, the load or
    /// this very node. So does "unreachable", which a node that is itself cut off says of every neighbour as
    /// soon as ARP gives up. Only positive evidence may take out the last servers.
    pub fn is_conclusive(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.is_conclusive())
    }
}

impl Failure {
    /// As [`Outcome::is_conclusive`].
    pub fn is_conclusive(&self) -> bool {
        matches!(self, Self::Refused | Self::Reset)
    }

    /// As [`Outcome::is_silence`].
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Unacknowledged | Self::Unreachable)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => write!(f, "ok"),
            Self::NotReady(status) => write!(f, "not ready (HTTP {status})"),
            Self::Unhealthy(status) => write!(f, "unhealthy (HTTP {status})"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => write!(f, "connection refused"),
            Self::Reset => write!(f, "connection reset"),
            Self::Unreachable => write!(f, "host unreachable"),
            Self::TimedOut(Phase::Connect) => write!(f, "no connection in time"),
            Self::TimedOut(Phase::Handshake) => write!(f, "no TLS handshake in time"),
            Self::TimedOut(Phase::Answer) => write!(f, "no answer in time"),
            Self::Unacknowledged => write!(f, "nothing was acknowledged"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::Garbled(why) => write!(f, "{why}"),
            Self::Local(why) => write!(f, "this node could not ask: {why}"),
            Self::Late => write!(f, "this node was late"),
        }
    }
}

/// What is known about one real server; the latest word of its checker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it is taken for.
    pub condition: Condition,
    /// Whether a probe has confirmed that; until then it is what the table said at start.
    pub verified: bool,
    /// Whether a [`Condition::Dead`] rests on positive evidence (see [`Outcome::is_conclusive`]).
    pub certain: bool,
    /// Whether a [`Condition::Dead`] that is not certain has been confirmed by others, who answered meanwhile (see
    /// [`witness`]).
    pub confirmed: bool,
    /// Since when.
    pub since: Instant,
    /// When a probe last said so.
    pub seen: Instant,
}

impl Verdict {
    /// What is taken for granted until a probe has spoken.
    pub fn presumed(condition: Condition, since: Instant) -> Self {
        Self { condition, verified: false, certain: false, confirmed: false, since, seen: since }
    }

    /// What is known of a server that is configured no more: it may finish what it has, and serves only as long
    /// as nobody else can.
    pub fn leaving(since: Instant) -> Self {
        Self { verified: true, ..Self::presumed(Condition::Draining, since) }
    }

    /// Whether it says something else, apart from when it was last said.
    pub fn differs(&self, other: &Self) -> bool {
        Self { seen: other.seen, ..self.clone() } != *other
    }
}

/// The latest probe of a server, for people to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastProbe {
    /// When it ended.
    pub time: Instant,
    /// How long it took.
    pub took: Duration,
    /// What it saw.
    pub outcome: Outcome,
}

/// A real server of one virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    /// The virtual server.
    pub service: SocketAddr,
    /// The real server.
    pub server: SocketAddr,
}

/// What every checker has found out; the applier and `status` read it.
pub type HealthTable = BTreeMap<ServerId, ServerState>;

/// What is known of one real server.
#[derive(Clone, Debug)]
pub struct ServerState {
    /// What it is taken for.
    pub verdict: Verdict,
    /// Its latest probe, if any has ended.
    pub last_probe: Option<LastProbe>,
    /// When its certificate ends, in seconds since 1970, if it has shown one.
    pub certificate_expiry: Option<u64>,
}
