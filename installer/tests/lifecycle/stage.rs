//! Three masters to be, each a real OpenSSH server. kubeadm and kubectl there are scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tests::apiserver::{ANY_TOKEN, Options, serve};
use tests::pki::Pki;
use tests::program::program;
use tests::sshd::{Host, Setup, SshLab};

/// It does what is seen of kubeadm from outside, and records how it was called.
const KUBEADM: &str = r#"#!/bin/sh
test "$1" = version && { echo v1.20.2; exit; }
echo "kubeadm $*" >>/root/calls
case "$*" in
    "init --config "*)
        cp "$3" /root/init.yaml
        if test -e /root/hangs; then rm /root/hangs; touch /root/hanging; sleep 7777; fi
        ;;
    "join --config "*)
        cp "$3" /root/join.yaml
        if test -e /root/hangs; then rm /root/hangs; touch /root/hanging; sleep 7777; fi
        if test -e /root/fails; then
            # As kubeadm does, long before it is done.
            cp /root/kubelet.conf /etc/kubernetes/kubelet.conf
            cp /root/etcd.yaml /etc/kubernetes/manifests
            echo "error execution phase etcd-join: no"
            exit 1
        fi
        ;;
    "init phase upload-certs "*) cp /var/lib/lvscare-installer/kubeadm-init.yaml /root/upload.yaml; exit ;;
    "reset "*) rm -rf /etc/kubernetes; exit ;;
    "init phase certs "* | "join phase control-plane-prepare certs "*)
        mkdir -p /etc/kubernetes/manifests
        cp -r /root/pki /etc/kubernetes
        exit
        ;;
    *) exit ;;
esac
mkdir -p /etc/kubernetes/manifests
cp /root/kubelet.conf /etc/kubernetes/kubelet.conf
cp /root/etcd.yaml /etc/kubernetes/manifests
: >/root/serves
"#;

/// What the cluster says, it says from a file.
const KUBECTL: &str = r#"#!/bin/sh
test "$1" = version && { echo "Client Version: v1.20.2"; exit; }
echo "kubectl $3 $4 $5" >>/root/calls
case "$3" in
    get) cat /root/nodes ;;
    apply) cat >/root/applied; echo applied ;;
    *) echo done ;;
esac
"#;

const KUBELET: &str = "#!/bin/sh\necho Kubernetes v1.20.2\n";

/// A container runtime's client, which has what was imported.
const CTR: &str = r#"#!/bin/sh
case "$*" in
    *"images import"*) echo "ctr import" >>/root/calls; cat /root/package-images >/root/images ;;
    *) test ! -e /root/images || cat /root/images ;;
esac
"#;

const SYSTEMCTL: &str = r#"#!/bin/sh
test "$1" = is-active && { echo inactive; echo active; echo inactive; echo inactive; exit 3; }
echo "systemctl $2 $3 $4" >>/root/calls
"#;

/// What etcd runs as: a program of that name that does nothing.
const ETCD: &str =
    "spec:\n  containers:\n  - image: k8s.gcr.io/etcd:3.4.13-0\n    command: [etcd, infinity]\n";

/// It knows three members from the beginning, all well but for one that a test names.
const ETCDCTL: &str = r#"#!/bin/sh
case "$*" in
    *"member list") cat /root/members ;;
    *"member remove "*) echo "etcdctl member remove ${*##* }" >>/root/calls ;;
    *"endpoint "*)
        if test -e /root/sick; then
            case "$1" in *"$(cat /root/sick)"*) echo "context deadline exceeded" >&2; exit 1 ;; esac
        fi
        echo '[{"Endpoint": "x", "Status": {"version": "3.4.13", "dbSize": 7, "leader": 1}}]'
        ;;
    *"snapshot save "*) echo "etcdctl snapshot save" >>/root/calls; echo saved >"${*##* }" ;;
    *"snapshot status "*) echo '{"hash": 1, "revision": 2, "totalKey": 3, "totalSize": 4}' ;;
esac
"#;

