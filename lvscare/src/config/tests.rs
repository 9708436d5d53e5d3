//! What people type, from the words of a command line to a valid configuration or one line that helps.

mod file;
mod refusals;

use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches};
use proptest::prelude::*;

use super::*;
use crate::cli::{Cli, Command, explain};
use crate::config::raw::CareArgs;
use crate::config::value::LogFilter;
use crate::exit::Failure;

/// The command line, whatever the environment of the tests says.
fn typed(line: &str) -> Result<Command, Failure> {
    let words = ["lvscare"].into_iter().chain(line.split_whitespace());
    Cli::command()
        .mut_subcommands(|command| command.mut_args(|arg| arg.env(Resettable::Reset)))
        .try_get_matches_from(words)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map(|cli| cli.command)
        .map_err(|error| Failure::usage(explain(&error)))
}

fn care(line: &str) -> Result<Box<CareArgs>, Failure> {
    match typed(&format!("care {line}"))? {
        Command::Care(args) => Ok(args),
        other => panic!("{other:?}"),
    }
}

/// What `lvscare care` makes of these options.
pub(crate) fn config(line: &str) -> Result<Config, Failure> {
    Config::load(&care(line)?.config)
}

const SERVER: &str = "--rs 10.0.0.1:6443";

/// With one server and these options.
fn with(options: &str) -> Config {
    config(&format!("{SERVER} {options}")).unwrap()
}

fn servers(config: &Config) -> Vec<(String, u32)> {
    let servers = config.services.iter().flat_map(|service| &service.servers);
    servers.map(|server| (server.address.to_string(), server.weight)).collect()
}

#[test]
fn defaults() {
    let config = with("");
    assert_eq!(config.addresses(), ["10.103.97.2:6443".parse().unwrap()]);
    assert_eq!(config.services[0].scheduler.name(), "rr");
    assert_eq!(servers(&config), [("10.0.0.1:6443".into(), 1)]);
    assert_eq!(config.node_ip, None);
    let service = &config.services[0];
    assert_eq!(
        service.policy,
        Policy {
            interval: Duration::from_secs(5),
            fast_interval: Duration::from_millis(200),
            fall: 2,
            rise: 2
        }
    );
    assert_eq!(
        service.probe,
        ProbeConfig {
            scheme: Scheme::Https,
            health_path: "/healthz".into(),
            ready_path: Some("/readyz".into()),
            accepted: BTreeSet::new(),
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            ca_file: None,
            server_name: "kubernetes".into(),
            identity: None,
            token_file: None,
        }
    );
    assert_eq!(config.resync, Duration::from_secs(1));
    assert_eq!(config.drain_timeout, Duration::from_secs(30));
    assert_eq!(config.listen, Some("127.0.0.1:10261".parse().unwrap()));
}

#[test]
fn servers_are_repeated_or_listed() {
    let expected = [("10.0.0.1:6443".into(), 1), ("10.0.0.2:6443".into(), 3), ("10.0.0.3:6443".into(), 1)];
    for line in [
        "--rs 10.0.0.1:6443 --rs 10.0.0.2:6443,weight=3 --rs 10.0.0.3:6443",
        "--rs 10.0.0.1:6443,10.0.0.2:6443,weight=3,10.0.0.3:6443",
        "--rs=10.0.0.1:6443,10.0.0.2:6443,weight=3 --rs=10.0.0.3:6443",
    ] {
        assert_eq!(servers(&config(line).unwrap()), expected, "{line}");
    }
    let v6 = config("--vs [fd00::6443]:6443 --rs [fd00:10::1]:6443 --node-ip fd00:10::9").unwrap();
    assert_eq!(servers(&v6), [("[fd00:10::1]:6443".into(), 1)]);
}

/// One address may serve on two ports; that is two servers.
#[test]
fn servers_differ_by_port() {
    assert_eq!(servers(&config("--rs 10.0.0.1:6443,10.0.0.1:6444").unwrap()).len(), 2);
}

#[test]
fn limits_follow_what_they_limit() {
    let config = with("--interval 100ms --health-timeout 500ms");
    assert_eq!(config.services[0].policy.fast_interval, Duration::from_millis(100), "fast is never slower");
    assert_eq!(
        config.services[0].probe.connect_timeout,
        Duration::from_millis(500),
        "a part is never longer than all"
    );
}

#[test]
fn paths() {
    assert_eq!(with("--health-path livez?verbose").services[0].probe.health_path, "/livez?verbose");
    assert_eq!(with("--ready-path readyz").services[0].probe.ready_path, Some("/readyz".into()));
    assert_eq!(with("--ready-path none").services[0].probe.ready_path, None);
    assert_eq!(with("--ready-path=").services[0].probe.ready_path, None);
}

