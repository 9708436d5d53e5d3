//! A run on a machine: the lock, the journal, and every step noted before it is done.

use std::io;
use std::path::Path;

use crate::api::{Event, Failure, Kind};
use crate::desired::DesiredNode;
use crate::facts;
use crate::facts::kubelet;
use crate::journal::{Journal, Original};
use crate::machine::{Machine, Mended};
use crate::paths;
use crate::plan::prepare::edit_hosts;
use crate::render::hosts;
use crate::run::image::Importer;
use crate::run::restart;
use crate::step::{Digest, Step};

/// One run. It ends with [`close`](Session::close), or with the process.
#[derive(Debug)]
pub struct Session<'m, M: Machine> {
    /// The machine.
    pub machine: &'m mut M,
    /// How it was.
    pub journal: Journal,
    /// How it gets images.
    pub importer: Option<Importer>,
    took_lock: bool,
}

impl<'m, M: Machine> Session<'m, M> {
    /// Begins a run of `command`. One that has locked the machine already
    /// ([`Machine::lock`]) goes on holding the lock, over as many runs as it likes.
    pub fn open(machine: &'m mut M, command: &str, tell: &mut dyn FnMut(Event)) -> Result<Self, Failure> {
        let took_lock = machine.lock(command)?;
        match begin(machine, tell) {
            Ok(journal) => Ok(Self { machine, journal, importer: None, took_lock }),
            Err(failure) => {
                if took_lock {
                    let _ = machine.unlock(false);
                }
                Err(failure)
            }
        }
    }

    /// Does steps, each noted before it is done and told after. Of `desired` are the rules among them; who makes none
    /// gives [`DesiredNode::nothing`].
    pub fn perform(
        &mut self,
        steps: &[Step],
        desired: &DesiredNode,
        tell: &mut dyn FnMut(Event),
    ) -> Result<(), Failure> {
        self.perform_any(steps, Some(desired), tell)
    }

    /// As [`perform`](Self::perform), of steps among which there are no rules.
    pub fn perform_files(&mut self, steps: &[Step], tell: &mut dyn FnMut(Event)) -> Result<(), Failure> {
        self.perform_any(steps, None, tell)
    }

    fn perform_any(
        &mut self,
        steps: &[Step],
        desired: Option<&DesiredNode>,
        tell: &mut dyn FnMut(Event),
    ) -> Result<(), Failure> {
        for step in steps {
            self.check_wanted()?;
            if let Some(original) = self.original(step, desired)? {
                self.journal.remember(self.machine, original)?;
            }
            match step {
                Step::WriteFile { path, after, secret: false, .. } => {
                    self.journal.remember_written(self.machine, path, &after.digest())?;
                }
                Step::InstallProgram { from, path, .. } => {
                    if let Some(after) = facts::digest(self.machine, from)? {
                        self.journal.remember_written(self.machine, path, &after)?;
                    }
                }
                Step::RemoveFile { path } => self.journal.forget_written(self.machine, path)?,
                _ => {}
            }
            if let Some(done) = self.apply(step)? {
                tell(Event::Done(done.report()));
            }
        }
        Ok(())
    }

    /// Refuses to begin anything when nobody wants it any more. Between two steps there is always a way on, and a way back.
    pub fn check_wanted(&self) -> Result<(), Failure> {
        if self.machine.cancel().is_asked() { Err(Failure::cancelled()) } else { Ok(()) }
    }

