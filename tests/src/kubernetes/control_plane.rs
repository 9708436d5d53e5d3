//! etcd, three kube-apiservers, and the part of kube-controller-manager that a join needs: on this machine, each in a
//! namespace.
//!
//! kubeadm prepares certificates, configuration and the bootstrap token, as for any cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::daemon::Daemon;
use super::master::Master;
use super::names::Names;
use super::network::{MASTERS, Network};
use super::patiently;
use crate::netns::Namespace;
use crate::vm::output;

/// The name of the virtual server.
pub const NAME: &str = "apiserver.cluster.local";

/// The version of all programs.
const VERSION: &str = "v1.20.2";

/// Where etcd is, behind the masters.
const ETCD: &str = "http://10.1.0.100:2379";

/// On a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// The control plane; dropping it ends it.
pub struct ControlPlane {
    /// The masters.
    pub masters: Vec<Master>,
    // Dropped in this order: a namespace with a process inside would live on. etcd and kube-controller-manager:
    daemons: Vec<Daemon>,
    _names: Names,
    network: Network,
    programs: PathBuf,
    etcd: PathBuf,
    work: PathBuf,
}

impl ControlPlane {
    /// Starts it with the Kubernetes programs in `programs` and etcd's tree; keeps files and logs in `work`.
    pub fn start(programs: &Path, etcd: &Path, work: &Path) -> Result<Self> {
        let network = Network::new()?;
        let names = Names::new(&network.net, &format!("127.0.0.1 localhost\n10.0.0.1 {NAME}\n"))?;
        let mut this = Self {
            masters: Vec::new(),
            daemons: Vec::new(),
            _names: names,
            programs: programs.to_owned(),
            etcd: etcd.join("usr/bin"),
            work: work.to_owned(),
            network,
        };
        // Here the certificates are elsewhere than on the nodes, and kubelet is told where they are.
        fs::write(this.config(), configuration(&work.join("pki")))?;
        for phase in [&["certs", "all"][..], &["kubeconfig", "admin", "--kubeconfig-dir", &text(work)]] {
            this.kubeadm_phase(phase)?;
        }
        let etcd = this.start_etcd()?;
        this.daemons.push(etcd);
        this.start_masters();
        this.register_master()?;
        fs::write(this.config(), configuration(Path::new("/etc/kubernetes/pki")))?;
        for phase in [&["upload-config", "all"][..], &["bootstrap-token"]] {
            this.kubeadm_phase(&[phase, &["--kubeconfig", &text(&this.admin())]].concat())?;
        }
        let manager = this.start_manager()?;
        this.daemons.push(manager);
        Ok(this)
    }

    /// The laboratory's own place in the network.
    pub fn net(&self) -> &Namespace {
        &self.network.net
    }

