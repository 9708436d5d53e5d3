//! `lvscare-installer agent`: what a controller starts on a machine; nobody types it.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use clap::Args;
use lvscare::exit::Exit;
use node::agent::name::{Nonce, RunId};
use node::agent::runs::Runs;
use node::agent::{Places, receive, serve, supervise};
use node::api::Failure;
use node::machine::linux::Linux;
use node::machine::programs::Terminal;
use node::paths;
use node::step::Digest;

use crate::report::{exit_of, refuse};

/// What the agent is to do; one of it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AgentArgs {
    /// Speak with a controller, which knows the first line by this word
    #[arg(value_name = "NONCE")]
    nonce: Option<Nonce>,
    /// Take a file of this SHA-256 and of so many bytes
    #[arg(long, num_args = 2, value_names = ["SHA256", "BYTES"])]
    receive: Option<Vec<String>>,
    /// Watch over a run of a task
    #[arg(long, value_name = "RUN")]
    supervise: Option<RunId>,
}

impl AgentArgs {
    /// Does it. What went wrong is told on standard error, and to a controller that still listens.
    pub(crate) fn run(self) -> Exit {
        match self.done() {
            Ok(()) => Exit::Success,
            Err(failure) => {
                refuse(&failure.message);
                exit_of(failure.kind)
            }
        }
    }

    fn done(self) -> Result<(), Failure> {
        if let Some(nonce) = self.nonce {
            // What programs print must not get between the lines.
            let mut machine = Linux::new(Terminal::Errors);
            return serve(io::stdin(), io::stdout(), &mut machine, nonce, &Places::default());
        }
        if let Some(words) = self.receive {
            let (sha256, size) = transfer(&words)?;
            let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
            return receive(Path::new(paths::RECEIVED), &sha256, size, &mut input, &mut output);
        }
        let Some(id) = self.supervise else { return Err(Failure::usage("nothing was asked for")) };
        let lock = io::stdin().as_fd().try_clone_to_owned();
        let lock = lock.map_err(|error| Failure::io("keep the lock", &error))?;
        // Held until the end of this process.
        let _machine = Linux::inherit(Terminal::Errors, lock, &format!("agent, at the task {id}"))?;
        supervise(&Runs::new(paths::RUNS), &id, io::stdin(), io::stdout())
    }
}

fn transfer(words: &[String]) -> Result<(Digest, u64), Failure> {
    let [sha256, size] = words else { return Err(Failure::usage("--receive takes a SHA-256 and a size")) };
    let size = size.parse().map_err(|_| Failure::usage(format!("`{size}` is not a number of bytes")))?;
    Ok((sha256.parse().map_err(Failure::usage)?, size))
}