    /// Does one step. Whatever went wrong, the thing is as before or as it shall be. Returns what was done, which may be
    /// nothing any more.
    pub fn apply(&mut self, step: &Step) -> Result<Option<Step>, Failure> {
        let machine = &mut *self.machine;
        let failed = |error: &io::Error| Failure::io(step, error);
        match step {
            Step::LoadModule { name } => machine.load_module(name)?,
            Step::SetSysctl { name, after, .. } => {
                machine.set_sysctl(name, after).map_err(|error| failed(&error))?;
            }
            Step::Rule(change) => machine.change(change)?,
            Step::MakeDirectory { path } => {
                machine.make_directory(path, 0o755).map_err(|error| failed(&error))?;
            }
            Step::RemoveDirectory { path } => {
                let gone = machine.remove_directory(path).map_err(|error| failed(&error))?;
                return Ok(gone.then(|| step.clone()));
            }
            Step::WriteFile { path, after, .. } => {
                machine.write(path, after).map_err(|error| failed(&error))?;
            }
            // What is there by now counts, not what was there when this was planned.
            Step::EditHosts { edit, .. } => {
                let now = facts::read(machine, paths::HOSTS)?;
                let Some(step) = edit_hosts(edit.clone(), now)? else { return Ok(None) };
                if let Step::EditHosts { after, .. } = &step {
                    machine.write(Path::new(paths::HOSTS), after).map_err(|error| failed(&error))?;
                }
                return Ok(Some(step));
            }
            Step::RemoveFile { path } => {
                // It may be a program, which is longer than any file that is read.
                if facts::digest(machine, path)?.is_none() {
                    return Ok(None);
                }
                machine.remove(path).map_err(|error| failed(&error))?;
            }
            Step::InstallProgram { from, path, mode } => {
                machine.copy(from, path, *mode).map_err(|error| failed(&error))?;
            }
            Step::UnpackPackage { archive, sha256 } => {
                machine
                    .unpack(archive, sha256)
                    .map_err(|error| Failure::new(error.kind(), format!("{}: {error}", archive.display())))?;
            }
            Step::ImportImages { archive, images } => match &self.importer {
                Some(importer) => importer.import(machine, archive, images)?,
                None => return Err(Failure::new(Kind::Image, "there is no client of a container runtime")),
            },
            Step::RenewCertificates { path, after, .. } => {
                let former = paths::former(path);
                let directory = former.parent().unwrap_or(Path::new(paths::FORMER));
                machine.make_directory(directory, 0o700).map_err(|error| failed(&error))?;
                machine.copy(path, &former, None).map_err(|error| failed(&error))?;
                machine.write(path, after).map_err(|error| failed(&error))?;
            }
            // Whoever joins or restarts does it, and knows what follows.
            Step::Join { .. } | Step::RestartPod { .. } | Step::RestartKubelet => return Ok(None),
        }
        Ok(Some(step.clone()))
    }

    /// Removes the configuration with which kubeadm joins, and the secrets in it.
    pub fn remove_secrets(&mut self, tell: &mut dyn FnMut(Event)) -> Result<(), Failure> {
        if let Some(done) = self.apply(&Step::RemoveFile { path: paths::JOIN.into() })? {
            tell(Event::Done(done.report()));
        }
        self.tidy(Path::new(paths::JOIN))
    }

    /// Removes what a write that was cut short has left.
    pub fn tidy(&mut self, path: &Path) -> Result<(), Failure> {
        mend(self.machine, path).map(|_| ())
    }

