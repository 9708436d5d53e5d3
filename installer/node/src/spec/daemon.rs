//! What the daemon is told: once, and from it both what that means here and what its pod will be started with. The
//! environment of whoever runs us is neither.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use lvscare::cli::care_options;
use lvscare::config::Config;
use lvscare::config::raw::{CareArgs, ConfigArgs};
use lvscare::config::value::{NodeAddress, RealServer, RealServers, VirtualAddress};

use crate::failure::Failure;

/// Where kubeadm puts the cluster's authority, on masters and workers.
const AUTHORITY: &str = "/etc/kubernetes/pki/ca.crt";

/// What the daemon is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonOptions {
    /// The virtual server.
    pub vs: SocketAddr,
    /// The real servers.
    pub servers: Vec<RealServer>,
    node_ip: Option<IpAddr>,
    ca_file: Option<PathBuf>,
    /// Further options, as somebody else wrote them.
    more: Vec<String>,
}

impl DaemonOptions {
    /// For a node that is to be prepared, with further options as a person typed them.
    pub fn new(
        vs: SocketAddr,
        servers: impl IntoIterator<Item = RealServer>,
        node_ip: Option<IpAddr>,
        more: &[String],
    ) -> Result<Self, Failure> {
        let args = parse(more)?;
        let own = |option: &str, ours: &str| {
            Failure::usage(format!("--lvscare-arg takes no {option}: what it says is said by {ours}"))
        };
        match &args {
            ConfigArgs { vs: Some(_), .. } => return Err(own("--vs", "--vip")),
            ConfigArgs { rs, .. } if !rs.is_empty() => return Err(own("--rs", "--master")),
            ConfigArgs { file: Some(_), .. } => {
                return Err(Failure::usage(
                    "--lvscare-arg takes no --config: the pod has no such file; give the options themselves",
                ));
            }
            ConfigArgs { guard, .. } if guard.node_ip.is_some() => return Err(own("--node-ip", "--node-ip")),
            _ => {}
        }
        let ca_file = args.health.ca_file.is_none().then(|| AUTHORITY.into());
        Ok(Self { vs, servers: servers.into_iter().collect(), node_ip, ca_file, more: more.to_vec() })
    }

    /// Of a virtual server of which nothing else is known.
    pub fn bare(vs: SocketAddr, servers: Vec<RealServer>) -> Self {
        Self { vs, servers, node_ip: None, ca_file: None, more: Vec::new() }
    }

    /// Reads the arguments of a pod that runs the daemon, `care` first.
    pub fn read(arguments: &[String]) -> Result<Self, Failure> {
        let foreign = |why: &str| {
            Failure::new(
                crate::failure::Kind::Foreign,
                format!("the manifest is not as this installer writes it: its pod is told {why}"),
            )
        };
        let Some((first, words)) = arguments.split_first() else { return Err(foreign("nothing")) };
        if first != "care" {
            return Err(foreign(&format!("{first:?} instead of `care`")));
        }
        let args = parse(words)?;
        if args.file.is_some() {
            return Err(foreign("of a configuration file (--config)"));
        }
        let vs = args.vs.ok_or_else(|| foreign("of no virtual server (--vs)"))?;
        let servers = args.rs.iter().flat_map(|list| list.0.iter().copied()).collect();
        Ok(Self { vs: vs.0, servers, node_ip: None, ca_file: None, more: without(words, &["--vs", "--rs"]) })
    }

    /// The same with other masters, each with the weight that it has.
    #[must_use]
    pub fn with_masters(&self, masters: &[SocketAddr]) -> Self {
        let weight = |master: &SocketAddr| {
            self.servers.iter().find(|server| server.address == *master).map_or(1, |server| server.weight)
        };
        let servers = masters.iter().map(|&address| RealServer { address, weight: weight(&address) });
        Self { servers: servers.collect(), ..self.clone() }
    }

    /// What its pod is started with.
    pub fn arguments(&self) -> Vec<String> {
        let servers = self.servers.iter().map(|&server| format!("--rs={}", RealServers(vec![server])));
        ["care".to_owned(), format!("--vs={}", self.vs)]
            .into_iter()
            .chain(servers)
            .chain(self.node_ip.map(|node_ip| format!("--node-ip={node_ip}")))
            .chain(self.ca_file.as_ref().map(|file| format!("--ca-file={}", file.display())))
            .chain(self.more.iter().cloned())
            .collect()
    }

    /// What that means.
    pub fn config(&self) -> Result<Config, Failure> {
        let mut args = parse(&self.more)?;
        args.vs = Some(VirtualAddress(self.vs));
        args.rs = vec![RealServers(self.servers.clone())];
        if let Some(node_ip) = self.node_ip {
            args.guard.node_ip = Some(NodeAddress(node_ip));
        }
        if let Some(file) = &self.ca_file {
            args.health.ca_file = Some(file.clone());
        }
        Ok(Config::build(&args, None)?)
    }

