//! A hosts file for one namespace, in the place where `ip netns exec` looks for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::netns::Namespace;

/// Where such files are.
pub(super) const PLACE: &str = "/etc/netns";

/// The file; dropping this removes it.
pub struct Names(PathBuf);

impl Names {
    /// Writes it.
    pub fn new(namespace: &Namespace, hosts: &str) -> io::Result<Self> {
        let this = Self(Path::new(PLACE).join(namespace.name()));
        fs::create_dir_all(&this.0)?;
        fs::write(this.0.join("hosts"), hosts)?;
        Ok(this)
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // Others' files may be in there, and then it stays.
        let _ = fs::remove_dir(PLACE);
    }
}
