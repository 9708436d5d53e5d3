//! What flags, environment and file mean together. The uppermost layer that says something wins: flags, then
//! environment (both are [`ConfigArgs`] by now), then a virtual server's own settings in the file, then the
//! file's general ones, then the defaults here.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw::{ConfigArgs, File, Guard, Health, Operation, STATE_DIR, USUAL};
use super::value::{LogFormat, RealServer, RealServers, Scheduler, Scheme, Time, VirtualAddress, show};
use super::{Config, Logging, Policy, ProbeConfig, ServiceConfig};
use crate::exit::Failure;

/// A node waits this long at most for an apiserver that says nothing.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Less would be a busy loop, more would be no check.
const INTERVALS: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(300)];

/// What a path with a query may hold besides letters and digits (RFC 3986, section 3.3).
const URL_PUNCTUATION: &[u8] = b"-._~!$&'()*+,;=:@/?%";

/// The layers of one group of settings, the uppermost first, each with the place where it is written.
struct Layers<'a, L>(Vec<(Option<String>, &'a L)>);

/// A value and its name, by which a complaint calls it: `--interval`, or `lvscare.yaml: health.interval`.
struct Given<T> {
    value: T,
    name: String,
}

impl<L> Layers<'_, L> {
    /// What the uppermost layer says that says anything.
    fn find<T>(&self, flag: &str, key: &str, field: impl Fn(&L) -> Option<T>) -> Option<Given<T>> {
        self.0.iter().find_map(|(place, layer)| {
            let value = field(layer)?;
            let name = place.as_ref().map_or_else(|| flag.to_owned(), |place| format!("{place}.{key}"));
            Some(Given { value, name })
        })
    }

    fn get<T>(&self, flag: &str, key: &str, default: T, field: impl Fn(&L) -> Option<T>) -> Given<T> {
        self.find(flag, key, field).unwrap_or(Given { value: default, name: flag.to_owned() })
    }

    fn time(
        &self,
        flag: &str,
        key: &str,
        millis: u64,
        field: impl Fn(&L) -> Option<Time>,
    ) -> Given<Duration> {
        self.get(flag, key, Duration::from_millis(millis), |layer| field(layer).map(|time| time.0))
    }
}

impl Config {
    /// Reads the file, if one is named, and makes sense of everything.
    pub fn load(args: &ConfigArgs) -> Result<Self, Failure> {
        let file = match &args.file {
            Some(path) => Some((path.display().to_string(), File::read(path)?)),
            None => None,
        };
        Self::build(args, file.as_ref().map(|(name, file)| (name.as_str(), file)))
    }

    /// Makes sense of what was written; the file comes with its name.
    pub fn build(args: &ConfigArgs, file: Option<(&str, &File)>) -> Result<Self, Failure> {
        let services = services(args, file)?;
        apart(&services)?;

        let mut guard = Layers(vec![(None, &args.guard)]);
        let mut operation = Layers(vec![(None, &args.operation)]);
        if let Some((name, file)) = file {
            guard.0.push((Some(format!("{name}: guard")), &file.guard));
            operation.0.push((Some(format!("{name}: operation")), &file.operation));
        }
        let resync = guard.time("--resync", "resync", 1000, |guard: &Guard| guard.resync);
        let drain_timeout =
            guard.time("--drain-timeout", "drainTimeout", 30_000, |guard: &Guard| guard.drain_timeout);
        let node_ip = guard.find("--node-ip", "nodeIp", |guard: &Guard| guard.node_ip.map(|ip| ip.0));
        if let Some(Given { value: ip, name }) = &node_ip
            && let Some(other) = services.iter().find(|service| service.at.is_ipv4() != ip.is_ipv4())
        {
            return Err(Failure::usage(format!(
                "{name} {ip} and --vs {} are of different families",
                other.at
            )));
        }
        let local = guard.get("--prefer-local", "preferLocal", false, |guard: &Guard| guard.prefer_local);
        let usual = SocketAddr::from(([127, 0, 0, 1], 10261));
        let listen = operation.get("--listen", "listen", Some(usual), |operation: &Operation| {
            operation.listen.map(|listen| listen.0)
        });
        let usual = PathBuf::from(STATE_DIR);
        let state_dir = operation
            .get("--state-dir", "stateDir", usual, |operation: &Operation| operation.state_dir.clone());
        Ok(Self {
            services,
            node_ip: node_ip.map(|given| given.value),
            prefer_local: local.value,
            resync: within(&resync)?,
            drain_timeout: drain_timeout.value,
            listen: listen.value,
            state_dir: Some(state_dir.value).filter(|directory| directory != Path::new("none")),
        })
    }
}

