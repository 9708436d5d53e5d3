use super::*;

/// Anybody may listen where a daemon is not.
#[test]
fn what_anybody_answers_is_fit_for_a_terminal() {
    let evil = r"\u001b[2J\u0007\u009b2J\nroot@node:~# ";
    let probe = format!(r#"{{"ago_seconds": 1.0, "took_seconds": 1.0, "result": "{evil}"}}"#);
    let json = format!(
        r#"{{
            "daemon": {{
                "version": "{evil}", "uptime_seconds": 1.0, "last_pass_seconds": 1.0, "repairs": 1,
                "problems": ["{evil}"],
                "configuration": {{"generation": 1, "hash": "{evil}", "failures": 1, "problem": "{evil}"}}
            }},
            "virtual_servers": [{{
                "address": "10.103.97.2:6443", "scheduler": "{evil}", "route_source": null, "mode": "normal",
                "self_probe": {probe},
                "masters": {{"count": 1, "source": "api", "ago_seconds": 1.0, "problem": "{evil}"}},
                "traffic": {{"connections": 0, "packets_in": 0, "packets_out": 0, "bytes_in": 0, "bytes_out": 0}},
                "real_servers": [{{
                    "address": "10.0.0.1:6443", "weight": 1, "active": 0, "inactive": 0,
                    "health": {{"condition": "dead", "since_seconds": 1.0, "last_probe": {probe}}}
                }}]
            }}]
        }}"#
    );
    let status = Status::from_json(json.as_bytes()).unwrap();
    let (table, json) = (
        render(&status, Style { colour: false, wide: true }),
        serde_json::to_string_pretty(&status).unwrap(),
    );
    for text in [&table, &json] {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    }
    assert_eq!(table.matches(r"\x1b[2J\x07\u{9b}2J\nroot@node:~#").count(), 8, "{table}");
    let deep = "[".repeat(1 << 20);
    assert!(Status::from_json(deep.as_bytes()).is_err());
}
