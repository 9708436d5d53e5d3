//! The table that `lvscare status` prints.

use std::fmt::Write as _;
use std::time::Duration;

use super::{RealServer, Status, VirtualServer};
use crate::config::value::show;
use crate::health::pool::Mode;

#[cfg(test)]
mod tests;

const HEADER: [&str; 7] = ["REAL SERVER", "STATE", "WEIGHT", "ACTIVE", "INACTIVE", "LAST PROBE", "REASON"];

/// Which columns are numbers, aligned to the right.
const NUMBERS: [bool; 7] = [false, false, true, true, true, false, false];

/// The status for a person.
pub fn render(status: &Status) -> String {
    let mut text = String::new();
    for service in &status.virtual_servers {
        headline(&mut text, status, service);
        if !service.real_servers.is_empty() {
            text.push('\n');
            columns(&mut text, &service.real_servers);
        }
    }
    if let Some(daemon) = &status.daemon {
        for problem in &daemon.problems {
            let _ = writeln!(text, "problem: {problem}");
        }
    }
    text
}

fn headline(text: &mut String, status: &Status, service: &VirtualServer) {
    let _ = write!(text, "virtual server {}", service.address);
    match &service.scheduler {
        Some(scheduler) => _ = write!(text, " ({scheduler})"),
        None => text.push_str(": not in the kernel's table"),
    }
    match service.route_source {
        Some(source) => _ = write!(text, ", local route with source {source}"),
        None => text.push_str(", no local route"),
    }
    match &status.daemon {
        Some(daemon) => {
            let uptime = show(Duration::from_secs(seconds(daemon.uptime_seconds).as_secs()));
            let _ = write!(
                text,
                "\nguarded by lvscare {} for {uptime}, {} repairs",
                daemon.version, daemon.repairs
            );
        }
        None => text.push_str("\nno lvscare answers; this is what the kernel has"),
    }
    text.push_str(match service.mode {
        None | Some(Mode::Normal) => "\n",
        Some(Mode::Unready) => "\nNO REAL SERVER IS READY: those that are healthy go on serving\n",
        Some(Mode::LastResort) => "\nNO REAL SERVER IS HEALTHY: the last good ones go on serving\n",
        Some(Mode::Empty) => "\nEVERY REAL SERVER IS DOWN: clients are refused at once\n",
    });
}

fn columns(text: &mut String, servers: &[RealServer]) {
    let rows: Vec<[String; 7]> =
        std::iter::once(HEADER.map(str::to_owned)).chain(servers.iter().map(row)).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    for row in &rows {
        let mut line = String::new();
        for ((cell, width), is_number) in row.iter().zip(widths).zip(NUMBERS) {
            let _ =
                if is_number { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn row(server: &RealServer) -> [String; 7] {
    let [mut state, mut probe, mut reason] = ["-", "-", "-"].map(str::to_owned);
    if let Some(health) = &server.health {
        state = health.condition.map_or_else(|| "unknown".into(), |condition| condition.to_string());
        if let Some(last) = &health.last_probe {
            probe = format!("{} ago, {}", show(seconds(last.ago_seconds)), show(seconds(last.took_seconds)));
            reason.clone_from(&last.result);
            let _ = write!(
                reason,
                " (for {})",
                show(Duration::from_secs(seconds(health.since_seconds).as_secs()))
            );
        }
    }
    [
        server.address.to_string(),
        state,
        server.weight.map_or_else(|| "out".into(), |weight| weight.to_string()),
        server.active.to_string(),
        server.inactive.to_string(),
        probe,
        reason,
    ]
}

/// To the millisecond; a daemon's clock never runs backwards, but JSON may say anything.
fn seconds(value: f64) -> Duration {
    Duration::from_millis(
        Duration::try_from_secs_f64(value).unwrap_or_default().as_millis().try_into().unwrap_or(0),
    )
}
