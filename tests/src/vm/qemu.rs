//! Boots an image in an emulator, shows its console and listens for the verdict.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::{FAILURE, SUCCESS};

/// The program that is the machine.
const EMULATOR: &str = "qemu-system-x86_64";

/// - `panic=-1` with `-no-reboot`: a panic ends the emulator at once;
/// - the watchdogs would only measure how busy the host is;
/// - so would the kernel when it counts the timer's interrupts at boot, and panics because some are late;
/// - `loglevel=4`: warnings must not land in the middle of a test's line.
const COMMAND_LINE: &str = "console=ttyS0 loglevel=4 panic=-1 oops=panic nowatchdog \
    rcupdate.rcu_cpu_stall_suppress=1 random.trust_cpu=on no_timer_check mitigations=off";

/// What the guest's kernel tells the time by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The emulated HPET, which says itself how fast it is. Each look at it is a system call, and a dear one.
    Hpet,
    /// The processor's counter, which programs read without a call, as on a real machine. It is the host's, and the guest
    /// is told how fast that is; where it is not known, the guest's kernel measures it while it boots, and where others keep
    /// the host busy then, its clock may run at twice the pace for good.
    Counter,
}

impl Clock {
    fn options(self) -> String {
        match self {
            Self::Hpet => "tsc=unstable clocksource=hpet".to_owned(),
            Self::Counter => {
                let speed = counter_khz().map(|khz| format!(" tsc_early_khz={khz}"));
                format!("tsc=reliable clocksource=tsc{}", speed.unwrap_or_default())
            }
        }
    }
}

/// How fast the host's counter is, in kHz: what Linux shows as the processor's speed where that does not change
/// (`show_cpuinfo()` in `arch/x86/kernel/cpu/proc.c`).
fn counter_khz() -> Option<u64> {
    if Path::new("/sys/devices/system/cpu/cpu0/cpufreq").exists() {
        return None;
    }
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let speed = text.lines().find_map(|line| line.strip_prefix("cpu MHz")?.split(':').nth(1))?;
    // In MHz, with three digits behind the point.
    speed.trim().replace('.', "").parse().ok()
}

/// An emulated machine, not yet running.
pub struct Machine {
    /// The kernel image.
    pub kernel: PathBuf,
    /// The archive with everything else; a file without a name is enough.
    pub image: File,
    /// The machine is killed after so long; zero means never.
    pub limit: Duration,
    /// So many processors.
    pub processors: u8,
    /// What it tells the time by.
    pub clock: Clock,
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every command succeeded.
    Success,
    /// At least one did not, or the guest never said.
    Failure,
}

impl Machine {
    /// Runs the machine with its console on our standard output.
    pub fn run(&self) -> Result<Verdict> {
        let mut child =
            self.command()?.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context(EMULATOR)?;
        let console = child.stdout.take().context("the emulator has no console")?;
        let verdict = relay(console, io::stdout().lock());
        let status = child.wait()?;
        match verdict? {
            Some(verdict) => Ok(verdict),
            // What `timeout` answers when it had to kill.
            None if status.code() == Some(137) => bail!("killed: not done after {:?}", self.limit),
            None => bail!("the guest ended without a verdict ({EMULATOR}: {status})"),
        }
    }

    /// Hands the terminal to the machine; there is no verdict.
    pub fn attach(&self) -> Result<()> {
        self.command()?.status().context(EMULATOR).map(drop)
    }

    /// `timeout` outlives us if we are killed, so no emulator is ever left behind for long.
    fn command(&self) -> Result<Command> {
        // The emulator inherits the image.
        fcntl(&self.image, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let mut command = Command::new("timeout");
        command
            .args(["--foreground", "--signal=KILL", &self.limit.as_secs().to_string(), EMULATOR])
            // Never kvm: where it is present but broken the guest hangs.
            // The plainest processor is the cheapest to imitate; `rdrand` gives programs randomness from the start.
            .args(["-accel", "tcg", "-cpu", "qemu64,+rdrand", "-m", "2048"])
            .args(["-smp", &self.processors.to_string()])
            .args(["-nodefaults", "-display", "none", "-serial", "mon:stdio", "-no-reboot"])
            .args(["-append", &format!("{COMMAND_LINE} {}", self.clock.options()), "-kernel"])
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(format!("/proc/self/fd/{}", self.image.as_raw_fd()));
        Ok(command)
    }
}

/// Copies the console as it comes, without the serial line's carriage returns, and picks the verdict out of it.
fn relay(mut console: impl Read, mut out: impl Write) -> io::Result<Option<Verdict>> {
    let mut buffer = [0; 4096];
    let mut line = Vec::new();
    let mut verdict = None;
    loop {
        let count = console.read(&mut buffer)?;
        if count == 0 {
            return Ok(verdict);
        }
        let text: Vec<u8> = buffer[..count].iter().copied().filter(|byte| *byte != b'\r').collect();
        out.write_all(&text)?;
        out.flush()?;
        for byte in text {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            match line.as_slice() {
                said if said == SUCCESS.as_bytes() => verdict = Some(Verdict::Success),
                said if said == FAILURE.as_bytes() => verdict = Some(Verdict::Failure),
                _ => {}
            }
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(console: &str) -> Option<Verdict> {
        relay(console.as_bytes(), io::sink()).unwrap()
    }

    #[test]
    fn only_a_whole_line_is_a_verdict() {
        assert_eq!(verdict("booting\r\ninit: success\r\n"), Some(Verdict::Success));
        assert_eq!(verdict("init: failure\n"), Some(Verdict::Failure));
        assert_eq!(verdict("printed: init: success\n"), None);
        assert_eq!(verdict("init: succ"), None);
    }

    #[test]
    fn carriage_returns_are_dropped() {
        let mut seen = Vec::new();
        relay("a\r\nb\r\n".as_bytes(), &mut seen).unwrap();
        assert_eq!(seen, b"a\nb\n");
    }
}
