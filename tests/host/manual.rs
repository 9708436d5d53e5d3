//! What the manual pages, the completions and `--help` are made of: every command and every option explains itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::collections::BTreeMap;
use std::ffi::OsStr;

use clap::{Arg, Command, CommandFactory, Parser};
use lvscare::cli::Cli;

/// `command` and all below it, each with the words that lead to it.
fn commands(command: &Command, above: &str) -> Vec<(String, Command)> {
    let path = format!("{above} {}", command.get_name()).trim_start().to_owned();
    let below = command.get_subcommands().flat_map(|inner| commands(inner, &path));
    std::iter::once((path.clone(), command.clone())).chain(below).collect()
}

fn all() -> Vec<(String, Command)> {
    let mut cli = Cli::command();
    // Only a built command has `--help` and knows what is inherited.
    cli.build();
    commands(&cli, "")
}

/// The options of everything that is not hidden.
fn options() -> impl Iterator<Item = (String, Arg)> {
    all().into_iter().flat_map(|(path, command)| {
        let shown: Vec<Arg> =
            command.get_arguments().filter(|option| !option.is_hide_set()).cloned().collect();
        shown.into_iter().map(move |option| (format!("{path} {option}"), option))
    })
}

#[test]
fn there_is_something_to_explain() {
    assert!(all().iter().any(|(path, _)| path == "lvscare care"), "{:?}", all());
    assert!(options().any(|(_, option)| option.get_long() == Some("vs")));
}

#[test]
fn every_command_has_a_text() {
    for (path, command) in all() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 10, "`{path}` says nothing of itself: {about:?}");
    }
}

#[test]
fn every_option_has_a_text_of_one_line() {
    for (path, option) in options() {
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.len() > 5, "`{path}` says nothing of itself: {help:?}");
        assert!(!help.contains('\n'), "the first paragraph about `{path}` has line ends: {help:?}");
        assert!(
            !help.ends_with('.') || help.ends_with(".."),
            "`{path}` ends like a sentence, the others do not: {help:?}"
        );
    }
}

#[test]
fn every_value_has_a_name_for_people() {
    for (path, option) in options().filter(|(_, option)| option.get_action().takes_values()) {
        // clap makes `<FIELD_NAME>` of a field when nobody says what the value is.
        let invented =
            option.get_value_names().is_some_and(|names| names.iter().any(|name| name.contains('_')));
        assert!(!invented, "`{path}` needs a value name");
    }
}

/// The file of the package that configures the service.
const DEFAULT: &str = include_str!("../../manifests/deb/lvscare/default");

#[test]
fn the_file_of_the_service_names_every_variable_with_a_value_that_works() {
    let described: BTreeMap<&str, &str> = DEFAULT
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='))
        .filter(is_variable)
        .collect();
    for (path, option) in options().filter(|(path, _)| path.starts_with("lvscare care ")) {
        let Some(name) = option.get_env().and_then(OsStr::to_str) else { continue };
        let value = described.get(name).unwrap_or_else(|| panic!("`{path}`: nothing about {name}"));
        let long = option.get_long().unwrap();
        let valued = option.get_action().takes_values();
        let argument = if valued { format!("--{long}={value}") } else { format!("--{long}") };
        Cli::try_parse_from(["lvscare", "care", &argument]).unwrap_or_else(|error| panic!("{error}"));
    }
    let known: Vec<String> =
        options().filter_map(|(_, option)| Some(option.get_env()?.to_str()?.to_owned())).collect();
    for name in described.keys() {
        assert!(known.iter().any(|known| known == name), "{name} means nothing to lvscare");
    }
    // Nothing is in force until somebody has written it.
    assert!(DEFAULT.lines().all(|line| line.is_empty() || line.starts_with('#')), "{DEFAULT}");
}

fn is_variable((name, _): &(&str, &str)) -> bool {
    name.starts_with("LVSCARE_")
}
