//! A prober against servers that are a few lines long.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::tests::config;
use crate::health::Phase;
use crate::http::tests::HOSTILE;

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
    (prober(address, "--health-scheme http --health-timeout 2s --connect-timeout 2s"), heard)
}

fn prober(address: SocketAddr, options: &str) -> Prober {
    let config = config(&format!("--rs 10.0.0.1:6443 {options}")).unwrap();
    let service = &config.services[0];
    Prober::new(Arc::new(Settings::new(&service.probe).unwrap()), address, service.policy)
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
async fn while_all_is_well_one_question_is_enough() {
    let (mut prober, heard) = server(|_, _, _| OK.into()).await;
    assert_eq!(outcomes(&mut prober, 3).await, [Outcome::Ready, Outcome::Ready, Outcome::Ready]);
    assert_eq!(*heard.lock().unwrap(), "|r r r ");
}

#[tokio::test]
async fn who_is_not_ready_is_asked_whether_it_is_healthy() {
    let (mut prober, heard) =
        server(|_, packet, _| if matches!(packet, 1 | 3 | 4) { SICK.into() } else { OK.into() }).await;
    assert_eq!(
        outcomes(&mut prober, 4).await,
        [Outcome::Ready, Outcome::NotReady(500), Outcome::Unhealthy(500), Outcome::Ready]
    );
    assert_eq!(*heard.lock().unwrap(), "|r r h r h r ");
}

/// Each round costs one question where the server does not know the path; a new connection finds out again.
#[tokio::test]
async fn who_does_not_tell_is_not_asked_again_over_the_same_connection() {
    const UNKNOWN: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let (mut prober, heard) = server(|_, packet, _| [UNKNOWN, OK, OK, CLOSES][packet].into()).await;
    assert_eq!(outcomes(&mut prober, 4).await, [const { Outcome::Ready }; 4]);
    assert_eq!(*heard.lock().unwrap(), "|r h h h |r h ");
}

#[tokio::test]
async fn who_closes_after_each_answer_gets_another_connection() {
    const SICK_CLOSES: &str = "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (mut prober, heard) =
        server(|connection, _, _| if connection == 0 { SICK_CLOSES.into() } else { CLOSES.into() }).await;
    assert_eq!(outcomes(&mut prober, 2).await, [Outcome::NotReady(500), Outcome::Ready]);
    assert_eq!(*heard.lock().unwrap(), "|r |h |r ");
}

/// A third packet is never answered. The first time another connection helps; the second time it is too early for one.
#[tokio::test]
async fn a_late_answer_is_looked_for_elsewhere_once() {
    let (mut prober, heard) =
        server(|_, packet, _| if packet == 2 { String::new() } else { OK.into() }).await;
    let late = Outcome::Failed(Failure::TimedOut(Phase::Answer));
    assert_eq!(
        outcomes(&mut prober, 5).await,
        [Outcome::Ready, Outcome::Ready, Outcome::Ready, Outcome::Ready, late]
    );
    assert_eq!(*heard.lock().unwrap(), "|r r r |r r r ");
}

#[tokio::test]
async fn through_the_virtual_server_health_is_enough() {
    let (prober, heard) = server(|_, _, _| OK.into()).await;
    let mut prober = Prober::self_probe(prober.settings, prober.server);
    assert_eq!(outcomes(&mut prober, 2).await, [Outcome::Ready, Outcome::Ready]);
    assert_eq!(*heard.lock().unwrap(), "|h |h ");
}

/// A suspicion is no verdict: another connection takes the place of the held one, and what it sees counts.
#[tokio::test]
async fn a_suspected_server_is_asked_over_a_new_connection() {
    let (mut prober, heard) = server(|_, _, _| OK.into()).await;
    assert_eq!(outcomes(&mut prober, 2).await, [Outcome::Ready, Outcome::Ready]);
    prober.settings.suspect(SocketAddr::from(([10, 0, 0, 9], 1)));
    let brief = timeout_at((Instant::now() + Duration::from_millis(20)).into(), prober.ended()).await;
    assert!(brief.is_err(), "another server was suspected");
    prober.settings.suspect(prober.server);
    prober.ended().await;
    assert_eq!(outcomes(&mut prober, 2).await, [Outcome::Ready, Outcome::Ready]);
    let brief = timeout_at((Instant::now() + Duration::from_millis(20)).into(), prober.ended()).await;
    assert!(brief.is_err(), "one suspicion, one connection");
    assert_eq!(*heard.lock().unwrap(), "|r r |r r ");
}

#[tokio::test]
async fn the_end_of_the_held_connection_is_noticed() {
    let (mut prober, _) = server(|_, packet, _| if packet == 1 { String::new() } else { OK.into() }).await;
    assert_eq!(outcomes(&mut prober, 1).await, [Outcome::Ready]);
    let brief = timeout_at((Instant::now() + Duration::from_millis(20)).into(), prober.ended()).await;
    assert!(brief.is_err());
    for reset in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut prober = self::prober(listener.local_addr().unwrap(), "--health-scheme http");
        let (report, mut stream) = tokio::join!(prober.probe(None), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(OK.as_bytes()).await.unwrap();
            stream
        });
        assert_eq!(report.outcome, Outcome::Ready);
        if reset {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        } else {
            stream.shutdown().await.unwrap();
        }
        drop(stream);
        let limit = Instant::now() + Duration::from_secs(20);
        assert!(timeout_at(limit.into(), prober.ended()).await.is_ok(), "{reset}");
    }
}

