//! YAML as Kubernetes reads it. Its reader still knows YAML 1.1, where `no`, `on` and `y` are booleans and `1_000` is a
//! number (<https://yaml.org/type/bool.html>); serde's printers leave them bare. Here every text that might be taken
//! for something else is quoted, and the same value always gives the same bytes.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// Words that some reader takes for something else than text.
const RESERVED: [&str; 9] = ["y", "yes", "n", "no", "on", "off", "true", "false", "null"];

/// Prints `value`; absent fields must be left out by its type.
pub fn print(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    block(&mut text, &serde_json::to_value(value)?, 0);
    Ok(text)
}

/// A value that begins at the start of a line.
fn block(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (name, value)) in fields.iter().enumerate() {
                // The first stands behind the dash of a list, or nothing.
                if index > 0 || !text.ends_with("- ") {
                    indent(text, depth);
                }
                text.push_str(&scalar(name));
                text.push(':');
                after_name(text, value, depth);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 || !text.ends_with("- ") {
                    indent(text, depth);
                }
                text.push_str("- ");
                block(text, item, depth + 1);
            }
        }
        plain => {
            text.push_str(&flow(plain));
            text.push('\n');
        }
    }
}

fn after_name(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(text, value, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(text, value, depth);
        }
        plain => {
            text.push(' ');
            block(text, plain, depth);
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// A value that fits into a line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        // `{}`, `[]`, numbers, `true`: the same in JSON.
        other => other.to_string(),
    }
}

fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Narrower than YAML allows: begins with a letter, a slash or as a long option, and holds nothing with a meaning.
fn is_plain(text: &str) -> bool {
    let word = text.strip_prefix("--").unwrap_or(text);
    let begins = word
        .starts_with(|first: char| first.is_ascii_alphabetic() || (first == '/' && word.len() == text.len()));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:@=,+".contains(&byte);
    begins
        && text.bytes().all(allowed)
        && !text.ends_with(':')
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str())
}

/// In double quotes, with the escapes of JSON, which are YAML's as well (YAML 1.2, section 5.7).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            // The escape of JSON has room for 16 bits, YAML's for all.
            char if is_unprintable(char) => _ = write!(quoted, "\\U{:08x}", u32::from(char)),
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// Control characters and all that some reader takes for an end of line or refuses.
fn is_unprintable(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn it_looks_like_what_people_write() {
        let value = json!({
            "kind": "Pod",
            "spec": {"containers": [{"args": ["care", "--vs=10.103.97.2:6443"], "name": "lvscare"}], "priority": 7},
            "tolerations": [{"operator": "Exists"}],
            "volumes": [],
        });
        let wanted = "\
kind: Pod
spec:
  containers:
  - args:
    - care
    - --vs=10.103.97.2:6443
    name: lvscare
  priority: 7
tolerations:
- operator: Exists
volumes: []
";
        assert_eq!(print(&value).unwrap(), wanted);
    }

    #[test]
    fn what_older_readers_take_for_something_else_is_quoted() {
        for text in [
            "",
            "~",
            "no",
            "On",
            "y",
            "NO",
            "yes",
            "off",
            "null",
            "True",
            "1_000",
            "1e3",
            "0x1f",
            "0o7",
            "12:30:45",
            "2001-01-01",
            ".inf",
            "-",
            "--",
            "---",
            "--1",
            "a: b",
            "a:",
            "a #b",
            " a",
            "[a]",
            "{a}",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a`",
            "a\nb",
            "<<",
            "=",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
        ] {
            assert!(print(&text).unwrap().starts_with('"'), "{text:?}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let plain = prop_oneof![
            ".{0,8}".prop_map(Value::from),
            "[-a-z0-9:#_~ .]{0,6}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
        ];
        plain.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..4).prop_map(Value::from),
                btree_map("[-a-z0-9:.]{1,6}", inner, 0..4).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(value in any_value()) {
            let text = print(&value).unwrap();
            prop_assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), value, "{}", text);
        }
    }
}
