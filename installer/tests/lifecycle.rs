//! `init`, `join` and `clean`, the real program against real OpenSSH servers, on masters alone: nodes need IPVS, which this
//! kernel may not have. As root. kubeadm and kubectl there are scripts; who is asked, in which order, and what stays on the
//! hosts is real.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::terminal::AtTerminal;
use tests::wait::eventually;

#[path = "lifecycle/stage.rs"]
mod stage;

use stage::{Stage, expect, kube};

/// Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn whoever_is_asked_can_say_no_or_go_away() {
    let stage = Stage::new(true);
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
fn who_insists_ends_what_may_be_ended_and_no_master_in_the_midst_of_its_join() {
    let stage = Stage::new(true);
    let runs = |host: usize| stage.hosts[host].inside(&["pgrep", "-f", "sleep 7777"]).status.success();
    let insist = |host: usize| {
        fs::write(stage.hosts[host].path("/root/hangs"), "").unwrap();
        let mut init = stage.lab.enter(|| AtTerminal::spawn(&mut stage.command(&["init", "--yes"])).unwrap());
        let hanging = stage.hosts[host].path("/root/hanging");
        eventually(LIMIT, "kubeadm", || hanging.exists().then_some(()));
        init.signal(Signal::SIGINT);
        init.expect("stopping: 1 hosts finish what they are at; once more ends what runs there", LIMIT);
        assert!(runs(host));
        init.signal(Signal::SIGINT);
        init.expect("ending what runs on 1 hosts; once more leaves it", LIMIT);
        assert_eq!(init.wait(LIMIT).code(), Some(130), "{}", init.screen());
        init.expect("run the same command again: it goes on with what is missing", LIMIT);
        init.screen()
    };
    let screen = insist(0);
    assert!(screen.contains("! 10.9.1.1: kubeadm init: signal 15 ended its program"), "{screen}");
    assert!(!runs(0), "with all that it has started");
    assert_eq!(stage.calls(1), "", "no step was begun");

    let screen = insist(1);
    assert!(screen.contains("is followed no more; it goes on"), "{screen}");
    assert!(runs(1), "etcd may wait for it");
    assert_eq!(stage.calls(2), "");
    // Whoever comes next is told, and finds it.
    let held = stage.run(&["init", "--yes"]);
    expect(&held, 9, "10.9.1.2: another run is at work on this node");
    stage.hosts[1].inside(&["pkill", "-f", "sleep 7777"]);
    eventually(LIMIT, "the end of kubeadm", || (!runs(1)).then_some(()));
    expect(&stage.run(&["init", "--yes"]), 0, "done in ");
}

#[test]
fn a_cluster_is_made_mended_and_taken_away() {
    let stage = Stage::new(true);
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
             --skip-token-print --skip-certificate-key-print --upload-certs\netcdctl snapshot save\nkubectl delete secret \
             --namespace=kube-system\n"
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
    let calls = stage.calls(0);
    assert!(calls.starts_with("kubectl get nodes"), "it works already, and is asked");
    // A member that was left by a join without an end is in the way of the next one.
    assert!(calls.contains("etcdctl member remove 3\netcdctl snapshot save\n"), "{calls}");
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
    fs::write(stage.hosts[1].path("/root/sick"), "10.9.1.3").unwrap();
    let guarded = stage.run(&["clean", "--yes", "--limit", "10.9.1.1"]);
    expect(&guarded, 4, "of 3 members of etcd 2 are well (host3: context deadline exceeded)");
    expect(&guarded, 4, "without that of 10.9.1.1 etcd has no majority");
    for host in 0..3 {
        stage.calls(host);
    }
    // One that is dead anyway may go: it is no member before it is reset, and etcd is saved before that.
    expect(&stage.run(&["clean", "--yes", "--limit", "10.9.1.3"]), 0, "done in ");
    let calls = stage.calls(0);
    assert!(calls.contains("etcdctl snapshot save\netcdctl member remove 3\nkubectl delete node"), "{calls}");
    assert_eq!(stage.calls(2), "kubeadm reset --force\n");
    assert_eq!(stage.calls(1), "");
    // One that never comes back is not spoken with; those that are named stay.
    let forget = ["clean", "--yes", "--master", "10.9.1.1-10.9.1.2", "--forget", "10.9.1.3"];
    expect(&stage.run_alone(&forget), 0, "done in ");
    let calls = stage.calls(0);
    assert!(calls.contains("etcdctl snapshot save\netcdctl member remove 3\nkubectl delete node"), "{calls}");
    assert_eq!((stage.calls(1), stage.calls(2)), (String::new(), String::new()));
    expect(&stage.run(&["clean", "--yes", "--forget", "10.9.1.3"]), 2, "it is named as a host as well");
    let gone = stage.run(&["clean", "--yes"]);
    expect(&gone, 0, "done in ");
    for host in 0..2 {
        assert_eq!(stage.calls(host).lines().last(), Some("kubeadm reset --force"));
        assert!(!stage.read(host, "/etc/hosts").contains("apiserver.cluster.local"));
        assert!(!stage.hosts[host].path("/etc/kubernetes").exists());
    }
}

