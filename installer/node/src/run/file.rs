//! Single files and programs, as a controller puts them there: noted for the way back as all else.

use std::path::{Component, Path, PathBuf};

use super::reports;
use super::session::Session;
use crate::api::{Changed, Event, Failure, Kind, Outcome};
use crate::facts;
use crate::machine::Machine;
use crate::step::{Content, Digest, Step};

/// Where files are no files of a disk.
const NOT_DISKS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Gives a file its content. One of ours that somebody has changed since is left alone.
pub fn write<M: Machine>(
    machine: &mut M,
    path: &Path,
    after: &Content,
    secret: bool,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    check_path(path)?;
    change(machine, tell, |session| write_steps(session, path, after, secret))
}

/// What it takes to give a file its content.
pub(super) fn write_steps<M: Machine>(
    session: &Session<'_, M>,
    path: &Path,
    after: &Content,
    secret: bool,
) -> Result<Vec<Step>, Failure> {
    let before = facts::read(session.machine, path)?;
    if before.as_ref() == Some(after) {
        return Ok(Vec::new());
    }
    if before.as_ref().is_some_and(|before| !secret && session.journal.is_edited(path, before)) {
        return Err(edited(path));
    }
    let mut steps = directories(session.machine, path);
    steps.push(Step::WriteFile { path: path.to_owned(), before, after: after.clone(), secret });
    Ok(steps)
}

/// Has no such file.
pub fn remove<M: Machine>(
    machine: &mut M,
    path: &Path,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    check_path(path)?;
    change(machine, tell, |session| {
        let Some(now) = facts::read(session.machine, path)? else { return Ok(Vec::new()) };
        if session.journal.is_edited(path, &now) {
            return Err(edited(path));
        }
        Ok(vec![Step::RemoveFile { path: path.to_owned() }])
    })
}

