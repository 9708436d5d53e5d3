//! Writes what a release is made of: `sbom TARGET DIRECTORY`, for `make dist`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use tests::sbom::{Linked, document};

fn main() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [target, directory] = &words[..] else { bail!("usage: sbom TARGET DIRECTORY") };
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata =
        ask(&cargo, &["metadata", "--format-version", "1", "--locked", "--filter-platform", target])?;
    let lock = fs::read_to_string("Cargo.lock").context("Cargo.lock")?;
    let architecture = ask("dpkg", &["--print-architecture"])?;
    let architecture = architecture.trim();
    // The libraries that a static program brings along.
    let libc = ask("getconf", &["GNU_LIBC_VERSION"])?;
    let rust = ask("rustc", &["--version"])?;
    let word = |text: &str| text.split_whitespace().nth(1).unwrap_or("NOASSERTION").to_owned();
    let linked = [
        Linked { name: "glibc", version: word(&libc), licence: "LGPL-2.1-or-later" },
        Linked { name: "rust-std", version: word(&rust), licence: "MIT OR Apache-2.0" },
    ];
    let document = document(metadata.as_bytes(), &lock, &linked, architecture, &created()?)?;
    let version = env!("CARGO_PKG_VERSION");
    let path = Path::new(directory).join(format!("lvscare_{version}_{architecture}.spdx.json"));
    fs::write(&path, serde_json::to_string_pretty(&document)? + "\n")
        .with_context(|| path.display().to_string())?;
    Ok(())
}

/// The same sources make the same document: without `SOURCE_DATE_EPOCH` it is as old as the changelog.
fn created() -> Result<String> {
    let seconds = match env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds.parse().context("SOURCE_DATE_EPOCH")?,
        Err(_) => fs::metadata("CHANGELOG.md").context("CHANGELOG.md")?.mtime(),
    };
    Ok(ask("date", &["--utc", "--date", &format!("@{seconds}"), "+%FT%TZ"])?.trim().to_owned())
}

fn ask(program: &str, words: &[&str]) -> Result<String> {
    let output = Command::new(program).args(words).output().with_context(|| program.to_owned())?;
    if !output.status.success() {
        bail!("{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).with_context(|| program.to_owned())
}
