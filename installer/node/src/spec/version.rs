//! Versions of Kubernetes, and what kubeadm of each wants.
//!
//! | Kubernetes | configuration | manifests folder must be empty |
//! |---|---|---|
//! | 1.14 | `v1beta1` | yes, and only a flag waives it |
//! | 1.15 to 1.21 | `v1beta2` | yes |
//! | 1.22 | `v1beta3` | yes |
//! | 1.23 to 1.30 | `v1beta3` | no (kubernetes/kubernetes#104942) |
//! | 1.31 and later | `v1beta4` | no |

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version from 1.14 on. Without a patch release it means all of that minor version, and comes before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KubernetesVersion {
    minor: u16,
    patch: Option<u16>,
}

/// The first that is supported.
const OLDEST: u16 = 14;

/// A version of kubeadm's configuration (`kubeadm.k8s.io`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are names")]
pub enum KubeadmApi {
    V1Beta1,
    V1Beta2,
    V1Beta3,
    V1Beta4,
}

impl KubernetesVersion {
    /// The newest whose configuration is known; later ones are taken to be alike.
    pub const NEWEST: Self = Self::minor(35);

    /// All of 1.`minor`.
    pub const fn minor(minor: u16) -> Self {
        Self { minor, patch: None }
    }

    /// The second number.
    pub fn minor_version(self) -> u16 {
        self.minor
    }

    /// The configuration that its kubeadm is given: the newest that it reads.
    pub fn kubeadm_api(self) -> KubeadmApi {
        match self.minor {
            ..15 => KubeadmApi::V1Beta1,
            15..22 => KubeadmApi::V1Beta2,
            22..31 => KubeadmApi::V1Beta3,
            _ => KubeadmApi::V1Beta4,
        }
    }

    /// Whether a join refuses a node where the static pod already lies in `/etc/kubernetes/manifests`.
    pub fn checks_manifests(self) -> bool {
        self.minor < 23
    }

    /// Whether its patch release is told as well: kubeadm asks the Internet otherwise.
    pub fn is_exact(self) -> bool {
        self.patch.is_some()
    }
}

impl FromStr for KubernetesVersion {
    type Err = String;

    /// `v1.34.1`, `1.34.1` or `v1.34`. What a vendor or a pre-release appends (`-rc.1`, `+k3s1`) changes nothing here.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a version of Kubernetes, such as v1.34.1");
        let number = |part: &str| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u16>().ok().filter(|_| digits).ok_or_else(wrong)
        };
        let bare = text.strip_prefix('v').unwrap_or(text);
        let (release, _) = bare.split_at(bare.find(['-', '+']).unwrap_or(bare.len()));
        let mut parts = release.split('.').map(number);
        let mut next = || parts.next().transpose();
        let (Some(major), Some(minor), patch, None) = (next()?, next()?, next()?, next()?) else {
            return Err(wrong());
        };
        match (major, minor) {
            (1, OLDEST..) => Ok(Self { minor, patch }),
            (0 | 1, _) => {
                Err(format!("Kubernetes {text} is too old; the oldest that is supported is v1.{OLDEST}"))
            }
            _ => Err(format!("Kubernetes {text} is not known; there is only v1")),
        }
    }
}

impl TryFrom<String> for KubernetesVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KubernetesVersion> for String {
    fn from(version: KubernetesVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}", self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

impl fmt::Display for KubeadmApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1Beta1 => "kubeadm.k8s.io/v1beta1",
            Self::V1Beta2 => "kubeadm.k8s.io/v1beta2",
            Self::V1Beta3 => "kubeadm.k8s.io/v1beta3",
            Self::V1Beta4 => "kubeadm.k8s.io/v1beta4",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> KubernetesVersion {
        text.parse().unwrap()
    }

    #[test]
    fn a_v_is_added() {
        for (text, shown) in [
            ("v1.34.1", "v1.34.1"),
            ("1.34.1", "v1.34.1"),
            ("1.34", "v1.34"),
            ("v1.34.0-rc.1", "v1.34.0"),
            ("v1.30.2+k3s1", "v1.30.2"),
        ] {
            assert_eq!(version(text).to_string(), shown);
        }
    }

    #[test]
    fn versions_are_numbers() {
        let sorted = ["v1.14.0", "v1.14.1", "v1.14.10", "v1.15", "v1.15.0", "v1.100.0"].map(version);
        assert!(sorted.is_sorted());
    }

    #[test]
    fn what_is_none_is_refused_with_a_reason() {
        for (text, why) in [
            ("v1.13.12", "too old; the oldest that is supported is v1.14"),
            ("0.9", "too old"),
            ("v2.0.0", "there is only v1"),
        ] {
            let refusal = text.parse::<KubernetesVersion>().unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
        for text in
            ["", "v", "1", "v1.", "1.x", "vv1.34", "1.34.1.2", "1.+34", "1.34.", "latest", "1.99999999"]
        {
            let refusal = text.parse::<KubernetesVersion>().unwrap_err();
            assert_eq!(refusal, format!("`{text}` is not a version of Kubernetes, such as v1.34.1"));
        }
    }

    #[test]
    fn each_kubeadm_gets_what_it_reads() {
        use KubeadmApi::*;
        for (text, api, checks) in [
            ("1.14.1", V1Beta1, true),
            ("1.15.0", V1Beta2, true),
            ("1.21.14", V1Beta2, true),
            ("1.22.0", V1Beta3, true),
            ("1.23.0", V1Beta3, false),
            ("1.30.9", V1Beta3, false),
            ("1.31.0", V1Beta4, false),
            ("1.99.0", V1Beta4, false),
        ] {
            let version = version(text);
            assert_eq!((version.kubeadm_api(), version.checks_manifests()), (api, checks), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(minor in 14_u16.., patch in proptest::option::of(any::<u16>())) {
            let version = KubernetesVersion { minor, patch };
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }

        #[test]
        fn no_text_does_harm(text in ".{0,12}") {
            let _ = text.parse::<KubernetesVersion>();
        }
    }
}
