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
        yaml::parse(text.as_bytes()).map_err(|error| yaml::explain(&error.to_string()))
    }
}
