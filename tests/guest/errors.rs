//! What lvscare refuses, and what it says and leaves behind then: one line, an exit code, and the kernel as it was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "libtest shows it when a test fails")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use nix::sys::signal::Signal;
use tests::daemon::{LIMIT, VIP};
use tests::netns::{Namespace, ip};
use tests::wait::eventually;

// A command line that makes no sense

#[test]
fn bad_values_are_refused_before_anything_is_changed() {
    let node = Node::with_ipvs();
    let before = node.state();
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.crt");
    fs::write(&empty, "").unwrap();
    let not_pem = format!("--rs 10.0.0.1:6443 --ca-file {}", empty.display());
    let cases = [
        // servers
        ("", "no real server given; name every apiserver with --rs, as --rs 10.0.0.1:6443"),
        ("--rs 10.0.0.300:6443", "`10.0.0.300` is not an IP address"),
        ("--rs 10.0.0.1", "the port is missing; write 10.0.0.1:6443"),
        ("--rs 10.0.0.1:0", "port 0 is no port"),
        ("--rs 10.0.0.1:70000", "`70000` is not a port from 1 to 65535"),
        ("--rs m1:6443", "`m1` is a name; give the IP address"),
        ("--rs 0.0.0.0:6443", "0.0.0.0 is not the address of a host"),
        ("--rs 10.0.0.1:6443,weight=0", "weight `0` is not a number from 1 to 65535"),
        ("--rs 10.0.0.1:6443 --rs 10.0.0.1:6443", "--rs 10.0.0.1:6443 is given twice"),
        ("--rs 10.103.97.2:6443", "--rs 10.103.97.2:6443 is the virtual address itself"),
        (
            "--rs [fd00:10::1]:6443",
            "--rs [fd00:10::1]:6443 and --vs 10.103.97.2:6443 are of different families",
        ),
        // the virtual server
        ("--rs 10.0.0.1:6443 --vs 127.0.0.1:6443", "127.0.0.1 is a loopback address"),
        ("--rs [fd00:10::1]:6443 --vs [::1]:6443", "::1 is a loopback address"),
        ("--rs 10.0.0.1:6443 --vs 224.0.0.1:6443", "224.0.0.1 cannot be a virtual address"),
        ("--rs 10.0.0.1:6443 --vs 0.0.0.0:6443", "0.0.0.0 cannot be a virtual address"),
        ("--rs 10.0.0.1:6443 --vs 255.255.255.255:6443", "255.255.255.255 cannot be a virtual address"),
        ("--rs 10.0.0.1:6443 --vs 10.103.97.2", "the port is missing; write 10.103.97.2:6443"),
        (
            "--rs 10.0.0.1:6443 --vs 10.0.0.10:6443",
            "--vs 10.0.0.10 is an address of an interface of this node",
        ),
        (
            "--rs 10.0.0.1:6443 --vs 10.0.0.99:6443",
            "--vs 10.0.0.99 lies in this node's own subnet 10.0.0.10/24",
        ),
        ("--rs [fd00:10::1]:6443 --vs [fd00:10::99]:6443", "lies in this node's own subnet fd00:10::10/64"),
        // the node
        (
            "--rs 10.0.0.1:6443 --node-ip 10.0.0.99",
            "--node-ip 10.0.0.99 is not an address of this node; it has 10.0.0.10",
        ),
        (
            "--rs 10.0.0.1:6443 --node-ip fd00:10::10",
            "--node-ip fd00:10::10 and --vs 10.103.97.2:6443 are of different families",
        ),
        // the rest
        (
            "--rs 10.0.0.1:6443 --scheduler best",
            "not an IPVS scheduler that is of use here; give one of rr, wrr, lc,",
        ),
        ("--rs 10.0.0.1:6443 --interval 0", "--interval 0s is not between 20ms and 5m"),
        ("--rs 10.0.0.1:6443 --interval soon", "not a duration such as 200ms, 2s or 1m30s"),
        ("--rs 10.0.0.1:6443 --health-timeout 1h", "--health-timeout 60m is too long"),
        ("--rs 10.0.0.1:6443 --fall 0", "--fall 0 is not a number of probes from 1 to 100"),
        ("--rs 10.0.0.1:6443 --health-status 42", "42 is not in 100..=599"),
        (
            "--rs 10.0.0.1:6443 --ca-file /nowhere/ca.crt",
            "--ca-file /nowhere/ca.crt: No such file or directory",
        ),
        (not_pem.as_str(), "holds no certificate in PEM form"),
        ("--rs 10.0.0.1:6443 --schedular rr", "'--scheduler'"),
        ("--rs 10.0.0.1:6443 --run-once --clean", "cannot be used with '--clean'"),
    ];
    for (words, message) in cases {
        let said = node.lvscare(&[&["care"], &*words.split_whitespace().collect::<Vec<_>>()].concat());
        assert_eq!(said.code, Some(2), "{words}: {said:?}");
        assert!(said.line().contains(message), "{words}: {said:?}");
    }
    assert_eq!(node.state(), before);
}

