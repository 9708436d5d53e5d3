//! Who they are.

use std::fs;

use cluster::transport::policy::{Fingerprint, Policy, Untrusted};
use cluster::transport::{Error, Kind};
use tests::sshd::{Host, Setup, SshLab};

use crate::stage::{as_root, connect};

/// What the user's file has before a login; what comes of it, and whether a line was added.
fn with(lab: &SshLab, host: &Host, policy: &Policy, recorded: &str) -> (Result<(), Error>, bool) {
    let file = lab.home().join(".ssh/known_hosts");
    fs::write(&file, recorded).unwrap();
    let mut target = as_root(lab, host);
    target.policy = policy.clone();
    let result = connect(lab, &target);
    let is_longer = fs::read_to_string(&file).unwrap().len() > recorded.len();
    (result, is_longer)
}

fn refused(lab: &SshLab, host: &Host, policy: &Policy, recorded: &str) -> Untrusted {
    let (result, is_longer) = with(lab, host, policy, recorded);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::HostKey, "{error}");
    assert!(!is_longer, "{error}");
    // Nobody who is not trusted was told who we are.
    assert!(!host.log().contains("Accepted"), "{}", host.log());
    match error {
        Error::HostKey { why, .. } => why,
        other => panic!("{other}"),
    }
}

/// The public key of another pair, `TYPE AAAA...`.
fn other_key(lab: &SshLab, kind: &str) -> String {
    let path = lab.home().join(format!("other_{kind}"));
    if !path.exists() {
        lab.keygen(&path, kind, "");
    }
    let text = fs::read_to_string(path.with_extension("pub")).unwrap();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_host_that_is_not_the_recorded_one_is_refused() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let address = host.address;
    let (ed25519, ecdsa) = (other_key(&lab, "ed25519"), other_key(&lab, "ecdsa"));
    let mine = host.key.split(' ').take(2).collect::<Vec<_>>().join(" ");
    for policy in [Policy::Strict, Policy::AcceptNew] {
        for recorded in [
            format!("{address} {ed25519}\n"),
            // Of another type: this server has no key of it.
            format!("{address} {ecdsa}\n"),
            format!("{address}\t{ecdsa}\n"),
            format!("10.9.1.* {ed25519}\n"),
            format!("!10.9.1.200,*\t{ecdsa}"),
        ] {
            let why = refused(&lab, &host, &policy, &recorded);
            assert!(matches!(why, Untrusted::Changed { .. }), "{recorded}: {why}");
        }
        for recorded in
            [format!("@revoked * {mine}\n"), format!("{address} {mine}\n@revoked\t10.9.* {mine}\n")]
        {
            let why = refused(&lab, &host, &policy, &recorded);
            assert!(matches!(why, Untrusted::Revoked { .. }), "{recorded}: {why}");
        }
    }
}

#[test]
fn an_unknown_host_is_recorded_only_where_that_is_asked_for() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let blob = host.key.split(' ').nth(1).unwrap();
    let print = lab.tool(
        "ssh-keygen",
        &["-lf", &host.files().join("etc/ssh/ssh_host_ed25519_key.pub").display().to_string()],
    );
    let print: Fingerprint = print.split(' ').nth(1).unwrap().parse().unwrap();
    let other: Fingerprint = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();

    let ecdsa = other_key(&lab, "ecdsa");
    let nothing =
        format!("# nobody\n10.9.1.77 {ecdsa}\n@cert-authority 10.9.1.77 {ecdsa}\n*,!10.9.1.* {ecdsa}\n");
    let why = refused(&lab, &host, &Policy::Strict, &nothing);
    assert_eq!(why.to_string(), format!("its ssh-ed25519 key {print} is not known"));
    let why = refused(&lab, &host, &Policy::Pinned(vec![other.clone()]), &nothing);
    assert!(matches!(why, Untrusted::NotPinned { .. }), "{why}");
    for policy in [Policy::AcceptNew, Policy::Pinned(vec![other, print])] {
        let (result, is_longer) = with(&lab, &host, &policy, &nothing);
        result.unwrap();
        assert!(is_longer);
        let text = fs::read_to_string(lab.home().join(".ssh/known_hosts")).unwrap();
        assert_eq!(text, format!("{nothing}{} ssh-ed25519 {blob}\n", host.address));
        // Then it is known, to us and to OpenSSH.
        let (result, is_longer) = with(&lab, &host, &Policy::Strict, &text);
        result.unwrap();
        assert!(!is_longer);
    }
}

