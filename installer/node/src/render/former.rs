//! Static pods that older installers made to run an older lvscare, read but never written. Pure.
//!
//! All of them run `lvscare care --vs .. --rs ..`, and differ in how: as `command` or `args`, as one line for a shell,
//! with or without ports, with one `--rs` for each master or with commas between them. sealos of 2019 to 3.x called
//! the file `kube-sealyun-lvscare.yaml`, sealos 4 and 5 `kube-sealos-lvscare.yaml`; others, as we do, `kube-lvscare.yaml`.

use std::net::{IpAddr, SocketAddr};

use lvscare::yaml;

use super::manifest::{Container, Pod, Variable};
use crate::spec::masters::with_port;

/// What an older lvscare guards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerGuard {
    /// The virtual server.
    pub vip: SocketAddr,
    /// The masters.
    pub masters: Vec<SocketAddr>,
    /// The node's address, if it was told.
    pub node_ip: Option<IpAddr>,
    /// Options that the daemon of today understands in the same way.
    pub options: Vec<String>,
    /// Options that are left behind.
    pub dropped: Vec<String>,
}

/// Why a static pod of an older lvscare cannot be taken over.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no virtual server, or no master.
    #[error("it names no {0}")]
    Missing(&'static str),
    /// A value is none.
    #[error("{option} {why}")]
    Value {
        /// The option.
        option: &'static str,
        /// What is wrong with its value.
        why: String,
    },
    /// It is made in another way.
    #[error(
        "it uses --mode link, which binds the virtual address to an interface and translates with iptables; take it out \
         by hand: move the file away, `ip link delete lvscare`, then lvscare-installer node prepare"
    )]
    Link,
    /// It does not guard.
    #[error("it runs once and guards nothing ({0})")]
    Once(&'static str),
}

/// The variable in which sealos 4 and 5 tell the node's address.
const NODE_IP: &str = "LVSCARE_NODE_IP";

/// What the daemon of today takes as it was.
const KEPT: [(&str, &str); 6] = [
    ("scheduler", "scheduler"),
    ("interval", "interval"),
    ("health-path", "health-path"),
    ("health-schem", "health-scheme"),
    ("health-scheme", "health-scheme"),
    ("health-status", "health-status"),
];

/// What needs no value to say something.
const SWITCHES: [&str; 4] = ["run-once", "clean", "C", "health-insecure-skip-verify"];

/// What is as today's daemon does it without being told.
const USUAL: [(&str, &str); 6] = [
    ("scheduler", "rr"),
    ("health-path", "/healthz"),
    ("health-scheme", "https"),
    ("mode", "route"),
    ("mode", ""),
    ("health-insecure-skip-verify", "true"),
];

/// Reads a manifest; `None` when it is not a pod of an older lvscare, such as ours, which answers kubelet's probes.
pub fn read(text: &[u8]) -> Option<Result<FormerGuard, Error>> {
    let pod: Pod = yaml::parse(text).ok()?;
    if pod.kind != "Pod" {
        return None;
    }
    let mut containers = pod.spec.containers.iter().filter(|container| container.liveness_probe.is_none());
    containers.find_map(|container| {
        let words = words(container)?;
        Some(guard(&options(&words), &container.env))
    })
}

/// What follows `lvscare care`, if that is what runs there.
fn words(container: &Container) -> Option<Vec<String>> {
    let all = container.command.iter().chain(&container.args);
    // One line for a shell is as many words.
    let plain = |word: &str| word.trim_matches(['"', '\'', ';']).to_owned();
    let all: Vec<String> = all.flat_map(|text| text.split_whitespace()).map(plain).collect();
    let care = all.iter().position(|word| word == "care")?;
    let is_lvscare = |word: &String| word.rsplit('/').next().is_some_and(|name| name.contains("lvscare"));
    // The image's own entry point may be what runs.
    (care == 0 || all[..care].iter().any(is_lvscare)).then(|| all[care + 1..].to_vec())
}

