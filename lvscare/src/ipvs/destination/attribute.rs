//! The attributes of a real server.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, ErrorContext, Nla, NlaBuffer, Parseable, parse_u8, parse_u16,
    parse_u16_be, parse_u32,
};

use super::{
    super::{Address, StatsAttribute, wire::parse_nest},
    AddressFamily, ForwardMethod, TunnelFlags, TunnelType,
};

const IPVS_DEST_ATTR_ADDR: u16 = 1;
const IPVS_DEST_ATTR_PORT: u16 = 2;
const IPVS_DEST_ATTR_FWD_METHOD: u16 = 3;
const IPVS_DEST_ATTR_WEIGHT: u16 = 4;
const IPVS_DEST_ATTR_U_THRESH: u16 = 5;
const IPVS_DEST_ATTR_L_THRESH: u16 = 6;
const IPVS_DEST_ATTR_ACTIVE_CONNS: u16 = 7;
const IPVS_DEST_ATTR_INACT_CONNS: u16 = 8;
const IPVS_DEST_ATTR_PERSIST_CONNS: u16 = 9;
const IPVS_DEST_ATTR_STATS: u16 = 10;
const IPVS_DEST_ATTR_ADDR_FAMILY: u16 = 11;
const IPVS_DEST_ATTR_STATS64: u16 = 12;
const IPVS_DEST_ATTR_TUN_TYPE: u16 = 13;
const IPVS_DEST_ATTR_TUN_PORT: u16 = 14;
const IPVS_DEST_ATTR_TUN_FLAGS: u16 = 15;

/// An attribute of a [`Destination`](super::Destination) (`IPVS_DEST_ATTR_*`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DestinationAttribute {
    /// Address (`IPVS_DEST_ATTR_ADDR`).
    Address(Address),
    /// Port, big-endian on the wire (`IPVS_DEST_ATTR_PORT`).
    Port(u16),
    /// How packets reach it (`IPVS_DEST_ATTR_FWD_METHOD`).
    ForwardMethod(ForwardMethod),
    /// Share of new connections, at most `i32::MAX` (`IPVS_DEST_ATTR_WEIGHT`).
    Weight(u32),
    /// Number of connections from which it gets no new ones, or zero (`IPVS_DEST_ATTR_U_THRESH`).
    UpperThreshold(u32),
    /// Number of connections below which it gets new ones again (`IPVS_DEST_ATTR_L_THRESH`).
    LowerThreshold(u32),
    /// Number of established connections, only in answers (`IPVS_DEST_ATTR_ACTIVE_CONNS`).
    ActiveConnections(u32),
    /// Number of other connections, only in answers (`IPVS_DEST_ATTR_INACT_CONNS`).
    InactiveConnections(u32),
    /// Number of remembered clients, only in answers (`IPVS_DEST_ATTR_PERSIST_CONNS`).
    PersistentConnections(u32),
    /// Statistics in 32 bits, only in answers (`IPVS_DEST_ATTR_STATS`).
    Stats(Vec<StatsAttribute<u32>>),
    /// Family of the address, since Linux 3.18 (`IPVS_DEST_ATTR_ADDR_FAMILY`).
    AddressFamily(AddressFamily),
    /// Statistics in 64 bits, only in answers, since Linux 4.1 (`IPVS_DEST_ATTR_STATS64`).
    Stats64(Vec<StatsAttribute<u64>>),
    /// What packets are wrapped in, since Linux 5.3 (`IPVS_DEST_ATTR_TUN_TYPE`).
    TunnelType(TunnelType),
    /// UDP port of the wrapping, big-endian on the wire, since Linux 5.3 (`IPVS_DEST_ATTR_TUN_PORT`).
    TunnelPort(u16),
    /// Checksums of the wrapping, since Linux 5.3 (`IPVS_DEST_ATTR_TUN_FLAGS`).
    TunnelFlags(TunnelFlags),
    /// An attribute this module does not know.
    Other(DefaultNla),
}

