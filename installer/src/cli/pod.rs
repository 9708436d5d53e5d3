//! `lvscare-installer pod`.

use clap::{Args, Subcommand};

use node::api::Request;

use super::prepare::SpecArgs;
use super::{Asked, ChangeArgs};
use crate::report::Form;

/// `lvscare-installer pod`.
#[derive(Debug, Subcommand)]
pub(crate) enum PodCommand {
    /// Print the manifest; needs no root and looks at nothing
    Render(SpecArgs),
    /// Write the manifest where kubelet finds it, and nothing else
    Write(PodWriteArgs),
    /// Remove the manifest; kubelet then ends the pod, and the rules stay
    Remove(ChangeArgs),
}

/// `lvscare-installer pod write`.
#[derive(Debug, Args)]
pub(crate) struct PodWriteArgs {
    /// What the pod is told
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    /// Write it even where somebody has changed it
    #[arg(long)]
    pub(crate) force: bool,
    /// How that is done and told
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

impl PodCommand {
    pub(super) fn asked(self) -> Asked {
        match self {
            Self::Render(spec) => {
                Asked { form: Form::default(), request: Ok(Request::RenderPod(spec.spec())) }
            }
            Self::Write(args) => {
                let (form, change) = (args.change.form(), args.change.change(args.force));
                Asked { form, request: Ok(Request::WritePod { spec: args.spec.spec(), change }) }
            }
            Self::Remove(args) => {
                let request = Request::RemovePod { change: args.change(false) };
                Asked { form: args.form(), request: Ok(request) }
            }
        }
    }
}