#[test]
fn a_package_brings_all_that_hosts_need() {
    let stage = Stage::new(false);
    let place = stage.lab.home();
    kube(&place.join("kube"));
    let package = place.join("kube1.20.2.tar.gz").display().to_string();
    let (code, built) =
        stage.run_here(&["pkg", "build", &place.join("kube").display().to_string(), "-o", &package]);
    assert_eq!(code, Some(0), "{built}");
    let sha256 = built.split("sha256 ").nth(1).unwrap().trim().to_owned();
    let masters = |words: &[&str], masters: &str| stage.run_alone(&[words, &["--master", masters]].concat());
    // What cannot be used is told before any host is asked: these do not exist.
    for (words, code, why) in [
        (
            vec!["--pkg-url", &package, "--version", "v1.21.0"],
            8,
            "it is of Kubernetes v1.20.2 (k8s.gcr.io/kube-apiserver",
        ),
        (
            vec!["--pkg-url", "/nowhere.tar"],
            8,
            "--pkg-url /nowhere.tar: cannot read it: No such file or directory",
        ),
        (vec!["--pkg-url", "http://10.9.0.1:1/kube.tar"], 2, "over http: anybody on the way can change it"),
        (vec!["--pkg-url", "https://10.9.0.1:1/kube.tar"], 7, "10.9.0.1"),
    ] {
        expect(&masters(&[&["init", "--yes"], &*words].concat(), "10.9.77.1"), code, why);
    }
    expect(
        &masters(&["clean", "--yes", "--pkg-url", &package], "10.9.1.1"),
        2,
        "nothing is put on hosts that leave",
    );
    let two = "10.9.1.1-10.9.1.2";
    let planned = masters(&["init", "--dry-run", "--pkg-url", &package], two);
    expect(&planned, 0, "the package, many at once");
    expect(&planned, 0, "send the package, 1 MB");
    // A script that fails somewhere: nothing is made of any host.
    fs::write(stage.hosts[1].path("/root/init-fails"), "").unwrap();
    let failed = masters(&["init", "--yes", "--pkg-url", &package, "--version", "v1.20.2"], two);
    expect(&failed, 1, "10.9.1.2: run the package's init.sh: its program ended with 1");
    let installed =
        "init.sh\nctr import\nsystemctl daemon-reload  \nsystemctl enable --now kubelet.service\n";
    assert_eq!((stage.calls(0).as_str(), stage.calls(1).as_str()), (installed, "init.sh\n"));
    // It is there and is not sent again.
    fs::remove_file(stage.hosts[1].path("/root/init-fails")).unwrap();
    let planned = masters(&["init", "--dry-run", "--pkg-url", &package], two);
    assert!(planned.0 == Some(0) && !planned.1.contains("send the package"), "{}", planned.1);
    let done = masters(&["init", "--yes", "--pkg-url", &package], two);
    expect(&done, 0, "done in ");
    assert!(stage.calls(0).starts_with("init.sh\nsystemctl daemon-reload"), "its images are there");
    assert!(stage.calls(1).starts_with(&format!("{installed}kubeadm join phase")), "before anything else");
    // Over http, with its hash, once; another run has it already, and a host that has joined is given nothing.
    let listener = stage.lab.enter(|| TcpListener::bind("10.9.0.1:0").unwrap());
    let url = format!("http://{}/kube.tar.gz", listener.local_addr().unwrap());
    let bytes = fs::read(&package).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: {}\r\n\r\n", bytes.len()).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    let words = ["join", "--yes", "--pkg-url", &url, "--pkg-sha256", &sha256, "--hooks", "all"];
    let joined = stage.run(&words);
    expect(&joined, 0, "done in ");
    server.join().unwrap();
    assert!(stage.calls(2).starts_with("init.sh\nmaster.sh\nctr import\n"));
    assert!(!stage.calls(0).contains("init.sh"));
    expect(&stage.run(&words), 0, "all is as it should be; nothing was changed");
    // Nothing of it lies about, but what was installed, which goes with the cluster.
    for host in 0..3 {
        assert!(!stage.hosts[host].path("/var/lib/lvscare-installer/pkg").exists());
        assert!(stage.hosts[host].path("/usr/bin/kubeadm").exists());
        assert!(stage.hosts[host].path("/etc/systemd/system/kubelet.service").exists());
    }
    expect(&stage.run(&["clean", "--yes"]), 0, "done in ");
    for host in 0..3 {
        assert!(!stage.hosts[host].path("/usr/bin/kubeadm").exists());
    }
}
