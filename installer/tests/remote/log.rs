//! The log that every run on many hosts leaves.

use serde_json::Value;

use super::*;

impl Cluster {
    /// The lines of the newest log, and who may read it.
    fn newest_log(&self) -> (Vec<Value>, u32) {
        let mut paths: Vec<_> =
            fs::read_dir(self.logs()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let path = paths.last().unwrap();
        let text = fs::read_to_string(path).unwrap();
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), mode)
    }
}

fn texts<'a>(lines: &'a [Value], key: &str) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line[key].as_str()).collect()
}

#[test]
fn every_event_of_every_host_is_in_it_whatever_is_shown() {
    let cluster = Cluster::new();
    for form in ["text", "json"] {
        let words = [&ALL[..], &["-o", form, "--", "echo one; echo >&2 two"]].concat();
        assert_eq!(cluster.run("exec", &words).code, Some(1));
        let (lines, mode) = cluster.newest_log();
        assert_eq!(mode, 0o600);
        assert!(lines.iter().all(|line| line["time"].as_str().is_some_and(|time| time.ends_with('Z'))));
        assert_eq!((&lines[0]["event"], &lines[0]["command"]), (&"run".into(), &"exec".into()));
        let of = |host: &str| -> Vec<Value> {
            lines.iter().filter(|line| line["host"] == host).cloned().collect()
        };
        let fine = of(FINE);
        assert_eq!((fine[0]["event"].as_str(), fine[1]["event"].as_str()), (Some("begun"), Some("said")));
        let mut said = texts(&fine, "text");
        said.sort_unstable();
        assert_eq!(said, ["one\n", "two\n"]);
        let last = fine.last().unwrap();
        assert_eq!((last["event"].as_str(), last["outcome"].as_str()), (Some("ended"), Some("done")));
        assert!(last["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{last}");
        assert_eq!(of(WRONG).last().unwrap()["failure"]["kind"], "login");
        assert_eq!(of(DOWN).last().unwrap()["failure"]["kind"], "unreachable");
        let last = lines.last().unwrap();
        assert_eq!((last["event"].as_str(), last["exit"].as_i64()), (Some("end"), Some(1)));
    }
    // What is refused before a host is asked leaves none.
    let count = || fs::read_dir(cluster.logs()).unwrap().count();
    assert_eq!((cluster.run("exec", &["--host", "nowhere", "--", "true"]).code, count()), (Some(2), 2));
    // Without a way to the hosts there is one that says so.
    assert_eq!(cluster.run("ping", &["--host", FINE, "--bastion", DOWN]).code, Some(7));
    let (lines, _) = cluster.newest_log();
    assert_eq!(texts(&lines, "event"), ["run", "refused", "end"]);
}

#[test]
fn where_there_can_be_none_the_work_is_done_and_that_is_told() {
    let cluster = Cluster::new();
    fs::write(cluster.logs(), "").unwrap();
    let file = cluster.password.display().to_string();
    let output = cluster.lab.enter(|| {
        let words = ["exec", "--passwd-file", &file, "--host", FINE, "--", "echo yes"];
        cluster.command(&words).output().unwrap()
    });
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"10.9.1.1  yes\n"[..]));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.starts_with("no log was written: ") && err.contains("/logs: "), "{err}");
}

#[test]
fn a_controller_that_is_killed_leaves_what_it_knew() {
    let cluster = Cluster::new();
    let process = cluster.start("exec", &["--host", FINE, "--", "echo before; sleep 600"]);
    eventually(LIMIT, "the first word", || process.log().contains("before").then_some(()));
    process.signal(nix::sys::signal::Signal::SIGKILL);
    drop(process);
    let (lines, _) = cluster.newest_log();
    assert_eq!(texts(&lines, "event"), ["run", "begun", "said"]);
    assert_eq!(texts(&lines, "text"), ["before\n"]);
}
