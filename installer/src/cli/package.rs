//! `lvscare-installer pkg`: packages on this machine; no other host is asked.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use cluster::fetch;
use lvscare::exit::{Exit, Failure};
use lvscare::terminal::printable;
use node::api::package::InstallPackageRequest;
use node::api::{Kind, Request};
use node::package::images::Image;
use node::package::program::Arch;
use node::package::read::FileFacts;
use node::package::verify::PROGRAMS;
use node::package::{self, Package, Verdict, Wanted};
use node::spec::version::KubernetesVersion;
use node::step::Digest;
use serde::Serialize;

use super::{Asked, ChangeArgs, Errand};
use crate::report::{Output, refuse};

const BUILD_HELP: &str = "\
DIR holds bin/kubeadm, bin/kubectl and bin/kubelet, archives of images in images/ (as `docker save` and `ctr images export` write \
them), and what else is to lie on nodes: conf/, shell/init.sh, shell/master.sh. From the same files comes the same package, byte \
for byte; SHA256SUMS is written into it.

Example:
  lvscare-installer pkg build kube -o kube1.34.1.tar.gz";

const VERIFY_HELP: &str = "\
A package is a tar, plain or compressed with gzip or zstd. All that is wrong with it is said at once. Exit codes: 0 it can be \
used; 2 wrong usage; 8 it cannot.

Example:
  lvscare-installer pkg verify kube1.34.1.tar.gz --version v1.34.1 --arch amd64";

const INSTALL_HELP: &str = "\
The package is verified, then unpacked below /var/lib/lvscare-installer/pkg. kubeadm, kubectl and kubelet take the place of those \
that are there by a rename, which no running program notices; where there is no unit of kubelet, one is written; images that the \
container runtime lacks are imported. systemd is told nothing and no script is run. `node undo` puts back what was there; images \
stay. A second run does what is missing.

Example:
  lvscare-installer pkg install kube1.34.1.tar.gz --version v1.34.1";

const FETCH_HELP: &str = "\
What has arrived lies beside FILE as FILE.part until it is whole. A link that is cut is taken up again, by a later run as well, \
where the server says that it still has the same file (ETag). Over http: the SHA-256 must be given. The authorities of https: are \
those of this system, or of the file that SSL_CERT_FILE names. Proxies are not used. Exit codes: 0 it is there; 2 wrong usage; 7 the \
server cannot be reached, or does not go on; 8 it is not there, or not what it should be.

Example:
  lvscare-installer pkg fetch https://example.com/kube1.34.1.tar.gz -o kube1.34.1.tar.gz";

/// `lvscare-installer pkg`.
#[derive(Debug, Subcommand)]
pub(crate) enum PackageCommand {
    /// Make a package of a directory
    #[command(after_help = BUILD_HELP)]
    Build(BuildArgs),
    /// Say all that is wrong with a package
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Show what is in a package
    Inspect(InspectArgs),
    /// Get a package from an HTTP server, over a link that may be cut
    #[command(after_help = FETCH_HELP)]
    Fetch(FetchArgs),
    /// Put a package's programs and images on this node
    #[command(after_help = INSTALL_HELP)]
    Install(InstallArgs),
}

/// `lvscare-installer pkg build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// What is put into it
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The package, such as kube1.34.1.tar.gz
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// `lvscare-installer pkg verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The package
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The version of Kubernetes that it must be of
    #[arg(long, value_name = "VERSION")]
    version: Option<KubernetesVersion>,
    /// The processor that it must be for, such as amd64 or arm64
    #[arg(long, value_name = "ARCH", value_parser = arch)]
    arch: Option<Arch>,
    /// The SHA-256 that it must have
    #[arg(long, value_name = "SHA256")]
    pkg_sha256: Option<Digest>,
}

/// `lvscare-installer pkg inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The package
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: Output,
}

/// `lvscare-installer pkg fetch`.
#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Where it is
    #[arg(value_name = "URL")]
    url: String,
    /// Where it shall be
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The SHA-256 that it must have
    #[arg(long, value_name = "SHA256")]
    pkg_sha256: Option<Digest>,
}

/// `lvscare-installer pkg install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// The package
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The version of Kubernetes that it must be of
    #[arg(long, value_name = "VERSION")]
    version: Option<KubernetesVersion>,
    /// The SHA-256 that it must have
    #[arg(long, value_name = "SHA256")]
    pkg_sha256: Option<Digest>,
    /// How that is done and told
    #[command(flatten)]
    change: ChangeArgs,
}

