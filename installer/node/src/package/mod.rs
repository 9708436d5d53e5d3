//! A package: everything that a node needs and has no network for, in one archive.
//!
//! ```text
//! kube/bin/{kubeadm,kubectl,kubelet}    kube/images/*.tar    kube/conf/..    kube/shell/{init.sh,master.sh}
//! ```
//!
//! The directory `kube` may be missing. `kube/SHA256SUMS`, where it is there, has the hash of every other file; `kube/Metadata` is
//! that of sealos 3.
//!
//! - [`archive`]: a tar, plain or compressed ([`decompress`]), as a stream of entries. Whoever made it is a stranger, so that
//!   nothing is handed on that would leave the directory, be no file, or come without end ([`names`], pure).
//! - [`read`](mod@read): what is in it. [`images`], [`program`]: in archives of images, for which processor. [`verify`](mod@verify):
//!   what is wrong with that. Pure.
//! - [`unpack`](mod@unpack), [`build`](mod@build): from an archive to a directory, and back.

use std::io;
use std::path::PathBuf;

use crate::failure::Kind;

pub mod archive;
pub mod build;
pub mod decompress;
pub mod images;
pub mod names;
pub mod program;
pub mod read;
pub mod unpack;
pub mod verify;

#[cfg(test)]
pub(crate) mod tests;

pub use build::build;
pub use read::{Package, read};
pub use unpack::unpack;
pub use verify::{Verdict, Wanted, verify};

/// The file with the hash of every other.
pub const SUMS: &str = "SHA256SUMS";

/// Why an archive is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system would not read it.
    #[error("cannot read it: {0}")]
    Read(#[source] io::Error),
    /// It is no archive at all.
    #[error("it is no tar archive, neither plain nor compressed with gzip or zstd")]
    NoArchive,
    /// Its end is missing.
    #[error("it is cut off after {0} bytes of its content; get it anew")]
    CutOff(u64),
    /// It is not what its maker wrote.
    #[error("it is damaged after {after} bytes of its content: {why}; get it anew")]
    Damaged {
        /// How much could be read, in bytes.
        after: u64,
        /// In words.
        why: String,
    },
    /// Something in it can only do harm.
    #[error("`{name}` {why}; nothing of it was used")]
    Refused {
        /// What.
        name: String,
        /// In words.
        why: String,
    },
    /// It is larger than any package.
    #[error("{0}; nothing of it was used")]
    TooLarge(String),
    /// It is another one than was meant.
    #[error("its SHA-256 is {found}, not {wanted}")]
    Other {
        /// What it should be.
        wanted: crate::step::Digest,
        /// What it is.
        found: crate::step::Digest,
    },
    /// The system would not write.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// What was written.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Write { source, .. } | Self::Read(source)
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Kind::NotPermitted
            }
            Self::Write { .. } => Kind::Failed,
            _ => Kind::Image,
        }
    }

    fn refused(name: &str, why: impl Into<String>) -> Self {
        const LONGEST: usize = 120;
        let mut short: String = name.chars().take(LONGEST).collect();
        if name.chars().count() > LONGEST {
            short.push_str("..");
        }
        Self::Refused { name: short.escape_debug().to_string(), why: why.into() }
    }
}
