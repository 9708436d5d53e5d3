use super::*;
use crate::spec::daemon::DaemonOptions;

const AT: &str = "10.103.97.2:6443";

fn plan(present: &[(&str, u32)], wanted: &[&str], silent: &[&str]) -> Vec<Vec<String>> {
    let words: Vec<_> = ["care".to_owned(), format!("--vs={AT}")]
        .into_iter()
        .chain(wanted.iter().map(|server| format!("--rs={server}:6443")))
        .collect();
    let config = DaemonOptions::read(&words).unwrap().config().unwrap();
    let at = |text: &str| format!("{text}:6443").parse::<SocketAddr>().unwrap();
    let seen =
        |weight| SeenDestination { destination: Destination::masqueraded(weight), active: 0, inactive: 0 };
    let present = present.iter().map(|(server, weight)| (at(server), seen(*weight))).collect();
    let is_silent = |server: &SocketAddr| silent.iter().any(|silent| at(silent) == *server);
    let (add, drain, remove) =
        rules(AT.parse().unwrap(), &config, &present, |server| !is_silent(server), is_silent);
    let lines = |steps: Vec<Step>| steps.iter().map(ToString::to_string).collect();
    [add, drain, remove].map(lines).into()
}

#[test]
fn new_ones_first_and_old_ones_when_they_are_empty() {
    assert_eq!(
        plan(&[("10.0.0.1", 1), ("10.0.0.2", 1)], &["10.0.0.2", "10.0.0.3"], &[]),
        [
            ["add real server 10.0.0.3:6443 weight 1 to 10.103.97.2:6443"],
            ["update real server 10.0.0.1:6443 weight 0 of 10.103.97.2:6443"],
            ["remove real server 10.0.0.1:6443 from 10.103.97.2:6443"],
        ]
    );
}

#[test]
fn what_is_so_already_is_left_alone() {
    assert_eq!(plan(&[("10.0.0.1", 1)], &["10.0.0.1"], &[]), [[""; 0]; 3]);
    // After a run that was killed while it waited.
    assert_eq!(
        plan(&[("10.0.0.1", 0), ("10.0.0.2", 1)], &["10.0.0.2"], &[]),
        [vec![], vec![], vec!["remove real server 10.0.0.1:6443 from 10.103.97.2:6443"]]
    );
}

#[test]
fn a_dead_one_neither_comes_nor_stays() {
    assert_eq!(
        plan(&[("10.0.0.1", 1), ("10.0.0.2", 1)], &["10.0.0.2", "10.0.0.3"], &["10.0.0.1", "10.0.0.3"]),
        [vec![], vec![], vec!["remove real server 10.0.0.1:6443 from 10.103.97.2:6443"]]
    );
}
