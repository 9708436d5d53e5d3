//! Reading YAML. The library's time grows with the square of how many brackets are open, so that a file of moderate
//! length keeps it busy for minutes; everything else in it is bounded by the file's length.

use serde::de::DeserializeOwned;

/// A list and a mapping on one line each take a bracket; a configuration has some dozens.
const MAX_BRACKETS: usize = 10_000;

/// Why a text is not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is made to take long.
    #[error(
        "{0} brackets `[` and `{{` are more than any file of this kind has; at most {MAX_BRACKETS} are read"
    )]
    Brackets(usize),
    /// It says something else.
    #[error(transparent)]
    Invalid(#[from] serde_yaml::Error),
}

/// Reads a document.
pub fn parse<T: DeserializeOwned>(yaml: &[u8]) -> Result<T, Error> {
    // Quoted ones and those of comments count, too: to tell them apart would take a second reader of YAML.
    let brackets = yaml.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets > MAX_BRACKETS {
        return Err(Error::Brackets(brackets));
    }
    Ok(serde_yaml::from_slice(yaml)?)
}

/// The parser's message in one line, with the nearest of the expected names in front of all of them.
pub fn explain(message: &str) -> String {
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

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;
    use crate::files::MAX_BYTES;

    /// Each of these texts has kept a reader of YAML busy, or filled its stack or memory.
    #[test]
    fn hostile_texts_come_to_an_end() {
        let length = usize::try_from(MAX_BYTES).unwrap();
        let many = |part: &str| part.repeat(length / part.len());
        let laughs: Vec<_> = (1..30).map(|n| format!("l{n}: &l{n} [*l{0}, *l{0}, *l{0}]\n", n - 1)).collect();
        let stairs: Vec<_> = (0..1400).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        for text in [
            many("["),
            many("{"),
            many("[{"),
            many("[ # ]\n"),
            "[".repeat(MAX_BRACKETS),
            "{a: ".repeat(MAX_BRACKETS),
            many("- "),
            many("? "),
            many("a: &a *a\n"),
            many("!!x "),
            many("\"\\"),
            many("- |\n"),
            many("%YAML"),
            format!("l0: &l0 lol\n{}", laughs.concat()),
            stairs.concat(),
        ] {
            // What it says is of no interest, only that the reader comes to an end, and not by a full stack.
            let _ = parse::<IgnoredAny>(text.as_bytes());
        }
    }

    #[test]
    fn brackets_have_a_limit_that_is_said() {
        let error = parse::<IgnoredAny>("[".repeat(10_001).as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "10001 brackets `[` and `{` are more than any file of this kind has; at most 10000 are read"
        );
    }
}
