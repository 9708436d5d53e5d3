//! Hosts that nobody knows, and a person at a terminal.

use nix::sys::signal::Signal;
use tests::terminal::AtTerminal;

use super::*;

const QUESTION: &str = "record them, and go on? [y/N] ";

impl Cluster {
    fn known(&self) -> PathBuf {
        self.lab.home().join(".ssh/known_hosts")
    }

    fn at_terminal(&self, command: &str, words: &[&str]) -> AtTerminal {
        let file = self.password.display().to_string();
        let mut command = self.command(&[&[command, "--passwd-file", &file], words].concat());
        self.lab.enter(|| AtTerminal::spawn(&mut command)).unwrap()
    }

    /// The line about a host that the question shows, as OpenSSH itself sees its key.
    fn shown(&self, host: &Host) -> String {
        let listed = self.lab.home().join("listed");
        fs::write(&listed, host.known_hosts()).unwrap();
        let listed = self.lab.tool("ssh-keygen", &["-lf", &listed.display().to_string()]);
        format!("  {}  ssh-ed25519 {}\n", host.address, listed.split(' ').nth(1).unwrap())
    }
}

#[test]
fn all_unknown_hosts_are_shown_and_asked_for_once() {
    let cluster = Cluster::new();
    let both = ["--host", FINE, "--host", WRONG, "--host", DOWN];
    let text = fs::read_to_string(cluster.known()).unwrap();
    fs::write(cluster.known(), "").unwrap();
    let shown = cluster.hosts.iter().map(|host| cluster.shown(host)).collect::<String>();
    for answer in ["n\n", "\n", "\u{4}", "what?\n"] {
        let mut ping = cluster.at_terminal("ping", &both);
        ping.expect(QUESTION, LIMIT);
        ping.write(answer);
        assert_eq!(ping.wait(LIMIT).code(), Some(6), "{}", ping.screen());
        let screen = ping.screen();
        assert!(
            screen.starts_with(&format!("the keys of 2 hosts are not known:\n{shown}compare")),
            "{screen}"
        );
        assert!(screen.contains("no host was asked: the keys that they show are not accepted\n"), "{screen}");
    }
    // Ctrl-C is no answer.
    let mut ping = cluster.at_terminal("ping", &both);
    ping.expect(QUESTION, LIMIT);
    ping.signal(Signal::SIGINT);
    assert_eq!(ping.wait(LIMIT).code(), Some(130), "{}", ping.screen());
    // Whoever is given a policy is not asked.
    let mut ping = cluster.at_terminal("ping", &[&both[..], &["--host-key-policy", "strict"]].concat());
    assert_eq!(ping.wait(LIMIT).code(), Some(1), "{}", ping.screen());
    assert!(!ping.screen().contains(QUESTION));
    assert_eq!(fs::read_to_string(cluster.known()).unwrap(), "");
    for host in &cluster.hosts {
        assert!(!host.log().contains("for root"), "nobody has tried to log in: {}", host.log());
    }

    let mut ping = cluster.at_terminal("ping", &both);
    ping.expect(QUESTION, LIMIT);
    ping.write("y\n");
    assert_eq!(ping.wait(LIMIT).code(), Some(1), "{}", ping.screen());
    assert!(ping.screen().contains("1 of 3 hosts can be worked with\n"), "{}", ping.screen());
    assert_eq!(fs::read_to_string(cluster.known()).unwrap(), text);
    // From then on they are known.
    let mut ping = cluster.at_terminal("ping", &both);
    assert_eq!(ping.wait(LIMIT).code(), Some(1));
    assert!(!ping.screen().contains(QUESTION));
}

#[test]
fn nobody_is_asked_whether_a_key_may_have_changed() {
    let cluster = Cluster::new();
    let text = fs::read_to_string(cluster.known()).unwrap();
    let (fine, wrong) = text.split_at(text.find(WRONG).unwrap());
    let changed = wrong.replace(WRONG, FINE);
    fs::write(cluster.known(), &changed).unwrap();
    let mut ping = cluster.at_terminal("ping", &["--host", FINE, "--host", WRONG]);
    ping.expect(QUESTION, LIMIT);
    ping.write("y\n");
    assert_eq!(ping.wait(LIMIT).code(), Some(1), "{}", ping.screen());
    let screen = ping.screen();
    assert!(screen.contains("the key of one host is not known:\n  10.9.1.2  ssh-ed25519"), "{screen}");
    assert!(screen.contains("10.9.1.1 is not trusted: its ssh-ed25519 key SHA256:"), "{screen}");
    assert_eq!(fs::read_to_string(cluster.known()).unwrap(), format!("{changed}{wrong}"), "{fine}");
}

#[test]
fn a_bastion_is_asked_for_before_those_behind_it() {
    let cluster = Cluster::new();
    let third = cluster.lab.host(&Setup { root_password: Some(CANARY.to_owned()), ..Setup::default() });
    fs::write(cluster.known(), "").unwrap();
    let mut ping = cluster.at_terminal("ping", &["--bastion", FINE, "--host", "10.9.1.3"]);
    ping.expect(QUESTION, LIMIT);
    assert!(!ping.screen().contains("10.9.1.3"), "{}", ping.screen());
    ping.write("y\n");
    ping.expect(&cluster.shown(&third), LIMIT);
    ping.write("y\n");
    assert_eq!(ping.wait(LIMIT).code(), Some(0), "{}", ping.screen());
}
