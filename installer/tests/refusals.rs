//! What bad input gets: the exit code and every word, before the node is looked at. No root, no kernel.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::process::Command;

/// Runs the installer; the answer as a person sees it.
fn run(words: &str) -> String {
    let words = words.split_whitespace();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvscare-installer"));
    let output = command.args(words).env("COLUMNS", "120").env("PATH", "/nowhere").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let exit = output.status.code().unwrap();
    format!("exit code {exit}\n{}{}", text(output.stdout), text(output.stderr))
}

#[test]
fn a_validity_that_is_none() {
    insta::assert_snapshot!(run("node cert renew --cert-validity 99"), @r#"
    exit code 2
    lvscare-installer: invalid value '99' for '--cert-validity <TIME>': `99` is no time such as 99y, 365d or 8760h
    "#);
    insta::assert_snapshot!(run("node cert renew --cert-validity 5000y"), @r#"
    exit code 2
    lvscare-installer: invalid value '5000y' for '--cert-validity <TIME>': `5000y`: from a day to a thousand years
    "#);
}

#[test]
fn a_name_that_no_apiserver_has() {
    insta::assert_snapshot!(run("node cert add-sans api_server"), @r#"
    exit code 2
    lvscare-installer: "api_server" is not a name for a host: only a to z, 0 to 9, `-` and `.` are allowed
    "#);
    insta::assert_snapshot!(run("node cert add-sans"), @r#"
    exit code 2
    lvscare-installer: the following required arguments were not provided: <SAN>...
    "#);
}

#[test]
fn no_master() {
    insta::assert_snapshot!(run("node prepare"), @r#"
    exit code 2
    lvscare-installer: the following required arguments were not provided: --master <IP[:PORT]>
    "#);
}

#[test]
fn an_address_that_is_none() {
    insta::assert_snapshot!(run("node prepare --master 192.168.0.300"), @r#"
    exit code 2
    lvscare-installer: invalid value '192.168.0.300' for '--master <IP[:PORT]>': `192.168.0.300`: not an address with a port, such as 10.0.0.1:6443
    "#);
}

#[test]
fn a_range_the_wrong_way_round() {
    insta::assert_snapshot!(run("node prepare --master 10.0.0.9-10.0.0.2"), @r#"
    exit code 2
    lvscare-installer: invalid value '10.0.0.9-10.0.0.2' for '--master <IP[:PORT]>': `10.0.0.9-10.0.0.2`: the range is the wrong way round; write 10.0.0.2-10.0.0.9
    "#);
}

#[test]
fn a_range_that_is_too_long() {
    insta::assert_snapshot!(run("node prepare --master 10.0.0.0-10.0.9.0"), @r#"
    exit code 2
    lvscare-installer: invalid value '10.0.0.0-10.0.9.0' for '--master <IP[:PORT]>': `10.0.0.0-10.0.9.0`: a range of more than 256 addresses cannot be meant
    "#);
}

#[test]
fn port_zero() {
    insta::assert_snapshot!(run("node prepare --master 10.0.0.1:0"), @r#"
    exit code 2
    lvscare-installer: invalid value '10.0.0.1:0' for '--master <IP[:PORT]>': `10.0.0.1:0`: port 0 is no port; apiservers usually listen on 6443
    "#);
}

#[test]
fn a_port_that_is_too_high() {
    insta::assert_snapshot!(run("node prepare --master 10.0.0.1:70000"), @r#"
    exit code 2
    lvscare-installer: invalid value '10.0.0.1:70000' for '--master <IP[:PORT]>': `10.0.0.1:70000`: `70000` is not a port from 1 to 65535
    "#);
}

#[test]
fn the_same_master_twice() {
    insta::assert_snapshot!(run("node prepare --master 10.0.0.1 --master 10.0.0.1:6443"), @r#"
    exit code 2
    lvscare-installer: --master: 10.0.0.1:6443 is given twice
    "#);
}

#[test]
fn masters_of_another_family() {
    insta::assert_snapshot!(run("node prepare --master fd00::1"), @r#"
    exit code 2
    lvscare-installer: --master [fd00::1]:6443 and --vip 10.103.97.2:6443 are of different families; IPVS cannot translate between IPv4 and IPv6
    "#);
}

#[test]
fn a_virtual_address_of_loopback() {
    insta::assert_snapshot!(run("node prepare --vip 127.0.0.1 --master 10.0.0.1"), @r#"
    exit code 3
    lvscare-installer: --vip 127.0.0.1:6443: 127.0.0.1 is a loopback address: packets from it cannot leave the node; use an unused one such as 10.103.97.2
    "#);
}

#[test]
fn a_virtual_address_for_many() {
    insta::assert_snapshot!(run("node prepare --vip 224.0.0.1 --master 10.0.0.1"), @r#"
    exit code 3
    lvscare-installer: --vip 224.0.0.1:6443: 224.0.0.1 cannot be a virtual address; use an unused one such as 10.103.97.2
    "#);
}

#[test]
fn a_virtual_address_that_is_a_master() {
    insta::assert_snapshot!(run("node prepare --vip 10.0.0.1 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: --master 10.0.0.1:6443 is the virtual address itself; name the apiserver's own address
    "#);
}

#[test]
fn a_virtual_address_of_services() {
    insta::assert_snapshot!(run("node prepare --service-cidr 10.96.0.0/12 --master 10.0.0.1"), @r#"
    exit code 3
    lvscare-installer: --vip 10.103.97.2:6443 lies in the Service CIDR 10.96.0.0/12 (--service-cidr), of which Kubernetes may give it away; choose an address outside, or a smaller range such as 10.96.0.0/22
    "#);
}

#[test]
fn a_virtual_address_of_pods() {
    insta::assert_snapshot!(run("node prepare --vip 10.244.3.4 --pod-cidr 10.244.0.0/16 --master 10.0.0.1"), @r#"
    exit code 3
    lvscare-installer: --vip 10.244.3.4:6443 lies in the Pod CIDR 10.244.0.0/16 (--pod-cidr), of which Kubernetes may give it away; choose an address outside, or a smaller range such as 10.96.0.0/22
    "#);
}

#[test]
fn a_range_of_services_that_is_none() {
    insta::assert_snapshot!(run("node prepare --service-cidr 10.96.0.0 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: invalid value '10.96.0.0' for '--service-cidr <CIDR>': not a range of addresses such as 10.96.0.0/22
    "#);
}

#[test]
fn a_name_that_is_an_address() {
    insta::assert_snapshot!(run("node prepare --apiserver 10.0.0.1 --master 10.0.0.1"), @r#"
    exit code 3
    lvscare-installer: --apiserver "10.0.0.1" is not a name for a host: it is an address; clients call the virtual server by a name such as apiserver.cluster.local
    "#);
}

#[test]
fn a_name_in_capitals() {
    insta::assert_snapshot!(run("node prepare --apiserver API.cluster.local --master 10.0.0.1"), @r#"
    exit code 3
    lvscare-installer: --apiserver "API.cluster.local" is not a name for a host: write it in lower case
    "#);
}

#[test]
fn an_image_of_any_day() {
    insta::assert_snapshot!(run("node prepare --image lvscare:latest --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: image "lvscare:latest": `latest` is another one every day; name a version, such as :1.0.0
    "#);
}

#[test]
fn an_image_without_a_tag() {
    insta::assert_snapshot!(run("node prepare --image registry:5000/lvscare --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: image "registry:5000/lvscare": it has no tag, which means `latest`; name a version, such as :1.0.0
    "#);
}

#[test]
fn an_archive_that_is_not_there() {
    insta::assert_snapshot!(run("node prepare --import /nowhere.tar --master 10.0.0.1"), @r#"
    exit code 8
    lvscare-installer: --import /nowhere.tar: No such file or directory (os error 2); nothing was changed
    "#);
}

#[test]
fn a_part_that_is_none() {
    insta::assert_snapshot!(run("node prepare --skip rules,hsots --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: invalid value 'hsots' for '--skip <PART>'; [possible values: checks, modules, sysctl, rules, reach, hosts, pod]; a similar value exists: 'hosts'
    "#);
}

#[test]
fn an_option_that_the_daemon_refuses() {
    insta::assert_snapshot!(run("node prepare --lvscare-arg=--fall=0 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: --fall 0 is not a number of probes from 1 to 100
    "#);
}

#[test]
fn an_option_that_is_none_of_the_daemons() {
    insta::assert_snapshot!(run("node prepare --lvscare-arg=--clean --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: --lvscare-arg takes options of the daemon, not --clean or --run-once
    "#);
}

#[test]
fn an_option_that_is_misspelled() {
    insta::assert_snapshot!(run("node prepare --mastre 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: unexpected argument '--mastre' found; a similar argument exists: '--master'
    "#);
}

/// As [`run`], in a shell where every variable that the daemon knows says something.
fn poisoned(words: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvscare-installer"));
    for name in daemon_variables() {
        command.env(name, "127.0.0.1:9999 poison");
    }
    command
        .env("LVSCARE_CONFIG", "/nowhere")
        .env("LVSCARE_LISTEN", "0.0.0.0:9999")
        .env("LVSCARE_JOIN_TOKEN", "");
    let output =
        command.args(words.split_whitespace()).env("COLUMNS", "120").env("PATH", "/nowhere").output();
    let output = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!("exit code {}\n{}{}", output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// As the daemon itself names them.
fn daemon_variables() -> Vec<String> {
    use clap::Args as _;
    let command = lvscare::config::raw::CareArgs::augment_args(clap::Command::new("care"));
    let names = command.get_arguments().filter_map(clap::Arg::get_env);
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[test]
fn no_variable_of_the_shell_changes_what_a_node_or_a_pod_gets() {
    assert!(daemon_variables().len() > 20, "{:?}", daemon_variables());
    for words in [
        "pod render --master 10.0.0.1",
        "pod render --master 10.0.0.1 --lvscare-arg=--listen=127.0.0.1:1234 --lvscare-arg=--prefer-local",
        "pod write --dry-run --diff --master 10.0.0.1",
        "pod remove --dry-run",
        "hosts list",
        "hosts set 0x1 10.0.0.1",
        "node status",
        "node check --master 300",
        "node prepare --master 10.0.0.1 --skip checks,modules,sysctl,rules,reach --dry-run --diff",
        "node undo --dry-run",
        "node set-masters --dry-run --master 10.0.0.1",
        "kubeadm join --master 10.0.0.1 --dry-run",
        "node join --master 10.0.0.1 --dry-run --kube-version v1.34.1",
        "ping --host 300",
        "exec --host 300 -- true",
        "copy --host 300 /nowhere /nowhere",
        "completion bash",
        "--help",
        "node prepare --help",
    ] {
        assert_eq!(poisoned(words), run(words), "{words}");
    }
}

#[test]
fn a_file_relative_to_nowhere() {
    insta::assert_snapshot!(run("node prepare --lvscare-arg=--ca-file=ca.crt --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: ca.crt: the pod has another working directory; give the whole path, beginning with /
    "#);
}

#[test]
fn an_exit_code_without_a_preview() {
    insta::assert_snapshot!(run("node prepare --detailed-exitcode --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: the following required arguments were not provided: --dry-run
    "#);
}

#[test]
fn no_way_to_join() {
    insta::assert_snapshot!(run("kubeadm join 10.103.97.2:6443 --kube-version v1.34.1 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: a join needs --token or --discovery-file
    "#);
}

#[test]
fn a_token_without_a_hash() {
    insta::assert_snapshot!(run("kubeadm join --kube-version v1.34.1 --master 10.0.0.1 --token abcdef.0123456789abcdef"), @r#"
    exit code 2
    lvscare-installer: give --discovery-token-ca-cert-hash, or --discovery-token-unsafe-skip-ca-verification to trust whoever answers; not both
    "#);
}

#[test]
fn a_token_that_is_none() {
    insta::assert_snapshot!(run("kubeadm join --master 10.0.0.1 --token abcdef.SECRET"), @r#"
    exit code 2
    lvscare-installer: invalid value '***' for '--token <TOKEN>': the token `abcdef.***` has 6 characters after the dot; a token is 6 characters, a dot and 16 characters, all of them a to z or 0 to 9
    "#);
}

#[test]
fn a_token_and_a_file() {
    insta::assert_snapshot!(run("kubeadm join --master 10.0.0.1 --token abcdef.0123456789abcdef --token-file /nowhere"), @r#"
    exit code 2
    lvscare-installer: the argument '--token <TOKEN>' cannot be used with '--token-file <FILE>'
    "#);
}

#[test]
fn a_file_of_a_token_that_is_not_there() {
    insta::assert_snapshot!(run("kubeadm join --master 10.0.0.1 --token-file /nowhere"), @r#"
    exit code 2
    lvscare-installer: --token-file /nowhere: No such file or directory (os error 2)
    "#);
}

#[test]
fn a_hash_of_another_kind() {
    insta::assert_snapshot!(run("kubeadm join --master 10.0.0.1 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash md5:00"), @r#"
    exit code 2
    lvscare-installer: invalid value 'md5:00' for '--discovery-token-ca-cert-hash <sha256:HEX>': `md5:00` is of kind "md5"; kubeadm knows only sha256
    "#);
}

#[test]
fn a_version_that_is_too_old() {
    insta::assert_snapshot!(run("kubeadm join --kube-version v1.13.12 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: invalid value 'v1.13.12' for '--kube-version <VERSION>': Kubernetes v1.13.12 is too old; the oldest that is supported is v1.14
    "#);
}

#[test]
fn a_version_that_is_none() {
    insta::assert_snapshot!(run("kubeadm join --kube-version latest --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: invalid value 'latest' for '--kube-version <VERSION>': `latest` is not a version of Kubernetes, such as v1.34.1
    "#);
}

#[test]
fn no_kubeadm() {
    insta::assert_snapshot!(run("kubeadm join 10.103.97.2:6443 --master 10.0.0.1 --token abcdef.0123456789abcdef --discovery-token-unsafe-skip-ca-verification"), @r#"
    exit code 11
    lvscare-installer: cannot ask kubeadm for its version: No such file or directory (os error 2); install it, or say which one it will be with --kube-version
    "#);
}

#[test]
fn an_endpoint_by_name_is_that_of_kubeadm() {
    insta::assert_snapshot!(run("kubeadm join apiserver.cluster.local:6443 --token abcdef.0123456789abcdef --discovery-token-unsafe-skip-ca-verification --master 10.0.0.1"), @r#"
    exit code 11
    lvscare-installer: cannot ask kubeadm for its version: No such file or directory (os error 2); install it, or say which one it will be with --kube-version
    "#);
}

#[test]
fn an_endpoint_without_a_port() {
    insta::assert_snapshot!(run("kubeadm join apiserver.cluster.local --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: invalid value 'apiserver.cluster.local' for '[IP:PORT|NAME:PORT]': the port is missing; write apiserver.cluster.local:6443
    "#);
}

#[test]
fn two_endpoints() {
    insta::assert_snapshot!(run("kubeadm join 10.103.97.2:6443 --vip 10.103.97.3 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: the endpoint 10.103.97.2:6443 and --vip 10.103.97.3:6443 differ; give one of them
    "#);
    insta::assert_snapshot!(run("kubeadm join api:7443 --vip 10.103.97.3:6443 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: the endpoint's port 7443 and that of --vip 10.103.97.3:6443 differ; give one of them
    "#);
    insta::assert_snapshot!(run("kubeadm join api:6443 --apiserver other --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: the endpoint's name api and --apiserver other differ; give one of them
    "#);
}

#[test]
fn a_name_that_is_a_number() {
    insta::assert_snapshot!(run("node prepare --apiserver 12345 --master 10.0.0.1"), @r#"
    exit code 3
    lvscare-installer: --apiserver "12345" is not a name for a host: resolvers take such a number for an address
    "#);
    insta::assert_snapshot!(run("hosts set 0x7f000001 10.103.97.2"), @r#"
    exit code 2
    lvscare-installer: "0x7f000001" is not a name for a host: resolvers take such a number for an address
    "#);
}

#[test]
fn a_master_that_is_everybody() {
    insta::assert_snapshot!(run("node prepare --master 255.255.255.255"), @r#"
    exit code 2
    lvscare-installer: --master 255.255.255.255:6443 is not the address of a host
    "#);
}

#[test]
fn a_port_of_a_name_that_is_too_high() {
    insta::assert_snapshot!(run("node prepare --master m1:99999"), @r#"
    exit code 2
    lvscare-installer: invalid value 'm1:99999' for '--master <IP[:PORT]>': `m1:99999`: `99999` is not a port from 1 to 65535
    "#);
}

#[test]
fn images_that_no_runtime_takes() {
    insta::assert_snapshot!(run("node prepare --image Lvscare:1 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: image "Lvscare:1": its name has capitals; write it in lower case
    "#);
    insta::assert_snapshot!(run("pod render --image a//b:1 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: image "a//b:1": it is not a reference to an image, such as docker.io/library/lvscare:1.0.0
    "#);
    insta::assert_snapshot!(run("pod render --image lvscare:.x --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: image "lvscare:.x": its tag is not of letters, digits, `_`, `.` and `-`, 128 at most
    "#);
}

#[test]
fn an_archive_that_is_a_directory() {
    insta::assert_snapshot!(run("node prepare --import / --master 10.0.0.1"), @r#"
    exit code 8
    lvscare-installer: --import /: it is a directory; nothing was changed
    "#);
}

#[test]
fn options_that_the_installer_gives_itself() {
    insta::assert_snapshot!(run("node prepare --lvscare-arg=--rs=10.0.0.2:6443 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: --lvscare-arg takes no --rs: what it says is said by --master
    "#);
    insta::assert_snapshot!(run("pod render --lvscare-arg=--help --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: --lvscare-arg: unexpected argument '--help' found; a similar argument exists: '--health-path'
    "#);
}

#[test]
fn a_node_address_that_cannot_be() {
    insta::assert_snapshot!(run("node prepare --node-ip fd00::1 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: --node-ip fd00::1 and --vip 10.103.97.2:6443 are of different families
    "#);
}

#[test]
fn kubeadm_told_half() {
    insta::assert_snapshot!(run("node prepare --tls-bootstrap-token abcdef.0123456789abcdef --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: --tls-bootstrap-token says nothing without --token or --discovery-file
    "#);
    insta::assert_snapshot!(run("node prepare --config /proc/version --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: --config says nothing without --token or --discovery-file
    "#);
    insta::assert_snapshot!(run("kubeadm join --discovery-file /nowhere --kube-version v1.34.1 --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: --discovery-file /nowhere: there is no such file
    "#);
    insta::assert_snapshot!(run("kubeadm join --patches /nowhere --kube-version v1.34.1 --master 10.0.0.1 --token abcdef.0123456789abcdef"), @r#"
    exit code 2
    lvscare-installer: --patches /nowhere: there is no such directory
    "#);
    insta::assert_snapshot!(run("kubeadm join --kubelet-extra-arg node-labels --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: invalid value 'node-labels' for '--kubelet-extra-arg <NAME=VALUE>': not an option of kubelet and its value, such as node-labels=disk=ssd
    "#);
}

/// Options of `kubeadm join` that say where a secret lies, and the ones by which it is typed.
const SECRET_FILES: [(&str, &str, &str); 4] = [
    ("--token-file", "--token", "abcdef.0123456789abcdef"),
    ("--discovery-token-file", "--discovery-token", "abcdef.0123456789abcdef"),
    ("--tls-bootstrap-token-file", "--tls-bootstrap-token", "abcdef.0123456789abcdef"),
    (
        "--certificate-key-file",
        "--certificate-key",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
];

#[test]
fn a_file_of_a_secret_that_others_can_read_that_holds_none_or_that_is_one_of_two() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    let path = file.display().to_string();
    let mut said = String::new();
    for (option, typed, secret) in SECRET_FILES {
        let join = format!("kubeadm join --master 10.0.0.1 --control-plane {option} {path}");
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        let open = run(&join);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let two = run(&format!("{join} {typed} {secret}"));
        std::fs::write(&file, "canary\n").unwrap();
        let none = run(&join);
        for text in [&open, &two, &none] {
            assert!(!text.contains(secret) && !text.contains("canary"), "{text}");
        }
        said += &[open, two, none].concat().replace(&path, "FILE");
    }
    insta::assert_snapshot!(said, @r#"
    exit code 2
    lvscare-installer: --token-file FILE: others can read or change it (mode 0666); chmod 600 FILE, and take another secret if somebody may have seen this one
    exit code 2
    lvscare-installer: the argument '--token-file <FILE>' cannot be used with '--token <TOKEN>'
    exit code 2
    lvscare-installer: --token-file FILE: the token has no dot; a token is 6 characters, a dot and 16 characters, all of them a to z or 0 to 9
    exit code 2
    lvscare-installer: --discovery-token-file FILE: others can read or change it (mode 0666); chmod 600 FILE, and take another secret if somebody may have seen this one
    exit code 2
    lvscare-installer: the argument '--discovery-token-file <FILE>' cannot be used with '--discovery-token <TOKEN>'
    exit code 2
    lvscare-installer: --discovery-token-file FILE: the token has no dot; a token is 6 characters, a dot and 16 characters, all of them a to z or 0 to 9
    exit code 2
    lvscare-installer: --tls-bootstrap-token-file FILE: others can read or change it (mode 0666); chmod 600 FILE, and take another secret if somebody may have seen this one
    exit code 2
    lvscare-installer: the argument '--tls-bootstrap-token-file <FILE>' cannot be used with '--tls-bootstrap-token <TOKEN>'
    exit code 2
    lvscare-installer: --tls-bootstrap-token-file FILE: the token has no dot; a token is 6 characters, a dot and 16 characters, all of them a to z or 0 to 9
    exit code 2
    lvscare-installer: --certificate-key-file FILE: others can read or change it (mode 0666); chmod 600 FILE, and take another secret if somebody may have seen this one
    exit code 2
    lvscare-installer: the argument '--certificate-key-file <FILE>' cannot be used with '--certificate-key <KEY>'
    exit code 2
    lvscare-installer: --certificate-key-file FILE: the certificate key has a character that is not a hexadecimal digit
    "#);
}

#[test]
fn a_failure_is_one_document_for_programs() {
    insta::assert_snapshot!(run("node prepare -o json --import / --master 10.0.0.1"), @r#"
    exit code 8
    {
      "failure": {
        "kind": "image",
        "message": "--import /: it is a directory; nothing was changed"
      },
      "exit": 8,
      "changed": false,
      "steps": [],
      "notes": []
    }
    lvscare-installer: --import /: it is a directory; nothing was changed
    "#);
}

#[test]
fn nothing_to_do_is_a_document_too() {
    for words in ["node undo --dry-run -o json", "pod remove --dry-run -o json"] {
        let said = run(words);
        let document = said.strip_prefix("exit code 0\n").unwrap_or_else(|| panic!("{said}"));
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        assert!(document["changed"].is_boolean() && document["steps"].is_array(), "{document}");
    }
}

#[test]
fn words_that_other_programs_know() {
    insta::assert_snapshot!(run("help"), @"
    exit code 2
    lvscare-installer: unrecognized subcommand 'help'; say --help
    ");
    insta::assert_snapshot!(run("version"), @"
    exit code 2
    lvscare-installer: unrecognized subcommand 'version'; say --version
    ");
    insta::assert_snapshot!(run("node help"), @"
    exit code 2
    lvscare-installer: unrecognized subcommand 'help'; say --help
    ");
}

#[test]
fn a_local_preference_of_a_worker() {
    insta::assert_snapshot!(run("kubeadm join --prefer-local --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: the following required arguments were not provided: --control-plane
    "#);
}

#[test]
fn a_key_that_1_14_takes_as_an_argument_only() {
    insta::assert_snapshot!(run("kubeadm join --kube-version v1.14.1 --control-plane --certificate-key 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef --master 10.0.0.1 --token abcdef.0123456789abcdef --discovery-token-unsafe-skip-ca-verification"), @r#"
    exit code 2
    lvscare-installer: --certificate-key needs Kubernetes v1.15; this is v1.14.1
    "#);
}

#[test]
fn no_masters_to_set() {
    insta::assert_snapshot!(run("node set-masters"), @r#"
    exit code 2
    lvscare-installer: the following required arguments were not provided: --master <IP[:PORT]>
    "#);
}

#[test]
fn a_hosts_entry_for_an_address() {
    insta::assert_snapshot!(run("hosts set 10.0.0.1 10.103.97.2"), @r#"
    exit code 2
    lvscare-installer: "10.0.0.1" is not a name for a host: it is an address; clients call the virtual server by a name such as apiserver.cluster.local
    "#);
}

#[test]
fn a_hosts_entry_without_an_address() {
    insta::assert_snapshot!(run("hosts set apiserver.cluster.local"), @r#"
    exit code 2
    lvscare-installer: the following required arguments were not provided: <ADDRESS>
    "#);
}

#[test]
fn a_pod_of_no_masters() {
    insta::assert_snapshot!(run("pod render"), @r#"
    exit code 2
    lvscare-installer: the following required arguments were not provided: --master <IP[:PORT]>
    "#);
}

#[test]
fn a_pod_with_any_image() {
    insta::assert_snapshot!(run("pod render --image lvscare --master 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: image "lvscare": it has no tag, which means `latest`; name a version, such as :1.0.0
    "#);
}

#[test]
fn an_unknown_command() {
    insta::assert_snapshot!(run("node repair"), @r#"
    exit code 2
    lvscare-installer: unrecognized subcommand 'repair'; a similar subcommand exists: 'prepare'
    "#);
}

#[test]
fn an_agent_without_a_task() {
    insta::assert_snapshot!(run("agent"), @r"
    exit code 2
    lvscare-installer: the following required arguments were not provided: <NONCE|--supervise <RUN>>
    ");
}

#[test]
fn an_agent_with_a_word_that_is_none() {
    insta::assert_snapshot!(run("agent ../../x"), @r#"
    exit code 2
    lvscare-installer: invalid value '../../x' for '[NONCE]': "../../x" is no name: 1 to 64 of a to z, 0 to 9 and -, not - first
    "#);
}

#[test]
fn a_cluster_file_that_is_not_there() {
    insta::assert_snapshot!(run("ping --cluster /nowhere/cluster.yaml"), @r"
    exit code 3
    lvscare-installer: --cluster /nowhere/cluster.yaml: there is no such file
    ");
}

#[test]
fn a_key_of_a_host_that_is_none() {
    insta::assert_snapshot!(run("ping --host 10.0.0.1 --host-key SHA256:short"), @r#"
    exit code 2
    lvscare-installer: invalid value 'SHA256:short' for '--host-key <SHA256:HASH>': "SHA256:short" is not a fingerprint; it is `SHA256:` and 43 characters, as `ssh-keygen -lf` prints it
    "#);
}

#[test]
fn a_preparation_without_a_master() {
    insta::assert_snapshot!(run("prepare --node 10.0.0.1"), @r"
    exit code 2
    lvscare-installer: there is no master; name every apiserver with --master
    ");
}

#[test]
fn a_preparation_of_masters_alone() {
    insta::assert_snapshot!(run("prepare --master 10.0.0.1"), @r"
    exit code 2
    lvscare-installer: masters are named, and not touched; name the nodes with --node, or other hosts with --host
    ");
}

#[test]
fn no_host() {
    insta::assert_snapshot!(run("ping"), @r#"
    exit code 2
    lvscare-installer: there is no host; name them with --master, --node or --host
    "#);
}

#[test]
fn every_mistake_about_hosts_at_once() {
    insta::assert_snapshot!(run("ping --master 10.0.0.300,10.0.0.1 --node 10.0.0.9-10.0.0.2,here --host 10.0.0.1 --user= --port 0 --passwd-file /nowhere --pk /nowhere"), @r#"
    exit code 2
    lvscare-installer: --port 0: port 0 is no port; SSH servers usually listen on 22
    lvscare-installer: --master `10.0.0.300`: it is not an address such as 10.0.0.1 or 10.0.0.1:22
    lvscare-installer: --node `10.0.0.9-10.0.0.2`: the range is the wrong way round; write 10.0.0.2-10.0.0.9
    lvscare-installer: --node `here`: it is a name, and names are not looked up; give the IP address
    lvscare-installer: --user "" is not the name of a user
    lvscare-installer: --passwd-file /nowhere: No such file or directory (os error 2)
    lvscare-installer: the key /nowhere: No such file or directory (os error 2)
    "#);
}

#[test]
fn a_limit_that_is_none_of_the_hosts() {
    insta::assert_snapshot!(run("ping --host 10.0.0.1 --limit 10.0.0.2"), @r#"
    exit code 2
    lvscare-installer: --limit `10.0.0.2` is none of the hosts
    "#);
}

#[test]
fn two_passwords() {
    insta::assert_snapshot!(run("ping --host 10.0.0.1 --passwd SECRET --ask-pass"), @r#"
    exit code 2
    lvscare-installer: the argument '--passwd <PASSWORD>' cannot be used with '--ask-pass'
    "#);
}

#[test]
fn a_password_that_is_empty() {
    insta::assert_snapshot!(run("ping --host 10.0.0.1 --passwd="), @r#"
    exit code 2
    lvscare-installer: --passwd: the password is empty
    "#);
}

#[test]
fn a_file_of_a_password_for_everybody() {
    insta::assert_snapshot!(run("ping --host 10.0.0.1 --passwd-file /proc/version"), @r#"
    exit code 2
    lvscare-installer: --passwd-file /proc/version: others can read or change it (mode 0444); chmod 600 /proc/version, and take another secret if somebody may have seen this one
    "#);
}

#[test]
fn a_policy_that_is_none() {
    insta::assert_snapshot!(run("ping --host 10.0.0.1 --host-key-policy no"), @r#"
    exit code 2
    lvscare-installer: invalid value 'no' for '--host-key-policy <POLICY>'; [possible values: strict, accept-new]
    "#);
}

#[test]
fn two_bastions() {
    insta::assert_snapshot!(run("ping --host 10.0.0.1 --bastion me@10.0.0.2-10.0.0.3"), @r#"
    exit code 2
    lvscare-installer: --bastion `me@10.0.0.2-10.0.0.3`: a bastion is one host
    "#);
}

#[test]
fn no_command() {
    insta::assert_snapshot!(run("exec --host 10.0.0.1"), @r#"
    exit code 2
    lvscare-installer: the following required arguments were not provided: <COMMAND>...
    "#);
}

#[test]
fn a_command_without_dashes() {
    insta::assert_snapshot!(run("exec --host 10.0.0.1 uptime"), @r#"
    exit code 2
    lvscare-installer: unexpected argument 'uptime' found; the command comes after `--`
    "#);
}

#[test]
fn every_mistake_about_a_copy_at_once() {
    insta::assert_snapshot!(run("copy --host here --mode 4755 /nowhere relative/file"), @r#"
    exit code 2
    lvscare-installer: --host `here`: it is a name, and names are not looked up; give the IP address
    lvscare-installer: DEST "relative/file" is not the absolute path of a file
    lvscare-installer: --mode `4755` is not a mode from 0000 to 0777, such as 0644
    lvscare-installer: /nowhere: No such file or directory (os error 2)
    "#);
}

#[test]
fn a_copy_into_a_directory() {
    insta::assert_snapshot!(run("copy --host 10.0.0.1 /nowhere /root/"), @r#"
    exit code 2
    lvscare-installer: DEST "/root/" is not the absolute path of a file
    lvscare-installer: /nowhere: No such file or directory (os error 2)
    "#);
}

#[test]
fn a_copy_of_a_directory() {
    insta::assert_snapshot!(run("copy --host 10.0.0.1 / /root/all"), @r#"
    exit code 2
    lvscare-installer: /: it is not a regular file
    "#);
}

#[test]
fn a_command_that_is_empty() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lvscare-installer"));
    let output = command.args(["exec", "--host", "10.0.0.1", "--", " "]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), error.as_str()),
        (Some(2), "lvscare-installer: the command is empty\n")
    );
}

#[test]
fn nobody_to_ask_for_a_password() {
    // In a session of its own the program has no terminal.
    let mut command = Command::new("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_lvscare-installer")]);
    let output = command.args(["ping", "--host", "10.0.0.1", "--ask-pass"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("lvscare-installer: cannot ask at a terminal ("), "{error}");
    assert!(error.ends_with("; use --passwd-file\n"), "{error}");
}
