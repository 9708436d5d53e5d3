//! One fake apiserver. See `tests::apiserver` for what it can do.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use tests::apiserver::{Options, serve};
use tests::pki::Identity;

/// A stand-in for kube-apiserver whose behaviour is switched through a control socket
#[derive(Parser)]
struct Cli {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// What to answer when asked who answers
    #[arg(long)]
    name: String,
    /// PEM file of the certificate
    #[arg(long)]
    cert: PathBuf,
    /// PEM file of its key
    #[arg(long)]
    key: PathBuf,
    /// Path of the control socket to make
    #[arg(long)]
    control: PathBuf,
}

// One thread: there may be two hundred of us on an emulated processor.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let identity = Identity { certificate: cli.cert, key: cli.key };
    serve(Options { listen: cli.listen, name: cli.name, identity, control: cli.control }).await
}
