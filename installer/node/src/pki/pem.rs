//! PEM (RFC 7468), with the place of every block, so that one of them can be replaced and every other byte stays.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters a line, as Go and OpenSSL write it.
const LINE: usize = 64;

/// The longest text that is read, in bytes. Certificates and keys have a few thousand.
pub const MAX_BYTES: usize = 1 << 20;

/// The most blocks in a text. A bundle of authorities has a few.
const MAX_BLOCKS: usize = 64;

/// The label of a certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";

/// One block.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// What it holds, such as `CERTIFICATE`.
    pub label: String,
    /// From its first dash to its last.
    pub place: Range<usize>,
    /// The bytes that it holds.
    pub der: Vec<u8>,
}

/// Why a text is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody writes so much.
    #[error("it is longer than {MAX_BYTES} bytes, or has more than {MAX_BLOCKS} blocks")]
    TooLong,
    /// A block without its last line.
    #[error("the block {0} that begins in line {1} has no end")]
    Unfinished(String, usize),
    /// A block with something else in it.
    #[error("the block {0} that begins in line {1} is not base64")]
    NotBase64(String, usize),
    /// A password would be needed.
    #[error("the block {0} that begins in line {1} is encrypted; decrypt it first")]
    Encrypted(String, usize),
}

/// All blocks of a text, in their order. What stands between them is for people.
pub fn blocks(text: &[u8]) -> Result<Vec<Block>, Error> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    if text.len() > MAX_BYTES {
        return Err(Error::TooLong);
    }
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(start) = find(text, BEGIN, from) {
        from = start + BEGIN.len();
        let Some(label_end) = find(text, b"-----", from) else { break };
        let label = &text[from..label_end];
        // A dash in a sentence begins no block, and neither does one in the midst of a line.
        let begins_line = start == 0 || text[start - 1] == b'\n';
        if !begins_line || label.len() > 64 || !label.iter().all(|byte| is_of_label(*byte)) {
            continue;
        }
        let label = String::from_utf8_lossy(label).into_owned();
        let line = text[..start].split(|byte| *byte == b'\n').count();
        let body = label_end + 5;
        let last = format!("-----END {label}-----");
        let Some(body_end) = find(text, last.as_bytes(), body) else {
            return Err(Error::Unfinished(label, line));
        };
        let body = &text[body..body_end];
        if find(body, b"Proc-Type:", 0).is_some() || label.starts_with("ENCRYPTED ") {
            return Err(Error::Encrypted(label, line));
        }
        let base64: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let Ok(der) = STANDARD.decode(&base64) else { return Err(Error::NotBase64(label, line)) };
        from = body_end + last.len();
        blocks.push(Block { label, place: start..from, der });
        if blocks.len() > MAX_BLOCKS {
            return Err(Error::TooLong);
        }
    }
    Ok(blocks)
}

fn is_of_label(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' '
}

fn find(text: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|at| from + at)
}

/// The certificates of a text, in their order.
pub fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let blocks = blocks(text)?.into_iter();
    Ok(blocks.filter(|block| block.label == CERTIFICATE).map(|block| block.der).collect())
}

/// The text with other certificates: `new` gives what takes the place of one, or nothing where it stays.
pub fn replace(text: &[u8], mut new: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Result<Vec<u8>, Error> {
    let mut after = Vec::with_capacity(text.len());
    let mut copied = 0;
    for block in blocks(text)?.iter().filter(|block| block.label == CERTIFICATE) {
        let Some(der) = new(&block.der) else { continue };
        after.extend_from_slice(&text[copied..block.place.start]);
        after.extend_from_slice(print(CERTIFICATE, &der).as_bytes());
        copied = block.place.end;
    }
    after.extend_from_slice(&text[copied..]);
    Ok(after)
}

/// One block, without an end of line behind it.
pub fn print(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut lines = String::new();
    for (index, letter) in base64.chars().enumerate() {
        if index > 0 && index % LINE == 0 {
            lines.push('\n');
        }
        lines.push(letter);
    }
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_block_is_replaced_and_every_other_byte_stays() {
        let (one, two) = (print(CERTIFICATE, b"one"), print("EC PRIVATE KEY", b"two"));
        let text = format!("for people: -----BEGIN or not\r\n{one}\n\n{two}\nthe end, without a line end");
        let after = replace(text.as_bytes(), |der| (der == b"one").then(|| b"another".to_vec())).unwrap();
        let wanted = text.replace(&one, &print(CERTIFICATE, b"another"));
        assert_eq!(String::from_utf8(after).unwrap(), wanted);
        assert_eq!(replace(text.as_bytes(), |_| None).unwrap(), text.as_bytes());
        let labels: Vec<_> = blocks(text.as_bytes()).unwrap().into_iter().map(|block| block.label).collect();
        assert_eq!(labels, [CERTIFICATE, "EC PRIVATE KEY"]);
    }

    #[test]
    fn what_is_no_pem_is_named_by_its_line() {
        let message = |text: &str| blocks(text.as_bytes()).err().map(|error| error.to_string());
        let unfinished = "\n-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert_eq!(message(unfinished).unwrap(), "the block CERTIFICATE that begins in line 2 has no end");
        let bad = "-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----";
        assert_eq!(message(bad).unwrap(), "the block CERTIFICATE that begins in line 1 is not base64");
        let old =
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nAAAA\n-----END RSA PRIVATE KEY-----";
        assert!(message(old).unwrap().ends_with("is encrypted; decrypt it first"));
        let new = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
        assert!(message(new).unwrap().ends_with("is encrypted; decrypt it first"));
        let many = print(CERTIFICATE, b"x") + "\n";
        assert_eq!(blocks(many.repeat(65).as_bytes()).err(), Some(Error::TooLong));
        assert_eq!(blocks(&vec![b'-'; MAX_BYTES + 1]).err(), Some(Error::TooLong));
        assert_eq!(message(""), None);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(der in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = print(CERTIFICATE, &der);
            prop_assert_eq!(certificates(text.as_bytes()).unwrap(), [der]);
            prop_assert!(text.lines().all(|line| line.len() <= LINE));
        }

        #[test]
        fn no_text_is_too_hard(text in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
            let _ = blocks(&text);
            let whole = print(CERTIFICATE, &text);
            let _ = blocks(&whole.as_bytes()[..cut.min(whole.len())]);
        }
    }
}