#[test]
fn accepted_answers_add_up() {
    assert_eq!(
        with("--health-status 404,418 --health-status 404").services[0].probe.accepted,
        [404, 418].into()
    );
}

#[test]
fn authority_counts_unless_verification_is_skipped() {
    for (options, verifies) in [
        ("", false),
        ("--ca-file ca.crt", true),
        ("--ca-file ca.crt --health-insecure-skip-verify=false", true),
        ("--ca-file ca.crt --health-insecure-skip-verify=true", false),
        ("--ca-file ca.crt --health-insecure-skip-verify", false),
        ("--health-insecure-skip-verify", false),
    ] {
        assert_eq!(with(options).services[0].probe.ca_file.is_some(), verifies, "{options}");
    }
}

#[test]
fn listening_can_be_turned_off() {
    assert_eq!(with("--listen none").listen, None);
    assert_eq!(with("--listen [::1]:10261").listen, Some("[::1]:10261".parse().unwrap()));
}

/// The static pod of 2019 and the options of 2022, as they were written then.
#[test]
fn older_options_still_work() {
    let args = care(
        "--vs 10.103.97.12:6443 --rs 10.0.0.1:6443,10.0.0.2:6443 --interval 5 --health-path healthz \
         --health-schem https --health-status 401 --health-timeout 10s --health-insecure-skip-verify \
         --scheduler rr --logger DEBG --mode link -i lvscare --ip 10.0.0.9 --masqueradebit 0",
    )
    .unwrap();
    assert_eq!(args.ignored.given(), ["--mode", "--iface", "--ip", "--masqueradebit"]);
    assert_eq!(args.config.operation.log, Some(LogFilter("debug".into())));
    assert!(!args.clean && !args.run_once);

    let config = Config::load(&args.config).unwrap();
    assert_eq!(config.addresses(), ["10.103.97.12:6443".parse().unwrap()]);
    assert_eq!(servers(&config), [("10.0.0.1:6443".into(), 1), ("10.0.0.2:6443".into(), 1)]);
    assert_eq!(config.services[0].policy.interval, Duration::from_secs(5));
    assert_eq!(config.services[0].probe.health_path, "/healthz");
    assert_eq!(config.services[0].probe.accepted, [401].into());
    assert_eq!(config.services[0].probe.timeout, Duration::from_secs(10));
    assert_eq!(config.node_ip, None, "the old --ip is not --node-ip");

    for (line, run_once, clean) in [
        ("--run-once --vs 10.103.97.12:6443 --rs 10.0.0.1:6443", true, false),
        ("--clean --vs 10.103.97.12:6443 --rs 10.0.0.1:6443", false, true),
        ("-C", false, true),
        ("--iface lvscare --mode route --rs 10.0.0.1:6443", false, false),
    ] {
        let args = care(line).unwrap();
        assert_eq!((args.run_once, args.clean), (run_once, clean), "{line}");
    }
}

#[test]
fn log_levels_old_and_new() {
    for (word, level) in [
        ("error", "error"),
        ("ERRO", "error"),
        ("WARN", "warn"),
        ("INFO", "info"),
        ("debug", "debug"),
        ("DEBG", "debug"),
        ("info,lvscare::checker=debug", "info,lvscare::checker=debug"),
    ] {
        let log = care(&format!("--log {word}")).unwrap().config.operation.log;
        assert_eq!(log, Some(LogFilter(level.into())), "{word}");
    }
}

proptest! {
    /// A configuration is valid or refused in one line of usage, whatever is typed.
    #[test]
    fn any_words_are_understood_or_refused(
        flag in proptest::sample::select(vec![
            "--vs", "--rs", "--scheduler", "--interval", "--fall", "--health-path", "--health-status",
            "--listen", "--node-ip", "--log",
        ]),
        value in "\\PC{0,20}",
    ) {
        if let Err(failure) = config(&format!("{SERVER} {flag}={value}")) {
            prop_assert_eq!(failure.exit, crate::exit::Exit::Usage);
            prop_assert_eq!(failure.message.lines().count(), 1, "{}", failure.message);
        }
    }

    /// What passes as a path can be asked for, unchanged.
    #[test]
    fn any_path_is_a_path(text in "[!-~]{0,12}") {
        if let Ok(config) = config(&format!("{SERVER} --health-path={text}")) {
            let path = &config.services[0].probe.health_path;
            let uri: hyper::Uri = path.parse().unwrap();
            prop_assert_eq!(uri.path_and_query().unwrap().as_str(), path.as_str());
        }
    }
}