#[test]
fn other_commands_are_as_strict() {
    let node = Node::with_ipvs();
    let before = node.state();
    let cases = [
        (&["clena"][..], "'clean'"),
        (&["clean", "--vs", "here"], "not an address with a port"),
        (&["clean", "--everything"], "'--everything'"),
        (&["clean", "--all", "--config", "x"], "'--all' cannot be used with '--config <FILE>'"),
        (&["status", "-o", "xml"], "table, wide, json, yaml"),
        (&["status", "--listen", "10261"], "not an address with a port"),
    ];
    for (words, message) in cases {
        let said = node.lvscare(words);
        assert_eq!(said.code, Some(2), "{words:?}: {said:?}");
        assert!(said.line().contains(message), "{words:?}: {said:?}");
    }
    assert_eq!(node.state(), before);
}

// A node on which it is not possible

#[test]
fn without_a_way_to_any_server_nothing_is_made() {
    let node = Node::with_ipvs();
    let before = node.state();
    let said = node.lvscare(&["care", "--run-once", "--rs", "192.0.2.1:6443,192.0.2.2:6443"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let message =
        "no route for 10.103.97.2: this node has no way to any real server; give its address with --node-ip";
    assert!(said.line().contains(message), "{said:?}");
    assert_eq!(node.state(), before);
}

#[test]
fn without_the_right_nothing_is_made() {
    let node = Node::with_ipvs();
    let before = node.state();
    for words in
        [&["care", RS][..], &["care", "--run-once", RS], &["clean"], &["care", "--clean"], &["status"]]
    {
        let said = node.lvscare_as_nobody(words);
        assert_eq!(said.code, Some(14), "{words:?}: {said:?}");
        assert!(
            said.line().contains("CAP_NET_ADMIN is missing; run as root, or give the container"),
            "{said:?}"
        );
    }
    assert_eq!(node.state(), before);
}

#[test]
fn a_missing_scheduler_is_named_with_the_way_out() {
    let Some(node) = Node::with_the_kernel_for_itself() else { return };
    assert_eq!(node.lvscare(&["care", "--run-once", RS]).code, Some(0));
    eventually(LIMIT, "no module ip_vs_nq", || unload("ip_vs_nq"));
    let _unable = Loader::unable();
    let before = node.state();
    for words in [&["care", RS, "--scheduler", "nq"][..], &["care", RS, "--scheduler", "nq", "--run-once"]] {
        let said = node.lvscare(words);
        assert_eq!(said.code, Some(15), "{said:?}");
        let message = "no IPVS scheduler `nq` and could not load it; try `modprobe ip_vs_nq` on the host, or `--scheduler rr`";
        assert!(said.line().contains(message), "{said:?}");
        // What was there goes on.
        assert_eq!(node.state(), before);
    }

    // Where nothing was there, nothing is left behind.
    assert_eq!(node.lvscare(&["clean"]).code, Some(0));
    let before = node.state();
    for words in [&["care", RS, "--scheduler", "nq"][..], &["care", RS, "--scheduler", "nq", "--run-once"]] {
        assert_eq!(node.lvscare(words).code, Some(15));
        assert_eq!(node.state(), before);
    }
}

/// `lblc` and `lblcr` register with every network namespace: loaded on demand while one is being deleted, they
/// hang the kernel for good.
#[test]
fn a_scheduler_that_may_hang_the_kernel_is_not_loaded_on_demand() {
    let Some(node) = Node::with_the_kernel_for_itself() else { return };
    eventually(LIMIT, "no module ip_vs_lblc", || unload("ip_vs_lblc"));
    let before = node.state();
    let said = node.lvscare(&["care", RS, "--scheduler", "lblc", "--run-once"]);
    assert_eq!(said.code, Some(15), "{said:?}");
    assert!(said.line().contains("run `modprobe ip_vs_lblc` on the host first"), "{said:?}");
    assert!(!loaded("ip_vs_lblc"));
    assert_eq!(node.state(), before);
}

#[test]
fn ipvs_and_the_scheduler_are_loaded_when_they_are_needed() {
    let Some(node) = Node::with_the_kernel_for_itself() else { return };
    unload_everything();
    let said = node.lvscare(&["care", "--run-once", RS, "--scheduler", "sed"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(loaded("ip_vs") && loaded("ip_vs_sed"));
    assert!(node.namespace.check(&["ipvsadm", "-Sn"]).starts_with(&format!("-A -t {VIP} -s sed\n")));
}

#[test]
fn a_kernel_without_ipvs_is_named_with_the_way_out() {
    let Some(node) = Node::with_the_kernel_for_itself() else { return };
    unload_everything();
    let _unable = Loader::unable();
    let before = node.routes();
    for words in [&["care", RS][..], &["care", RS, "--run-once"], &["clean"], &["status"]] {
        let said = node.lvscare(words);
        assert_eq!(said.code, Some(15), "{words:?}: {said:?}");
        let message = "this kernel has no IPVS and could not load it; try `modprobe ip_vs` on the host";
        assert!(said.line().contains(message), "{words:?}: {said:?}");
    }
    assert!(!loaded("ip_vs"));
    assert_eq!(node.routes(), before);
}

/// The module is unloaded and loaded again while the daemon runs: its generic netlink family has another number then.
#[test]
fn a_reloaded_module_is_guarded_again() {
    let Some(node) = Node::with_the_kernel_for_itself() else { return };
    let mut daemon = node.namespace.spawn(&["lvscare", "care", RS]);
    let whole = || {
        let rules = node.namespace.check(&["ipvsadm", "-Sn"]);
        let server = format!("-a -t {VIP} -r 10.0.0.1:6443 -m -w 1\n");
        rules.contains(&server).then_some(())
    };
    for _ in 0..2 {
        eventually(LIMIT, "the rules", whole);
        // While it is stopped: it would make the rules again at once, and those use the module.
        daemon.signal(Signal::SIGSTOP);
        node.namespace.check(&["ipvsadm", "-C"]);
        unload_everything();
        daemon.signal(Signal::SIGCONT);
    }
    eventually(LIMIT, "the rules", whole);
    let setting = || {
        let value = node.namespace.check(&["cat", "/proc/sys/net/ipv4/vs/expire_nodest_conn"]);
        (value == "1\n").then_some(())
    };
    eventually(LIMIT, "the setting of the new module", setting);
    assert!(daemon.ended().is_none(), "{}", daemon.log());
}

// The node

/// A server in one word, so that command lines here are lists of words.
const RS: &str = "--rs=10.0.0.1:6443";

/// Modules belong to the whole kernel: tests that unload some are alone with it.
static KERNEL: RwLock<()> = RwLock::new(());

/// A namespace with addresses and rules of somebody else's, and nobody to talk to.
struct Node {
    namespace: Namespace,
    // Released after the namespace is gone.
    _kernel: Share,
}

#[expect(dead_code, reason = "held for what they do when they are dropped")]
enum Share {
    Some(RwLockReadGuard<'static, ()>),
    All(RwLockWriteGuard<'static, ()>),
}

/// What a command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Node {
    /// A node beside others; its kernel has IPVS, and it has a virtual server already.
    fn with_ipvs() -> Self {
        let node = Self::new(Share::Some(KERNEL.read().unwrap_or_else(PoisonError::into_inner)));
        let script = "set -e
            ipvsadm -A -t 10.103.97.3:6443 -s rr; ipvsadm -a -t 10.103.97.3:6443 -r 10.0.0.1:6443 -m
            ipvsadm -A -u 10.103.97.2:6443 -s rr; ipvsadm -a -u 10.103.97.2:6443 -r 10.0.0.1:53 -m";
        node.namespace.check(&["sh", "-c", script]);
        node
    }

    /// A node whose test may change the kernel itself; none if others live on this kernel, too.
    fn with_the_kernel_for_itself() -> Option<Self> {
        if !Path::new(tests::vm::PLAN).exists() {
            println!("left out: this kernel is not ours alone");
            return None;
        }
        Some(Self::new(Share::All(KERNEL.write().unwrap_or_else(PoisonError::into_inner))))
    }

    fn new(share: Share) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("node{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&format!("netns add {name}")).unwrap();
        let node = Self { namespace: Namespace::new(name), _kernel: share };
        // Without link-local addresses, which come late.
        node.namespace.ip("link set lo up\n\
                           link add eth0 type dummy\n\
                           link set eth0 addrgenmode none\n\
                           link set eth0 up\n\
                           addr add 10.0.0.10/24 dev eth0\n\
                           addr add fd00:10::10/64 dev eth0 nodad\n\
                           route add 198.51.100.0/24 via 10.0.0.1\n\
                           route add local 10.103.97.3/32 dev lo table local");
        node
    }

    /// Rules, routes and the setting.
    fn state(&self) -> String {
        let setting = "cat /proc/sys/net/ipv4/vs/expire_nodest_conn";
        self.namespace.check(&["sh", "-c", &format!("set -e; ipvsadm -Sn; {setting}; {ROUTES}")])
    }

    fn routes(&self) -> String {
        self.namespace.check(&["sh", "-c", ROUTES])
    }

    fn lvscare(&self, words: &[&str]) -> Said {
        // Should it not refuse, then it would guard for ever.
        Said::from(self.namespace.run(&[&["timeout", "20", "lvscare"], words].concat()))
    }

    fn lvscare_as_nobody(&self, words: &[&str]) -> Said {
        let mut command = Command::new("timeout");
        command.args(["20", "lvscare"]).args(words).gid(65534).uid(65534);
        Said::from(self.namespace.enter(|| command.output()).unwrap())
    }
}

const ROUTES: &str = "ip -d route show table all; ip -d -6 route show table all";

impl Drop for Node {
    fn drop(&mut self) {
        // A test that has failed already must not abort over what is left behind.
        let _ = ip(&format!("netns del {}", self.namespace.name()));
    }
}

impl From<std::process::Output> for Said {
    fn from(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Said {
    /// The one line that it is.
    #[track_caller]
    fn line(&self) -> &str {
        assert_eq!(self.stdout, "");
        let line = self.stderr.strip_suffix('\n').unwrap();
        assert!(line.starts_with("lvscare: ") && !line.contains('\n'), "{self:?}");
        line
    }
}

// The kernel's modules

/// The kernel calls this program for a module that it does not have; a test may make it fail.
struct Loader(String);

const LOADER: &str = "/proc/sys/kernel/modprobe";

impl Loader {
    fn unable() -> Self {
        let usual = fs::read_to_string(LOADER).unwrap();
        fs::write(LOADER, "/bin/false").unwrap();
        Self(usual)
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        let _ = fs::write(LOADER, &self.0);
    }
}

fn loaded(module: &str) -> bool {
    Path::new("/sys/module").join(module).exists()
}

/// Not possible while the rules of a namespace that is being deleted use it.
fn unload(module: &str) -> Option<()> {
    if loaded(module) {
        let _ = Command::new("rmmod").arg(module).output().unwrap();
    }
    (!loaded(module)).then_some(())
}

/// Unloads IPVS and all its schedulers.
fn unload_everything() {
    eventually(LIMIT, "no IPVS", || {
        for module in fs::read_dir("/sys/module").unwrap() {
            let module = module.unwrap().file_name().into_string().unwrap();
            if module.starts_with("ip_vs_") {
                unload(&module)?;
            }
        }
        unload("ip_vs")
    });
}
