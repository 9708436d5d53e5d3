//! Is an older lvscare guarded by kubelet here, and of what?

use std::path::{Path, PathBuf};

use crate::machine::Machine;
use crate::paths;
use crate::render::former::{self, Error, FormerGuard};

/// The static pods that run an older lvscare, and what each of them guards.
pub fn guards<M: Machine>(machine: &M) -> Vec<(PathBuf, Result<FormerGuard, Error>)> {
    let directory = Path::new(paths::MANIFESTS);
    let names = machine.entries(directory).unwrap_or_default();
    // kubelet leaves names with a dot before alone.
    let paths = names.iter().filter(|name| !name.starts_with('.')).map(|name| directory.join(name));
    let guard = |path: PathBuf| {
        let content = machine.read(&path).ok()??;
        Some((path, former::read(&content.bytes)?))
    };
    paths.filter_map(guard).collect()
}
