//! Configuration files: what they mean beside flags, and what is answered to what is wrong in them.

use std::fs;

use super::*;
use crate::config::raw::File;
use crate::exit::Exit;

/// What flags and this file make together. The file is called F in messages.
fn both(flags: &str, text: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("F");
    fs::write(&path, text).unwrap();
    let result = config(&format!("--config {} {flags}", path.display()));
    result.map_err(|failure| {
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.message.lines().count(), 1, "{}", failure.message);
        failure.message.replace(&path.display().to_string(), "F")
    })
}

const TWO: &str = "
virtualServers:
  - address: 10.103.97.2:6443
    realServers: [10.0.0.1:6443, '10.0.0.2:6443,weight=2']
    scheduler: wrr
  - address: '10.103.97.3:5000'
    realServers: ['10.0.0.7:5000']
    health: {scheme: http, path: /v2/, readyPath: none, interval: 5}
health: {interval: 1s, fall: 3}
guard: {resync: 500ms, preferLocal: true}
operation: {listen: none}
";

#[test]
fn several_virtual_servers() {
    let config = both("", TWO).unwrap();
    assert_eq!(config.addresses(), ["10.103.97.2:6443", "10.103.97.3:5000"].map(|at| at.parse().unwrap()));
    assert_eq!(
        servers(&config),
        [("10.0.0.1:6443".into(), 1), ("10.0.0.2:6443".into(), 2), ("10.0.0.7:5000".into(), 1)]
    );
    let [masters, registry] = &config.services[..] else { panic!("{config:?}") };
    assert_eq!((masters.scheduler.name(), registry.scheduler.name()), ("wrr", "rr"));
    assert_eq!((masters.policy.interval, masters.policy.fall), (Duration::from_secs(1), 3));
    assert_eq!((registry.policy.interval, registry.policy.fall), (Duration::from_secs(5), 3));
    assert_eq!((registry.probe.scheme, registry.probe.ready_path.as_deref()), (Scheme::Http, None));
    assert_eq!((config.resync, config.prefer_local, config.listen), (Duration::from_millis(500), true, None));
}

#[test]
fn flags_go_before_the_file() {
    let config = both("--interval 3s --resync 2s --prefer-local=false --listen 127.0.0.1:1", TWO).unwrap();
    for service in &config.services {
        assert_eq!(service.policy.interval, Duration::from_secs(3));
    }
    assert_eq!(config.resync, Duration::from_secs(2));
    assert!(!config.prefer_local);
    assert_eq!(config.listen, Some("127.0.0.1:1".parse().unwrap()));

    // The virtual server of the command line takes the place of its namesake, or comes first.
    let config = both("--rs 10.0.0.9:6443", TWO).unwrap();
    assert_eq!(servers(&config), [("10.0.0.9:6443".into(), 1), ("10.0.0.7:5000".into(), 1)]);
    let config = both("--vs 10.103.97.9:6443 --rs 10.0.0.9:6443", TWO).unwrap();
    assert_eq!(servers(&config).len(), 4);
    let config = both("--rs 10.0.0.9:6443", "guard: {resync: 2s}").unwrap();
    assert_eq!((servers(&config).len(), config.resync), (1, Duration::from_secs(2)));
}

/// What would be ignored in silence is refused.
#[test]
fn flags_of_no_virtual_server() {
    for flag in ["--vs 10.103.97.9:6443", "--scheduler wrr", "--kubeconfig F"] {
        let name = flag.split(' ').next().unwrap();
        let why = "belongs to a virtual server with --rs; those of the file say it there";
        assert_eq!(both(flag, TWO).unwrap_err(), format!("{name} {why}"));
    }
}

