//! Servers that want to do harm, for everybody who asks over HTTP.

use super::*;

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The status counts.
    Judged(u16),
    /// There is no answer, and the reason contains this.
    Refused(&'static str),
}
use Verdict::{Judged, Refused};

/// What a hostile server says.
#[derive(Clone, Copy)]
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    /// Said first.
    pub(crate) start: &'static str,
    /// Said again and again, as long as anybody listens, `times` at most.
    pub(crate) then: &'static str,
    pub(crate) times: usize,
    /// Pieces of so many bytes reach the client one by one.
    pub(crate) piece: usize,
    pub(crate) verdict: Verdict,
}

/// More than anybody should read.
const FOR_EVER: usize = 1 << 20;

const fn hostile(
    name: &'static str,
    start: &'static str,
    then: &'static str,
    times: usize,
    verdict: Verdict,
) -> Hostile {
    Hostile { name, start, then, times, piece: 1 << 14, verdict }
}

pub(crate) const HOSTILE: [Hostile; 19] = [
    hostile(
        "answers for ever",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\n",
        FOR_EVER,
        Judged(200),
    ),
    hostile(
        "a flood of preliminary answers",
        "",
        "HTTP/1.1 100\n\n",
        FOR_EVER,
        Refused("head of the answer"),
    ),
    hostile(
        "a flood of preliminary answers with headers",
        "",
        "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n",
        FOR_EVER,
        Refused("head of the answer"),
    ),
    hostile("an endless status line", "HTTP/1.1 200 ", "x", FOR_EVER, Refused("head of the answer")),
    hostile("an endless header", "HTTP/1.1 200 OK\r\nA: ", "x", FOR_EVER, Refused("head of the answer")),
    hostile("headers for ever", "HTTP/1.1 200 OK\r\n", "a:\r\n", FOR_EVER, Refused("head of the answer")),
    hostile(
        "a hundred and one headers",
        "HTTP/1.1 200 OK\r\n",
        "a: b\r\n",
        101,
        Refused("head of the answer"),
    ),
    hostile(
        "an endless chunk extension",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;",
        "x",
        FOR_EVER,
        Refused("not HTTP"),
    ),
    hostile(
        "chunk extensions for ever",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "1;extension=of;a=chunk\r\nx\r\n",
        FOR_EVER,
        Refused("not HTTP"),
    ),
    hostile(
        "an endless chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "x",
        FOR_EVER,
        Refused(""),
    ),
    hostile(
        "a chunk longer than any number",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "x",
        FOR_EVER,
        Refused("not HTTP"),
    ),
    hostile(
        "endless trailers",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        "a: b\r\n",
        FOR_EVER,
        Refused(""),
    ),
    hostile(
        "a giant content-length",
        "HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n",
        "x",
        FOR_EVER,
        Refused("more than"),
    ),
    hostile(
        "a content-length beyond all numbers",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551614\r\n\r\n",
        "x",
        FOR_EVER,
        Refused("longer than"),
    ),
    hostile(
        "a content-length that is none",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        "x",
        FOR_EVER,
        Refused("not HTTP"),
    ),
    hostile(
        "a body for ever",
        "HTTP/1.1 200 OK\r\n\r\n",
        "abcdefghijklmnopqrstuvwxyz",
        FOR_EVER,
        Refused("more than"),
    ),
    hostile("another protocol", "SSH-2.0-OpenSSH_9.2\r\n", "", 0, Refused("not HTTP")),
    hostile("nothing", "", "", 0, Refused("closed without an answer")),
    hostile("a part", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "x", 9, Refused("breaks off")),
];

impl Hostile {
    /// Says it, and ends the connection unless nobody listens any more. `FOR_EVER` is 1 Mi times.
    pub(crate) async fn speak(&self, stream: &mut (impl AsyncWrite + Unpin)) {
        let mut said = self.start.as_bytes().to_vec();
        let mut left = self.times;
        loop {
            while left > 0 && said.len() < self.piece {
                said.extend(self.then.as_bytes());
                left -= 1;
            }
            for piece in said.chunks(self.piece) {
                if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
            said.clear();
            if left == 0 {
                let _ = stream.shutdown().await;
                return;
            }
        }
    }

    /// Whether that is what must come of it.
    #[track_caller]
    pub(crate) fn check(&self, result: Result<u16, String>) {
        match (self.verdict, result) {
            (Judged(status), Ok(seen)) => assert_eq!(seen, status, "{}", self.name),
            (Refused(part), Err(why)) => assert!(why.contains(part), "{}: {why}", self.name),
            (verdict, result) => panic!("{}: {result:?} instead of {verdict:?}", self.name),
        }
    }
}

/// A page of `length` bytes, which is too long for one packet.
fn page(length: usize, chunked: bool) -> Vec<u8> {
    let text = "x".repeat(length);
    if chunked {
        format!("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{text}\r\n0\r\n\r\n")
            .into()
    } else {
        format!("HTTP/1.1 500 No\r\nContent-Length: {length}\r\n\r\n{text}").into()
    }
}

#[tokio::test]
async fn hostile_servers_get_bounded_time_and_memory() {
    for hostile in HOSTILE {
        for limits in [
            Limits { body_bytes: 1 << 16, keep_body: true },
            Limits { body_bytes: 1 << 16, keep_body: false },
        ] {
            let (mut connection, mut theirs) = connected(limits);
            asked(&mut connection).await;
            let ask = async {
                let result = timeout(LONG, connection.answer()).await.expect(hostile.name);
                assert!(!connection.is_usable(), "{}", hostile.name);
                drop(connection);
                result
            };
            let (result, ()) = tokio::join!(ask, hostile.speak(&mut theirs));
            hostile.check(result.map(|answer| answer.status).map_err(|error| error.to_string()));
        }
    }
}

/// A page is judged by its status, whatever its length below the limit and wherever it is cut into packets.
#[tokio::test]
async fn long_pages_in_packets_of_any_size() {
    let limits = Limits { body_bytes: 1 << 20, keep_body: false };
    for length in [65_000, 65_536, 70_000, 1_000_000] {
        for chunked in [false, true] {
            for piece in [1 << 10, (1 << 16) - 1, 1 << 16, 1 << 20] {
                let (mut connection, mut theirs) = connected(limits);
                asked(&mut connection).await;
                let page = page(length, chunked);
                let speak = async {
                    for piece in page.chunks(piece) {
                        theirs.write_all(piece).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                };
                let (result, ()) = tokio::join!(connection.answer(), speak);
                assert_eq!(result.unwrap().status, 500, "{length} {chunked} {piece}");
                assert!(connection.is_usable());
            }
        }
    }
}
