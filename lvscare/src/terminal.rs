//! What strangers say, made fit for a terminal.
//!
//! A control character in an answer, a certificate or the name of a file could move the cursor, hide a line, or make
//! some terminals type a command. So could those that turn the direction of text. They are shown, and do nothing.

use std::fmt::Write as _;

/// The text with each such character as `\x1b` or `\u{202e}`.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        // A string takes whatever is written to it.
        let _ = match c {
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            c if c.is_ascii_control() => write!(out, "\\x{:02x}", u32::from(c)),
            c if c.is_control() || turns_text(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
            c => out.write_char(c),
        };
        out
    })
}

/// Whether it starts another line, or another direction of writing (Unicode Standard Annex 9).
fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_raw() {
        assert_eq!(
            printable("\x1b[2J\x07\x7f\r\n\t\u{9b}2J\u{202e}"),
            "\\x1b[2J\\x07\\x7f\\r\\n\\t\\u{9b}2J\\u{202e}"
        );
        assert_eq!(printable("kein Weg: \"größer\" 日本 \\"), "kein Weg: \"größer\" 日本 \\");
    }

    proptest! {
        #[test]
        fn whatever_is_said(text: String) {
            prop_assert!(printable(&text).chars().all(|c| !c.is_control() && !turns_text(c)));
        }
    }
}
