//! What a person typed.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::Error;
use super::elevate::{Elevation, elevate};
use super::script::RUN;
use crate::runner::Stop;
use crate::transport::{Exit, Piece, Transport};

/// The longest command, in bytes.
pub const MAX_COMMAND: usize = 64 << 10;

/// A piece of what a command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// On standard output.
    Out(Bytes),
    /// On standard error.
    Err(Bytes),
}

/// What has not ended so long after SIGTERM gets SIGKILL.
pub const KILL_AFTER: Duration = Duration::from_secs(10);

/// Runs a command with the host's `/bin/sh`, as root or whoever logged in, and without anything to read. Its text is sent
/// as data. Who insists on a stop ends it, and all that it has started.
pub async fn run(
    transport: &impl Transport,
    how: &Elevation,
    command: &str,
    stop: &mut Stop,
    mut tell: impl FnMut(Said),
) -> Result<Exit, Error> {
    let length = command.len().to_string();
    let session = elevate(transport, &RUN, how, [&length, "", "", ""]).await?;
    let (input, pending, mut output) = session.into_streams();
    // If it does not read, it has ended, and the end tells.
    let _ = input.write(Bytes::copy_from_slice(command.as_bytes())).await;
    if !pending.is_empty() {
        tell(Said::Out(pending));
    }
    let ended = async {
        loop {
            match output.next().await {
                Piece::Stdout(bytes) => tell(Said::Out(bytes)),
                Piece::Stderr(bytes) => tell(Said::Err(bytes)),
                Piece::Ended(exit) => return exit,
            }
        }
    };
    let ending = async {
        stop.insisted().await;
        for signal in [&b"TERM\n"[..], b"KILL\n"] {
            // One that has ended hears no more.
            let _ = input.write(signal).await;
            sleep(KILL_AFTER).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        exit = ended => Ok(exit),
        exit = ending => Ok(exit),
    }
}
