//! The image on the node: containerd's own client imports it; kubelet would have to pull it.

use std::path::Path;
use std::process::{Command, Stdio};

use lvscare::exit::{Exit, Failure};

/// Where kubelet's images are.
const NAMESPACE: &str = "k8s.io";

/// Imports the archive (`ctr --namespace k8s.io images import`).
pub fn import(archive: &Path) -> Result<(), Failure> {
    run(&["images", "import", &archive.to_string_lossy()], &format!("import {}", archive.display()))?;
    Ok(())
}

/// Whether the image is there; `None` when containerd cannot be asked.
pub fn is_present(image: &str) -> Option<bool> {
    let list = run(&["images", "list", "--quiet"], "list images").ok()?;
    Some(list.lines().any(|line| line.trim() == image))
}

fn run(words: &[&str], what: &str) -> Result<String, Failure> {
    let failed = |why: String| Failure::new(Exit::Image, format!("cannot {what}: {why}"));
    let output =
        Command::new("ctr").args(["--namespace", NAMESPACE]).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(format!("ctr, containerd's client: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
