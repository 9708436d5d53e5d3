//! The package of `init` and `join`: got, read and found usable before any host is asked.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cluster::fetch;
use cluster::flow::lifecycle::PackageFile;
use cluster::plan::package::Package;
use cluster::remote::transfer::Source;
use lvscare::exit::{Exit, Failure};
use node::agent::task::Hook;
use node::package::verify::Verdict;
use node::package::{self, Wanted};
use node::spec::version::KubernetesVersion;
use node::step::{Content, Digest};

use crate::cli::package::fetch as fetch_it;

const PACKAGE: &str = "Package";

/// What hosts are given before anything else.
#[derive(Clone, Debug, Args)]
pub(crate) struct PackageArgs {
    /// A package with programs and images for all hosts that join: a file, or a URL of https, or of http with --pkg-sha256
    #[arg(long, value_name = "FILE|URL", help_heading = PACKAGE)]
    pkg_url: Option<String>,
    /// The SHA-256 that the package must have
    #[arg(long, value_name = "SHA256", requires = "pkg_url", help_heading = PACKAGE)]
    pkg_sha256: Option<Digest>,
    /// Which scripts of the package are run, as root
    #[arg(long, value_name = "WHICH", default_value = "init", help_heading = PACKAGE)]
    hooks: Hooks,
}

/// Scripts of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Hooks {
    /// None
    None,
    /// `shell/init.sh`, on every host that joins, before the package's programs and images are put there
    Init,
    /// `shell/master.sh` as well, after it, on those that become masters; not one that runs `kubeadm init` itself
    All,
}

impl PackageArgs {
    /// Whether there is one.
    pub(crate) fn is_given(&self) -> bool {
        self.pkg_url.is_some()
    }

    /// Gets it, if there is one. `tell` hears what people should know of it; all that is wrong comes at once.
    pub(crate) fn get(
        &self,
        version: Option<KubernetesVersion>,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Option<PackageFile>, Vec<Failure>> {
        let Some(url) = &self.pkg_url else { return Ok(None) };
        let path = self.file(url, tell).map_err(|failure| vec![failure])?;
        let unusable = |why: &str| Failure::new(Exit::Image, format!("--pkg-url {url}: {why}"));
        let read = package::read(&path).map_err(|error| vec![unusable(&error.to_string())])?;
        let Verdict { version: told, arch, problems, notes } =
            package::verify(&read, &Wanted { version, arch: None });
        let mut wrong: Vec<_> = problems.iter().map(|problem| unusable(problem)).collect();
        if let Some(wanted) = self.pkg_sha256.filter(|wanted| *wanted != read.sha256) {
            wrong.push(unusable(&format!("its SHA-256 is {}, not {wanted}", read.sha256)));
        }
        for note in &notes {
            tell(&format!("--pkg-url {url}: {note}"));
        }
        let version = version.or(told);
        if version.is_none() {
            wrong.push(unusable(
                "it does not say of which version of Kubernetes it is; say it with --version",
            ));
        }
        let file = Source::new(&path).map_err(|error| vec![unusable(&error.to_string())])?;
        if file.sha256 != read.sha256 {
            wrong.push(unusable("somebody changes it meanwhile"));
        }
        let (Some(version), true) = (version, wrong.is_empty()) else { return Err(wrong) };
        let asked: &[Hook] = match self.hooks {
            Hooks::None => &[],
            Hooks::Init => &[Hook::Init],
            Hooks::All => &[Hook::Init, Hook::Master],
        };
        let hooks = asked.iter().filter(|hook| read.files.contains_key(&format!("shell/{}", hook.file())));
        let hooks = hooks.copied().collect();
        let (sha256, bytes, unpacked) = (read.sha256, read.bytes, read.unpacked);
        Ok(Some(PackageFile { package: Package { sha256, bytes, unpacked, version, arch, hooks }, file }))
    }

    /// Where it lies on this machine, and is brought to if it comes from elsewhere.
    fn file(&self, url: &str, tell: &mut dyn FnMut(&str)) -> Result<PathBuf, Failure> {
        if !url.contains("://") {
            return Ok(url.into());
        }
        let directory = cache()?;
        let name = match self.pkg_sha256 {
            Some(sha256) => sha256.to_string(),
            None => Content::new(url, 0).digest().to_string(),
        };
        let to = directory.join(name);
        if self.pkg_sha256.is_none() && to.exists() {
            tell(&format!(
                "--pkg-url {url}: {} was got from there before, and is used; remove it to get it anew",
                to.display()
            ));
            return Ok(to);
        }
        fetch_it(&fetch::Wanted { url, to: &to, sha256: self.pkg_sha256 })?;
        Ok(to)
    }
}

/// Where packages are kept for the next run.
fn cache() -> Result<PathBuf, Failure> {
    let of = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let top = of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache")));
    let top = top.filter(|top| top.is_absolute()).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "where packages are kept is not known; set HOME, or get it with `lvscare-installer pkg fetch` and give the file",
        )
    })?;
    let directory = top.join("lvscare-installer");
    make(&directory)
        .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", directory.display())))?;
    Ok(directory)
}

fn make(directory: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}
