//! Which hosts there are, by what a person typed. Pure: nothing is asked, read or looked up.
//!
//! - [`address`]: how a host is written. [`mod@file`]: a cluster in a file.
//!
//! Whatever is wrong is told at once, so that nobody mends one mistake to be told of the next.

use std::net::SocketAddr;

use crate::transport::known_hosts::HostName;

pub mod address;
pub mod file;

/// The longest name of a user, in bytes; Linux knows none longer.
const MAX_USER: usize = 256;

/// What a host is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has an apiserver.
    Master,
    /// It has not.
    Node,
}

impl Role {
    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Node => "node",
        }
    }
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where its SSH server is.
    pub at: SocketAddr,
    /// What it is to the cluster, if that was said.
    pub role: Option<Role>,
}

impl Host {
    /// As `known_hosts` files, and people, call it.
    pub fn name(&self) -> String {
        HostName::new(self.at).to_string()
    }
}

/// A host through which all others are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bastion {
    /// Where its SSH server is.
    pub at: SocketAddr,
    /// As whom we log in there.
    pub user: String,
}

/// What was typed.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// Masters, each word one or more of them.
    pub masters: Vec<String>,
    /// Nodes that are none.
    pub nodes: Vec<String>,
    /// Hosts of which nothing else is said.
    pub hosts: Vec<String>,
    /// Which of them are meant; all if there is nothing.
    pub limit: Vec<String>,
    /// As whom we log in.
    pub user: String,
    /// The port of SSH servers where none is typed.
    pub port: u16,
    /// `[USER@]IP[:PORT]`.
    pub bastion: Option<String>,
}

/// The hosts that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Masters, nodes, others; each in the order in which they were typed, and none twice.
    pub hosts: Vec<Host>,
    /// As whom we log in.
    pub user: String,
    /// The way to them.
    pub bastion: Option<Bastion>,
}

impl Inventory {
    /// Understands what was typed, or tells every mistake in it.
    pub fn new(words: &Words) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut hosts: Vec<Host> = Vec::new();
        let lists = [
            ("--master", &words.masters, Some(Role::Master)),
            ("--node", &words.nodes, Some(Role::Node)),
            ("--host", &words.hosts, None),
        ];
        if words.port == 0 {
            mistakes.push(format!("--port 0: {}", address::NO_PORT));
        }
        for (option, texts, role) in lists {
            for text in texts {
                match address::parse(text, words.port) {
                    Ok(found) => {
                        for at in found {
                            let host = Host { at, role };
                            if hosts.iter().any(|other| other.at == at) {
                                mistakes.push(format!("{option}: {} is given twice", host.name()));
                            } else {
                                hosts.push(host);
                            }
                        }
                    }
                    Err(why) => mistakes.extend(why.into_iter().map(|why| format!("{option} {why}"))),
                }
            }
        }
        if let Err(why) = check_user(&words.user) {
            mistakes.push(format!("--user {why}"));
        }
        let bastion = words.bastion.as_deref().and_then(|text| {
            bastion(text, words).map_err(|why| mistakes.push(format!("--bastion {why}"))).ok()
        });
        if hosts.is_empty() && mistakes.is_empty() {
            mistakes.push("there is no host; name them with --master, --node or --host".to_owned());
        }
        let hosts = limited(hosts, &words.limit, &mut mistakes);
        if mistakes.is_empty() {
            Ok(Self { hosts, user: words.user.clone(), bastion })
        } else {
            Err(mistakes)
        }
    }
}

fn check_user(user: &str) -> Result<(), String> {
    let is_name = (1..=MAX_USER).contains(&user.len())
        && !user.chars().any(|char| char.is_control() || char.is_whitespace());
    if is_name { Ok(()) } else { Err(format!("{user:?} is not the name of a user")) }
}

fn bastion(text: &str, words: &Words) -> Result<Bastion, String> {
    let (user, at) = text.rsplit_once('@').unwrap_or((&words.user, text));
    let one_at_most = "a bastion is one host";
    match address::parse(at, words.port).as_deref() {
        Ok([at]) => check_user(user).map(|()| Bastion { at: *at, user: user.to_owned() }),
        Ok(_) => Err(format!("`{text}`: {one_at_most}")),
        Err(why) => Err(why.join("; ")),
    }
}

