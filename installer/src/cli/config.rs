//! `lvscare-installer config`: templates, printed and filled in; no host is asked.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use cluster::inventory::file::{EXAMPLE, SCHEMA};
use cluster::kubeadm::{self, Variables};
use cluster::template::MAX_TEMPLATE_BYTES;
use lvscare::doctor::subnet::Subnet;
use lvscare::exit::{Exit, Failure};
use node::machine::files;
use node::spec::masters::Master;
use node::spec::names::check_name;
use node::spec::version::KubernetesVersion;

use super::prepare::{MastersArgs, Vip};
use crate::report::refuse;

/// What follows the options of `config`.
pub(crate) const HELP: &str = "\
Templates are written in the language of Go's text/template, as those for sealos are: fields, range, if and else, with, and, \
or, not, eq, ne, trim marks and comments. They can speak of .Version, .VIP, .IsIPv6, .Masters, .Master0, .ApiServer, \
.CertSANS, .PodCIDR, .SvcCIDR, .Repo and .Network.

Examples:
  A template to be changed, for kubeadm 1.34:
    lvscare-installer config -t kubeadm --version v1.34.1 > kubeadm-config.yaml.tmpl
  A cluster in a file, to be changed:
    lvscare-installer config -t cluster > cluster.yaml
  What kubeadm would be told:
    lvscare-installer config render --kubeadm-config kubeadm-config.yaml.tmpl --version v1.34.1 --master 10.0.0.1-10.0.0.3";

/// `lvscare-installer config`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true
)]
pub(crate) struct ConfigArgs {
    /// What is done with a template
    #[command(subcommand)]
    command: Option<ConfigCommand>,
    /// Which template to print
    #[arg(long, short, required = true)]
    template: Option<Which>,
    /// The version of Kubernetes that it is for [default: the newest form that is known]
    #[arg(long, value_name = "VERSION")]
    version: Option<KubernetesVersion>,
}

/// A template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// What kubeadm is told to make a cluster
    Kubeadm,
    /// A cluster in a file, for --cluster
    Cluster,
}

/// What is done with a template.
#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print a template with all values filled in
    Render(Box<RenderArgs>),
    /// Print what can stand in the file of --cluster, as JSON Schema
    Schema,
}

/// `lvscare-installer config render`.
#[derive(Debug, Args)]
struct RenderArgs {
    /// The template, - for standard input [default: the one that `config -t kubeadm` prints]
    #[arg(long, value_name = "FILE")]
    kubeadm_config: Option<PathBuf>,
    /// The version of Kubernetes
    #[arg(long, value_name = "VERSION")]
    version: KubernetesVersion,
    /// Which masters there are
    #[command(flatten)]
    masters: MastersArgs,
    /// The virtual address of the apiservers
    #[arg(long, value_name = "IP", default_value = "10.103.97.2")]
    vip: Vip,
    /// The name by which clients call the virtual server
    #[arg(long, value_name = "NAME", default_value = "apiserver.cluster.local")]
    apiserver: String,
    /// One more name or address in the apiservers' certificate; repeat it, or separate with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    cert_sans: Vec<String>,
    /// The addresses of pods
    #[arg(long, value_name = "CIDR", default_value = "100.64.0.0/10")]
    pod_cidr: Subnet,
    /// The addresses of Services; the virtual address must lie outside
    #[arg(long, value_name = "CIDR", default_value = "10.96.0.0/22")]
    service_cidr: Subnet,
    /// Where images come from [default: kubeadm's own]
    #[arg(long, value_name = "REGISTRY", default_value = "", hide_default_value = true)]
    repo: String,
    /// The name of the network, for templates that ask for it
    #[arg(long, value_name = "NAME", default_value = "calico")]
    network: String,
}

