//! Each parser: what it takes, and what it says to the rest.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What `parse` makes of each text, shown as text.
fn assert_parses<T: fmt::Debug>(
    parse: impl Fn(&str) -> Result<T, String>,
    show: impl Fn(T) -> String,
    cases: &[(&str, Result<&str, &str>)],
) {
    for (text, expected) in cases {
        let result = parse(text).map(&show);
        assert_eq!(result.as_deref().map_err(String::as_str), *expected, "{text:?}");
    }
}

#[test]
fn schedulers() {
    for name in SCHEDULERS {
        assert_eq!(name.parse::<Scheduler>().unwrap().to_string(), name);
    }
    for text in ["", "RR", "rr ", "wrx", "ip_vs_rr"] {
        assert_eq!(
            text.parse::<Scheduler>().unwrap_err(),
            "not an IPVS scheduler that is of use here; give one of \
             rr, wrr, lc, wlc, fo, lblc, lblcr, sh, mh, sed, nq, twos"
        );
    }
}

#[test]
fn schedulers_that_refuse_clients_although_somebody_could_serve() {
    for (name, instead) in [("dh", "use rr, or mh"), ("ovf", "use wlc, or fo")] {
        let why = name.parse::<Scheduler>().unwrap_err();
        assert!(why.contains("refuses") && why.contains(instead), "{name}: {why}");
    }
}

#[test]
fn schedulers_that_need_a_fallback() {
    let needs = |name: &&&str| name.parse::<Scheduler>().unwrap().needs_fallback();
    let found: Vec<&str> = SCHEDULERS.iter().filter(needs).copied().collect();
    assert_eq!(found, ["sh", "mh"]);
}

#[test]
fn schedulers_that_heed_weights() {
    let heeds = |name: &&&str| name.parse::<Scheduler>().unwrap().heeds_weights();
    let careless: Vec<&str> = SCHEDULERS.iter().filter(|name| !heeds(name)).copied().collect();
    assert_eq!(careless, ["rr", "lc"]);
}

const ZONE_REFUSAL: &str = "a zone (what follows `%`) is no part of an address that IPVS can use; give one that is valid on every link";

#[test]
fn endpoints() {
    assert_parses(
        endpoint,
        |address| address.to_string(),
        &[
            ("10.0.0.1:6443", Ok("10.0.0.1:6443")),
            ("10.0.0.1:65535", Ok("10.0.0.1:65535")),
            ("[fd00::1]:6443", Ok("[fd00::1]:6443")),
            ("[fe80::1%2]:6443", Err(ZONE_REFUSAL)),
            ("[fe80::1%eth0]:6443", Err(ZONE_REFUSAL)),
            ("10.0.0.1", Err("the port is missing; write 10.0.0.1:6443")),
            ("fd00::1", Err("the port is missing; write [fd00::1]:6443")),
            ("[fd00::1]", Err("the port is missing; write [fd00::1]:6443")),
            ("10.0.0.1:", Err("`` is not a port from 1 to 65535")),
            ("10.0.0.1:0", Err("port 0 is no port; apiservers usually listen on 6443")),
            ("[fd00::1]:0", Err("port 0 is no port; apiservers usually listen on 6443")),
            ("10.0.0.1:65536", Err("`65536` is not a port from 1 to 65535")),
            ("10.0.0.1:-1", Err("`-1` is not a port from 1 to 65535")),
            ("10.0.0.1:https", Err("`https` is not a port from 1 to 65535")),
            ("[fd00::1]:70000", Err("`70000` is not a port from 1 to 65535")),
            ("10.0.0.300:6443", Err("`10.0.0.300` is not an IP address")),
            ("10.0.0:6443", Err("`10.0.0` is not an IP address")),
            ("010.0.0.1:6443", Err("`010.0.0.1` is not an IP address")),
            ("[fd00::g]:6443", Err("`fd00::g` is not an IP address")),
            ("[::ffff:10.0.0.1]:6443", Err("an IPv4 address in IPv6 clothes; write 10.0.0.1:6443")),
            (
                "master1:6443",
                Err("`master1` is a name; give the IP address, names may not resolve before the join"),
            ),
            (":6443", Err("`` is not an IP address")),
            ("", Err("not an address with a port, such as 10.0.0.1:6443")),
            ("6443", Err("not an address with a port, such as 10.0.0.1:6443")),
        ],
    );
}

/// As one writes them with `--rs`.
fn written(servers: &RealServers) -> String {
    let servers: Vec<String> =
        servers.0.iter().map(|server| format!("{},weight={}", server.address, server.weight)).collect();
    servers.join(",")
}

#[test]
fn real_servers() {
    assert_parses(
        str::parse::<RealServers>,
        |servers| written(&servers),
        &[
            ("10.0.0.1:6443", Ok("10.0.0.1:6443,weight=1")),
            ("10.0.0.1:6443,weight=65535", Ok("10.0.0.1:6443,weight=65535")),
            ("10.0.0.1:6443, 10.0.0.2:6443", Ok("10.0.0.1:6443,weight=1,10.0.0.2:6443,weight=1")),
            (
                "10.0.0.1:6443,10.0.0.2:6443,weight=2,10.0.0.3:6443",
                Ok("10.0.0.1:6443,weight=1,10.0.0.2:6443,weight=2,10.0.0.3:6443,weight=1"),
            ),
            ("weight=2", Err("an option stands before any address")),
            ("10.0.0.1:6443,weight=0", Err("weight `0` is not a number from 1 to 65535")),
            ("10.0.0.1:6443,weight=65536", Err("weight `65536` is not a number from 1 to 65535")),
            ("10.0.0.1:6443,weight=", Err("weight `` is not a number from 1 to 65535")),
            ("10.0.0.1:6443,weigth=2", Err("unknown option `weigth`; a server has only `weight`")),
            ("10.0.0.1:6443,", Err("not an address with a port, such as 10.0.0.1:6443")),
            ("0.0.0.0:6443", Err("0.0.0.0 is not the address of a host")),
            ("[ff02::1]:6443", Err("ff02::1 is not the address of a host")),
            (
                "[fe80::1]:6443",
                Err("fe80::1 is valid on one link only; give the host's address in the cluster"),
            ),
        ],
    );
}

