//! Files are written whole or not at all.
//!
//! The new content goes to a file beside the old one, is on the disk before it takes the old one's name, and the
//! name is on the disk before anything else happens. Whoever reads meanwhile sees the old or the new content; a
//! full disk or a crash leaves the old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

use crate::step::Content;

pub mod copy;

#[cfg(test)]
mod tests;

/// The label by which `SELinux` knows what a file is for.
const SELINUX: &str = "security.selinux";

/// Names, or one value, of what hangs on a file, in bytes; Linux keeps no more.
const MAX_ATTRIBUTES: usize = 64 << 10;

/// Hosts files of millions of names are shorter.
pub const MAX_BYTES: u64 = 64 << 20;

/// Neither waits for a writer, nor makes a terminal this process's own.
const READ: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

/// What tidying up after a write that was cut short has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// Nothing was cut short, or nothing was written yet.
    Nothing,
    /// The file was half-written, and has its old content again.
    GivenBack,
    /// Somebody has changed the file since: it is left as it is.
    LeftAlone,
}

/// Reads a file; `None` when there is none.
pub fn read(path: &Path) -> io::Result<Option<Content>> {
    let result = (|| {
        // Opening alone may do something to a device, or wait for the writer of a pipe.
        regular(&fs::metadata(path)?)?;
        let file = OpenOptions::new().read(true).custom_flags(READ.bits().cast_signed()).open(path)?;
        let meta = file.metadata()?;
        regular(&meta)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is longer than any file of this kind",
            ));
        }
        Ok(Content { bytes, mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid() })
    })();
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn regular(meta: &fs::Metadata) -> io::Result<()> {
    if meta.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

/// Gives `path` the content, by way of a file in the directory `staging`.
///
/// A symbolic link stays one: the file behind it is replaced. A file that is a mount point, such as /etc/hosts in a
/// container, cannot be replaced and is written in place, and so is one with other names (hard links), which are to mean
/// the new content, too; meanwhile the old and the new content lie in `staging`, with which [`mend`] repairs what a crash
/// has left. Where `staging` is of another file system than `path`, the new content waits beside `path` instead, under a
/// name that begins with a dot.
pub fn write(path: &Path, staging: &Path, content: &Content) -> io::Result<()> {
    let path = real(path)?;
    let staged = staged(&path, staging);
    let replace = || {
        if has_other_names(&path, staging, content) {
            Err(Errno::BUSY.into())
        } else {
            fs::rename(&staged, &path)
        }
    };
    let result = stage(&staged, &path, content).and_then(|()| match replace() {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => in_place(&path, staging, content),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            remove(&staged)?;
            beside(&path, staging, content)
        }
        other => other,
    });
    if result.is_err() {
        let _ = fs::remove_file(&staged);
        return result;
    }
    sync_directory(path.parent())
}

/// Whether the file has other names that are to mean the new content as well. Not where `staging` lies elsewhere: kubelet
/// must never read half of a manifest. Nor where owner or permissions change, which is not done in place.
fn has_other_names(path: &Path, staging: &Path, content: &Content) -> bool {
    path.parent() == Some(staging)
        && fs::metadata(path).is_ok_and(|meta| {
            let is_same =
                (meta.mode() & 0o7777, meta.uid(), meta.gid()) == (content.mode, content.uid, content.gid);
            meta.nlink() > 1 && is_same
        })
}

/// Of another file system is the directory of `path`, or the file alone as a mount point.
fn beside(path: &Path, staging: &Path, content: &Content) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    let waiting = staged(path, directory);
    let result = stage(&waiting, path, content).and_then(|()| fs::rename(&waiting, path));
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices) => {
            fs::remove_file(&waiting)?;
            stage(&staged(path, staging), path, content)?;
            in_place(path, staging, content)
        }
        Err(error) => {
            let _ = fs::remove_file(&waiting);
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

/// Removes a file, for good. That there is none is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    sync_directory(path.parent())
}

/// Tidies up after a [`write()`] that was cut short.
///
/// One in place leaves a file that begins as the new content and goes on as the old one; only such a file is given its
/// old content back. One that somebody has edited since is left alone.
pub fn mend(path: &Path, staging: &Path) -> io::Result<Mended> {
    let path = real(path)?;
    let (copy, new) = (copy_of(&path, staging), staged(&path, staging));
    let mut mended = Mended::Nothing;
    if let Some(old) = read(&copy)? {
        let now = read(&path)?.map(|content| content.bytes).unwrap_or_default();
        let intended = read(&new)?.map(|content| content.bytes);
        let is_whole = now == old.bytes || intended.as_ref() == Some(&now);
        if !is_whole && intended.is_some_and(|new| is_torn(&now, &old.bytes, &new)) {
            overwrite(&path, &old)?;
            mended = Mended::GivenBack;
        } else if !is_whole {
            mended = Mended::LeftAlone;
        }
        remove_if_there(&copy)?;
    }
    let mut waiting = copy.into_os_string();
    waiting.push(".new");
    remove_if_there(Path::new(&waiting))?;
    if let Some(directory) = path.parent().filter(|directory| *directory != staging) {
        remove_if_there(&staged(&path, directory))?;
    }
    remove_if_there(&new)?;
    Ok(mended)
}

