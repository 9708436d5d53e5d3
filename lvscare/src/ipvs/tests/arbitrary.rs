//! Any message at all, for the properties.

use core::fmt::Debug;

use netlink_packet_core::{DefaultNla, NLA_F_NESTED, NLA_F_NET_BYTEORDER, NLA_TYPE_MASK};
use proptest::{
    collection::vec,
    prelude::{Arbitrary, Just, Strategy, any, prop_oneof},
};

use crate::ipvs::*;

/// Higher than every number the kernel has given to an attribute.
const UNKNOWN: u16 = 100;

pub(super) fn message() -> impl Strategy<Value = Message> {
    any::<u8>().prop_map(Command::from).prop_flat_map(|command| {
        let attribute = match command {
            Command::SetInfo => info().prop_map(Attribute::Info).boxed(),
            _ => attribute().boxed(),
        };
        (Just(command), vec(attribute, 0..5))
            .prop_map(|(command, attributes)| Message { command, attributes })
    })
}

fn attribute() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        vec(service(), 0..8).prop_map(|attributes| Service { attributes }.into()),
        vec(destination(), 0..8).prop_map(|attributes| Destination { attributes }.into()),
        vec(daemon(), 0..8).prop_map(|attributes| Daemon { attributes }.into()),
        any::<u32>().prop_map(Attribute::TimeoutTcp),
        any::<u32>().prop_map(Attribute::TimeoutTcpFin),
        any::<u32>().prop_map(Attribute::TimeoutUdp),
        unknown().prop_map(Attribute::Other),
    ]
}

fn service() -> impl Strategy<Value = ServiceAttribute> {
    prop_oneof![
        family().prop_map(ServiceAttribute::AddressFamily),
        any::<u16>().prop_map(|number| ServiceAttribute::Protocol(number.into())),
        any::<[u8; 16]>().prop_map(|bytes| ServiceAttribute::Address(Address(bytes))),
        any::<u16>().prop_map(ServiceAttribute::Port),
        any::<u32>().prop_map(ServiceAttribute::FirewallMark),
        name().prop_map(ServiceAttribute::Scheduler),
        any::<(u32, u32)>().prop_map(|(flags, mask)| ServiceAttribute::Flags(MaskedFlags {
            flags: ServiceFlags::from_bits_retain(flags),
            mask: ServiceFlags::from_bits_retain(mask),
        })),
        any::<u32>().prop_map(ServiceAttribute::Timeout),
        any::<[u8; 4]>().prop_map(|bytes| ServiceAttribute::Netmask(Netmask(bytes))),
        stats().prop_map(ServiceAttribute::Stats),
        name().prop_map(ServiceAttribute::PersistenceEngine),
        stats().prop_map(ServiceAttribute::Stats64),
        unknown().prop_map(ServiceAttribute::Other),
    ]
}

fn destination() -> impl Strategy<Value = DestinationAttribute> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(|bytes| DestinationAttribute::Address(Address(bytes))),
        any::<u16>().prop_map(DestinationAttribute::Port),
        (0_u32..8).prop_map(|number| DestinationAttribute::ForwardMethod(number.into())),
        any::<u32>().prop_map(DestinationAttribute::Weight),
        any::<u32>().prop_map(DestinationAttribute::UpperThreshold),
        any::<u32>().prop_map(DestinationAttribute::LowerThreshold),
        any::<u32>().prop_map(DestinationAttribute::ActiveConnections),
        any::<u32>().prop_map(DestinationAttribute::InactiveConnections),
        any::<u32>().prop_map(DestinationAttribute::PersistentConnections),
        stats().prop_map(DestinationAttribute::Stats),
        family().prop_map(DestinationAttribute::AddressFamily),
        stats().prop_map(DestinationAttribute::Stats64),
        (0_u8..8).prop_map(|number| DestinationAttribute::TunnelType(number.into())),
        any::<u16>().prop_map(DestinationAttribute::TunnelPort),
        any::<u16>().prop_map(|bits| DestinationAttribute::TunnelFlags(TunnelFlags::from_bits_retain(bits))),
        unknown().prop_map(DestinationAttribute::Other),
    ]
}

fn daemon() -> impl Strategy<Value = DaemonAttribute> {
    prop_oneof![
        (0_u32..8).prop_map(|number| DaemonAttribute::State(number.into())),
        name().prop_map(DaemonAttribute::MulticastInterface),
        any::<u32>().prop_map(DaemonAttribute::SyncId),
        any::<u16>().prop_map(DaemonAttribute::SyncMaxLen),
        any::<[u8; 4]>().prop_map(|group| DaemonAttribute::MulticastGroup(group.into())),
        any::<[u8; 16]>().prop_map(|group| DaemonAttribute::MulticastGroup6(group.into())),
        any::<u16>().prop_map(DaemonAttribute::MulticastPort),
        any::<u8>().prop_map(DaemonAttribute::MulticastTtl),
        unknown().prop_map(DaemonAttribute::Other),
    ]
}

fn info() -> impl Strategy<Value = InfoAttribute> {
    prop_oneof![
        any::<(u8, u8, u8)>()
            .prop_map(|(major, minor, patch)| InfoAttribute::Version(Version(major, minor, patch))),
        any::<u32>().prop_map(InfoAttribute::ConnectionTableSize),
        unknown().prop_map(InfoAttribute::Other),
    ]
}

fn stats<C: Counter + Arbitrary + Debug + 'static>() -> impl Strategy<Value = Vec<StatsAttribute<C>>> {
    let attribute = prop_oneof![
        any::<C>().prop_map(StatsAttribute::Connections),
        any::<C>().prop_map(StatsAttribute::PacketsIn),
        any::<C>().prop_map(StatsAttribute::PacketsOut),
        any::<u64>().prop_map(StatsAttribute::BytesIn),
        any::<u64>().prop_map(StatsAttribute::BytesOut),
        any::<C>().prop_map(StatsAttribute::ConnectionRate),
        any::<C>().prop_map(StatsAttribute::PacketRateIn),
        any::<C>().prop_map(StatsAttribute::PacketRateOut),
        any::<C>().prop_map(StatsAttribute::ByteRateIn),
        any::<C>().prop_map(StatsAttribute::ByteRateOut),
        unknown().prop_map(StatsAttribute::Other),
    ];
    vec(attribute, 0..4)
}

fn family() -> impl Strategy<Value = AddressFamily> {
    (0_u16..16).prop_map(AddressFamily::from)
}

fn name() -> impl Strategy<Value = String> {
    "\\PC{0,15}"
}

fn unknown() -> impl Strategy<Value = DefaultNla> {
    let flags = prop_oneof![Just(0), Just(NLA_F_NESTED), Just(NLA_F_NET_BYTEORDER)];
    (UNKNOWN..=NLA_TYPE_MASK, flags, vec(any::<u8>(), 0..20))
        .prop_map(|(kind, flags, value)| DefaultNla::new(kind | flags, value))
}
