//! A configuration file that a test keeps changing.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::daemon::VIP;
use crate::lab::Lab;

/// A configuration file.
pub struct ConfigFile {
    path: PathBuf,
}

impl ConfigFile {
    /// A file of the laboratory with this content.
    #[track_caller]
    pub fn new(lab: &Lab, text: &str) -> Self {
        let file = Self::at(&lab.directory().join("lvscare.yaml"));
        file.write(text);
        file
    }

    /// The file at `path`, which need not exist.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Its path.
    pub fn path(&self) -> &str {
        self.path.to_str().expect("paths of ours are text")
    }

    /// Writes it in place, as an editor may.
    #[track_caller]
    pub fn write(&self, text: &str) {
        fs::write(&self.path, text).expect("a directory of ours");
    }

    /// Renames another file over it, as careful programs do.
    #[track_caller]
    pub fn replace(&self, text: &str) {
        let new = self.path.with_extension("new");
        fs::write(&new, text).expect("a directory of ours");
        fs::rename(new, &self.path).expect("a directory of ours");
    }
}

/// A configuration with the usual virtual server and these real servers.
pub fn masters(servers: &[SocketAddr]) -> String {
    format!("virtualServers:\n{}", virtual_server(VIP, servers))
}

/// A virtual server, to be written behind others.
pub fn virtual_server(at: &str, servers: &[SocketAddr]) -> String {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    format!("  - address: {at}\n    realServers: [{}]\n", servers.join(", "))
}
