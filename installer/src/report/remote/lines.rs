//! What a stranger prints, in lines that are fit for a terminal. Pure.

use lvscare::terminal;

/// A longer line is shown as several, in bytes: nobody keeps one without an end.
const MAX_LINE: usize = 16 << 10;

/// One stream of one host.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line, [`MAX_LINE`] at most.
    pending: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes, and tells the lines that are whole now.
    pub(super) fn push(&mut self, bytes: &[u8], mut tell: impl FnMut(&str)) {
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(mut part) = parts.next() {
            while let Some((now, later)) = part.split_at_checked(MAX_LINE - self.pending.len())
                && !later.is_empty()
            {
                self.pending.extend_from_slice(now);
                tell(&shown(&self.pending));
                self.pending.clear();
                part = later;
            }
            self.pending.extend_from_slice(part);
            // What follows the last line end is not a line yet.
            if parts.peek().is_some() {
                tell(&shown(&self.pending));
                self.pending.clear();
            }
        }
    }

    /// Tells a last line that has no end.
    pub(super) fn finish(&mut self, mut tell: impl FnMut(&str)) {
        if !self.pending.is_empty() {
            tell(&shown(&self.pending));
            self.pending.clear();
        }
    }
}

/// A tab moves to the right and does no harm, and tables are made of it.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    text.split('\t').map(terminal::printable).collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut told) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |line| told.push(line.to_owned()));
        }
        lines.finish(|line| told.push(line.to_owned()));
        told
    }

    #[test]
    fn pieces_become_lines() {
        assert_eq!(lines(&[b"on", b"e\ntwo\n", b"\nthr", b"ee"]), ["one", "two", "", "three"]);
        assert_eq!(lines(&[b"a\tb\r\n"]), ["a\tb"]);
        assert_eq!(lines(&[]), [""; 0]);
        assert_eq!(lines(&[b"gr\xc3", b"\xb6\xc3\x9fer\n"]), ["größer"]);
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let told = lines(&[&vec![b'x'; 3 * MAX_LINE + 1], b"y\n"]);
        assert_eq!(told.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, MAX_LINE, MAX_LINE, 2]);
    }

    #[test]
    fn nothing_reaches_a_terminal_raw() {
        assert_eq!(lines(&[b"\x1b]0;x\x07\rgone\xff\n"]), ["\\x1b]0;x\\x07\\rgone\u{fffd}"]);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_text(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            for line in lines(&pieces) {
                prop_assert!(line.chars().all(|char| char == '\t' || !char.is_control()), "{line:?}");
            }
        }
    }
}
