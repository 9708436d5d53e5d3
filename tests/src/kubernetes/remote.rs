//! Programs on another machine: one connection for each, words there, what it said back.
//!
//! Not SSH: its cryptography alone would cost the emulated machine a second for each command, and words would have to
//! be quoted for a shell.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where the machine listens.
pub const PORT: u16 = 4000;

/// What to run.
#[derive(Debug, Deserialize, Serialize)]
struct Request {
    words: Vec<String>,
    input: String,
}

/// How it went.
#[derive(Debug, Deserialize, Serialize)]
pub struct Ended {
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// Runs a program on the machine at `address`, and waits for its end.
pub fn run(address: SocketAddr, words: &[&str], input: &str, limit: Duration) -> io::Result<Ended> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let request =
        Request { words: words.iter().map(|&word| word.to_owned()).collect(), input: input.to_owned() };
    say(&mut stream, &request)?;
    hear(stream)
}

/// The machine's side of it: serves until it is ended.
pub fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        thread::spawn(|| answer(stream));
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let Request { words, input } = hear(stream.try_clone()?)?;
    let ended = execute(&words, &input).unwrap_or_else(|error| Ended {
        code: None,
        stdout: String::new(),
        stderr: format!("cannot run it: {error}"),
    });
    say(&mut stream, &ended)
}

fn execute(words: &[String], input: &str) -> io::Result<Ended> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // The pipe is dropped, and so closed, at the end of this statement. Who does not read has ended.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

fn say(stream: &mut TcpStream, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn hear<T: for<'a> Deserialize<'a>>(stream: TcpStream) -> io::Result<T> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_there_and_what_was_said_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(&listener));
        let limit = Duration::from_secs(10);
        let ended = run(address, &["sh", "-c", "cat; echo $0 >&2; exit 3", "a 'b"], "in", limit).unwrap();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(3), "in", "a 'b\n"));
        let ended = run(address, &["/no/such/program"], "", limit).unwrap();
        assert_eq!(ended.code, None);
        assert!(ended.stderr.starts_with("cannot run it"), "{}", ended.stderr);
    }
}
