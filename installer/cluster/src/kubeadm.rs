//! How kubeadm makes a cluster: its configuration as a template, as people may change it, and what is filled in. Pure.

use std::net::IpAddr;

use node::spec::version::{KubeadmApi, KubernetesVersion};

use crate::template::{self, Value};

/// What a template can speak of. The names are those that templates for sealos use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables {
    /// `.Version`
    pub version: KubernetesVersion,
    /// `.VIP`: the virtual address; `.IsIPv6` is what kind it is of.
    pub vip: IpAddr,
    /// `.Masters`, and the first of them `.Master0`: addresses.
    pub masters: Vec<IpAddr>,
    /// `.ApiServer`: the name by which the virtual server is called.
    pub apiserver: String,
    /// `.CertSANS`: names and addresses for the apiservers' certificate, beside those that it has anyway.
    pub cert_sans: Vec<String>,
    /// `.PodCIDR`
    pub pod_cidr: String,
    /// `.SvcCIDR`
    pub service_cidr: String,
    /// `.Repo`: where images come from; empty for kubeadm's own.
    pub repository: String,
    /// `.Network`: the name of the network, such as `calico`; for templates that ask for it.
    pub network: String,
}

impl Variables {
    /// A template with these values.
    pub fn render(&self, template: &str) -> Result<String, template::Error> {
        template::render(template, &self.value())
    }

    fn value(&self) -> Value {
        let master0 = self.masters.first().map(ToString::to_string).unwrap_or_default();
        Value::map([
            ("Version", self.version.to_string().into()),
            ("VIP", self.vip.to_string().into()),
            ("IsIPv6", Value::Bool(self.vip.is_ipv6())),
            ("Masters", Value::texts(&self.masters)),
            ("Master0", master0.into()),
            ("ApiServer", self.apiserver.clone().into()),
            ("CertSANS", Value::texts(&self.cert_sans)),
            ("PodCIDR", self.pod_cidr.clone().into()),
            ("SvcCIDR", self.service_cidr.clone().into()),
            ("Repo", self.repository.clone().into()),
            ("Network", self.network.clone().into()),
        ])
    }
}

/// Whether these documents can make a cluster of which the virtual server is `endpoint`, `NAME:PORT`.
pub fn check(documents: &str, endpoint: &str) -> Result<(), String> {
    let has = |wanted: &str| {
        let same = |line: &str| line.trim().replace(['"', '\''], "") == wanted;
        documents.lines().any(same)
    };
    if has("kind: InitConfiguration") {
        return Err("it has an InitConfiguration, which is made anew for each run; leave that document out"
            .to_owned());
    }
    if !has("kind: ClusterConfiguration") {
        return Err("it has no ClusterConfiguration".to_owned());
    }
    if !has(&format!("controlPlaneEndpoint: {endpoint}")) {
        return Err(format!(
            "its controlPlaneEndpoint is not {endpoint}, so that clients would go past the virtual server"
        ));
    }
    Ok(())
}

