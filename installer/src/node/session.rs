//! A run on a node: the lock, the journal, and every step noted before it is done.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use lvscare::client;
use lvscare::exit::{Exit, Failure};
use lvscare::model::Actual;

use super::action::Action;
use super::hands::Hands;
use super::journal::{Journal, Original};
use super::paths::{self, Root};
use super::undo;
use super::wanted::Wanted;
use crate::files;
use crate::lock::{self, Lock};
use crate::wait::until;

/// kubelet looks at its manifests every 20 s, and gives a pod time to end.
const DAEMON_ENDS: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// One run. It ends with [`close`](Session::close), or with the process.
#[derive(Debug)]
pub struct Session {
    root: Root,
    hands: Hands,
    journal: Journal,
    lock: Lock,
}

impl Session {
    /// Begins a run that calls itself `holder`.
    pub fn open(root: &Root, holder: &str) -> Result<Self, Failure> {
        let state = root.join(Path::new(paths::STATE));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&state).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot make directory {}: {error}", paths::STATE))
        })?;
        let lock = Lock::take(&root.join(Path::new(paths::LOCK)), holder).map_err(|error| match error {
            lock::Error::Held(_) => Failure::new(Exit::Locked, error.to_string()),
            lock::Error::File { .. } => Failure::new(Exit::Failed, error.to_string()),
        })?;
        mend_hosts(root)?;
        let journal = Journal::at(root)?;
        Ok(Self { root: root.clone(), hands: Hands::new(root.clone()), journal, lock })
    }

    /// Does steps, each noted before it is done and told after.
    pub fn perform(
        &mut self,
        steps: &[Action],
        wanted: &Wanted,
        tell: &mut dyn FnMut(&Action),
    ) -> Result<(), Failure> {
        for step in steps {
            if let Some(original) = self.hands.original(step, wanted)? {
                self.journal.remember(original).map_err(|error| unnoted(&error))?;
            }
            self.hands.perform(step)?;
            tell(step);
        }
        Ok(())
    }

    /// What the kernel has at a virtual server.
    pub fn read_rules(&mut self, at: SocketAddr) -> Result<Actual, Failure> {
        self.hands.read_rules(at)
    }

    /// What undoing would do, the last change first.
    pub fn way_back(&mut self) -> Result<Vec<Action>, Failure> {
        let mut steps = Vec::new();
        for original in self.journal.originals().iter().rev() {
            steps.extend(undo::steps(original, &self.root, &mut self.hands)?);
        }
        Ok(steps)
    }

    /// Makes everything as it was before the first change.
    pub fn undo(&mut self, tell: &mut dyn FnMut(&Action)) -> Result<(), Failure> {
        for original in self.journal.originals().to_vec().into_iter().rev() {
            if let Original::Rules { guard: Some(guard), .. } = original {
                wait_for_end(guard)?;
            }
            for step in undo::steps(&original, &self.root, &mut self.hands)? {
                self.hands.perform(&step)?;
                tell(&step);
            }
            if let Original::File { path, .. } | Original::HostsEntry { path, .. } = &original {
                remove_leftover(&self.root, path)?;
            }
            self.journal.forget(&original).map_err(|error| unnoted(&error))?;
        }
        Ok(())
    }

    /// The journal, to look at.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Ends the run. When there is nothing to undo, nothing stays.
    pub fn close(self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Failed, format!("cannot tidy up {}: {error}", paths::STATE))
        };
        if !self.journal.originals().is_empty() {
            return Ok(());
        }
        let journal = Path::new(paths::JOURNAL);
        remove_leftover(&self.root, journal)?;
        files::remove(&self.root.join(journal)).map_err(failed)?;
        self.lock.remove().map_err(failed)?;
        // Somebody else's file in there is none of our business.
        let _ = fs::remove_dir(self.root.join(Path::new(paths::STATE)));
        Ok(())
    }
}

/// A run that was killed while it wrote the hosts file has left its new content beside it, and where that file is a
/// mount, a copy of the old one, which is given back.
fn mend_hosts(root: &Root) -> Result<(), Failure> {
    let path = Path::new(paths::HOSTS);
    files::mend(&root.join(path), &root.join(paths::staging(path))).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot give {} its old content back: {error}", paths::HOSTS))
    })?;
    remove_leftover(root, path)
}

/// Of a run that was killed.
fn remove_leftover(root: &Root, path: &Path) -> Result<(), Failure> {
    files::remove_leftover(&root.join(path), &root.join(paths::staging(path))).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot tidy up beside {}: {error}", path.display()))
    })
}

fn unnoted(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write {}: {error}", paths::JOURNAL))
}

/// The daemon would make the rules again. Its manifest is gone; kubelet, if there is one, ends it.
fn wait_for_end(guard: SocketAddr) -> Result<(), Failure> {
    if until(DAEMON_ENDS, PAUSE, || client::daemon(guard).is_none()) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::NotVerified,
        format!(
            "the daemon on {guard} is still at work and would make the rules again; end it (kubelet, or `systemctl \
             stop lvscare`), then run this again"
        ),
    ))
}

/// Whether some run, perhaps one that was killed at once, has left anything to take back.
pub fn is_touched(root: &Root) -> bool {
    root.join(Path::new(paths::STATE)).exists()
}
