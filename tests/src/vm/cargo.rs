//! Asks cargo for static executables: the guest has no libraries.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{Program, output};

/// The feature that a `[[test]]` requires when it belongs into the guest.
const FEATURE: &str = "guest";

/// Line numbers of panics survive without the debug information, which is nine tenths of the size.
const FLAGS: &str = "-C target-feature=+crt-static -C strip=debuginfo";

/// Our programs that stay on the host.
const HOST: [&str; 2] = ["kubernetes", "vm"];

/// What to build.
#[derive(Debug, Default)]
pub struct Request {
    /// The guest tests to build; an empty list means all of them that need no Debian packages.
    pub tests: Option<Vec<String>>,
    /// Packages whose programs are wanted besides our own.
    pub packages: Vec<String>,
}

/// What cargo built.
#[derive(Debug, Default)]
pub struct Built {
    /// The test executables that were asked for.
    pub tests: Vec<Program>,
    /// The programs: the guest's `init`, the fake apiserver, those of the other packages.
    pub programs: Vec<Program>,
    /// The Debian packages that the tests need around them.
    pub debian: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
    metadata: Option<Extras>,
}

/// Our own table in `Cargo.toml`: the tests that need Debian packages, with their names.
#[derive(Deserialize)]
struct Extras {
    debian: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    #[serde(default, rename = "required-features")]
    required_features: Vec<String>,
}

/// One line of cargo's JSON output; lines about anything but an executable have no `executable`.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

impl Metadata {
    /// The tests that need Debian packages.
    fn debian(&self) -> BTreeMap<&str, &Vec<String>> {
        let tables = self.packages.iter().filter_map(|package| package.metadata.as_ref());
        tables.flat_map(|extras| &extras.debian).map(|(name, packages)| (name.as_str(), packages)).collect()
    }
}

impl Target {
    fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|k| k == kind)
    }

    fn is_guest_test(&self) -> bool {
        self.is("test") && self.required_features.iter().any(|feature| feature == FEATURE)
    }
}

/// The directory below which the build tree may keep things.
pub fn target_directory() -> Result<PathBuf> {
    Ok(metadata()?.target_directory)
}

/// Builds what `request` names, with cargo's own messages on the terminal.
pub fn build(request: &Request) -> Result<Built> {
    let metadata = metadata()?;
    let own = env!("CARGO_PKG_NAME");
    let mut arguments: Vec<String> =
        ["build", "--message-format=json-render-diagnostics", "--features"].map(str::to_owned).to_vec();
    arguments.extend([format!("{own}/{FEATURE}"), "--target".to_owned(), target()?]);

    let known: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    for name in &request.packages {
        ensure!(known.contains(name.as_str()), "no package {name} in this workspace");
    }
    for package in &metadata.packages {
        let ours = package.name == own;
        if !ours && !request.packages.contains(&package.name) {
            continue;
        }
        arguments.extend(["-p".to_owned(), package.name.clone()]);
        for target in &package.targets {
            if target.is("bin") && !(ours && HOST.contains(&target.name.as_str())) {
                arguments.extend(["--bin".to_owned(), target.name.clone()]);
            }
        }
    }
    let tests = request.tests.as_ref().map_or(Ok(Vec::new()), |names| wanted_tests(&metadata, names))?;
    let debian = tests.iter().filter_map(|name| metadata.debian().get(name.as_str()).copied().cloned());
    let debian = debian.flatten().collect();
    for name in tests {
        arguments.extend(["--test".to_owned(), name]);
    }
    Ok(Built { debian, ..run(&arguments)? })
}

fn wanted_tests(metadata: &Metadata, names: &[String]) -> Result<Vec<String>> {
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    let all: Vec<String> = targets.filter(|t| t.is_guest_test()).map(|t| t.name.clone()).collect();
    if names.is_empty() {
        let extra = metadata.debian();
        return Ok(all.into_iter().filter(|name| !extra.contains_key(name.as_str())).collect());
    }
    match names.iter().find(|name| !all.contains(name)) {
        Some(unknown) => bail!("no guest test {unknown}; there are: {}", all.join(", ")),
        None => Ok(names.to_vec()),
    }
}

fn run(arguments: &[String]) -> Result<Built> {
    let output = cargo()
        .args(arguments)
        .env("RUSTFLAGS", FLAGS)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "the build failed");
    let mut built = Built::default();
    for line in String::from_utf8(output.stdout)?.lines() {
        let Message { executable: Some(path), target: Some(target) } = serde_json::from_str(line)? else {
            continue;
        };
        let list = if target.is("test") { &mut built.tests } else { &mut built.programs };
        list.push(Program { name: target.name, path });
    }
    built.tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(built)
}

fn metadata() -> Result<Metadata> {
    let text = output(cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
    serde_json::from_str(&text).context("cargo metadata")
}

/// The host's own triple: naming it keeps our flags away from build scripts and procedural macros.
fn target() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    match host {
        "x86_64-unknown-linux-gnu" => Ok(host.to_owned()),
        other => {
            bail!("no guest for {other} yet: src/vm knows the kernel, emulator and linking of x86_64 only")
        }
    }
}

/// Cargo, without what another cargo told us about ourselves: build scripts that look at it would run once more.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}