/// What a package brings, and what is there beside it.
const PROGRAMS: [(&str, &str); 3] = [("kubeadm", KUBEADM), ("kubectl", KUBECTL), ("kubelet", KUBELET)];
const BESIDE: [(&str, &str); 2] = [("ctr", CTR), ("systemctl", SYSTEMCTL)];

/// The images of a package.
const IMAGES: [&str; 8] = [
    "k8s.gcr.io/kube-apiserver:v1.20.2",
    "k8s.gcr.io/kube-controller-manager:v1.20.2",
    "k8s.gcr.io/kube-scheduler:v1.20.2",
    "k8s.gcr.io/kube-proxy:v1.20.2",
    "k8s.gcr.io/pause:3.2",
    "k8s.gcr.io/etcd:3.4.13-0",
    "k8s.gcr.io/coredns:1.7.0",
    "docker.io/library/lvscare:0.1.0",
];

/// Three masters to be.
pub(crate) struct Stage {
    pub(crate) lab: SshLab,
    pub(crate) hosts: Vec<Host>,
    _runtimes: Vec<UnixListener>,
}

impl Stage {
    /// Hosts that have all programs, or only what a package does not bring.
    pub(crate) fn new(has_programs: bool) -> Self {
        let lab = SshLab::new();
        let pki = Pki::new(&lab.home()).unwrap();
        fs::write(lab.home().join(ANY_TOKEN), "").unwrap();
        let own = pki
            .certificate("apiserver", &["kubernetes"], Duration::ZERO, Duration::from_secs(2_000_000_000))
            .unwrap();
        let kubelet = "apiVersion: v1\nclusters:\n- name: kubernetes\n  cluster:\n    certificate-authority: \
                       /etc/kubernetes/pki/ca.crt\n";
        let node = |host| format!("host{host}\t10.9.1.{host} \tmaster \tv1.20.2\t<no value>\tTrue\n");
        let nodes = [1, 2, 3].map(node).concat();
        let file = |path: &str, mode, text: &[u8]| (path.to_owned(), mode, text.to_vec());
        let etcd = |host| {
            format!(
                r#"{{"ID": {host}, "name": "host{host}", "peerURLs": ["https://10.9.1.{host}:2380"], "clientURLs": ["https://10.9.1.{host}:2379"]}}"#
            )
        };
        let etcd = format!(r#"{{"members": [{}]}}"#, [1, 2, 3].map(etcd).join(","));
        let mut files = vec![
            file("root/members", 0o644, etcd.as_bytes()),
            file("root/etcd.yaml", 0o600, ETCD.as_bytes()),
            file("usr/local/bin/etcdctl", 0o755, ETCDCTL.as_bytes()),
            file("var/lib/etcd/member/here", 0o600, b""),
            file("root/pki/ca.crt", 0o644, &fs::read(pki.ca()).unwrap()),
            file("root/pki/ca.key", 0o600, &fs::read(pki.ca().with_extension("key")).unwrap()),
            file("root/pki/apiserver.crt", 0o644, &fs::read(own.certificate).unwrap()),
            file("root/pki/apiserver.key", 0o600, &fs::read(own.key).unwrap()),
            file("root/kubelet.conf", 0o600, kubelet.as_bytes()),
            file("root/nodes", 0o644, nodes.as_bytes()),
            file("root/package-images", 0o644, IMAGES.map(|image| format!("{image}\n")).concat().as_bytes()),
        ];
        let programs: &[_] = if has_programs { &PROGRAMS } else { &BESIDE };
        for (name, script) in programs {
            files.push(file(&format!("usr/local/bin/{name}"), 0o755, script.as_bytes()));
        }
        let hosts = lab.hosts(3, &Setup { files, ..Setup::default() });
        for host in &hosts {
            let etcd = "cp /bin/sleep /usr/local/bin/etcd; setsid -f /usr/local/bin/etcd infinity </dev/null >/dev/null 2>&1";
            host.check(&["/bin/sh", "-c", etcd]);
        }
        let known: String = hosts.iter().map(Host::known_hosts).collect();
        fs::write(lab.home().join(".ssh/known_hosts"), known).unwrap();
        let runtimes = hosts.iter().map(|host| {
            fs::create_dir_all(host.path("/run/containerd")).unwrap();
            UnixListener::bind(host.path("/run/containerd/containerd.sock")).unwrap()
        });
        let runtimes = runtimes.collect();
        for (number, host) in hosts.iter().enumerate() {
            let identity = pki.apiserver(&format!("m{number}"), &[host.address]).unwrap();
            let options = Options {
                listen: (host.address, 6443).into(),
                name: format!("m{number}"),
                identity,
                control: lab.home().join(format!("m{number}.sock")),
                client_ca: None,
                token: None,
            };
            let is_made = host.path("/root/serves");
            // It begins when kubeadm has made it, and ends with the process.
            host.namespace().thread(move || {
                while !is_made.exists() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(serve(options)).unwrap();
            });
        }
        Self { lab, hosts, _runtimes: runtimes }
    }

    /// Runs the program for all three.
    pub(crate) fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        self.ended(&mut self.command(words))
    }

