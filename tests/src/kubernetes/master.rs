//! One kube-apiserver in a namespace of its own, and the ways to lose it.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::daemon::Daemon;
use crate::netns::Namespace;

/// How an apiserver can die. All of them can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// `kill -9`: the kernel closes its connections.
    Kill,
    /// The cable is pulled: silence.
    LinkDown,
    /// A firewall drops what the node sends.
    PacketsDropped,
    /// The process stands still while its kernel goes on accepting connections.
    Stopped,
    /// A clean end, which it announces first.
    Terminated,
}

impl Death {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Kill, Self::LinkDown, Self::PacketsDropped, Self::Stopped, Self::Terminated];
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill -9",
            Self::LinkDown => "link down",
            Self::PacketsDropped => "packets dropped",
            Self::Stopped => "SIGSTOP",
            Self::Terminated => "SIGTERM",
        })
    }
}

/// A master.
pub struct Master {
    /// Its number, from 1.
    pub number: u8,
    /// Its namespace.
    pub namespace: Namespace,
    /// Where the bridge is.
    pub net: Namespace,
    /// The program.
    pub program: PathBuf,
    /// What it is told.
    pub arguments: Vec<String>,
    /// What it says.
    pub log: PathBuf,
    /// The running server.
    pub server: Option<Daemon>,
}

impl Master {
    /// Its address as the cluster sees it.
    pub fn address(&self) -> String {
        format!("10.0.0.{}:6443", self.number)
    }

    /// Starts the server, and does not wait.
    #[track_caller]
    pub fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        let server = Daemon::start(&self.namespace, &mut command, &self.log);
        self.server = Some(server.expect("kube-apiserver can be started"));
    }

    /// Loses it.
    #[track_caller]
    pub fn strike(&mut self, death: Death) {
        match death {
            Death::Kill => drop(self.server.take()),
            Death::LinkDown => self.net.ip(&format!("link set m{} down", self.number)),
            Death::PacketsDropped => {
                self.namespace.check(&["nft", "add table ip cut"]);
                self.namespace
                    .check(&["nft", "add chain ip cut input { type filter hook input priority 0; }"]);
                self.namespace.check(&["nft", "add rule ip cut input ip saddr 10.0.0.10 drop"]);
            }
            Death::Stopped => self.signal(Signal::SIGSTOP),
            Death::Terminated => self.signal(Signal::SIGTERM),
        }
    }

    /// Has it back.
    #[track_caller]
    pub fn repair(&mut self, death: Death) {
        match death {
            // A clean end waits for watches, up to a minute; by now everybody has gone.
            Death::Kill | Death::Terminated => {
                self.server.take();
                self.start();
            }
            Death::LinkDown => self.net.ip(&format!("link set m{} up", self.number)),
            Death::PacketsDropped => drop(self.namespace.check(&["nft", "delete table ip cut"])),
            Death::Stopped => self.signal(Signal::SIGCONT),
        }
    }

    /// The clients at its server, as `IP:PORT`.
    #[track_caller]
    pub fn clients(&self) -> Vec<String> {
        let words = ["ss", "-Htn", "state", "established", "sport", "=", ":6443"];
        let list = self.namespace.check(&words);
        let peer = |line: &str| line.split_whitespace().nth(3).map(str::to_owned);
        // A server that listens on both families writes IPv4 addresses as mapped ones.
        list.lines().filter_map(peer).map(|peer| peer.replace("[::ffff:", "").replace(']', "")).collect()
    }

    fn signal(&self, signal: Signal) {
        self.server.as_ref().expect("the server was started").signal(signal);
    }
}
