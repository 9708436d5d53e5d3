//! What a node was prepared with: its manifest says so, and without one the journal knows where the virtual server is.

use std::net::SocketAddr;

use lvscare::config::{Config, ServiceConfig};
use lvscare::exit::{Exit, Failure};

use super::facts;
use super::journal::{Journal, Original};
use super::paths::{self, Root};
use crate::files::Content;
use crate::{pod, spec};

/// What a node was prepared with.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The manifest, if there is one.
    pub manifest: Option<Content>,
    /// What the daemon is told.
    pub arguments: Vec<String>,
    /// What that means; of a node without manifest, only where the virtual server is.
    pub config: Config,
}

impl Prepared {
    /// Looks at the manifest; without one the journal knows where the virtual server is.
    pub fn of(root: &Root, journal: &Journal) -> Result<Self, Failure> {
        let manifest = facts::read(root, paths::POD)?;
        let arguments = if let Some(content) = &manifest {
            pod::read(&String::from_utf8_lossy(&content.bytes))?.arguments
        } else {
            let at = journal.originals().iter().find_map(|original| match original {
                Original::Rules { at, .. } => Some(*at),
                _ => None,
            });
            let at = at.ok_or_else(|| {
                let help = "use `lvscare-installer node prepare`";
                Failure::new(Exit::Invalid, format!("this node is not prepared; {help}"))
            })?;
            vec!["care".to_owned(), format!("--vs={at}"), format!("--rs={}", placeholder(at))]
        };
        Ok(Self { config: spec::understood(&arguments)?, manifest, arguments })
    }

    /// The virtual server.
    pub fn service(&self) -> Result<&ServiceConfig, Failure> {
        let none = || Failure::new(Exit::Invalid, "the static pod names no virtual server");
        self.config.services.first().ok_or_else(none)
    }

    /// What the daemon is told when `masters` are the masters, each with the weight that it has.
    pub fn arguments_for(&self, masters: &[SocketAddr]) -> Result<Vec<String>, Failure> {
        let servers = &self.service()?.servers;
        let mut words = Vec::new();
        let mut place = None;
        let mut old = self.arguments.iter();
        while let Some(word) = old.next() {
            let is_value_next = word == "--rs";
            if is_value_next || word.starts_with("--rs=") {
                place = place.or(Some(words.len()));
                if is_value_next {
                    old.next();
                }
            } else {
                words.push(word.clone());
            }
        }
        let told = masters.iter().map(|master| {
            let weight =
                servers.iter().find(|server| server.address == *master).map_or(1, |server| server.weight);
            if weight == 1 { format!("--rs={master}") } else { format!("--rs={master},weight={weight}") }
        });
        let place = place.unwrap_or(words.len());
        words.splice(place..place, told);
        Ok(words)
    }
}

/// Some master; it is replaced before anybody hears of it.
fn placeholder(at: SocketAddr) -> SocketAddr {
    let ip = if at.is_ipv4() { [192, 0, 2, 1].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into() };
    SocketAddr::new(ip, at.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_masters_change() {
        let words = [
            "care",
            "--vs=10.103.97.2:6443",
            "--rs=10.0.0.1:6443,weight=2",
            "--rs",
            "10.0.0.2:6443",
            "--interval=5s",
        ];
        let arguments: Vec<_> = words.map(str::to_owned).into();
        let old = Prepared { manifest: None, config: spec::understood(&arguments).unwrap(), arguments };
        let masters = ["10.0.0.3:6443", "10.0.0.1:6443"].map(|master| master.parse().unwrap());
        assert_eq!(
            old.arguments_for(&masters).unwrap(),
            [
                "care",
                "--vs=10.103.97.2:6443",
                "--rs=10.0.0.3:6443",
                "--rs=10.0.0.1:6443,weight=2",
                "--interval=5s"
            ]
        );
    }
}
