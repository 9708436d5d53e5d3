//! `lvscare-installer ping`, `exec` and `copy`: what is done on many hosts.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use cluster::inventory::file::{self, ClusterFile, VirtualServerFile};
use cluster::inventory::{Words, address};
use cluster::transport::policy::{Fingerprint, Policy};
use lvscare::exit::{Exit, Failure};
use node::api::Request;
use node::machine::files;

use crate::login::{Login, PasswordFrom};
use crate::report::Output;
use crate::report::remote::{RemoteForm, Table};

/// What is common to all of them.
const HOSTS_HELP: &str = "\
Hosts are asked 16 at a time; one that fails stops no other. Ctrl-C begins no further host and waits for those at work; a \
second one ends commands that run there (SIGTERM, SIGKILL after ten seconds) and leaves other hosts; a third one leaves all. All that happens is in a log, which is named at the end.

A host is trusted by its key in ~/.ssh/known_hosts or /etc/ssh/ssh_known_hosts. ~/.ssh/config is not read. Hosts need an \
SSH server and /bin/sh, and nothing else; no program but this one is needed here.

Exit codes: 0 done on all; 1 failed somewhere; 2 wrong usage or a bad value, and no host was asked; 130 stopped, as was \
asked. Where all that failed failed for one reason: 5 login or sudo; 6 the host's key; 7 unreachable.";

const PING_EXAMPLES: &str = "\
Examples:
  Whether three masters and forty nodes can be worked with, and as what:
    lvscare-installer ping --master 10.0.0.1-10.0.0.3 --node 10.0.1.1-10.0.1.40
  With a password, asked for once:
    lvscare-installer ping --node 10.0.1.1-10.0.1.40 --user ubuntu --ask-pass
  The first time, where nobody knows the hosts' keys yet:
    lvscare-installer ping --node 10.0.1.1 --host-key-policy accept-new";

const EXEC_EXAMPLES: &str = "\
COMMAND is a text for the host's /bin/sh; several words are joined by blanks, as ssh does it. It reads nothing. What it \
prints is shown line by line after its host's name, hosts in their order; what it writes to standard error goes to standard \
error. It fails where its exit code is not 0.

Examples:
  lvscare-installer exec --node 10.0.1.1-10.0.1.40 -- uptime
  lvscare-installer exec --node 10.0.1.1-10.0.1.40 --user ubuntu --ask-pass --sudo -- systemctl restart kubelet
  lvscare-installer exec --master 10.0.0.1-10.0.0.3 -- 'test -f /etc/kubernetes/admin.conf && echo initialised'";

const COPY_EXAMPLES: &str = "\
FILE is read once before any host is asked. It arrives beside its place, is compared by SHA-256, and is put there by a \
rename; a host that has it already gets nothing. What a cut link has left is not sent again the next time.

Examples:
  lvscare-installer copy --node 10.0.1.1-10.0.1.40 lvscare.tar /root/lvscare.tar
  lvscare-installer copy --node 10.0.1.1 --user ubuntu --ask-pass --sudo --mode 0755 lvscare-installer \
/usr/local/bin/lvscare-installer";

/// What is common to all commands on many hosts.
pub(super) fn hosts_help() -> &'static str {
    HOSTS_HELP
}

/// What follows the options of `ping`.
pub(crate) fn ping_help() -> String {
    format!("{HOSTS_HELP}\n\n{PING_EXAMPLES}")
}

/// What follows the options of `exec`.
pub(crate) fn exec_help() -> String {
    format!("{EXEC_EXAMPLES}\n\n{HOSTS_HELP}")
}

/// What follows the options of `copy`.
pub(crate) fn copy_help() -> String {
    format!("{COPY_EXAMPLES}\n\n{HOSTS_HELP}")
}

