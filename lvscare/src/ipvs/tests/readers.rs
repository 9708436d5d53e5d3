//! What is joined from several attributes.

use core::net::{Ipv4Addr, SocketAddr};

use netlink_packet_core::DefaultNla;

use crate::ipvs::*;

fn addresses() -> [SocketAddr; 2] {
    ["10.103.97.2:6443", "[fd00::2]:6443"].map(|address| address.parse().unwrap())
}

#[test]
fn a_service_is_named_by_protocol_and_address() {
    for address in addresses() {
        for id in [
            ServiceId::tcp(address),
            ServiceId::udp(address),
            ServiceId::Address { protocol: Protocol::Sctp, address },
        ] {
            assert_eq!(Service::new(id, "rr").id().unwrap(), id);
            assert_eq!(Service::from(id).family(), Some(address.ip().into()));
        }
    }
}

#[test]
fn a_service_is_named_by_a_firewall_mark() {
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let id = ServiceId::FirewallMark { family, mark: 42 };
        let service = Service::new(id, "rr");
        assert_eq!(service.id().unwrap(), id);
        assert_eq!(service.netmask(), Some(Netmask::host(family)));
        assert!(
            !service.attributes.iter().any(|attribute| matches!(attribute, ServiceAttribute::Protocol(_)))
        );
    }
}

#[test]
fn an_incomplete_name_says_what_is_missing() {
    let complete = Service::from(ServiceId::tcp(addresses()[0]));
    let names = ["IPVS_SVC_ATTR_AF", "IPVS_SVC_ATTR_PROTOCOL", "IPVS_SVC_ATTR_ADDR", "IPVS_SVC_ATTR_PORT"];
    for (index, name) in names.into_iter().enumerate() {
        let mut service = complete.clone();
        service.attributes.remove(index);
        assert_eq!(service.id().unwrap_err().to_string(), format!("{name} is missing"));
    }

    let alien = complete.with(ServiceAttribute::AddressFamily(AddressFamily::Other(1)));
    assert_eq!(alien.id().unwrap_err().to_string(), "IPVS_SVC_ATTR_AF is neither AF_INET nor AF_INET6");
}

#[test]
fn an_incomplete_destination_says_what_is_missing() {
    let family = AddressFamily::Inet;
    let error = Destination::default().address(family).unwrap_err();
    assert_eq!(error.to_string(), "IPVS_DEST_ATTR_ADDR is missing");

    let mut destination = Destination::from(addresses()[0]);
    destination.attributes.pop();
    assert_eq!(destination.address(family).unwrap_err().to_string(), "IPVS_DEST_ATTR_PORT is missing");
}

#[test]
fn a_destination_without_a_family_has_its_service_s() {
    for address in addresses() {
        let mut destination = Destination::new(address, ForwardMethod::Masquerade, 1);
        destination.attributes.remove(0);
        assert_eq!(destination.family(), None);
        assert_eq!(destination.address(address.ip().into()).unwrap(), address);
    }
}

#[test]
fn setting_an_attribute_replaces_the_one_there_is() {
    let service = Service::new(ServiceId::tcp(addresses()[0]), "rr");
    let length = service.attributes.len();
    let service = service
        .with(ServiceAttribute::Scheduler("wrr".to_owned()))
        .with(ServiceAttribute::Flags(ServiceFlags::PERSISTENT.into()))
        .with(ServiceAttribute::Timeout(300))
        .with(ServiceAttribute::PersistenceEngine("sip".to_owned()));
    assert_eq!(service.attributes.len(), length + 1);
    assert_eq!(service.scheduler(), Some("wrr"));
    assert_eq!(service.flags(), Some(ServiceFlags::PERSISTENT));
    assert_eq!(service.timeout(), Some(300));
    assert_eq!(service.persistence_engine(), Some("sip"));

    let destination = Destination::new(addresses()[0], ForwardMethod::Masquerade, 1)
        .with(DestinationAttribute::UpperThreshold(100))
        .with(DestinationAttribute::LowerThreshold(80));
    assert_eq!(destination.upper_threshold(), Some(100));
    assert_eq!(destination.lower_threshold(), Some(80));

    let daemon = Daemon::new(DaemonState::Master, "eth0", 7).with(DaemonAttribute::SyncId(8));
    assert_eq!(daemon.state(), Some(DaemonState::Master));
    assert_eq!(daemon.multicast_interface(), Some("eth0"));
    assert_eq!(daemon.sync_id(), Some(8));
}

#[test]
fn of_several_attributes_of_a_kind_the_last_counts() {
    let attributes = vec![DestinationAttribute::Weight(1), DestinationAttribute::Weight(2)];
    assert_eq!(Destination { attributes }.weight(), Some(2));
}

#[test]
fn stats_are_read_in_every_field() {
    let attributes: [StatsAttribute<u32>; 11] = [
        StatsAttribute::Connections(1),
        StatsAttribute::PacketsIn(2),
        StatsAttribute::PacketsOut(3),
        StatsAttribute::BytesIn(4),
        StatsAttribute::BytesOut(5),
        StatsAttribute::ConnectionRate(6),
        StatsAttribute::PacketRateIn(7),
        StatsAttribute::PacketRateOut(8),
        StatsAttribute::ByteRateIn(9),
        StatsAttribute::ByteRateOut(10),
        StatsAttribute::Other(DefaultNla::new(99, vec![])),
    ];
    let expected = Stats {
        connections: 1,
        packets_in: 2,
        packets_out: 3,
        bytes_in: 4,
        bytes_out: 5,
        connection_rate: 6,
        packet_rate_in: 7,
        packet_rate_out: 8,
        byte_rate_in: 9,
        byte_rate_out: 10,
    };
    assert_eq!(Stats::from(attributes.as_slice()), expected);
}

#[test]
fn stats_prefer_64_bits_and_fall_back_to_32() {
    let narrow = vec![StatsAttribute::Connections(1_u32)];
    let wide = vec![StatsAttribute::Connections(1_u64 << 32)];
    let connections = |stats: Option<Stats>| stats.map(|stats| stats.connections);

    let service = Service::default();
    assert_eq!(service.stats(), None);
    let service = service.with(ServiceAttribute::Stats(narrow.clone()));
    assert_eq!(connections(service.stats()), Some(1));
    let service = service.with(ServiceAttribute::Stats64(wide.clone()));
    assert_eq!(connections(service.stats()), Some(1 << 32));

    let destination = Destination::default().with(DestinationAttribute::Stats(narrow));
    assert_eq!(connections(destination.stats()), Some(1));
    let destination = destination.with(DestinationAttribute::Stats64(wide));
    assert_eq!(connections(destination.stats()), Some(1 << 32));
}

#[test]
fn netmasks() {
    assert_eq!(Netmask::host(AddressFamily::Inet).to_ipv4(), Ipv4Addr::BROADCAST);
    assert_eq!(Netmask::host(AddressFamily::Inet6).to_ipv6(), 128);
}

#[test]
fn version() {
    assert_eq!(Version::from(0x01_02_01), Version(1, 2, 1));
    assert_eq!(u32::from(Version(1, 2, 1)), 0x01_02_01);
    assert_eq!(Version(1, 2, 1).to_string(), "1.2.1");
}
