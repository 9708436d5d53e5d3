//! `init`, `join` and `clean`, the real program against real OpenSSH servers, on masters alone: nodes need IPVS, which this
//! kernel may not have. As root. kubeadm and kubectl there are scripts; who is asked, in which order, and what stays on the
//! hosts is real.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::apiserver::{ANY_TOKEN, Options, serve};
use tests::pki::Pki;
use tests::sshd::{Host, Setup, SshLab};
use tests::terminal::AtTerminal;

/// It does what is seen of kubeadm from outside, and records how it was called.
const KUBEADM: &str = r#"#!/bin/sh
test "$1" = version && { echo v1.20.2; exit; }
echo "kubeadm $*" >>/root/calls
case "$*" in
    "init --config "*) cp "$3" /root/init.yaml ;;
    "join --config "*)
        cp "$3" /root/join.yaml
        if test -e /root/fails; then
            # As kubeadm does, long before it is done.
            cp /root/kubelet.conf /etc/kubernetes/kubelet.conf
            : >/etc/kubernetes/manifests/etcd.yaml
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
: >/etc/kubernetes/manifests/etcd.yaml
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

/// Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Three masters to be.
struct Stage {
    lab: SshLab,
    hosts: Vec<Host>,
    _runtimes: Vec<UnixListener>,
}

impl Stage {
    fn new() -> Self {
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
        let files = vec![
            file("usr/local/bin/kubeadm", 0o755, KUBEADM.as_bytes()),
            file("usr/local/bin/kubectl", 0o755, KUBECTL.as_bytes()),
            file("usr/local/bin/kubelet", 0o755, KUBELET.as_bytes()),
            file("root/pki/ca.crt", 0o644, &fs::read(pki.ca()).unwrap()),
            file("root/pki/ca.key", 0o600, &fs::read(pki.ca().with_extension("key")).unwrap()),
            file("root/pki/apiserver.crt", 0o644, &fs::read(own.certificate).unwrap()),
            file("root/pki/apiserver.key", 0o600, &fs::read(own.key).unwrap()),
            file("root/kubelet.conf", 0o600, kubelet.as_bytes()),
            file("root/nodes", 0o644, nodes.as_bytes()),
        ];
        let hosts = lab.hosts(3, &Setup { files, ..Setup::default() });
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

    fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut command = self.command(words);
        command.stdin(Stdio::null());
        let Output { status, stdout, stderr } = self.lab.enter(|| command.output().unwrap());
        let text = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
        (status.code(), text)
    }

    fn command(&self, words: &[&str]) -> Command {
        let key = self.lab.key().display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lvscare-installer"));
        command
            .args(words)
            .arg("--log-dir")
            .arg(self.lab.home().join("logs"))
            .args(["--master", "10.9.1.1-10.9.1.3", "--pk", &key])
            .stdin(Stdio::null());
        command.env("HOME", self.lab.home()).env_remove("SSH_AUTH_SOCK").env("PATH", "/nowhere");
        command
    }

    /// How kubeadm and kubectl were called on a host since it was asked before.
    fn calls(&self, host: usize) -> String {
        let path = self.hosts[host].path("/root/calls");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text
    }

    fn read(&self, host: usize, path: &str) -> String {
        fs::read_to_string(self.hosts[host].path(path)).unwrap_or_default()
    }
}

#[track_caller]
fn expect(seen: &(Option<i32>, String), code: i32, text: &str) {
    assert!(seen.0 == Some(code) && seen.1.contains(text), "{code} {text:?} / {:?}\n{}", seen.0, seen.1);
}

#[test]
fn whoever_is_asked_can_say_no_or_go_away() {
    let stage = Stage::new();
    for (answer, wanted) in [("n\n", "nothing was changed"), ("", "nothing was changed")] {
        let mut init = stage.lab.enter(|| AtTerminal::spawn(&mut stage.command(&["init"])).unwrap());
        init.expect("do it? [y/N] ", LIMIT);
        if answer.is_empty() {
            init.signal(Signal::SIGINT);
        } else {
            init.write(answer);
        }
        assert_eq!(init.wait(LIMIT).code(), Some(130), "{}", init.screen());
        init.expect(wanted, LIMIT);
    }
    for host in 0..3 {
        assert_eq!(stage.calls(host), "");
    }
    // Nobody holds the hosts.
    expect(&stage.run(&["init", "--dry-run"]), 0, "masters, one by one");
}

