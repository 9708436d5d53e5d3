//! `capture.txt`: a conversation with a kernel, as bytes.

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_generic::GenlMessage;

use crate::ipvs::Message;

const CAPTURE: &str = include_str!("capture.txt");

pub(super) type Packet = NetlinkMessage<GenlMessage<Message>>;

/// One request and its answers: each a netlink message, header included.
pub(super) struct Exchange {
    pub(super) request: Vec<u8>,
    pub(super) answers: Vec<Vec<u8>>,
}

/// The exchange under a heading of the capture.
pub(super) fn exchange(heading: &str) -> Exchange {
    let (_, body) = sections().find(|(name, _)| *name == heading).expect("heading is in the capture");
    let lines = |direction| body.lines().filter_map(move |line| line.strip_prefix(direction));
    Exchange {
        request: lines("TX ").map(hex).next().expect("one request"),
        answers: lines("RX ").flat_map(|datagram| split(&hex(datagram))).collect(),
    }
}

/// Every netlink message of the capture, in both directions.
pub(super) fn all() -> Vec<Vec<u8>> {
    sections()
        .map(|(heading, _)| exchange(heading))
        .flat_map(|exchange| std::iter::once(exchange.request).chain(exchange.answers))
        .collect()
}

pub(super) fn parse(raw: &[u8]) -> Packet {
    Packet::deserialize(raw).expect("a captured message is valid")
}

pub(super) fn emit(packet: &Packet) -> Vec<u8> {
    let mut bytes = vec![0xff; packet.buffer_len()];
    packet.serialize(&mut bytes);
    bytes
}

/// Both ways: the bytes mean this message, and this message is these bytes.
pub(super) fn assert_both_ways(raw: &[u8], expected: Message) {
    let mut packet = parse(raw);
    let family = packet.header.message_type;
    assert_eq!(packet.payload, payload(expected.clone(), family));
    packet.payload = payload(expected, family);
    packet.finalize();
    assert_eq!(emit(&packet), raw);
}

/// `"0a 67"` as bytes.
pub(super) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("two hex digits")).collect()
}

fn payload(message: Message, family: u16) -> NetlinkPayload<GenlMessage<Message>> {
    let mut message = GenlMessage::from_payload(message);
    message.set_resolved_family_id(family);
    message.into()
}

fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    CAPTURE.split("### ").skip(1).map(|section| section.split_once('\n').expect("a body below each heading"))
}

/// A datagram may hold several messages, one after the other.
fn split(mut datagram: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some(length) = datagram.first_chunk().copied().map(u32::from_ne_bytes) {
        let (message, rest) = datagram.split_at(length as usize);
        messages.push(message.to_vec());
        datagram = rest;
    }
    messages
}
