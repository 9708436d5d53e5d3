//! Reading files that somebody else has put there, noticing that they have changed, and writing our own as a whole.
//!
//! A path may lead to a pipe without a writer, to a device that never ends, or to a terminal. Whoever waits for one of
//! them waits for ever, and the daemon has only one thread. So only regular files are read, never waited for, and never
//! more of them than [`MAX_BYTES`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Longer files are none of those that are read here. A cluster's authorities, a kubeconfig and a configuration are a
/// hundredth of it.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// Neither waits for a writer, nor makes a terminal this process's own.
const FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// The contents of a regular file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening alone may do something to a device.
    regular(&fs::metadata(path)?)?;
    let flags = FLAGS.bits().cast_signed();
    contents(OpenOptions::new().read(true).custom_flags(flags).open(path)?)
}

/// The same as text.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    text(read(path)?)
}

/// The contents of a file of at most `limit` bytes that only root can have put there, or the user of this process, to
/// whom systemd gives the state directory. A symbolic link is none.
pub(crate) fn read_trusted(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let seen = fs::symlink_metadata(path)?;
    regular(&seen)?;
    let flags = FLAGS.union(OFlags::NOFOLLOW).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    trusted(&file.metadata()?)?;
    bounded(file, limit)
}

/// The text of the file `path` as a process sees it whose root of the file system is `root`.
///
/// Neither the process nor what it has in its file system is trusted: links do not lead out of `root`, and the file
/// must belong to root, or to the user of this process.
pub(crate) fn read_text_below(root: &Path, path: &Path) -> io::Result<String> {
    let directory = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let open = |flags| openat2(&directory, path, flags, Mode::empty(), ResolveFlags::IN_ROOT);
    // Opening alone may do something to a device.
    let seen = match open(OFlags::PATH | OFlags::CLOEXEC) {
        Ok(seen) => File::from(seen).metadata()?,
        // Linux before 5.6 cannot keep links inside. Then they lead to files of this node's own.
        Err(Errno::NOSYS) => return of_root(&root.join(path.strip_prefix("/").unwrap_or(path))),
        Err(error) => return Err(error.into()),
    };
    regular(&seen)?;
    let file = File::from(open(OFlags::RDONLY | FLAGS)?);
    trusted(&file.metadata()?)?;
    text(contents(file)?)
}

fn of_root(path: &Path) -> io::Result<String> {
    trusted(&fs::metadata(path)?)?;
    read_text(path)
}

fn contents(file: File) -> io::Result<Vec<u8>> {
    bounded(file, MAX_BYTES)
}

fn bounded(file: File, limit: u64) -> io::Result<Vec<u8>> {
    // Another one may have taken the place of that which was looked at.
    regular(&file.metadata()?)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("longer than {limit} bytes")));
    }
    Ok(bytes)
}

fn regular(seen: &fs::Metadata) -> io::Result<()> {
    if seen.is_file() { Ok(()) } else { Err(io::Error::other("not a regular file")) }
}

/// Whether it belongs to root, or to the user of this process.
fn trusted(seen: &fs::Metadata) -> io::Result<()> {
    let owner = seen.uid();
    if owner == 0 || owner == geteuid().as_raw() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "it does not belong to root"))
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
}

/// By this one sees that a file is another one: device, inode, length, times of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of the file which `path` leads to through all symbolic links; `None`: there is none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let seen = fs::metadata(path).ok()?;
        Some(Self {
            device: seen.dev(),
            inode: seen.ino(),
            length: seen.size(),
            modified: (seen.mtime(), seen.mtime_nsec()),
            changed: (seen.ctime(), seen.ctime_nsec()),
        })
    }
}

/// Writes a file of this mode as a whole: whatever interrupts it, there is the old one or the new one.
pub(crate) fn replace(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = file.file_name().ok_or_else(|| io::Error::other("not the name of a file"))?;
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let temporary = directory.join(format!(".{}.new", name.display()));
    // One that an earlier attempt has left behind.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        // A full disk is not made fuller.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The name is part of the directory.
    File::open(directory)?.sync_all()
}

