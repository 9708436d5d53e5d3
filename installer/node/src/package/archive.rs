//! A tar as a stream of entries, none of which can do harm.
//!
//! The form is that of ustar with the additions of POSIX (pax) and GNU for long names. What those can say beyond that is
//! refused: sparse files, pieces of several archives.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::Error;
use super::decompress::{Bounded, MAX_BYTES, decompress};
use super::names::{Kind, Names};

const BLOCK: usize = 512;

/// The longest of what is said about an entry before it, in bytes.
const MAX_EXTENSION: u64 = 64 << 10;

/// An archive, entry by entry.
pub struct Archive<R> {
    source: Bounded<R>,
    names: Names,
    entries: u64,
    /// Bytes that were read.
    read: u64,
    /// Bytes that all files together have.
    files: u64,
    /// Bytes of the present file that were not read yet, and those that fill up its last block.
    left: u64,
    padding: u64,
}

/// What is in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where, from the top.
    pub path: String,
    /// What.
    pub kind: Kind,
}

/// What was said about the next entry.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<R: Read> Archive<R> {
    /// Begins to read.
    pub fn new(source: R) -> Result<Self, Error> {
        let source = decompress(source)?;
        Ok(Self { source, names: Names::default(), entries: 0, read: 0, files: 0, left: 0, padding: 0 })
    }

    /// How many bytes all files together have, so far.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// What the archive comes from, which was read to its end.
    pub fn into_inner(self) -> R {
        self.source.into_inner()
    }

    /// The next entry; `None` at the end of the archive, after which nothing comes. What was not read of the last one is left
    /// out.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        let mut extension = Extension::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let name = extension.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
            let shown = String::from_utf8_lossy(&name).into_owned();
            let said = header.entry_size().map_err(|error| self.damaged(error.to_string()))?;
            let size = extension.size.unwrap_or(said);
            let kind = header.entry_type();
            match kind {
                EntryType::GNULongName => extension.path = Some(self.long_name(&shown, size)?),
                EntryType::GNULongLink => extension.target = Some(self.long_name(&shown, size)?),
                EntryType::XHeader => {
                    let text = self.extension(&shown, size)?;
                    self.records(&shown, &text, &mut extension)?;
                }
                EntryType::XGlobalHeader => {
                    let text = self.extension(&shown, size)?;
                    let mut all = Extension::default();
                    self.records(&shown, &text, &mut all)?;
                    if all.path.is_some() || all.target.is_some() || all.size.is_some() {
                        return Err(Error::refused(&shown, "names or measures all entries at once"));
                    }
                }
                _ => {
                    let target = extension.target.or_else(|| header.link_name_bytes().map(Into::into));
                    let kind = self.kind(&header, &shown, size, target)?;
                    if let Some((path, kind)) = self.names.accept(&name, kind)? {
                        return Ok(Some(Entry { path, kind }));
                    }
                    extension = Extension::default();
                }
            }
        }
    }

    fn kind(
        &mut self,
        header: &Header,
        shown: &str,
        size: u64,
        target: Option<Vec<u8>>,
    ) -> Result<Kind, Error> {
        let refused = |why: String| Err(Error::refused(shown, why));
        let mode = header.mode().map_err(|error| self.damaged(error.to_string()))?;
        if mode & 0o7000 != 0 && header.entry_type() != EntryType::Symlink {
            return refused(format!("has mode {:04o}: setuid, setgid and sticky are refused", mode & 0o7777));
        }
        let target = || String::from_utf8(target.unwrap_or_default());
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                self.begin_file(shown, size)?;
                return Ok(Kind::File { size, executable: mode & 0o111 != 0 });
            }
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink | EntryType::Link => {
                let Ok(target) = target() else {
                    return refused("is a link to a name that is not UTF-8".to_owned());
                };
                if header.entry_type() == EntryType::Link {
                    Kind::HardLink { target }
                } else {
                    Kind::Symlink { target }
                }
            }
            EntryType::Char | EntryType::Block => return refused("is a device".to_owned()),
            EntryType::Fifo => return refused("is a pipe".to_owned()),
            EntryType::GNUSparse => return refused("is a sparse file".to_owned()),
            other => {
                let letter = char::from(other.as_byte());
                return refused(format!("is of the kind {letter:?}, which no package needs"));
            }
        };
        if size > 0 {
            return refused("has content, and is no file".to_owned());
        }
        Ok(kind)
    }

    fn begin_file(&mut self, shown: &str, size: u64) -> Result<(), Error> {
        let all = self.files.checked_add(size).filter(|all| *all <= MAX_BYTES);
        let Some(all) = all else {
            let why = format!("makes it more than the {} GiB that a package may have", MAX_BYTES >> 30);
            return Err(Error::refused(shown, why));
        };
        self.files = all;
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    /// Goes behind the present file.
    fn skip(&mut self) -> Result<(), Error> {
        let wanted = self.left + self.padding;
        let skipped = io::copy(&mut (&mut self.source).take(wanted), &mut io::sink());
        let skipped = skipped.map_err(|error| self.wrong(error))?;
        self.read += skipped;
        if skipped < wanted {
            return Err(Error::CutOff(self.read));
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    /// The next header; `None` at the end.
    fn header(&mut self) -> Result<Option<Header>, Error> {
        let mut block = [0; BLOCK];
        self.exact(&mut block).map_err(|error| match error {
            // A page that says that nothing was found is shorter than one header.
            Error::CutOff(_) if self.entries == 0 && self.source.is_plain() => Error::NoArchive,
            error => error,
        })?;
        if block == [0; BLOCK] {
            return self.end().map(|()| None);
        }
        let header = Header::from_byte_slice(&block).clone();
        // Its own bytes count as blanks.
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let own: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
        if !header.cksum().is_ok_and(|said| said == sum - own + 8 * u32::from(b' ')) {
            return Err(if self.entries == 0 {
                Error::NoArchive
            } else {
                self.damaged("what should be the header of an entry is none")
            });
        }
        self.entries += 1;
        Ok(Some(header))
    }

    /// After the end there are zeros only. All of them are read, so that what packed them is whole, too.
    fn end(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 1 << 13];
        loop {
            match self.source.read(&mut buffer).map_err(|error| self.wrong(error))? {
                0 => return Ok(()),
                count if buffer[..count].iter().any(|byte| *byte != 0) => {
                    return Err(self.damaged("something follows the end of the archive"));
                }
                count => self.read += count as u64,
            }
        }
    }

    fn exact(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.source.read_exact(buffer).map_err(|error| self.wrong(error))?;
        self.read += buffer.len() as u64;
        Ok(())
    }

    fn extension(&mut self, shown: &str, size: u64) -> Result<Vec<u8>, Error> {
        let length = usize::try_from(size).ok().filter(|_| size <= MAX_EXTENSION);
        let Some(length) = length else {
            return Err(Error::refused(shown, format!("says {size} bytes about one entry")));
        };
        let mut text = vec![0; length];
        self.exact(&mut text)?;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        self.skip()?;
        Ok(text)
    }

    fn long_name(&mut self, shown: &str, size: u64) -> Result<Vec<u8>, Error> {
        let mut name = self.extension(shown, size)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    /// Lines of `LENGTH NAME=VALUE` (pax, POSIX.1-2017).
    fn records(&self, shown: &str, text: &[u8], extension: &mut Extension) -> Result<(), Error> {
        let wrong = || self.damaged("what is said about an entry is not understood");
        let mut rest = text;
        while !rest.is_empty() {
            let blank = rest.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let length = std::str::from_utf8(&rest[..blank]).ok().and_then(|digits| digits.parse().ok());
            let length: usize =
                length.filter(|length| (blank + 2..=rest.len()).contains(length)).ok_or_else(wrong)?;
            let (record, after) = rest.split_at(length);
            rest = after;
            let record = record[blank + 1..].strip_suffix(b"\n").ok_or_else(wrong)?;
            let sign = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (name, value) = (&record[..sign], &record[sign + 1..]);
            match name {
                b"path" => extension.path = Some(value.to_vec()),
                b"linkpath" => extension.target = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                    extension.size = Some(size.ok_or_else(wrong)?);
                }
                name if name.starts_with(b"GNU.sparse") => {
                    return Err(Error::refused(shown, "is a sparse file"));
                }
                // Owners, times and labels are not kept.
                _ => {}
            }
        }
        Ok(())
    }

    fn damaged(&self, why: impl Into<String>) -> Error {
        Error::Damaged { after: self.read, why: why.into() }
    }

    /// Why reading failed.
    pub fn wrong(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::CutOff(self.read),
            _ if error.raw_os_error().is_some() => Error::Read(error),
            _ => match error.downcast::<Error>() {
                Ok(refusal) => refusal,
                Err(error) => self.damaged(error.to_string()),
            },
        }
    }
}

/// The content of the present entry.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        self.read += count as u64;
        Ok(count)
    }
}
