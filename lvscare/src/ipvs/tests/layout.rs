//! Each attribute on its own, above all those that the capture lacks. The bytes follow `linux/ip_vs.h`.

use core::{fmt::Debug, net::IpAddr};

use netlink_packet_core::{
    DefaultNla, Emitable, NLA_F_NESTED, Nla, NlaBuffer, Parseable, ParseableParametrized,
};

use super::{bytes_of, capture::hex};
use crate::ipvs::*;

#[track_caller]
fn assert_layout<A>(raw: &str, expected: &A)
where
    A: Nla + Debug + PartialEq + for<'a> Parseable<NlaBuffer<&'a [u8]>>,
{
    let raw = hex(raw);
    assert_eq!(A::parse(&NlaBuffer::new_checked(raw.as_slice()).unwrap()).unwrap(), *expected);
    assert_eq!(bytes_of(expected), raw);
}

#[track_caller]
fn assert_top_level(raw: &str, expected: &Attribute) {
    let raw = hex(raw);
    let buffer = NlaBuffer::new_checked(raw.as_slice()).unwrap();
    assert_eq!(Attribute::parse_with_param(&buffer, Command::SetConfig).unwrap(), *expected);
    assert_eq!(bytes_of(expected), raw);
}

#[test]
fn commands() {
    for number in 0..=u8::MAX {
        let command = Command::from(number);
        assert_eq!(u8::from(command), number);
        assert_eq!(matches!(command, Command::Other(_)), !(1..=17).contains(&number), "{command:?}");
    }
}

#[test]
fn top_level() {
    assert_top_level("08 00 04 00 84 03 00 00", &Attribute::TimeoutTcp(900));
    assert_top_level("08 00 05 00 78 00 00 00", &Attribute::TimeoutTcpFin(120));
    assert_top_level("08 00 06 00 2c 01 00 00", &Attribute::TimeoutUdp(300));
    assert_top_level(
        "20 00 03 00 \
         08 00 01 00 01 00 00 00 \
         09 00 02 00 65 74 68 30 00 00 00 00 \
         08 00 03 00 07 00 00 00",
        &Daemon::new(DaemonState::Master, "eth0", 7).into(),
    );
}

#[test]
fn service() {
    use ServiceAttribute as A;

    assert_layout("06 00 01 00 0a 00 00 00", &A::AddressFamily(AddressFamily::Inet6));
    assert_layout("06 00 02 00 11 00 00 00", &A::Protocol(Protocol::Udp));
    assert_layout("06 00 02 00 84 00 00 00", &A::Protocol(Protocol::Sctp));
    assert_layout(
        "14 00 03 00 fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02",
        &A::Address("fd00::2".parse::<IpAddr>().unwrap().into()),
    );
    assert_layout("08 00 05 00 2a 00 00 00", &A::FirewallMark(42));
    assert_layout(
        "0c 00 07 00 05 00 00 80 05 00 00 c0",
        &A::Flags(MaskedFlags {
            flags: ServiceFlags::PERSISTENT
                | ServiceFlags::ONE_PACKET
                | ServiceFlags::from_bits_retain(1 << 31),
            mask: ServiceFlags::from_bits_retain(0xc000_0005),
        }),
    );
    assert_layout("08 00 08 00 2c 01 00 00", &A::Timeout(300));
    assert_layout("08 00 09 00 ff ff ff 00", &A::Netmask(Netmask::ipv4([255, 255, 255, 0].into())));
    assert_layout("08 00 09 00 40 00 00 00", &A::Netmask(Netmask::ipv6(64)));
    assert_layout("08 00 0b 00 73 69 70 00", &A::PersistenceEngine("sip".to_owned()));
}

#[test]
fn destination() {
    use DestinationAttribute as A;

    assert_layout("08 00 03 00 01 00 00 00", &A::ForwardMethod(ForwardMethod::LocalNode));
    assert_layout("08 00 03 00 02 00 00 00", &A::ForwardMethod(ForwardMethod::Tunnel));
    assert_layout("08 00 03 00 03 00 00 00", &A::ForwardMethod(ForwardMethod::DirectRoute));
    assert_layout("08 00 03 00 04 00 00 00", &A::ForwardMethod(ForwardMethod::Bypass));
    assert_layout("08 00 05 00 64 00 00 00", &A::UpperThreshold(100));
    assert_layout("08 00 06 00 50 00 00 00", &A::LowerThreshold(80));
    assert_layout("08 00 07 00 01 00 00 00", &A::ActiveConnections(1));
    assert_layout("08 00 08 00 02 00 00 00", &A::InactiveConnections(2));
    assert_layout("08 00 09 00 03 00 00 00", &A::PersistentConnections(3));
    assert_layout("05 00 0d 00 01 00 00 00", &A::TunnelType(TunnelType::Gue));
    assert_layout("05 00 0d 00 02 00 00 00", &A::TunnelType(TunnelType::Gre));
    assert_layout("06 00 0e 00 17 c0 00 00", &A::TunnelPort(6080));
    assert_layout(
        "06 00 0f 00 03 00 00 00",
        &A::TunnelFlags(TunnelFlags::CHECKSUM | TunnelFlags::REMOTE_CHECKSUM),
    );
}

