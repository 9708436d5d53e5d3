use proptest::prelude::*;

use super::*;

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n";

fn hello(bytes: &[u8], ended: bool) {
    let answer = parse(bytes, ended).unwrap().unwrap();
    assert_eq!((answer.status, answer.body.as_ref()), (200, b"hello".as_ref()));
}

#[test]
fn bodies_of_every_kind() {
    hello(PLAIN, false);
    hello(CHUNKED, false);
    hello(b"HTTP/1.1 200 OK\r\n\r\nhello", true);
    hello(&[b"HTTP/1.1 103 Early Hints\r\n\r\n", PLAIN].concat(), false);
    let empty = parse(b"HTTP/1.1 204 No Content\r\n\r\n", false).unwrap().unwrap();
    assert_eq!((empty.status, empty.body.as_ref()), (204, b"".as_ref()));
}

#[test]
fn an_incomplete_answer_is_none() {
    // The last chunk is complete before the line end that follows it.
    for (whole, least) in [(PLAIN, PLAIN.len()), (CHUNKED, CHUNKED.len() - 2)] {
        for length in 0..least {
            assert_eq!(parse(&whole[..length], true), Ok(None), "{length}");
        }
    }
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\nhello", false), Ok(None));
}

#[test]
fn what_is_not_http_is_refused() {
    assert_eq!(
        parse(b"220 mail.example.com ESMTP", false),
        Err("the answer is not HTTP: invalid HTTP version".to_owned())
    );
    for head in ["Transfer-Encoding: gzip", "Content-Length: many", "Content-Length: 4194305"] {
        assert!(parse(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes(), false).is_err(), "{head}");
    }
    for chunk in ["ffffffffffffffff", "400001", "x"] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}\r\n");
        assert!(parse(answer.as_bytes(), false).is_err(), "{chunk}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, ended: bool) {
        let _ = parse(&bytes, ended);
        for head in ["Transfer-Encoding: chunked", "Content-Length: 7", "X: y"] {
            let _ = parse(&[format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes(), &bytes].concat(), ended);
        }
    }
}
