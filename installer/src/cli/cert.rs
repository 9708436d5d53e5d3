//! `lvscare-installer node cert`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use lvscare::config::value;
use node::api::Request;
use node::api::certificates::{AddNamesRequest, RenewRequest, RestoreRequest};
use node::date::DAY;

use super::{Asked, ChangeArgs};
use crate::report::{Form, Output};

const CHECK_HELP: &str = "\
Looks at every certificate below /etc/kubernetes/pki, at the certificates in every kubeconfig of /etc/kubernetes and in \
/root/.kube/config, and at kubelet's own. Ends with 1 when something is wrong with one of them: it is over, ends in less than \
30 days, ends long before the others, was made by another authority, or its key is another one's.

Example:
  For Prometheus, by the textfile collector of its node_exporter:
    lvscare-installer node cert check --textfile /var/lib/prometheus/node-exporter/certificates.prom";

const RENEW_HELP: &str = "\
Each certificate is signed anew by the key of its authority, which every master has: the same key, names and usages with a \
later end. No apiserver is needed, so a cluster in which everything is over is brought back with it. Authorities end a year \
after what they have signed, and keep their keys, so that nothing that trusts them needs to be told. Then kubelet and the \
static pods that read the files are restarted, one after the other; it waits until each is well. Run it on one master after \
the other. What was cut short is finished by running it again; `restore` puts the former certificates back.

Examples:
  See what would be renewed and restarted:
    lvscare-installer node cert renew --dry-run
  Two files, and what trusts them:
    lvscare-installer node cert renew /etc/kubernetes/admin.conf /etc/kubernetes/pki/apiserver.crt";

const ADD_SANS_HELP: &str = "\
The certificate keeps its key, its end and the names that it has. Masters that join later make certificates of their own: \
for them the names belong into certSANs of the ConfigMap kubeadm-config (kubectl --namespace kube-system edit configmap \
kubeadm-config).

Example:
    lvscare-installer node cert add-sans apiserver.example.org 10.103.97.2";

/// `lvscare-installer node cert`.
#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    /// Show every certificate, when it ends, and what is wrong with it; changes nothing
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Give certificates a later end, also those that are over
    #[command(after_help = RENEW_HELP)]
    Renew(RenewArgs),
    /// Give the apiserver's certificate more names
    #[command(after_help = ADD_SANS_HELP)]
    AddSans(AddSansArgs),
    /// Put back the certificates that the last change of them has replaced, as long as they are valid
    Restore(RestoreArgs),
}

/// `lvscare-installer node cert check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Also show the issuer and the names of each
    #[arg(long, short)]
    verbose: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: Output,
    /// Write metrics for Prometheus to this file as well
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
}

/// `lvscare-installer node cert renew`.
#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    /// Only these certificates and kubeconfigs [default: all]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How long they are valid from now on, in years, days or hours; authorities a year longer
    #[arg(long, value_name = "TIME", default_value = "99y", value_parser = validity)]
    cert_validity: Duration,
    /// How that is done and told
    #[command(flatten)]
    restart: RestartArgs,
}

/// `lvscare-installer node cert add-sans`.
#[derive(Debug, Args)]
pub(crate) struct AddSansArgs {
    /// Names and addresses by which clients may call it
    #[arg(required = true, value_name = "SAN")]
    names: Vec<String>,
    /// How that is done and told
    #[command(flatten)]
    restart: RestartArgs,
}

/// `lvscare-installer node cert restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// How that is done and told
    #[command(flatten)]
    restart: RestartArgs,
}

/// What every change of certificates has.
#[derive(Debug, Args)]
struct RestartArgs {
    /// How long a static pod may take to end, and to answer again; kubelet lets one that has failed wait for five minutes
    #[arg(long, value_name = "TIME", default_value = "6m", value_parser = value::duration)]
    wait: Duration,
    /// How that is done and told
    #[command(flatten)]
    change: ChangeArgs,
}

const YEAR: u64 = 365 * DAY;

/// As kubeadm counts: a year has 8760 hours.
pub(super) fn validity(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time such as 99y, 365d or 8760h");
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "y" => YEAR,
        "d" => DAY,
        "h" => 60 * 60,
        _ => return Err(wrong()),
    };
    let seconds = number.checked_mul(unit).filter(|seconds| *seconds <= 1000 * YEAR);
    match seconds {
        Some(seconds) if seconds >= DAY => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("`{text}`: from a day to a thousand years")),
    }
}

impl CertCommand {
    pub(super) fn asked(self) -> Asked {
        let (form, request) = match self {
            Self::Check(args) => {
                let (output, verbose, textfile) = (args.output, args.verbose, args.textfile);
                (Form { output, verbose, textfile, ..Form::default() }, Request::Certificates)
            }
            Self::Renew(args) => {
                let (wait, change) = (args.restart.wait, args.restart.change.change(false));
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let until = RenewRequest::end(now, args.cert_validity);
                let request = RenewRequest { until, files: args.files, wait, change };
                (args.restart.change.form(), Request::Renew(request))
            }
            Self::AddSans(args) => {
                let (wait, change) = (args.restart.wait, args.restart.change.change(false));
                let request = AddNamesRequest { names: args.names, wait, change };
                (args.restart.change.form(), Request::AddNames(request))
            }
            Self::Restore(args) => {
                let (wait, change) = (args.restart.wait, args.restart.change.change(false));
                (args.restart.change.form(), Request::Restore(RestoreRequest { wait, change }))
            }
        };
        Asked { form, request: Ok(request) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_that_kubeadm_would_take() {
        assert_eq!(validity("99y"), Ok(Duration::from_secs(867_240 * 3600)));
        assert_eq!(validity("867240h"), validity("99y"));
        assert_eq!(validity("365d"), validity("1y"));
        for bad in ["", "y", "99", "-1y", "1.5y", "99 y", "99é", "1m"] {
            assert_eq!(validity(bad), Err(format!("`{bad}` is no time such as 99y, 365d or 8760h")));
        }
        for bad in ["0d", "23h", "1001y", "18446744073709551615y"] {
            assert_eq!(validity(bad), Err(format!("`{bad}`: from a day to a thousand years")));
        }
    }
}
