//! The worker: an emulated machine with a disk, a systemd and a kubelet.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::daemon::Daemon;
use super::disk::Disk;
use super::network::TAP;
use super::patiently;
use super::reach::Reach;
use super::remote::{self, Ended};
use crate::netns::Namespace;

/// Its address.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);

/// Its name.
pub const NAME: &str = "worker";

/// From nothing to a machine that does what it is told.
const BOOT: Duration = Duration::from_secs(180);

/// For one program on it; a join takes half a minute.
const LIMIT: Duration = Duration::from_secs(300);

/// - `systemd.unified_cgroup_hierarchy=0`: this kubelet knows only the first kind of control groups;
/// - `tsc`: the emulated clock is good, and the kernel would doubt it;
/// - nobody logs in: `getty.target` would wait for terminals;
/// - the rest as for every guest (`vm/qemu.rs`).
const COMMAND_LINE: &str = "console=ttyS0 loglevel=4 panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 \
    random.trust_cpu=on mitigations=off tsc=reliable clocksource=tsc systemd.unified_cgroup_hierarchy=0 \
    systemd.mask=getty.target";

/// The machine; dropping it pulls the plug.
pub struct Worker {
    net: Namespace,
    _machine: Daemon,
}

impl Worker {
    /// Switches it on and waits until it can be spoken to.
    pub fn boot(net: &Namespace, disk: &Disk, work: &Path) -> Result<Self> {
        let mut command = Command::new("qemu-system-x86_64");
        command
            // Never kvm: where it is present but broken the guest hangs.
            .args(["-accel", "tcg,thread=multi", "-cpu", "qemu64,+rdrand,+ssse3,+sse4.1,+sse4.2,+popcnt"])
            .args(["-smp", "2", "-m", "2048", "-nodefaults", "-display", "none", "-append", COMMAND_LINE])
            .arg("-kernel")
            .arg(&disk.kernel)
            .arg("-initrd")
            .arg(&disk.mount)
            .arg("-drive")
            .arg(format!("file={},if=virtio,format=raw,cache=unsafe", disk.disk.display()))
            .args(["-netdev", &format!("tap,id=net,ifname={TAP},script=no,downscript=no")])
            .args(["-device", "virtio-net-pci,netdev=net,mac=52:54:00:00:00:10"])
            .args(["-device", "virtio-rng-pci"])
            .arg("-serial")
            .arg(format!("file:{}", work.join("console.log").display()));
        let mut machine = Daemon::start(net, &mut command, &work.join("qemu.log"))?;
        let worker = Self { net: net.clone(), _machine: machine_alive(&mut machine).map(|()| machine)? };
        worker.wait_up();
        Ok(worker)
    }

    /// Waits until it can be spoken to.
    #[track_caller]
    pub fn wait_up(&self) {
        patiently(BOOT, "the worker is up", || {
            self.try_run(&["true"], "", Duration::from_secs(3)).filter(|ended| ended.code == Some(0))
        });
    }

    /// Runs a program to its end.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Ended {
        self.try_run(words, "", LIMIT).unwrap_or_else(|| panic!("{words:?}: the worker does not answer"))
    }

    /// Runs a program that must succeed, and returns what it printed.
    #[track_caller]
    pub fn check(&self, words: &[&str]) -> String {
        self.feed(words, "")
    }

    /// The same for a program that reads.
    #[track_caller]
    pub fn feed(&self, words: &[&str], input: &str) -> String {
        let ended = self.try_run(words, input, LIMIT);
        let ended = ended.unwrap_or_else(|| panic!("{words:?}: the worker does not answer"));
        assert_eq!(ended.code, Some(0), "{words:?}:\n{}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    fn try_run(&self, words: &[&str], input: &str, limit: Duration) -> Option<Ended> {
        let address = SocketAddr::from((ADDRESS, remote::PORT));
        self.net.enter(|| remote::run(address, words, input, limit)).ok()
    }

    /// Writes a file.
    #[track_caller]
    pub fn write(&self, path: &str, content: &str) {
        self.feed(&["tee", path], content);
    }

    /// The weights in the virtual server's table, by real server; nothing when there is no virtual server.
    #[track_caller]
    pub fn table(&self) -> BTreeMap<String, u32> {
        let list = self.check(&["ipvsadm", "-Sn"]);
        let row = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let after = |option| words.iter().skip_while(|word| **word != option).nth(1).copied();
            let ours = words.first() == Some(&"-a") && after("-t") == Some(super::VIP);
            Some((after("-r").filter(|_| ours)?.to_owned(), after("-w")?.parse().ok()?))
        };
        list.lines().filter_map(row).collect()
    }

    /// kubelet's connections to the virtual server, as `IP:PORT` of its end.
    #[track_caller]
    pub fn kubelet_connections(&self) -> Vec<String> {
        let list = self.check(&["ss", "-Htnp", "state", "established", "dst", super::VIP]);
        let own = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
        list.lines().filter(|line| line.contains("\"kubelet\"")).filter_map(own).collect()
    }

    /// Starts to connect to the virtual server again and again, in the background.
    pub fn reach(&self, length: Duration) -> std::thread::JoinHandle<Option<Reach>> {
        let (address, seconds) = (SocketAddr::from((ADDRESS, remote::PORT)), length.as_secs().to_string());
        self.net.thread(move || {
            let words = ["/usr/local/bin/remote", "reach", super::VIP, &seconds];
            let ended = remote::run(address, &words, "", length + LIMIT).ok()?;
            serde_json::from_str(&ended.stdout).ok()
        })
    }

    /// Has it boot anew, and returns how long it took until it could be spoken to again.
    #[track_caller]
    pub fn reboot(&self) -> Duration {
        let boot_id = || {
            let seen = self.try_run(&["cat", "/proc/sys/kernel/random/boot_id"], "", Duration::from_secs(3));
            seen.filter(|ended| ended.code == Some(0)).map(|ended| ended.stdout)
        };
        let (before, began) = (boot_id(), Instant::now());
        // Whether it still answers is a matter of luck.
        let _ = self.try_run(&["systemctl", "reboot", "--no-block"], "", BOOT);
        patiently(BOOT, "the worker is up again", || boot_id().filter(|now| Some(now) != before.as_ref()));
        began.elapsed()
    }
}

/// A wrong option ends the emulator at once.
fn machine_alive(machine: &mut Daemon) -> Result<()> {
    std::thread::sleep(Duration::from_millis(500));
    match machine.ended() {
        Some(status) => anyhow::bail!("the emulator ended at once: {status}; see qemu.log"),
        None => Ok(()),
    }
}
