//! A process with all its descendants, and what they take together.

use std::fs;
use std::time::Duration;

use nix::unistd::Pid;

/// The process ids, the eldest first.
#[derive(Clone, Debug)]
pub(super) struct Family(Vec<i32>);

impl Family {
    /// The family of `eldest` as it is now.
    pub(super) fn of(eldest: Pid) -> Self {
        let parents: Vec<(i32, i32)> = numbers("/proc").filter_map(|id| Some((id, parent(id)?))).collect();
        let mut members = vec![eldest.as_raw()];
        let mut next = 0;
        while let Some(&member) = members.get(next) {
            members.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(id, _)| id));
            next += 1;
        }
        Self(members)
    }

    pub(super) fn members(&self) -> &[i32] {
        &self.0
    }

    /// Threads of all members.
    pub(super) fn threads(&self) -> usize {
        self.tasks().count()
    }

    /// Proportional set size in megabytes: pages shared with others count in part.
    pub(super) fn memory(&self) -> f64 {
        let kilobytes = self.0.iter().filter_map(|id| {
            let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        });
        kilobytes.sum::<f64>() / 1024.0
    }

    /// The time that all living threads have spent on a processor, to the nanosecond.
    pub(super) fn cpu(&self) -> Duration {
        let nanoseconds = self.tasks().filter_map(|task| {
            let text = fs::read_to_string(format!("{task}/schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    fn tasks(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|id| {
            let place = format!("/proc/{id}/task");
            numbers(&place).map(|task| format!("{place}/{task}")).collect::<Vec<_>>()
        })
    }
}

/// The names in a directory that are numbers.
fn numbers(directory: &str) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(id: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before the last parenthesis may hold anything; the state and the parent follow it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_its_own_family() {
        let family = Family::of(nix::unistd::getpid());
        assert_eq!(family.members()[0], nix::unistd::getpid().as_raw());
        assert!(family.threads() >= 1 && family.memory() > 0.0);
    }
}
