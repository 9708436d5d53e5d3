//! The report for people, in 80 columns.

use std::fmt::Write as _;

use super::{Finding, Report, Severity};

/// No line is longer, as far as words allow.
const WIDTH: usize = 80;

/// What stands below a finding is set off by so much.
const INDENT: usize = 9;

/// The report; `verbose`: with all that is as it should be.
pub fn render(report: &Report, verbose: bool) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        write_finding(&mut text, finding);
        text.push('\n');
    }
    if verbose {
        for finding in &report.passed {
            write_finding(&mut text, finding);
        }
        if !report.passed.is_empty() {
            text.push('\n');
        }
    }
    let _ = writeln!(text, "{}", summary(report));
    text
}

fn write_finding(text: &mut String, finding: &Finding) {
    let label = match finding.severity {
        Severity::Ok => "ok",
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    wrap(text, &format!("{label:<INDENT$}"), &format!("{}: {}", finding.id, finding.seen));
    let indent = " ".repeat(INDENT);
    if let Some(why) = &finding.why {
        wrap(text, &format!("{indent}why: "), why);
    }
    if let Some(fix) = &finding.fix {
        wrap(text, &format!("{indent}fix: "), fix);
    }
}

/// Writes `words` behind `label`, continued below its end.
fn wrap(text: &mut String, label: &str, words: &str) {
    let mut line = label.to_owned();
    let mut fresh = true;
    for word in words.split(' ') {
        if !fresh && line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{}", line.trim_end());
            line = " ".repeat(label.len());
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line.push_str(word);
        fresh = false;
    }
    let _ = writeln!(text, "{line}");
}

fn summary(report: &Report) -> String {
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut parts = Vec::new();
    for (severity, word) in
        [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
    {
        match count(severity) {
            0 => {}
            some => parts.push(plural(some, word)),
        }
    }
    let passed = plural(report.passed.len(), "check");
    let findings = if parts.is_empty() { "nothing found".to_owned() } else { parts.join(", ") };
    format!("{}: {findings}; {passed} passed", report.virtual_server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let long =
            "an address of the range may be given to a Service, and then whoever calls it gets the wrong one";
        Report {
            virtual_server: "10.103.97.2:6443".parse().unwrap(),
            healthy: false,
            findings: vec![
                Finding::error(
                    "vip-in-service-cidr",
                    "10.103.97.2 lies in 10.96.0.0/12",
                    long,
                    "kubeadm init",
                ),
                Finding::note("hosts-entry", "none", "by name", "echo"),
            ],
            passed: vec![Finding::ok("ip-forward", "net.ipv4.ip_forward is 1")],
        }
    }

    #[test]
    fn findings_are_set_in_paragraphs() {
        let text = render(&report(), false);
        let wanted = "\
error    vip-in-service-cidr: 10.103.97.2 lies in 10.96.0.0/12
         why: an address of the range may be given to a Service, and then
              whoever calls it gets the wrong one
         fix: kubeadm init

note     hosts-entry: none
         why: by name
         fix: echo

10.103.97.2:6443: 1 error, 1 note; 1 check passed
";
        assert_eq!(text, wanted);
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert!(render(&report(), true).contains("ok       ip-forward: net.ipv4.ip_forward is 1\n"));
    }

    #[test]
    fn json_has_stable_words() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["virtual_server"], "10.103.97.2:6443");
        assert_eq!(json["findings"][0]["id"], "vip-in-service-cidr");
        assert_eq!(json["findings"][0]["severity"], "error");
        assert_eq!(json["passed"][0].as_object().unwrap().len(), 3);
    }
}
