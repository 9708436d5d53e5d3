//! Answers as servers give them, whole, in pieces, broken and hostile, over a pipe in memory.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

mod hostile;
pub(crate) use hostile::{HOSTILE, Verdict};

const SMALL: Limits = Limits { body_bytes: 64, keep_body: true };

/// Nobody waits as long as this.
const LONG: Duration = Duration::from_secs(20);

/// An answer, its status, its body, and whether the connection can be used again.
const ANSWERS: [(&str, u16, &str, bool); 12] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true),
    ("HTTP/1.1 500 Internal Server Error\r\ncontent-length:0\r\n\r\n", 500, "", true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nok", 200, "ok", false),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok", true),
    (
        "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\nA;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\n",
        403,
        "0123456789",
        true,
    ),
    ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, "", true),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", true),
    (
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        200,
        "ok",
        true,
    ),
    ("HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n", 302, "", true),
    ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", 101, "", false),
];

/// It ends where the connection does.
const ENDLESS: &str = "HTTP/1.1 200 OK\r\n\r\nok";

fn question() -> Request {
    get(&Uri::from_static("/healthz"), SocketAddr::from(([10, 0, 0, 1], 6443)), "test", None)
}

/// Asks, and lets the question be sent.
async fn asked(connection: &mut Connection) {
    connection.send(question());
    let waiting = poll_fn(|context| Poll::Ready(connection.poll_answer(context).is_pending())).await;
    assert!(waiting);
}

fn connected(limits: Limits) -> (Connection, DuplexStream) {
    let (ours, theirs) = duplex(1 << 20);
    (Connection::new(ours, limits), theirs)
}

/// What becomes of a question when the server says `text`, and ends the connection if it `ends`.
async fn answer(text: &[u8], ends: bool, limits: Limits) -> (Result<Answer, Error>, bool) {
    let (mut connection, mut theirs) = connected(limits);
    asked(&mut connection).await;
    theirs.write_all(text).await.unwrap();
    if ends {
        theirs.shutdown().await.unwrap();
    }
    let result = timeout(LONG, connection.answer()).await.expect("an answer, or none");
    // The end of a connection may take a moment more to be seen.
    let ended = timeout(Duration::from_millis(5), connection.ended()).await.is_ok();
    assert!(!(ended && connection.is_usable()));
    (result, connection.is_usable())
}

#[tokio::test]
async fn answers_are_understood_and_the_connection_is_kept_if_the_server_keeps_it() {
    for (text, status, body, keeps) in ANSWERS {
        let (result, usable) = answer(text.as_bytes(), false, SMALL).await;
        let result = result.unwrap();
        let seen = (result.status, result.body.as_slice(), usable);
        assert_eq!(seen, (status, body.as_bytes(), keeps), "{text}");
    }
    let (result, usable) = answer(ENDLESS.as_bytes(), true, SMALL).await;
    assert_eq!((result.unwrap().body.as_slice(), usable), (b"ok".as_ref(), false));
}

#[tokio::test]
async fn a_body_that_is_not_wanted_is_forgotten() {
    for (text, status, _, keeps) in ANSWERS {
        let limits = Limits { keep_body: false, ..SMALL };
        let (result, usable) = answer(text.as_bytes(), false, limits).await;
        let result = result.unwrap();
        assert_eq!((result.status, result.body.len(), usable), (status, 0, keeps), "{text}");
    }
}

/// It cannot be an answer.
#[tokio::test]
async fn a_server_that_speaks_first_is_refused() {
    let (mut connection, mut theirs) = connected(SMALL);
    theirs.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
    connection.send(question());
    let error = connection.answer().await.unwrap_err();
    assert!(matches!(&error, Error::NotHttp(_)), "{error}");
}

/// However little of it has arrived, and however long it takes.
#[tokio::test]
async fn a_part_of_an_answer_is_no_answer() {
    for (text, status, body, _) in ANSWERS {
        let (mut connection, mut theirs) = connected(SMALL);
        asked(&mut connection).await;
        for (number, byte) in text.bytes().enumerate() {
            if number + 2 < text.len() {
                let waiting = poll_fn(|context| Poll::Ready(connection.poll_answer(context).is_pending()));
                assert!(waiting.await, "{:?}", &text[..number]);
            }
            theirs.write_all(&[byte]).await.unwrap();
        }
        let result = timeout(LONG, connection.answer()).await.unwrap().unwrap();
        assert_eq!((result.status, result.body.as_slice()), (status, body.as_bytes()), "{text}");
    }
}

