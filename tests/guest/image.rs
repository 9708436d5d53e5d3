//! The image in the hands of a real containerd and runc, with the static pod's own security settings.
//!
//! kubelet is not here: `ctr` says to containerd what kubelet would. Only ever in the guest: containerd takes control
//! groups and `/run` for its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lvscare::client;
use lvscare::health::Condition;
use lvscare::model::Sysctl;
use lvscare::status::Status;
use serde_json::Value;
use tests::daemon::{VIP, answering, names, wait_all_serve, wait_table};
use tests::lab::Lab;
use tests::netns::Namespace;
use tests::process::Process;
use tests::wait::eventually;

/// Everything here starts programs by the dozen on an emulated machine.
const LIMIT: Duration = Duration::from_secs(90);

const POD: &str = "/etc/kubernetes/manifests/kube-lvscare.yaml";

/// What containerd gives to a container of which nothing is said.
const USUAL_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Where Debian's programs are; this guest has its own elsewhere.
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

/// `CAP_NET_ADMIN` as `/proc/PID/status` shows it.
const NET_ADMIN: &str = "0000000000001000";

/// A running containerd.
struct Containerd {
    node: Namespace,
    process: Process,
}

impl Containerd {
    fn start(lab: &Lab) -> Self {
        assert!(Path::new(tests::vm::PLAN).exists(), "only in the guest: use `vm test --guest --test image`");
        lab.node().check(&["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"]);
        // Every host has them, and every container gets them.
        for name in ["hosts", "resolv.conf"] {
            fs::write(Path::new("/etc").join(name), "").unwrap();
        }
        let config = lab.directory().join("containerd.toml");
        // Of a file system in memory nothing can be laid over anything.
        fs::write(&config, "version = 2\ndisabled_plugins = ['io.containerd.grpc.v1.cri']\n").unwrap();
        let process = lab.node().spawn(&[
            "env",
            PATH,
            "containerd",
            "--config",
            config.to_str().unwrap(),
            "--root",
            "/run/containerd-root",
            "--state",
            "/run/containerd-state",
        ]);
        let mut containerd = Self { node: lab.node().clone(), process };
        eventually(LIMIT, "containerd", || {
            assert!(containerd.process.ended().is_none(), "{}", containerd.process.log());
            containerd.node.run(&["/usr/bin/ctr", "version"]).status.success().then_some(())
        });
        containerd
    }

    #[track_caller]
    fn ctr(&self, words: &[&str]) -> String {
        let output = self.node.run(&[&["/usr/bin/ctr", "--namespace", "k8s.io"], words].concat());
        let (stdout, stderr) = (String::from_utf8(output.stdout), String::from_utf8_lossy(&output.stderr));
        let log = self.process.log();
        let end = &log[log.len().saturating_sub(4000)..];
        assert!(output.status.success(), "{words:?}: {stderr}\n{end}");
        stdout.unwrap()
    }

    /// Runs the image as the pod says.
    fn run(&self, pod: &Value) {
        let container = &pod["spec"]["containers"][0];
        let security = &container["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]));
        assert_eq!(pod["spec"]["hostNetwork"], true);
        let mut words = vec!["run", "--detach", "--net-host", "--read-only", "--no-pivot", "--seccomp"];
        words.extend(["--snapshotter", "native"]);
        let usual = USUAL_CAPABILITIES.map(|name| format!("CAP_{name}"));
        words.extend(usual.iter().flat_map(|name| ["--cap-drop", name]));
        let added = security["capabilities"]["add"].as_array().unwrap();
        let added: Vec<_> = added.iter().map(|name| format!("CAP_{}", name.as_str().unwrap())).collect();
        words.extend(added.iter().flat_map(|name| ["--cap-add", name]));
        let bind = |(from, to)| format!("type=bind,src={from},dst={to},options=rbind:ro");
        let mounts: Vec<_> = mounts(pod).into_iter().map(bind).collect();
        words.extend(mounts.iter().flat_map(|mount| ["--mount", mount]));
        words.extend([container["image"].as_str().unwrap(), "lvscare", "/lvscare"]);
        words.extend(container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()));
        self.ctr(&words);
    }

