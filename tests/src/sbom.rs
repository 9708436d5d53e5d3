//! What a release is made of: an SBOM in SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>), from what cargo knows. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// The programs of a release, as cargo names their packages.
pub const PROGRAMS: [&str; 2] = ["lvscare", "installer"];

/// `cargo metadata --format-version 1 --filter-platform TARGET`, as far as it matters.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

/// `None` is what ends up in the program; what builds or tests it has a name.
#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// Something that is linked in and that cargo does not know.
#[derive(Clone, Debug)]
pub struct Linked {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// Its licence, as an SPDX expression.
    pub licence: &'static str,
}

/// The document. `created` is a time such as `2026-01-31T00:00:00Z`, `lock` the text of `Cargo.lock`.
pub fn document(
    metadata: &[u8],
    lock: &str,
    linked: &[Linked],
    architecture: &str,
    created: &str,
) -> Result<Value> {
    let metadata: Metadata = serde_json::from_slice(metadata).context("cargo metadata")?;
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let roots: Vec<&Package> = PROGRAMS
        .iter()
        .map(|name| {
            let is_it = |package: &&Package| package.source.is_none() && package.name == *name;
            metadata.packages.iter().find(is_it).with_context(|| format!("no package {name}"))
        })
        .collect::<Result<_>>()?;
    let checksums = checksums(lock);
    let mut relationships = Vec::new();
    let mut seen = BTreeSet::new();
    let mut queue: VecDeque<&str> = roots.iter().map(|root| root.id.as_str()).collect();
    while let Some(id) = queue.pop_front() {
        if !seen.insert(id) {
            continue;
        }
        let node = nodes.get(id).with_context(|| format!("{id} is not resolved"))?;
        let shipped = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        for dependency in shipped {
            let (from, to) = (packages.get(id), packages.get(dependency.pkg.as_str()));
            let (from, to) = from.zip(to).with_context(|| format!("{} is no package", dependency.pkg))?;
            relationships.push(relationship(&reference(from), "DEPENDS_ON", &reference(to)));
            queue.push_back(&dependency.pkg);
        }
    }
    let mut described: Vec<Value> = seen
        .iter()
        .filter_map(|id| packages.get(id))
        .map(|package| describe(package, checksums.get(&(package.name.as_str(), package.version.as_str()))))
        .collect();
    for part in linked {
        let id = format!("SPDXRef-{}", part.name);
        described.push(json!({
            "SPDXID": id,
            "name": part.name,
            "versionInfo": part.version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseDeclared": part.licence,
            "licenseConcluded": "NOASSERTION",
            "copyrightText": "NOASSERTION",
        }));
        relationships.extend(roots.iter().map(|root| relationship(&reference(root), "STATIC_LINK", &id)));
    }
    let whole = roots.iter().map(|root| relationship("SPDXRef-DOCUMENT", "DESCRIBES", &reference(root)));
    relationships.splice(0..0, whole);
    let version = &roots[0].version;
    Ok(json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("lvscare {version} {architecture}"),
        "documentNamespace": format!("urn:lvscare:sbom:{version}:{architecture}:{created}"),
        "creationInfo": { "created": created, "creators": ["Tool: make dist"] },
        "packages": described,
        "relationships": relationships,
    }))
}

/// `checksum` of each name and version in a `Cargo.lock`.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let mut checksums = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
            line.strip_suffix('"')
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (value("name"), value("version"), value("checksum"))
        {
            checksums.insert((name, version), checksum);
        }
    }
    checksums
}

fn describe(package: &Package, checksum: Option<&&str>) -> Value {
    let Package { name, version, license, source, .. } = package;
    let mut described = json!({
        "SPDXID": reference(package),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        // An older way to write `OR`.
        "licenseDeclared": license.as_ref().map_or("NOASSERTION".to_owned(), |text| text.replace('/', " OR ")),
        "licenseConcluded": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    });
    if source.is_some() {
        let locator = format!("pkg:cargo/{name}@{version}");
        described["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator,
        }]);
    }
    if let Some(checksum) = checksum {
        described["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": checksum }]);
    }
    described
}

/// Letters, digits, dots and dashes are all that an identifier may have.
fn reference(package: &Package) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("SPDXRef-{}-{}", package.name, package.version).chars().map(plain).collect()
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"ring\"\nversion = \"0.17.1\"\nsource = \"registry\"\n\
                        checksum = \"abc\"\n\n[[package]]\nname = \"lvscare\"\nversion = \"0.1.0\"\n";

    fn metadata() -> Value {
        let package = |id: &str, name: &str, version: &str, source: Option<&str>| json!({"id": id, "name": name, "version": version, "license": "MIT/Apache-2.0", "source": source});
        json!({
            "packages": [
                package("l", "lvscare", "0.1.0", None), package("i", "installer", "0.1.0", None),
                package("r", "ring", "0.17.1", Some("registry")), package("u", "un_trusted+x", "1.0.0+z", Some("registry")),
                package("b", "builder", "1.0.0", Some("registry")),
            ],
            "resolve": {"nodes": [
                {"id": "l", "deps": [{"pkg": "r", "dep_kinds": [{"kind": null}]}, {"pkg": "b", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "i", "deps": [{"pkg": "l", "dep_kinds": [{"kind": "build"}, {"kind": null}]}]},
                {"id": "r", "deps": [{"pkg": "u", "dep_kinds": [{"kind": null}]}]},
                {"id": "u", "deps": [{"pkg": "r", "dep_kinds": [{"kind": null}]}]},
                {"id": "b", "deps": []},
            ]},
        })
    }

    #[test]
    fn all_that_ships_is_named_and_what_only_builds_is_not() {
        let linked = Linked { name: "glibc", version: "2.36".into(), licence: "LGPL-2.1-or-later" };
        let text = serde_json::to_vec(&metadata()).unwrap();
        let document = document(&text, LOCK, &[linked], "amd64", "2026-01-31T00:00:00Z").unwrap();
        let names: Vec<_> =
            document["packages"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["installer", "lvscare", "ring", "un_trusted+x", "glibc"]);
        let ring = &document["packages"][2];
        assert_eq!(ring["checksums"][0]["checksumValue"], "abc");
        assert_eq!(ring["licenseDeclared"], "MIT OR Apache-2.0");
        assert_eq!(ring["externalRefs"][0]["referenceLocator"], "pkg:cargo/ring@0.17.1");
        assert!(document["packages"][1].get("externalRefs").is_none());
        // Every end of a relationship is there, and each identifier is one.
        let ids: BTreeSet<_> = document["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["SPDXID"].as_str().unwrap())
            .collect();
        assert!(ids.contains("SPDXRef-un-trusted-x-1.0.0-z"), "{ids:?}");
        for relationship in document["relationships"].as_array().unwrap() {
            assert!(ids.contains(relationship["relatedSpdxElement"].as_str().unwrap()), "{relationship}");
        }
        assert_eq!(document["relationships"].as_array().unwrap().len(), 2 + 4 + 2);
    }

    #[test]
    fn without_a_program_there_is_no_release() {
        let mut metadata = metadata();
        metadata["packages"].as_array_mut().unwrap().remove(1);
        let text = serde_json::to_vec(&metadata).unwrap();
        let refusal = document(&text, LOCK, &[], "amd64", "now").unwrap_err();
        assert_eq!(refusal.to_string(), "no package installer");
    }
}