/// Gives a program the content of the file `from`, which must be what it is said to be.
pub fn install<M: Machine>(
    machine: &mut M,
    from: &Path,
    sha256: &Digest,
    path: &Path,
    mode: u32,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, Failure> {
    check_path(path)?;
    match facts::digest(machine, from)? {
        Some(digest) if digest == *sha256 => {}
        Some(_) => {
            let text = format!("{} is not what its name says; send it anew", from.display());
            return Err(Failure::new(Kind::Invalid, text));
        }
        None => return Err(Failure::usage(format!("{sha256} was not received; send it first"))),
    }
    change(machine, tell, |session| install_steps(session, from, sha256, path, mode))
}

/// What it takes to give a program the content of the file `from`.
pub(super) fn install_steps<M: Machine>(
    session: &Session<'_, M>,
    from: &Path,
    sha256: &Digest,
    path: &Path,
    mode: u32,
) -> Result<Vec<Step>, Failure> {
    let now = facts::digest(session.machine, path)?;
    if now == Some(*sha256) {
        return Ok(Vec::new());
    }
    if now.is_some_and(|now| session.journal.is_other(path, &now)) {
        return Err(edited(path));
    }
    let mut steps = directories(session.machine, path);
    steps.push(Step::InstallProgram {
        from: from.to_owned(),
        path: path.to_owned(),
        mode: Some(mode & 0o755),
    });
    Ok(steps)
}

fn change<M: Machine>(
    machine: &mut M,
    tell: &mut dyn FnMut(Event),
    plan: impl FnOnce(&mut Session<'_, M>) -> Result<Vec<Step>, Failure>,
) -> Result<Outcome, Failure> {
    let mut session = Session::open(machine, "agent", tell)?;
    let done = plan(&mut session).and_then(|steps| {
        session.perform_files(&steps, tell)?;
        Ok(steps)
    });
    session.close()?;
    let steps = reports(&done?);
    Ok(Outcome::Changed(Changed { changed: !steps.is_empty(), steps, ..Changed::default() }))
}

/// Those above it that are missing, the highest first.
fn directories<M: Machine>(machine: &M, path: &Path) -> Vec<Step> {
    let above = path.ancestors().skip(1);
    let missing: Vec<_> = above.take_while(|path| machine.entries(path).is_none()).collect();
    missing.into_iter().rev().map(|path| Step::MakeDirectory { path: path.to_owned() }).collect()
}

fn edited(path: &Path) -> Failure {
    let text = format!(
        "somebody has changed {} since it was written here; nothing was changed; move it away, or take it back with \
         `lvscare-installer node undo --force`",
        path.display()
    );
    Failure::new(Kind::Foreign, text)
}

fn check_path(path: &Path) -> Result<(), Failure> {
    let is_plain = path.is_absolute()
        && path.file_name().is_some()
        && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
        && !path.to_string_lossy().chars().any(char::is_control);
    let why = if !is_plain {
        "it is not an absolute path of a file, without `..`"
    } else if NOT_DISKS.iter().any(|place| path.starts_with(place)) {
        "what lies there is no file of a disk"
    } else {
        return Ok(());
    };
    let shown: String = path.display().to_string().chars().take(200).collect();
    Err(Failure::usage(format!("{shown:?}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Request, UndoRequest};
    use crate::fake::Fake;
    use crate::paths;

    fn changed(outcome: Result<Outcome, Failure>) -> bool {
        match outcome {
            Ok(Outcome::Changed(changed)) => changed.changed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_are_written_once_and_taken_back() {
        let mut machine = Fake::bare();
        let before = machine.snapshot();
        let path = Path::new("/etc/containerd/config.toml");
        let content = Content::new("version = 2\n", 0o644);
        let mut told = Vec::new();
        let mut tell = |event| told.push(event);
        assert!(changed(write(&mut machine, path, &content, false, &mut tell)));
        assert!(!changed(write(&mut machine, path, &content, false, &mut tell)));
        assert_eq!(told.len(), 2, "the directory and the file: {told:?}");
        machine.has_file("/etc/containerd/config.toml", "an admin's own");
        let newer = Content::new("version = 3\n", 0o644);
        let failure = write(&mut machine, path, &newer, false, &mut |_| {}).unwrap_err();
        assert_eq!(failure.kind, Kind::Foreign);
        assert_eq!(remove(&mut machine, path, &mut |_| {}).unwrap_err().kind, Kind::Foreign);
        let undo = |force| {
            let change = crate::api::Change { force, ..Default::default() };
            Request::Undo(UndoRequest { change })
        };
        crate::run(&undo(true), &mut machine, &mut |_| {}).unwrap();
        assert_eq!(machine.snapshot(), before);
    }

    #[test]
    fn a_secret_is_neither_told_nor_kept_nor_left() {
        let mut machine = Fake::bare();
        let before = machine.snapshot();
        let content = Content::new("token: canary", 0o600);
        let mut told = Vec::new();
        for _ in 0..2 {
            let outcome =
                write(&mut machine, Path::new(paths::INIT), &content, true, &mut |event| told.push(event));
            told.push(Event::Note { text: format!("{outcome:?}") });
        }
        assert!(!format!("{told:?}").contains("canary"), "{told:?}");
        assert!(!machine.text(paths::JOURNAL).unwrap().contains("canary"));
        remove(&mut machine, Path::new(paths::INIT), &mut |_| {}).unwrap();
        let undo = Request::Undo(UndoRequest::default());
        crate::run(&undo, &mut machine, &mut |_| {}).unwrap();
        assert_eq!(machine.snapshot(), before);
    }

    #[test]
    fn a_program_is_installed_if_it_is_the_one_that_was_meant() {
        let mut machine = Fake::bare();
        let from = Path::new("/tmp/received");
        let to = Path::new("/usr/bin/kubeadm");
        machine.has_file("/usr/bin/kubeadm", "old");
        let before = machine.snapshot();
        let digest = Content::new("new", 0).digest();
        let run = |machine: &mut Fake| install(machine, from, &digest, to, 0o7755, &mut |_| {});
        assert!(run(&mut machine).unwrap_err().message.contains("was not received"));
        machine.has_file("/tmp/received", "other");
        assert_eq!(run(&mut machine).unwrap_err().kind, Kind::Invalid);
        machine.has_file("/tmp/received", "new");
        assert!(changed(run(&mut machine)) && !changed(run(&mut machine)));
        assert_eq!(machine.files[to].mode, 0o755, "never setuid");
        machine.files.remove(from);
        crate::run(&Request::Undo(UndoRequest::default()), &mut machine, &mut |_| {}).unwrap();
        assert_eq!(machine.snapshot(), before);
    }

    #[test]
    fn what_is_no_path_of_a_file_is_refused() {
        let mut machine = Fake::bare();
        let content = Content::new("x", 0o600);
        for bad in
            ["", "x", "/", "/etc/../x", "/etc/./x", "/etc//x", "/etc/", "/proc/sys/x", "/dev/sda", "/a\nb"]
        {
            let failure = write(&mut machine, Path::new(bad), &content, false, &mut |_| {}).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage, "{bad}");
        }
        assert!(machine.text(paths::JOURNAL).is_none());
    }
}