    /// Options of `other` that are missing here: what a pod loses that is told this instead of that.
    pub fn lacks(&self, other: &Self) -> Vec<String> {
        let (ours, theirs) = (self.arguments(), other.arguments());
        let name = |word: &String| word.split('=').next().unwrap_or_default().to_owned();
        let has = |word: &String| ours.iter().any(|own| name(own) == name(word));
        theirs.into_iter().filter(|word| word.starts_with("--") && !has(word)).collect()
    }
}

fn parse(words: &[String]) -> Result<ConfigArgs, Failure> {
    let CareArgs { config, clean, run_once, .. } = care_options(words)
        .map_err(|refusal| Failure::usage(format!("--lvscare-arg: {}", refusal.message)))?;
    if clean || run_once {
        return Err(Failure::usage("--lvscare-arg takes options of the daemon, not --clean or --run-once"));
    }
    Ok(config)
}

/// The words but these options with their values.
fn without(words: &[String], options: &[&str]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if options.contains(&word.as_str()) {
            words.next();
        } else if !options
            .iter()
            .any(|option| word.strip_prefix(option).is_some_and(|rest| rest.starts_with('=')))
        {
            kept.push(word.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn server(text: &str) -> RealServer {
        RealServer { address: text.parse().unwrap(), weight: 1 }
    }

    fn options(more: &str) -> Result<DaemonOptions, Failure> {
        let vs = "10.103.97.2:6443".parse().unwrap();
        DaemonOptions::new(vs, [server("10.0.0.1:6443")], "10.0.0.9".parse().ok(), &words(more))
    }

    #[test]
    fn what_is_read_back_means_the_same() {
        for more in ["", "--interval=5s", "--listen none --prefer-local", "--ca-file=/ca.crt", "--fall 3"] {
            let told = options(more).unwrap();
            let read = DaemonOptions::read(&told.arguments()).unwrap();
            assert_eq!(read.arguments(), told.arguments());
            assert_eq!(read.config().unwrap(), told.config().unwrap());
        }
        assert_eq!(
            options("--interval=5s").unwrap().arguments(),
            words(
                "care --vs=10.103.97.2:6443 --rs=10.0.0.1:6443 --node-ip=10.0.0.9 \
                 --ca-file=/etc/kubernetes/pki/ca.crt --interval=5s"
            )
        );
    }

    #[test]
    fn what_is_said_elsewhere_or_has_no_place_in_a_pod_is_refused() {
        for (more, why) in [
            ("--rs=10.0.0.2:6443", "--lvscare-arg takes no --rs: what it says is said by --master"),
            ("--vs 10.0.0.2:6443", "--lvscare-arg takes no --vs: what it says is said by --vip"),
            ("--node-ip=10.0.0.2", "--lvscare-arg takes no --node-ip"),
            ("-c /x.yaml", "--lvscare-arg takes no --config: the pod has no such file"),
            ("--clean", "--lvscare-arg takes options of the daemon, not --clean or --run-once"),
            ("--help", "--lvscare-arg: unexpected argument '--help' found"),
            (
                "--intreval=5s",
                "--lvscare-arg: unexpected argument '--intreval' found; a similar argument exists",
            ),
        ] {
            let refusal = options(more).unwrap_err().message;
            assert!(refusal.starts_with(why), "{refusal}");
        }
    }

    #[test]
    fn only_the_masters_change() {
        let old = DaemonOptions::read(&words(
            "care --vs=10.103.97.2:6443 --rs=10.0.0.1:6443,weight=2 --rs 10.0.0.2:6443 --interval=5s",
        ));
        let masters = ["10.0.0.3:6443", "10.0.0.1:6443"].map(|master| master.parse().unwrap());
        assert_eq!(
            old.unwrap().with_masters(&masters).arguments(),
            words("care --vs=10.103.97.2:6443 --rs=10.0.0.3:6443 --rs=10.0.0.1:6443,weight=2 --interval=5s")
        );
    }

    #[test]
    fn other_pods_are_not_read() {
        for (arguments, why) in [
            ("", "told nothing"),
            ("status", "told \"status\" instead of `care`"),
            ("care --rs=10.0.0.1:6443", "no virtual server"),
            ("care --config=/x", "a configuration file"),
        ] {
            let refusal = DaemonOptions::read(&words(arguments)).unwrap_err();
            assert!(refusal.message.contains(why), "{refusal}");
        }
    }

    #[test]
    fn what_is_lost_is_known() {
        let old = options("--interval=5s --prefer-local --fall=3").unwrap();
        assert_eq!(options("--fall=4").unwrap().lacks(&old), ["--interval=5s", "--prefer-local"]);
    }
}
