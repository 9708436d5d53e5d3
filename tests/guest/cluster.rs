//! `lvscare-installer init` and `join` of masters and nodes: real OpenSSH servers, each host with rules of its own
//! in a kernel that has IPVS. kubeadm and kubectl are scripts; on a node kubeadm goes the way of all clients, by the name and
//! through the virtual server, and starts the daemon as kubelet would.
//!
//! It needs Debian's packages, and runs when it is named.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "what a person would see is worth a look")]

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tests::apiserver::{ANY_TOKEN, Options, serve};
use tests::pki::Pki;
use tests::sshd::{Host, Setup, SshLab};
use tests::wait::eventually;

/// Generous: the machine is emulated.
const LIMIT: Duration = Duration::from_secs(120);

/// Masters 1 to 3, of which the third comes later, and nodes 4 and 5.
const HOSTS: usize = 5;

const KUBEADM: &str = r#"#!/bin/bash
test "$1" = version && { echo v1.20.2; exit; }
echo "kubeadm $*" >>/root/calls
case "$*" in
    "init phase certs "* | "join phase control-plane-prepare certs "*)
        mkdir -p /etc/kubernetes
        cp -r /root/pki /etc/kubernetes
        exit
        ;;
    "reset "*)
        test -e /root/daemon && kill $(cat /root/daemon)
        rm -rf /etc/kubernetes
        exit
        ;;
    "init --config "* | "join --config "*) ;;
    *) exit ;;
esac
mkdir -p /etc/kubernetes/pki /etc/kubernetes/manifests
cp -n /root/pki/ca.crt /etc/kubernetes/pki
if test -e /root/is-node; then
    exec 3<>/dev/tcp/apiserver.cluster.local/6443 || { echo "no way to the apiservers"; exit 1; }
    words=$(sed -n 's/^    - --/--/p' /etc/kubernetes/manifests/kube-lvscare.yaml)
    # kubelet would start it, which has nothing of ours open, and not the lock of this run.
    for file in /proc/self/fd/*; do
        number=${file##*/}
        test "$number" -le 2 || eval "exec $number>&-"
    done
    setsid lvscare care $words </dev/null >/root/daemon.log 2>&1 &
    echo $! >/root/daemon
else
    cp /root/etcd.yaml /etc/kubernetes/manifests
    : >/root/serves
fi
cp /root/kubelet.conf /etc/kubernetes/kubelet.conf
"#;

const KUBECTL: &str = r#"#!/bin/sh
test "$1" = version && { echo "Client Version: v1.20.2"; exit; }
echo "kubectl $3 $4 $5" >>/root/calls
case "$3" in
    get) cat /root/nodes ;;
    *) cat >/dev/null; echo done ;;
esac
"#;

/// What etcd runs as: a program of that name that does nothing.
const ETCD: &str =
    "spec:\n  containers:\n  - image: k8s.gcr.io/etcd:3.4.13-0\n    command: [etcd, infinity]\n";

/// Its one member is well.
const ETCDCTL: &str = r#"#!/bin/sh
case "$*" in
    *"member list") echo '{"members": [{"ID": 1, "name": "etcd", "clientURLs": ["https://10.9.1.1:2379"]}]}' ;;
    *"member remove "*) echo "etcdctl member remove ${*##* }" >>/root/calls ;;
    *"endpoint "*) echo '[{"Endpoint": "x", "Status": {"version": "3.4.13", "leader": 1}}]' ;;
    *"snapshot save "*) echo saved >"${*##* }" ;;
    *"snapshot status "*) echo '{"hash": 1, "revision": 2, "totalKey": 3}' ;;
esac
"#;

