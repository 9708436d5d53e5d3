//! The attributes of a virtual server.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, ErrorContext, Nla, NlaBuffer, Parseable, parse_string, parse_u16,
    parse_u16_be, parse_u32,
};

use super::{
    super::{
        Address, StatsAttribute,
        wire::{emit_string, parse_nest, string_len},
    },
    AddressFamily, MaskedFlags, Netmask, Protocol,
};

const IPVS_SVC_ATTR_AF: u16 = 1;
const IPVS_SVC_ATTR_PROTOCOL: u16 = 2;
const IPVS_SVC_ATTR_ADDR: u16 = 3;
const IPVS_SVC_ATTR_PORT: u16 = 4;
const IPVS_SVC_ATTR_FWMARK: u16 = 5;
const IPVS_SVC_ATTR_SCHED_NAME: u16 = 6;
const IPVS_SVC_ATTR_FLAGS: u16 = 7;
const IPVS_SVC_ATTR_TIMEOUT: u16 = 8;
const IPVS_SVC_ATTR_NETMASK: u16 = 9;
const IPVS_SVC_ATTR_STATS: u16 = 10;
const IPVS_SVC_ATTR_PE_NAME: u16 = 11;
const IPVS_SVC_ATTR_STATS64: u16 = 12;

/// An attribute of a [`Service`](super::Service) (`IPVS_SVC_ATTR_*`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceAttribute {
    /// Family of address and netmask (`IPVS_SVC_ATTR_AF`).
    AddressFamily(AddressFamily),
    /// Transport protocol (`IPVS_SVC_ATTR_PROTOCOL`).
    Protocol(Protocol),
    /// Virtual address (`IPVS_SVC_ATTR_ADDR`).
    Address(Address),
    /// Virtual port, big-endian on the wire (`IPVS_SVC_ATTR_PORT`).
    Port(u16),
    /// Firewall mark, instead of protocol, address and port (`IPVS_SVC_ATTR_FWMARK`).
    FirewallMark(u32),
    /// Name of the scheduler, at most 15 bytes (`IPVS_SVC_ATTR_SCHED_NAME`).
    Scheduler(String),
    /// Flags (`IPVS_SVC_ATTR_FLAGS`).
    Flags(MaskedFlags),
    /// Seconds a persistent client is remembered (`IPVS_SVC_ATTR_TIMEOUT`).
    Timeout(u32),
    /// Which persistent clients are remembered together (`IPVS_SVC_ATTR_NETMASK`).
    Netmask(Netmask),
    /// Statistics in 32 bits, only in answers (`IPVS_SVC_ATTR_STATS`).
    Stats(Vec<StatsAttribute<u32>>),
    /// Name of the persistence engine, such as `sip`, at most 15 bytes (`IPVS_SVC_ATTR_PE_NAME`).
    PersistenceEngine(String),
    /// Statistics in 64 bits, only in answers, since Linux 4.1 (`IPVS_SVC_ATTR_STATS64`).
    Stats64(Vec<StatsAttribute<u64>>),
    /// An attribute this module does not know.
    Other(DefaultNla),
}