fn arch(text: &str) -> Result<Arch, String> {
    Arch::named(text)
        .ok_or_else(|| "it is no processor that Kubernetes knows, such as amd64 or arm64".to_owned())
}

/// A package as programs see it.
#[derive(Serialize)]
struct Document<'a> {
    sha256: Digest,
    bytes: u64,
    unpacked: u64,
    images: Vec<&'a Image>,
    files: &'a BTreeMap<String, FileFacts>,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

impl PackageCommand {
    /// Who does it.
    pub(crate) fn errand(self) -> Errand {
        match self {
            Self::Install(args) => Errand::Here(Box::new(args.asked())),
            Self::Build(args) => Errand::Done(args.run()),
            Self::Verify(args) => Errand::Done(args.run()),
            Self::Inspect(args) => Errand::Done(args.run()),
            Self::Fetch(args) => Errand::Done(args.run()),
        }
    }
}

impl FetchArgs {
    fn run(&self) -> Exit {
        match fetch(&fetch::Wanted { url: &self.url, to: &self.output, sha256: self.pkg_sha256 }) {
            Ok(fetch::Fetched { sha256, received: 0 }) => {
                say(&format!("{} was there already\nsha256 {sha256}", self.output.display()));
                Exit::Success
            }
            Ok(fetch::Fetched { sha256, received }) => {
                say(&format!("{}: {received} bytes received\nsha256 {sha256}", self.output.display()));
                Exit::Success
            }
            Err(Failure { exit, message }) => {
                refuse(&message);
                exit
            }
        }
    }
}

/// Gets a package, and shows on a terminal how far it is.
pub(crate) fn fetch(wanted: &fetch::Wanted<'_>) -> Result<fetch::Fetched, Failure> {
    let authorities = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let settings = fetch::Settings { authorities, ..fetch::Settings::default() };
    let mut progress = Progress::new();
    let done = fetch::fetch(wanted, &settings, &mut |event| match event {
        fetch::Event::Arrived { bytes, total } => progress.tell(bytes, total),
        fetch::Event::Note(note) => progress.note(&note),
    });
    progress.end();
    done.map_err(|error| {
        let exit = match error {
            fetch::Error::Address(_) => Exit::Usage,
            fetch::Error::Unreachable(_) => Exit::Unreachable,
            fetch::Error::Refused(_) | fetch::Error::Other { .. } => Exit::Image,
            fetch::Error::File { .. } => Exit::Failed,
        };
        Failure::new(exit, error.to_string())
    })
}

/// How far it is, on a terminal, in a line that is written again and again.
struct Progress {
    is_seen: bool,
    told: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self { is_seen: io::stderr().is_terminal(), told: None }
    }

    fn tell(&mut self, bytes: u64, total: Option<u64>) {
        if !self.is_seen || self.told.is_some_and(|told| told.elapsed() < Duration::from_millis(500)) {
            return;
        }
        self.told = Some(Instant::now());
        let megabytes = bytes / 1_000_000;
        let line = match total {
            Some(total @ 1..) => {
                format!(
                    "{megabytes} of {} MB, {} %",
                    total / 1_000_000,
                    u128::from(bytes) * 100 / u128::from(total)
                )
            }
            _ => format!("{megabytes} MB"),
        };
        let _ = write!(io::stderr(), "\r{line:<40}");
    }

    fn note(&mut self, note: &str) {
        self.end();
        let _ = writeln!(io::stderr(), "! {}", printable(note));
    }

    fn end(&mut self) {
        if self.told.take().is_some() {
            let _ = write!(io::stderr(), "\r{:<40}\r", "");
        }
    }
}

impl InstallArgs {
    fn asked(self) -> Asked {
        Asked { form: self.change.form(), request: self.request() }
    }

    fn request(self) -> Result<Request, node::api::Failure> {
        let unusable = |why: &str| {
            node::api::Failure::new(
                Kind::Image,
                format!("{}: {why}; nothing was changed", self.file.display()),
            )
        };
        let package = package::read(&self.file).map_err(|error| unusable(&error.to_string()))?;
        let arch = Arch::named(std::env::consts::ARCH);
        let verdict = package::verify(&package, &Wanted { version: self.version, arch });
        if !verdict.problems.is_empty() {
            return Err(unusable(&verdict.problems.join("; ")));
        }
        if let Some(wanted) = self.pkg_sha256.filter(|wanted| *wanted != package.sha256) {
            return Err(unusable(&format!("its SHA-256 is {}, not {wanted}", package.sha256)));
        }
        Ok(Request::InstallPackage(InstallPackageRequest {
            archive: self.file.clone(),
            sha256: package.sha256,
            version: self.version.or(verdict.version),
            unpack_only: false,
            change: self.change.change(false),
        }))
    }
}

