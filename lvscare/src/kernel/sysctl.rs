//! Kernel settings under `/proc/sys`, of the network namespace of this thread.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Error;
use crate::files;
use crate::model::Sysctl;

/// A number of 32 bits with its sign and the end of line.
const LONGEST: usize = 12;

/// The release of this kernel.
const RELEASE: &str = "/proc/sys/kernel/osrelease";

/// The settings that lvscare looks after. Their files stay open, since each is read again and again.
#[derive(Debug)]
pub struct Sysctls {
    needed: Vec<Sysctl>,
    files: BTreeMap<Sysctl, File>,
}

/// The settings that matter to this kernel.
pub fn needed() -> Vec<Sysctl> {
    // Without /proc nothing can be set either.
    Sysctl::for_release(&files::read_text(Path::new(RELEASE)).unwrap_or_default())
}

impl Default for Sysctls {
    /// Finds out which settings matter to this kernel.
    fn default() -> Self {
        Self { needed: needed(), files: BTreeMap::new() }
    }
}

impl Sysctls {
    /// All settings that matter to this kernel and exist.
    pub fn read_all(&mut self) -> Result<BTreeMap<Sysctl, u32>, Error> {
        let mut values = BTreeMap::new();
        for sysctl in self.needed.clone() {
            if let Some(value) = self.read(sysctl)? {
                values.insert(sysctl, value);
            }
        }
        Ok(values)
    }

    /// The value of `sysctl`; `None` when this kernel does not have it.
    fn read(&mut self, sysctl: Sysctl) -> Result<Option<u32>, Error> {
        // A file that has become useless belongs to a module that was unloaded, and perhaps loaded again.
        if let Some(Ok(value)) = self.files.get(&sysctl).map(value) {
            return Ok(value);
        }
        self.files.remove(&sysctl);
        let failed = |source| Error::File { path: path(sysctl), source };
        let file = match File::open(path(sysctl)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let value = value(&file).map_err(failed)?;
        self.files.insert(sysctl, file);
        Ok(value)
    }
}

/// Sets `sysctl` to `value`.
pub fn write(sysctl: Sysctl, value: u32) -> Result<(), Error> {
    let path = path(sysctl);
    fs::write(&path, value.to_string()).map_err(|source| Error::File { path, source })
}

fn value(file: &File) -> io::Result<Option<u32>> {
    let mut text = [0; LONGEST];
    let length = file.read_at(&mut text, 0)?;
    let text = text.get(..length).unwrap_or_default();
    Ok(std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()))
}

fn path(sysctl: Sysctl) -> String {
    format!("/proc/sys/{}", sysctl.name().replace('.', "/"))
}
