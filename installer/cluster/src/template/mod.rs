//! Templates in a part of the language of Go's `text/template`, in which the configurations of kubeadm for sealos are
//! written. Pure.
//!
//! Whatever is accepted gives the bytes that Go gives; everything else is refused with its line and column.
//!
//! | there is | as in |
//! |---|---|
//! | fields and fields of fields | `{{.VIP}}`, `{{.A.B}}`, `{{$.VIP}}` |
//! | lists | `{{range .Masters}}{{.}}{{else}}none{{end}}`, `{{range $index, $master := .Masters}}` |
//! | conditions | `{{if A}}`, `{{else if B}}`, `{{else}}`, `{{end}}`, `{{with .A}}` |
//! | functions | `and`, `or`, `not`, `eq` (of several), `ne`, with parentheses |
//! | values | `"text"`, `` `raw text` ``, `12`, `true`, `false` |
//! | trim marks and comments | `{{- .A -}}`, `{{/* why */}}` |
//!
//! There are no pipes, no variables but those of `range`, no other functions and no other templates. Unlike in Go, a
//! variable that is not there is a mistake, and not the text `<no value>`.
//!
//! The language: <https://pkg.go.dev/text/template>.

use std::fmt;

mod lexer;
mod parser;
mod render;
mod value;

#[cfg(test)]
mod tests;

pub use render::render;
pub use value::Value;

/// No template is longer, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 1 << 20;

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub struct Error {
    /// The line, from 1 on.
    pub line: usize,
    /// The column in characters, from 1 on.
    pub column: usize,
    /// In words.
    pub why: String,
}

/// A mistake and the byte at which it is.
#[derive(Debug)]
struct Mistake {
    at: usize,
    why: String,
}

impl Mistake {
    fn new(at: usize, why: impl fmt::Display) -> Self {
        Self { at, why: why.to_string() }
    }

    fn in_text(self, text: &str) -> Error {
        let before = text.get(..self.at).unwrap_or(text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        Error { line, column: before[start..].chars().count() + 1, why: self.why }
    }
}

/// A piece of a template in a message: short, and nothing that a terminal obeys.
fn shown(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        short.push_str("..");
    }
    short.escape_debug().to_string()
}
