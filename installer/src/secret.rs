//! Secrets in files.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// No secret is longer, in bytes.
const MAX_SECRET_BYTES: u64 = 4096;

/// Reads a secret from a file that nobody else can read or change, or from standard input (`-`).
pub(crate) fn read(option: &str, path: &Path) -> Result<String, String> {
    let wrong = |why: String| format!("{option} {}: {why}", path.display());
    let io = |error: io::Error| wrong(error.to_string());
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin().take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(io)?;
        return Ok(text);
    }
    let file = File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(wrong(format!(
            "others can read or change it (mode {mode:04o}); chmod 600 {0}, and take another secret if somebody may \
             have seen this one",
            path.display()
        )));
    }
    file.take(MAX_SECRET_BYTES).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}