#[test]
fn stats_in_both_widths() {
    assert_layout("08 00 01 00 01 00 00 00", &StatsAttribute::<u32>::Connections(1));
    assert_layout("0c 00 01 00 01 00 00 00 01 00 00 00", &StatsAttribute::<u64>::Connections((1 << 32) + 1));
    for (kind, attribute) in [
        (2, StatsAttribute::PacketsIn(7)),
        (3, StatsAttribute::PacketsOut(7)),
        (6, StatsAttribute::ConnectionRate(7)),
        (7, StatsAttribute::PacketRateIn(7)),
        (8, StatsAttribute::PacketRateOut(7)),
        (9, StatsAttribute::ByteRateIn(7)),
        (10, StatsAttribute::ByteRateOut(7)),
    ] {
        assert_layout::<StatsAttribute<u32>>(&format!("08 00 {kind:02x} 00 07 00 00 00"), &attribute);
    }
    assert_layout("0c 00 04 00 00 00 00 00 01 00 00 00", &StatsAttribute::<u32>::BytesIn(1 << 32));
    assert_layout("0c 00 05 00 00 00 00 00 01 00 00 00", &StatsAttribute::<u32>::BytesOut(1 << 32));
    // IPVS_STATS_ATTR_PAD, which some architectures need.
    assert_layout("04 00 0b 00", &StatsAttribute::<u64>::Other(DefaultNla::new(11, vec![])));
}

#[test]
fn daemon() {
    use DaemonAttribute as A;

    assert_layout("08 00 01 00 00 00 00 00", &A::State(DaemonState::Stopped));
    assert_layout("08 00 01 00 02 00 00 00", &A::State(DaemonState::Backup));
    assert_layout("06 00 04 00 b8 05 00 00", &A::SyncMaxLen(1464));
    assert_layout("08 00 05 00 e0 00 00 51", &A::MulticastGroup([224, 0, 0, 81].into()));
    assert_layout(
        "14 00 06 00 ff 02 00 00 00 00 00 00 00 00 00 00 00 00 00 81",
        &A::MulticastGroup6("ff02::81".parse().unwrap()),
    );
    assert_layout("06 00 07 00 90 22 00 00", &A::MulticastPort(8848));
    assert_layout("05 00 08 00 01 00 00 00", &A::MulticastTtl(1));
}

#[test]
fn an_unknown_attribute_is_kept_at_every_level() {
    let unknown = || DefaultNla::new(NLA_F_NESTED | 0x63, vec![1, 2, 3, 4, 5]);
    let raw = "09 00 63 80 01 02 03 04 05 00 00 00";
    assert_top_level(raw, &Attribute::Other(unknown()));
    assert_layout(raw, &ServiceAttribute::Other(unknown()));
    assert_layout(raw, &DestinationAttribute::Other(unknown()));
    assert_layout(raw, &DaemonAttribute::Other(unknown()));
    assert_layout(raw, &InfoAttribute::Other(unknown()));
    assert_layout(raw, &StatsAttribute::<u32>::Other(unknown()));
    assert_layout(raw, &StatsAttribute::<u64>::Other(unknown()));
}

#[test]
fn an_ipv4_address_may_come_in_four_bytes_and_leaves_in_sixteen() {
    let raw = hex("08 00 03 00 0a 67 61 02");
    let attribute = ServiceAttribute::parse(&NlaBuffer::new(raw.as_slice())).unwrap();
    assert_eq!(attribute, ServiceAttribute::Address(IpAddr::from([10, 103, 97, 2]).into()));
    assert_eq!(attribute.buffer_len(), 20);
}

#[test]
fn a_nest_may_come_with_the_flag_and_leaves_without() {
    let raw = hex("0c 00 01 80 08 00 05 00 2a 00 00 00");
    let buffer = NlaBuffer::new(raw.as_slice());
    let attribute = Attribute::parse_with_param(&buffer, Command::NewService).unwrap();
    let service = Service { attributes: vec![ServiceAttribute::FirewallMark(42)] };
    assert_eq!(attribute, Attribute::Service(service));
    assert_eq!(bytes_of(&attribute), hex("0c 00 01 00 08 00 05 00 2a 00 00 00"));
}
