//! The stock `kubeadm`, as it is on the node.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use lvscare::exit::{Exit, Failure};

use crate::kubernetes::version::KubernetesVersion;

/// In which the token may have come to us; nobody below needs it.
pub const TOKEN_VARIABLE: &str = "LVSCARE_JOIN_TOKEN";

/// Which one it is (`kubeadm version -o short`).
pub fn version() -> Result<KubernetesVersion, Failure> {
    let failed = |why: String| {
        let help = "install it, or say which one it will be with --kube-version";
        Failure::new(Exit::Kubeadm, format!("cannot ask kubeadm for its version: {why}; {help}"))
    };
    let words = ["version", "--output", "short"];
    let output = Command::new("kubeadm").args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|error: String| failed(error))
}

/// Joins. What kubeadm says goes to the terminal, to its errors unless `aloud`; secrets are in the file alone.
pub fn join(config: &Path, flags: &[String], aloud: bool) -> Result<(), Failure> {
    let words = [OsStr::new("join"), OsStr::new("--config"), config.as_os_str()];
    let mut command = Command::new("kubeadm");
    command.args(words).args(flags).stdin(Stdio::null()).env_remove(TOKEN_VARIABLE);
    if !aloud {
        command.stdout(io::stderr());
    }
    let status = command.status();
    let status = status.map_err(|error: io::Error| {
        Failure::new(Exit::Kubeadm, format!("cannot run kubeadm: {error}; the node stays prepared"))
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Kubeadm,
        format!(
            "kubeadm join ended with {status}, see above; the node stays prepared: run this again, after `kubeadm \
             reset` if the join had begun, or take it back with `lvscare-installer node undo`"
        ),
    ))
}
