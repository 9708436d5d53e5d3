//! Every mistake and the one line it is answered with.

use std::fs;

use super::*;
use crate::exit::Exit;
use crate::probe::Settings;

/// All that is wrong is wrong usage, said in one line.
fn assert_refused<T: std::fmt::Debug>(line: &str, result: Result<T, Failure>, message: &str) {
    let failure = result.expect_err(line);
    assert_eq!(failure.to_string(), message, "{line}");
    assert_eq!(failure.exit, Exit::Usage, "{line}");
    assert_eq!(message.lines().count(), 1, "{line}");
}

fn assert_all_refused(refusals: &[(&str, &str)]) {
    for (line, message) in refusals {
        assert_refused(line, config(line), message);
    }
}

#[test]
fn real_servers() {
    assert_all_refused(&[
        ("", "no real server given; name every apiserver with --rs, as --rs 10.0.0.1:6443"),
        (
            "--rs 10.0.0.300:6443",
            "invalid value '10.0.0.300:6443' for '--rs <IP:PORT[,weight=N]>': `10.0.0.300` is not an IP address",
        ),
        (
            "--rs 10.0.0.1",
            "invalid value '10.0.0.1' for '--rs <IP:PORT[,weight=N]>': the port is missing; write 10.0.0.1:6443",
        ),
        (
            "--rs 10.0.0.1:0",
            "invalid value '10.0.0.1:0' for '--rs <IP:PORT[,weight=N]>': \
             port 0 is no port; apiservers usually listen on 6443",
        ),
        (
            "--rs 10.0.0.1:70000",
            "invalid value '10.0.0.1:70000' for '--rs <IP:PORT[,weight=N]>': \
             `70000` is not a port from 1 to 65535",
        ),
        (
            "--rs 10.0.0.1:6443,10.0.0.2",
            "invalid value '10.0.0.1:6443,10.0.0.2' for '--rs <IP:PORT[,weight=N]>': \
             the port is missing; write 10.0.0.2:6443",
        ),
        ("--rs", "a value is required for '--rs <IP:PORT[,weight=N]>' but none was supplied"),
        (
            "--rs 10.0.0.1:6443 --rs 10.0.0.1:6443,weight=2",
            "--rs 10.0.0.1:6443 is given twice; name each apiserver once",
        ),
    ]);
}

#[test]
fn virtual_server() {
    let refusal = |value: &str, why: &str| {
        let line = format!("--vs {value} {SERVER}");
        assert_refused(&line, config(&line), &format!("invalid value '{value}' for '--vs <IP:PORT>': {why}"));
    };
    for ip in ["127.0.0.1", "127.9.9.9", "::1"] {
        let value = SocketAddr::new(ip.parse().unwrap(), 6443).to_string();
        let why = "is a loopback address: packets from it cannot leave the node";
        refusal(&value, &format!("{ip} {why}; use an unused one such as 10.103.97.2"));
    }
    for ip in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "169.254.1.1", "::", "ff02::1", "fe80::1"] {
        let value = SocketAddr::new(ip.parse().unwrap(), 6443).to_string();
        refusal(&value, &format!("{ip} cannot be a virtual address; use an unused one such as 10.103.97.2"));
    }
    refusal("10.103.97.2", "the port is missing; write 10.103.97.2:6443");
    refusal("10.103.97.2:0", "port 0 is no port; apiservers usually listen on 6443");
}

#[test]
fn virtual_and_real_server_together() {
    assert_all_refused(&[
        (
            "--rs [fd00::1]:6443",
            "--rs [fd00::1]:6443 and --vs 10.103.97.2:6443 are of different families; \
             IPVS cannot translate between IPv4 and IPv6",
        ),
        (
            "--vs [fd00::6443]:6443 --rs 10.0.0.1:6443",
            "--rs 10.0.0.1:6443 and --vs [fd00::6443]:6443 are of different families; \
             IPVS cannot translate between IPv4 and IPv6",
        ),
        (
            "--vs 10.0.0.1:6443 --rs 10.0.0.1:6443",
            "--rs 10.0.0.1:6443 is the virtual address itself; name the apiserver's own address",
        ),
        (
            "--vs 10.0.0.1:443 --rs 10.0.0.1:6443",
            "--rs 10.0.0.1:6443 is the virtual address itself; name the apiserver's own address",
        ),
        (
            "--rs 10.0.0.1:6443 --node-ip fd00::9",
            "--node-ip fd00::9 and --vs 10.103.97.2:6443 are of different families",
        ),
    ]);
}

#[test]
fn numbers_and_times() {
    let all = [
        ("--interval 0", "--interval 0s is not between 20ms and 5m"),
        ("--interval 10ms", "--interval 10ms is not between 20ms and 5m"),
        ("--interval 1h", "--interval 60m is not between 20ms and 5m"),
        ("--fast-interval 0", "--fast-interval 0s is not between 20ms and 5m"),
        ("--resync 0", "--resync 0s is not between 20ms and 5m"),
        (
            "--interval soon",
            "invalid value 'soon' for '--interval <TIME>': not a duration such as 200ms, 2s or 1m30s",
        ),
        ("--drain-timeout 25h", "invalid value '25h' for '--drain-timeout <TIME>': longer than a day"),
        ("--health-timeout 1ms", "--health-timeout 1ms is less than any answer takes; give at least 10ms"),
        (
            "--health-timeout 1m --fall 3",
            "--health-timeout 1m is too long: a silent apiserver would keep its traffic for 3m \
             (--fall 3 times that); give at most 30s",
        ),
        (
            "--connect-timeout 31",
            "--connect-timeout 31s is too long: a silent apiserver would keep its traffic for 1m2s \
             (--fall 2 times that); give at most 30s",
        ),
        ("--fall 0", "--fall 0 is not a number of probes from 1 to 100"),
        ("--rise 101", "--rise 101 is not a number of probes from 1 to 100"),
        ("--health-status 99", "invalid value '99' for '--health-status <CODE>': 99 is not in 100..=599"),
    ];
    for (options, message) in all {
        let line = format!("{SERVER} {options}");
        assert_refused(&line, config(&line), message);
    }
}