impl Nla for ServiceAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::AddressFamily(_) | Self::Protocol(_) | Self::Port(_) => size_of::<u16>(),
            Self::FirewallMark(_) | Self::Timeout(_) => size_of::<u32>(),
            Self::Address(address) => address.0.len(),
            Self::Scheduler(name) | Self::PersistenceEngine(name) => string_len(name),
            Self::Flags(_) => MaskedFlags::LEN,
            Self::Netmask(mask) => mask.0.len(),
            Self::Stats(stats) => stats.as_slice().buffer_len(),
            Self::Stats64(stats) => stats.as_slice().buffer_len(),
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::AddressFamily(_) => IPVS_SVC_ATTR_AF,
            Self::Protocol(_) => IPVS_SVC_ATTR_PROTOCOL,
            Self::Address(_) => IPVS_SVC_ATTR_ADDR,
            Self::Port(_) => IPVS_SVC_ATTR_PORT,
            Self::FirewallMark(_) => IPVS_SVC_ATTR_FWMARK,
            Self::Scheduler(_) => IPVS_SVC_ATTR_SCHED_NAME,
            Self::Flags(_) => IPVS_SVC_ATTR_FLAGS,
            Self::Timeout(_) => IPVS_SVC_ATTR_TIMEOUT,
            Self::Netmask(_) => IPVS_SVC_ATTR_NETMASK,
            Self::Stats(_) => IPVS_SVC_ATTR_STATS,
            Self::PersistenceEngine(_) => IPVS_SVC_ATTR_PE_NAME,
            Self::Stats64(_) => IPVS_SVC_ATTR_STATS64,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::AddressFamily(family) => buffer.copy_from_slice(&u16::from(*family).to_ne_bytes()),
            Self::Protocol(protocol) => buffer.copy_from_slice(&u16::from(*protocol).to_ne_bytes()),
            Self::Address(address) => buffer.copy_from_slice(&address.0),
            Self::Port(port) => buffer.copy_from_slice(&port.to_be_bytes()),
            Self::FirewallMark(number) | Self::Timeout(number) => {
                buffer.copy_from_slice(&number.to_ne_bytes());
            }
            Self::Scheduler(name) | Self::PersistenceEngine(name) => emit_string(name, buffer),
            Self::Flags(flags) => flags.emit(buffer),
            Self::Netmask(mask) => buffer.copy_from_slice(&mask.0),
            Self::Stats(stats) => stats.as_slice().emit(buffer),
            Self::Stats64(stats) => stats.as_slice().emit(buffer),
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Parseable<NlaBuffer<&'a T>> for ServiceAttribute {
    fn parse(attribute: &NlaBuffer<&'a T>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            IPVS_SVC_ATTR_AF => {
                Self::AddressFamily(parse_u16(value).context("invalid IPVS_SVC_ATTR_AF value")?.into())
            }
            IPVS_SVC_ATTR_PROTOCOL => {
                Self::Protocol(parse_u16(value).context("invalid IPVS_SVC_ATTR_PROTOCOL value")?.into())
            }
            IPVS_SVC_ATTR_ADDR => {
                Self::Address(Address::parse(value).context("invalid IPVS_SVC_ATTR_ADDR value")?)
            }
            IPVS_SVC_ATTR_PORT => {
                Self::Port(parse_u16_be(value).context("invalid IPVS_SVC_ATTR_PORT value")?)
            }
            IPVS_SVC_ATTR_FWMARK => {
                Self::FirewallMark(parse_u32(value).context("invalid IPVS_SVC_ATTR_FWMARK value")?)
            }
            IPVS_SVC_ATTR_SCHED_NAME => {
                Self::Scheduler(parse_string(value).context("invalid IPVS_SVC_ATTR_SCHED_NAME value")?)
            }
            IPVS_SVC_ATTR_FLAGS => {
                Self::Flags(MaskedFlags::parse(value).context("invalid IPVS_SVC_ATTR_FLAGS value")?)
            }
            IPVS_SVC_ATTR_TIMEOUT => {
                Self::Timeout(parse_u32(value).context("invalid IPVS_SVC_ATTR_TIMEOUT value")?)
            }
            IPVS_SVC_ATTR_NETMASK => {
                Self::Netmask(Netmask::parse(value).context("invalid IPVS_SVC_ATTR_NETMASK value")?)
            }
            IPVS_SVC_ATTR_STATS => {
                Self::Stats(parse_nest(value).context("invalid IPVS_SVC_ATTR_STATS value")?)
            }
            IPVS_SVC_ATTR_PE_NAME => {
                Self::PersistenceEngine(parse_string(value).context("invalid IPVS_SVC_ATTR_PE_NAME value")?)
            }
            IPVS_SVC_ATTR_STATS64 => {
                Self::Stats64(parse_nest(value).context("invalid IPVS_SVC_ATTR_STATS64 value")?)
            }
            _ => Self::Other(DefaultNla::parse(attribute)?),
        })
    }
}