const KUBELET: &str = "#!/bin/sh\necho Kubernetes v1.20.2\n";

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
        let own =
            pki.certificate("apiserver", &["kubernetes"], Duration::ZERO, Duration::from_secs(2_000_000_000));
        let own = own.unwrap();
        let kubelet = "apiVersion: v1\nclusters:\n- name: kubernetes\n  cluster:\n    certificate-authority: \
                       /etc/kubernetes/pki/ca.crt\n";
        let role = |host| if host < 4 { "master " } else { "" };
        let node = |host| format!("host{host}\t10.9.1.{host} \t{}\tv1.20.2\t<no value>\tTrue\n", role(host));
        let nodes = (1..=HOSTS).map(node).collect::<Vec<_>>().concat();
        let file = |path: &str, mode, text: &[u8]| (path.to_owned(), mode, text.to_vec());
        let files = vec![
            file("usr/local/bin/kubeadm", 0o755, KUBEADM.as_bytes()),
            file("usr/local/bin/kubectl", 0o755, KUBECTL.as_bytes()),
            file("usr/local/bin/kubelet", 0o755, KUBELET.as_bytes()),
            file("root/etcd.yaml", 0o600, ETCD.as_bytes()),
            file("usr/local/bin/etcdctl", 0o755, ETCDCTL.as_bytes()),
            file("var/lib/etcd/member/here", 0o600, b""),
            file("root/pki/ca.crt", 0o644, &fs::read(pki.ca()).unwrap()),
            file("root/pki/ca.key", 0o600, &fs::read(pki.ca().with_extension("key")).unwrap()),
            file("root/pki/apiserver.crt", 0o644, &fs::read(own.certificate).unwrap()),
            file("root/pki/apiserver.key", 0o600, &fs::read(own.key).unwrap()),
            file("root/kubelet.conf", 0o600, kubelet.as_bytes()),
            file("root/nodes", 0o644, nodes.as_bytes()),
        ];
        let hosts = lab.hosts(HOSTS, &Setup { files, ..Setup::default() });
        let known: String = hosts.iter().map(Host::known_hosts).collect();
        fs::write(lab.home().join(".ssh/known_hosts"), known).unwrap();
        let runtimes = hosts.iter().map(|host| {
            fs::create_dir_all(host.path("/run/containerd")).unwrap();
            UnixListener::bind(host.path("/run/containerd/containerd.sock")).unwrap()
        });
        let runtimes = runtimes.collect();
        for (number, host) in hosts.iter().enumerate() {
            if number >= 3 {
                fs::write(host.path("/root/is-node"), "").unwrap();
                continue;
            }
            // A shell by that name: busybox's sleep goes by what it is called, and its setsid waits.
            let etcd = "setsid bash -c \"exec -a etcd bash -c 'sleep infinity; :' infinity\" </dev/null >/dev/null 2>&1 &";
            host.check(&["/bin/sh", "-c", etcd]);
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
        let begin = Instant::now();
        let key = self.lab.key().display().to_string();
        let mut command = Command::new("lvscare-installer");
        command.args(words).args(["--yes", "--pk", &key]).stdin(Stdio::null());
        command.env("HOME", self.lab.home());
        let Output { status, stdout, stderr } = self.lab.enter(|| command.output().unwrap());
        let text = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
        println!("$ lvscare-installer {}\n{text}({:.1?})\n", words.join(" "), begin.elapsed());
        (status.code(), text)
    }

    /// Waits until the daemon of a node has exactly these masters, all of them well.
    #[track_caller]
    fn guards(&self, host: usize, masters: &[&str]) {
        let wanted: Vec<_> = masters.iter().map(|master| format!("{master}:6443")).collect();
        eventually(LIMIT, "the masters of a node", || {
            let output = self.hosts[host].inside(&["lvscare", "status"]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let rows = text.lines().filter(|line| line.starts_with("10.9."));
            let rows: Vec<_> = rows.map(|line| line.split_whitespace().take(2).collect::<Vec<_>>()).collect();
            let alive = rows.iter().all(|row| row.get(1) == Some(&"alive"));
            (alive && rows.iter().map(|row| row[0]).eq(wanted.iter().map(String::as_str))).then_some(())
        });
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
fn a_cluster_is_made_and_a_node_joins_it() {
    let stage = Stage::new();
    let (two, three) = ("10.9.1.1-10.9.1.2", "10.9.1.1-10.9.1.3");
    expect(&stage.run(&["init", "--master", two, "--node", "10.9.1.4"]), 0, "done in ");
    stage.guards(3, &["10.9.1.1", "10.9.1.2"]);
    assert!(stage.read(3, "/etc/hosts").contains("10.103.97.2 apiserver.cluster.local"));
    fs::write(stage.hosts[2].path("/root/serves"), "").unwrap();
    // A node is joined by whoever knows one master: the cluster knows the others.
    expect(&stage.run(&["join", "--master", "10.9.1.1", "--node", "10.9.1.5"]), 0, "done in ");
    stage.guards(4, &["10.9.1.1", "10.9.1.2", "10.9.1.3"]);
    // A third master, of which nodes have to learn: whoever is forgotten is named.
    let forgotten = stage.run(&["join", "--master", three, "--node", "10.9.1.4"]);
    expect(&forgotten, 4, "host5 (10.9.1.5) is a node of the cluster and has to learn of the new masters");
}
