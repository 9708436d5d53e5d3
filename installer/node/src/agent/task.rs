//! Programs that take minutes. What can be run is enumerated here; no word of a command line comes from outside. Pure.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::paths;
use crate::run::kubeadm::join_words;
use crate::spec::version::{KubeadmApi, KubernetesVersion};
use crate::step::Digest;

/// What a task does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Runs the stock kubeadm.
    Kubeadm(Kubeadm),
    /// Has systemd do something.
    Systemctl(Systemctl),
    /// Gives the container runtime images out of an archive that was received before.
    ImportImage {
        /// The archive.
        archive: Digest,
    },
    /// Runs a script of a package that was unpacked before.
    Hook {
        /// The package.
        package: Digest,
        /// Which script.
        hook: Hook,
    },
}

/// What kubeadm does. Its configuration lies in [`paths::INIT`] or [`paths::JOIN`], with all secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kubeadm {
    /// Makes the first master.
    Init {
        /// Whether the certificates are left in the cluster, encrypted, for other masters.
        upload_certs: bool,
        /// The version of kubeadm.
        version: KubernetesVersion,
    },
    /// Joins.
    Join {
        /// Checks that may fail; only where the configuration has no field for them.
        ignore_preflight_errors: Vec<PreflightCheck>,
        /// How much it says, 0 to 10.
        verbosity: Option<Verbosity>,
    },
    /// Does a part of either.
    Phase {
        /// Which.
        phase: Phase,
        /// The version of kubeadm.
        version: KubernetesVersion,
    },
    /// Takes a node's part of the cluster back.
    Reset {
        /// The container runtime's socket, where there are several.
        cri_socket: Option<CriSocket>,
    },
    /// Makes it a newer one.
    Upgrade {
        /// Which part.
        upgrade: Upgrade,
        /// Whether certificates stay as they are.
        keep_certificates: bool,
    },
}

/// A part of kubeadm's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// All certificates of the first master.
    InitCerts,
    /// The apiserver's certificate alone.
    InitApiserverCert,
    /// All kubeconfigs of the first master.
    InitKubeconfig,
    /// The certificates, left in the cluster for other masters.
    InitUploadCerts,
    /// The certificates that were left there.
    JoinDownloadCerts,
    /// A new master's own certificates.
    JoinCerts,
    /// A new master's kubeconfigs.
    JoinKubeconfig,
}

/// A part of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upgrade {
    /// The first master, and with it the cluster.
    Apply(KubernetesVersion),
    /// Any other node.
    Node,
}

/// What systemd does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Systemctl {
    /// Reads its units anew.
    DaemonReload,
    /// Starts a unit, now and at boot.
    Enable(Unit),
    /// Stops a unit, now and at boot.
    Disable(Unit),
    /// Starts a unit.
    Start(Unit),
    /// Stops a unit.
    Stop(Unit),
    /// Stops a unit if it runs, and starts it.
    Restart(Unit),
}

/// A unit of systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is the name of its unit")]
pub enum Unit {
    Kubelet,
    Containerd,
    Crio,
    Docker,
    CriDocker,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet.service",
            Self::Containerd => "containerd.service",
            Self::Crio => "crio.service",
            Self::Docker => "docker.service",
            Self::CriDocker => "cri-docker.service",
        }
    }
}

/// A script of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Readies any node: container runtime, kubelet, images.
    Init,
    /// Readies a master beyond that.
    Master,
}

impl Hook {
    /// Its name in the package's directory `shell`.
    pub fn file(self) -> &'static str {
        match self {
            Self::Init => "init.sh",
            Self::Master => "master.sh",
        }
    }
}

/// The name of a check of kubeadm, such as `NumCPU` or `DirAvailable--etc-kubernetes-manifests`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct PreflightCheck(String);

impl TryFrom<String> for PreflightCheck {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if text.is_empty() || text.len() > 128 || text.starts_with('-') || !text.bytes().all(allowed) {
            let shown: String = text.chars().take(128).collect();
            return Err(format!("{shown:?} is no check of kubeadm, such as NumCPU"));
        }
        Ok(Self(text))
    }
}

/// How much kubeadm says, 0 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8")]
pub struct Verbosity(u8);

impl TryFrom<u8> for Verbosity {
    type Error = String;

    fn try_from(level: u8) -> Result<Self, String> {
        if level > 10 {
            Err(format!("{level} is no level of kubeadm's from 0 to 10"))
        } else {
            Ok(Self(level))
        }
    }
}

/// A container runtime's socket: an absolute path, with or without `unix://`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CriSocket(String);

impl TryFrom<String> for CriSocket {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let path = text.strip_prefix("unix://").unwrap_or(&text);
        let allowed = |byte: u8| byte.is_ascii_graphic();
        if !path.starts_with('/') || path.len() > 107 || !path.bytes().all(allowed) {
            let shown: String = text.chars().take(128).collect();
            return Err(format!("{shown:?} is no socket, such as unix:///run/containerd/containerd.sock"));
        }
        Ok(Self(text))
    }
}

