//! What nodes have of what they should have, for people.

use std::fmt::Write as _;

use cluster::runner::Ended;
use lvscare::status::{Style, VirtualServer, render};
use node::api::NodeStatus;

use super::Reported;
use super::table::aligned;

const HEADER: [&str; 7] = ["HOST", "ROLE", "STATE", "VIRTUAL SERVER", "IN SERVICE", "GUARD", "POD"];

/// A line for each; with all that is known of each virtual server if `is_wide`.
pub(super) fn table(hosts: &[Reported], is_wide: bool) -> String {
    let mut text = aligned(HEADER, hosts.iter().map(row));
    for host in hosts.iter().filter(|_| is_wide) {
        let Some(rules) = host.status().and_then(|status| status.rules.as_ref()) else { continue };
        let table = render(rules, Style { colour: false, wide: true });
        let _ = write!(text, "\n\n{}\n{}", host.name, table.trim_end());
    }
    text
}

/// How many of them are how.
pub(super) fn summary(hosts: &[Reported]) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for state in hosts.iter().map(state) {
        match counts.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => counts.push((state, 1)),
        }
    }
    let counts: Vec<_> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    format!("{} hosts: {}", hosts.len(), counts.join(", "))
}

fn row(host: &Reported) -> [String; 7] {
    let role = host.role.map_or("-", cluster::inventory::Role::as_str).to_owned();
    let mut row = [host.name.clone(), role, state(host)].to_vec();
    let cells = host.status().map(cells).unwrap_or_default();
    row.extend(cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }));
    row.try_into().unwrap_or_default()
}

fn state(host: &Reported) -> String {
    match (host.status(), &host.outcome) {
        (Some(status), _) if !status.differences.is_empty() => "different".to_owned(),
        (Some(status), _) if status.prepared || status.manifest.is_some() => "ok".to_owned(),
        (Some(_), _) => "not prepared".to_owned(),
        (None, Some(Ended::Left)) => "left".to_owned(),
        (None, Some(Ended::NotBegun)) => "not begun".to_owned(),
        (None, None) => "asked".to_owned(),
        (None, Some(Ended::Done(_))) => host.failure().map_or("-".to_owned(), |(reason, _)| reason.word()),
    }
}

fn cells(status: &NodeStatus) -> [String; 4] {
    let first = status.rules.as_ref().and_then(|rules| rules.virtual_servers.first());
    let daemon = status.rules.as_ref().and_then(|rules| rules.daemon.as_ref());
    let guard = daemon.map(|daemon| format!("lvscare {}", lvscare::terminal::printable(&daemon.version)));
    [
        first.map(|server| server.address.to_string()).unwrap_or_default(),
        first.map(in_service).unwrap_or_default(),
        guard.unwrap_or_default(),
        if status.manifest.is_some() { "yes".to_owned() } else { String::new() },
    ]
}

/// Those that get new connections, of all.
fn in_service(server: &VirtualServer) -> String {
    let taken = server.real_servers.iter().filter(|server| server.weight.is_some_and(|weight| weight > 0));
    format!("{} of {}", taken.count(), server.real_servers.len())
}

#[cfg(test)]
mod tests {
    use cluster::flow::{Answer, Told, Watch};
    use cluster::inventory::{Host, Role};
    use cluster::remote;
    use cluster::transport;
    use node::api::{Failure, Kind, Outcome};

    use super::super::{RemoteForm, RemoteReporter, Table};
    use super::*;

    fn status(json: &str) -> NodeStatus {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_state_has_a_line() {
        let hosts: Vec<_> = (1..=6)
            .map(|number| Host { at: format!("10.0.0.{number}:22").parse().unwrap(), role: Some(Role::Node) })
            .collect();
        let form = RemoteForm { table: Some(Table::Status { is_wide: false }), ..RemoteForm::default() };
        let mut reporter = RemoteReporter::new(form, &hosts, crate::run_log::RunLog::none());
        let rules = r#"{"daemon":{"version":"0.1.0","uptime_seconds":1,"last_pass_seconds":1,"repairs":0,"problems":[],
            "configuration":{"generation":1,"hash":"x","failures":0,"problem":null}},"virtual_servers":[{"address":
            "10.103.97.2:6443","scheduler":"rr","route_source":null,"mode":null,"self_probe":null,"masters":null,"traffic":
            {"connections":0,"packets_in":0,"packets_out":0,"bytes_in":0,"bytes_out":0},"real_servers":[
            {"address":"10.0.0.1:6443","weight":1,"active":0,"inactive":0,"health":null,"drained_seconds":null},
            {"address":"10.0.0.2:6443","weight":0,"active":0,"inactive":0,"health":null,"drained_seconds":null}]}]}"#;
        let fine = status(&format!(
            r#"{{"manifest":"/etc/kubernetes/manifests/kube-lvscare.yaml","rules":{rules},"hosts":[],"prepared":true,
            "differences":[]}}"#
        ));
        let mut different = NodeStatus { differences: vec!["it\n is gone".to_owned()], ..fine.clone() };
        different.manifest = None;
        let bare = status(r#"{"manifest":null,"rules":null,"hosts":[],"prepared":false,"differences":[]}"#);
        for (host, status) in [fine, different, bare].into_iter().enumerate() {
            reporter.ended(host, Ended::Done(Ok(Answer::Node(Box::new(Outcome::Status(status))))));
        }
        reporter.ended(3, Ended::Done(Err(transport::Error::Lost.into())));
        let held = Failure::new(Kind::Locked, "another run is at work");
        reporter.ended(4, Ended::Done(Err(remote::Error::Host(held))));
        insta::assert_snapshot!(table(&reporter.hosts, false), @r"
        HOST      ROLE  STATE         VIRTUAL SERVER    IN SERVICE  GUARD          POD
        10.0.0.1  node  ok            10.103.97.2:6443  1 of 2      lvscare 0.1.0  yes
        10.0.0.2  node  different     10.103.97.2:6443  1 of 2      lvscare 0.1.0  -
        10.0.0.3  node  not prepared  -                 -           -              -
        10.0.0.4  node  unreachable   -                 -           -              -
        10.0.0.5  node  locked        -                 -           -              -
        10.0.0.6  node  asked         -                 -           -              -
        ");
        let summed = "6 hosts: 1 ok, 1 different, 1 not prepared, 1 unreachable, 1 locked, 1 asked";
        assert_eq!(summary(&reporter.hosts), summed);
        let remarks: Vec<_> = reporter.hosts.iter().flat_map(Reported::remarks).collect();
        assert_eq!(remarks, ["it\n is gone", "the link was lost", "another run is at work"]);
        // Seen on the way, where it is asked again and again.
        let bare = status(r#"{"manifest":null,"rules":null,"hosts":[],"prepared":true,"differences":[]}"#);
        reporter.told(5, Told::Seen(Box::new(bare)));
        assert!(
            table(&reporter.hosts, false)
                .ends_with("10.0.0.6  node  ok            -                 -           -              -")
        );
    }
}