/// Which hosts, and how they are logged in to.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// A file with the cluster, as `lvscare-installer config schema` describes it; what is said here takes the place of what
    /// it says
    #[arg(long, value_name = "FILE", help_heading = HOSTS)]
    cluster: Option<PathBuf>,
    /// A master, or a range of them (10.0.0.1-10.0.0.3); repeat it, or separate with commas; with a port if it is not
    /// --port
    #[arg(long = "master", value_name = "IP[:PORT]", help_heading = HOSTS)]
    masters: Vec<String>,
    /// A node that is no master, written as masters are
    #[arg(long = "node", value_name = "IP[:PORT]", help_heading = HOSTS)]
    nodes: Vec<String>,
    /// A host of which nothing else is said, written as masters are
    #[arg(long = "host", value_name = "IP[:PORT]", help_heading = HOSTS)]
    hosts: Vec<String>,
    /// Only these of them: `master`, `node`, addresses, ranges; repeat it, or separate with commas
    #[arg(long, value_name = "WHICH", help_heading = HOSTS)]
    limit: Vec<String>,
    /// The port of their SSH servers [default: 22]
    #[arg(long, value_name = "PORT", help_heading = HOSTS)]
    port: Option<u16>,
    /// A host through which all others are reached, with the same password or key
    #[arg(long, value_name = "[USER@]IP[:PORT]", help_heading = HOSTS)]
    bastion: Option<String>,
    /// What is done with a host whose key nobody knows [default: a person at the terminal is asked; without one, strict]
    #[arg(long, value_name = "POLICY", help_heading = HOSTS)]
    host_key_policy: Option<HostKeyPolicy>,
    /// The only key that a host may have, as `ssh-keygen -lf` prints it; repeat it for each host, and for the bastion
    #[arg(long, value_name = "SHA256:HASH", conflicts_with = "host_key_policy", help_heading = HOSTS)]
    host_key: Vec<Fingerprint>,
    /// As whom to log in [default: root]
    #[arg(long, value_name = "NAME", help_heading = LOGIN)]
    user: Option<String>,
    /// The password; everybody on this machine can see it in the list of processes, so prefer --passwd-file or --ask-pass
    #[arg(long, value_name = "PASSWORD", group = "password", help_heading = LOGIN)]
    passwd: Option<OsString>,
    /// A file with the password, which only its owner may read; - for standard input
    #[arg(long, value_name = "FILE", group = "password", help_heading = LOGIN)]
    passwd_file: Option<PathBuf>,
    /// Ask for the password at the terminal
    #[arg(long, group = "password", help_heading = LOGIN)]
    ask_pass: bool,
    /// A private key, and no other one [default: those of the agent, then `~/.ssh/id_ed25519`, `id_ecdsa`, `id_rsa`]
    #[arg(long, value_name = "FILE", help_heading = LOGIN)]
    pk: Option<PathBuf>,
    /// Where the log of this run is kept [default: /var/log/lvscare for root, ~/.local/state/lvscare for others]
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
}

/// The port of SSH servers.
const SSH_PORT: u16 = 22;

const HOSTS: &str = "Hosts";
const LOGIN: &str = "Login";

/// What is done with a host whose key nobody knows.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HostKeyPolicy {
    /// It is refused
    Strict,
    /// Its key is recorded in `~/.ssh/known_hosts`; one that differs from a recorded key is refused all the same
    AcceptNew,
}

/// `lvscare-installer ping`.
#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    /// Which hosts, and how they are logged in to
    #[command(flatten)]
    targets: TargetArgs,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: Output,
}

/// `lvscare-installer exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Which hosts, and how they are logged in to
    #[command(flatten)]
    targets: TargetArgs,
    /// As root: with sudo where the user is another
    #[arg(long)]
    sudo: bool,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: Output,
    /// What is run
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

/// `lvscare-installer copy`.
#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// A file here
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its whole path there
    #[arg(value_name = "DEST")]
    dest: String,
    /// Which hosts, and how they are logged in to
    #[command(flatten)]
    targets: TargetArgs,
    /// As root: with sudo where the user is another
    #[arg(long)]
    sudo: bool,
    /// The file's mode there, such as 0644 [default: the one it has here]
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// The form of the answer
    #[arg(long, short, default_value = "text")]
    output: Output,
}

/// What is to be done on many hosts, as typed.
pub(crate) struct RemoteRequest {
    pub(crate) words: Words,
    pub(crate) login: Login,
    pub(crate) wanted: Wanted,
    pub(crate) form: RemoteForm,
    pub(crate) log_dir: Option<PathBuf>,
}

/// What is to be done on each.
pub(crate) enum Wanted {
    Ping,
    Exec { command: String, as_root: bool },
    Copy { file: PathBuf, dest: String, mode: Option<String>, as_root: bool },
    Status { every: Option<Duration> },
    Change { request: Request, archive: Option<PathBuf>, spares_masters: bool },
    Resume,
}

impl Wanted {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Exec { .. } => "exec",
            Self::Copy { .. } => "copy",
            Self::Status { .. } => "status",
            Self::Change { request: Request::SetMasters(_), .. } => "set-masters",
            Self::Change { request: Request::Undo(_), .. } => "undo",
            Self::Change { .. } => "prepare",
            Self::Resume => "resume",
        }
    }
}

