//! A stand-in for `kubeadm join` of any version: as strict about its configuration and its preflight checks as the real
//! one, and as little else as a join needs.
//!
//! What it does, it does as kubeadm was seen to (1.20.2, built from source) or as its source says: fields of each
//! configuration from the types of `kubeadm.k8s.io`; `DirAvailable--etc-kubernetes-manifests` refuses even a dot-file,
//! and is gone since 1.23 (kubernetes/kubernetes#104942); discovery goes to the endpoint by its name, and only there.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its terminal")]

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tests::client::Client;
use tests::stub::{CA, FAIL, RECORD, TOKEN, VERSION};

const KUBELET: &str = "/etc/kubernetes/kubelet.conf";
const MANIFESTS: &str = "/etc/kubernetes/manifests";

/// The guest is slow.
const LIMIT: Duration = Duration::from_secs(20);

/// Every field that a join may use, with the first and the last `v1betaN` that has it.
const FIELDS: [(&str, u8, u8); 20] = [
    ("apiVersion", 1, 4),
    ("kind", 1, 4),
    ("controlPlane.certificateKey", 2, 4),
    ("controlPlane.localAPIEndpoint.advertiseAddress", 1, 4),
    ("controlPlane.localAPIEndpoint.bindPort", 1, 4),
    ("discovery.bootstrapToken.apiServerEndpoint", 1, 4),
    ("discovery.bootstrapToken.caCertHashes", 1, 4),
    ("discovery.bootstrapToken.token", 1, 4),
    ("discovery.bootstrapToken.unsafeSkipCAVerification", 1, 4),
    ("discovery.file.kubeConfigPath", 1, 4),
    ("discovery.timeout", 1, 3),
    ("discovery.tlsBootstrapToken", 1, 4),
    ("nodeRegistration.criSocket", 1, 4),
    ("nodeRegistration.ignorePreflightErrors", 2, 4),
    ("nodeRegistration.kubeletExtraArgs", 1, 4),
    ("nodeRegistration.name", 1, 4),
    ("nodeRegistration.taints", 1, 4),
    ("patches.directory", 3, 4),
    ("skipPhases", 3, 4),
    ("timeouts.discovery", 4, 4),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    record(&words)?;
    let version = env::var(VERSION)?;
    let minor: u8 = version.split('.').nth(1).context("a version")?.parse()?;
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["version", "--output", "short"] => println!("{version}"),
        ["join", "--config", file, flags @ ..] => join(&fs::read_to_string(file)?, flags, minor)?,
        other => bail!("unknown command {other:?}"),
    }
    Ok(())
}

fn record(words: &[String]) -> Result<()> {
    let secrets: Vec<_> =
        env::vars().filter(|(_, value)| value.contains(TOKEN)).map(|(name, _)| name).collect();
    let line = json!({ "words": words, "secret_variables": secrets });
    let mut file = OpenOptions::new().create(true).append(true).open(RECORD)?;
    // At once: whoever reads meanwhile sees whole lines.
    Ok(file.write_all(format!("{line}\n").as_bytes())?)
}

fn join(text: &str, flags: &[&str], minor: u8) -> Result<()> {
    let config: Value = serde_json::to_value(serde_yaml::from_str::<serde_yaml::Value>(text)?)?;
    check_fields(&config, minor)?;
    preflight(&config, flags, minor)?;
    let fail = env::var(FAIL).unwrap_or_default();
    if fail == "hang" {
        std::thread::sleep(Duration::from_secs(60));
    }
    ensure!(
        fail != "kubelet-start",
        "error execution phase kubelet-start: timed out waiting for the condition"
    );
    let authority = discover(&config["discovery"]["bootstrapToken"])?;
    if fail == "silent" {
        return Ok(());
    }
    let data = base64::engine::general_purpose::STANDARD.encode(&authority);
    let kubelet = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n    certificate-authority-data: \
         {data}\n"
    );
    fs::create_dir_all("/etc/kubernetes/pki")?;
    fs::write("/etc/kubernetes/pki/ca.crt", &authority)?;
    if config["controlPlane"].is_object() {
        fs::create_dir_all(MANIFESTS)?;
        fs::write(Path::new(MANIFESTS).join("kube-apiserver.yaml"), "kind: Pod\n")?;
    }
    fs::write(KUBELET, kubelet)?;
    println!("This node has joined the cluster");
    Ok(())
}

