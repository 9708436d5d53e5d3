//! Templates as a person gets them and gives them: every byte, and every word of a refusal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::process::{Command, Output};

fn run(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvscare-installer"));
    command.arg("config").args(words).env("PATH", "/nowhere").output().unwrap()
}

fn printed(words: &[&str]) -> String {
    let output = run(words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(words: &[&str]) -> (i32, String) {
    let output = run(words);
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_is_printed_can_be_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeadm-config.yaml.tmpl");
    for version in ["v1.14.1", "v1.20.2", "v1.34.1", "v1.35.0"] {
        fs::write(&file, printed(&["-t", "kubeadm", "--version", version])).unwrap();
        let words = [
            "render",
            "--version",
            version,
            "--master",
            "10.0.0.1-10.0.0.3",
            "--cert-sans",
            "k8s.example.com",
        ];
        let own = printed(&words);
        assert_eq!(printed(&[&words[..], &["--kubeadm-config", file.to_str().unwrap()]].concat()), own);
        let sans = "- 10.0.0.1\n  - 10.0.0.2\n  - 10.0.0.3\n  - k8s.example.com\n  - 10.103.97.2\n";
        assert!(own.contains(sans) && own.contains(version), "{own}");
    }
    assert!(printed(&["-t", "kubeadm"]).starts_with("apiVersion: kubeadm.k8s.io/v1beta4\n"));
}

#[test]
fn a_cluster_file_to_begin_with_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    fs::write(&file, printed(&["-t", "cluster"])).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvscare-installer"));
    // Nothing of it is wrong: what is wrong is what was added.
    let words =
        ["ping", "--cluster", file.to_str().unwrap(), "--limit", "10.99.0.1", "--host-key-policy", "strict"];
    let output = command.args(words).env("HOME", directory.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("10.99.0.1"), "{said}");
}

#[test]
fn what_is_wrong_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.tmpl");
    fs::write(&file, "a: b\nc: {{.Vip}}\n").unwrap();
    let file = file.to_str().unwrap();
    let render =
        |more: &[&str]| refused(&[&["render", "--version", "1.34.1", "--master", "10.0.0.1"], more].concat());
    let names = ".ApiServer, .CertSANS, .IsIPv6, .Master0, .Masters, .Network, .PodCIDR, .Repo, .SvcCIDR, .VIP, .Version";
    for ((code, said), (expected, why)) in [
        (
            render(&["--kubeadm-config", file]),
            (
                3,
                format!(
                    "--kubeadm-config {file}: line 2, column 6: there is no variable `.Vip`; there are {names}"
                ),
            ),
        ),
        (
            render(&["--kubeadm-config", "/nowhere/x"]),
            (3, "--kubeadm-config /nowhere/x: there is no such file".into()),
        ),
        (
            render(&["--vip", "10.96.0.9"]),
            (3, "--vip 10.96.0.9 lies in --service-cidr 10.96.0.0/22; Kubernetes may give it away".into()),
        ),
        (render(&["--vip", "10.0.0.1"]), (2, "--master 10.0.0.1 is the virtual address itself".into())),
        (
            render(&["--master", "m1.example"]),
            (2, "--master m1.example is a name; kubeadm's certificate takes the IP address".into()),
        ),
        (render(&["--cert-sans", "a b: c"]), (2, "--cert-sans \"a b: c\" is no name and no address".into())),
        (render(&["--repo", "x\nkind: Y"]), (2, "--repo \"x\\nkind: Y\" is no name and no address".into())),
    ] {
        assert_eq!((code, said), (expected, format!("lvscare-installer: {why}\n")));
    }
}