impl Logging {
    /// Reads the file, if one is named.
    pub fn load(args: &ConfigArgs) -> Result<Self, Failure> {
        let file = args.file.as_deref().map(File::read).transpose()?.unwrap_or_default();
        let layers = Layers(vec![(None, &args.operation), (None, &file.operation)]);
        let log = layers.find("--log", "log", |operation: &Operation| operation.log.clone());
        let filter = log.map_or_else(|| "info".to_owned(), |given| given.value.0);
        Ok(Self {
            targets: filter.parse().map_err(|error| Failure::usage(format!("--log {filter}: {error}")))?,
            format: layers.get("--log-format", "logFormat", LogFormat::Text, |layer| layer.log_format).value,
        })
    }
}

impl ConfigArgs {
    /// The virtual servers that are meant, whatever their real servers.
    pub fn targets(&self) -> Result<Vec<SocketAddr>, Failure> {
        match (&self.file, self.vs) {
            (Some(file), None) => Ok(File::read(file)?.addresses()),
            (_, Some(VirtualAddress(at))) => Ok(vec![at]),
            (None, None) => Ok(vec![usual()?]),
        }
    }
}

impl File {
    /// The virtual servers' addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.virtual_servers.iter().map(|service| service.address.0).collect()
    }
}

fn usual() -> Result<SocketAddr, Failure> {
    USUAL.parse().map_err(|_| Failure::usage(format!("{USUAL} is no address")))
}

/// The file's virtual servers and the one on the command line, which takes the place of its namesake.
fn services(args: &ConfigArgs, file: Option<(&str, &File)>) -> Result<Vec<ServiceConfig>, Failure> {
    let mut services = Vec::new();
    if let Some((name, file)) = file {
        for (index, one) in file.virtual_servers.iter().enumerate() {
            let place = format!("{name}: virtualServers[{index}]");
            let health = Layers(vec![
                (None, &args.health),
                (Some(format!("{place}.health")), &one.health),
                (Some(format!("{name}: health")), &file.health),
            ]);
            let at = Given { value: one.address.0, name: format!("{place}.address") };
            let servers = Given { value: &one.real_servers[..], name: format!("{place}.realServers") };
            let mut service = service(&at, &servers, one.scheduler.as_ref(), &health)?;
            service.kubeconfig.clone_from(&one.kubeconfig);
            if services.iter().any(|other: &ServiceConfig| other.at == service.at) {
                let at = service.at;
                return Err(Failure::usage(format!(
                    "{place}.address {at} is given twice; list its real servers once"
                )));
            }
            services.push(service);
        }
    }
    // A virtual server on the command line is one with real servers.
    let lonely = [
        ("--vs", args.vs.is_some()),
        ("--scheduler", args.scheduler.is_some()),
        ("--kubeconfig", args.kubeconfig.is_some()),
    ];
    if let Some((flag, _)) = lonely.into_iter().find(|(_, given)| *given)
        && args.rs.is_empty()
        && !services.is_empty()
    {
        return Err(Failure::usage(format!(
            "{flag} belongs to a virtual server with --rs; those of the file say it there"
        )));
    }
    if !args.rs.is_empty() || services.is_empty() {
        let mut health = Layers(vec![(None, &args.health)]);
        if let Some((name, file)) = file {
            health.0.push((Some(format!("{name}: health")), &file.health));
        }
        let at = args.vs.map_or_else(usual, |VirtualAddress(at)| Ok(at))?;
        let at = Given { value: at, name: "--vs".to_owned() };
        let servers = Given { value: &args.rs[..], name: "--rs".to_owned() };
        let mut service = service(&at, &servers, args.scheduler.as_ref(), &health)?;
        service.kubeconfig.clone_from(&args.kubeconfig);
        services.retain(|other| other.at != service.at);
        services.insert(0, service);
    }
    Ok(services)
}

