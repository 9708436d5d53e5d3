//! Certificates, for people and for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use lvscare::terminal;
use node::api::certificates::{CertificateRow, Certificates};
use node::date::date;
use node::machine::files;
use node::step::Content;

/// A line for each, and one more for each thing that is wrong with it.
pub(super) fn table(table: &Certificates, verbose: bool) -> String {
    if table.certificates.is_empty() && table.unreadable.is_empty() {
        return "there are no certificates of a cluster on this node".to_owned();
    }
    let mut lines = vec![["FILE", "SUBJECT", "ENDS", "DAYS"].map(str::to_owned)];
    lines.extend(table.certificates.iter().map(|row| {
        let cells = [
            row.file.display().to_string(),
            row.subject.clone(),
            date(row.not_after),
            row.days_left.to_string(),
        ];
        cells.map(|cell| terminal::printable(&cell))
    }));
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let (file, subject) = (width(0), width(1));
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let _ = writeln!(text, "{:file$}  {:subject$}  {:10}  {:>6}", line[0], line[1], line[2], line[3]);
        let Some(row) = index.checked_sub(1).and_then(|index| table.certificates.get(index)) else {
            continue;
        };
        if verbose {
            let _ = writeln!(text, "    issuer {}", row.issuer);
        }
        if verbose && !row.names.is_empty() {
            let _ = writeln!(text, "    names  {}", row.names.join(", "));
        }
        for finding in &row.findings {
            let _ = writeln!(text, "  ! {}", finding.text);
        }
    }
    for unreadable in &table.unreadable {
        let _ = writeln!(text, "{}\n  ! {}", unreadable.file.display(), unreadable.why);
    }
    text
}

/// Gives the file the metrics, whole or not at all.
pub(super) fn write(path: &Path, table: &Certificates) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    files::write(&path, directory, &Content::new(metrics(table), 0o644))
}

/// In the form that Prometheus reads (<https://prometheus.io/docs/instrumenting/exposition_formats/>). One series twice would
/// have it refuse all of them: of certificates that cannot be told apart it is the one that ends first.
fn metrics(table: &Certificates) -> String {
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    let mut findings: BTreeMap<String, u64> = BTreeMap::new();
    for row in &table.certificates {
        let end = ends.entry(labels(row)).or_insert(row.not_after);
        *end = row.not_after.min(*end);
        *findings.entry(file(&row.file)).or_default() += row.findings.len() as u64;
    }
    for unreadable in &table.unreadable {
        *findings.entry(file(&unreadable.file)).or_default() += 1;
    }
    let looked_at = BTreeMap::from([(String::new(), table.time)]);
    let mut text = String::new();
    for (name, help, series) in [
        ("certificate_not_after_seconds", "When a certificate ends, in seconds since 1970.", ends),
        ("certificate_findings", "How many things are wrong with the certificates of a file.", findings),
        ("certificate_check_timestamp_seconds", "When they were looked at.", looked_at),
    ] {
        let _ = writeln!(text, "# HELP lvscare_{name} {help}\n# TYPE lvscare_{name} gauge");
        for (labels, value) in series {
            let _ = writeln!(text, "lvscare_{name}{labels} {value}");
        }
    }
    text
}

fn labels(row: &CertificateRow) -> String {
    let (file, user) =
        (escaped(&row.file.display().to_string()), escaped(row.user.as_deref().unwrap_or_default()));
    let (subject, authority) = (escaped(&row.subject), row.is_authority);
    format!("{{file=\"{file}\",user=\"{user}\",subject=\"{subject}\",authority=\"{authority}\"}}")
}

fn file(path: &Path) -> String {
    format!("{{file=\"{}\"}}", escaped(&path.display().to_string()))
}

/// What strangers have written into certificates is shown, and does nothing.
fn escaped(value: &str) -> String {
    terminal::printable(value).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use node::api::certificates::{Finding, FindingKind, Unreadable};

    use super::*;

    fn row(file: &str, subject: &str, not_after: u64) -> CertificateRow {
        CertificateRow {
            file: file.into(),
            user: None,
            subject: subject.to_owned(),
            names: vec!["kubernetes".to_owned()],
            issuer: "CN=kubernetes".to_owned(),
            authority: None,
            is_authority: false,
            not_before: 0,
            not_after,
            days_left: 12,
            findings: Vec::new(),
        }
    }

    fn some() -> Certificates {
        let mut bad = row("/etc/kubernetes/pki/apiserver.crt", "CN=kube-apiserver\x1b[2J", 4_918_060_800);
        bad.findings.push(Finding { kind: FindingKind::OtherKey, text: "the key is not its own".to_owned() });
        let unreadable =
            Unreadable { file: "/etc/kubernetes/x.conf".into(), why: "it is no kubeconfig".to_owned() };
        Certificates {
            time: 1_788_220_800,
            certificates: vec![bad, row("/a\"\\", "CN=a", 7), row("/a\"\\", "CN=a", 5)],
            unreadable: vec![unreadable],
        }
    }

    #[test]
    fn people_see_a_line_for_each_and_what_is_wrong() {
        insta::assert_snapshot!(table(&some(), true), @r#"
        FILE                               SUBJECT                   ENDS          DAYS
        /etc/kubernetes/pki/apiserver.crt  CN=kube-apiserver\x1b[2J  2125-11-06      12
            issuer CN=kubernetes
            names  kubernetes
          ! the key is not its own
        /a"\                               CN=a                      1970-01-01      12
            issuer CN=kubernetes
            names  kubernetes
        /a"\                               CN=a                      1970-01-01      12
            issuer CN=kubernetes
            names  kubernetes
        /etc/kubernetes/x.conf
          ! it is no kubeconfig
        "#);
    }

    #[test]
    fn prometheus_gets_each_series_once() {
        insta::assert_snapshot!(metrics(&some()), @r#"
        # HELP lvscare_certificate_not_after_seconds When a certificate ends, in seconds since 1970.
        # TYPE lvscare_certificate_not_after_seconds gauge
        lvscare_certificate_not_after_seconds{file="/a\"\\",user="",subject="CN=a",authority="false"} 5
        lvscare_certificate_not_after_seconds{file="/etc/kubernetes/pki/apiserver.crt",user="",subject="CN=kube-apiserver\\x1b[2J",authority="false"} 4918060800
        # HELP lvscare_certificate_findings How many things are wrong with the certificates of a file.
        # TYPE lvscare_certificate_findings gauge
        lvscare_certificate_findings{file="/a\"\\"} 0
        lvscare_certificate_findings{file="/etc/kubernetes/pki/apiserver.crt"} 1
        lvscare_certificate_findings{file="/etc/kubernetes/x.conf"} 1
        # HELP lvscare_certificate_check_timestamp_seconds When they were looked at.
        # TYPE lvscare_certificate_check_timestamp_seconds gauge
        lvscare_certificate_check_timestamp_seconds 1788220800
        "#);
    }

    #[test]
    fn the_file_is_replaced_as_a_whole_and_can_be_read_by_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("certificates.prom");
        std::fs::write(&path, "old").unwrap();
        write(&path, &some()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), metrics(&some()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1, "nothing stays beside it");
    }
}