/// Strict decoding, as kubeadm does it.
fn check_fields(config: &Value, minor: u8) -> Result<()> {
    let api = config["apiVersion"].as_str().context("no apiVersion")?;
    let number: u8 = api.strip_prefix("kubeadm.k8s.io/v1beta").context("another group")?.parse()?;
    let read = match minor {
        ..15 => 1..=1,
        15..22 => 1..=2,
        22..31 => 2..=3,
        _ => 3..=4,
    };
    ensure!(
        read.contains(&number) && config["kind"] == "JoinConfiguration",
        "no kind \"JoinConfiguration\" is registered for version \"{api}\""
    );
    let mut found = Vec::new();
    fields(config, String::new(), &mut found);
    for field in found {
        let known =
            FIELDS.iter().any(|(name, first, last)| *name == field && (*first..=*last).contains(&number));
        ensure!(known, "strict decoding error: unknown field \"{field}\"");
    }
    let extra = &config["nodeRegistration"]["kubeletExtraArgs"];
    ensure!(extra.is_null() || extra.is_array() == (number == 4), "cannot unmarshal kubeletExtraArgs");
    Ok(())
}

/// The fields down to what is no object, or is one of free names.
fn fields(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if !path.ends_with("kubeletExtraArgs") => {
            for (name, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                fields(value, format!("{path}{dot}{name}"), found);
            }
        }
        _ => found.push(path),
    }
}

fn preflight(config: &Value, flags: &[&str], minor: u8) -> Result<()> {
    let registration = &config["nodeRegistration"];
    let told = registration["ignorePreflightErrors"].as_array().cloned().unwrap_or_default();
    let mut ignored: Vec<&str> = told.iter().filter_map(Value::as_str).collect();
    for flag in flags {
        let checks = flag.strip_prefix("--ignore-preflight-errors=");
        ignored.extend(
            checks.with_context(|| format!("can not mix '--config' with arguments [{flag}]"))?.split(','),
        );
    }
    let socket = registration["criSocket"].as_str().unwrap_or("unix:///run/containerd/containerd.sock");
    let mut errors = Vec::new();
    let mut refuse = |bad: bool, check: &str, why: String| {
        if bad {
            errors.push((check.to_owned(), why));
        }
    };
    let full = fs::read_dir(MANIFESTS).is_ok_and(|mut entries| entries.next().is_some());
    refuse(minor < 23 && full, "DirAvailable--etc-kubernetes-manifests", format!("{MANIFESTS} is not empty"));
    for (check, path) in [
        ("FileAvailable--etc-kubernetes-kubelet.conf", KUBELET),
        ("FileAvailable--etc-kubernetes-pki-ca.crt", "/etc/kubernetes/pki/ca.crt"),
    ] {
        refuse(Path::new(path).exists(), check, format!("{path} already exists"));
    }
    refuse(TcpListener::bind("0.0.0.0:10250").is_err(), "Port-10250", "Port 10250 is in use".to_owned());
    let dead = UnixStream::connect(socket.trim_start_matches("unix://")).is_err();
    refuse(dead, "CRI", format!("container runtime is not running at {socket}"));
    let fail = env::var(FAIL).unwrap_or_default();
    refuse(fail == "preflight", "Swap", "running with swap on is not supported".to_owned());
    let mut fatal = Vec::new();
    for (check, why) in errors {
        if ignored.contains(&check.as_str()) {
            eprintln!("\t[WARNING {check}]: {why}");
        } else {
            fatal.push(format!("\n\t[ERROR {check}]: {why}"));
        }
    }
    let phase = "error execution phase preflight: [preflight] Some fatal errors occurred:";
    ensure!(fatal.is_empty(), "{phase}{}", fatal.concat());
    Ok(())
}

/// Asks at the endpoint, by its name, who the cluster is. Returns its authority.
fn discover(token: &Value) -> Result<Vec<u8>> {
    ensure!(token["token"] == TOKEN, "couldn't validate the identity of the API Server: wrong token");
    let endpoint = token["apiServerEndpoint"].as_str().context("no endpoint")?;
    let (host, port) = endpoint.rsplit_once(':').context("no port")?;
    let address = SocketAddr::new(resolve(host)?, port.parse()?);
    let pem = fs::read(env::var(CA)?)?;
    let hash = lvscare::certificate::pem_key_hash(&pem).context("a certificate")?;
    let pinned = token["caCertHashes"].as_array().is_some_and(|hashes| hashes.contains(&Value::String(hash)));
    ensure!(
        pinned || token["unsafeSkipCAVerification"] == true,
        "cluster CA found in cluster-info is invalid"
    );
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem)?)?;
    let answer = Client::new(roots).get(&format!("https://{address}/healthz"), LIMIT);
    let answer = answer.with_context(|| format!("failed to request the cluster-info from {endpoint}"))?;
    ensure!(answer.status == 200, "{endpoint} says {}", answer.status);
    Ok(pem)
}

/// A name as the hosts file has it; the static C library would want a shared one for that.
fn resolve(host: &str) -> Result<IpAddr> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let text = fs::read_to_string("/etc/hosts")?;
    let line = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut found = line.filter(|line| line.split_whitespace().skip(1).any(|name| name == host));
    let line = found.next().with_context(|| format!("lookup {host}: no such host"))?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
}
