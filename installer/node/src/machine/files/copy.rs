//! Files of any length, such as programs: never held in memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use ring::digest::{Context, SHA256};
use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown};

use super::{READ, SELINUX, copy_attributes, real, regular, remove_if_there, staged, sync_directory};
use crate::step::Digest;

/// What is read at once, in bytes.
const CHUNK: usize = 1 << 16;

/// What a file holds; `None` when there is none.
pub fn digest(path: &Path) -> io::Result<Option<Digest>> {
    let mut file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut hash = Context::new(&SHA256);
    hash_into(&mut hash, &mut file)?;
    Ok(Some(Digest::of(&hash.finish())))
}

/// Hashes what is left of a file, and says how many bytes that were.
pub fn hash_into(hash: &mut Context, from: &mut impl Read) -> io::Result<u64> {
    let (mut length, mut chunk) = (0, vec![0; CHUNK]);
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(length),
            count => {
                hash.update(&chunk[..count]);
                length += count as u64;
            }
        }
    }
}

/// Gives `to` the content of `from`, whole or not at all, by way of a file in the directory `staging`.
///
/// With `mode` it becomes a file of root's with these permissions. Without, it is as `from` in every respect: the same
/// file under two names where the file system allows that. A program that runs goes on as it was.
pub fn copy(from: &Path, to: &Path, staging: &Path, mode: Option<u32>) -> io::Result<()> {
    let (from, named, to) = (fs::canonicalize(from)?, to, real(to)?);
    // A link may lead to another file system, to which nothing can be renamed from here.
    let staging = if to == named { staging } else { to.parent().unwrap_or(staging) };
    regular(&fs::metadata(&from)?)?;
    let staged = staged(&to, staging);
    remove_if_there(&staged)?;
    let is_linked = mode.is_none() && fs::hard_link(&from, &staged).is_ok();
    let staging = if is_linked { Ok(()) } else { stage(&from, &staged, mode) };
    let result = staging.and_then(|()| fs::rename(&staged, &to));
    // Two names of one file stay two when one is to take the place of the other (`rename(2)`).
    remove_if_there(&staged)?;
    result?;
    sync_directory(to.parent())
}

fn stage(from: &Path, staged: &Path, mode: Option<u32>) -> io::Result<()> {
    let mut old = open(from)?;
    let meta = old.metadata()?;
    let mut new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(staged)?;
    io::copy(&mut old, &mut new)?;
    let (uid, gid) = if mode.is_some() { (0, 0) } else { (meta.uid(), meta.gid()) };
    let own = new.metadata()?;
    if (own.uid(), own.gid()) != (uid, gid) {
        fchown(&new, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    // A program of root's takes no more from where it came than what it is for.
    copy_attributes(from, &new, if mode.is_some() { |name| name == SELINUX } else { |_| true });
    fchmod(&new, Mode::from_raw_mode(mode.unwrap_or(meta.mode() & 0o7777)))?;
    new.sync_all()
}

fn open(path: &Path) -> io::Result<File> {
    regular(&fs::metadata(path)?)?;
    OpenOptions::new().read(true).custom_flags(READ.bits().cast_signed()).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(directory: &tempfile::TempDir) -> usize {
        fs::read_dir(directory.path()).unwrap().count()
    }

    #[test]
    fn a_program_takes_the_place_of_another_that_was_moved_aside() {
        for elsewhere in ["/tmp", "/dev/shm"] {
            let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in(elsewhere).unwrap());
            let (program, new) = (here.path().join("kubelet"), here.path().join("new"));
            let kept = there.path().join("kept");
            fs::write(&program, "old").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o711)).unwrap();
            fs::write(&new, "new").unwrap();
            let mut running = File::open(&program).unwrap();
            let old = digest(&program).unwrap();

            for _ in 0..2 {
                copy(&program, &kept, there.path(), None).unwrap();
            }
            copy(&new, &program, here.path(), Some(0o755)).unwrap();
            assert_eq!(fs::read(&program).unwrap(), b"new");
            assert_eq!(fs::metadata(&program).unwrap().mode() & 0o7777, 0o755);
            let mut text = String::new();
            running.read_to_string(&mut text).unwrap();
            assert_eq!(text, "old");

            for _ in 0..2 {
                copy(&kept, &program, here.path(), None).unwrap();
                assert_eq!(digest(&program).unwrap(), old);
                assert_eq!(fs::metadata(&program).unwrap().mode() & 0o7777, 0o711);
            }
            assert_eq!((names(&here), names(&there)), (2, 1));
        }
    }

    #[test]
    fn a_program_behind_a_link_to_another_file_system_is_replaced() {
        let (here, there) =
            (tempfile::tempdir_in("/tmp").unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
        let (link, program, new) =
            (here.path().join("kubectl"), there.path().join("kubectl"), here.path().join("new"));
        fs::write(&program, "old").unwrap();
        fs::write(&new, "new").unwrap();
        std::os::unix::fs::symlink(&program, &link).unwrap();
        copy(&new, &link, here.path(), Some(0o755)).unwrap();
        assert_eq!((fs::read(&program).unwrap(), names(&here), names(&there)), (b"new".to_vec(), 2, 1));
        assert!(link.symlink_metadata().unwrap().is_symlink());
    }

    #[test]
    fn a_digest_is_the_one_that_others_know() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(digest(&path).unwrap(), None);
        fs::write(&path, "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&path).unwrap().unwrap().to_string(), known);
        assert!(digest(directory.path()).is_err(), "a directory is no file");
    }

    #[test]
    fn what_cannot_be_copied_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        assert!(copy(&from, &to, directory.path(), Some(0o755)).is_err());
        fs::write(&from, "new").unwrap();
        fs::create_dir(&to).unwrap();
        for mode in [None, Some(0o755)] {
            assert!(copy(&from, &to, directory.path(), mode).is_err());
        }
        assert_eq!(names(&directory), 2);
    }
}
