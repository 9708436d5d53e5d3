//! Reading a configuration file. What is wrong in it is said in one line: where, what, and what was probably meant.

use std::path::Path;

use super::raw::File;
use crate::exit::Failure;
use crate::{files, yaml};

impl File {
    /// Reads `path`.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::usage(format!("{}: {why}", path.display()));
        let text = files::read_text(path).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty; it must have at least `virtualServers`".into());
        }
        yaml::parse(text.as_bytes()).map_err(|error| explain(&error.to_string()))
    }
}

/// The parser's message in one line, with the nearest of the expected names in front of all of them.
fn explain(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((unknown, expected)) = message
        .split_once("unknown field `")
        .and_then(|(_, rest)| rest.split_once('`'))
        .and_then(|(unknown, rest)| Some((unknown, rest.split_once("expected")?.1)))
    else {
        return message;
    };
    let nearest = expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|name| (strsim::jaro(unknown, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, name)) if likeness > 0.7 => {
            message.replacen(", expected", &format!(" (did you mean `{name}`?), expected"), 1)
        }
        _ => message,
    }
}