impl Nla for DestinationAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Address(address) => address.0.len(),
            Self::TunnelType(_) => size_of::<u8>(),
            Self::Port(_) | Self::AddressFamily(_) | Self::TunnelPort(_) | Self::TunnelFlags(_) => {
                size_of::<u16>()
            }
            Self::ForwardMethod(_)
            | Self::Weight(_)
            | Self::UpperThreshold(_)
            | Self::LowerThreshold(_)
            | Self::ActiveConnections(_)
            | Self::InactiveConnections(_)
            | Self::PersistentConnections(_) => size_of::<u32>(),
            Self::Stats(stats) => stats.as_slice().buffer_len(),
            Self::Stats64(stats) => stats.as_slice().buffer_len(),
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Address(_) => IPVS_DEST_ATTR_ADDR,
            Self::Port(_) => IPVS_DEST_ATTR_PORT,
            Self::ForwardMethod(_) => IPVS_DEST_ATTR_FWD_METHOD,
            Self::Weight(_) => IPVS_DEST_ATTR_WEIGHT,
            Self::UpperThreshold(_) => IPVS_DEST_ATTR_U_THRESH,
            Self::LowerThreshold(_) => IPVS_DEST_ATTR_L_THRESH,
            Self::ActiveConnections(_) => IPVS_DEST_ATTR_ACTIVE_CONNS,
            Self::InactiveConnections(_) => IPVS_DEST_ATTR_INACT_CONNS,
            Self::PersistentConnections(_) => IPVS_DEST_ATTR_PERSIST_CONNS,
            Self::Stats(_) => IPVS_DEST_ATTR_STATS,
            Self::AddressFamily(_) => IPVS_DEST_ATTR_ADDR_FAMILY,
            Self::Stats64(_) => IPVS_DEST_ATTR_STATS64,
            Self::TunnelType(_) => IPVS_DEST_ATTR_TUN_TYPE,
            Self::TunnelPort(_) => IPVS_DEST_ATTR_TUN_PORT,
            Self::TunnelFlags(_) => IPVS_DEST_ATTR_TUN_FLAGS,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Address(address) => buffer.copy_from_slice(&address.0),
            Self::Port(port) | Self::TunnelPort(port) => buffer.copy_from_slice(&port.to_be_bytes()),
            Self::ForwardMethod(method) => buffer.copy_from_slice(&u32::from(*method).to_ne_bytes()),
            Self::Weight(number)
            | Self::UpperThreshold(number)
            | Self::LowerThreshold(number)
            | Self::ActiveConnections(number)
            | Self::InactiveConnections(number)
            | Self::PersistentConnections(number) => buffer.copy_from_slice(&number.to_ne_bytes()),
            Self::Stats(stats) => stats.as_slice().emit(buffer),
            Self::AddressFamily(family) => buffer.copy_from_slice(&u16::from(*family).to_ne_bytes()),
            Self::Stats64(stats) => stats.as_slice().emit(buffer),
            Self::TunnelType(tunnel) => buffer.copy_from_slice(&u8::from(*tunnel).to_ne_bytes()),
            Self::TunnelFlags(flags) => buffer.copy_from_slice(&flags.bits().to_ne_bytes()),
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Parseable<NlaBuffer<&'a T>> for DestinationAttribute {
    fn parse(attribute: &NlaBuffer<&'a T>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            IPVS_DEST_ATTR_ADDR => {
                Self::Address(Address::parse(value).context("invalid IPVS_DEST_ATTR_ADDR value")?)
            }
            IPVS_DEST_ATTR_PORT => {
                Self::Port(parse_u16_be(value).context("invalid IPVS_DEST_ATTR_PORT value")?)
            }
            IPVS_DEST_ATTR_FWD_METHOD => Self::ForwardMethod(
                parse_u32(value).context("invalid IPVS_DEST_ATTR_FWD_METHOD value")?.into(),
            ),
            IPVS_DEST_ATTR_WEIGHT => {
                Self::Weight(parse_u32(value).context("invalid IPVS_DEST_ATTR_WEIGHT value")?)
            }
            IPVS_DEST_ATTR_U_THRESH => {
                Self::UpperThreshold(parse_u32(value).context("invalid IPVS_DEST_ATTR_U_THRESH value")?)
            }
            IPVS_DEST_ATTR_L_THRESH => {
                Self::LowerThreshold(parse_u32(value).context("invalid IPVS_DEST_ATTR_L_THRESH value")?)
            }
            IPVS_DEST_ATTR_ACTIVE_CONNS => Self::ActiveConnections(
                parse_u32(value).context("invalid IPVS_DEST_ATTR_ACTIVE_CONNS value")?,
            ),
            IPVS_DEST_ATTR_INACT_CONNS => Self::InactiveConnections(
                parse_u32(value).context("invalid IPVS_DEST_ATTR_INACT_CONNS value")?,
            ),
            IPVS_DEST_ATTR_PERSIST_CONNS => Self::PersistentConnections(
                parse_u32(value).context("invalid IPVS_DEST_ATTR_PERSIST_CONNS value")?,
            ),
            IPVS_DEST_ATTR_STATS => {
                Self::Stats(parse_nest(value).context("invalid IPVS_DEST_ATTR_STATS value")?)
            }
            IPVS_DEST_ATTR_ADDR_FAMILY => Self::AddressFamily(
                parse_u16(value).context("invalid IPVS_DEST_ATTR_ADDR_FAMILY value")?.into(),
            ),
            IPVS_DEST_ATTR_STATS64 => {
                Self::Stats64(parse_nest(value).context("invalid IPVS_DEST_ATTR_STATS64 value")?)
            }
            IPVS_DEST_ATTR_TUN_TYPE => {
                Self::TunnelType(parse_u8(value).context("invalid IPVS_DEST_ATTR_TUN_TYPE value")?.into())
            }
            IPVS_DEST_ATTR_TUN_PORT => {
                Self::TunnelPort(parse_u16_be(value).context("invalid IPVS_DEST_ATTR_TUN_PORT value")?)
            }
            IPVS_DEST_ATTR_TUN_FLAGS => Self::TunnelFlags(TunnelFlags::from_bits_retain(
                parse_u16(value).context("invalid IPVS_DEST_ATTR_TUN_FLAGS value")?,
            )),
            _ => Self::Other(DefaultNla::parse(attribute)?),
        })
    }
}
