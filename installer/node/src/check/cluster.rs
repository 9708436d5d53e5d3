//! The cluster that is to be joined, as it tells of itself: is it the one that was meant, and will its kubelets call the
//! virtual server?

use lvscare::doctor::Finding;

use crate::facts::cluster::{Cluster, Learned};
use crate::facts::host::Facts;
use crate::spec::masters::Endpoint;

/// All that it tells.
pub fn told(facts: &Facts) -> Vec<Finding> {
    match &facts.cluster {
        Learned::NotAsked => Vec::new(),
        Learned::Unknown(why) => vec![unknown(why)],
        Learned::Stranger { master, authority, told } => {
            vec![stranger(&master.to_string(), authority.as_deref(), told)]
        }
        Learned::TokenRefused { master, id } => vec![Finding::error(
            "token-refused",
            format!("{master} does not know the token {id}.***"),
            "kubelet gets its certificate by this token, and the join would wait for it in vain; a token lives 24 hours \
             unless told otherwise",
            "make another one, on a master: kubeadm token create --print-join-command",
        )],
        Learned::Known(cluster) => {
            [members(facts), endpoints(facts, cluster), version(facts, cluster)].concat()
        }
    }
}

fn unknown(why: &str) -> Finding {
    Finding::warning(
        "cluster-unknown",
        format!("no master tells how the cluster was made ({why})"),
        "whether its addresses, its endpoint and its version fit this node cannot be checked, and kubeadm asks the same",
        "see whether kubeadm's own join would work: curl -k https://MASTER:6443/api/v1/namespaces/kube-public/configmaps/cluster-info",
    )
}

fn stranger(master: &str, authority: Option<&str>, told: &[String]) -> Finding {
    let own = authority.unwrap_or("one that cannot be read");
    Finding::error(
        "other-authority",
        format!(
            "the authority of the cluster of {master} is {own}; --discovery-token-ca-cert-hash says {}",
            told.join(", ")
        ),
        "it is another cluster than the one that was meant, or somebody in between; kubeadm refuses it as well",
        "give the masters of that cluster, or its hash; a master prints both: kubeadm token create --print-join-command",
    )
}

/// Every master must be of the cluster whose hash was told, and not only the one that kubeadm happens to ask.
fn members(facts: &Facts) -> Vec<Finding> {
    const ID: &str = "master-of-other-cluster";
    let servers = facts.doctor.servers.iter();
    let strangers: Vec<_> = servers
        .filter(|visit| visit.certificate.as_ref().is_some_and(|shown| shown.is_of_cluster == Some(false)))
        .map(|visit| visit.address.to_string())
        .collect();
    if strangers.is_empty() {
        return vec![Finding::ok(ID, "every master that answers is of the cluster that was meant")];
    }
    vec![Finding::error(
        ID,
        format!("the authority of the cluster has not signed the certificate of {}", strangers.join(", ")),
        "the virtual server would lead some connections into another cluster",
        "leave it out of --master",
    )]
}

/// kubelet calls the API as the cluster does, whatever was said to `kubeadm join`.
fn endpoints(facts: &Facts, cluster: &Cluster) -> Vec<Finding> {
    const ID: &str = "control-plane-endpoint";
    let (vs, name) = (facts.doctor.vs, &facts.doctor.name);
    let is_ours = |endpoint: &&Endpoint| match endpoint {
        Endpoint::At(address) => *address == vs,
        Endpoint::Called(called, port) => called.eq_ignore_ascii_case(name) && *port == vs.port(),
    };
    let Some(other) = cluster.endpoints.iter().find(|endpoint| !is_ours(endpoint)) else {
        return match cluster.endpoints.first() {
            Some(ours) => vec![Finding::ok(ID, format!("the cluster's clients call {ours}"))],
            None => Vec::new(),
        };
    };
    let fix = match other {
        Endpoint::Called(called, port) if *port == vs.port() => {
            format!("give that name: --apiserver {called}")
        }
        Endpoint::Called(called, port) => {
            format!("give that name and that port: --apiserver {called} --vip {}:{port}", show(vs.ip()))
        }
        Endpoint::At(_) => format!(
            "have the cluster call {name}:{0} before nodes join: controlPlaneEndpoint in the ConfigMap kubeadm-config of \
             kube-system, and server in cluster-info of kube-public; --skip checks joins all the same, by way of {other} \
             alone",
            vs.port()
        ),
    };
    vec![Finding::error(
        ID,
        format!(
            "the clients of this cluster call {other} (cluster-info, controlPlaneEndpoint), and not {name}:{0} or {vs}",
            vs.port()
        ),
        "kubelet will do the same, whatever is said to kubeadm join: it would never use the virtual server",
        fix,
    )]
}

