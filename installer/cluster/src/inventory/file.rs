//! A cluster in a file: which hosts, how they are logged in to, where clients find the apiservers. Pure.
//!
//! What is secret stands in files of its own, which are named; there is no key for a secret itself.

use std::path::{Path, PathBuf};

use lvscare::yaml;
use serde::Deserialize;

use super::address;

/// No file of this kind is longer, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The JSON Schema of a cluster file; a test keeps it the same as the types.
pub const SCHEMA: &str = include_str!("schema.json");

/// A cluster file to begin with, which says what can stand in it.
pub const EXAMPLE: &str = include_str!("example.yaml");

/// A cluster. Everything may be left out, and be said on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[cfg_attr(test, schemars(title = "lvscare-installer cluster"))]
pub struct ClusterFile {
    /// The masters: addresses, ranges (10.0.0.1-10.0.0.3), each with an SSH port if it is not `ssh.port`.
    pub masters: Vec<String>,
    /// Nodes that are no masters, written as masters are.
    pub nodes: Vec<String>,
    /// Hosts of which nothing else is said, written as masters are.
    pub hosts: Vec<String>,
    /// How hosts are logged in to.
    pub ssh: SshFile,
    /// Where clients find the apiservers.
    pub virtual_server: VirtualServerFile,
}

/// How hosts are logged in to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SshFile {
    /// As whom; the default is root.
    pub user: Option<String>,
    /// The port of their SSH servers; the default is 22.
    pub port: Option<u16>,
    /// A host through which all others are reached, `[USER@]IP[:PORT]`.
    pub bastion: Option<String>,
    /// A file with the password, which only its owner may read.
    pub password_file: Option<PathBuf>,
    /// A private key, and no other one.
    pub key_file: Option<PathBuf>,
    /// What is done with a host whose key nobody knows; the default is strict.
    pub host_key_policy: Option<HostKeyPolicy>,
    /// The only keys that hosts may have, each SHA256:... as `ssh-keygen -lf` prints it.
    pub host_keys: Vec<String>,
}

/// What is done with a host whose key nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HostKeyPolicy {
    /// It is refused.
    Strict,
    /// Its key is recorded.
    AcceptNew,
}

/// Where clients find the apiservers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VirtualServerFile {
    /// The virtual address, with a port if it is not 6443.
    pub address: Option<String>,
    /// The name that means it on every node.
    pub name: Option<String>,
}

impl ClusterFile {
    /// Understands a file that lies in `directory`, where paths in it begin; or tells every mistake.
    pub fn parse(text: &[u8], directory: &Path) -> Result<Self, Vec<String>> {
        if text.len() > MAX_BYTES {
            return Err(vec![format!("it is longer than {MAX_BYTES} bytes")]);
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(vec![
                "it is empty; `lvscare-installer config schema` says what can stand in it".to_owned(),
            ]);
        }
        let parsed = yaml::parse(text).map_err(|error| vec![placed(yaml::explain(&error.to_string()))]);
        let mut file: Self = parsed?;
        for path in [&mut file.ssh.password_file, &mut file.ssh.key_file].into_iter().flatten() {
            *path = directory.join(&*path);
        }
        let mistakes = file.mistakes();
        if mistakes.is_empty() { Ok(file) } else { Err(mistakes) }
    }

    fn mistakes(&self) -> Vec<String> {
        let port = self.ssh.port.unwrap_or(22);
        let mut mistakes = Vec::new();
        if port == 0 {
            mistakes.push(format!("ssh.port: {}", address::NO_PORT));
        }
        for (key, texts) in [("masters", &self.masters), ("nodes", &self.nodes), ("hosts", &self.hosts)] {
            let wrong = texts.iter().filter_map(|text| address::parse(text, port).err()).flatten();
            mistakes.extend(wrong.map(|why| format!("{key}: {why}")));
        }
        if self.ssh.host_key_policy.is_some() && !self.ssh.host_keys.is_empty() {
            mistakes
                .push("ssh.hostKeys: no policy is needed beside it; leave ssh.hostKeyPolicy out".to_owned());
        }
        mistakes
    }
}

