//! The metrics that every client library of Prometheus has of its own process, under their usual names.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::files;

/// `USER_HZ`, in which the kernel tells processor time to programs; 100 on every architecture Linux still runs on
/// here (`include/uapi/asm-generic/param.h`).
const TICKS: f64 = 100.0;

/// Appends them to `text`; what cannot be read is left out.
pub(super) fn render(text: &mut String) {
    let mut say = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
    };
    let stat = Stat::read();
    let stat = stat.as_ref();
    let cpu = stat.map(|stat| stat.cpu);
    say("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", cpu);
    say(
        "process_start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        stat.and_then(Stat::start),
    );
    say(
        "process_virtual_memory_bytes",
        "gauge",
        "Virtual memory size in bytes.",
        stat.map(|stat| stat.virtual_memory),
    );
    say("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident());
    let files = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
    #[expect(clippy::cast_precision_loss, reason = "file descriptors are few")]
    say("process_open_fds", "gauge", "Number of open file descriptors.", files.map(|count| count as f64));
}

/// From `/proc/self/stat` (`proc_pid_stat(5)`).
struct Stat {
    cpu: f64,
    /// Since the machine started.
    started: f64,
    virtual_memory: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&files::read_text(Path::new("/proc/self/stat")).ok()?)
    }

    /// The name in parentheses may hold anything; the fields after it are counted from 3 in the manual.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu: (field(14)? + field(15)?) / TICKS,
            started: field(22)? / TICKS,
            virtual_memory: field(23)?,
        })
    }

    fn start(&self) -> Option<f64> {
        let text = files::read_text(Path::new("/proc/stat")).ok()?;
        let boot = text.lines().find_map(|line| line.strip_prefix("btime "))?;
        Some(boot.trim().parse::<f64>().ok()? + self.started)
    }
}

fn resident() -> Option<f64> {
    let text = files::read_text(Path::new("/proc/self/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 1234 9000000 250 18446744073709551615";
        let stat = Stat::parse(text).unwrap();
        assert!((stat.cpu - 2.0).abs() < 1e-9);
        assert!((stat.started - 12.34).abs() < 1e-9);
        assert!((stat.virtual_memory - 9_000_000.0).abs() < 1e-9);
    }

    #[test]
    fn this_process_can_be_read() {
        let mut text = String::new();
        render(&mut text);
        for name in ["cpu_seconds_total", "start_time_seconds", "resident_memory_bytes", "open_fds"] {
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name} in {text}");
        }
    }
}
