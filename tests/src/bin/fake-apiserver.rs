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
    /// PEM file of the authority that must have signed the certificates of clients
    #[arg(long)]
    client_ca: Option<PathBuf>,
    /// File with the token that every request must carry
    #[arg(long)]
    token_file: Option<PathBuf>,
}

// One thread: there may be two hundred of us on an emulated processor.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let identity = Identity { certificate: cli.cert, key: cli.key };
    let Cli { listen, name, control, client_ca, token_file: token, .. } = cli;
    serve(Options { listen, name, identity, control, client_ca, token }).await
}
