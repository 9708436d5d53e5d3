//! From an archive to a directory, which is there as a whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::syncfs;

use super::Error;
use super::archive::{Archive, Entry};
use super::names::Kind;
use super::read::{Hashing, open};
use crate::step::Digest;

/// Unpacks `archive`, whose SHA-256 must be `sha256`, into the directory of that name below `packages`. Returns whether it was
/// not there yet.
pub fn unpack(archive: &Path, sha256: &Digest, packages: &Path) -> Result<bool, Error> {
    let whole = packages.join(sha256.to_string());
    if whole.is_dir() {
        return Ok(false);
    }
    let source = open(archive)?;
    let new = packages.join(format!("{sha256}.new"));
    let failed = |path: &Path| write_error(path.to_owned());
    // A run that was killed has left it.
    remove(&new).map_err(failed(&new))?;
    DirBuilder::new().recursive(true).mode(0o700).create(packages).map_err(failed(packages))?;
    DirBuilder::new().mode(0o700).create(&new).map_err(failed(&new))?;
    let unpacked = (|| {
        let mut archive = Archive::new(Hashing::new(source))?;
        while let Some(entry) = archive.next_entry()? {
            write(&mut archive, &new, &entry)?;
        }
        let (found, _) = archive.into_inner().finish();
        if found != *sha256 {
            return Err(Error::Other { wanted: *sha256, found });
        }
        let directory = File::open(&new).map_err(failed(&new))?;
        syncfs(&directory).map_err(|error| failed(&new)(error.into()))?;
        fs::rename(&new, &whole).map_err(failed(&whole))?;
        File::open(packages).and_then(|directory| directory.sync_all()).map_err(failed(packages))
    })();
    if unpacked.is_err() {
        // What fills the disk helps nobody.
        let _ = remove(&new);
    }
    unpacked.map(|()| true)
}

/// Below `top` there is nothing but what was written here, and no name leads through a link.
fn write<R: io::Read>(archive: &mut Archive<R>, top: &Path, entry: &Entry) -> Result<(), Error> {
    let path = top.join(&entry.path);
    let failed = || write_error(path.clone());
    if let Some(above) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(above).map_err(failed())?;
    }
    match &entry.kind {
        Kind::Directory => DirBuilder::new().recursive(true).mode(0o755).create(&path).map_err(failed()),
        Kind::File { executable, .. } => {
            let mode = if *executable { 0o755 } else { 0o644 };
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(failed())?;
            let mut buffer = vec![0; 1 << 17];
            loop {
                let count = io::Read::read(archive, &mut buffer).map_err(|error| archive.wrong(error))?;
                if count == 0 {
                    return Ok(());
                }
                io::Write::write_all(&mut file, &buffer[..count]).map_err(failed())?;
            }
        }
        Kind::Symlink { target } => symlink(target, &path).map_err(failed()),
        Kind::HardLink { target } => fs::hard_link(top.join(target), &path).map_err(failed()),
    }
}

fn write_error(path: PathBuf) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Write { path, source }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
