//! The Debian package under a real systemd: installed, configured, hardened as the unit says, upgraded, removed.
//!
//! systemd is the first process of a process namespace of its own, in the network of the laboratory's node. Only ever
//! in the guest: it takes control groups and `/etc` for its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use lvscare::client;
use lvscare::health::Condition;
use lvscare::status::Status;
use tests::daemon::{self, VIP};
use tests::lab::Lab;
use tests::process::Process;
use tests::wait::eventually;

/// Everything here starts programs by the dozen on an emulated machine.
const LIMIT: Duration = Duration::from_secs(60);

/// `WatchdogSec=`, the time for an abort that a stopped process does not notice, and a start.
const WATCHDOG: Duration = Duration::from_secs(180);

const DEFAULT: &str = "/etc/default/lvscare";

/// Debian's programs stand before busybox's of the same name.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// `CAP_NET_ADMIN` as `/proc/PID/status` shows it.
const NET_ADMIN: &str = "0000000000001000";

/// A running systemd. Dropping it ends all of it.
struct Systemd {
    namespace: Process,
    first: u32,
}

impl Systemd {
    /// Starts it in the network of the laboratory's node.
    fn boot(lab: &Lab) -> Self {
        assert!(
            Path::new(tests::vm::PLAN).exists(),
            "only in the guest: use `vm test --guest --test service`"
        );
        // Without an identity it would take this for a first boot and ask for a language.
        fs::write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n").unwrap();
        // What prepares a real machine (devices, file systems, consoles) has nothing to do here.
        fs::remove_dir_all("/lib/systemd/system/sysinit.target.wants").unwrap();
        fs::write("/etc/systemd/system/default.target", "[Unit]\nDescription=nothing but what is started\n")
            .unwrap();
        let namespace = lab.node().spawn(&[
            "env",
            "container=laboratory",
            "/usr/bin/unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount",
            "--mount-proc",
            "/lib/systemd/systemd",
            "--log-target=console",
            "--log-level=notice",
            "--show-status=no",
        ]);
        let children = format!("/proc/{0}/task/{0}/children", namespace.id());
        let first = eventually(LIMIT, "the first process", || {
            let first = fs::read_to_string(&children).ok()?.trim().parse().ok()?;
            (fs::read_to_string(format!("/proc/{first}/comm")).ok()? == "systemd\n").then_some(first)
        });
        let systemd = Self { namespace, first };
        eventually(LIMIT, "the end of the boot", || {
            let state = systemd.run(&["systemctl", "is-system-running"]);
            (state.stdout == b"running\n").then_some(())
        });
        systemd
    }

    fn run(&self, words: &[&str]) -> Output {
        let target = self.first.to_string();
        let mut command = Command::new("/usr/bin/nsenter");
        command.args(["--target", &target, "--pid", "--mount", "--net", "--"]).args(words);
        command.env("PATH", PATH).env("DEBIAN_FRONTEND", "noninteractive").output().unwrap()
    }

    /// Runs a program that must succeed, and returns what it printed.
    #[track_caller]
    fn check(&self, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.run(words);
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{words:?}: {status}\n{stdout}{stderr}\n{}", self.namespace.log());
        stdout
    }

    /// A property of the service.
    fn show(&self, property: &str) -> String {
        let value = self.check(&["systemctl", "show", "--value", "--property", property, "lvscare"]);
        value.trim().to_owned()
    }
}

fn package(name: &str) -> PathBuf {
    let names = fs::read_dir("/bin").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found = names.filter(|file| file.starts_with(&format!("{name}_")) && file.contains(".deb"));
    let file = found
        .next()
        .unwrap_or_else(|| panic!("no package: `--bin target/deb/{name}_VERSION_ARCHITECTURE.deb`"));
    Path::new("/bin").join(file)
}

/// What the daemon says, once every server has a verdict.
fn judged(lab: &Lab) -> Status {
    eventually(LIMIT, "a verdict on every server", || {
        let listen = "127.0.0.1:10261".parse().ok();
        let status = lab.node().enter(|| client::status(listen, VIP.parse().unwrap())).ok()?;
        let servers = &status.virtual_servers.first()?.real_servers;
        let all =
            servers.iter().all(|server| server.health.as_ref().is_some_and(|it| it.condition.is_some()));
        (status.daemon.is_some() && !servers.is_empty() && all).then_some(status)
    })
}

