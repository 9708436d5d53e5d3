//! Arrows between the modules point one way, as the crate's own page says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. A module may use those below it, and none beside it.
const FLOORS: [&[&str]; 10] = [
    &["agent"],
    &["run"],
    &["plan", "check"],
    &["fake"],
    &["facts", "pki"],
    &["desired", "journal", "render"],
    &["machine"],
    &["package"],
    &["api"],
    &["spec", "step"],
];
const GROUND: [&str; 3] = ["date", "failure", "paths"];

fn floor(module: &str) -> Option<usize> {
    let floors = FLOORS.iter().copied().chain([&GROUND[..]]);
    floors.enumerate().find(|(_, modules)| modules.contains(&module)).map(|(number, _)| number)
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// What stands after each `crate::` of the text: one name, or the first of each in a list.
fn used(text: &str) -> impl Iterator<Item = &str> {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split("crate::").skip(1).flat_map(move |rest| {
        let list = rest.strip_prefix('{').map_or("", |list| list.split('}').next().unwrap_or_default());
        let list = list.split(',').map(str::trim).map(move |part| &part[..word(part)]);
        [&rest[..word(rest)]].into_iter().chain(list).filter(|name| !name.is_empty())
    })
}

#[test]
fn arrows_point_one_way() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&top, &mut files);
    let mut seen = 0;
    for path in files {
        let within = path.strip_prefix(&top).unwrap();
        let name = within.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = name.strip_suffix(".rs").unwrap_or(name);
        let is_test = within.components().any(|part| part.as_os_str().to_str().unwrap().starts_with("test"));
        if module == "lib" || is_test {
            continue;
        }
        let own = floor(module).unwrap_or_else(|| panic!("{module} has no floor"));
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for other in used(code).filter(|other| *other != module) {
            let Some(below) = floor(other) else { panic!("{}: {other} has no floor", within.display()) };
            assert!(below > own, "{}: {module} uses {other}, which is not below it", within.display());
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}