#[test]
fn of_many_keys_the_recorded_one_is_asked_for() {
    let lab = SshLab::new();
    let keys = ["ecdsa", "rsa"].map(|kind| {
        let path = lab.home().join(kind);
        lab.keygen(&path, kind, "");
        (format!("etc/ssh/ssh_host_{kind}_key"), 0o600, fs::read(&path).unwrap())
    });
    let config = keys.iter().map(|(path, ..)| format!("HostKey /{path}")).collect::<Vec<_>>().join("\n");
    let host = lab.host(&Setup { config, files: keys.to_vec(), ..Setup::default() });
    for kind in ["ecdsa", "rsa"] {
        let text = fs::read_to_string(lab.home().join(kind).with_extension("pub")).unwrap();
        let key = text.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let strange = "ssh-made-up AAAAC3NzaC1tYWRlLXVwAAAA";
        let recorded = format!("{} {strange}\n{} {key}\n", host.address, host.address);
        with(&lab, &host, &Policy::Strict, &recorded).0.unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[test]
fn a_file_hashed_by_openssh_and_the_global_file_count() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let global = lab.home().join("global_known_hosts");
    fs::write(&global, host.known_hosts()).unwrap();
    lab.tool("ssh-keygen", &["-q", "-H", "-f", &global.display().to_string()]);
    assert!(fs::read_to_string(&global).unwrap().starts_with("|1|"));
    with(&lab, &host, &Policy::Strict, "").0.unwrap();
}

#[test]
fn an_authority_vouches_for_hosts() {
    let lab = SshLab::new();
    let authority = lab.home().join("authority");
    lab.keygen(&authority, "ed25519", "");
    let ca = fs::read_to_string(authority.with_extension("pub")).unwrap();
    // Names, validity, whether it is a host's; and what comes of it.
    for (options, wanted) in [
        (&["-h", "-n", "10.9.1.1,10.9.1.2,10.9.1.3", "-V", "-5m:+1h"][..], "known"),
        (&["-h", "-n", "elsewhere", "-V", "-5m:+1h"][..], "is not for this address"),
        (&["-h", "-n", "10.9.1.1,10.9.1.2,10.9.1.3", "-V", "-2h:-1h"][..], "has ended"),
    ] {
        let key = lab.home().join("certified");
        let _ = fs::remove_file(&key);
        lab.keygen(&key, "ed25519", "");
        let (ca_file, public) =
            (authority.display().to_string(), key.with_extension("pub").display().to_string());
        lab.tool("ssh-keygen", &[&["-q", "-s", &ca_file, "-I", "host"], options, &[&public]].concat());
        let certificate = fs::read(lab.home().join("certified-cert.pub")).unwrap();
        let files = [
            ("etc/ssh/ssh_host_ed25519_key", 0o600, fs::read(&key).unwrap()),
            ("etc/ssh/ssh_host_ed25519_key.pub", 0o644, fs::read(key.with_extension("pub")).unwrap()),
            ("etc/ssh/certificate", 0o644, certificate),
        ];
        let files = files.map(|(path, mode, bytes)| (path.to_owned(), mode, bytes)).to_vec();
        let config = "HostCertificate /etc/ssh/certificate".to_owned();
        let host = lab.host(&Setup { config, files, ..Setup::default() });
        let marked = format!("@cert-authority 10.9.1.* {ca}");
        if wanted == "known" {
            let (result, is_longer) = with(&lab, &host, &Policy::Strict, &marked);
            result.unwrap();
            assert!(!is_longer);
            // The same without the authority is an unknown host, and with the authority revoked it is refused.
            assert!(matches!(with(&lab, &host, &Policy::Strict, "").0, Err(Error::HostKey { .. })));
            let revoked =
                with(&lab, &host, &Policy::Strict, &format!("{marked}@revoked * {ca}")).0.unwrap_err();
            assert!(revoked.to_string().contains("is revoked"), "{revoked}");
        } else {
            let why = refused(&lab, &host, &Policy::AcceptNew, &marked).to_string();
            assert!(why.ends_with(wanted), "{why}");
        }
    }
}

#[test]
fn many_hosts_are_recorded_at_once() {
    let lab = SshLab::new();
    let hosts = lab.hosts(8, &Setup::default());
    let file = lab.home().join(".ssh/known_hosts");
    std::thread::scope(|scope| {
        for host in &hosts {
            scope.spawn(|| connect(&lab, &as_root(&lab, host)).unwrap());
        }
    });
    let text = fs::read_to_string(file).unwrap();
    let mut lines: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
    let mut wanted: Vec<_> = hosts.iter().map(Host::known_hosts).collect();
    lines.sort();
    wanted.sort();
    assert_eq!(lines, wanted);
}
