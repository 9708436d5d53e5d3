//! Answers as servers give them, whole, in pieces and broken; and a connection over a pipe in memory.

use proptest::prelude::*;
use tokio::io::duplex;

use super::*;

const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\n\r\n";

/// An answer, its status, and whether the connection can be used again.
const ANSWERS: [(&str, u16, bool); 9] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, true),
    ("HTTP/1.1 500 Internal Server Error\r\ncontent-length:0\r\n\r\n", 500, true),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nok", 200, false),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, true),
    (
        "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\nA;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\n",
        403,
        true,
    ),
    ("HTTP/1.1 204 No Content\r\n\r\n", 204, true),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, true),
    ("HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n", 302, true),
];

/// It ends where the connection does.
const ENDLESS: &str = "HTTP/1.1 200 OK\r\n\r\nok";

#[test]
fn answers_are_understood() {
    for (text, status, keeps) in ANSWERS {
        let answer = Answer { status, length: text.len(), keeps };
        assert_eq!(parse(text.as_bytes(), false), Ok(Some(answer)), "{text}");
    }
    assert_eq!(parse(ENDLESS.as_bytes(), false), Ok(None));
    let answer = Answer { status: 200, length: ENDLESS.len(), keeps: false };
    assert_eq!(parse(ENDLESS.as_bytes(), true), Ok(Some(answer)));
}

/// However little of it has arrived.
#[test]
fn a_part_of_an_answer_is_no_answer() {
    for (text, ..) in ANSWERS {
        for length in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..length], false), Ok(None), "{:?}", &text[..length]);
        }
    }
}

#[test]
fn nonsense_is_refused() {
    let nonsense = [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\x15\x03\x01\x00\x02",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ];
    for text in nonsense {
        assert!(parse(text.as_bytes(), false).is_err(), "{text}");
    }
}

proptest! {
    /// Nothing that a server may say makes it panic, or claims more than was said.
    #[test]
    fn anything_may_come(start in prop::sample::select(ANSWERS.to_vec()), cut in 0_usize..80, tail: Vec<u8>, ended: bool) {
        let mut bytes = start.0.as_bytes()[..cut.min(start.0.len())].to_vec();
        bytes.extend(tail);
        if let Ok(Some(answer)) = parse(&bytes, ended) {
            prop_assert!(answer.length <= bytes.len());
        }
    }
}

/// What becomes of a request when the server says `text` and ends the connection, or keeps it.
async fn ask(text: &[u8], ends: bool) -> (Result<u16, Failure>, bool) {
    let (ours, mut theirs) = duplex(2 * LONGEST);
    let mut connection = Connection::new(ours);
    theirs.write_all(text).await.unwrap();
    if ends {
        theirs.shutdown().await.unwrap();
    }
    connection.send(REQUEST, 1).await.unwrap();
    let result = connection.answer().await;
    (result, connection.is_usable())
}

#[tokio::test]
async fn a_connection_is_kept_if_the_server_keeps_it() {
    for (text, status, keeps) in ANSWERS {
        assert_eq!(ask(text.as_bytes(), false).await, (Ok(status), keeps), "{text}");
    }
    assert_eq!(ask(ENDLESS.as_bytes(), true).await, (Ok(200), false));
}

#[tokio::test]
async fn what_is_no_answer_is_a_failure() {
    let garbled = |why: &str| (Err(Failure::Garbled(why.into())), false);
    assert_eq!(ask(b"HTTP/1.1 200", true).await, garbled("closed without an answer"));
    let long = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'x'; LONGEST]].concat();
    assert_eq!(ask(&long, false).await, garbled("more than 65536 bytes in the answer"));
    // An answer to nothing: who knows what the next one would belong to.
    let two = ANSWERS[0].0.repeat(2);
    assert_eq!(ask(two.as_bytes(), false).await, (Ok(200), false));
}

#[tokio::test]
async fn two_answers_to_two_requests() {
    let pairs = ANSWERS.iter().flat_map(|first| ANSWERS.iter().map(move |second| (first, second)));
    for ((first, status, keeps), (second, second_status, second_keeps)) in pairs {
        let (ours, mut theirs) = duplex(2 * LONGEST);
        let mut connection = Connection::new(ours);
        connection.send(&REQUEST.repeat(2), 2).await.unwrap();
        theirs.write_all(format!("{first}{second}").as_bytes()).await.unwrap();
        assert_eq!(connection.answer().await, Ok(*status));
        // Whoever ends the connection after the first answer gives no second one.
        assert_eq!((connection.is_awaited(), connection.is_usable()), (*keeps, false), "{first}");
        if *keeps {
            assert_eq!(connection.answer().await, Ok(*second_status));
            assert_eq!((connection.is_awaited(), connection.is_usable()), (false, *second_keeps), "{second}");
        }
    }
}

#[tokio::test]
async fn the_end_is_noticed() {
    let (ours, mut theirs) = duplex(1024);
    let mut connection = Connection::new(ours);
    theirs.write_all(ANSWERS[0].0.as_bytes()).await.unwrap();
    connection.send(REQUEST, 1).await.unwrap();
    connection.answer().await.unwrap();
    let brief = std::time::Duration::from_millis(10);
    assert!(tokio::time::timeout(brief, connection.ended()).await.is_err());
    assert!(connection.is_usable());
    drop(theirs);
    connection.ended().await;
    assert!(!connection.is_usable());
}