/// Those that are meant. A word that means none of them is a mistake: who mistypes a host must not do less unseen.
fn limited(hosts: Vec<Host>, limit: &[String], mistakes: &mut Vec<String>) -> Vec<Host> {
    if limit.is_empty() {
        return hosts;
    }
    let mut meant = vec![false; hosts.len()];
    for word in limit.iter().flat_map(|words| words.split(',')).map(str::trim) {
        let matches: Box<dyn Fn(&Host) -> bool> = match word {
            "master" => Box::new(|host| host.role == Some(Role::Master)),
            "node" => Box::new(|host| host.role == Some(Role::Node)),
            // No port means any.
            word => match address::parse(word, 0) {
                Ok(found) => Box::new(move |host| {
                    found.iter().any(|at| at.ip() == host.at.ip() && [0, host.at.port()].contains(&at.port()))
                }),
                Err(why) => {
                    mistakes.extend(why.into_iter().map(|why| format!("--limit {why}")));
                    continue;
                }
            },
        };
        let mut is_any = false;
        for (host, meant) in hosts.iter().zip(&mut meant) {
            let is_one = matches(host);
            *meant |= is_one;
            is_any |= is_one;
        }
        // Where a host was not understood, it may have been this one.
        if !is_any && mistakes.is_empty() {
            mistakes.push(format!("--limit `{word}` is none of the hosts"));
        }
    }
    hosts.into_iter().zip(meant).filter_map(|(host, meant)| meant.then_some(host)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(masters: &[&str], nodes: &[&str], hosts: &[&str], limit: &[&str]) -> Words {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Words {
            masters: owned(masters),
            nodes: owned(nodes),
            hosts: owned(hosts),
            limit: owned(limit),
            user: "root".to_owned(),
            port: 22,
            bastion: None,
        }
    }

    fn names(words: &Words) -> Result<String, String> {
        let inventory = Inventory::new(words).map_err(|mistakes| mistakes.join("\n"))?;
        let shown = inventory.hosts.iter().map(|host| match host.role {
            Some(role) => format!("{} {}", role.as_str(), host.name()),
            None => host.name(),
        });
        Ok(shown.collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn hosts_keep_their_order_and_say_what_they_are() {
        let words = words(&["10.0.0.9,10.0.0.1"], &["10.0.1.1-10.0.1.2:2222"], &["10.0.2.1"], &[]);
        assert_eq!(
            names(&words).unwrap(),
            "master 10.0.0.9, master 10.0.0.1, node [10.0.1.1]:2222, node [10.0.1.2]:2222, 10.0.2.1"
        );
        let words = Words { port: 2200, ..words };
        assert!(names(&words).unwrap().starts_with("master [10.0.0.9]:2200, "));
    }

    #[test]
    fn a_limit_chooses_and_changes_no_order() {
        let (masters, nodes) = (["10.0.0.1", "10.0.0.2"], ["10.0.1.1", "10.0.1.2:2222"]);
        for (limit, wanted) in [
            (["master"].as_slice(), "master 10.0.0.1, master 10.0.0.2"),
            (&["node"], "node 10.0.1.1, node [10.0.1.2]:2222"),
            (&["10.0.1.1,10.0.0.2"], "master 10.0.0.2, node 10.0.1.1"),
            (&["10.0.0.2-10.0.1.1"], "master 10.0.0.2, node 10.0.1.1"),
            (&["10.0.1.2"], "node [10.0.1.2]:2222"),
            (&["10.0.1.2:2222", "10.0.1.2"], "node [10.0.1.2]:2222"),
        ] {
            assert_eq!(names(&words(&masters, &nodes, &[], limit)).unwrap(), wanted, "{limit:?}");
        }
        for (limit, why) in [
            ("10.0.1.2:22", "--limit `10.0.1.2:22` is none of the hosts"),
            ("10.0.0.1,10.0.0.3", "--limit `10.0.0.3` is none of the hosts"),
            ("masters", "--limit `masters`: it is a name"),
            ("", "--limit ``: "),
        ] {
            let refusal = names(&words(&masters, &nodes, &[], &[limit])).unwrap_err();
            assert!(refusal.starts_with(why), "{refusal}");
        }
        // A role that nobody has.
        let refusal = names(&words(&masters, &[], &[], &["node"])).unwrap_err();
        assert_eq!(refusal, "--limit `node` is none of the hosts");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let mut words =
            words(&["10.0.0.300,10.0.0.1"], &["10.0.0.1:22", "10.0.0.9-10.0.0.2"], &["here"], &["x"]);
        words.user = "ro ot".to_owned();
        words.bastion = Some("me@10.0.0.1-10.0.0.2".to_owned());
        let mistakes = Inventory::new(&words).unwrap_err();
        let begins = [
            "--master `10.0.0.300`: ",
            "--node `10.0.0.9-10.0.0.2`: the range is the wrong way round",
            "--host `here`: it is a name",
            "--user \"ro ot\" is not the name of a user",
            "--bastion `me@10.0.0.1-10.0.0.2`: a bastion is one host",
            "--limit `x`: it is a name",
        ];
        assert_eq!(mistakes.len(), begins.len(), "{mistakes:#?}");
        for (mistake, begin) in mistakes.iter().zip(begins) {
            assert!(mistake.starts_with(begin), "{mistake} / {begin}");
        }
    }

    #[test]
    fn a_host_is_given_once() {
        for words in [
            words(&["10.0.0.1"], &["10.0.0.1:22"], &[], &[]),
            words(&[], &[], &["10.0.0.1", "10.0.0.0-10.0.0.4"], &[]),
        ] {
            assert!(names(&words).unwrap_err().ends_with(": 10.0.0.1 is given twice"));
        }
        assert!(names(&words(&[], &[], &["10.0.0.1,10.0.0.1:2222"], &[])).is_ok());
        let none = names(&words(&[], &[], &[], &[])).unwrap_err();
        assert_eq!(none, "there is no host; name them with --master, --node or --host");
    }

    #[test]
    fn a_bastion_has_a_user_of_its_own() {
        let mut words = words(&["10.0.0.1"], &[], &[], &[]);
        for (text, user, at) in [
            ("10.9.9.9", "root", "10.9.9.9:22"),
            ("me@10.9.9.9:2222", "me", "10.9.9.9:2222"),
            ("me@there@[fd00::1]", "me@there", "[fd00::1]:22"),
        ] {
            words.bastion = Some(text.to_owned());
            let bastion = Inventory::new(&words).unwrap().bastion.unwrap();
            assert_eq!((bastion.user.as_str(), bastion.at), (user, at.parse().unwrap()));
        }
    }

    proptest! {
        #[test]
        fn no_word_does_harm(word in "[0-9a-f.:,\\[\\]-]{0,40}|.{0,20}", bastion in ".{0,20}") {
            let mut words = words(&[&word], &[&word], &[], &[&word]);
            words.bastion = Some(bastion);
            let _ = Inventory::new(&words);
        }
    }
}
