//! What the documents say is true as far as a machine can tell: links lead somewhere, commands and files are understood.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use lvscare::checker::self_probe;
use lvscare::cli::Cli;
use lvscare::config::raw::File;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every document of the repository and its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = Vec::new();
    for directory in ["", "docs", "tests"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                documents.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(documents.len() >= 8, "{documents:?}");
    documents
}

/// The blocks of code in `text`, each with the word that names its language.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let fenced = text.split("```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap_or((block, ""))).collect()
}

/// `text` without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for (path, text) in documents() {
        let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = path.parent().unwrap().join(target.split('#').next().unwrap());
            assert!(file.exists(), "{}: {target} leads nowhere", path.display());
            links += 1;
        }
    }
    assert!(links >= 10, "only {links} links were found");
}

#[test]
fn every_file_that_the_guides_name_is_there() {
    let mut names = 0;
    for (path, text) in documents() {
        let prose = prose(&text);
        let quoted = prose.split('`').skip(1).step_by(2);
        let tops = ["lvscare/", "installer/", "tests/", "manifests/", "docs/"];
        for name in quoted.filter(|name| tops.iter().any(|top| name.starts_with(top))) {
            // A list of several, or more than a name.
            if name.contains(['{', ' ', '*', ':']) {
                continue;
            }
            assert!(root().join(name).exists(), "{}: there is no {name}", path.display());
            names += 1;
        }
    }
    assert!(names >= 10, "only {names} names were found");
}

#[test]
fn every_command_is_understood() {
    let mut commands = 0;
    for (path, text) in documents() {
        for (language, block) in blocks(&text) {
            if !["console", "sh"].contains(&language) {
                continue;
            }
            let block = block.replace("\\\n", " ");
            for line in block.lines() {
                let line = line.strip_prefix("$ ").unwrap_or(line);
                let command = line.split(" #").next().unwrap();
                if command.split(' ').next() == Some("lvscare") {
                    Cli::try_parse_from(command.split_whitespace())
                        .unwrap_or_else(|error| panic!("{}: {line}\n{error}", path.display()));
                    commands += 1;
                }
            }
        }
    }
    assert!(commands >= 5, "only {commands} commands were found");
}

#[test]
fn every_configuration_is_understood() {
    let (_, text) = documents().into_iter().find(|(path, _)| path.ends_with("docs/operate.md")).unwrap();
    let files: Vec<&str> =
        blocks(&text).into_iter().filter(|(language, _)| *language == "yaml").map(|(_, file)| file).collect();
    assert!(!files.is_empty());
    for file in files {
        let read: File = serde_yaml::from_str(file).unwrap_or_else(|error| panic!("{error}:\n{file}"));
        assert!(!read.virtual_servers.is_empty(), "{file}");
    }
}

#[test]
fn nothing_is_said_twice() {
    let mut said: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (path, text) in documents() {
        // One is written by `make bench`, the other tells of the same things in its own order.
        if path.ends_with("docs/benchmarks.md") || path.ends_with("CHANGELOG.md") {
            continue;
        }
        let sentences = prose(&text).replace('\n', " ");
        for sentence in sentences.split(". ").map(str::trim).filter(|sentence| sentence.len() > 50) {
            let before = said.insert(sentence.to_owned(), path.clone());
            assert!(before.is_none(), "{} and {before:?} both say: {sentence}", path.display());
        }
    }
    assert!(said.len() > 100, "only {} sentences were found", said.len());
}

/// A rate over a time in which nobody asked is a hole in the picture.
#[test]
fn the_dashboard_looks_at_self_probes_over_several_of_them() {
    let dashboard = fs::read_to_string(root().join("manifests/grafana/dashboard.json")).unwrap();
    let rates: Vec<&str> = dashboard.split("lvscare_self_probe_duration_seconds_bucket{").skip(1).collect();
    assert!(!rates.is_empty());
    for rate in rates {
        let window = rate.split_once("}[").unwrap().1.split_once(']').unwrap().0;
        let window: lvscare::config::value::Time = window.parse().unwrap();
        assert!(window.0 >= 4 * self_probe::pause(true, 1.0), "{window:?}");
    }
}
