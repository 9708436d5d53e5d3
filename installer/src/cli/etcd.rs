//! `lvscare-installer node etcd`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use node::api::{Failure, Request};

use super::Asked;
use crate::report::{Form, Output};

const SAVE_HELP: &str = "\
etcd's own program takes the snapshot and looks through it; then it is copied, and the copy compared by its SHA-256. It holds \
every secret of the cluster: the file is for root alone.

Example:
    lvscare-installer node etcd save /root/etcd.db";

/// `lvscare-installer node etcd`.
#[derive(Debug, Subcommand)]
pub(crate) enum EtcdCommand {
    /// Ask every member how it is; ends with 1 when one is not well
    Health(HealthArgs),
    /// Have a snapshot of etcd, looked through
    #[command(after_help = SAVE_HELP)]
    Save(SaveArgs),
    /// Print how a snapshot is restored on these masters, step by step; changes nothing
    RestoreHelp(RestoreHelpArgs),
}

/// `lvscare-installer node etcd health`.
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: Output,
}

/// `lvscare-installer node etcd save`.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// Where it is written; a file that is there is not replaced
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: Output,
}

/// `lvscare-installer node etcd restore-help`.
#[derive(Debug, Args)]
pub(crate) struct RestoreHelpArgs {
    /// The snapshot, where the commands shall name it
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl EtcdCommand {
    pub(super) fn asked(self) -> Asked {
        let absolute = |file: &PathBuf| {
            std::path::absolute(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
        };
        let (output, request) = match self {
            Self::Health(args) => (args.output, Ok(Request::EtcdHealth)),
            Self::Save(args) => (args.output, absolute(&args.file).map(|file| Request::EtcdSave { file })),
            Self::RestoreHelp(args) => {
                let file = args.file.as_ref().map(absolute).transpose();
                (Output::Text, file.map(|file| Request::EtcdRestoreHelp { file }))
            }
        };
        Asked { form: Form { output, ..Form::default() }, request }
    }
}
