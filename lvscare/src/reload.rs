//! Notices that the configuration file has changed.
//!
//! The file is looked at once a second, through all symbolic links. That sees every way in which files are
//! replaced (written in place, renamed over, the swapped link of a `ConfigMap`, deleted and restored) on every file
//! system. It counts as changed once it has stayed the same for one look, so that nobody's half-written file is read.

use std::path::PathBuf;
use std::time::Duration;

use crate::files::Stamp;
use crate::timer;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A file that is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    path: PathBuf,
    settling: Settling<Stamp>,
}

impl Watched {
    /// Watches `path` from its present state on.
    pub(crate) fn new(path: PathBuf) -> Self {
        let settling = Settling::new(Stamp::of(&path));
        Self { path, settling }
    }

    /// Reads a file, if there is one, and watches it from the state on in which it was read: a change while it is
    /// being read, or right after, is one that will be reported.
    pub(crate) fn reading<T, E>(
        path: Option<PathBuf>,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<(Option<Self>, T), E> {
        // In this order: the other one would take a file for known that nobody has read.
        let watched = path.map(Self::new);
        Ok((watched, read()?))
    }

    /// As [`changed`](Self::changed), for a file that is only ever replaced as a whole and need not come to rest.
    pub(crate) async fn replaced(&mut self) {
        loop {
            timer::sleep(LOOK).await;
            if self.settling.differs(Stamp::of(&self.path)) {
                return;
            }
        }
    }

    /// Waits until the file has changed and come to rest.
    ///
    /// Cancel-safe: a change stays a change until it was reported.
    pub(crate) async fn changed(&mut self) {
        loop {
            timer::sleep(LOOK).await;
            if self.settling.look(Stamp::of(&self.path)) {
                return;
            }
        }
    }
}

/// Tells a change that is over from one that is going on.
#[derive(Debug)]
struct Settling<S> {
    reported: Option<S>,
    latest: Option<S>,
}

impl<S: Copy + PartialEq> Settling<S> {
    fn new(stamp: Option<S>) -> Self {
        Self { reported: stamp, latest: stamp }
    }

    /// Whether the file is another one than that which was reported last.
    fn differs(&mut self, stamp: Option<S>) -> bool {
        self.latest = stamp;
        std::mem::replace(&mut self.reported, stamp) != stamp
    }

    /// Whether the file is another one than that which was reported last, and at rest since the last look.
    fn look(&mut self, stamp: Option<S>) -> bool {
        let rests = stamp == self.latest;
        self.latest = stamp;
        if !rests || stamp == self.reported {
            return false;
        }
        self.reported = stamp;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a file that is there, beside one that is not")]
    fn file(inode: u64, size: u64) -> Option<(u64, u64)> {
        Some((inode, size))
    }

    #[test]
    fn a_change_counts_once_and_only_at_rest() {
        let mut settling = Settling::new(file(1, 10));
        let looks = [
            (file(1, 10), false),
            // It grows.
            (file(1, 12), false),
            (file(1, 14), false),
            (file(1, 14), true),
            (file(1, 14), false),
            // It is gone for a moment and back as it was: nothing has changed.
            (None, false),
            (file(1, 14), false),
            (file(1, 14), false),
            // It is gone for good.
            (None, false),
            (None, true),
            (None, false),
            // Another one takes its place.
            (file(2, 14), false),
            (file(2, 14), true),
        ];
        for (step, (stamp, changed)) in looks.into_iter().enumerate() {
            assert_eq!(settling.look(stamp), changed, "look {step}");
        }
    }

    #[tokio::test]
    async fn a_change_between_reading_and_watching_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lvscare.yaml");
        fs::write(&path, "old").unwrap();
        let read = || {
            let text = fs::read_to_string(&path)?;
            // Somebody is as quick as that.
            fs::write(&path, "a new one").map(|()| text)
        };
        let (watched, text) = Watched::reading(Some(path.clone()), read).unwrap();
        assert_eq!(text, "old");
        let changed = async { watched.expect("there is a file").changed().await };
        tokio::time::timeout(Duration::from_secs(60), changed).await.expect("the change is reported");
    }

    #[test]
    fn a_whole_file_counts_at_once() {
        let mut settling = Settling::new(None);
        for (stamp, differs) in
            [(None, false), (file(1, 14), true), (file(1, 14), false), (file(2, 14), true), (None, true)]
        {
            assert_eq!(settling.differs(stamp), differs, "{stamp:?}");
        }
    }
}
