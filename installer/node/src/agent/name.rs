//! Names that a controller gives. They get into paths and lines, so that hardly anything is allowed in them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest of them, in bytes.
const MAX_BYTES: usize = 64;

fn check(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > MAX_BYTES || text.starts_with('-') || !text.bytes().all(allowed) {
        let shown: String = text.chars().take(MAX_BYTES).collect();
        return Err(format!("{shown:?} is no name: 1 to {MAX_BYTES} of a to z, 0 to 9 and -, not - first"));
    }
    Ok(text.to_owned())
}

macro_rules! name {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                check(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                check(&text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(Nonce, "A word that nobody else prints by chance, by which a controller knows the agent's first line.");
name!(RunId, "The name of a run of a task on a machine.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_directory_or_its_line() {
        assert_eq!("run-7f".parse::<RunId>().unwrap().as_str(), "run-7f");
        for bad in ["", ".", "..", "a/b", "a b", "A", "-x", "a\n", "é", &"a".repeat(65)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?}");
            assert!(serde_json::from_value::<Nonce>(bad.into()).is_err(), "{bad:?}");
        }
    }
}