impl TargetArgs {
    /// With what the file says that was not typed, and where that file wants clients to find the apiservers.
    pub(super) fn with_file(mut self) -> Result<(Self, VirtualServerFile), Failure> {
        let Some(path) = self.cluster.take() else { return Ok((self, VirtualServerFile::default())) };
        let wrong = |why: &str| Failure::new(Exit::Invalid, format!("--cluster {}: {why}", path.display()));
        let read = files::read(&path).map_err(|error| wrong(&error.to_string()))?;
        let read = read.ok_or_else(|| wrong("there is no such file"))?;
        let directory = path.parent().unwrap_or(&path);
        let parsed = ClusterFile::parse(&read.bytes, directory);
        let ClusterFile { masters, nodes, hosts, ssh, virtual_server } =
            parsed.map_err(|mistakes| wrong(&mistakes.join("; ")))?;
        for (typed, told) in
            [(&mut self.masters, masters), (&mut self.nodes, nodes), (&mut self.hosts, hosts)]
        {
            if typed.is_empty() {
                *typed = told;
            }
        }
        self.user = self.user.or(ssh.user);
        self.port = self.port.or(ssh.port);
        self.bastion = self.bastion.or(ssh.bastion);
        self.pk = self.pk.or(ssh.key_file);
        if self.passwd.is_none() && !self.ask_pass {
            self.passwd_file = self.passwd_file.or(ssh.password_file);
        }
        if self.host_key_policy.is_none() && self.host_key.is_empty() {
            self.host_key_policy = ssh.host_key_policy.map(|policy| match policy {
                file::HostKeyPolicy::Strict => HostKeyPolicy::Strict,
                file::HostKeyPolicy::AcceptNew => HostKeyPolicy::AcceptNew,
            });
            let keys = ssh.host_keys.iter().map(|text| text.parse());
            self.host_key = keys
                .collect::<Result<_, _>>()
                .map_err(|why: String| wrong(&format!("ssh.hostKeys: {why}")))?;
        }
        Ok((self, virtual_server))
    }

    /// The addresses of all masters, whatever the limit. What cannot be understood is told with everything else.
    pub(super) fn master_addresses(&self) -> Vec<IpAddr> {
        let port = self.port.unwrap_or(SSH_PORT);
        let found = self.masters.iter().flat_map(|text| address::parse(text, port).unwrap_or_default());
        found.map(|at| at.ip()).collect()
    }

    pub(super) fn request(self, wanted: Wanted, form: RemoteForm) -> RemoteRequest {
        let log_dir = self.log_dir();
        let (words, login) = self.words_and_login();
        RemoteRequest { words, login, wanted, form, log_dir }
    }

    /// Where the log of the run is to be kept, if that was said.
    pub(super) fn log_dir(&self) -> Option<PathBuf> {
        self.log_dir.clone()
    }

    /// Which hosts, and how they are logged in to.
    pub(super) fn words_and_login(self) -> (Words, Login) {
        let password = match (self.passwd, self.passwd_file) {
            (Some(password), _) => PasswordFrom::Argument(password),
            (None, Some(file)) => PasswordFrom::File(file),
            (None, None) if self.ask_pass => PasswordFrom::Terminal,
            (None, None) => PasswordFrom::Nowhere,
        };
        let asks = self.host_key_policy.is_none() && self.host_key.is_empty();
        let policy = match self.host_key_policy {
            _ if !self.host_key.is_empty() => Policy::Pinned(self.host_key),
            None | Some(HostKeyPolicy::Strict) => Policy::Strict,
            Some(HostKeyPolicy::AcceptNew) => Policy::AcceptNew,
        };
        let words = Words {
            masters: self.masters,
            nodes: self.nodes,
            hosts: self.hosts,
            limit: self.limit,
            user: self.user.unwrap_or_else(|| "root".to_owned()),
            port: self.port.unwrap_or(SSH_PORT),
            bastion: self.bastion,
        };
        (words, Login { password, key: self.pk, policy, asks })
    }
}

impl PingArgs {
    pub(crate) fn request(self) -> Result<RemoteRequest, Failure> {
        let (targets, _) = self.targets.with_file()?;
        let form = RemoteForm { output: self.output, table: Some(Table::Ping), ..RemoteForm::default() };
        Ok(targets.request(Wanted::Ping, form))
    }
}

impl ExecArgs {
    pub(crate) fn request(self) -> Result<RemoteRequest, Failure> {
        let (targets, _) = self.targets.with_file()?;
        let wanted = Wanted::Exec { command: self.command.join(" "), as_root: self.sudo };
        Ok(targets.request(wanted, RemoteForm { output: self.output, ..RemoteForm::default() }))
    }
}

impl CopyArgs {
    pub(crate) fn request(self) -> Result<RemoteRequest, Failure> {
        let (targets, _) = self.targets.with_file()?;
        let (file, dest, mode, as_root) = (self.file, self.dest, self.mode, self.sudo);
        let form = RemoteForm { output: self.output, ..RemoteForm::default() };
        Ok(targets.request(Wanted::Copy { file, dest, mode, as_root }, form))
    }
}