#[test]
fn a_cluster_is_made_mended_and_taken_away() {
    let stage = Stage::new();
    // Only shown: nothing is done, and nothing stays.
    let planned = stage.run(&["init", "--dry-run", "--detailed-exitcode"]);
    expect(&planned, 10, "masters, one by one");
    for host in 0..3 {
        assert_eq!(stage.calls(host), "");
    }
    // Whatever is wrong anywhere is told before anything is done.
    let refused = stage.run(&["init", "--yes", "--version", "v1.21.0"]);
    for host in 1..=3 {
        expect(&refused, 4, &format!("10.9.1.{host}: kubeadm is v1.20.2, and --version is v1.21.0"));
    }
    // What each host finds on itself as well.
    fs::write(stage.hosts[1].path("/etc/hosts"), "127.0.0.1 localhost\n10.9.9.9 apiserver.cluster.local\n")
        .unwrap();
    let etcd = stage.hosts[2].namespace().enter(|| TcpListener::bind("10.9.1.3:2379").unwrap());
    let refused = stage.run(&["init", "--yes"]);
    expect(
        &refused,
        4,
        "10.9.1.2: hosts-entry: line 2 of /etc/hosts says what apiserver.cluster.local means",
    );
    expect(&refused, 4, "10.9.1.3: port-in-use: port 2379 is in use, and it is not etcd; see who has it");
    for host in 0..3 {
        assert_eq!(stage.calls(host), "", "nothing was begun anywhere");
    }
    drop(etcd);
    fs::write(stage.hosts[1].path("/etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    // The third master fails, and what is done stays done.
    fs::write(stage.hosts[2].path("/root/fails"), "").unwrap();
    let failed = stage.run(&["init", "--yes"]);
    expect(&failed, 1, "10.9.1.3: kubeadm join: its program ended with 1");
    expect(&failed, 1, "error execution phase etcd-join: no");
    let phases = "--config /var/lib/lvscare-installer/kubeadm-init.yaml";
    assert_eq!(
        stage.calls(0),
        format!(
            "kubeadm init phase certs all {phases}\nkubeadm init phase kubeconfig all {phases}\nkubeadm init {phases} \
             --skip-token-print --skip-certificate-key-print --upload-certs\nkubectl delete secret --namespace=kube-system\n"
        )
    );
    let config = stage.read(0, "/root/init.yaml");
    for line in [
        "controlPlaneEndpoint: \"apiserver.cluster.local:6443\"\n",
        "  - \"10.103.97.2/32\"\n",
        "\ncertificateKey: ",
        "  ttl: ",
    ] {
        assert!(config.contains(line), "{line}: {config}");
    }
    assert!(stage.calls(1).ends_with("kubeadm join --config /var/lib/lvscare-installer/kubeadm-join.yaml\n"));
    for host in 0..2 {
        let own = format!("10.9.1.{} apiserver.cluster.local", host + 1);
        assert!(stage.read(host, "/etc/hosts").contains(&own), "{}", stage.read(host, "/etc/hosts"));
    }
    // The same command goes on with what is missing, and then there is nothing.
    fs::remove_file(stage.hosts[2].path("/root/fails")).unwrap();
    let mended = stage.run(&["init", "--yes"]);
    expect(&mended, 0, "done in ");
    assert!(stage.calls(0).starts_with("kubectl get nodes"), "it works already, and is asked");
    assert!(stage.calls(2).contains("kubeadm reset --force\n"), "what was left half done is in the way");
    assert!(stage.read(0, "/root/applied").contains("bootstrap-token-"));
    assert!(stage.read(0, "/root/upload.yaml").contains("certificateKey: "));
    assert!(stage.read(2, "/etc/hosts").contains("10.9.1.3 apiserver.cluster.local"));
    expect(&stage.run(&["join", "--yes"]), 0, "all is as it should be; nothing was changed");
    // Certificates outlive the people who made them.
    for host in 0..3 {
        let certificate = stage.hosts[host].path("/etc/kubernetes/pki/apiserver.crt");
        let ninety = ["x509", "-noout", "-checkend", "2838240000", "-in"];
        let checked = Command::new("openssl").args(ninety).arg(certificate).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
    // No secret lies about on a host.
    for (host, path) in [(0, "init"), (1, "join"), (2, "join")] {
        let path = format!("/var/lib/lvscare-installer/kubeadm-{path}.yaml");
        assert!(!stage.hosts[host].path(&path).exists(), "{path}");
    }
    // One master of two that work must stay, or etcd would stand still.
    fs::remove_file(stage.hosts[2].path("/etc/kubernetes/kubelet.conf")).unwrap();
    let guarded = stage.run(&["clean", "--yes", "--limit", "10.9.1.1"]);
    expect(&guarded, 4, "etcd has no majority");
    for host in 0..3 {
        stage.calls(host);
    }
    let gone = stage.run(&["clean", "--yes"]);
    expect(&gone, 0, "done in ");
    for host in 0..2 {
        assert_eq!(stage.calls(host).lines().last(), Some("kubeadm reset --force"));
        assert!(!stage.read(host, "/etc/hosts").contains("apiserver.cluster.local"));
        assert!(!stage.hosts[host].path("/etc/kubernetes").exists());
    }
}