/// What is sent to a virtual address stays on this node.
fn apart(services: &[ServiceConfig]) -> Result<(), Failure> {
    for service in services {
        for server in &service.servers {
            if let Some(other) = services.iter().find(|other| other.at.ip() == server.address.ip()) {
                return Err(Failure::usage(format!(
                    "{}, a real server of {}, is at the address of the virtual server {}; name the apiserver's own \
                     address",
                    server.address, service.at, other.at
                )));
            }
        }
    }
    Ok(())
}

fn service(
    at: &Given<SocketAddr>,
    servers: &Given<&[RealServers]>,
    scheduler: Option<&Scheduler>,
    health: &Layers<'_, Health>,
) -> Result<ServiceConfig, Failure> {
    let Given { value: at, name: at_name } = at;
    let name = &servers.name;
    let servers: Vec<RealServer> = servers.value.iter().flat_map(|list| list.0.iter().copied()).collect();
    if servers.is_empty() {
        return Err(Failure::usage(if name == "--rs" {
            "no real server given; name every apiserver with --rs, as --rs 10.0.0.1:6443".to_owned()
        } else {
            format!("{name} is empty; list every apiserver, as 10.0.0.1:6443")
        }));
    }
    let mut seen = BTreeSet::new();
    for RealServer { address, .. } in &servers {
        let wrong = |why: String| Err(Failure::usage(format!("{name} {address} {why}")));
        if address.is_ipv4() != at.is_ipv4() {
            return wrong(format!(
                "and {at_name} {at} are of different families; IPVS cannot translate between IPv4 and IPv6"
            ));
        }
        if address.ip() == at.ip() {
            return wrong("is the virtual address itself; name the apiserver's own address".into());
        }
        if !seen.insert(address) {
            return wrong("is given twice; name each apiserver once".into());
        }
    }
    let scheduler = match scheduler {
        Some(scheduler) => scheduler.clone(),
        None => "rr".parse().map_err(Failure::usage)?,
    };
    let fall = health.get("--fall", "fall", 2, |health| health.fall);
    let (policy, probe) = (policy(health, &fall)?, probe(health, &fall)?);
    Ok(ServiceConfig { at: *at, scheduler, servers, kubeconfig: None, policy, probe })
}

fn policy(health: &Layers<'_, Health>, fall: &Given<u32>) -> Result<Policy, Failure> {
    let interval = within(&health.time("--interval", "interval", 5000, |health| health.interval))?;
    let fast_interval =
        within(&health.time("--fast-interval", "fastInterval", 200, |health| health.fast_interval))?;
    let fall = count(fall)?;
    let rise = count(&health.get("--rise", "rise", 2, |health| health.rise))?;
    Ok(Policy { interval, fast_interval: fast_interval.min(interval), fall, rise })
}

