//! The laboratory's hand on a machine with a disk: runs what it is told to, and asks the virtual server.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Parser, Subcommand};
use tests::kubernetes::reach::Reach;
use tests::kubernetes::remote;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// For one attempt.
const LIMIT: Duration = Duration::from_millis(500);

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Run what comes over the network
    Serve,
    /// Connect to an address again and again, and print as JSON how that went
    Reach {
        /// The address
        to: SocketAddr,
        /// For so many seconds
        seconds: u64,
    },
}

#[allow(clippy::print_stdout, reason = "the answer")]
fn main() -> Result<()> {
    match Cli::parse().what {
        What::Serve => {
            let any = (Ipv4Addr::UNSPECIFIED, remote::PORT);
            Ok(remote::serve(&TcpListener::bind(any)?)?)
        }
        What::Reach { to, seconds } => {
            println!("{}", serde_json::to_string(&reach(to, Duration::from_secs(seconds)))?);
            Ok(())
        }
    }
}

fn reach(to: SocketAddr, length: Duration) -> Reach {
    let begin = Instant::now();
    let mut reach = Reach::default();
    while begin.elapsed() < length {
        let connected = TcpStream::connect_timeout(&to, LIMIT).is_ok();
        reach.count(connected, begin.elapsed());
        sleep(PAUSE);
    }
    reach
}
