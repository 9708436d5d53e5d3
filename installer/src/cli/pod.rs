//! `lvscare-installer pod`.

use clap::{Args, Subcommand};

use super::ChangeArgs;
use super::prepare::SpecArgs;

/// `lvscare-installer pod`.
#[derive(Debug, Subcommand)]
pub enum PodCommand {
    /// Print the manifest; needs no root and looks at nothing
    Render(SpecArgs),
    /// Write the manifest where kubelet finds it, and nothing else
    Write(PodWriteArgs),
    /// Remove the manifest; kubelet then ends the pod, and the rules stay
    Remove(ChangeArgs),
}

/// `lvscare-installer pod write`.
#[derive(Debug, Args)]
pub struct PodWriteArgs {
    /// What the pod is told
    #[command(flatten)]
    pub spec: SpecArgs,
    /// How that is done and told
    #[command(flatten)]
    pub change: ChangeArgs,
}
