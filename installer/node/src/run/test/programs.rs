//! Programs that take the place of others.

use super::*;
use crate::desired::DesiredNode;
use crate::machine::Machine;
use crate::paths;
use crate::run::session::Session;
use crate::step::Step;

const KUBELET: &str = "/usr/bin/kubelet";
const KUBECTL: &str = "/usr/bin/kubectl";

fn machine() -> Fake {
    let mut machine = Fake::bare();
    machine.has_file(KUBELET, "kubelet of the distribution");
    machine.has_file("/tmp/one", "kubelet 1");
    machine.has_file("/tmp/two", "kubelet 2");
    machine
}

/// Both programs get what is in `from`.
fn install(machine: &mut Fake, from: &str) -> Result<(), Failure> {
    let mut session = Session::open(machine, "test", &mut |_| {})?;
    let step = |path: &str| Step::InstallProgram { from: from.into(), path: path.into(), mode: Some(0o755) };
    let desired = DesiredNode::nothing(spec().config);
    let done = session.perform(&[step(KUBELET), step(KUBECTL)], &desired, &mut |_| {});
    session.close()?;
    done
}

#[test]
fn what_was_there_lies_aside_and_comes_back() {
    let mut machine = machine();
    let before = machine.snapshot();
    for (from, text) in [("/tmp/one", "kubelet 1"), ("/tmp/two", "kubelet 2"), ("/tmp/two", "kubelet 2")] {
        install(&mut machine, from).unwrap();
        assert_eq!(machine.text(KUBELET).unwrap(), text);
        assert_eq!(machine.entries(paths::KEPT.as_ref()).unwrap().len(), 1, "only the first is kept");
    }
    assert_eq!(status(&mut machine).differences, [""; 0]);
    assert!(!machine.text(paths::JOURNAL).unwrap().contains("before"), "no content in the journal");
    let dry = UndoRequest { change: Change { dry_run: true, force: false } };
    let (planned, _) = changed(&mut machine, &Request::Undo(dry));
    let texts: Vec<_> = planned.steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(texts, [&format!("remove {KUBECTL}"), &format!("put back {KUBELET}")]);
    changed(&mut machine, &UNDO);
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn programs_are_longer_than_files_that_are_read() {
    let mut machine = machine();
    let long = "x".repeat(usize::try_from(crate::machine::files::MAX_BYTES).unwrap() + 1);
    machine.has_file(KUBELET, &long);
    machine.has_file("/tmp/one", &format!("{long}1"));
    let before = machine.snapshot();
    install(&mut machine, "/tmp/one").unwrap();
    changed(&mut machine, &UNDO);
    assert!(machine.snapshot() == before);
}

#[test]
fn one_that_somebody_has_replaced_since_is_refused() {
    let mut machine = machine();
    let before = machine.snapshot();
    install(&mut machine, "/tmp/one").unwrap();
    machine.has_file(KUBELET, "upgraded");
    assert_eq!(status(&mut machine).differences, [format!("{KUBELET} was changed by somebody else")]);
    refused(&mut machine, &UNDO, Kind::Foreign, KUBELET);
    changed(&mut machine, &FORCED_UNDO);
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn two_programs_that_were_one_are_kept_once() {
    let mut machine = machine();
    machine.has_file(KUBECTL, "kubelet of the distribution");
    let before = machine.snapshot();
    install(&mut machine, "/tmp/one").unwrap();
    assert_eq!(machine.entries(paths::KEPT.as_ref()).unwrap().len(), 1);
    changed(&mut machine, &UNDO);
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn it_can_fail_anywhere_and_the_way_back_is_known() {
    let before = machine().snapshot();
    let mut points = 0;
    for fails in [Fails::Once as fn(usize) -> Fails, Fails::From] {
        for number in 0.. {
            let mut machine = Fake { fails: fails(number), ..machine() };
            let done = install(&mut machine, "/tmp/one");
            machine.dies();
            if done.is_ok() {
                break;
            }
            points += 1;
            // And the way back fails as well, anywhere.
            for number in 0.. {
                let mut machine = Fake { changes: 0, fails: fails(number), ..machine.clone() };
                let undone = ask(&mut machine, &UNDO).0;
                machine.dies();
                changed(&mut machine, &UNDO);
                assert_eq!(machine.snapshot(), before);
                if undone.is_ok() {
                    break;
                }
            }
        }
    }
    assert!(points > 16, "{points}");
}