/// Whether `now` is what an [`overwrite`] of `old` by `new` leaves when it ends in the midst.
fn is_torn(now: &[u8], old: &[u8], new: &[u8]) -> bool {
    let written = now.iter().zip(new).take_while(|(now, new)| now == new).count();
    // Where both are the same, it cannot be told how far it came.
    (0..=written).any(|written| {
        let rest = old.get(written..).unwrap_or_default();
        now[written..] == *rest
    })
}

/// Removes a directory with all that is in it. That there is none is fine.
pub(crate) fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A disk that is read-only refuses to remove even what is not there.
fn remove_if_there(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() { remove(path) } else { Ok(()) }
}

/// The file behind symbolic links; itself, when there is none yet.
fn real(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if path.symlink_metadata().is_ok() {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "it is a link to a file that is not there",
                ));
            }
            Ok(path.to_owned())
        }
        other => other,
    }
}

/// Where the new content of `path` waits. Always the same name, so that a crash leaves one file at most, which the
/// next run uses again; kubelet does not look at names that begin with a dot.
fn staged(path: &Path, staging: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    staging.join(format!(".{name}.lvscare-installer"))
}

fn stage(staged: &Path, path: &Path, content: &Content) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(staged)?;
    file.write_all(&content.bytes)?;
    let meta = file.metadata()?;
    if (meta.uid(), meta.gid()) != (content.uid, content.gid) {
        fchown(&file, Some(Uid::from_raw(content.uid)), Some(Gid::from_raw(content.gid)))?;
    }
    copy_attributes(path, &file, |_| true);
    // The last word: a list of rights among them says something of permissions, too.
    fchmod(&file, Mode::from_raw_mode(content.mode))?;
    file.sync_all()
}

/// Makes a directory with these permissions, whatever the umask is, and those above it.
pub fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_directory(above, 0o755)?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode))),
    }
}

/// Labels, lists of rights and whatever else hangs on a file (`xattr(7)`). Best effort: not every file system takes all.
fn copy_attributes(from: &Path, to: &File, is_wanted: fn(&str) -> bool) {
    let Ok(old) = OpenOptions::new().read(true).custom_flags(READ.bits().cast_signed()).open(from) else {
        return;
    };
    let (mut names, mut value) = (vec![0; MAX_ATTRIBUTES], vec![0; MAX_ATTRIBUTES]);
    let length = flistxattr(&old, names.as_mut_slice()).unwrap_or_default();
    let names = names[..length].split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok());
    for name in names.filter(|name| !name.is_empty() && is_wanted(name)) {
        if let Ok(length) = fgetxattr(&old, name, value.as_mut_slice()) {
            let _ = fsetxattr(to, name, &value[..length], XattrFlags::empty());
        }
    }
}

/// Where a copy of the old content of `path` lies while it is written in place.
fn copy_of(path: &Path, staging: &Path) -> PathBuf {
    let mut name = staged(path, staging).into_os_string();
    name.push(".old");
    name.into()
}

/// The new content lies staged already, and stays there until the file is whole.
fn in_place(path: &Path, staging: &Path, content: &Content) -> io::Result<()> {
    let copy = copy_of(path, staging);
    if let Some(old) = read(path)? {
        // The copy, too, is whole or not there.
        let mut waiting = copy.clone().into_os_string();
        waiting.push(".new");
        stage(Path::new(&waiting), path, &old)?;
        fs::rename(&waiting, &copy)?;
        sync_directory(copy.parent())?;
    }
    if let Err(error) = overwrite(path, content) {
        // A disk that is full has room for what was there.
        return mend(path, staging).and(Err(error));
    }
    remove(&copy)?;
    remove(&staged(path, staging))
}

fn overwrite(path: &Path, content: &Content) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&content.bytes)?;
    file.set_len(content.bytes.len() as u64)?;
    file.sync_all()
}

/// Until then a crash may bring the old name back.
pub(crate) fn sync_directory(directory: Option<&Path>) -> io::Result<()> {
    match directory {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