    /// Runs the program, which logs in with the laboratory's key.
    pub(crate) fn run_alone(&self, words: &[&str]) -> (Option<i32>, String) {
        self.ended(&mut self.alone(words))
    }

    /// Runs the program, which asks no host.
    pub(crate) fn run_here(&self, words: &[&str]) -> (Option<i32>, String) {
        self.ended(self.here().args(words))
    }

    /// The program, for all three.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.alone(&[words, &["--master", "10.9.1.1-10.9.1.3"]].concat())
    }

    fn alone(&self, words: &[&str]) -> Command {
        let mut command = self.here();
        command.args(words).arg("--log-dir").arg(self.lab.home().join("logs"));
        command.arg("--pk").arg(self.lab.key());
        command
    }

    fn here(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lvscare-installer"));
        command.env("HOME", self.lab.home()).env_remove("SSH_AUTH_SOCK").env("PATH", "/nowhere");
        command.stdin(Stdio::null());
        command
    }

    fn ended(&self, command: &mut Command) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.lab.enter(|| command.output().unwrap());
        let text = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
        (status.code(), text)
    }

    /// How kubeadm and kubectl were called on a host since it was asked before.
    pub(crate) fn calls(&self, host: usize) -> String {
        let path = self.hosts[host].path("/root/calls");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text
    }

    /// A file of a host.
    pub(crate) fn read(&self, host: usize, path: &str) -> String {
        fs::read_to_string(self.hosts[host].path(path)).unwrap_or_default()
    }
}

/// How it ended, and what it said.
#[track_caller]
pub(crate) fn expect(seen: &(Option<i32>, String), code: i32, text: &str) {
    assert!(seen.0 == Some(code) && seen.1.contains(text), "{code} {text:?} / {:?}\n{}", seen.0, seen.1);
}

/// A directory of which a package can be made. Its script fails where it is told to.
pub(crate) fn kube(place: &Path) {
    for directory in ["bin", "images", "shell"] {
        fs::create_dir_all(place.join(directory)).unwrap();
    }
    for (name, script) in PROGRAMS {
        let path = place.join("bin").join(name);
        fs::write(&path, program(script)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let init = "test -x ../bin/kubeadm || exit 2\necho init.sh >>/root/calls\ntest ! -e /root/init-fails\n";
    fs::write(place.join("shell/init.sh"), init).unwrap();
    fs::write(place.join("shell/master.sh"), "echo master.sh >>/root/calls\n").unwrap();
    let entries = IMAGES.map(|image| format!(r#"{{"RepoTags": ["{image}"]}}"#));
    fs::write(place.join("images/manifest.json"), format!("[{}]", entries.join(","))).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(place.join("images")).args(["--remove-files", "-cf"]);
    let made = tar.arg(place.join("images/images.tar")).arg("manifest.json").status().unwrap();
    assert!(made.success());
}