/// The library names every place but the very first.
fn placed(why: String) -> String {
    if why.starts_with("unknown field") && !why.contains(" at line ") {
        return why + " at line 1 column 1";
    }
    why
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "\
masters: [10.0.0.1-10.0.0.3]
nodes:
  - 10.0.1.1-10.0.1.40
  - 10.0.2.1:2222
ssh:
  user: ubuntu
  port: 22
  bastion: me@10.0.0.9
  passwordFile: secrets/password
  keyFile: /etc/key
  hostKeyPolicy: accept-new
virtualServer:
  address: 10.103.97.2
  name: apiserver.cluster.local
";

    #[test]
    fn the_example_says_all_that_can_be_said() {
        let file = parse(EXAMPLE).unwrap();
        assert_eq!((file.masters.len(), file.virtual_server.address.as_deref()), (1, Some("10.103.97.2")));
        let is_option =
            |line: &str| line.trim_start().strip_prefix('#').is_some_and(|rest| !rest.starts_with(' '));
        let used = EXAMPLE
            .lines()
            .map(|line| if is_option(line) { line.replacen('#', "", 1) } else { line.to_owned() });
        let all = parse(&used.collect::<Vec<_>>().join("\n")).unwrap();
        assert_eq!((all.hosts.len(), all.ssh.port), (1, Some(22)));
        assert!(all.ssh.bastion.is_some() && all.ssh.password_file.is_some() && all.ssh.key_file.is_some());
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let mut keys = Vec::new();
        for group in [&schema, &schema["$defs"]["SshFile"], &schema["$defs"]["VirtualServerFile"]] {
            keys.extend(group["properties"].as_object().unwrap().keys());
        }
        assert!(keys.len() > 10, "{keys:?}");
        for key in keys {
            assert!(EXAMPLE.contains(&format!("{key}:")), "{key}");
        }
    }

    fn parse(text: &str) -> Result<ClusterFile, String> {
        ClusterFile::parse(text.as_bytes(), Path::new("/at")).map_err(|mistakes| mistakes.join("\n"))
    }

    #[test]
    fn everything_that_can_stand_in_it_is_understood() {
        let file = parse(FILE).unwrap();
        assert_eq!(file.masters, ["10.0.0.1-10.0.0.3"]);
        assert_eq!((file.nodes.len(), file.ssh.port), (2, Some(22)));
        assert_eq!(file.ssh.password_file, Some("/at/secrets/password".into()));
        assert_eq!(file.ssh.key_file, Some("/etc/key".into()));
        assert_eq!(file.ssh.host_key_policy, Some(HostKeyPolicy::AcceptNew));
        assert_eq!(file.virtual_server.address.as_deref(), Some("10.103.97.2"));
    }

    #[test]
    fn whatever_is_wrong_is_told_with_its_place_and_the_way_out() {
        let refusal = |text: &str| parse(text).unwrap_err();
        for (text, words) in [
            (
                "ssh:\n  pasword: secret\n",
                &["unknown field `pasword`", "`passwordFile`", "line 2 column 3"][..],
            ),
            ("ssh:\n  password: secret\n", &["did you mean `passwordFile`?", "line 2 column 3"]),
            ("master: [10.0.0.1]\n", &["did you mean `masters`?", "line 1 column 1"]),
            ("masters: []\nnode: [10.0.0.1]\n", &["did you mean `nodes`?", "line 2 column 1"]),
            ("ssh:\n  port: many\n", &["ssh.port", "line 2 column 9"]),
            ("ssh:\n  hostKeyPolicy: accept\n", &["accept-new", "line 2"]),
            ("nodes: [10.0.0.300]\nssh: {port: 0}\n", &["ssh.port: port 0", "nodes: `10.0.0.300`"]),
            ("ssh: {hostKeyPolicy: strict, hostKeys: [SHA256:x]}\n", &["leave ssh.hostKeyPolicy out"]),
            (" \n", &["it is empty", "config schema"]),
            ("nodes: [\n", &["line"]),
        ] {
            let refusal = refusal(text);
            for word in words {
                assert!(refusal.contains(word), "{text}: {refusal}");
            }
            assert!(!refusal.contains("secret"), "{refusal}");
        }
        assert!(refusal(&"#".repeat(MAX_BYTES + 1)).contains("longer than"));
    }

    /// `LVSCARE_WRITE_SCHEMA=1 cargo test` writes it anew.
    #[test]
    fn schema_describes_the_types() {
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(ClusterFile)).unwrap() + "\n";
        if std::env::var_os("LVSCARE_WRITE_SCHEMA").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/inventory/schema.json");
            fs::write(path, &schema).unwrap();
        } else {
            assert_eq!(schema, SCHEMA);
        }
    }

    proptest! {
        #[test]
        fn no_file_does_harm(text in "[a-z:{}\\[\\]\n -]{0,60}|.{0,40}") {
            let _ = parse(&text);
        }
    }
}
