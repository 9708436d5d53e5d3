//! The table that `lvscare status` prints.

use std::fmt::Write as _;
use std::time::Duration;

use super::{RealServer, Status, VirtualServer};
use crate::config::value::brief;
use crate::discover::Source;
use crate::health::pool::Mode;
use crate::model::Traffic;

#[cfg(test)]
mod tests;

const COLUMNS: usize = 8;

const HEADER: [&str; COLUMNS] =
    ["REAL SERVER", "STATE", "FOR", "WEIGHT", "ACTIVE", "INACTIVE", "LAST PROBE", "RESULT"];

/// Which columns are numbers, aligned to the right.
const NUMBERS: [bool; COLUMNS] = [false, false, true, true, true, true, false, false];

/// How a table is dressed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// With the colours of a terminal.
    pub colour: bool,
    /// With what is seldom of interest: traffic and configuration.
    pub wide: bool,
}

/// Select Graphic Rendition (ECMA-48): green, yellow, red.
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const RED: u8 = 31;

impl Style {
    fn paint(self, text: &str, colour: Option<u8>) -> String {
        match colour {
            Some(colour) if self.colour => format!("\x1b[{colour}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// The status for a person.
pub fn render(status: &Status, style: Style) -> String {
    let mut text = String::new();
    for (number, service) in status.virtual_servers.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        headline(&mut text, status, service, style);
        if !service.real_servers.is_empty() {
            text.push('\n');
            columns(&mut text, &service.real_servers, style);
            drained(&mut text, &service.real_servers, style);
        }
    }
    if !status.virtual_servers.is_empty() && !status.bare_routes.is_empty() {
        text.push('\n');
    }
    for vip in &status.bare_routes {
        let what = "of lvscare, without a virtual server: nobody guards it, or all its real servers are down";
        let _ = writeln!(text, "local route {vip} {what}");
    }
    if let Some(daemon) = &status.daemon {
        for problem in &daemon.problems {
            let _ = writeln!(text, "{} {problem}", style.paint("problem:", Some(RED)));
        }
        for note in &daemon.notes {
            let _ = writeln!(text, "{} {note}", style.paint("note:", Some(YELLOW)));
        }
        if let Some(problem) = &daemon.configuration.problem {
            let what = style.paint("problem:", Some(RED));
            let _ = writeln!(text, "{what} the new configuration is refused: {problem}");
        }
    }
    text
}

fn headline(text: &mut String, status: &Status, service: &VirtualServer, style: Style) {
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
        // Whatever a daemon guards has a mode.
        Some(_) if service.mode.is_none() => {
            let at = service.address;
            let _ = write!(text, "\nno lvscare guards it; `lvscare clean --vs {at}` removes it");
        }
        Some(daemon) => {
            let uptime = brief(seconds(daemon.uptime_seconds));
            let repairs = match daemon.repairs {
                0 => "no repairs".to_owned(),
                1 => "1 repair".to_owned(),
                many => format!("{many} repairs"),
            };
            let _ = write!(text, "\nguarded by lvscare {} for {uptime}, {repairs}", daemon.version);
            if style.wide {
                let configuration = &daemon.configuration;
                let _ = write!(text, ", configuration {} ({})", configuration.generation, configuration.hash);
                if !daemon.process.is_empty() {
                    let _ = write!(text, ", {}", daemon.process);
                }
            }
        }
        None => text.push_str("\nno lvscare answers; this is what the kernel has"),
    }
    if let Some(probe) = &service.self_probe {
        let [ago, took] = [probe.ago_seconds, probe.took_seconds].map(|time| brief(seconds(time)));
        let _ = write!(text, "\nasked through itself {ago} ago: {}, {took}", probe.result);
    }
    if let Some(masters) = &service.masters {
        let source = match masters.source {
            Source::Configured => "as configured".to_owned(),
            Source::Disk => "as learned before".to_owned(),
            Source::Api => format!("as the API said {} ago", brief(seconds(masters.ago_seconds))),
        };
        let _ = write!(text, "\n{} masters {source}", masters.count);
        if let Some(problem) = &masters.problem {
            let _ = write!(text, "; {} {problem}", style.paint("problem:", Some(YELLOW)));
        }
    }
    if style.wide {
        let Traffic { connections, packets_in, packets_out, bytes_in, bytes_out } = service.traffic;
        let _ = write!(
            text,
            "\n{connections} connections, in {packets_in} packets {bytes_in} bytes, out {packets_out} packets \
             {bytes_out} bytes"
        );
    }
    let (warning, colour) = match service.mode {
        None | Some(Mode::Normal) => ("", None),
        Some(Mode::Unready) => {
            ("\nNO REAL SERVER IS READY: those that are healthy go on serving", Some(YELLOW))
        }
        Some(Mode::LastResort) => {
            ("\nNO REAL SERVER IS HEALTHY: the last good ones go on serving", Some(RED))
        }
        Some(Mode::Empty) => ("\nEVERY REAL SERVER IS DOWN: clients are refused at once", Some(RED)),
    };
    text.push_str(&style.paint(warning, colour));
    if matches!(service.mode, Some(Mode::LastResort | Mode::Empty)) {
        text.push_str("\nIf the masters were replaced, name the new ones: --rs, or realServers in the file");
    }
    text.push('\n');
}

fn columns(text: &mut String, servers: &[RealServer], style: Style) {
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
        for (((cell, width), is_number), header) in row.iter().zip(widths).zip(NUMBERS).zip(HEADER) {
            let padded = if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
            let colour = if header == "STATE" { colour(cell) } else { None };
            line.push_str(&style.paint(&padded, colour));
            line.push_str("  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn drained(text: &mut String, servers: &[RealServer], style: Style) {
    for server in servers {
        let Some(age) = server.drained_seconds else { continue };
        let is_needed = server.weight.is_some_and(|weight| weight > 0);
        let but = if is_needed { "; it serves because nobody else can" } else { "" };
        let (what, address, age) =
            (style.paint("drained", Some(YELLOW)), server.address, brief(seconds(age)));
        let _ = writeln!(
            text,
            "{what} by an administrator {age} ago: {address}{but} (back with: lvscare undrain {address})"
        );
    }
}

fn colour(state: &str) -> Option<u8> {
    match state {
        "alive" => Some(GREEN),
        "draining" | "sick" => Some(YELLOW),
        "dead" => Some(RED),
        _ => None,
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