/// A command line: all that is known before the machine is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// The program, looked up in `PATH` unless it is a path, and its arguments.
    pub words: Vec<String>,
    /// Where it runs.
    pub directory: Option<PathBuf>,
}

impl Task {
    /// How it is run; `None` where that depends on the machine.
    pub fn command_line(&self) -> Option<CommandLine> {
        let (words, directory) = match self {
            Self::Kubeadm(kubeadm) => (kubeadm.words(), None),
            Self::Systemctl(systemctl) => (systemctl.words(), None),
            Self::ImportImage { .. } => return None,
            Self::Hook { package, hook } => {
                let directory = Path::new(paths::PACKAGES).join(package.to_string()).join("shell");
                let script = directory.join(hook.file()).display().to_string();
                (vec!["/bin/sh".to_owned(), script], Some(directory))
            }
        };
        Some(CommandLine { words, directory })
    }

    /// Files with secrets that nobody needs when it has ended, however it did.
    pub fn secrets(&self) -> &'static [&'static str] {
        match self {
            Self::Kubeadm(Kubeadm::Init { .. } | Kubeadm::Phase { phase: Phase::InitUploadCerts, .. }) => {
                &[paths::INIT]
            }
            Self::Kubeadm(Kubeadm::Join { .. }) => &[paths::JOIN],
            _ => &[],
        }
    }

    /// Whether it makes the machine part of a cluster: one that was cut short has left it half in.
    pub fn joins(&self) -> bool {
        matches!(self, Self::Kubeadm(Kubeadm::Init { .. } | Kubeadm::Join { .. }))
    }

    /// Whether its program may be ended half-way. A master that joins has been told to etcd before it is one of its members,
    /// and without it etcd may have no majority; an upgrade is as bad a moment.
    pub fn can_be_ended(&self) -> bool {
        !matches!(self, Self::Kubeadm(Kubeadm::Join { .. } | Kubeadm::Upgrade { .. }))
    }

    /// Whether its program, too, keeps the machine locked, should its supervisor be killed. A script of a package may
    /// leave programs behind that never end, and the lock with them.
    pub fn keeps_lock(&self) -> bool {
        !matches!(self, Self::Hook { .. })
    }
}

impl Kubeadm {
    fn words(&self) -> Vec<String> {
        let mut words = vec!["kubeadm"];
        let mut more = Vec::new();
        match self {
            Self::Init { upload_certs, version } => {
                words.extend(["init", "--config", paths::INIT]);
                words.extend(["--skip-token-print", "--skip-certificate-key-print"]);
                words.extend(upload_certs.then(|| upload_flag(*version)));
            }
            Self::Join { ignore_preflight_errors, verbosity } => {
                let checks = ignore_preflight_errors.iter();
                let flags = checks.map(|check| format!("--ignore-preflight-errors={}", check.0));
                more = join_words(flags, verbosity.map(|Verbosity(level)| level));
            }
            Self::Phase { phase, version } => words.extend(phase.words(*version)),
            Self::Reset { cri_socket } => {
                words.extend(["reset", "--force"]);
                more.extend(cri_socket.iter().map(|socket| format!("--cri-socket={}", socket.0)));
            }
            Self::Upgrade { upgrade, keep_certificates } => {
                words.push("upgrade");
                match upgrade {
                    Upgrade::Apply(version) => {
                        words.extend(["apply", "--yes"]);
                        more.push(version.to_string());
                    }
                    Upgrade::Node => words.push("node"),
                }
                words.extend(keep_certificates.then_some("--certificate-renewal=false"));
            }
        }
        words.into_iter().map(str::to_owned).chain(more).collect()
    }
}

/// Until 1.14 it was an experiment.
fn upload_flag(version: KubernetesVersion) -> &'static str {
    match version.kubeadm_api() {
        KubeadmApi::V1Beta1 => "--experimental-upload-certs",
        _ => "--upload-certs",
    }
}

impl Phase {
    fn words(self, version: KubernetesVersion) -> Vec<&'static str> {
        let init = |phase: &[&'static str]| [&["init", "phase"], phase, &["--config", paths::INIT]].concat();
        let join = |phase| vec!["join", "phase", "control-plane-prepare", phase, "--config", paths::JOIN];
        match self {
            Self::InitCerts => init(&["certs", "all"]),
            Self::InitApiserverCert => init(&["certs", "apiserver"]),
            Self::InitKubeconfig => init(&["kubeconfig", "all"]),
            Self::InitUploadCerts => {
                init(&["upload-certs", upload_flag(version), "--skip-certificate-key-print"])
            }
            Self::JoinDownloadCerts => join("download-certs"),
            Self::JoinCerts => join("certs"),
            Self::JoinKubeconfig => join("kubeconfig"),
        }
    }
}