    /// The process of the container.
    fn pid(&self) -> u32 {
        let tasks = self.ctr(&["tasks", "list"]);
        let task = tasks.lines().find(|line| line.starts_with("lvscare ")).unwrap();
        task.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// The host's files that the pod sees, and where; every one of them must be read-only there.
fn mounts(pod: &Value) -> Vec<(String, String)> {
    let of = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let volumes = of(&pod["spec"]["volumes"]);
    let mounts = of(&pod["spec"]["containers"][0]["volumeMounts"]);
    let place = |mount: &Value| {
        assert_eq!(mount["readOnly"], true);
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let path = text(&volume["hostPath"]["path"]);
        if volume["hostPath"]["type"] == "DirectoryOrCreate" {
            // As kubelet does.
            fs::create_dir_all(&path).unwrap();
        }
        (path, text(&mount["mountPath"]))
    };
    mounts.iter().map(place).collect()
}

fn archive() -> PathBuf {
    let found = fs::read_dir("/bin").unwrap().map(|entry| entry.unwrap().path());
    let mut found = found.filter(|path| path.to_string_lossy().ends_with(".oci.tar"));
    found
        .next()
        .unwrap_or_else(|| panic!("no image: `--bin target/image/lvscare_VERSION_ARCHITECTURE.oci.tar`"))
}

fn status(lab: &Lab) -> Option<Status> {
    let listen = "127.0.0.1:10261".parse().ok();
    let status = lab.node().enter(|| client::status(listen, VIP.parse().unwrap())).ok()?;
    status.daemon.is_some().then_some(status)
}

fn wait_condition(lab: &Lab, number: usize, wanted: Condition) {
    let server = lab.master(number).address();
    eventually(LIMIT, "a verdict", || {
        let status = status(lab)?;
        let servers = &status.virtual_servers.first()?.real_servers;
        let found = servers.iter().find(|seen| seen.address == server)?;
        (found.health.as_ref()?.condition == Some(wanted)).then_some(())
    });
}

#[test]
fn the_image_balances_with_no_more_rights_than_the_pod_has() {
    let lab = Lab::new();
    // kubeadm would bring it.
    fs::create_dir_all("/etc/kubernetes/pki").unwrap();
    fs::copy(lab.directory().join("ca.crt"), "/etc/kubernetes/pki/ca.crt").unwrap();
    fs::create_dir_all("/var/lib").unwrap();
    let containerd = Containerd::start(&lab);
    let prepare = |option: &str| {
        let words = ["env", PATH, "CONTAINERD_SNAPSHOTTER=native", "lvscare-installer", "node", "prepare"];
        let archive = archive();
        let options = ["--master", "10.0.0.1-10.0.0.3", "--import", archive.to_str().unwrap(), option];
        lab.node().check(&[&words[..], &options].concat())
    };
    let text = prepare("--diff");
    assert!(text.contains("import the image of"), "{text}");
    let text = prepare("--dry-run");
    assert!(text.contains("nothing to do"), "the image is there: {text}");

    let pod: Value =
        serde_json::from_value(serde_yaml::from_slice(&fs::read(POD).unwrap()).unwrap()).unwrap();
    containerd.run(&pod);
    wait_all_serve(&lab);
    assert_eq!(answering(&lab, lab.node()), names(&["m1", "m2", "m3"]));
    lab.master(3).kill();
    wait_condition(&lab, 3, Condition::Dead);
    wait_table(lab.node(), VIP, &lab.addresses()[..2], 1);
    assert_eq!(answering(&lab, lab.pod()), names(&["m1", "m2"]));
    lab.master(3).start();
    wait_all_serve(&lab);
    let problems = status(&lab).unwrap().daemon.unwrap().problems;
    assert_eq!(problems, Vec::<String>::new());

    let of_process = fs::read_to_string(format!("/proc/{}/status", containerd.pid())).unwrap();
    let field = |name: &str| {
        let line = of_process.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(field(set), NET_ADMIN, "{set}");
    }
    assert_eq!((field("NoNewPrivs"), field("Seccomp")), ("1".to_owned(), "2".to_owned()));

    // A setting that somebody changes cannot be mended from in here: it is said, and the rest goes on.
    lab.node().sysctl(Sysctl::ExpireNodestConn.name(), "0");
    eventually(LIMIT, "a word about the setting", || {
        let problems = status(&lab)?.daemon?.problems;
        problems.iter().any(|problem| problem.contains("expire_nodest_conn")).then_some(())
    });
    lab.node().check(&["ipvsadm", "--clear"]);
    wait_all_serve(&lab);
    lab.master(2).kill();
    wait_condition(&lab, 2, Condition::Dead);
    assert_eq!(answering(&lab, lab.node()), names(&["m1", "m3"]));
    containerd.ctr(&["tasks", "kill", "--signal", "SIGTERM", "lvscare"]);
}
