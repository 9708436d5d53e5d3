//! Lines, bounded: whoever writes them may be broken or hostile.

use std::io::{self, BufRead, BufReader, Read};

/// No line is longer, in bytes, without its end.
pub const MAX_LINE: usize = 1 << 20;

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not end.
    #[error("a line is longer than {MAX_LINE} bytes")]
    TooLong,
    /// It cannot be read.
    #[error("cannot read a line: {0}")]
    Io(#[from] io::Error),
}

/// The lines of an input.
#[derive(Debug)]
pub struct Lines<R>(BufReader<R>);

impl<R: Read> Lines<R> {
    /// Of this input.
    pub fn new(input: R) -> Self {
        Self(BufReader::new(input))
    }

    /// The next line, without its end; `None` at the end of the input. A line without an end was cut short: it says
    /// nothing.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut line = Vec::new();
        self.0.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line)?;
        if line.pop_if(|last| *last == b'\n').is_some() {
            return Ok(Some(line));
        }
        if line.len() > MAX_LINE { Err(Error::TooLong) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_or_none_and_never_too_long() {
        let mut lines = Lines::new(&b"one\n\ntwo\nthr"[..]);
        let mut next = || lines.read().unwrap();
        assert_eq!(next(), Some(b"one".to_vec()));
        assert_eq!(next(), Some(Vec::new()));
        assert_eq!(next(), Some(b"two".to_vec()));
        assert_eq!((next(), next()), (None, None));
        let longest = [vec![b'x'; MAX_LINE], vec![b'\n']].concat();
        assert_eq!(Lines::new(&longest[..]).read().unwrap().map(|line| line.len()), Some(MAX_LINE));
        // No memory is taken for what never ends.
        let mut endless = Lines::new(io::repeat(b'x'));
        assert!(matches!(endless.read(), Err(Error::TooLong)));
    }
}
