//! What the kernel accepted as requests.

use core::net::SocketAddr;

use super::capture::{assert_both_ways, exchange};
use crate::ipvs::{
    Address, AddressFamily, Attribute, Command, Destination, DestinationAttribute, ForwardMethod,
    MaskedFlags, Message, Netmask, Protocol, Service, ServiceAttribute, ServiceFlags, ServiceId,
};

fn vip() -> SocketAddr {
    "10.103.97.2:6443".parse().unwrap()
}

fn named() -> Service {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[10, 103, 97, 2]);
    Service {
        attributes: vec![
            ServiceAttribute::AddressFamily(AddressFamily::Inet),
            ServiceAttribute::Protocol(Protocol::Tcp),
            ServiceAttribute::Address(Address(address)),
            ServiceAttribute::Port(6443),
        ],
    }
}

fn complete(scheduler: &str) -> Service {
    let mut service = named();
    service.attributes.extend([
        ServiceAttribute::Scheduler(scheduler.to_owned()),
        ServiceAttribute::Flags(MaskedFlags {
            flags: ServiceFlags::empty(),
            mask: ServiceFlags::from_bits_retain(0xffff_ffff),
        }),
        ServiceAttribute::Timeout(0),
        ServiceAttribute::Netmask(Netmask([255, 255, 255, 255])),
    ]);
    service
}

fn destination(host: u8, weight: u32) -> Destination {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[192, 168, 0, host]);
    Destination {
        attributes: vec![
            DestinationAttribute::AddressFamily(AddressFamily::Inet),
            DestinationAttribute::Address(Address(address)),
            DestinationAttribute::Port(6443),
            DestinationAttribute::ForwardMethod(ForwardMethod::Masquerade),
            DestinationAttribute::Weight(weight),
            DestinationAttribute::UpperThreshold(0),
            DestinationAttribute::LowerThreshold(0),
        ],
    }
}

#[track_caller]
fn assert_request(heading: &str, command: Command, attributes: impl IntoIterator<Item = Attribute>) {
    assert_both_ways(&exchange(heading).request, Message::new(command, attributes));
}

#[test]
fn without_attributes() {
    assert_request("GET_INFO", Command::GetInfo, []);
    assert_request("GET_SERVICE dump", Command::GetService, []);
    assert_request("GET_SERVICE dump (empty table)", Command::GetService, []);
}

#[test]
fn of_a_named_service() {
    assert_request("GET_SERVICE one", Command::GetService, [named().into()]);
    assert_request("GET_SERVICE one (absent)", Command::GetService, [named().into()]);
    assert_request("GET_DEST dump", Command::GetDestination, [named().into()]);
    assert_request("DEL_SERVICE", Command::DelService, [named().into()]);
    assert_request("DEL_SERVICE again", Command::DelService, [named().into()]);
}

#[test]
fn of_a_complete_service() {
    let heading = "NEW_SERVICE, CMD_ATTR_SERVICE without NLA_F_NESTED";
    assert_request(heading, Command::NewService, [complete("wrr").into()]);
    assert_request("NEW_SERVICE unknown scheduler", Command::NewService, [complete("nope").into()]);
}

#[test]
fn of_a_destination() {
    for (heading, command, host, weight) in [
        ("NEW_DEST .2", Command::NewDestination, 2, 1),
        ("NEW_DEST .3", Command::NewDestination, 3, 1),
        ("NEW_DEST .3 again", Command::NewDestination, 3, 1),
        ("SET_DEST .3 weight 0", Command::SetDestination, 3, 0),
        ("SET_DEST .9 (absent)", Command::SetDestination, 9, 0),
        ("DEL_DEST .3", Command::DelDestination, 3, 0),
    ] {
        assert_request(heading, command, [named().into(), destination(host, weight).into()]);
    }
}

#[test]
fn constructors_build_what_the_kernel_accepted() {
    let id = ServiceId::tcp(vip());
    assert_eq!(Service::from(id), named());
    assert_eq!(Service::new(id, "wrr"), complete("wrr"));

    let address = "192.168.0.2:6443".parse().unwrap();
    assert_eq!(Destination::new(address, ForwardMethod::Masquerade, 1), destination(2, 1));
    assert_eq!(Destination::from(address).attributes, destination(2, 1).attributes[..3]);
}
