//! From a directory to an archive: the same bytes from the same files, whoever makes it and when.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use super::names::MAX_ENTRIES;
use super::read::{Hashing, Package, open, read};
use super::{Error, SUMS};

/// The directory that everything in the archive lies in.
const TOP: &str = "kube";

/// What is put into the archive.
enum Found {
    Directory,
    File { executable: bool },
    Symlink { target: PathBuf },
}

/// Packs the directory `from` into `to`, a tar that is compressed with gzip, and reads that again.
pub fn build(from: &Path, to: &Path) -> Result<Package, Error> {
    let within = |path: &Path| Some(path.canonicalize().ok()?.starts_with(from.canonicalize().ok()?));
    let directory = to.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if within(directory) == Some(true) {
        return Err(Error::refused(&to.to_string_lossy(), "would lie in the directory that is packed"));
    }
    let mut found = BTreeMap::new();
    look(from, "", &mut found)?;
    // It is computed anew.
    found.remove(SUMS);
    let waiting = waiting(to);
    let failed = |source| Error::Write { path: waiting.clone(), source };
    let made = (|| {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&waiting);
        // Neither a name nor a time.
        let mut packed = GzBuilder::new().write(file.map_err(failed)?, Compression::default());
        let sums = sums(from, &found)?;
        append(&mut packed, TOP, &Found::Directory, &mut io::empty(), 0).map_err(failed)?;
        let length = sums.len() as u64;
        append(
            &mut packed,
            &format!("{TOP}/{SUMS}"),
            &Found::File { executable: false },
            &mut sums.as_bytes(),
            length,
        )
        .map_err(failed)?;
        for (path, what) in &found {
            let name = format!("{TOP}/{path}");
            let source = from.join(path);
            let done = match what {
                Found::File { .. } => File::open(&source).and_then(|mut file| {
                    let length = file.metadata()?.len();
                    append(&mut packed, &name, what, &mut file, length)
                }),
                _ => append(&mut packed, &name, what, &mut io::empty(), 0),
            };
            done.map_err(|error| Error::Write { path: source, source: error })?;
        }
        packed.write_all(&[0; 1024]).map_err(failed)?;
        packed.finish().and_then(|file| file.sync_all()).map_err(failed)?;
        let package = read(&waiting)?;
        fs::rename(&waiting, to).map_err(|source| Error::Write { path: to.to_owned(), source })?;
        Ok(package)
    })();
    if made.is_err() {
        let _ = fs::remove_file(&waiting);
    }
    made
}

/// Beside its place, and never anybody else's.
fn waiting(to: &Path) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    to.with_file_name(format!(".{name}.new"))
}

fn look(top: &Path, below: &str, found: &mut BTreeMap<String, Found>) -> Result<(), Error> {
    let entries = fs::read_dir(top.join(below)).map_err(Error::Read)?;
    for entry in entries {
        let entry = entry.map_err(Error::Read)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(Error::refused(&name.to_string_lossy(), "has a name that is not UTF-8"));
        };
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        if found.len() >= MAX_ENTRIES {
            return Err(Error::refused(
                &path,
                format!("is one too many: a package has at most {MAX_ENTRIES} entries"),
            ));
        }
        let meta = entry.metadata().map_err(Error::Read)?;
        if meta.is_dir() {
            found.insert(path.clone(), Found::Directory);
            look(top, &path, found)?;
        } else if meta.is_file() {
            found.insert(path, Found::File { executable: meta.permissions().mode() & 0o111 != 0 });
        } else if meta.is_symlink() {
            let target = fs::read_link(entry.path()).map_err(Error::Read)?;
            found.insert(path, Found::Symlink { target });
        } else {
            return Err(Error::refused(&path, "is neither a file, nor a directory, nor a link"));
        }
    }
    Ok(())
}

fn sums(from: &Path, found: &BTreeMap<String, Found>) -> Result<String, Error> {
    use std::fmt::Write as _;
    let mut text = String::new();
    for path in found.iter().filter(|(_, what)| matches!(what, Found::File { .. })).map(|(path, _)| path) {
        let mut file = Hashing::new(open(&from.join(path))?);
        io::copy(&mut file, &mut io::sink()).map_err(Error::Read)?;
        let (sha256, _) = file.finish();
        let _ = writeln!(text, "{sha256}  {path}");
    }
    Ok(text)
}

fn append(
    archive: &mut impl Write,
    name: &str,
    what: &Found,
    content: &mut impl Read,
    length: u64,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_mode(0o644);
    match what {
        Found::Directory => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
        }
        Found::File { executable } => header.set_mode(if *executable { 0o755 } else { 0o644 }),
        Found::Symlink { target } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_link_name(target)?;
        }
    }
    header.set_size(length);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    archive.write_all(header.as_bytes())?;
    let copied = io::copy(&mut content.take(length), archive)?;
    if copied < length {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
    }
    let padding = usize::try_from(length.next_multiple_of(512) - length).unwrap_or_default();
    archive.write_all(&[0; 512][..padding])
}