#[test]
fn words() {
    assert_all_refused(&[
        (
            "--scheduler wrx",
            "invalid value 'wrx' for '--scheduler <NAME>': not an IPVS scheduler that is of use here; \
             give one of rr, wrr, lc, wlc, fo, lblc, lblcr, sh, mh, sed, nq, twos",
        ),
        (
            "--scheduler dh",
            "invalid value 'dh' for '--scheduler <NAME>': it sends all clients to one real server and refuses them \
             while that one drains; use rr, or mh to keep each client at one server",
        ),
        ("--intervall 5", "unexpected argument '--intervall' found; a similar argument exists: '--interval'"),
        ("--rs 10.0.0.1:6443 more", "unexpected argument 'more' found"),
        ("--run-once --clean", "the argument '--run-once' cannot be used with '--clean'"),
        (
            "--health-scheme ftp",
            "invalid value 'ftp' for '--health-scheme <SCHEME>'; [possible values: https, http]; \
             a similar value exists: 'http'",
        ),
        (
            "--log loud",
            "invalid value 'loud' for '--log <LEVEL>': not a level (error, warn, info, debug, trace) or a filter such as \
             info,lvscare::checker=debug",
        ),
        (
            "--rs 10.0.0.1:6443 --health-scheme http --ca-file ca.crt --token-file token",
            "--token-file needs HTTPS, not --health-scheme http: \
             credentials are sent only over an encrypted connection",
        ),
        (
            "--rs 10.0.0.1:6443 --health-scheme http --cert-file client.pem",
            "--cert-file needs HTTPS, not --health-scheme http: \
             credentials are sent only over an encrypted connection",
        ),
        (
            "--rs 10.0.0.1:6443 --token-file token",
            "--token-file needs --ca-file: a token is sent only to a server whose certificate is verified",
        ),
        (
            "--rs 10.0.0.1:6443 --key-file client.key",
            "--key-file is of no use without the certificate, --cert-file",
        ),
        ("--rs 10.0.0.1:6443 --health-path /a<b", "--health-path \"/a<b\" is not a URL path"),
        ("--rs 10.0.0.1:6443 --ready-path ä", "--ready-path \"ä\" is not a URL path"),
        (
            "--rs 10.0.0.1:6443 --health-insecure-skip-verify=false",
            "--health-insecure-skip-verify=false needs --ca-file, the authority to verify with \
             (kubeadm keeps it in /etc/kubernetes/pki/ca.crt)",
        ),
    ]);
}

#[test]
fn commands() {
    for (line, message) in [
        ("car", "unrecognized subcommand 'car'; a similar subcommand exists: 'care'"),
        (
            "status -o picture",
            "invalid value 'picture' for '--output <OUTPUT>'; [possible values: table, wide, json, yaml]",
        ),
        (
            "clean --vs 10.103.97.2",
            "invalid value '10.103.97.2' for '--vs <IP:PORT>': the port is missing; write 10.103.97.2:6443",
        ),
        ("completion", "the following required arguments were not provided: <SHELL>"),
    ] {
        assert_refused(line, typed(line), message);
    }
}

/// The files and names that only the probe looks at.
#[test]
fn authority_files() {
    let directory = tempfile::tempdir().unwrap();
    let refusal = |name: &str, text: Option<&str>| {
        let file = directory.path().join(name);
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        let config = with(&format!("--ca-file {}", file.display()));
        let error = Settings::new(&config.services[0].probe).expect_err(name).to_string();
        let prefix = format!("--ca-file {}: ", file.display());
        error.strip_prefix(&prefix).expect(&error).to_owned()
    };
    let without = "holds no certificate in PEM form";
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let unreadable = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(refusal("missing", None), "No such file or directory (os error 2)");
    assert_eq!(refusal("empty", Some("")), without);
    assert_eq!(refusal("text", Some("ca.crt")), without);
    assert_eq!(refusal("key", Some(key)), without);
    for (name, text, why) in
        [("damaged", unreadable, "damaged PEM"), ("bytes", nonsense, "not a certificate: ")]
    {
        let refusal = refusal(name, Some(text));
        assert!(refusal.starts_with(why) && refusal.lines().count() == 1, "{refusal}");
    }
}

#[test]
fn server_names() {
    for name in ["kubernetes", "kubernetes.default.svc", "10.0.0.1", "fd00::1"] {
        assert!(
            Settings::new(&with(&format!("--tls-server-name {name}")).services[0].probe).is_ok(),
            "{name}"
        );
    }
    let error = Settings::new(&with("--tls-server-name https://master").services[0].probe).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--tls-server-name \"https://master\" is neither a DNS name nor an IP address"
    );
}
