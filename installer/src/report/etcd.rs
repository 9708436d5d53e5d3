//! etcd, for people.

use std::fmt::Write as _;

use lvscare::terminal;
use node::api::etcd::{EtcdHealth, EtcdMember, EtcdSnapshot};

/// A line for each member, and one more for what is wrong with it.
pub(super) fn health(health: &EtcdHealth) -> String {
    let mut lines = vec![["MEMBER", "CLIENTS", "ROLE", "VERSION", "DATABASE"].map(str::to_owned)];
    lines.extend(health.members.iter().map(|member| cells(member).map(|cell| terminal::printable(&cell))));
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let [name, clients, role, version] = widths;
        let _ = writeln!(
            text,
            "{:name$}  {:clients$}  {:role$}  {:version$}  {:>9}",
            line[0], line[1], line[2], line[3], line[4]
        );
        let member = index.checked_sub(1).and_then(|index| health.members.get(index));
        if let Some(trouble) = member.and_then(|member| member.trouble.as_deref()) {
            let _ = writeln!(text, "  ! {trouble}");
        }
    }
    text
}

fn cells(member: &EtcdMember) -> [String; 5] {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let role = match member {
        EtcdMember { is_leader: true, .. } => "leader",
        EtcdMember { is_learner: true, .. } => "learner",
        EtcdMember { version: None, .. } => "-",
        _ => "follower",
    };
    [
        or_dash(&member.name),
        or_dash(&member.client_urls.join(",")),
        role.to_owned(),
        or_dash(member.version.as_deref().unwrap_or_default()),
        member.database.map_or_else(|| "-".to_owned(), length),
    ]
}

fn length(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// What was saved.
pub(super) fn snapshot(snapshot: &EtcdSnapshot) -> String {
    let EtcdSnapshot { file, bytes, sha256, hash, revision, keys } = snapshot;
    format!(
        "{}: {} (mode 0600), revision {revision}, {keys} keys, hash {hash:08x}\nsha256 {sha256}\nhow it is restored: \
         lvscare-installer node etcd restore-help {0}",
        file.display(),
        length(*bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_a_line_for_each_member() {
        let member = |name: &str, leads, version: Option<&str>, trouble: Option<&str>| EtcdMember {
            name: name.to_owned(),
            client_urls: if name.is_empty() { Vec::new() } else { vec![format!("https://{name}:2379")] },
            is_leader: leads,
            version: version.map(str::to_owned),
            database: version.map(|_| 25_264_128),
            trouble: trouble.map(str::to_owned),
            ..EtcdMember::default()
        };
        let members = vec![
            member("m1", true, Some("3.4.13"), None),
            member("m2", false, None, Some("context deadline exceeded")),
            member("", false, None, Some("it was announced and has not begun")),
        ];
        insta::assert_snapshot!(health(&EtcdHealth { members }), @r"
        MEMBER  CLIENTS          ROLE    VERSION   DATABASE
        m1      https://m1:2379  leader  3.4.13     25.2 MB
        m2      https://m2:2379  -       -                -
          ! context deadline exceeded
        -       -                -       -                -
          ! it was announced and has not begun
        ");
    }
}
