//! The table that `lvscare status` prints.

use std::fmt::Write as _;
use std::time::Duration;

use super::{RealServer, Status, VirtualServer};
use crate::config::value::brief;
use crate::health::pool::Mode;

#[cfg(test)]
mod tests;

const COLUMNS: usize = 8;

const HEADER: [&str; COLUMNS] =
    ["REAL SERVER", "STATE", "FOR", "WEIGHT", "ACTIVE", "INACTIVE", "LAST PROBE", "RESULT"];

/// Which columns are numbers, aligned to the right.
const NUMBERS: [bool; COLUMNS] = [false, false, true, true, true, true, false, false];

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
        if let Some(problem) = &daemon.configuration.problem {
            let _ = writeln!(text, "problem: the new configuration is refused: {problem}");
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
            let uptime = brief(seconds(daemon.uptime_seconds));
            let repairs = match daemon.repairs {
                0 => "no repairs".to_owned(),
                1 => "1 repair".to_owned(),
                many => format!("{many} repairs"),
            };
            let _ = write!(text, "\nguarded by lvscare {} for {uptime}, {repairs}", daemon.version);
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
    let rows: Vec<[String; COLUMNS]> =
        std::iter::once(HEADER.map(str::to_owned)).chain(servers.iter().map(row)).collect();
    let mut widths = [0; COLUMNS];
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

fn row(server: &RealServer) -> [String; COLUMNS] {
    let [mut state, mut lasting, mut probe, mut result] = ["-"; 4].map(str::to_owned);
    if let Some(health) = &server.health {
        state = health.condition.map_or_else(|| "unknown".into(), |condition| condition.to_string());
        lasting = brief(seconds(health.since_seconds));
        if let Some(last) = &health.last_probe {
            probe =
                format!("{} ago, {}", brief(seconds(last.ago_seconds)), brief(seconds(last.took_seconds)));
            result.clone_from(&last.result);
        }
    }
    [
        server.address.to_string(),
        state,
        lasting,
        server.weight.map_or_else(|| "out".into(), |weight| weight.to_string()),
        server.active.to_string(),
        server.inactive.to_string(),
        probe,
        result,
    ]
}

/// A daemon's clock never runs backwards, but JSON may say anything.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}
