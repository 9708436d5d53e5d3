//! The benchmark's program: measures, and tells. `make bench` runs it on a real kernel.

#![allow(clippy::print_stdout, reason = "telling is its purpose")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use clap::Parser;
use tests::bench::{Plan, report, run};

/// Measures lvscare and its peers
#[derive(Parser)]
struct Cli {
    /// Fewer repetitions, and no peers at their slow defaults
    #[arg(long)]
    quick: bool,
    /// Rounds of failures; 0 measures only the data path and the cost of doing nothing [default: 5, quick: 2]
    #[arg(long)]
    rounds: Option<usize>,
    /// Only contenders whose names begin so (repeatable)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

fn main() {
    let Cli { quick, rounds, only } = Cli::parse();
    let (usual, patience) = if quick { (2, 6) } else { (5, 20) };
    let rounds = rounds.unwrap_or(usual);
    let results = run(&Plan { rounds, patience: Duration::from_secs(patience), quick, only });
    println!("\n{}", report(&results, &heading(quick)));
}

fn heading(quick: bool) -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let date = Command::new("date").arg("+%Y-%m-%d").output().map(|output| output.stdout).unwrap_or_default();
    format!(
        "`{command}` on {date}, kernel {kernel}, in an emulated machine (QEMU, TCG) with two processors and 2 GiB. It is \
         some twenty times slower than the machine it runs on, and its speed varies: compare within one run only.",
        command = if quick { "make bench BENCH=quick" } else { "make bench" },
        date = String::from_utf8_lossy(&date).trim(),
        kernel = kernel.trim(),
    )
}
