//! Packages as a person makes and looks at them: exit codes, and every word.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The exit code, what was said, and what was complained of.
fn run(place: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvscare-installer"));
    let output = command.current_dir(place).arg("pkg").args(words).env("PATH", "/nowhere").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A tar with one file, by the system's own rules of the form.
fn tar(files: &[(&str, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(content.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn kube(place: &Path) {
    for directory in ["bin", "images", "shell", "conf/net"] {
        fs::create_dir_all(place.join("kube").join(directory)).unwrap();
    }
    let mut program = vec![0; 64];
    program[..6].copy_from_slice(b"\x7fELF\x02\x01");
    program[18] = 62;
    for name in ["kubeadm", "kubectl", "kubelet"] {
        let path = place.join("kube/bin").join(name);
        fs::write(&path, &program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(place.join("kube/shell/init.sh"), "true\n").unwrap();
    fs::write(place.join("kube/conf/net/calico.yaml"), "a: b\n").unwrap();
    let kubernetes = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
    let names = kubernetes.iter().map(|name| format!("{name}:v1.34.1"));
    let names = names.chain(["pause:3.10", "etcd:3.6.4-0", "coredns/coredns:v1.12.1"].map(str::to_owned));
    let lines: Vec<_> = names.map(|name| format!(r#"{{"RepoTags": ["registry.k8s.io/{name}"]}}"#)).collect();
    let manifest = format!("[{}]", lines.join(","));
    fs::write(place.join("kube/images/images.tar"), tar(&[("manifest.json", manifest)])).unwrap();
}

#[test]
fn a_package_is_built_verified_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    kube(place);
    let note = "! there is no image of lvscare in it: nodes have to get it elsewhere\n";
    let built = run(place, &["build", "kube", "-o", "kube1.34.1.tar.gz"]);
    let bytes = fs::metadata(place.join("kube1.34.1.tar.gz")).unwrap().len();
    let (_, sha256) = built.1.split_once("sha256 ").unwrap();
    let said =
        format!("kube1.34.1.tar.gz: Kubernetes v1.34.1 for amd64, 7 images, {bytes} bytes\nsha256 {sha256}");
    assert_eq!(built, (0, said.clone(), note.to_owned()));
    let words = [
        "verify",
        "kube1.34.1.tar.gz",
        "--version",
        "1.34.1",
        "--arch",
        "x86_64",
        "--pkg-sha256",
        sha256.trim(),
    ];
    assert_eq!(run(place, &words), (0, said, note.to_owned()));
    let (code, shown, _) = run(place, &["inspect", "kube1.34.1.tar.gz"]);
    assert_eq!(code, 0);
    let expected = "kubernetes  v1.34.1 for amd64\n\
                    programs    bin/kubeadm\n            bin/kubectl\n            bin/kubelet\n\
                    hooks       shell/init.sh\n\
                    network     conf/net/calico.yaml\n\
                    images      registry.k8s.io/coredns/coredns:v1.12.1\n            registry.k8s.io/etcd:3.6.4-0\n";
    assert!(shown.starts_with(&format!("sha256      {sha256}size        {bytes} bytes, ")), "{shown}");
    assert!(shown.contains(expected), "{shown}");
    let (code, shown, _) = run(place, &["inspect", "kube1.34.1.tar.gz", "-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &document["version"], &document["arch"]), (0, &"v1.34.1".into(), &"amd64".into()));
    assert_eq!(document["images"].as_array().unwrap().len(), 7);
    assert_eq!(document["files"]["bin/kubeadm"]["executable"], true);
    assert_eq!(document["problems"], serde_json::json!([]));
}

#[test]
fn what_cannot_be_used_is_named_with_exit_code_8() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    kube(place);
    run(place, &["build", "kube", "-o", "kube.tgz"]);
    let whole = fs::read(place.join("kube.tgz")).unwrap();
    fs::write(place.join("cut.tgz"), &whole[..whole.len() / 2]).unwrap();
    fs::write(place.join("page.html"), "<html>404</html>").unwrap();
    fs::write(place.join("evil.tar"), tar(&[("kube/../../etc/cron.d/x", String::new())])).unwrap();
    fs::create_dir(place.join("bin")).unwrap();
    let refused = |words: &[&str]| {
        let (code, said, complaint) = run(place, words);
        assert_eq!((code, said.as_str()), (8, ""), "{words:?}: {complaint}");
        let lines = complaint.lines().filter(|line| !line.starts_with("! "));
        lines.map(|line| line.strip_prefix("lvscare-installer: ").unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        refused(&["verify", "none.tgz"]),
        ["none.tgz: cannot read it: No such file or directory (os error 2)"]
    );
    assert_eq!(refused(&["inspect", "bin"]), ["bin: cannot read it: it is not a regular file"]);
    let page = "page.html: it is no tar archive, neither plain nor compressed with gzip or zstd";
    assert_eq!(refused(&["verify", "page.html"]), [page]);
    let cut = refused(&["verify", "cut.tgz"]);
    assert!(
        cut[0].starts_with("cut.tgz: it is cut off after ") && cut[0].ends_with("; get it anew"),
        "{cut:?}"
    );
    assert_eq!(
        refused(&["inspect", "evil.tar"]),
        ["evil.tar: `kube/../../etc/cron.d/x` has `..` in its path; nothing of it was used"]
    );
    assert_eq!(
        refused(&["verify", "kube.tgz", "--version", "v1.33.2", "--arch", "arm64"]),
        [
            "kube.tgz: bin/kubeadm is for amd64, not for arm64",
            "kube.tgz: bin/kubectl is for amd64, not for arm64",
            "kube.tgz: bin/kubelet is for amd64, not for arm64",
            "kube.tgz: it is of Kubernetes v1.34.1 (registry.k8s.io/kube-apiserver:v1.34.1), not of v1.33.2",
        ]
    );
    let zeros = "0".repeat(64);
    let other = refused(&["verify", "kube.tgz", "--pkg-sha256", &zeros]);
    assert!(other[0].ends_with(&format!(", not {zeros}")), "{other:?}");
    let other = refused(&["install", "kube.tgz", "--version", "v1.33.2"]);
    let said =
        "kube.tgz: it is of Kubernetes v1.34.1 (registry.k8s.io/kube-apiserver:v1.34.1), not of v1.33.2";
    assert_eq!(other, [format!("{said}; nothing was changed")]);
    fs::remove_file(place.join("kube/bin/kubelet")).unwrap();
    assert_eq!(refused(&["build", "kube", "-o", "kube.tgz"]), ["kube.tgz: bin/kubelet is not in it"]);
    let (code, _, complaint) = run(place, &["verify", "kube.tgz", "--arch", "vax"]);
    assert_eq!(code, 2, "{complaint}");
}

#[test]
fn what_is_fetched_is_what_was_meant() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let url = "http://127.0.0.1:9/kube.tgz";
    let http =
        "over http: anybody on the way can change it; say with --pkg-sha256 what it must be, or use https:";
    let said = |code, why: &str| (code, String::new(), format!("lvscare-installer: {why}\n"));
    assert_eq!(run(place, &["fetch", url, "-o", "kube.tgz"]), said(2, http));
    let ftp = "`ftp://x/y` is no URL of http or https, such as https://example.com/kube1.34.1.tar.gz";
    assert_eq!(run(place, &["fetch", "ftp://x/y", "-o", "kube.tgz"]), said(2, ftp));
    // A server that sends half of it, then the rest, then is asked no more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/kube.tgz", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for answer in [
            "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 6\r\n\r\nabc",
            "HTTP/1.1 206 Partial Content\r\nETag: \"a\"\r\nContent-Length: 3\r\nContent-Range: bytes 3-5/6\r\n\r\ndef",
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
            std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
        }
    });
    let sha256 = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";
    let words = ["fetch", &url, "-o", "kube.tgz", "--pkg-sha256", sha256];
    let note = "! the link was cut, after 3 bytes; going on\n".to_owned();
    assert_eq!(run(place, &words), (0, format!("kube.tgz: 6 bytes received\nsha256 {sha256}\n"), note));
    server.join().unwrap();
    assert_eq!(fs::read(place.join("kube.tgz")).unwrap(), b"abcdef");
    assert_eq!(run(place, &words).1, format!("kube.tgz was there already\nsha256 {sha256}\n"));
}