/// Two connections came to nothing, the held one and this: no time limit of a probe is waited for.
#[tokio::test]
async fn after_a_silent_connection_another_one_is_tried_briefly() {
    // Its kernel takes no further connection: nobody accepts the first ones.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) = tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(address)).await
    {
        queued.push(connected.unwrap());
    }
    let mut prober = prober(address, "--health-scheme http --health-timeout 30s --connect-timeout 30s");
    let report = loop {
        prober.doubt =
            Some(Brief { limit: Duration::from_millis(60), reconnect_every: Duration::from_millis(20) });
        let report = prober.probe(None).await;
        // This node may be busy.
        if report.outcome != Outcome::Failed(Failure::Late) {
            break report;
        }
    };
    assert_eq!(report.outcome, Outcome::Failed(Failure::TimedOut(Phase::Connect)));
    assert_eq!(report.confirmations, 2);
}

/// Whatever a server says, a probe ends in time, and only the first connection it gets is judged by.
#[tokio::test]
async fn a_hostile_server_is_no_danger() {
    for hostile in HOSTILE {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut prober = prober(
            listener.local_addr().unwrap(),
            "--health-scheme http --health-timeout 20s --connect-timeout 20s",
        );
        let speak = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            hostile.speak(&mut stream).await;
        };
        let (report, ()) = tokio::join!(prober.probe(None), speak);
        hostile.check(match report.outcome {
            Outcome::Failed(Failure::Garbled(why)) => Err(why),
            Outcome::Ready => Ok(200),
            other => panic!("{}: {other:?}", hostile.name),
        });
    }
}

#[tokio::test]
async fn whoever_does_not_speak_tls_has_failed() {
    for said in
        [&b"220 mail.example.com ESMTP\r\n"[..], &[0x16; 1 << 13], b"\x15\x03\x01\x00\x02\x02\x28", b""]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = "--health-scheme https --health-timeout 20s --connect-timeout 20s";
        let mut prober = prober(listener.local_addr().unwrap(), options);
        let speak = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            let _ = stream.write_all(said).await;
            let _ = stream.shutdown().await;
        };
        let (report, ()) = tokio::join!(prober.probe(None), speak);
        let failed = matches!(report.outcome, Outcome::Failed(Failure::Tls(_) | Failure::Reset));
        assert!(failed, "{:?}", report.outcome);
    }
}

/// A server that says a byte now and then is out of time like one that says nothing.
#[tokio::test]
async fn an_answer_that_drips_is_late() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut prober = prober(
        listener.local_addr().unwrap(),
        "--health-scheme http --health-timeout 300ms --connect-timeout 300ms",
    );
    let drip = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            stream.write_all(b"\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        report = prober.probe(None) => {
            assert_eq!(report.outcome, Outcome::Failed(Failure::TimedOut(Phase::Answer)));
        }
        () = drip => {}
    }
}
