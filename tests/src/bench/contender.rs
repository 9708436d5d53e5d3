//! Who takes part.

use super::config;
use crate::daemon::{VIP, arguments};
use crate::lab::{Lab, Master};

/// How a contender balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It keeps the kernel's table right.
    Ipvs,
    /// It carries the bytes itself.
    Proxy(Witness),
}

/// Who tells what a proxy takes a server for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// Its own log, with these words after the server's name.
    Log { down: &'static str, up: &'static str },
    /// Nobody but its clients.
    Calls,
}

/// When it is put to the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// In every round.
    Always,
    /// In every round, unless the benchmark is to be quick.
    InFull,
    /// Once, unless the benchmark is to be quick: by its settings it reacts in many seconds.
    Once,
    /// The same with every fault in a laboratory of its own: it reacts in minutes.
    Apart,
}

impl Turn {
    /// It does not take part in the rounds.
    pub(super) fn is_slow(self) -> bool {
        matches!(self, Self::Once | Self::Apart)
    }
}

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Ours, which makes its own route to the virtual address.
    Ours,
    /// Nobody's: what the least would cost.
    Floor,
    /// Somebody else's.
    Peer,
}

/// One program with one set of settings.
pub(super) struct Contender {
    pub(super) name: &'static str,
    /// The settings in words, for the reader of the report.
    pub(super) settings: &'static str,
    pub(super) kind: Kind,
    pub(super) way: Way,
    pub(super) turn: Turn,
    /// Writes what configuration it needs and says how it is started.
    pub(super) command: fn(&Lab) -> Vec<String>,
}

/// Ours at its defaults: what the figures to reach are about.
pub(super) const OURS: &str = "lvscare";
/// Ours, set as tight as the peers.
pub(super) const OURS_TIGHT: &str = "lvscare 1 s";
/// The floor at the peers' pace.
pub(super) const FLOOR: &str = "floor 1 s";
/// Ours, as fast as it is meant to be set.
pub(super) const OURS_TIGHTEST: &str = "lvscare 0.2 s";
/// The floor at the pace of our defaults.
pub(super) const FLOOR_SLOWER: &str = "floor 5 s";

/// What haproxy says.
const HAPROXY: Witness = Witness::Log { down: "is DOWN", up: "is UP" };

/// What makes haproxy check, and over TLS.
const CHECK_SSL: &str = "check check-ssl verify none";

/// All contenders, in the order of the report.
pub(super) const ALL: &[Contender] = &[
    Contender {
        name: OURS,
        settings: "its defaults: every 5 s, /readyz over one held connection",
        kind: Kind::Ours,
        way: Way::Ipvs,
        turn: Turn::Always,
        command: |lab| lvscare(lab, &[]),
    },
    Contender {
        name: OURS_TIGHT,
        settings: "--interval 1s --fast-interval 200ms --connect-timeout 500ms --health-timeout 500ms",
        kind: Kind::Ours,
        way: Way::Ipvs,
        turn: Turn::Always,
        command: |lab| {
            let tight = [
                "--interval=1s",
                "--fast-interval=200ms",
                "--connect-timeout=500ms",
                "--health-timeout=500ms",
            ];
            lvscare(lab, &tight)
        },
    },
    Contender {
        name: OURS_TIGHTEST,
        settings: "--interval 200ms --connect-timeout 300ms --health-timeout 300ms",
        kind: Kind::Ours,
        way: Way::Ipvs,
        turn: Turn::InFull,
        command: |lab| {
            lvscare(lab, &["--interval=200ms", "--connect-timeout=300ms", "--health-timeout=300ms"])
        },
    },
    Contender {
        name: FLOOR,
        settings: "the least program that could do it: every 1 s, an answer may take 500 ms",
        kind: Kind::Floor,
        way: Way::Ipvs,
        turn: Turn::Always,
        command: |lab| floor(lab, "1000"),
    },
    Contender {
        name: FLOOR_SLOWER,
        settings: "the same, every 5 s",
        kind: Kind::Floor,
        way: Way::Ipvs,
        turn: Turn::Always,
        command: |lab| floor(lab, "5000"),
    },
    Contender {
        name: "keepalived 1 s",
        settings: "SSL_GET /healthz; delay_loop 1, retry 1, delay_before_retry 0.2, connect_timeout 0.5",
        kind: Kind::Peer,
        way: Way::Ipvs,
        turn: Turn::Always,
        command: |lab| {
            config::keepalived(lab, "delay_loop 1\nretry 1\ndelay_before_retry 0.2\nconnect_timeout 0.5")
        },
    },
    Contender {
        name: "keepalived",
        settings: "SSL_GET /healthz; its defaults: delay_loop 60, retry 1, delay_before_retry 3, connect_timeout 5",
        kind: Kind::Peer,
        way: Way::Ipvs,
        turn: Turn::Apart,
        command: |lab| config::keepalived(lab, ""),
    },
    Contender {
        name: "haproxy 1 s",
        settings: "tcp mode, GET /healthz over TLS; inter 1s fastinter 200ms fall 2 rise 2, time-outs 500 ms, \
            on-marked-down shutdown-sessions",
        kind: Kind::Peer,
        way: Way::Proxy(HAPROXY),
        turn: Turn::Always,
        command: |lab| {
            let tight =
                "inter 1s fastinter 200ms downinter 200ms fall 2 rise 2 on-marked-down shutdown-sessions";
            config::haproxy(lab, &format!("{CHECK_SSL} {tight}"), "500ms")
        },
    },
    Contender {
        name: "haproxy",
        settings: "the same with its defaults (inter 2s fall 3 rise 2) and time-outs of 5 s",
        kind: Kind::Peer,
        way: Way::Proxy(HAPROXY),
        turn: Turn::Once,
        command: |lab| config::haproxy(lab, CHECK_SSL, "5s"),
    },
    Contender {
        name: "nginx",
        settings: "stream; it has no active check: max_fails 1, fail_timeout 10s, proxy_connect_timeout 1s",
        kind: Kind::Peer,
        way: Way::Proxy(Witness::Calls),
        turn: Turn::InFull,
        command: config::nginx,
    },
    Contender {
        name: "ldirectord 1 s",
        settings: "negotiate over https; checkinterval 1, time-outs 1 s, failurecount 1, quiescent no",
        kind: Kind::Peer,
        way: Way::Ipvs,
        turn: Turn::InFull,
        command: |lab| {
            let tight = "checkinterval=1\nchecktimeout=1\nnegotiatetimeout=1\nfailurecount=1\nquiescent=no\n";
            config::ldirectord(lab, tight)
        },
    },
    Contender {
        name: "ldirectord",
        settings: "the same with its defaults: checkinterval 10, checktimeout 5, negotiatetimeout 30, failurecount 1",
        kind: Kind::Peer,
        way: Way::Ipvs,
        turn: Turn::Once,
        command: |lab| config::ldirectord(lab, ""),
    },
];

/// Ours, for all servers, with these further options.
pub(super) fn lvscare(lab: &Lab, options: &[&str]) -> Vec<String> {
    let masters: Vec<_> = lab.masters().iter().map(Master::address).collect();
    arguments(VIP, &masters, options)
}

fn floor(lab: &Lab, interval: &str) -> Vec<String> {
    let ca = lab.pki.ca().display().to_string();
    let mut words = ["floor", "--vs", VIP, "--ca", &ca, "--interval", interval].map(str::to_owned).to_vec();
    words.extend(lab.masters().iter().flat_map(|master| ["--rs".to_owned(), master.address().to_string()]));
    words
}