fn probe(health: &Layers<'_, Health>, fall: &Given<u32>) -> Result<ProbeConfig, Failure> {
    let timeout = limit(&health.time("--health-timeout", "timeout", 2000, |health| health.timeout), fall)?;
    let connect_timeout =
        health.time("--connect-timeout", "connectTimeout", 1000, |health| health.connect_timeout);
    let ca_file = health.find("--ca-file", "caFile", |health| health.ca_file.clone());
    let skip_verify = health
        .find("--health-insecure-skip-verify", "insecureSkipVerify", |health| health.insecure_skip_verify);
    if let (Some(Given { value: false, name }), None) = (&skip_verify, &ca_file) {
        return Err(Failure::usage(format!(
            "{name}=false needs --ca-file, the authority to verify with (kubeadm keeps it in /etc/kubernetes/pki/ca.crt)"
        )));
    }
    let skips = skip_verify.is_some_and(|given| given.value);
    let scheme = health.get("--health-scheme", "scheme", Scheme::Https, |health| health.scheme);
    let token_file = health.find("--token-file", "tokenFile", |health| health.token_file.clone());
    let identity = identity(health)?;
    let credentials =
        [token_file.as_ref().map(|given| &given.name), identity.as_ref().map(|given| &given.name)];
    if let (Scheme::Http, Some(name)) = (scheme.value, credentials.into_iter().flatten().next()) {
        return Err(Failure::usage(format!(
            "{name} needs HTTPS, not {} http: credentials are sent only over an encrypted connection",
            scheme.name
        )));
    }
    if let (Some(Given { name, .. }), true) = (&token_file, ca_file.is_none() || skips) {
        return Err(Failure::usage(format!(
            "{name} needs --ca-file: a token is sent only to a server whose certificate is verified"
        )));
    }
    let status = health.find("--health-status", "status", |health| {
        Some(health.status.clone()).filter(|codes| !codes.is_empty())
    });
    if let Some(Given { value, name }) = &status
        && let Some(wrong) = value.iter().find(|code| !(100..=599).contains(*code))
    {
        return Err(Failure::usage(format!("{name} {wrong} is not an HTTP status from 100 to 599")));
    }
    let ready_path =
        health.get("--ready-path", "readyPath", "/readyz".to_owned(), |health| health.ready_path.clone());
    Ok(ProbeConfig {
        scheme: scheme.value,
        health_path: path(
            &health.get("--health-path", "path", "/healthz".to_owned(), |health| health.path.clone()),
        )?,
        ready_path: match ready_path.value.as_str() {
            "" | "none" => None,
            _ => Some(path(&ready_path)?),
        },
        accepted: status.map(|given| given.value.into_iter().collect()).unwrap_or_default(),
        connect_timeout: limit(&connect_timeout, fall)?.min(timeout),
        timeout,
        ca_file: ca_file.map(|given| given.value).filter(|_| !skips),
        server_name: health
            .get("--tls-server-name", "tlsServerName", "kubernetes".to_owned(), |health| {
                health.tls_server_name.clone()
            })
            .value,
        identity: identity.map(|given| given.value),
        token_file: token_file.map(|given| given.value),
    })
}

/// A certificate without a key of its own has it in the same file, as kubelet's has.
fn identity(health: &Layers<'_, Health>) -> Result<Option<Given<(PathBuf, PathBuf)>>, Failure> {
    let certificate = health.find("--cert-file", "certFile", |health| health.cert_file.clone());
    let key = health.find("--key-file", "keyFile", |health| health.key_file.clone());
    match (certificate, key) {
        (Some(Given { value, name }), None) => Ok(Some(Given { value: (value.clone(), value), name })),
        (Some(Given { value, name }), Some(key)) => Ok(Some(Given { value: (value, key.value), name })),
        (None, Some(key)) => {
            Err(Failure::usage(format!("{} is of no use without the certificate, --cert-file", key.name)))
        }
        (None, None) => Ok(None),
    }
}

fn count(given: &Given<u32>) -> Result<u32, Failure> {
    let Given { value, name } = given;
    if (1..=100).contains(value) {
        return Ok(*value);
    }
    Err(Failure::usage(format!("{name} {value} is not a number of probes from 1 to 100")))
}

fn within(Given { value, name }: &Given<Duration>) -> Result<Duration, Failure> {
    let [least, most] = INTERVALS;
    if (least..=most).contains(value) {
        return Ok(*value);
    }
    Err(Failure::usage(format!("{name} {} is not between {} and {}", show(*value), show(least), show(most))))
}

/// A limit above [`LONGEST_TIMEOUT`] is refused with its consequence, because it looks harmless.
fn limit(Given { value, name }: &Given<Duration>, fall: &Given<u32>) -> Result<Duration, Failure> {
    if *value < Duration::from_millis(10) {
        return Err(Failure::usage(format!(
            "{name} {} is less than any answer takes; give at least 10ms",
            show(*value)
        )));
    }
    if *value > LONGEST_TIMEOUT {
        return Err(Failure::usage(format!(
            "{name} {} is too long: a silent apiserver would keep its traffic for {} ({} {} times that); \
             give at most {}",
            show(*value),
            show(value.saturating_mul(fall.value)),
            fall.name,
            fall.value,
            show(LONGEST_TIMEOUT)
        )));
    }
    Ok(*value)
}

/// A missing leading slash is added, as older lvscare did.
fn path(Given { value, name }: &Given<String>) -> Result<String, Failure> {
    let path = if value.starts_with('/') { value.clone() } else { format!("/{value}") };
    if path.bytes().all(|byte| byte.is_ascii_alphanumeric() || URL_PUNCTUATION.contains(&byte)) {
        return Ok(path);
    }
    Err(Failure::usage(format!("{name} {value:?} is not a URL path")))
}
