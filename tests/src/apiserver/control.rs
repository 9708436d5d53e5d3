//! Both ends of the control socket: a line asks, a line answers.
//!
//! `stats` is answered by the counters as JSON, a [`Behaviour`] by `ok` once it is in force, and so are `masters` with
//! addresses behind it, the list to be handed out, and `no-masters`. A socket in the file
//! system is reachable from every network namespace.

use std::io::{self, BufRead, BufReader as StdBufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::state::State;
use super::{Behaviour, Stats};
use crate::api;

/// The tests' end.
#[derive(Clone, Debug)]
pub struct Control {
    path: PathBuf,
}

impl Control {
    /// Speaks to the server whose control socket is at `path`, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the server is up.
    pub fn answers(&self) -> bool {
        StdUnixStream::connect(&self.path).is_ok()
    }

    /// Switches the server's behaviour; new connections and requests see it when this returns.
    pub fn set(&self, behaviour: Behaviour) {
        let answer = self.ask(&behaviour.to_string()).expect("the control socket answers");
        assert_eq!(answer, "ok");
    }

    /// From now on the server says that these are the masters; `None`: it knows nothing of masters.
    pub fn name(&self, masters: Option<&[SocketAddr]>) {
        let line = match masters {
            None => "no-masters".to_owned(),
            Some(masters) => {
                masters.iter().fold("masters".to_owned(), |line, master| format!("{line} {master}"))
            }
        };
        assert_eq!(self.ask(&line).expect("the control socket answers"), "ok");
    }

    /// The server's counters.
    pub fn stats(&self) -> Stats {
        let answer = self.ask("stats").expect("the control socket answers");
        serde_json::from_str(&answer).expect("counters as JSON")
    }

    /// A connection per question: nothing to repair when the server was killed and started again.
    fn ask(&self, question: &str) -> io::Result<String> {
        let mut stream = StdUnixStream::connect(&self.path)?;
        stream.write_all(format!("{question}\n").as_bytes())?;
        let mut answer = String::new();
        StdBufReader::new(stream).read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

/// The server's end.
pub(super) async fn serve(listener: UnixListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, state.clone()));
    }
}

async fn converse(stream: UnixStream, state: Arc<State>) -> io::Result<()> {
    let (questions, mut answers) = stream.into_split();
    let mut questions = BufReader::new(questions).lines();
    while let Some(question) = questions.next_line().await? {
        let answer = match question.as_str() {
            "stats" => serde_json::to_string(&*state.stats())?,
            "no-masters" => hand_out(&state, None),
            words if words.starts_with("masters") => {
                let masters: Result<Vec<SocketAddr>, _> = words.split(' ').skip(1).map(str::parse).collect();
                masters.map_or_else(|error| error.to_string(), |masters| hand_out(&state, Some(&masters)))
            }
            words => match words.parse::<Behaviour>() {
                Err(problem) => problem,
                Ok(behaviour) => {
                    state.switch(behaviour).await;
                    "ok".to_owned()
                }
            },
        };
        answers.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

fn hand_out(state: &State, masters: Option<&[SocketAddr]>) -> String {
    *state.masters.lock().expect("nobody panics with it") =
        masters.map(|masters| api::slices(masters).to_string());
    "ok".to_owned()
}
