//! Which images an archive of images holds, as `docker save` and `ctr images export` write it.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::Error;
use super::archive::Archive;
use super::names::Kind;
use super::program::Arch;
use crate::spec::image::full_name;

/// Files that may describe images are no longer, in bytes, one of them and all together.
const MAX_FILE: u64 = 256 << 10;
const MAX_FILES: u64 = 16 << 20;

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Image {
    /// Its whole name.
    pub name: String,
    /// For which processor it is, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
}

/// A line of Docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    #[serde(default)]
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

/// The `index.json` of the OCI image layout.
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Indexed>,
}

#[derive(Deserialize)]
struct Indexed {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// An image's configuration, as far as it matters here.
#[derive(Deserialize)]
struct Config {
    architecture: String,
}

/// Reads all of an archive of images.
pub fn images(source: impl Read) -> Result<Vec<Image>, Error> {
    let mut archive = Archive::new(source)?;
    let (mut files, mut bytes) = (BTreeMap::new(), 0);
    while let Some(entry) = archive.next_entry()? {
        let Kind::File { size, .. } = entry.kind else { continue };
        bytes += size;
        if size > MAX_FILE || bytes > MAX_FILES {
            bytes -= size;
            continue;
        }
        let mut content = Vec::new();
        archive.read_to_end(&mut content).map_err(|error| archive.wrong(error))?;
        files.insert(entry.path, content);
    }
    let parsed = |name: &str| files.get(name).map(Vec::as_slice);
    let mut images: Vec<Image> = Vec::new();
    if let Some(text) = parsed("manifest.json") {
        let manifests: Vec<Manifest> =
            serde_json::from_slice(text).map_err(|error| damaged("manifest.json", &error))?;
        for manifest in manifests {
            let config = parsed(&manifest.config).and_then(|text| serde_json::from_slice(text).ok());
            let arch = config.and_then(|Config { architecture }| Arch::named(&architecture));
            let names = manifest.repo_tags.unwrap_or_default();
            images.extend(names.iter().map(|name| Image { name: full_name(name), arch: arch.clone() }));
        }
    } else if let Some(text) = parsed("index.json") {
        let index: Index = serde_json::from_slice(text).map_err(|error| damaged("index.json", &error))?;
        for manifest in index.manifests {
            // The reference of the OCI layout may be a tag alone; containerd's own is whole.
            let name = manifest.annotations.get("io.containerd.image.name").or_else(|| {
                let name = manifest.annotations.get("org.opencontainers.image.ref.name");
                name.filter(|name| name.contains('/'))
            });
            images.extend(name.map(|name| Image { name: full_name(name), arch: None }));
        }
    } else {
        let why = "is in no archive of images: those of `docker save` and `ctr images export` have one";
        return Err(Error::refused("manifest.json", why));
    }
    images.sort();
    images.dedup();
    Ok(images)
}

fn damaged(name: &str, error: &serde_json::Error) -> Error {
    Error::refused(name, format!("is not understood, at line {} and column {}", error.line(), error.column()))
}
