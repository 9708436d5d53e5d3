//! Who is drained, and how that is remembered.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::config::tests::config;

const ONE: &str = "10.0.0.1:6443";
const TWO: &str = "10.0.0.2:6443";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn drained(servers: &[&str]) -> Drained {
    Drained { since: servers.iter().map(|server| (addr(server), 1000)).collect(), problem: None }
}

#[test]
fn an_address_is_a_host_or_a_server() {
    let whom = |text: &str| text.parse::<Whom>().map(|whom| whom.to_string());
    for (text, meant) in
        [("10.0.0.1", "10.0.0.1"), (ONE, ONE), ("fd00::1", "fd00::1"), ("[fd00::1]", "fd00::1")]
    {
        assert_eq!(whom(text).as_deref(), Ok(meant), "{text}");
    }
    assert!(whom("m1").is_err() && whom("10.0.0.1:0").is_err() && whom("").is_err());
}

#[test]
fn the_rules_before_a_join_leave_the_drained_ones_out() {
    let config = config("--rs 10.0.0.1:6443,10.0.0.2:6443").unwrap();
    let left = |servers: &[&str]| -> Vec<String> {
        let config = drained(servers).without(&config);
        config.services[0].servers.iter().map(|server| server.address.to_string()).collect()
    };
    assert_eq!(left(&[]), [ONE, TWO]);
    assert_eq!(left(&[ONE]), [TWO]);
    assert_eq!(left(&[ONE, TWO]), [ONE, TWO]);
}

#[test]
fn it_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    assert_eq!(file::load(&state).unwrap(), Drained::default());
    let add = |server: &'static str| {
        file::change(&state, move |drained| drained.since.insert(addr(server), 1000)).unwrap()
    };
    assert_eq!(add(ONE), None);
    assert_eq!(add(TWO), None);
    // Twice is once.
    assert_eq!(add(TWO), Some(1000));
    assert_eq!(file::load(&state).unwrap(), drained(&[ONE, TWO]));
    file::change(&state, |drained| drained.since.remove(&addr(ONE))).unwrap();
    assert_eq!(file::load(&state).unwrap(), drained(&[TWO]));
    let left: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["drained.json"], "nothing is left beside it");
}

#[test]
fn what_is_no_such_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = file::path(directory.path());
    for (text, why) in [
        ("", "EOF"),
        ("[", "EOF"),
        ("{\"version\": 2, \"servers\": []}", "its version is 2 instead of 1"),
        ("{\"version\": 1, \"servers\": [], \"more\": 1}", "unknown field `more`"),
        ("{\"version\": 1, \"servers\": [{\"address\": \"m1\", \"since\": 1}]}", "invalid socket address"),
        (&" ".repeat(70_000), "longer than 65536 bytes"),
    ] {
        fs::write(&path, text).unwrap();
        let error = file::load(directory.path()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        // It is not written over either: somebody may want to mend it.
        assert!(file::change(directory.path(), |drained| drained.since.clear()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert!(file::load(directory.path()).is_err());
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert_eq!(file::load(directory.path()).unwrap_err().to_string(), "not a regular file");
}
