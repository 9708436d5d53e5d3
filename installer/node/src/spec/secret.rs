//! A text that nobody may see. Whoever writes it somewhere decides once, for the place, and not for each value.

use std::cell::Cell;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// What stands for a secret wherever it is not meant to be read.
pub const MASK: &str = "***";

thread_local! {
    /// Whether what this thread is writing may hold secrets.
    static REVEALED: Cell<bool> = const { Cell::new(false) };
}

/// A text that nobody may see. It is serialised as `***`, but within [`revealed`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself: for a file of mode 0600, and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if REVEALED.get() { &self.0 } else { MASK })
    }
}

/// Serialises within `write` what is secret as it is: for a file of mode 0600 and for the line to another machine, which
/// SSH encrypts. Everywhere else, in events, states and logs, nobody has to remember that there is a secret.
pub fn revealed<T>(write: impl FnOnce() -> T) -> T {
    let _until_written = Guard(REVEALED.replace(true));
    write()
}

/// Gives back what was true before, whatever happens.
struct Guard(bool);

impl Drop for Guard {
    fn drop(&mut self) {
        REVEALED.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_decides_and_not_the_value() {
        let secret = Secret::from("canary".to_owned());
        let print = || serde_json::to_string(&[&secret]).unwrap();
        assert_eq!((print(), format!("{secret:?}")), (r#"["***"]"#.to_owned(), "***".to_owned()));
        assert_eq!(revealed(print), r#"["canary"]"#);
        // Neither afterwards, nor in another thread meanwhile.
        assert_eq!(print(), r#"["***"]"#);
        let meanwhile = revealed(|| std::thread::scope(|scope| scope.spawn(print).join().unwrap()));
        assert_eq!(meanwhile, r#"["***"]"#);
        let _ = std::panic::catch_unwind(|| revealed(|| panic!("in the midst")));
        assert_eq!(print(), r#"["***"]"#);
        assert_eq!(revealed(|| (revealed(print), print())).1, r#"["canary"]"#);
    }
}
