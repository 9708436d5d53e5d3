//! What the kernel answered.

use core::net::IpAddr;

use netlink_packet_core::NetlinkPayload;

use super::capture::{self, assert_both_ways, exchange};
use crate::ipvs::{
    AddressFamily, Attribute, Command, Destination, DestinationAttribute, ForwardMethod, InfoAttribute,
    MaskedFlags, Message, Netmask, Protocol, Service, ServiceAttribute, ServiceFlags, ServiceId, Stats,
    StatsAttribute, TunnelFlags, TunnelType, Version,
};

fn no_traffic<C: From<u8>>() -> Vec<StatsAttribute<C>> {
    let none = || C::from(0);
    vec![
        StatsAttribute::Connections(none()),
        StatsAttribute::PacketsIn(none()),
        StatsAttribute::PacketsOut(none()),
        StatsAttribute::BytesIn(0),
        StatsAttribute::BytesOut(0),
        StatsAttribute::ConnectionRate(none()),
        StatsAttribute::PacketRateIn(none()),
        StatsAttribute::PacketRateOut(none()),
        StatsAttribute::ByteRateIn(none()),
        StatsAttribute::ByteRateOut(none()),
    ]
}

fn service() -> Message {
    let service = Service {
        attributes: vec![
            ServiceAttribute::AddressFamily(AddressFamily::Inet),
            ServiceAttribute::Protocol(Protocol::Tcp),
            ServiceAttribute::Address(IpAddr::from([10, 103, 97, 2]).into()),
            ServiceAttribute::Port(6443),
            ServiceAttribute::Scheduler("wrr".to_owned()),
            ServiceAttribute::Flags(MaskedFlags { flags: ServiceFlags::HASHED, mask: ServiceFlags::all() }),
            ServiceAttribute::Timeout(0),
            ServiceAttribute::Netmask(Netmask([255, 255, 255, 255])),
            ServiceAttribute::Stats(no_traffic()),
            ServiceAttribute::Stats64(no_traffic()),
        ],
    };
    Message::new(Command::NewService, [service.into()])
}

fn destination(host: u8, weight: u32) -> Message {
    let destination = Destination {
        attributes: vec![
            DestinationAttribute::Address(IpAddr::from([192, 168, 0, host]).into()),
            DestinationAttribute::Port(6443),
            DestinationAttribute::ForwardMethod(ForwardMethod::Masquerade),
            DestinationAttribute::Weight(weight),
            DestinationAttribute::TunnelType(TunnelType::Ipip),
            DestinationAttribute::TunnelPort(0),
            DestinationAttribute::TunnelFlags(TunnelFlags::empty()),
            DestinationAttribute::UpperThreshold(0),
            DestinationAttribute::LowerThreshold(0),
            DestinationAttribute::ActiveConnections(0),
            DestinationAttribute::InactiveConnections(0),
            DestinationAttribute::PersistentConnections(0),
            DestinationAttribute::AddressFamily(AddressFamily::Inet),
            DestinationAttribute::Stats(no_traffic()),
            DestinationAttribute::Stats64(no_traffic()),
        ],
    };
    Message::new(Command::NewDestination, [destination.into()])
}

#[test]
fn info() {
    let info = [InfoAttribute::Version(Version(1, 2, 1)), InfoAttribute::ConnectionTableSize(4096)];
    let expected = Message::new(Command::SetInfo, info.map(Attribute::Info));
    let [answer] = exchange("GET_INFO").answers.try_into().expect("one answer");
    assert_both_ways(&answer, expected);
}

#[test]
fn one_service() {
    let [answer] = exchange("GET_SERVICE one").answers.try_into().expect("one answer");
    assert_both_ways(&answer, service());
}

#[test]
fn all_services() {
    let [answer, done] = exchange("GET_SERVICE dump").answers.try_into().expect("two answers");
    assert_both_ways(&answer, service());
    assert!(matches!(capture::parse(&done).payload, NetlinkPayload::Done(_)));
}

#[test]
fn all_destinations() {
    let [last, first, done] = exchange("GET_DEST dump").answers.try_into().expect("three answers");
    assert_both_ways(&last, destination(3, 0));
    assert_both_ways(&first, destination(2, 1));
    assert!(matches!(capture::parse(&done).payload, NetlinkPayload::Done(_)));
}

#[test]
fn an_empty_table_is_no_error() {
    let [done] = exchange("GET_SERVICE dump (empty table)").answers.try_into().expect("one answer");
    assert!(matches!(capture::parse(&done).payload, NetlinkPayload::Done(_)));
}

#[test]
fn acks_and_errors_are_written_back_unchanged() {
    for raw in capture::all() {
        assert_eq!(capture::emit(&capture::parse(&raw)), raw);
    }
}

#[test]
fn readers_see_what_the_bytes_say() {
    let message = service();
    let service = message.service().unwrap();
    assert_eq!(service.id().unwrap(), ServiceId::tcp("10.103.97.2:6443".parse().unwrap()));
    assert_eq!(service.scheduler(), Some("wrr"));
    assert_eq!(service.flags(), Some(ServiceFlags::HASHED));
    assert_eq!(service.stats(), Some(Stats::default()));
    assert_eq!(message.destination(), None);

    let message = destination(3, 0);
    let destination = message.destination().unwrap();
    assert_eq!(destination.address(AddressFamily::Inet6).unwrap(), "192.168.0.3:6443".parse().unwrap());
    assert_eq!(destination.forward_method(), Some(ForwardMethod::Masquerade));
    assert_eq!(destination.weight(), Some(0));
    assert_eq!(destination.active_connections(), Some(0));
    assert_eq!(message.service(), None);
}