#[test]
fn what_is_printed_can_be_read_back() {
    for (flags, text) in
        [("", TWO), ("--rs 10.0.0.1:6443 --health-status 404 --node-ip 10.0.0.9", "health: {}")]
    {
        let config = both(flags, text).unwrap();
        let printed = serde_yaml::to_string(&File::from(&config)).unwrap();
        assert_eq!(both("", &printed), Ok(config), "{printed}");
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    let one = "virtualServers:\n  - address: 10.103.97.2:6443\n    realServers: [10.0.0.1:6443]\n";
    let cases = [
        ("", "F: it is empty; it must have at least `virtualServers`"),
        (" \n\n", "F: it is empty; it must have at least `virtualServers`"),
        ("health: {}", "no real server given; name every apiserver with --rs, as --rs 10.0.0.1:6443"),
        ("virtualServers: []", "no real server given; name every apiserver with --rs, as --rs 10.0.0.1:6443"),
        (
            "virtualServers: [{address: '10.103.97.2:6443', realServers: []}]",
            "F: virtualServers[0].realServers is empty; list every apiserver, as 10.0.0.1:6443",
        ),
        (
            "virtualServers: [{address: '10.103.97.2:6443', realServers: ['10.0.0.1:6443', '10.0.0.1:6443']}]",
            "F: virtualServers[0].realServers 10.0.0.1:6443 is given twice; name each apiserver once",
        ),
        (
            "virtualServers: [{address: '10.103.97.2:6443', realServers: ['[fd00::1]:6443']}]",
            "F: virtualServers[0].realServers [fd00::1]:6443 and F: virtualServers[0].address 10.103.97.2:6443 are of \
             different families; IPVS cannot translate between IPv4 and IPv6",
        ),
        (&format!("{one}health: {{interval: 1h}}"), "F: health.interval 60m is not between 20ms and 5m"),
        (
            &format!("{one}    health: {{fall: 0}}"),
            "F: virtualServers[0].health.fall 0 is not a number of probes from 1 to 100",
        ),
        (
            &format!("{one}  - address: 10.103.97.2:6443\n    realServers: [10.0.0.2:6443]\n"),
            "F: virtualServers[1].address 10.103.97.2:6443 is given twice; list its real servers once",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(both("", text).expect_err(text), message, "{text}");
    }
}

/// The parser says where; what is added is what was probably meant.
#[test]
fn unknown_words_are_refused_with_the_nearest_known() {
    for (text, parts) in [
        ("virtualServer: []", &["unknown field `virtualServer` (did you mean `virtualServers`?)"][..]),
        ("health: {intervall: 2s}", &["F: health: ", "`intervall` (did you mean `interval`?)", "line 1"]),
        ("health: {zzz: 2s}", &["F: health: ", "unknown field `zzz`, expected"]),
        (
            "health: {interval: soon}",
            &["F: health.interval: `soon`: not a duration such as 200ms, 2s or 1m30s"],
        ),
        (
            "virtualServers: [{address: 10.103.97.2, realServers: []}]",
            &["F: virtualServers[0].address: `10.103.97.2`: the port is missing; write 10.103.97.2:6443"],
        ),
        ("virtualServers: 3", &["F: virtualServers: ", "expected a sequence"]),
        ("{", &["F: "]),
        ("- 1", &["F: "]),
    ] {
        let message = both("", text).expect_err(text);
        for part in parts {
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

#[test]
fn files_that_cannot_be_read() {
    let failure = config("--config /nowhere/lvscare.yaml").unwrap_err();
    assert_eq!(failure.message, "/nowhere/lvscare.yaml: No such file or directory (os error 2)");
    let long = format!("# {}", "x".repeat(2 << 20));
    assert_eq!(both("", &long).unwrap_err(), "F: longer than 1048576 bytes");
}

/// `LVSCARE_WRITE_SCHEMA=1 cargo test` writes it anew.
#[test]
fn schema_describes_the_types() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(File)).unwrap() + "\n";
    if std::env::var_os("LVSCARE_WRITE_SCHEMA").is_some() {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/schema.json"), &schema).unwrap();
    } else {
        assert_eq!(schema, crate::config::raw::SCHEMA);
    }
}

/// Everything that the help says is a default is one.
#[test]
fn help_tells_the_defaults() {
    let config = with("");
    let printed = serde_yaml::to_value(File::from(&config)).unwrap();
    let printed = serde_json::to_string(&printed).unwrap();
    let mut command = Cli::command();
    let care = command.find_subcommand_mut("care").unwrap();
    let mut seen = 0;
    for argument in care.get_arguments() {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let Some(default) = help.split("[default: ").nth(1).and_then(|rest| rest.split(']').next()) else {
            continue;
        };
        // Words are descriptions of a default; values are not.
        if default.contains(' ') || matches!(default, "none" | "info" | "text") {
            continue;
        }
        seen += 1;
        assert!(printed.contains(default), "{argument}: {default} is not in {printed}");
    }
    assert!(seen >= 12, "{seen}");
}

#[test]
fn a_real_server_is_no_virtual_one() {
    let text = TWO.replace("10.0.0.7:5000", "10.103.97.2:5000");
    assert_eq!(
        both("", &text).unwrap_err(),
        "10.103.97.2:5000, a real server of 10.103.97.3:5000, is at the address of the virtual server \
         10.103.97.2:6443; name the apiserver's own address"
    );
    let refusal = both("--vs 10.103.97.9:6443 --rs 10.103.97.3:6443", TWO).unwrap_err();
    assert!(refusal.starts_with("10.103.97.3:6443, a real server of 10.103.97.9:6443, is at"), "{refusal}");
}

/// A time from `least` milliseconds on, to the nanosecond.
fn time(least: u64, most: u64) -> impl Strategy<Value = String> {
    (least..=most, 0..1_000_000_u32).prop_map(|(millis, nanos)| format!("{millis}.{nanos:06}ms"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Words that YAML takes for something else, times of every length: what is printed is what was meant.
    #[test]
    fn what_is_printed_is_read_back(
        times in (time(20, 300_000), time(20, 300_000), time(10, 30_000), time(10, 30_000), time(0, 86_400_000)),
        counts in (1_u32..=100, 1_u32..=100, 1_u32..=65535),
        names in proptest::collection::vec("no|on|y|~|null|1_000|0x1f|1e3|- a|[!-~&&[^']]{1,8}", 5),
        scheme in "https?",
        scheduler in proptest::sample::select(vec!["rr", "wrr", "lc", "fo"]),
        local in "true|false",
    ) {
        let (interval, fast, timeout, connect, drain) = times;
        let (fall, rise, weight) = counts;
        let quoted = |index: usize| format!("'{}'", names[index]);
        let text = format!(
            "virtualServers:\n- address: 10.103.97.2:6443\n  realServers: ['10.0.0.1:6443,weight={weight}']\n  \
             scheduler: {scheduler}\n  kubeconfig: {}\n  health: {{interval: {interval}, fastInterval: {fast}, \
             fall: {fall}, rise: {rise}, timeout: {timeout}, connectTimeout: {connect}, scheme: {scheme}, \
             caFile: {}, certFile: {}, tlsServerName: {}}}\nguard: {{drainTimeout: {drain}, preferLocal: {local}}}\n\
             operation: {{stateDir: {}}}\n",
            quoted(0), quoted(1), quoted(2), quoted(3), quoted(4)
        );
        let Ok(config) = both("", &text) else { return Ok(()) };
        let printed = serde_yaml::to_string(&File::from(&config)).unwrap();
        prop_assert_eq!(both("", &printed), Ok(config), "{}", printed);
    }
}