impl BuildArgs {
    fn run(&self) -> Exit {
        let package = match package::build(&self.directory, &self.output) {
            Ok(package) => package,
            Err(error) => return unusable(&self.directory, &error.to_string()),
        };
        let verdict = package::verify(&package, &Wanted::default());
        let exit = judge(&self.output, &verdict);
        if exit == Exit::Success {
            summary(&self.output, &package, &verdict);
        }
        exit
    }
}

impl VerifyArgs {
    fn run(self) -> Exit {
        let package = match package::read(&self.file) {
            Ok(package) => package,
            Err(error) => return unusable(&self.file, &error.to_string()),
        };
        let mut verdict = package::verify(&package, &Wanted { version: self.version, arch: self.arch });
        if let Some(wanted) = self.pkg_sha256.filter(|wanted| *wanted != package.sha256) {
            verdict.problems.insert(0, format!("its SHA-256 is {}, not {wanted}", package.sha256));
        }
        let exit = judge(&self.file, &verdict);
        if exit == Exit::Success {
            summary(&self.file, &package, &verdict);
        }
        exit
    }
}

impl InspectArgs {
    fn run(&self) -> Exit {
        let package = match package::read(&self.file) {
            Ok(package) => package,
            Err(error) => return unusable(&self.file, &error.to_string()),
        };
        let verdict = package::verify(&package, &Wanted::default());
        let Package { sha256, bytes, unpacked, files, .. } = &package;
        let images: Vec<_> = package.all_images().collect();
        match self.output {
            Output::Json => {
                let (sha256, bytes, unpacked) = (*sha256, *bytes, *unpacked);
                let document = Document { sha256, bytes, unpacked, images, files, verdict: &verdict };
                say(&serde_json::to_string_pretty(&document).unwrap_or_default());
            }
            Output::Text => {
                let unknown = || "not known".to_owned();
                let version = verdict.version.map_or_else(unknown, |version| version.to_string());
                let arch = verdict.arch.as_ref().map_or_else(unknown, ToString::to_string);
                say(&format!("sha256      {sha256}"));
                say(&format!(
                    "size        {bytes} bytes, {unpacked} bytes unpacked in {} files",
                    files.len()
                ));
                say(&format!("kubernetes  {version} for {arch}"));
                let there = PROGRAMS.iter().map(|name| format!("bin/{name}"));
                list("programs", there.filter(|path| files.contains_key(path)));
                let below = |top| files.keys().filter(move |path| path.starts_with(top)).cloned();
                list("hooks", below("shell/"));
                list("network", below("conf/net/"));
                list("images", images.iter().map(|image| image.name.clone()));
                list("problems", verdict.problems.iter().cloned());
                list("notes", verdict.notes.iter().cloned());
            }
        }
        Exit::Success
    }
}

/// Says what is wrong, and what a person should know.
fn judge(file: &Path, verdict: &Verdict) -> Exit {
    for note in &verdict.notes {
        let _ = writeln!(io::stderr(), "! {}", printable(note));
    }
    for problem in &verdict.problems {
        refuse(&format!("{}: {problem}", file.display()));
    }
    if verdict.problems.is_empty() { Exit::Success } else { Exit::Image }
}

fn summary(file: &Path, package: &Package, verdict: &Verdict) {
    let version = verdict.version.map_or("of no known version".to_owned(), |version| version.to_string());
    let arch = verdict.arch.as_ref().map(ToString::to_string).unwrap_or_default();
    let images = package.all_images().count();
    say(&format!(
        "{}: Kubernetes {version} for {arch}, {images} images, {} bytes",
        file.display(),
        package.bytes
    ));
    say(&format!("sha256 {}", package.sha256));
}

fn unusable(path: &Path, why: &str) -> Exit {
    refuse(&format!("{}: {why}", path.display()));
    Exit::Image
}

/// One a line, the first beside the title.
fn list(title: &str, lines: impl Iterator<Item = String>) {
    for (index, line) in lines.enumerate() {
        say(&format!("{:<11} {line}", if index == 0 { title } else { "" }));
    }
}

/// A reader that went away is no failure.
fn say(text: &str) {
    let text: Vec<_> = text.lines().map(printable).collect();
    let _ = writeln!(io::stdout(), "{}", text.join("\n"));
}