/// Lines of `/proc/PID/status` of the process that is called `lvscare`, as this namespace sees it.
fn process_status() -> Option<String> {
    let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("status"));
    let mut all = all.filter_map(|path| fs::read_to_string(path).ok());
    all.find(|status| status.starts_with("Name:\tlvscare\n"))
}

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn the_life_of_a_package() {
    let lab = Lab::new();
    let masters: Vec<SocketAddr> = lab.masters().iter().map(tests::lab::Master::address).collect();
    let package = package("lvscare");
    let package = package.to_str().unwrap();
    fs::create_dir_all("/var/lib/dpkg/updates").unwrap();
    for file in ["status", "available"] {
        fs::write(format!("/var/lib/dpkg/{file}"), "").unwrap();
    }
    fs::create_dir_all("/var/lib/dpkg/info").unwrap();
    let systemd = Systemd::boot(&lab);

    // Installed, nothing runs: a guard without configuration has nothing to guard.
    systemd.check(&["dpkg", "--install", package]);
    assert!(systemd.check(&["/usr/bin/lvscare", "version"]).starts_with("lvscare "));
    assert_eq!(systemd.show("ActiveState"), "inactive");
    assert_eq!(systemd.show("UnitFileState"), "disabled");

    // Configured and started.
    let servers: Vec<String> = masters.iter().map(ToString::to_string).collect();
    let ours = format!("{}\nLVSCARE_RS={}\n", fs::read_to_string(DEFAULT).unwrap(), servers.join(","));
    fs::write(DEFAULT, &ours).unwrap();
    systemd.check(&["systemctl", "enable", "--now", "lvscare"]);
    let status = judged(&lab);
    assert!(status.daemon.unwrap().problems.is_empty());
    daemon::wait_table(lab.node(), VIP, &masters, 1);

    // One capability, nobody's user, and yet the setting is made, and the modules were loaded.
    let process = process_status().unwrap();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(&process, set), NET_ADMIN, "{set}");
    }
    assert_eq!((field(&process, "NoNewPrivs:"), field(&process, "Seccomp:")), ("1".into(), "2".into()));
    assert_ne!(field(&process, "Uid:"), "0");
    let setting =
        lab.node().enter(|| fs::read_to_string("/proc/sys/net/ipv4/vs/expire_nodest_conn").unwrap());
    assert_eq!(setting.trim(), "1");

    // It can read the kernel's connections and cut those to a dead apiserver, idle ones too.
    let mut held = eventually(LIMIT, "a connection to the first apiserver", || {
        let mut connection = lab.connect(lab.node(), VIP.parse().unwrap(), LIMIT).ok()?;
        (connection.get("/", LIMIT).ok()?.body == "m1").then_some(connection)
    });
    lab.master(1).sigstop();
    held.limit(LIMIT);
    assert_eq!(held.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    daemon::wait_table(lab.node(), VIP, &masters[1..], 1);
    lab.master(1).sigcont();
    daemon::wait_table(lab.node(), VIP, &masters, 1);

    // Killed, it comes back and finds the rules where they were.
    let before = systemd.show("MainPID");
    systemd.check(&["systemctl", "kill", "--signal=KILL", "lvscare"]);
    assert_eq!(daemon::table(lab.node(), VIP).unwrap().len(), 3);
    eventually(LIMIT, "a new process", || {
        let now = systemd.show("MainPID");
        (now != "0" && now != before).then_some(())
    });
    judged(&lab);

    // One that hangs is not heard of any more, and is replaced.
    assert_eq!(systemd.show("Type"), "notify");
    let before = systemd.show("MainPID");
    systemd.check(&["systemctl", "kill", "--signal=STOP", "lvscare"]);
    eventually(WATCHDOG, "a process that goes on", || {
        let now = systemd.show("MainPID");
        (now != "0" && now != before).then_some(())
    });
    judged(&lab);
    assert_eq!(daemon::table(lab.node(), VIP).unwrap().len(), 3);

    // What root has drained the unprivileged daemon leaves alone, across a restart as well.
    let second = masters[1].ip().to_string();
    let said = systemd.check(&["/usr/bin/lvscare", "drain", &second]);
    assert!(said.contains("gets no new connections") || said.contains("is out of"), "{said}");
    let others = [masters[0], masters[2]];
    daemon::wait_table(lab.node(), VIP, &others, 1);
    systemd.check(&["systemctl", "restart", "lvscare"]);
    judged(&lab);
    assert_eq!(daemon::table(lab.node(), VIP).unwrap().len(), 2);
    systemd.check(&["/usr/bin/lvscare", "undrain", &second]);
    daemon::wait_table(lab.node(), VIP, &masters, 1);

    let before = systemd.show("MainPID");
    systemd.check(&["dpkg", "--install", package]);
    assert_eq!(fs::read_to_string(DEFAULT).unwrap(), ours);
    assert_ne!(systemd.show("MainPID"), before);
    assert_eq!(systemd.show("ActiveState"), "active");
    let apiserver = judged(&lab).virtual_servers[0].real_servers[0].health.clone().unwrap();
    assert_eq!(apiserver.condition, Some(Condition::Alive));

    // Removed: the daemon ends, traffic goes on, the configuration waits; purged, it is gone as well.
    systemd.check(&["dpkg", "--remove", "lvscare"]);
    assert!(!Path::new("/usr/bin/lvscare").exists() && Path::new(DEFAULT).exists());
    assert!(lab.get(lab.node(), daemon::URL, LIMIT).is_ok());
    assert_eq!(process_status(), None);
    systemd.check(&["dpkg", "--purge", "lvscare"]);
    assert!(!Path::new(DEFAULT).exists());

    // The installer's package needs no other, and nothing of it stays.
    let installer = self::package("lvscare-installer");
    systemd.check(&["dpkg", "--install", installer.to_str().unwrap()]);
    let text = systemd.check(&["lvscare-installer", "--version"]);
    assert_eq!(text, format!("lvscare-installer {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(systemd.check(&["dpkg", "--verify", "lvscare-installer"]), "");
    let files = [
        "/usr/share/man/man1/lvscare-installer-node-adopt.1.gz",
        "/usr/share/bash-completion/completions/lvscare-installer",
        "/usr/share/doc/lvscare-installer/copyright",
    ];
    assert!(files.iter().all(|file| Path::new(file).exists()), "{files:?}");
    systemd.check(&["dpkg", "--purge", "lvscare-installer"]);
    assert!(!files.iter().any(|file| Path::new(file).exists()), "{files:?}");
}
