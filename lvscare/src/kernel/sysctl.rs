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
const MAX_VALUE_BYTES: usize = 12;

/// The release of this kernel.
const RELEASE: &str = "/proc/sys/kernel/osrelease";

/// The settings that lvscare looks after.
#[derive(Debug)]
pub struct Sysctls {
    needed: Vec<Sysctl>,
}

/// The settings that matter to this kernel.
pub fn needed() -> Vec<Sysctl> {
    // Without /proc nothing can be set either.
    Sysctl::for_release(&files::read_text(Path::new(RELEASE)).unwrap_or_default())
}

impl Default for Sysctls {
    /// Finds out which settings matter to this kernel.
    fn default() -> Self {
        Self { needed: needed() }
    }
}

impl Sysctls {
    /// All settings that matter to this kernel and exist.
    pub fn read_all(&self) -> Result<BTreeMap<Sysctl, u32>, Error> {
        let mut values = BTreeMap::new();
        for &sysctl in &self.needed {
            if let Some(value) = read(sysctl)? {
                values.insert(sysctl, value);
            }
        }
        Ok(values)
    }
}

/// The value of `sysctl`; `None` when this kernel does not have it.
fn read(sysctl: Sysctl) -> Result<Option<u32>, Error> {
    let failed = |source| Error::File { path: path(sysctl), source };
    match File::open(path(sysctl)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => value(&other.map_err(failed)?).map_err(failed),
    }
}

/// Sets `sysctl` to `value`.
pub fn write(sysctl: Sysctl, value: u32) -> Result<(), Error> {
    let path = path(sysctl);
    fs::write(&path, value.to_string()).map_err(|source| Error::File { path, source })
}

fn value(file: &File) -> io::Result<Option<u32>> {
    let mut text = [0; MAX_VALUE_BYTES];
    let length = file.read_at(&mut text, 0)?;
    let text = text.get(..length).unwrap_or_default();
    Ok(std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()))
}

fn path(sysctl: Sysctl) -> String {
    format!("/proc/sys/{}", sysctl.name().replace('.', "/"))
}