    /// Ends the run. When there is nothing to undo, nothing stays.
    pub fn close(mut self) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::io(format_args!("tidy up {}", paths::STATE), &error);
        let nothing_stays = self.journal.is_empty();
        let settled = self.journal.settle(self.machine);
        self.sweep().map_err(failed)?;
        if nothing_stays {
            mend(self.machine, Path::new(paths::JOURNAL))?;
            self.machine.remove(Path::new(paths::JOURNAL)).map_err(failed)?;
        }
        if self.took_lock {
            self.machine.unlock(nothing_stays).map_err(failed)?;
        }
        if nothing_stays {
            // With somebody else's file in it, it stays.
            self.machine.remove_directory(Path::new(paths::STATE)).map_err(failed)?;
        }
        settled
    }

    /// Removes programs that were kept and that nobody needs any more.
    fn sweep(&mut self) -> io::Result<()> {
        let directory = Path::new(paths::KEPT);
        let Some(names) = self.machine.entries(directory) else { return Ok(()) };
        let kept: Vec<_> = self.journal.kept().iter().map(ToString::to_string).collect();
        for name in names.iter().filter(|name| !kept.contains(name)) {
            self.machine.remove(&directory.join(name))?;
        }
        if kept.is_empty() {
            self.machine.remove_directory(directory)?;
        }
        Ok(())
    }

    /// Has what is at `path` under another name as well, for the way back; nothing when nothing is there.
    fn keep(&mut self, path: &Path) -> Result<Option<Digest>, Failure> {
        let Some(digest) = facts::digest(self.machine, path)? else { return Ok(None) };
        let failed = |error: io::Error| Failure::io(format_args!("keep {}", path.display()), &error);
        self.machine.make_directory(Path::new(paths::KEPT), 0o700).map_err(failed)?;
        self.machine.copy(path, &paths::kept(digest), None).map_err(failed)?;
        Ok(Some(digest))
    }

    /// How the thing that `step` is about to change is now; nothing for what cannot or need not be undone.
    fn original(&mut self, step: &Step, desired: Option<&DesiredNode>) -> Result<Option<Original>, Failure> {
        if let Step::InstallProgram { path, .. } = step {
            if self.journal.knows_program(path) {
                return Ok(None);
            }
            let kept = self.keep(path)?;
            return Ok(Some(Original::Program { path: path.clone(), kept }));
        }
        let machine = &mut *self.machine;
        Ok(match step {
            Step::LoadModule { .. }
            | Step::UnpackPackage { .. }
            | Step::ImportImages { .. }
            | Step::RemoveDirectory { .. }
            | Step::InstallProgram { .. }
            // The way back from a renewal is another one than that from a preparation: see `certificates`.
            | Step::RenewCertificates { .. }
            | Step::RestartPod { .. }
            | Step::RestartKubelet
            | Step::Join { .. } => None,
            Step::MakeDirectory { path } => Some(Original::Directory { path: path.clone() }),
            // What lies there is ours, may hold secrets, and is of no use to anybody afterwards.
            Step::WriteFile { path, .. } | Step::RemoveFile { path } if path.starts_with(paths::STATE) => {
                Some(Original::File { path: path.clone(), before: None })
            }
            Step::WriteFile { path, .. } | Step::RemoveFile { path } => {
                Some(Original::File { path: path.clone(), before: facts::read(machine, path)? })
            }
            Step::EditHosts { edit, .. } => {
                let now = facts::read(machine, paths::HOSTS)?;
                let bytes = now.as_ref().map(|content| &content.bytes[..]).unwrap_or_default();
                let before = hosts::entry(bytes, edit.name())?;
                let (path, name) = (paths::HOSTS.into(), edit.name().to_owned());
                Some(Original::HostsEntry { path, name, before, existed: now.is_some() })
            }
            // Asked now: what a module brings is not there before it is loaded.
            Step::SetSysctl { name, .. } => {
                let before = facts::sysctl(machine, name);
                before.map(|before| Original::Sysctl { name: name.clone(), before })
            }
            Step::Rule(_) => {
                match desired.and_then(|desired| Some((desired, *desired.services().first()?))) {
                    Some((desired, at)) => {
                        Some(Original::rules(at, desired.config.listen, &machine.rules(&[at])?))
                    }
                    None => None,
                }
            }
        })
    }
}

/// A run that was killed may have left things half-done.
fn begin<M: Machine>(machine: &mut M, tell: &mut dyn FnMut(Event)) -> Result<Journal, Failure> {
    if mend(machine, Path::new(paths::HOSTS))? == Mended::LeftAlone {
        let text = format!(
            "a run was killed while it wrote {0}, and somebody has changed that file since: it is left as it is; see \
             whether all is there",
            paths::HOSTS
        );
        tell(Event::Note { text });
    }
    restart::put_back(machine)?;
    let mut journal = Journal::of(machine)?;
    // Whoever has reset the node has ended the join that was begun.
    if journal.is_joining() && kubelet::joined(machine).is_none() {
        journal.set_joining(machine, false)?;
    }
    Ok(journal)
}

fn mend<M: Machine>(machine: &mut M, path: &Path) -> Result<Mended, Failure> {
    machine.mend(path).map_err(|error| Failure::io(format_args!("tidy up beside {}", path.display()), &error))
}
