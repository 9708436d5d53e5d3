//! The few messages of route netlink that lvscare exchanges.
//!
//! [`RouteNetlinkMessage`](netlink_packet_route::RouteNetlinkMessage) could do the same, but it draws the
//! parsers of every link type, qdisc and filter into the binary, more than all of lvscare's own code.

use netlink_packet_core::{
    DecodeError, Emitable, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, Parseable,
};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;

// linux/rtnetlink.h
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;

/// A request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    NewAddress(AddressMessage),
    GetAddress(AddressMessage),
    NewRoute(RouteMessage),
    DelRoute(RouteMessage),
    GetRoute(RouteMessage),
    NewNeighbour(NeighbourMessage),
    GetNeighbour(NeighbourMessage),
    /// A message of this other type.
    Other(u16),
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        match self {
            Self::NewAddress(_) => RTM_NEWADDR,
            Self::GetAddress(_) => RTM_GETADDR,
            Self::NewRoute(_) => RTM_NEWROUTE,
            Self::DelRoute(_) => RTM_DELROUTE,
            Self::GetRoute(_) => RTM_GETROUTE,
            Self::NewNeighbour(_) => RTM_NEWNEIGH,
            Self::GetNeighbour(_) => RTM_GETNEIGH,
            Self::Other(kind) => *kind,
        }
    }

    fn buffer_len(&self) -> usize {
        match self {
            Self::NewAddress(message) | Self::GetAddress(message) => message.buffer_len(),
            Self::NewRoute(message) | Self::DelRoute(message) | Self::GetRoute(message) => {
                message.buffer_len()
            }
            Self::NewNeighbour(message) | Self::GetNeighbour(message) => message.buffer_len(),
            Self::Other(_) => 0,
        }
    }

    fn serialize(&self, buffer: &mut [u8]) {
        match self {
            Self::NewAddress(message) | Self::GetAddress(message) => message.emit(buffer),
            Self::NewRoute(message) | Self::DelRoute(message) | Self::GetRoute(message) => {
                message.emit(buffer);
            }
            Self::NewNeighbour(message) | Self::GetNeighbour(message) => message.emit(buffer),
            Self::Other(_) => {}
        }
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(match header.message_type {
            RTM_NEWADDR => Self::NewAddress(AddressMessage::parse(payload)?),
            RTM_NEWROUTE => Self::NewRoute(RouteMessage::parse(payload)?),
            RTM_NEWNEIGH => Self::NewNeighbour(NeighbourMessage::parse(payload)?),
            other => Self::Other(other),
        })
    }
}
