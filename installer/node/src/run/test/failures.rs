use super::*;
use crate::paths;

/// Every change of `request` fails once, and from then on for ever; then somebody runs it again, or takes it back.
fn everywhere(begin: impl Fn() -> Fake, request: &Request) -> usize {
    let mut done = begin();
    let before = done.snapshot();
    changed(&mut done, request);
    let after = done.snapshot();
    let mut points = 0;
    for fails in [Fails::Once as fn(usize) -> Fails, Fails::From] {
        for number in 0.. {
            let mut machine = begin();
            let first = machine.changes;
            machine.fails = fails(first + number);
            let outcome = ask(&mut machine, request).0;
            machine.dies();
            if outcome.is_ok() {
                assert_eq!(machine.snapshot(), after, "{number}: it said that all is well");
                break;
            }
            points += 1;
            let mut way_back = machine.clone();
            changed(&mut machine, request);
            assert_eq!(machine.snapshot(), after, "{number}: the second run finishes the job");
            if !matches!(request, Request::Undo(_) | Request::SetMasters(_)) {
                changed(&mut way_back, &UNDO);
                assert_eq!(way_back.snapshot(), before, "{number}: or it is taken back");
            }
        }
    }
    points
}

pub(super) fn bare() -> Fake {
    let mut machine = Fake::bare();
    machine.load("ip_vs");
    machine.load("nf_conntrack");
    machine.load("ip_vs_rr");
    machine
}

#[test]
fn prepare_can_fail_anywhere() {
    let points = everywhere(bare, &Request::Prepare(Box::new(prepare())));
    assert!(points > 60, "{points}");
}

#[test]
fn prepare_can_fail_anywhere_over_files_of_others() {
    let begin = || {
        let mut machine = bare();
        for path in [paths::POD, paths::SYSCTLS, paths::MODULES] {
            machine.has_file(path, "theirs\n");
        }
        machine
    };
    everywhere(begin, &Request::Prepare(Box::new(prepare())));
}

#[test]
fn undo_can_fail_anywhere() {
    let points = everywhere(prepared, &UNDO);
    assert!(points > 40, "{points}");
}

#[test]
fn set_masters_can_fail_anywhere() {
    let points = everywhere(prepared, &set_masters("10.0.0.2,10.0.0.4"));
    assert!(points > 8, "{points}");
}

#[test]
fn a_read_only_etc_stops_it_and_the_way_back_is_known() {
    let mut machine = bare();
    let before = machine.snapshot();
    machine.read_only = Some("/etc".into());
    let mut request = prepare();
    request.skip.push(crate::spec::Part::Checks);
    refused(
        &mut machine,
        &Request::Prepare(Box::new(request)),
        Kind::Failed,
        "cannot make directory /etc/modules-load.d: Read-only file system",
    );
    assert!(!machine.kernel.state.services.is_empty() && machine.text(paths::JOURNAL).is_some());
    changed(&mut machine, &UNDO);
    machine.read_only = None;
    assert_eq!(machine.snapshot(), before);
}
