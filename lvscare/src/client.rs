//! Asking a running daemon, and the kernel when there is none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::exit::{Exit, Failure};
use crate::kernel::{Kernel, Linux};
use crate::status::Status;

/// A daemon answers in milliseconds, even on a busy node.
const PATIENCE: Duration = Duration::from_secs(2);

/// The status of a daemon with hundreds of virtual servers is well below this.
pub(crate) const LONGEST_ANSWER: u64 = 16 << 20;

/// The question; the answer ends where the connection does.
pub(crate) const REQUEST: &[u8] = b"GET /status HTTP/1.0\r\n\r\n";

/// What the daemon at `listen` says; when none answers, what the kernel says about `vs`.
pub fn status(listen: Option<SocketAddr>, vs: SocketAddr) -> Result<Status, Failure> {
    if let Some(address) = listen
        && let Some(status) = ask_if_there(address)?
    {
        return Ok(status);
    }
    let actual = Linux::open()?.read(&[vs])?;
    Ok(Status::of_kernel(&actual, [&vs]))
}

/// What the daemon at `listen` says, and everything else in the kernel that lvscare made.
pub fn status_of_all(listen: Option<SocketAddr>) -> Result<Status, Failure> {
    let mut linux = Linux::open()?;
    let survey = linux.survey()?;
    let ours: Vec<SocketAddr> = survey.ours().collect();
    let actual = linux.read(&ours)?;
    let asked = match listen {
        Some(address) => ask_if_there(address)?,
        None => None,
    };
    let mut status = asked.unwrap_or_else(|| Status::of_kernel(&actual, []));
    status.add_unguarded(&survey, &actual);
    Ok(status)
}

/// What a daemon at `listen` says, if there is one.
pub fn daemon(listen: SocketAddr) -> Option<Status> {
    ask(TcpStream::connect_timeout(&listen, PATIENCE).ok()?).ok()
}

fn ask_if_there(address: SocketAddr) -> Result<Option<Status>, Failure> {
    let Ok(stream) = TcpStream::connect_timeout(&address, PATIENCE) else { return Ok(None) };
    ask(stream).map(Some).map_err(|why| {
        Failure::new(Exit::Failed, format!("the daemon on {address} does not answer properly: {why}"))
    })
}

/// One GET without an HTTP library.
fn ask(mut stream: TcpStream) -> Result<Status, String> {
    let io = |error: std::io::Error| error.to_string();
    stream.set_read_timeout(Some(PATIENCE)).map_err(io)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(io)?;
    stream.write_all(REQUEST).map_err(io)?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer).map_err(io)?;
    read(&answer)
}

/// What the daemon's answer, head and body, says.
pub(crate) fn read(answer: &[u8]) -> Result<Status, String> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("it does not speak HTTP")?;
    let (head, body) = answer.split_at(end);
    let head = String::from_utf8_lossy(head);
    if head.split(' ').nth(1) != Some("200") {
        return Err(head.lines().next().unwrap_or_default().to_owned());
    }
    Status::from_json(body).map_err(|_| "it is not lvscare, or of another version".to_owned())
}
