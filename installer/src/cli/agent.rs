//! `lvscare-installer agent`: what a controller starts on a machine; nobody types it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use clap::Args;
use lvscare::exit::Exit;
use node::agent::name::{Nonce, RunId};
use node::agent::runs::Runs;
use node::agent::silence::{Attentive, SILENCE};
use node::agent::{Places, serve, supervise};
use node::api::Failure;
use node::machine::linux::Linux;
use node::machine::programs::Terminal;
use node::paths;

use crate::report::{exit_of, refuse};

/// What the agent is to do; one of it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AgentArgs {
    /// Speak with a controller, which knows the first line by this word
    #[arg(value_name = "NONCE")]
    nonce: Option<Nonce>,
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
            // Rust's own standard input keeps bytes back.
            let input = io::stdin().as_fd().try_clone_to_owned();
            let input = File::from(input.map_err(|error| Failure::io("read", &error))?);
            let input = Attentive::new(input, SILENCE);
            return serve(input, io::stdout(), &mut machine, nonce, &Places::default());
        }
        let Some(id) = self.supervise else { return Err(Failure::usage("nothing was asked for")) };
        let lock = io::stdin().as_fd().try_clone_to_owned();
        let lock = lock.map_err(|error| Failure::io("keep the lock", &error))?;
        // Held until the end of this process.
        let _machine = Linux::inherit(Terminal::Errors, lock, &format!("agent, at the task {id}"))?;
        let mut machine = Linux::new(Terminal::Errors);
        supervise(&Runs::new(paths::RUNS), &id, &mut machine, io::stdin(), io::stdout())
    }
}
