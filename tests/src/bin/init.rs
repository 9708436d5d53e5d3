//! The first process of the guest: prepares a small world, runs the plan, gives the verdict, ends the machine.

#![allow(clippy::print_stdout, reason = "the console is how the guest speaks")]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::termios::tcdrain;
use nix::sys::wait::{WaitStatus, wait};
use tests::vm::{FAILURE, PLAN, Plan, SUCCESS};

/// What to mount: type, place, options.
const MOUNTS: &[(&str, &str, &str)] = &[
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", ""),
    ("devpts", "/dev/pts", "ptmxmode=0666"),
    ("tmpfs", "/dev/shm", ""),
    ("tmpfs", "/run", "mode=0755"),
    ("tmpfs", "/tmp", "mode=1777"),
];

const ENVIRONMENT: &[(&str, &str)] =
    &[("PATH", "/bin:/sbin"), ("HOME", "/root"), ("TERM", "linux"), ("RUST_BACKTRACE", "1")];

/// How many files a program may have open.
const FILES: u64 = 1 << 16;

fn main() {
    let verdict = prepare().and_then(|plan| run(&plan));
    match verdict {
        Ok(()) => println!("{SUCCESS}"),
        Err(error) => println!("init: {error:#}\n{FAILURE}"),
    }
    // The line is slow, and the machine stops at once.
    let _ = tcdrain(std::io::stdout());
    let _ = reboot(RebootMode::RB_AUTOBOOT);
}

fn prepare() -> Result<Plan> {
    for (kind, place, options) in MOUNTS {
        fs::create_dir_all(place)?;
        mount(Some(*kind), *place, Some(*kind), MsFlags::empty(), Some(*options))
            .with_context(|| format!("cannot mount {place}"))?;
    }
    symlink("/proc/self/fd", "/dev/fd")?;
    // The kernel's own limit of 1024 would be the first thing that a crowd of clients meets.
    setrlimit(Resource::RLIMIT_NOFILE, FILES, FILES)?;
    // Programs that add their first namespaces at the same time would race to make this one.
    fs::create_dir_all("/run/netns")?;
    nix::unistd::sethostname("guest")?;
    ensure!(execute(&["ip", "link", "set", "lo", "up"].map(str::to_owned))?, "no loopback");
    let plan = fs::read(PLAN).context(PLAN)?;
    Ok(serde_json::from_slice(&plan)?)
}

/// Runs all commands even if one fails: the developer wants to see every failure.
fn run(plan: &Plan) -> Result<()> {
    let mut failed = Vec::new();
    for command in &plan.commands {
        let began = Instant::now();
        let good = execute(command)?;
        println!(
            "init: {} {} in {:.1?}",
            command[0],
            if good { "passed" } else { "failed" },
            began.elapsed()
        );
        if !good {
            failed.push(command[0].as_str());
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Runs one command, and buries every orphan that comes home to us meanwhile.
fn execute(command: &[String]) -> Result<bool> {
    let (program, arguments) = command.split_first().context("an empty command")?;
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(ENVIRONMENT.iter().copied())
        .spawn()
        .with_context(|| program.clone())?;
    loop {
        let status = wait()?;
        if status.pid().is_some_and(|pid| u32::try_from(pid.as_raw()) == Ok(child.id())) {
            return Ok(matches!(status, WaitStatus::Exited(_, 0)));
        }
    }
}