/// The template that is used where no other is given, for kubeadm of this version.
///
/// Certificates that the cluster signs itself last 99 years, as all others. Before Kubernetes 1.35 kube-proxy uses IPVS and
/// must be told to leave the virtual server alone; from then on that mode goes, and it uses iptables.
pub fn template(version: KubernetesVersion) -> String {
    let api = version.kubeadm_api();
    let signing = if version < KubernetesVersion::minor(19) {
        "experimental-cluster-signing-duration"
    } else {
        "cluster-signing-duration"
    };
    // Lists with v1beta4, of one value a name before (https://kubernetes.io/docs/reference/config-api/).
    let (argument, validity) = if api < KubeadmApi::V1Beta4 {
        (format!("    {signing}: 867240h0m0s"), "")
    } else {
        let validity = "certificateValidityPeriod: 867240h0m0s\ncaCertificateValidityPeriod: 876000h0m0s\n";
        (format!("  - name: {signing}\n    value: 867240h0m0s"), validity)
    };
    let proxy = if version < KubernetesVersion::minor(35) {
        "mode: \"ipvs\"\nipvs:\n  # Without this kube-proxy would remove the virtual server of the apiservers.\n  \
         excludeCIDRs:\n  - \"{{.VIP}}/{{if .IsIPv6}}128{{else}}32{{end}}\"\n"
    } else {
        "mode: \"iptables\"\n"
    };
    format!(
        r#"apiVersion: {api}
kind: ClusterConfiguration
kubernetesVersion: {{{{.Version}}}}
controlPlaneEndpoint: "{{{{.ApiServer}}}}:6443"
{{{{if .Repo -}}}}
imageRepository: {{{{.Repo}}}}
{{{{end -}}}}
networking:
  podSubnet: {{{{.PodCIDR}}}}
  serviceSubnet: {{{{.SvcCIDR}}}}
apiServer:
  # More names of the apiservers go here.
  certSANs:
  - 127.0.0.1
  - {{{{.ApiServer}}}}
  {{{{range .Masters -}}}}
  - {{{{.}}}}
  {{{{end -}}}}
  {{{{range .CertSANS -}}}}
  - {{{{.}}}}
  {{{{end -}}}}
  - {{{{.VIP}}}}
controllerManager:
  extraArgs:
{argument}
{validity}---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
{proxy}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(version: &str) -> Variables {
        Variables {
            version: version.parse().unwrap(),
            vip: "10.103.97.2".parse().unwrap(),
            masters: ["10.0.0.1", "10.0.0.2"].map(|master| master.parse().unwrap()).into(),
            apiserver: "apiserver.cluster.local".to_owned(),
            cert_sans: vec!["k8s.example.com".to_owned()],
            pod_cidr: "100.64.0.0/10".to_owned(),
            service_cidr: "10.96.0.0/22".to_owned(),
            repository: String::new(),
            network: "calico".to_owned(),
        }
    }

    #[test]
    fn each_kubeadm_gets_its_own() {
        let filled = |version: &str| {
            let variables = variables(version);
            variables.render(&template(variables.version)).unwrap()
        };
        assert_eq!(
            filled("v1.14.1"),
            r#"apiVersion: kubeadm.k8s.io/v1beta1
kind: ClusterConfiguration
kubernetesVersion: v1.14.1
controlPlaneEndpoint: "apiserver.cluster.local:6443"
networking:
  podSubnet: 100.64.0.0/10
  serviceSubnet: 10.96.0.0/22
apiServer:
  # More names of the apiservers go here.
  certSANs:
  - 127.0.0.1
  - apiserver.cluster.local
  - 10.0.0.1
  - 10.0.0.2
  - k8s.example.com
  - 10.103.97.2
controllerManager:
  extraArgs:
    experimental-cluster-signing-duration: 867240h0m0s
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: "ipvs"
ipvs:
  # Without this kube-proxy would remove the virtual server of the apiservers.
  excludeCIDRs:
  - "10.103.97.2/32"
"#
        );
        for (version, has, has_not) in [
            ("v1.18.20", "    experimental-cluster-signing-duration: 8", "certificateValidityPeriod"),
            ("v1.19.0", "    cluster-signing-duration: 8", "experimental"),
            ("v1.30.2", "kubeadm.k8s.io/v1beta3", "certificateValidityPeriod"),
            ("v1.31.0", "  - name: cluster-signing-duration\n    value: 867240h0m0s\n", "experimental"),
            (
                "v1.31.0",
                "\ncertificateValidityPeriod: 867240h0m0s\ncaCertificateValidityPeriod: 876000h0m0s\n---\n",
                "iptables",
            ),
            ("v1.34.9", "mode: \"ipvs\"\n", "iptables"),
            ("v1.35.0", "mode: \"iptables\"\n", "ipvs"),
        ] {
            let text = filled(version);
            assert!(text.contains(has) && !text.contains(has_not), "{version}:\n{text}");
        }
    }

    #[test]
    fn documents_are_of_this_cluster() {
        let endpoint = "apiserver.cluster.local:6443";
        let variables = variables("v1.34.1");
        let text = variables.render(&template(variables.version)).unwrap();
        assert_eq!(check(&text, endpoint), Ok(()));
        let refused = |text: &str| check(text, endpoint).unwrap_err();
        assert!(refused(&format!("kind: InitConfiguration\n---\n{text}")).contains("made anew for each run"));
        assert!(refused("kind: KubeProxyConfiguration").contains("no ClusterConfiguration"));
        assert!(refused(&text.replace(":6443", ":443")).contains("past the virtual server"));
    }

    #[test]
    fn what_may_be_given_is_filled_in() {
        let mut variables = variables("v1.34.1");
        variables.repository = "registry.example/k8s".to_owned();
        variables.vip = "fd00::1".parse().unwrap();
        let text = variables.render(&template(variables.version)).unwrap();
        assert!(
            text.contains(
                "\"apiserver.cluster.local:6443\"\nimageRepository: registry.example/k8s\nnetworking"
            ),
            "{text}"
        );
        assert!(text.contains("- \"fd00::1/128\"\n"), "{text}");
    }
}
