//! A web server and a client without TLS: what the data path costs must not hide behind what encryption costs.
//!
//! Both work on one processor. On two, an emulated machine's throughput depends on where its scheduler puts them, by half,
//! and not on what the way between them costs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::lab::{Lab, PORT};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";

/// Answers `ok` to anything, and `/zeros` without end.
pub(super) fn serve(lab: &Lab) {
    for master in lab.masters() {
        master.kill();
        let listener = master.namespace().enter(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)));
        let listener = listener.expect("the apiserver has left its port");
        // Ends with the program: laboratories of the data path live as long.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || answer(&stream));
            }
        });
    }
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    stay()?;
    let zeros = vec![0; 64 << 10];
    let (mut questions, mut answers) = (BufReader::new(stream), stream);
    stream.set_nodelay(true)?;
    loop {
        let mut line = String::new();
        questions.read_line(&mut line)?;
        let endless = line.starts_with("GET /zeros");
        while line.trim_end() != "" {
            line.clear();
            questions.read_line(&mut line)?;
        }
        if endless {
            write!(answers, "{HEAD}\r\n")?;
            loop {
                answers.write_all(&zeros)?;
            }
        }
        write!(answers, "{HEAD}content-length: 2\r\n\r\nok")?;
    }
}

/// Downloads for a while and says how many bytes came.
pub(super) fn download(from: SocketAddr, time: Duration) -> io::Result<u64> {
    stay()?;
    let mut stream = TcpStream::connect(from)?;
    write!(stream, "GET /zeros HTTP/1.1\r\n\r\n")?;
    let mut buffer = vec![0; 256 << 10];
    let (began, mut bytes) = (Instant::now(), 0);
    while began.elapsed() < time {
        bytes += stream.read(&mut buffer)? as u64;
    }
    Ok(bytes)
}

/// Makes connections for a while, one request on each, and says how many.
pub(super) fn connect(to: &[SocketAddr], time: Duration) -> io::Result<u64> {
    stay()?;
    let (began, mut count) = (Instant::now(), 0);
    for &server in to.iter().cycle() {
        if began.elapsed() >= time {
            break;
        }
        let mut stream = TcpStream::connect(server)?;
        write!(stream, "GET / HTTP/1.1\r\n\r\n")?;
        let mut answer = [0; 256];
        if stream.read(&mut answer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        count += 1;
    }
    Ok(count)
}

/// Keeps this thread on the first processor.
fn stay() -> io::Result<()> {
    let mut first = CpuSet::new();
    first.set(0)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &first)?)
}
