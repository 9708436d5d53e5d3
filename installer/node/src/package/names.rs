//! Which names an archive may have. Pure.
//!
//! Why nothing leaves the directory: every entry lies below directories of the archive itself, never below a link. A symbolic link
//! may begin with as many `..` as there are directories above it and has none later, so that each step of following it, and
//! following a link on the way, ends within.

use std::collections::HashMap;

use super::Error;

/// No archive has more entries, directories that it does not name among them.
pub const MAX_ENTRIES: usize = 200_000;

/// Not all names together are longer, in bytes.
const MAX_NAMES_BYTES: usize = 32 << 20;

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 1000;

/// The longest part of it, in bytes (`NAME_MAX`).
const MAX_NAME_BYTES: usize = 255;

/// The directory that an archive may have everything in.
const TOP: &str = "kube";

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Its length in bytes.
        size: u64,
        /// Whether it can be run.
        executable: bool,
    },
    /// A link to what lies at a path, relative to it.
    Symlink {
        /// That path.
        target: String,
    },
    /// Another name of a file that came before.
    HardLink {
        /// That file, from the top.
        target: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Directory,
    File,
    Link,
}

/// The names of one archive.
#[derive(Debug, Default)]
pub struct Names {
    /// By the name in small letters.
    known: HashMap<String, (String, Known)>,
    bytes: usize,
    /// Whether everything lies in [`TOP`]; the first entry says so.
    has_top: Option<bool>,
}

impl Names {
    /// The path of an entry within the package, and its kind with paths alike; `None` for what is there already, such as the
    /// top itself.
    pub fn accept(&mut self, name: &[u8], kind: Kind) -> Result<Option<(String, Kind)>, Error> {
        let shown = String::from_utf8_lossy(name).into_owned();
        let refused = |why: String| Error::refused(&shown, why);
        let whole = clean(name).map_err(|why| refused(why.to_owned()))?;
        if whole.is_empty() {
            return if kind == Kind::Directory { Ok(None) } else { Err(refused("has no name".to_owned())) };
        }
        let path = self.below_top(&whole, &kind).map_err(refused)?;
        let Some(path) = path else { return Ok(None) };
        let kind = match kind {
            Kind::Symlink { target } => {
                check_symlink(&path, &target).map_err(refused)?;
                Kind::Symlink { target }
            }
            Kind::HardLink { target } => Kind::HardLink { target: self.linked(&target).map_err(refused)? },
            kind => kind,
        };
        for (end, _) in path.match_indices('/') {
            match self.known.get(&path[..end].to_lowercase()) {
                Some((above, Known::File | Known::Link)) if *above == path[..end] => {
                    return Err(refused(format!(
                        "lies below `{}`, which is no directory",
                        above.escape_debug()
                    )));
                }
                _ => self.add(&path[..end], Known::Directory).map_err(refused)?,
            };
        }
        let known = match kind {
            Kind::Directory => Known::Directory,
            Kind::File { .. } | Kind::HardLink { .. } => Known::File,
            Kind::Symlink { .. } => Known::Link,
        };
        let is_new = self.add(&path, known).map_err(refused)?;
        Ok((is_new || known == Known::Directory).then_some((path, kind)))
    }

    fn below_top(&mut self, whole: &str, kind: &Kind) -> Result<Option<String>, String> {
        let (first, rest) = whole.split_once('/').map_or((whole, None), |(first, rest)| (first, Some(rest)));
        if !*self.has_top.get_or_insert(first == TOP && (rest.is_some() || *kind == Kind::Directory)) {
            return Ok(Some(whole.to_owned()));
        }
        match rest {
            _ if first != TOP => Err(format!("lies beside the directory `{TOP}`, in which all else lies")),
            Some(rest) => Ok(Some(rest.to_owned())),
            None if *kind == Kind::Directory => Ok(None),
            None => Err(format!("is no directory, as `{TOP}` must be")),
        }
    }

    fn linked(&self, target: &str) -> Result<String, String> {
        let wrong = || {
            format!("is another name of `{}`, which is no file that came before it", target.escape_debug())
        };
        let whole = clean(target.as_bytes()).map_err(|_| wrong())?;
        let path = match self.has_top {
            Some(true) => {
                whole.strip_prefix(TOP).and_then(|rest| rest.strip_prefix('/')).ok_or_else(wrong)?
            }
            _ => &whole,
        };
        match self.known.get(&path.to_lowercase()) {
            Some((known, Known::File)) if known == path => Ok(path.to_owned()),
            _ => Err(wrong()),
        }
    }

    /// Returns whether it was not known yet.
    fn add(&mut self, path: &str, kind: Known) -> Result<bool, String> {
        if let Some((known, what)) = self.known.get(&path.to_lowercase()) {
            return match (known == path, *what, kind) {
                (true, Known::Directory, Known::Directory) => Ok(false),
                (true, ..) => Err("is in it twice".to_owned()),
                (false, ..) => Err(format!("differs from `{}` in capitals only", known.escape_debug())),
            };
        }
        self.bytes += path.len();
        if self.known.len() >= MAX_ENTRIES {
            return Err(format!("is one too many: a package has at most {MAX_ENTRIES} entries"));
        }
        if self.bytes > MAX_NAMES_BYTES {
            return Err(format!(
                "is one too many: all names together have more than {} MiB",
                MAX_NAMES_BYTES >> 20
            ));
        }
        self.known.insert(path.to_lowercase(), (path.to_owned(), kind));
        Ok(true)
    }
}

/// The path without what means nothing.
fn clean(name: &[u8]) -> Result<String, &'static str> {
    let name = std::str::from_utf8(name).map_err(|_| "has a name that is not UTF-8")?;
    if name.chars().any(char::is_control) {
        return Err("has a control character in its name");
    }
    if name.starts_with('/') {
        return Err("has an absolute path");
    }
    if name.len() > MAX_PATH_BYTES {
        return Err("has a path of more than 1000 bytes");
    }
    let parts: Vec<_> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err("has `..` in its path");
    }
    if parts.iter().any(|part| part.len() > MAX_NAME_BYTES) {
        return Err("has a name of more than 255 bytes");
    }
    Ok(parts.join("/"))
}

fn check_symlink(path: &str, target: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("is a link to `{}`, which {why}", target.escape_debug()));
    if target.is_empty() || target.len() > MAX_PATH_BYTES || target.chars().any(char::is_control) {
        return wrong("is no path");
    }
    if target.starts_with('/') {
        return wrong("leaves the package");
    }
    let parts: Vec<_> = target.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let up = parts.iter().take_while(|part| **part == "..").count();
    if up > path.matches('/').count() {
        return wrong("leaves the package");
    }
    if parts[up..].contains(&"..") {
        return wrong("goes up after it went down");
    }
    Ok(())
}