#[tokio::test]
async fn one_question_after_the_other() {
    let (mut connection, mut theirs) = connected(SMALL);
    for _ in 0..3 {
        for (text, status, _, _) in ANSWERS.iter().filter(|answer| answer.3) {
            assert!(connection.is_usable());
            asked(&mut connection).await;
            assert!(!connection.is_usable(), "an answer is awaited");
            theirs.write_all(text.as_bytes()).await.unwrap();
            assert_eq!(connection.answer().await.unwrap().status, *status);
        }
    }
    drop(connection);
    let mut asked = String::new();
    theirs.read_to_string(&mut asked).await.unwrap();
    let expected = "GET /healthz HTTP/1.1\r\nhost: 10.0.0.1:6443\r\nuser-agent: test\r\n\r\n";
    assert_eq!(asked, expected.repeat(3 * ANSWERS.iter().filter(|answer| answer.3).count()));
}

/// Whoever gave up waiting can come back for the answer.
#[tokio::test]
async fn an_answer_stays_where_it_is() {
    let (mut connection, mut theirs) = connected(SMALL);
    asked(&mut connection).await;
    let brief = Duration::from_millis(5);
    assert!(timeout(brief, connection.answer()).await.is_err());
    theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok").await.unwrap();
    assert!(timeout(brief, connection.answer()).await.is_err());
    theirs.write_all(b"ay").await.unwrap();
    assert_eq!(connection.answer().await.unwrap().body, b"okay");
}

/// An answer to nothing: who knows what the next one would belong to.
#[tokio::test]
async fn what_nobody_asked_for_ends_the_connection() {
    let two = ANSWERS[0].0.repeat(2);
    let (result, usable) = answer(two.as_bytes(), false, SMALL).await;
    assert_eq!((result.unwrap().status, usable), (200, false));

    let (mut connection, mut theirs) = connected(SMALL);
    asked(&mut connection).await;
    theirs.write_all(ANSWERS[0].0.as_bytes()).await.unwrap();
    connection.answer().await.unwrap();
    assert!(connection.is_usable());
    theirs.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    timeout(LONG, connection.ended()).await.unwrap();
    assert!(!connection.is_usable());
}

#[tokio::test]
async fn the_end_of_an_idle_connection_is_noticed() {
    let (mut connection, mut theirs) = connected(SMALL);
    asked(&mut connection).await;
    theirs.write_all(ANSWERS[0].0.as_bytes()).await.unwrap();
    connection.answer().await.unwrap();
    let brief = Duration::from_millis(10);
    assert!(timeout(brief, connection.ended()).await.is_err());
    assert!(connection.is_usable());
    drop(theirs);
    timeout(LONG, connection.ended()).await.unwrap();
    assert!(!connection.is_usable());
}

proptest! {
    /// Nothing that a server may say makes us panic, hang, or keep more than the limit.
    #[test]
    fn anything_may_come(
        start in prop::sample::select(ANSWERS.to_vec()),
        cut in 0_usize..90,
        tail: Vec<u8>,
        pieces in 1_usize..50,
    ) {
        let mut bytes = start.0.as_bytes()[..cut.min(start.0.len())].to_vec();
        bytes.extend(tail);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut connection, mut theirs) = connected(SMALL);
            asked(&mut connection).await;
            let speak = async {
                for piece in bytes.chunks(pieces) {
                    // Nobody may listen any more.
                    let _ = theirs.write_all(piece).await;
                    tokio::task::yield_now().await;
                }
                let _ = theirs.shutdown().await;
            };
            let (result, ()) = tokio::join!(timeout(LONG, connection.answer()), speak);
            if let Ok(answer) = result.expect("an answer, or none") {
                assert!(answer.body.len() <= SMALL.body_bytes && (101..1000).contains(&answer.status));
            }
            timeout(LONG, connection.ended()).await.expect("the end");
            assert!(!connection.is_usable());
        });
    }
}
