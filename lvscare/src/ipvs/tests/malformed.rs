//! What is no message must be an error that says where, never a panic.

use netlink_packet_core::ParseableParametrized;
use netlink_packet_generic::GenlHeader;

use super::capture::{self, Packet, hex};
use crate::ipvs::{Command, Message};

const HEADERS: usize = 20;

fn parse(command: Command, payload: &[u8]) -> Result<Message, String> {
    let header = GenlHeader { cmd: command.into(), version: 1 };
    Message::parse_with_param(payload, header).map_err(|error| error.to_string())
}

#[test]
fn a_captured_message_may_end_anywhere() {
    for raw in capture::all() {
        for end in 0..raw.len() {
            assert!(Packet::deserialize(&raw[..end]).is_err(), "the header knows the length");
            if let Some(payload) = raw[..end].get(HEADERS..) {
                let _ = parse(Command::from(raw[16]), payload);
            }
        }
    }
}

#[test]
fn a_nest_that_ends_early_is_an_error() {
    // A length that fits the bytes left, so that the inner attribute is what is cut.
    for inner in 1..8_u8 {
        let mut raw = vec![4 + inner, 0, 1, 0];
        raw.extend(&hex("08 00 05 00 2a 00 00 00")[..usize::from(inner)]);
        let error = parse(Command::NewService, &raw).unwrap_err();
        assert!(error.starts_with("invalid IPVS_CMD_ATTR_SERVICE value"), "{error}");
    }
}

#[test]
fn a_value_of_the_wrong_length_names_its_attribute() {
    let service = [
        "AF", "PROTOCOL", "ADDR", "PORT", "FWMARK", "", "FLAGS", "TIMEOUT", "NETMASK", "STATS", "", "STATS64",
    ];
    let destination = [
        "ADDR",
        "PORT",
        "FWD_METHOD",
        "WEIGHT",
        "U_THRESH",
        "L_THRESH",
        "ACTIVE_CONNS",
        "INACT_CONNS",
        "PERSIST_CONNS",
        "STATS",
        "ADDR_FAMILY",
        "STATS64",
        "TUN_TYPE",
        "TUN_PORT",
        "TUN_FLAGS",
    ];
    let daemon =
        ["STATE", "", "SYNC_ID", "SYNC_MAXLEN", "MCAST_GROUP", "MCAST_GROUP6", "MCAST_PORT", "MCAST_TTL"];
    let nests = [(1, "SVC", service.as_slice()), (2, "DEST", &destination), (3, "DAEMON", &daemon)];
    for (nest, prefix, names) in nests {
        for (kind, name) in (1_u8..).zip(names).filter(|(_, name)| !name.is_empty()) {
            let error = parse(Command::NewService, &[11, 0, nest, 0, 7, 0, kind, 0, 1, 2, 3, 0]).unwrap_err();
            assert!(error.contains(&format!("invalid IPVS_{prefix}_ATTR_{name} value")), "{error}");
        }
    }
    for (kind, name) in (4_u8..).zip(["TIMEOUT_TCP", "TIMEOUT_TCP_FIN", "TIMEOUT_UDP"]) {
        let error = parse(Command::SetConfig, &[7, 0, kind, 0, 1, 2, 3, 0]).unwrap_err();
        assert!(error.starts_with(&format!("invalid IPVS_CMD_ATTR_{name} value")), "{error}");
    }
    for (kind, name) in (1_u8..).zip(["VERSION", "CONN_TAB_SIZE"]) {
        let error = parse(Command::SetInfo, &[7, 0, kind, 0, 1, 2, 3, 0]).unwrap_err();
        assert!(error.starts_with(&format!("invalid IPVS_INFO_ATTR_{name} value")), "{error}");
    }
}

#[test]
fn a_counter_of_the_wrong_length_names_its_attribute() {
    let names =
        ["CONNS", "INPKTS", "OUTPKTS", "INBYTES", "OUTBYTES", "CPS", "INPPS", "OUTPPS", "INBPS", "OUTBPS"];
    for nest in [10, 12] {
        for (kind, name) in (1_u8..).zip(names) {
            let raw = [15, 0, 1, 0, 11, 0, nest, 0, 7, 0, kind, 0, 1, 2, 3, 0];
            let error = parse(Command::NewService, &raw).unwrap_err();
            assert!(error.contains(&format!("invalid IPVS_STATS_ATTR_{name} value")), "{error}");
        }
    }
}

#[test]
fn a_name_that_is_not_text_is_an_error() {
    for (kind, name) in [(6, "SCHED_NAME"), (11, "PE_NAME")] {
        let error = parse(Command::NewService, &[10, 0, 1, 0, 6, 0, kind, 0, 0xff, 0, 0, 0]).unwrap_err();
        assert!(error.contains(&format!("invalid IPVS_SVC_ATTR_{name} value")), "{error}");
    }
    let error = parse(Command::NewDaemon, &[10, 0, 3, 0, 6, 0, 2, 0, 0xff, 0, 0, 0]).unwrap_err();
    assert!(error.contains("invalid IPVS_DAEMON_ATTR_MCAST_IFN value"), "{error}");
}
