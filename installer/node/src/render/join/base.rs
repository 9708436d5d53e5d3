//! A `JoinConfiguration` that somebody has written, as the ground for ours. Pure.
//!
//! It says what no option says, such as taints and timeouts. What an option says, only the option may say: then all of the
//! installer knows of it, and no secret is in a file that is shown.

use lvscare::yaml;
use serde_json::{Map, Value};

use crate::spec::version::KubernetesVersion;

/// Fields that options say, and which.
const SAID_BY_OPTIONS: [(&str, &str); 9] = [
    ("/controlPlane", "--control-plane, --apiserver-advertise-address, --certificate-key-file"),
    ("/discovery", "the endpoint, --token-file, --discovery-token-ca-cert-hash"),
    ("/dryRun", "--dry-run"),
    ("/nodeRegistration/criSocket", "--cri-socket"),
    ("/nodeRegistration/ignorePreflightErrors", "--ignore-preflight-errors"),
    ("/nodeRegistration/kubeletExtraArgs", "--kubelet-extra-arg"),
    ("/nodeRegistration/name", "--node-name"),
    ("/patches", "--patches"),
    ("/skipPhases", "--skip-phases"),
];

/// Why it cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no YAML, or more than one document.
    #[error("{0}")]
    Unreadable(String),
    /// It is of another kind.
    #[error("it is no JoinConfiguration; its kind is {0}")]
    Kind(String),
    /// It is in the words of another kubeadm.
    #[error(
        "it is of {found}, and kubeadm {version} is told in {wanted}; `kubeadm config migrate --old-config FILE` translates it"
    )]
    Api {
        /// What it says.
        found: String,
        /// What it should say.
        wanted: String,
        /// The kubeadm that joins.
        version: KubernetesVersion,
    },
    /// It says what options say.
    #[error("options say what it says, so take out {0}")]
    SaidByOptions(String),
}

/// One that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Base(Map<String, Value>);

impl Base {
    /// Reads it, for the kubeadm of `version`.
    pub fn read(text: &[u8], version: KubernetesVersion) -> Result<Self, Error> {
        let document: Value = yaml::parse(text).map_err(|error| Error::Unreadable(error.to_string()))?;
        let said = |name: &str| match &document[name] {
            Value::String(word) => format!("{word:?}"),
            Value::Null => "not said".to_owned(),
            _ => "no word".to_owned(),
        };
        if document["kind"] != "JoinConfiguration" {
            return Err(Error::Kind(said("kind")));
        }
        let wanted = version.kubeadm_api().to_string();
        if document["apiVersion"] != *wanted {
            return Err(Error::Api { found: said("apiVersion"), wanted, version });
        }
        let twice = SAID_BY_OPTIONS.iter().filter(|(field, _)| document.pointer(field).is_some());
        let twice: Vec<_> = twice
            .map(|(field, option)| format!("{} ({option})", field.trim_start_matches('/').replace('/', ".")))
            .collect();
        match document {
            Value::Object(fields) if twice.is_empty() => Ok(Self(fields)),
            _ => Err(Error::SaidByOptions(twice.join(", "))),
        }
    }

    /// All that it says, and what `ours` says on top of it.
    pub fn below(&self, ours: Value) -> Value {
        let mut whole = Value::Object(self.0.clone());
        lay(&mut whole, ours);
        whole
    }
}

/// Fields that only one of them has stay; what both say, `over` says. Nothing is deeper than the types of ours.
fn lay(below: &mut Value, over: Value) {
    match (below, over) {
        (Value::Object(below), Value::Object(over)) => {
            for (name, value) in over {
                lay(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (below, over) => *below = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Base, Error> {
        Base::read(text.as_bytes(), "v1.34.1".parse().unwrap())
    }

    const HEAD: &str = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n";

    #[test]
    fn what_no_option_says_stays_and_ours_comes_on_top() {
        let base = read(&format!(
            "{HEAD}caCertPath: /etc/kubernetes/pki/ca.crt\nnodeRegistration:\n  imagePullPolicy: Never\n  taints:\n  - {{key: a, effect: NoSchedule}}\n"
        ));
        let whole = base.unwrap().below(serde_json::json!({
            "kind": "JoinConfiguration", "nodeRegistration": { "name": "worker-1" }, "discovery": {},
        }));
        assert_eq!(
            whole,
            serde_json::json!({
                "apiVersion": "kubeadm.k8s.io/v1beta4",
                "kind": "JoinConfiguration",
                "caCertPath": "/etc/kubernetes/pki/ca.crt",
                "discovery": {},
                "nodeRegistration": {
                    "imagePullPolicy": "Never",
                    "name": "worker-1",
                    "taints": [{ "key": "a", "effect": "NoSchedule" }],
                },
            })
        );
        // One that has nothing there, or something else.
        let odd = read(&format!("{HEAD}nodeRegistration:\n")).unwrap();
        let ours = serde_json::json!({ "nodeRegistration": { "name": "x" } });
        assert_eq!(odd.below(ours.clone())["nodeRegistration"], ours["nodeRegistration"]);
    }

    #[test]
    fn what_cannot_be_used_is_told_with_the_way_out() {
        for (text, why) in [
            ("a: [", "did not find expected"),
            ("kind: InitConfiguration\n", "it is no JoinConfiguration; its kind is \"InitConfiguration\""),
            ("- a\n", "its kind is not said"),
            ("kind: JoinConfiguration\napiVersion: kubeadm.k8s.io/v1beta3\n", "`kubeadm config migrate"),
            ("kind: JoinConfiguration\n", "it is of not said"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        let said = "controlPlane: {}\ndiscovery: {bootstrapToken: {token: canary}}\ndryRun: true\npatches: {}\nskipPhases: []\n\
                    nodeRegistration: {criSocket: x, name: y, kubeletExtraArgs: [], ignorePreflightErrors: []}\n";
        let error = read(&format!("{HEAD}{said}")).unwrap_err().to_string();
        for (field, option) in SAID_BY_OPTIONS {
            let field = field.trim_start_matches('/').replace('/', ".");
            assert!(error.contains(&format!("{field} ({option})")), "{field}: {error}");
        }
        assert!(!error.contains("canary"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_does_harm(text in "(.|\n){0,80}") {
            let _ = read(&text);
            let _ = read(&format!("{HEAD}{text}"));
        }
    }
}
