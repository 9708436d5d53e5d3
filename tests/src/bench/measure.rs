//! What is measured, and all that was measured.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::series::Series;

/// One line of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    Usable,
    KillOut,
    KillFailed,
    KillGap,
    KillBack,
    SickOut,
    SickBack,
    HoleOut,
    HoleFailed,
    HoleGap,
    HoleBack,
    HeldIdle,
    HeldIdleAfter,
    HeldWriting,
    HeldWritingAfter,
    Flush,
    Memory,
    Threads,
    Requests,
    Cpu,
    CpuPerRequest,
    Syscalls,
    Download,
    Connections,
    CpuPerGigabyte,
}

/// What the numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Seconds,
    Megabytes,
    Number,
    Ratio,
}

impl Measure {
    pub(super) const ALL: [Self; 25] = [
        Self::Usable,
        Self::KillOut,
        Self::KillFailed,
        Self::KillGap,
        Self::KillBack,
        Self::SickOut,
        Self::SickBack,
        Self::HoleOut,
        Self::HoleFailed,
        Self::HoleGap,
        Self::HoleBack,
        Self::HeldIdle,
        Self::HeldIdleAfter,
        Self::HeldWriting,
        Self::HeldWritingAfter,
        Self::Flush,
        Self::Memory,
        Self::Threads,
        Self::Requests,
        Self::Cpu,
        Self::CpuPerRequest,
        Self::Syscalls,
        Self::Download,
        Self::Connections,
        Self::CpuPerGigabyte,
    ];

    /// What it is called, and what it counts.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Usable => "start: usable after",
            Self::KillOut => "kill: out after",
            Self::KillFailed => "kill: requests failed",
            Self::KillGap => "kill: longest time without success",
            Self::KillBack => "kill: back after",
            Self::SickOut => "HTTP 500: out after",
            Self::SickBack => "HTTP 500: back after",
            Self::HoleOut => "black hole: out after",
            Self::HoleFailed => "black hole: requests failed",
            Self::HoleGap => "black hole: longest time without success",
            Self::HoleBack => "black hole: back after",
            Self::HeldIdle => "held idle client: told after",
            Self::HeldIdleAfter => "held idle client: told after the removal",
            Self::HeldWriting => "held writing client: told after",
            Self::HeldWritingAfter => "held writing client: told after the removal",
            Self::Flush => "flush: whole again after",
            Self::Memory => "memory (PSS)",
            Self::Threads => "processes and threads",
            Self::Requests => "idle: requests a minute",
            Self::Cpu => "idle: CPU a minute",
            Self::CpuPerRequest => "idle: CPU a request",
            Self::Syscalls => "idle: system calls a request",
            Self::Download => "download, of direct",
            Self::Connections => "new connections a second, of direct",
            Self::CpuPerGigabyte => "CPU a gigabyte",
        }
    }

    pub(super) fn unit(self) -> Unit {
        match self {
            Self::KillFailed | Self::HoleFailed | Self::Threads | Self::Requests | Self::Syscalls => {
                Unit::Number
            }
            Self::Memory => Unit::Megabytes,
            Self::Cpu | Self::CpuPerGigabyte => Unit::Seconds,
            Self::Download | Self::Connections => Unit::Ratio,
            _ => Unit::Milliseconds,
        }
    }

    /// It depends on the rules only, not on the program that made them.
    pub(super) fn is_of_the_data_path(self) -> bool {
        matches!(self, Self::Download | Self::Connections | Self::CpuPerGigabyte)
    }

    /// There is a better and a worse.
    pub(super) fn is_a_contest(self) -> bool {
        self != Self::Requests
    }

    /// The best value is the highest.
    pub(super) fn more_is_better(self) -> bool {
        self.unit() == Unit::Ratio
    }
}

impl Unit {
    /// A number a person can read.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            _ if value.is_infinite() => "never".to_owned(),
            Self::Milliseconds if value >= 999.5 => format!("{:.2} s", value / 1000.0),
            Self::Milliseconds if value >= 9.95 => format!("{value:.0} ms"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Seconds => format!("{value:.2} s"),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Number if value.fract() == 0.0 || value >= 99.5 => format!("{value:.0}"),
            Self::Number => format!("{value:.1}"),
            Self::Ratio => format!("{value:.2}"),
        }
    }
}

/// All that was measured, by measure and contender.
#[derive(Debug, Default)]
pub struct Results {
    series: Mutex<BTreeMap<(Measure, &'static str), Series>>,
    notes: Mutex<Vec<String>>,
}

impl Results {
    pub(super) fn add(&self, who: &'static str, measure: Measure, value: f64) {
        self.add_some(who, measure, Some(value));
    }

    /// A time, or that it did not come to that.
    pub(super) fn add_time(&self, who: &'static str, measure: Measure, time: Option<Duration>) {
        self.add_some(who, measure, time.map(|time| time.as_secs_f64() * 1000.0));
    }

    fn add_some(&self, who: &'static str, measure: Measure, value: Option<f64>) {
        println!(
            "bench:   {who}: {}: {}",
            measure.title(),
            measure.unit().show(value.unwrap_or(f64::INFINITY))
        );
        self.series.lock().expect("no holder panics").entry((measure, who)).or_default().add(value);
    }

    /// Something the reader must know.
    pub(super) fn note(&self, note: String) {
        println!("bench:   {note}");
        self.notes.lock().expect("no holder panics").push(note);
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.lock().expect("no holder panics").clone()
    }

    pub(super) fn get(&self, who: &'static str, measure: Measure) -> Option<Series> {
        self.series.lock().expect("no holder panics").get(&(measure, who)).cloned()
    }

    pub(super) fn median(&self, who: &'static str, measure: Measure) -> Option<f64> {
        Some(self.get(who, measure)?.median())
    }

    /// It was tried, and has not happened yet.
    pub(super) fn is_hopeless(&self, who: &'static str, measure: Measure) -> bool {
        self.get(who, measure).is_some_and(|series| series.is_hopeless())
    }
}
