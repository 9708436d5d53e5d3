//! A prober against servers that are a few lines long.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::tests::config;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const SICK: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
const CLOSES: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// What was asked: the paths of each packet, with a `|` before the first of each connection.
type Heard = Arc<Mutex<String>>;

/// Answers each packet with what `answer` makes of the number of the connection, of the packet, and of the requests in
/// it.
async fn server(answer: fn(usize, usize, usize) -> String) -> (Prober, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let log = heard.clone();
    tokio::spawn(async move {
        for connection in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            log.lock().unwrap().push('|');
            tokio::spawn(serve(stream, connection, answer, log.clone()));
        }
    });
    let probe =
        config("--rs 10.0.0.1:6443 --health-scheme http --health-timeout 300ms --connect-timeout 300ms");
    let settings = Settings::new(&probe.unwrap().services[0].probe).unwrap();
    (Prober::new(Arc::new(settings), address), heard)
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    answer: fn(usize, usize, usize) -> String,
    log: Heard,
) {
    let mut buffer = [0; 4096];
    for packet in 0.. {
        let length = stream.read(&mut buffer).await.unwrap_or_default();
        if length == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let paths: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("GET /")?.chars().next()).collect();
        log.lock().unwrap().extend(paths.iter().chain([&' ']));
        let text = answer(connection, packet, paths.len());
        stream.write_all(text.as_bytes()).await.unwrap();
        if text.contains("close") {
            return;
        }
    }
}

async fn outcomes(prober: &mut Prober, count: usize) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for _ in 0..count {
        outcomes.push(prober.probe(None).await.outcome);
    }
    outcomes
}

#[tokio::test]
async fn while_all_is_well_both_are_asked_at_once() {
    let (mut prober, heard) = server(|_, _, requests| OK.repeat(requests)).await;
    assert_eq!(outcomes(&mut prober, 3).await, [Outcome::Ready, Outcome::Ready, Outcome::Ready]);
    assert_eq!(*heard.lock().unwrap(), "|h r hr hr ");
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_one_after_the_other() {
    // Packet 2 is the first with two requests.
    let (mut prober, heard) = server(
        |connection, packet, _| if (connection, packet) == (0, 2) { SICK.repeat(2) } else { OK.into() },
    )
    .await;
    assert_eq!(outcomes(&mut prober, 3).await, [Outcome::Ready, Outcome::Unhealthy(500), Outcome::Ready]);
    // Of the second answer to the two requests nobody knows whether it came: another connection.
    assert_eq!(*heard.lock().unwrap(), "|h r hr |h r ");
}

#[tokio::test]
async fn who_answers_one_of_two_requests_is_never_asked_two_again() {
    let (mut prober, heard) = server(|_, _, _| OK.into()).await;
    let late = Outcome::Failed(Failure::TimedOut(Phase::Answer));
    let seen = outcomes(&mut prober, 4).await;
    assert_eq!(seen, [Outcome::Ready, late, Outcome::Ready, Outcome::Ready]);
    assert_eq!(*heard.lock().unwrap(), "|h r hr |h r h r ");
}

#[tokio::test]
async fn who_closes_after_one_of_two_answers_gets_another_connection() {
    let (mut prober, heard) =
        server(|_, packet, requests| if packet == 2 { CLOSES.into() } else { OK.repeat(requests) }).await;
    assert_eq!(outcomes(&mut prober, 2).await, [Outcome::Ready, Outcome::Ready]);
    assert_eq!(*heard.lock().unwrap(), "|h r hr |r ");
}

/// A third packet is never answered. The first time another connection helps; the second time it is too early for one.
#[tokio::test]
async fn a_late_answer_is_looked_for_elsewhere_once() {
    let (mut prober, heard) =
        server(|_, packet, requests| if packet == 2 { String::new() } else { OK.repeat(requests) }).await;
    let late = Outcome::Failed(Failure::TimedOut(Phase::Answer));
    assert_eq!(outcomes(&mut prober, 3).await, [Outcome::Ready, Outcome::Ready, late]);
    assert_eq!(*heard.lock().unwrap(), "|h r hr |h r hr ");
}

#[tokio::test]
async fn readiness_can_be_left_out() {
    let (prober, heard) = server(|_, _, requests| OK.repeat(requests)).await;
    let mut prober = prober.without_readiness();
    assert_eq!(outcomes(&mut prober, 2).await, [Outcome::Ready, Outcome::Ready]);
    assert_eq!(*heard.lock().unwrap(), "|h h ");
}