impl Systemctl {
    fn words(self) -> Vec<String> {
        let words = match self {
            Self::DaemonReload => vec!["daemon-reload"],
            Self::Enable(unit) => vec!["enable", "--now", unit.name()],
            Self::Disable(unit) => vec!["disable", "--now", unit.name()],
            Self::Start(unit) => vec!["start", unit.name()],
            Self::Stop(unit) => vec!["stop", unit.name()],
            Self::Restart(unit) => vec!["restart", unit.name()],
        };
        ["systemctl", "--no-ask-password"].into_iter().chain(words).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(task: &str) -> String {
        let task: Task = serde_json::from_str(task).unwrap();
        task.command_line().unwrap().words.join(" ")
    }

    #[test]
    fn each_task_is_one_command_line() {
        for (task, expected) in [
            (
                r#"{"kubeadm": {"init": {"upload_certs": true, "version": "v1.34.1"}}}"#,
                "kubeadm init --config /var/lib/lvscare-installer/kubeadm-init.yaml --skip-token-print \
                 --skip-certificate-key-print --upload-certs",
            ),
            (
                r#"{"kubeadm": {"phase": {"phase": "init-upload-certs", "version": "v1.14.0"}}}"#,
                "kubeadm init phase upload-certs --experimental-upload-certs --skip-certificate-key-print --config \
                 /var/lib/lvscare-installer/kubeadm-init.yaml",
            ),
            (
                r#"{"kubeadm": {"phase": {"phase": "join-download-certs", "version": "v1.20.2"}}}"#,
                "kubeadm join phase control-plane-prepare download-certs --config \
                 /var/lib/lvscare-installer/kubeadm-join.yaml",
            ),
            (
                r#"{"kubeadm": {"join": {"ignore_preflight_errors": ["NumCPU", "Swap"], "verbosity": 5}}}"#,
                "kubeadm join --config /var/lib/lvscare-installer/kubeadm-join.yaml --ignore-preflight-errors=NumCPU \
                 --ignore-preflight-errors=Swap --v=5",
            ),
            (
                r#"{"kubeadm": {"reset": {"cri_socket": "unix:///run/x.sock"}}}"#,
                "kubeadm reset --force --cri-socket=unix:///run/x.sock",
            ),
            (
                r#"{"kubeadm": {"upgrade": {"upgrade": {"apply": "v1.30.2"}, "keep_certificates": true}}}"#,
                "kubeadm upgrade apply --yes --certificate-renewal=false v1.30.2",
            ),
            (
                r#"{"kubeadm": {"upgrade": {"upgrade": "node", "keep_certificates": false}}}"#,
                "kubeadm upgrade node",
            ),
            (
                r#"{"systemctl": {"restart": "kubelet"}}"#,
                "systemctl --no-ask-password restart kubelet.service",
            ),
            (r#"{"systemctl": "daemon-reload"}"#, "systemctl --no-ask-password daemon-reload"),
        ] {
            assert_eq!(words(task), expected, "{task}");
        }
    }

    #[test]
    fn no_word_comes_from_outside() {
        for bad in [
            r#"{"kubeadm": {"join": {"ignore_preflight_errors": ["all --config=/x"], "verbosity": null}}}"#,
            r#"{"kubeadm": {"join": {"ignore_preflight_errors": ["-x"], "verbosity": null}}}"#,
            r#"{"kubeadm": {"join": {"ignore_preflight_errors": [], "verbosity": 11}}}"#,
            r#"{"kubeadm": {"reset": {"cri_socket": "run/x.sock"}}}"#,
            r#"{"kubeadm": {"reset": {"cri_socket": "/run/x.sock\n--x"}}}"#,
            r#"{"kubeadm": {"upgrade": {"upgrade": {"apply": "v1.30.2 --force"}, "keep_certificates": true}}}"#,
            r#"{"systemctl": {"restart": "sshd"}}"#,
            r#"{"hook": {"package": "../../etc", "hook": "init"}}"#,
            r#"{"hook": {"package": "", "hook": "anything.sh"}}"#,
            r#"{"shell": "rm -rf /"}"#,
        ] {
            assert!(serde_json::from_str::<Task>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_script_runs_where_its_package_lies_and_keeps_no_lock() {
        let task = Task::Hook { package: crate::step::Content::new("", 0).digest(), hook: Hook::Init };
        let line = task.command_line().unwrap();
        let directory = line.directory.unwrap();
        assert_eq!(line.words, ["/bin/sh".to_owned(), directory.join("init.sh").display().to_string()]);
        assert!(directory.starts_with(paths::PACKAGES) && !task.keeps_lock());
        assert!(Task::Systemctl(Systemctl::DaemonReload).keeps_lock());
    }
}
