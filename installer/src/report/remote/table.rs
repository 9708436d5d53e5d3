//! What hosts are, for people.

use cluster::flow::{Answer, Rights};
use cluster::remote::probe::Probe;
use cluster::runner::Ended;

use super::Reported;

const HEADER: [&str; 7] = ["HOST", "ROLE", "STATE", "ROOT", "CLOCK", "ARCH", "KERNEL"];

/// A line for each.
pub(super) fn table(hosts: &[Reported]) -> String {
    aligned(HEADER, hosts.iter().map(row))
}

/// Columns as wide as they must be.
pub(super) fn aligned<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(host: &Reported) -> [String; HEADER.len()] {
    let role = host.role.map_or("-", cluster::inventory::Role::as_str).to_owned();
    let nothing = || "-".to_owned();
    match &host.outcome {
        Some(Ended::Done(Ok(Answer::Ping(probe, rights)))) => {
            let Probe { system, kernel, machine, ahead_seconds, .. } = probe;
            let kernel = format!("{system} {kernel}");
            let (rights, clock) = (way(rights).to_owned(), clock(*ahead_seconds));
            [host.name.clone(), role, "ok".to_owned(), rights, clock, machine.clone(), kernel]
        }
        outcome => {
            let state = match outcome {
                Some(Ended::Left) => "left".to_owned(),
                None | Some(Ended::NotBegun) => "not begun".to_owned(),
                Some(Ended::Done(_)) => host.failure().map_or_else(nothing, |(reason, _)| reason.word()),
            };
            [host.name.clone(), role, state, nothing(), nothing(), nothing(), nothing()]
        }
    }
}

/// How somebody becomes root.
fn way(rights: &Rights) -> &'static str {
    match rights {
        Rights::Root => "login",
        Rights::Free => "sudo",
        Rights::Password => "sudo, password",
        Rights::Asks => "sudo asks",
        Rights::None(_) => "no",
    }
}

/// A difference that the question itself may have made is none.
fn clock(ahead_seconds: i64) -> String {
    if ahead_seconds == 0 { "ok".to_owned() } else { format!("{ahead_seconds:+} s") }
}

#[cfg(test)]
mod tests {
    use cluster::inventory::{Host, Role};
    use cluster::transport;

    use cluster::flow::Watch;

    use super::super::{RemoteForm, RemoteReporter, Table};
    use super::*;

    #[test]
    fn every_state_has_a_line() {
        let hosts: Vec<_> = [
            ("10.0.0.1:22", Some(Role::Master)),
            ("10.0.0.2:22", Some(Role::Node)),
            ("[fd00::10]:2222", None),
        ]
        .into_iter()
        .map(|(at, role)| Host { at: at.parse().unwrap(), role })
        .collect();
        let form = RemoteForm { table: Some(Table::Ping), ..RemoteForm::default() };
        let mut reporter = RemoteReporter::new(form, &hosts, crate::run_log::RunLog::none());
        let probe = Probe {
            system: "Linux".to_owned(),
            kernel: "6.1.0".to_owned(),
            machine: "x86_64".to_owned(),
            ahead_seconds: -120,
            ..Probe::default()
        };
        reporter.ended(0, Ended::Done(Ok(Answer::Ping(probe, Rights::Password))));
        reporter.ended(1, Ended::Done(Err(transport::Error::Lost.into())));
        insta::assert_snapshot!(table(&reporter.hosts), @r"
        HOST             ROLE    STATE        ROOT            CLOCK   ARCH    KERNEL
        10.0.0.1         master  ok           sudo, password  -120 s  x86_64  Linux 6.1.0
        10.0.0.2         node    unreachable  -               -       -       -
        [fd00::10]:2222  -       not begun    -               -       -       -
        ");
    }
}