fn write(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    // Whatever the umask of an administrator's shell takes away.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use rustix::fs::{FileType, mknodat};

    use super::*;

    fn pipe(path: &Path) {
        mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    }

    #[test]
    fn only_regular_files_are_read_and_none_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        pipe(&at("pipe"));
        symlink("pipe", at("link")).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        for name in ["pipe", "link", "zero", "."] {
            assert_eq!(read(&at(name)).unwrap_err().to_string(), "not a regular file", "{name}");
            let below = read_text_below(directory.path(), Path::new(name)).unwrap_err();
            let gone = name == "zero" && below.kind() == io::ErrorKind::NotFound;
            assert!(gone || below.to_string() == "not a regular file", "{name}: {below}");
        }
        assert_eq!(read(&at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::write(at("some"), b"a\xff").unwrap();
        assert_eq!(read(&at("some")).unwrap(), b"a\xff");
        assert_eq!(read_text(&at("some")).unwrap_err().to_string(), "not UTF-8 text");
        // As procfs has them: regular, with a length of nothing.
        assert!(read(Path::new("/proc/self/cmdline")).is_ok_and(|bytes| !bytes.is_empty()));
    }

    #[test]
    fn length_has_a_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_BYTES).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MAX_BYTES);
        file.set_len(1 << 40).unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), "longer than 1048576 bytes");
        assert_eq!(
            read_text_below(directory.path(), Path::new("file")).unwrap_err().to_string(),
            "longer than 1048576 bytes"
        );
    }

    #[test]
    fn a_trusted_file_is_small_regular_and_no_link() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "12345").unwrap();
        symlink("file", at("link")).unwrap();
        pipe(&at("pipe"));
        assert_eq!(read_trusted(&at("file"), 5).unwrap(), b"12345");
        let refusal = |name: &str, limit| read_trusted(&at(name), limit).unwrap_err().to_string();
        assert_eq!(refusal("file", 4), "longer than 4 bytes");
        assert_eq!(refusal("link", 5), "not a regular file");
        assert_eq!(refusal("pipe", 5), "not a regular file");
    }

    #[test]
    fn links_do_not_lead_out_of_a_root() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "outside").unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/real"), "inside").unwrap();
        // An absolute link starts at the process's root, and nothing is above that.
        symlink("/etc/real", root.join("etc/absolute")).unwrap();
        symlink("../../../etc/real", root.join("etc/relative")).unwrap();
        symlink("../../secret", root.join("etc/up")).unwrap();
        symlink(outside.path().join("secret"), root.join("etc/out")).unwrap();
        for inside in ["/etc/real", "etc/real", "/etc/absolute", "/etc/relative", "../etc/real"] {
            assert_eq!(read_text_below(&root, Path::new(inside)).unwrap(), "inside", "{inside}");
        }
        for out in ["/etc/up", "/etc/out", "../secret"] {
            assert!(read_text_below(&root, Path::new(out)).is_err(), "{out}");
        }
    }

    #[test]
    fn every_way_to_replace_a_file_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("one"), "1").unwrap();
        fs::write(at("two"), "2").unwrap();
        symlink("one", at("link")).unwrap();
        let first = Stamp::of(&at("link"));

        symlink("two", at("new")).unwrap();
        fs::rename(at("new"), at("link")).unwrap();
        let swapped = Stamp::of(&at("link"));
        assert_ne!(first, swapped);

        fs::write(at("three"), "2").unwrap();
        fs::rename(at("three"), at("two")).unwrap();
        let renamed = Stamp::of(&at("link"));
        assert_ne!(swapped, renamed);

        fs::write(at("two"), "22").unwrap();
        assert_ne!(renamed, Stamp::of(&at("link")));
        fs::remove_file(at("two")).unwrap();
        assert_eq!(Stamp::of(&at("link")), None);
    }

    #[test]
    fn files_of_other_users_are_not_trusted() {
        if !geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "says anything").unwrap();
        assert!(read_text_below(directory.path(), Path::new("file")).is_ok());
        chown(&path, Some(65534), None).unwrap();
        let error = read_text_below(directory.path(), Path::new("file")).unwrap_err();
        assert_eq!(error.to_string(), "it does not belong to root");
        assert_eq!(of_root(&path).unwrap_err().to_string(), "it does not belong to root");
        assert_eq!(read_trusted(&path, 100).unwrap_err().to_string(), "it does not belong to root");
    }
}