fn show(ip: std::net::IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

/// <https://kubernetes.io/releases/version-skew-policy/>: a kubelet is never newer than the apiservers, and kubeadm joins a
/// cluster of its own minor version, or of the one before.
fn version(facts: &Facts, cluster: &Cluster) -> Vec<Finding> {
    const ID: &str = "kubernetes-version";
    let (Some(here), Some(there)) = (facts.kubeadm, cluster.version) else { return Vec::new() };
    let seen = format!("kubeadm here is {here}, and the cluster is of {there}");
    let fix = format!("install kubeadm and kubelet of v1.{}", there.minor_version());
    if here.minor_version() == there.minor_version() {
        return vec![Finding::ok(ID, seen)];
    }
    if here.minor_version() > there.minor_version().saturating_add(1) {
        let why =
            "kubeadm joins clusters of its own minor version and of the one before, and refuses this one";
        return vec![Finding::error(ID, seen, why, fix)];
    }
    let why = "kubeadm and kubelet are made for the cluster's own minor version; a kubelet that is newer than the apiservers \
               is not supported, and an older kubeadm may not understand the cluster's configuration";
    vec![Finding::warning(ID, seen, why, fix)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::bare;
    use lvscare::doctor::Severity;

    fn seen(cluster: Cluster, damage: impl FnOnce(&mut Facts)) -> Vec<(String, Severity)> {
        let mut facts = bare();
        (facts.cluster, facts.kubeadm) = (Learned::Known(cluster), "v1.34.1".parse().ok());
        damage(&mut facts);
        let found = told(&facts).into_iter().filter(|finding| finding.severity != Severity::Ok);
        found.map(|finding| (finding.id.to_string(), finding.severity)).collect()
    }

    fn good() -> Cluster {
        let endpoints = vec![Endpoint::Called("APIserver.cluster.local".into(), 6443)];
        Cluster { endpoints, version: "v1.34.0".parse().ok(), ..Cluster::default() }
    }

    #[test]
    fn a_cluster_that_fits_is_fine() {
        assert_eq!(seen(good(), |_| {}), []);
        let by_address = Cluster { endpoints: vec!["10.103.97.2:6443".parse().unwrap()], ..good() };
        assert_eq!(seen(by_address, |_| {}), []);
        assert_eq!(seen(Cluster::default(), |_| {}), []);
    }

    #[test]
    fn a_cluster_whose_clients_call_somebody_else_is_refused_with_the_way_out() {
        for (endpoint, fix) in [
            ("lb.example:6443", "give that name: --apiserver lb.example"),
            (
                "lb.example:8443",
                "give that name and that port: --apiserver lb.example --vip 10.103.97.2:8443",
            ),
            ("10.0.0.1:6443", "have the cluster call apiserver.cluster.local:6443 before nodes join"),
            ("10.103.97.2:8443", "have the cluster call apiserver.cluster.local:6443 before nodes join"),
        ] {
            let endpoints = vec![good().endpoints.remove(0), endpoint.parse().unwrap()];
            let facts = Facts { cluster: Learned::Known(Cluster { endpoints, ..good() }), ..bare() };
            let found = told(&facts).into_iter().find(|finding| finding.severity == Severity::Error).unwrap();
            assert_eq!(found.id, "control-plane-endpoint");
            assert!(
                found.seen.contains(endpoint) && found.fix.as_ref().unwrap().starts_with(fix),
                "{found:?}"
            );
        }
    }

    #[test]
    fn versions_that_do_not_go_together_are_told() {
        for (there, severity) in [
            ("v1.34.9", None),
            ("v1.33.2", Some(Severity::Warning)),
            ("v1.35.0", Some(Severity::Warning)),
            ("v1.32.2", Some(Severity::Error)),
        ] {
            let found = seen(Cluster { version: there.parse().ok(), ..good() }, |_| {});
            let expected = severity.map(|severity| ("kubernetes-version".to_owned(), severity));
            assert_eq!(found, Vec::from_iter(expected), "{there}");
        }
    }

    #[test]
    fn a_master_of_another_cluster_is_named() {
        let found = seen(good(), |facts| {
            facts.doctor.servers[1].certificate.as_mut().unwrap().is_of_cluster = Some(false);
        });
        assert_eq!(found, [("master-of-other-cluster".to_owned(), Severity::Error)]);
    }
}
