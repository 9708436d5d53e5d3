//! Takes a large file over a link that may be cut at any byte, and goes on where it was cut.
//!
//! The file lies under its SHA-256 when it is whole and right, and never before. The link is one of its own, beside the
//! agent's lines: first a line that says how much is there already, then the bytes one way, then a line that says what
//! came of it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use rustix::fs::{FlockOperation, OFlags, flock, statvfs};
use serde::{Deserialize, Serialize};

use super::wire::encode;
use crate::api::{Failure, Kind};
use crate::machine::files;
use crate::step::Digest;

/// No package is larger, in bytes.
pub const MAX_BYTES: u64 = 20 << 30;

/// What is read and written at once, in bytes.
const CHUNK: usize = 256 << 10;

/// What the receiver says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "transfer", rename_all = "kebab-case")]
pub enum Transfer {
    /// Before it: send the bytes from this one on.
    From {
        /// How many are there already.
        offset: u64,
    },
    /// After it: the file is whole, right, and on the disk.
    Whole,
    /// Instead of either. What was received is kept only if more of it can follow.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// Where a whole file lies.
pub fn path(directory: &Path, sha256: &Digest) -> PathBuf {
    directory.join(sha256.to_string())
}

/// Takes `size` bytes from `input`, all but those that are in `directory` already, and tells of it on `output`.
pub fn receive(
    directory: &Path,
    sha256: &Digest,
    size: u64,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), Failure> {
    let mut tell = |transfer: &Transfer| -> Result<(), Failure> {
        let line = encode(transfer)?;
        let told = output.write_all(&line).and_then(|()| output.flush());
        told.map_err(|error| Failure::io("answer", &error))
    };
    let done = (|| {
        let mut part = Part::open(directory, sha256, size)?;
        tell(&Transfer::From { offset: part.length })?;
        part.take(input)?;
        part.finish()
    })();
    match &done {
        Ok(()) => tell(&Transfer::Whole)?,
        Err(failure) => drop(tell(&Transfer::Failed { failure: failure.clone() })),
    }
    done
}

/// A file that is not whole yet, which nobody else adds to.
struct Part {
    file: File,
    waiting: PathBuf,
    whole: PathBuf,
    sha256: Digest,
    size: u64,
    /// Bytes that are there.
    length: u64,
    hash: Context,
    /// Whether it was there already, under its own name.
    is_known: bool,
}

impl Part {
    fn open(directory: &Path, sha256: &Digest, size: u64) -> Result<Self, Failure> {
        if size > MAX_BYTES {
            let text = format!("{size} bytes are more than the {MAX_BYTES} that a package may have");
            return Err(Failure::usage(text));
        }
        let whole = path(directory, sha256);
        let waiting = directory.join(format!("{sha256}.part"));
        let failed = |error: &io::Error| Failure::io(format_args!("write {}", waiting.display()), error);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| failed(&error))?;
        let opened = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&waiting);
        let file = opened.map_err(|error| failed(&error))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let text = format!("{sha256} is being received already; wait for that, or end it");
            return Err(Failure::new(Kind::Locked, text));
        }
        let mut part = Self {
            file,
            waiting,
            whole,
            sha256: *sha256,
            size,
            length: 0,
            hash: Context::new(&SHA256),
            is_known: false,
        };
        part.look()?;
        part.check_room()?;
        Ok(part)
    }

    /// What is there already: all of it, a part, or something that cannot be the beginning of it.
    fn look(&mut self) -> Result<(), Failure> {
        let failed =
            |path: &Path, error: &io::Error| Failure::io(format_args!("read {}", path.display()), error);
        let known = files::copy::digest(&self.whole).map_err(|error| failed(&self.whole, &error))?;
        if known == Some(self.sha256) {
            let length = fs::metadata(&self.whole).map_err(|error| failed(&self.whole, &error))?.len();
            if length != self.size {
                let _ = fs::remove_file(&self.waiting);
                let text = format!("{} has {length} bytes, not {}", self.sha256, self.size);
                return Err(Failure::usage(text));
            }
            (self.length, self.is_known) = (length, true);
            return Ok(());
        }
        let length = self.file.metadata().map_err(|error| failed(&self.waiting, &error))?.len();
        if length > self.size {
            return self.file.set_len(0).map_err(|error| failed(&self.waiting, &error));
        }
        let read = files::copy::hash_into(&mut self.hash, &mut self.file);
        self.length = read.map_err(|error| failed(&self.waiting, &error))?;
        Ok(())
    }

    /// Said before the first byte, when that can be known.
    fn check_room(&self) -> Result<(), Failure> {
        let needed = self.size - self.length;
        let Ok(stat) = statvfs(&self.waiting) else { return Ok(()) };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        // File systems in memory without a limit say that they have no blocks at all.
        if stat.f_blocks == 0 || free >= needed {
            return Ok(());
        }
        if self.length == 0 {
            let _ = fs::remove_file(&self.waiting);
        }
        let place = self.waiting.parent().unwrap_or(&self.waiting).display();
        let text = format!("{needed} bytes are to come, and {place} has room for {free}; make room there");
        Err(Failure::new(Kind::Failed, text))
    }

    fn take(&mut self, input: &mut impl Read) -> Result<(), Failure> {
        let mut buffer = vec![0; CHUNK];
        while self.length < self.size {
            let wanted = usize::try_from(self.size - self.length).unwrap_or(CHUNK).min(CHUNK);
            let count = match input.read(&mut buffer[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) => return Err(self.cut("the link was cut")),
                Err(error) => return Err(self.cut(&error.to_string())),
                Ok(count) => count,
            };
            if let Err(error) = self.file.write_all(&buffer[..count]) {
                // What fills the disk helps nobody, and may be the reason why everything else fails.
                let _ = fs::remove_file(&self.waiting);
                return Err(Failure::io(format_args!("write {}", self.waiting.display()), &error));
            }
            self.hash.update(&buffer[..count]);
            self.length += count as u64;
        }
        Ok(())
    }

    /// What came before stays, for the next time.
    fn cut(&self, why: &str) -> Failure {
        let _ = self.file.sync_all();
        let text = format!("{why} after {} of {} bytes; send the rest", self.length, self.size);
        Failure::new(Kind::Failed, text)
    }

    fn finish(self) -> Result<(), Failure> {
        let failed = |error: &io::Error| Failure::io(format_args!("write {}", self.whole.display()), error);
        if self.is_known {
            return fs::remove_file(&self.waiting).map_err(|error| failed(&error));
        }
        let received = Digest::of(&self.hash.finish());
        if received != self.sha256 {
            let _ = fs::remove_file(&self.waiting);
            let text = format!(
                "what was received has the SHA-256 {received} instead of {}; it is removed: send it anew",
                self.sha256
            );
            return Err(Failure::new(Kind::Invalid, text));
        }
        let synced = self.file.sync_all().and_then(|()| fs::rename(&self.waiting, &self.whole));
        synced.map_err(|error| failed(&error))?;
        files::sync_directory(self.whole.parent()).map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Content;

    fn told(output: &[u8]) -> Vec<Transfer> {
        let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// Sends what is wanted of `bytes`, up to this one.
    fn send(directory: &Path, bytes: &[u8], until: usize) -> (Result<(), Failure>, Vec<Transfer>) {
        let sha256 = Content::new(bytes, 0).digest();
        let offset = fs::metadata(directory.join(format!("{sha256}.part"))).map_or(0, |meta| meta.len());
        let mut output = Vec::new();
        let mut input = &bytes[usize::try_from(offset).unwrap().min(until)..until];
        let done = receive(directory, &sha256, bytes.len() as u64, &mut input, &mut output);
        let told = told(&output);
        if let Some(Transfer::From { offset: said }) = told.first() {
            assert!(*said == offset || *said == bytes.len() as u64, "{said} {offset}");
        }
        (done, told)
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_link_that_is_cut_anywhere_goes_on_where_it_was() {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * CHUNK + 7).collect();
        let sha256 = Content::new(&bytes[..], 0).digest();
        let cuts = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK + 6];
        for first in cuts {
            for second in cuts.into_iter().filter(|second| *second >= first) {
                let directory = tempfile::tempdir().unwrap();
                for until in [first, second] {
                    let failure = send(directory.path(), &bytes, until).0.unwrap_err();
                    let place = format!("after {until} of {} bytes", bytes.len());
                    assert!(failure.message.contains(&place), "{failure}");
                    assert!(!path(directory.path(), &sha256).exists(), "it is not whole");
                }
                let (done, told) = send(directory.path(), &bytes, bytes.len());
                done.unwrap();
                assert_eq!(told, [Transfer::From { offset: second as u64 }, Transfer::Whole]);
                assert_eq!(names(directory.path()), [sha256.to_string()]);
                assert_eq!(fs::read(path(directory.path(), &sha256)).unwrap(), bytes);
                // What is there already is not sent again.
                let (done, told) = send(directory.path(), &bytes, bytes.len());
                done.unwrap();
                assert_eq!(told, [Transfer::From { offset: bytes.len() as u64 }, Transfer::Whole]);
                assert_eq!(names(directory.path()), [sha256.to_string()]);
            }
        }
    }

    #[test]
    fn what_is_not_what_it_should_be_does_not_stay() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let sha256 = Content::new("right", 0).digest();
        let mut output = Vec::new();
        let failure = receive(place, &sha256, 5, &mut &b"wrong"[..], &mut output).unwrap_err();
        assert!(failure.kind == Kind::Invalid && failure.message.contains("instead of"), "{failure}");
        assert_eq!(told(&output), [Transfer::From { offset: 0 }, Transfer::Failed { failure }]);
        assert_eq!(names(place), [""; 0]);
        // The beginning of something else is found out at the end, and then it begins anew.
        fs::write(place.join(format!("{sha256}.part")), "wro").unwrap();
        assert_eq!(send(place, b"right", 5).0.unwrap_err().kind, Kind::Invalid);
        send(place, b"right", 5).0.unwrap();
        // A file under that name which is something else is not believed.
        fs::write(path(place, &sha256), "other").unwrap();
        send(place, b"right", 5).0.unwrap();
        assert_eq!(fs::read(path(place, &sha256)).unwrap(), b"right");
        // One that is longer than it can be.
        let sha256 = Content::new("more", 0).digest();
        fs::write(place.join(format!("{sha256}.part")), "much longer").unwrap();
        let mut output = Vec::new();
        receive(place, &sha256, 4, &mut &b"more"[..], &mut output).unwrap();
        assert_eq!(told(&output), [Transfer::From { offset: 0 }, Transfer::Whole]);
        // Nothing is a file, too.
        receive(place, &Content::new("", 0).digest(), 0, &mut io::empty(), &mut Vec::new()).unwrap();
    }

    #[test]
    fn hostile_sizes_and_links_are_refused_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("received");
        let sha256 = Content::new("x", 0).digest();
        for size in [MAX_BYTES + 1, u64::MAX] {
            let failure = receive(&place, &sha256, size, &mut io::repeat(0), &mut Vec::new()).unwrap_err();
            assert!(failure.message.contains("more than"), "{failure}");
        }
        assert!(!place.exists());
        fs::create_dir(&place).unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "theirs").unwrap();
        std::os::unix::fs::symlink(&victim, place.join(format!("{sha256}.part"))).unwrap();
        assert!(receive(&place, &sha256, 1, &mut &b"x"[..], &mut Vec::new()).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"theirs");
    }

    #[test]
    fn two_do_not_write_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let sha256 = Content::new("x", 0).digest();
        let first = Part::open(directory.path(), &sha256, 1).unwrap();
        let failure = receive(directory.path(), &sha256, 1, &mut &b"x"[..], &mut Vec::new()).unwrap_err();
        assert_eq!(failure.kind, Kind::Locked);
        drop(first);
        receive(directory.path(), &sha256, 1, &mut &b"x"[..], &mut Vec::new()).unwrap();
    }
}
