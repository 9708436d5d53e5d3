//! Kernel settings under `/proc/sys`, of the network namespace of this thread.

use std::fs;
use std::io::ErrorKind;

use super::Error;
use crate::model::Sysctl;

/// The value of `sysctl`; `None` when this kernel does not have it.
pub fn read(sysctl: Sysctl) -> Result<Option<u32>, Error> {
    let path = path(sysctl);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { path, source }),
    }
}

/// Sets `sysctl` to `value`.
pub fn write(sysctl: Sysctl, value: u32) -> Result<(), Error> {
    let path = path(sysctl);
    fs::write(&path, value.to_string()).map_err(|source| Error::File { path, source })
}

fn path(sysctl: Sysctl) -> String {
    format!("/proc/sys/{}", sysctl.name().replace('.', "/"))
}