/// Options and their values, as `--a b`, `--a=b` or `-a b`.
fn options(words: &[String]) -> Vec<(String, String)> {
    let mut options = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None if SWITCHES.contains(&name) => (name, "true".to_owned()),
            None => (name, words.next_if(|next| !next.starts_with('-')).cloned().unwrap_or_default()),
        };
        options.push((name.to_owned(), value));
    }
    options
}

fn guard(options: &[(String, String)], variables: &[Variable]) -> Result<FormerGuard, Error> {
    let wrong = |option, why: String| Error::Value { option, why };
    let address =
        |option, text: &str| with_port(text).map_err(|why| wrong(option, format!("`{text}`: {why}")));
    let (mut vip, mut node_ip) = (None, None);
    let (mut masters, mut kept, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in options {
        match (name.as_str(), value.as_str()) {
            ("vs", _) => vip = Some(address("--vs", value)?),
            ("rs", _) => {
                for server in value.split(',') {
                    let master = address("--rs", server)?;
                    if !masters.contains(&master) {
                        masters.push(master);
                    }
                }
            }
            ("mode", "link") => return Err(Error::Link),
            ("run-once", "true") => return Err(Error::Once("--run-once")),
            // Before 2022 it meant to begin with an empty table.
            ("C", "true") => return Err(Error::Once("--clean")),
            ("ip", _) if node_ip.is_none() => {
                node_ip =
                    Some(value.parse().map_err(|_| wrong("--ip", format!("`{value}` is not an address")))?);
            }
            (name, value) => {
                let today = KEPT.iter().find(|(old, _)| *old == name).map_or(name, |(_, today)| today);
                if USUAL.contains(&(today, value)) {
                    continue;
                }
                if KEPT.iter().any(|(old, _)| *old == name) {
                    kept.push(format!("--{today}={value}"));
                } else {
                    dropped.push(format!("--{name} {value}").trim_end().to_owned());
                }
            }
        }
    }
    let told = variables.iter().find(|variable| variable.name == NODE_IP && !variable.value.is_empty());
    if let Some(Variable { value, .. }) = told {
        let address =
            value.parse().map_err(|_| wrong(NODE_IP, format!("is {value:?}, which is not an address")))?;
        node_ip.get_or_insert(address);
    }
    let vip = vip.ok_or(Error::Missing("virtual server (--vs)"))?;
    if masters.is_empty() {
        return Err(Error::Missing("master (--rs)"));
    }
    Ok(FormerGuard { vip, masters, node_ip, options: kept, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pod that runs this, as YAML within YAML.
    fn pod(container: &str) -> String {
        let lines = format!("    {}\n", container.replace('\n', "\n    "));
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  creationTimestamp: null\n  name: kube-sealos-lvscare\n\
             spec:\n  containers:\n  -\n{lines}  hostNetwork: true\nstatus: {{}}\n"
        )
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn guarded(text: &str) -> FormerGuard {
        read(text.as_bytes()).expect("a guard").unwrap()
    }

    const MASTERS: [&str; 2] = ["10.0.0.1:6443", "10.0.0.2:6443"];

    #[test]
    fn every_form_is_read() {
        let list = "args: [care, --vs, \"10.103.97.2:6443\", --health-path, /healthz, --health-schem, https, --rs, \
                    \"10.0.0.1:6443\", --rs, \"10.0.0.2:6443\"]\ncommand: [/usr/bin/lvscare]";
        let one = "command: [/usr/bin/lvscare, care, --vs, \"10.103.97.2:6443\", --health-path, /healthz, \
                   --health-schem, https, --rs, \"10.0.0.1:6443\", --rs, \"10.0.0.2:6443\"]";
        let commas =
            "command: [lvscare]\nargs: [care, --vs=10.103.97.2:6443, \"--rs=10.0.0.1:6443,10.0.0.2:6443\"]";
        let without_ports = "args: [care, --vs, 10.103.97.2, --rs, 10.0.0.1, --rs, 10.0.0.2, --mode=route]";
        let shell =
            "command: [sh, -c, \"lvscare care --vs 10.103.97.2:6443 --rs 10.0.0.1:6443 --rs 10.0.0.2:6443\"]";
        let twice = "args: [care, --vs, 10.103.97.2, --rs, \"10.0.0.1,10.0.0.2\", --rs, \"10.0.0.1:6443\"]";
        for container in [list, one, commas, without_ports, shell, twice] {
            let guard = guarded(&pod(container));
            assert_eq!(
                guard,
                FormerGuard {
                    vip: "10.103.97.2:6443".parse().unwrap(),
                    masters: addresses(&MASTERS),
                    node_ip: None,
                    options: Vec::new(),
                    dropped: Vec::new(),
                },
                "{container}"
            );
        }
        let json = r#"{"kind": "Pod", "spec": {"containers": [{"command": ["/usr/bin/lvscare-test"],
            "args": ["care", "--vs", "[fd00::2]:443", "--rs", "[fd00::1]:6443"]}]}}"#;
        assert_eq!(guarded(json).vip, "[fd00::2]:443".parse().unwrap());
    }

    #[test]
    fn what_means_the_same_today_is_kept_and_the_rest_is_named() {
        let text = "args: [care, --vs, 10.103.97.2, --rs, 10.0.0.1, --interval, \"5\", --scheduler=wlc, --health-path, \
                    /readyz, --health-schem, http, --health-status, \"401,403\", --logger, DEBG, --iface, lvs0, -i=x, \
                    --health-req-method, GET, --clean=true, --aa, --masqueradebit=0]\nenv:\n- name: LVSCARE_NODE_IP\n  \
                    value: 10.0.0.9";
        let guard = guarded(&pod(text));
        assert_eq!(
            guard.options,
            [
                "--interval=5",
                "--scheduler=wlc",
                "--health-path=/readyz",
                "--health-scheme=http",
                "--health-status=401,403"
            ]
        );
        let dropped =
            ["--logger DEBG", "--iface lvs0", "--i x", "--health-req-method GET", "--clean true", "--aa"];
        assert_eq!(guard.dropped[..6], dropped);
        assert_eq!(guard.node_ip, "10.0.0.9".parse().ok());
        let told = "args: [care, --vs, 10.103.97.2, --rs, 10.0.0.1, --ip, 10.0.0.8]";
        assert_eq!(guarded(&pod(told)).node_ip, "10.0.0.8".parse().ok());
    }

    #[test]
    fn what_cannot_be_taken_over_is_named() {
        let common = "care, --vs, 10.103.97.2, --rs, 10.0.0.1";
        for (arguments, why) in [
            ("care, --rs, 10.0.0.1".to_owned(), "it names no virtual server (--vs)"),
            ("care, --vs, 10.103.97.2".to_owned(), "it names no master (--rs)"),
            (format!("{common}, --mode, link"), "it uses --mode link"),
            (format!("{common}, --run-once"), "it runs once and guards nothing (--run-once)"),
            (format!("{common}, -C"), "it runs once and guards nothing (--clean)"),
            (format!("{common}, --ip, x"), "--ip `x` is not an address"),
            ("care, --vs, 10.103.97.2:0".to_owned(), "--vs `10.103.97.2:0`: port 0 is no port"),
            ("care, --vs, 10.103.97.2, --rs, \"10.0.0.1,\"".to_owned(), "--rs ``: not an address"),
        ] {
            let refusal = read(pod(&format!("args: [{arguments}]")).as_bytes()).unwrap().unwrap_err();
            assert!(refusal.to_string().starts_with(why), "{arguments}: {refusal}");
        }
    }

    #[test]
    fn other_pods_are_none_of_them() {
        let ours = crate::render::pod::EXAMPLE;
        let kube_vip = pod("args: [manager]\nimage: ghcr.io/kube-vip/kube-vip");
        let other = pod("command: [/usr/bin/day-care, care, --vs, x]");
        for text in
            [ours, &kube_vip, &other, "", "kind: Pod\n", "}{", "kind: Service\nspec: {containers: []}"]
        {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_does_harm(words in proptest::collection::vec("[-a-z0-9.:,= \"]{0,14}", 0..12)) {
            let list: Vec<_> = ["care".to_owned()].into_iter().chain(words).map(|word| format!("{word:?}")).collect();
            let _ = read(pod(&format!("args: [{}]", list.join(", "))).as_bytes());
        }
    }
}