impl ConfigArgs {
    /// Prints what was asked for.
    pub(crate) fn run(self) -> Exit {
        let printed = match (self.command, self.template) {
            (Some(ConfigCommand::Render(args)), _) => args.rendered(),
            (Some(ConfigCommand::Schema), _) => Ok(SCHEMA.to_owned()),
            (None, Some(Which::Cluster)) => Ok(EXAMPLE.to_owned()),
            (None, Some(Which::Kubeadm) | None) => {
                Ok(kubeadm::template(self.version.unwrap_or(KubernetesVersion::NEWEST)))
            }
        };
        match printed {
            Ok(text) => {
                // A reader that goes away is no failure.
                let _ = io::stdout().write_all(text.as_bytes());
                Exit::Success
            }
            Err(Failure { exit, message }) => {
                refuse(&message);
                exit
            }
        }
    }
}

/// What is typed must not become another line of the configuration.
pub(crate) fn check_words(
    cert_sans: &[String],
    repo: Option<&String>,
    network: Option<&String>,
) -> Result<(), Failure> {
    let words = cert_sans.iter().map(|word| ("--cert-sans", word));
    let others = [("--repo", repo), ("--network", network)];
    let others = others.into_iter().filter_map(|(option, word)| word.map(|word| (option, word)));
    for (option, word) in words.chain(others) {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:/*@[]".contains(&byte);
        if !word.bytes().all(allowed) || (option == "--cert-sans" && word.is_empty()) {
            return Err(Failure::new(Exit::Usage, format!("{option} {word:?} is no name and no address")));
        }
    }
    Ok(())
}

impl RenderArgs {
    fn rendered(self) -> Result<String, Failure> {
        let variables = self.variables()?;
        let Some(path) = &self.kubeadm_config else {
            let rendered = variables.render(&kubeadm::template(self.version));
            return rendered.map_err(|error| Failure::new(Exit::Failed, error.to_string()));
        };
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::new(Exit::Invalid, format!("--kubeadm-config {}: {why}", path.display()))
        };
        let template = read(path).map_err(|error| wrong(&error))?;
        variables.render(&template).map_err(|error| wrong(&error))
    }

    fn variables(&self) -> Result<Variables, Failure> {
        let vip = self.vip.address().ip();
        let mut masters = Vec::new();
        for master in self.masters.all() {
            match master {
                Master::At(address) if address.ip() == vip => {
                    let text = format!("--master {} is the virtual address itself", address.ip());
                    return Err(Failure::new(Exit::Usage, text));
                }
                Master::At(address) => masters.push(address.ip()),
                Master::Called(name, _) => {
                    let text =
                        format!("--master {name} is a name; kubeadm's certificate takes the IP address");
                    return Err(Failure::new(Exit::Usage, text));
                }
            }
        }
        check_name(&self.apiserver)
            .map_err(|error| Failure::new(Exit::Invalid, format!("--apiserver {error}")))?;
        for (cidr, option) in [(self.service_cidr, "--service-cidr"), (self.pod_cidr, "--pod-cidr")] {
            if cidr.holds(vip) {
                let text = format!("--vip {vip} lies in {option} {cidr}; Kubernetes may give it away");
                return Err(Failure::new(Exit::Invalid, text));
            }
        }
        check_words(&self.cert_sans, Some(&self.repo), Some(&self.network))?;
        Ok(Variables {
            version: self.version,
            vip,
            masters,
            apiserver: self.apiserver.clone(),
            cert_sans: self.cert_sans.clone(),
            pod_cidr: self.pod_cidr.to_string(),
            service_cidr: self.service_cidr.to_string(),
            repository: self.repo.clone(),
            network: self.network.clone(),
        })
    }
}

pub(crate) fn read(path: &Path) -> io::Result<String> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        // One more than it may be: the template's own check says so.
        io::Read::read_to_end(&mut io::Read::take(io::stdin(), MAX_TEMPLATE_BYTES as u64 + 1), &mut bytes)?;
        bytes
    } else {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such file");
        files::read(path)?.ok_or_else(missing)?.bytes
    };
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}