#[test]
fn virtual_servers() {
    let loopback = "is a loopback address: packets from it cannot leave the node";
    for (text, ip) in [("127.0.0.1:6443", "127.0.0.1"), ("[::1]:6443", "::1")] {
        let message = format!("{ip} {loopback}; use an unused one such as 10.103.97.2");
        assert_eq!(virtual_server(text).unwrap_err(), message);
    }
    for ip in ["0.0.0.0", "239.1.1.1", "255.255.255.255", "169.254.20.10"] {
        assert_eq!(
            virtual_server(&format!("{ip}:6443")).unwrap_err(),
            format!("{ip} cannot be a virtual address; use an unused one such as 10.103.97.2")
        );
    }
    for text in ["10.103.97.2:6443", "192.0.2.1:443", "[fd00::6443]:6443"] {
        assert_eq!(virtual_server(text).unwrap().to_string(), text);
    }
}

#[test]
fn listening() {
    let none = Ok(Listen(None));
    assert_eq!("none".parse(), none);
    assert_eq!("".parse(), none);
    assert_eq!("127.0.0.1:10261".parse(), Ok(Listen(Some(SocketAddr::from(([127, 0, 0, 1], 10261))))));
    assert_eq!("10261".parse::<Listen>(), Err("not an address with a port, such as 10.0.0.1:6443".into()));
}

#[test]
fn durations() {
    let wrong = Err("not a duration such as 200ms, 2s or 1m30s");
    assert_parses(
        duration,
        |duration| format!("{duration:?}"),
        &[
            ("5", Ok("5s")),
            ("0", Ok("0ns")),
            ("200ms", Ok("200ms")),
            ("2s", Ok("2s")),
            ("1.5s", Ok("1.5s")),
            ("0.25", wrong),
            ("1m30s", Ok("90s")),
            ("1m30s500ms", Ok("90.5s")),
            ("24h", Ok("86400s")),
            ("86400", Ok("86400s")),
            ("24h1ms", Err("longer than a day")),
            ("86401", Err("longer than a day")),
            ("99999999999999999999s", Err("longer than a day")),
            ("99999999999999999999", wrong),
            ("", wrong),
            ("s", wrong),
            ("soon", wrong),
            ("-1s", wrong),
            ("1 s", wrong),
            ("1.2.3s", wrong),
            ("5 minutes", wrong),
            ("1d", wrong),
            ("1m30", wrong),
        ],
    );
}

#[test]
fn durations_as_people_write_them() {
    for (millis, expected) in [
        (0, "0s"),
        (1, "1ms"),
        (999, "999ms"),
        (1000, "1s"),
        (1500, "1.5s"),
        (59_999, "59.999s"),
        (60_000, "1m"),
        (61_999, "1m1.999s"),
        (90_000, "1m30s"),
        (90_500, "1m30.5s"),
        (3_600_000, "60m"),
    ] {
        assert_eq!(show(Duration::from_millis(millis)), expected);
    }
}

#[test]
fn measured_times_are_brief() {
    for (nanos, expected) in [
        (0, "0.0ms"),
        (437_000, "0.4ms"),
        (9_949_000, "9.9ms"),
        (86_512_345, "87ms"),
        (999_499_000, "999ms"),
        (999_600_000, "1.0s"),
        (1_169_123_456, "1.2s"),
        (59_940_000_000, "59.9s"),
        (184_000_000_000, "3m04s"),
        (7_500_000_000_000, "2h05m"),
        (371_000_000_000_000, "4d07h"),
    ] {
        assert_eq!(brief(Duration::from_nanos(nanos)), expected);
    }
}

proptest! {
    #[test]
    fn what_is_shown_can_be_typed(
        millis in 0_u64..60_000, seconds in 0_u64..86_400, nanos in 0_u64..86_400_000_000_000
    ) {
        let durations = [Duration::from_millis(millis), Duration::from_secs(seconds), Duration::from_nanos(nanos)];
        for duration in durations {
            prop_assert_eq!(super::duration(&show(duration)), Ok(duration), "shown as {}", show(duration));
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,40}", nearly in "[0-9a-fhms:.,=\\[\\]%]{0,40}") {
        for text in [text, nearly] {
            let _ = endpoint(&text);
            let _ = virtual_server(&text);
            let _ = duration(&text);
            let _ = text.parse::<RealServers>();
            let _ = text.parse::<Scheduler>();
            let _ = text.parse::<Listen>();
        }
    }

    #[test]
    fn real_servers_are_read_as_written(servers in vec((1_u8..224, 1_u16.., 1_u32..=65535), 1..5)) {
        let servers = servers.into_iter().map(|(octet, port, weight)| {
            RealServer { address: SocketAddr::from(([10, 0, 0, octet], port)), weight }
        });
        let servers = RealServers(servers.collect());
        prop_assert_eq!(written(&servers).parse::<RealServers>(), Ok(servers));
    }
}