    /// Runs `kubectl` with the administrator's rights, at the master of that number. `None` when it fails.
    pub fn kubectl(&self, number: u8, words: &[&str]) -> Option<String> {
        let (program, admin) = (text(&self.programs.join("kubectl")), text(&self.admin()));
        let server = format!("https://10.0.0.{number}:6443");
        let first = [&program, "--kubeconfig", &admin, "--server", &server, "--request-timeout", "5s"];
        let output = self.net().run(&[&first, words].concat());
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A kubeconfig of a new user, by which the virtual server is asked.
    pub fn kubeconfig(&self, user: &str) -> Result<String> {
        fs::write(self.config(), configuration(&self.work.join("pki")))?;
        let config = text(&self.config());
        self.kubeadm(&["alpha", "kubeconfig", "user", "--client-name", user, "--config", &config])
    }

    /// What an administrator is told for a new node: a token, and the hash by which the node knows the cluster.
    pub fn invitation(&self) -> Result<(String, String)> {
        let admin = text(&self.admin());
        let command = self.kubeadm(&["token", "create", "--print-join-command", "--kubeconfig", &admin])?;
        let after = |option| command.split_whitespace().skip_while(|word| *word != option).nth(1);
        let found = after("--token").zip(after("--discovery-token-ca-cert-hash"));
        let (token, hash) = found.with_context(|| format!("no invitation: {command}"))?;
        Ok((token.to_owned(), hash.to_owned()))
    }

    /// `etcdctl`, with more words.
    pub fn etcdctl(&self) -> Command {
        let mut command = Command::new(self.etcd.join("etcdctl"));
        command.env("ETCDCTL_API", "3").args(["--endpoints", ETCD]);
        command
    }

    fn start_etcd(&self) -> Result<Daemon> {
        let mut command = Command::new(self.etcd.join("etcd"));
        command.arg("--data-dir").arg(self.work.join("etcd"));
        command.args(["--listen-client-urls", ETCD, "--advertise-client-urls", ETCD]);
        Ok(Daemon::start(self.net(), &mut command, &self.work.join("etcd.log"))?)
    }

    fn start_masters(&mut self) {
        for (number, namespace) in (1..=MASTERS).zip(&self.network.masters) {
            let mut master = Master {
                number,
                namespace: namespace.clone(),
                net: self.network.net.clone(),
                program: self.programs.join("kube-apiserver"),
                arguments: apiserver(number, &self.work.join("pki")),
                log: self.work.join(format!("kube-apiserver-{number}.log")),
                server: None,
            };
            master.start();
            self.masters.push(master);
        }
        for number in 1..=MASTERS {
            self.wait_ready(number);
        }
    }

    /// Waits until that master is ready.
    #[track_caller]
    pub fn wait_ready(&self, number: u8) {
        patiently(LIMIT, "an apiserver is ready", || self.kubectl(number, &["get", "--raw", "/readyz"]));
    }

    /// kubeadm wants to note something on the master's Node, which its kubelet would make; it has none here.
    fn register_master(&self) -> Result<()> {
        let labels = json!({ "kubernetes.io/hostname": "m1" });
        let node =
            json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "m1", "labels": labels } });
        let file = self.work.join("m1.json");
        fs::write(&file, node.to_string())?;
        self.kubectl(1, &["create", "--filename", &text(&file)]).context("the Node of a master")?;
        Ok(())
    }

    /// Signs what kubelet asks for, and the cluster's description with the token; nothing else is needed here. As the
    /// administrator: its own rights are those of service accounts, which nobody makes here.
    fn start_manager(&self) -> Result<Daemon> {
        let pki = self.work.join("pki");
        let mut command = Command::new(self.programs.join("kube-controller-manager"));
        command.arg("--kubeconfig").arg(self.admin());
        command.args(["--master", "https://10.0.0.1:6443", "--leader-elect=false", "--port=0"]);
        command.arg("--controllers=bootstrapsigner,csrapproving,csrsigning");
        command.arg("--cluster-signing-cert-file").arg(pki.join("ca.crt"));
        command.arg("--cluster-signing-key-file").arg(pki.join("ca.key"));
        command.args(["--bind-address", "127.0.0.1", "--cert-dir"]).arg(&self.work);
        Ok(Daemon::start(self.net(), &mut command, &self.work.join("kube-controller-manager.log"))?)
    }

    fn kubeadm_phase(&self, phase: &[&str]) -> Result<String> {
        let config = text(&self.config());
        self.kubeadm(&[&["init", "phase"], phase, &["--config", &config]].concat())
    }

    /// With the names of [`Names`]: what kubeadm writes for nodes names the virtual server.
    fn kubeadm(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.net().name()]).arg(self.programs.join("kubeadm")).args(words);
        output(&mut command)
    }

    fn config(&self) -> PathBuf {
        self.work.join("kubeadm.yaml")
    }

    fn admin(&self) -> PathBuf {
        self.work.join("admin.conf")
    }
}

/// JSON is YAML.
fn configuration(pki: &Path) -> String {
    let init = json!({
        "apiVersion": "kubeadm.k8s.io/v1beta2",
        "kind": "InitConfiguration",
        "localAPIEndpoint": { "advertiseAddress": "10.0.0.1", "bindPort": 6443 },
        "nodeRegistration": { "name": "m1", "criSocket": "/run/containerd/containerd.sock" },
    });
    let cluster = json!({
        "apiVersion": "kubeadm.k8s.io/v1beta2",
        "kind": "ClusterConfiguration",
        "apiServer": { "certSANs": ["10.0.0.1", "10.0.0.2", "10.0.0.3", NAME] },
        "certificatesDir": pki,
        "controlPlaneEndpoint": format!("{NAME}:6443"),
        "etcd": { "external": { "endpoints": [ETCD], "caFile": "", "certFile": "", "keyFile": "" } },
        "kubernetesVersion": VERSION,
        // The virtual address must lie outside.
        "networking": { "podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/22" },
    });
    format!("{init}\n---\n{cluster}\n")
}

/// As kubeadm starts it, but for what nobody uses here.
fn apiserver(number: u8, pki: &Path) -> Vec<String> {
    let file = |option: &str, name: &str| format!("--{option}={}", text(&pki.join(name)));
    let mut words = vec![
        format!("--advertise-address=10.0.0.{number}"),
        format!("--etcd-servers={ETCD}"),
        file("client-ca-file", "ca.crt"),
        file("kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        file("kubelet-client-key", "apiserver-kubelet-client.key"),
        file("service-account-key-file", "sa.pub"),
        file("service-account-signing-key-file", "sa.key"),
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
    ];
    words.extend(
        [
            "--allow-privileged=true",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--enable-bootstrap-token-auth=true",
            "--insecure-port=0",
            "--secure-port=6443",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-cluster-ip-range=10.96.0.0/22",
            // Load balancers need time to notice that it goes.
            "--shutdown-delay-duration=5s",
        ]
        .map(str::to_owned),
    );
    words
}

fn text(path: &Path) -> String {
    path.to_str().expect("paths of ours are text").to_owned()
}
