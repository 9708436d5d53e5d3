//! Who answers on the endpoint, and what becomes of the one who wants it.

use std::io::{Read, Write};
use std::net::TcpListener as StdTcpListener;
use std::thread;

use super::*;
use crate::model::Actual;
use crate::status::Daemon;
use crate::status::Reloads;

const AT: &str = "10.103.97.2:6443";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What a daemon says that guards this address, with its head.
fn answer(guarded: &str) -> Vec<u8> {
    let mut status = Status::of_kernel(&Actual::default(), [&at(guarded)]);
    status.daemon = Some(Daemon {
        version: "1.2.3".into(),
        uptime_seconds: 1.0,
        last_pass_seconds: 0.1,
        repairs: 0,
        problems: Vec::new(),
        notes: Vec::new(),
        configuration: Reloads::default(),
        process: "process 7\x1b[2J, service lvscare.service".into(),
    });
    let body = serde_json::to_string(&status).unwrap();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Somebody who has the endpoint, answers this so often, and then leaves.
fn occupied(answer: Vec<u8>, times: usize) -> SocketAddr {
    let listener = StdTcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for _ in 0..times {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(&answer);
        }
    });
    address
}

/// What becomes of one that guards [`AT`].
async fn took(address: SocketAddr, forced: bool) -> Result<bool, Failure> {
    Ok(take_endpoint(address, &[at(AT)], forced).await?.is_some())
}

#[tokio::test]
async fn a_successor_waits_for_the_endpoint() {
    assert!(took(occupied(answer(AT), 3), false).await.unwrap());
}

#[tokio::test]
async fn one_of_two_that_guard_the_same_is_refused() {
    let failure = took(occupied(answer(AT), usize::MAX), false).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Locked);
    let who = "another lvscare (process 7";
    let what = "guards 10.103.97.2:6443 as well; two would undo each other's work";
    assert!(failure.message.starts_with(who) && failure.message.contains(what), "{failure}");
    assert!(failure.message.chars().all(|character| !character.is_control()), "{failure:?}");
    // Unless it is told to.
    assert!(!took(occupied(answer(AT), usize::MAX), true).await.unwrap());
}

/// Whoever has the address for another purpose keeps nobody from guarding.
#[tokio::test]
async fn others_do_not_matter() {
    for other in
        [answer("10.103.97.3:6443"), b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Vec::new(), vec![b'{'; 1 << 20]]
    {
        assert!(!took(occupied(other, usize::MAX), false).await.unwrap());
    }
    // Nor does one that never answers, nor one that never ends.
    let silent = StdTcpListener::bind("127.0.0.1:0").unwrap();
    assert!(!took(silent.local_addr().unwrap(), false).await.unwrap());
    let endless = StdTcpListener::bind("127.0.0.1:0").unwrap();
    let address = endless.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = endless.accept().unwrap();
        while stream.write_all(b"HTTP/1.1 200 OK\r\n").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
        drop(endless);
    });
    assert!(!took(address, false).await.unwrap());
}

#[test]
fn what_others_say_is_bounded() {
    assert_eq!(printable(&"x".repeat(10_000)).len(), MAX_NAME_CHARS);
    assert_eq!(printable(""), "an older one");
}

#[test]
fn a_refusal_names_who_and_the_way_out() {
    assert!(refuse(&[]).is_ok());
    let peer = Peer { at: at(AT), place: "process 7, service lvscare.service".into() };
    let failure = refuse(&[peer]).unwrap_err();
    assert_eq!(failure.exit, Exit::Locked);
    assert_eq!(
        failure.message,
        "lvscare (process 7, service lvscare.service) guards 10.103.97.2:6443 and would undo this; stop it first, \
         or go on all the same with --force"
    );
}
