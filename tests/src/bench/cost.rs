//! What a contender takes while nothing happens.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::contender::Contender;
use super::family::Family;
use super::measure::{Measure, Results};
use super::stage::{Stage, run};
use crate::lab::Lab;
use crate::process::Process;
use crate::wait::eventually;

/// After its start a contender is busier than later.
const SETTLE: Duration = Duration::from_secs(3);

/// How long processor time is measured, and how often. As long as ours waits between two questions through the virtual
/// server, so that hardly a sample is without one.
const IDLE: Duration = Duration::from_secs(60);
const SAMPLES: usize = 3;

/// How long system calls are counted.
const TRACED: Duration = Duration::from_secs(20);

/// What may take long because all contenders do it at once.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts it and lets it be.
pub(super) fn measure(contender: &'static Contender, results: &Results) {
    let lab = Lab::new();
    // How long it takes now says nothing: all start at once.
    let (stage, Some(_)) = Stage::start(&lab, contender, LIMIT) else { return };
    let who = contender.name;
    sleep(SETTLE);
    let family = Family::of(stage.process.id());
    for _ in 0..SAMPLES {
        idle(&lab, who, &family, results);
    }
    if let Some(calls) = calls_per_request(&lab, &family) {
        results.add(who, Measure::Syscalls, calls);
    }
    stage.stop();
}

/// One sample of what it takes.
fn idle(lab: &Lab, who: &'static str, family: &Family, results: &Results) {
    let (cpu, requests) = (family.cpu(), asked(lab));
    sleep(IDLE);
    let (cpu, requests) = (family.cpu().saturating_sub(cpu), asked(lab) - requests);

    let minutes = IDLE.as_secs_f64() / 60.0;
    results.add(who, Measure::Requests, requests as f64 / minutes);
    results.add(who, Measure::Cpu, cpu.as_secs_f64() / minutes);
    if requests > 0 {
        results.add_time(who, Measure::CpuPerRequest, Some(cpu.div_f64(requests as f64)));
    }
}

/// Memory and threads, of one that is alone: what it shares with another of the same program would count for half.
pub(super) fn size(stage: &Stage, results: &Results) {
    let family = Family::of(stage.process.id());
    results.add(stage.contender.name, Measure::Memory, family.memory());
    results.add(stage.contender.name, Measure::Threads, family.threads() as f64);
}

/// Counts system calls for a while.
fn calls_per_request(lab: &Lab, family: &Family) -> Option<f64> {
    let mut words = ["/usr/bin/strace", "-f", "-c", "-U", "calls,name"].map(str::to_owned).to_vec();
    words.extend(family.members().iter().flat_map(|id| ["-p".to_owned(), id.to_string()]));
    let mut strace = run(lab, &words);
    let attached = |log: &str| log.matches("attached").count() >= family.members().len();
    eventually(LIMIT, "strace at work", || attached(&strace.log()).then_some(()));
    let before = asked(lab);
    sleep(TRACED);
    let requests = asked(lab) - before;
    strace.signal(Signal::SIGINT);
    strace.wait(LIMIT);
    let calls = total(&strace)?;
    (requests > 0).then(|| calls / requests as f64)
}

/// The last line of strace's table: `1234 total`.
fn total(strace: &Process) -> Option<f64> {
    let log = strace.log();
    let line = log.lines().rev().find_map(|line| line.trim_end().strip_suffix("total"))?;
    line.trim().parse().ok()
}

/// Health requests that all servers have seen.
fn asked(lab: &Lab) -> u64 {
    let seen = lab.masters().iter().map(|master| master.control().stats());
    seen.map(|stats| stats.questions()).sum()
}
