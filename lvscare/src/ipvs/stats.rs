//! Statistics of a service or a destination.

use netlink_packet_core::{
    DecodeError, DefaultNla, ErrorContext, Nla, NlaBuffer, Parseable, parse_u32, parse_u64,
};

const IPVS_STATS_ATTR_CONNS: u16 = 1;
const IPVS_STATS_ATTR_INPKTS: u16 = 2;
const IPVS_STATS_ATTR_OUTPKTS: u16 = 3;
const IPVS_STATS_ATTR_INBYTES: u16 = 4;
const IPVS_STATS_ATTR_OUTBYTES: u16 = 5;
const IPVS_STATS_ATTR_CPS: u16 = 6;
const IPVS_STATS_ATTR_INPPS: u16 = 7;
const IPVS_STATS_ATTR_OUTPPS: u16 = 8;
const IPVS_STATS_ATTR_INBPS: u16 = 9;
const IPVS_STATS_ATTR_OUTBPS: u16 = 10;

/// An attribute of a nest of statistics (`IPVS_STATS_ATTR_*`), with counters of type `C`.
///
/// `C` is `u32` in the nests that every kernel sends, where all but the bytes wrap around, and `u64` in those
/// of Linux 4.1 and later. [`Stats`] reads either. "In" is from the client to the real server.
/// `IPVS_STATS_ATTR_PAD`, which says nothing, is kept like an unknown attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatsAttribute<C> {
    /// Connections scheduled (`IPVS_STATS_ATTR_CONNS`).
    Connections(C),
    /// Packets in (`IPVS_STATS_ATTR_INPKTS`).
    PacketsIn(C),
    /// Packets out (`IPVS_STATS_ATTR_OUTPKTS`).
    PacketsOut(C),
    /// Bytes in (`IPVS_STATS_ATTR_INBYTES`).
    BytesIn(u64),
    /// Bytes out (`IPVS_STATS_ATTR_OUTBYTES`).
    BytesOut(u64),
    /// Connections per second, now (`IPVS_STATS_ATTR_CPS`).
    ConnectionRate(C),
    /// Packets in per second, now (`IPVS_STATS_ATTR_INPPS`).
    PacketRateIn(C),
    /// Packets out per second, now (`IPVS_STATS_ATTR_OUTPPS`).
    PacketRateOut(C),
    /// Bytes in per second, now (`IPVS_STATS_ATTR_INBPS`).
    ByteRateIn(C),
    /// Bytes out per second, now (`IPVS_STATS_ATTR_OUTBPS`).
    ByteRateOut(C),
    /// An attribute this module does not know.
    Other(DefaultNla),
}

/// The width of the counters in a nest of statistics: `u32` or `u64`.
pub trait Counter: sealed::Wire + Copy + Into<u64> {}

impl Counter for u32 {}
impl Counter for u64 {}

/// Statistics of a service or a destination since it was added or reset, whatever the width they came in.
///
/// "In" is from the client to the real server. Rates are the kernel's own estimate. What was not sent is
/// zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets in.
    pub packets_in: u64,
    /// Packets out; none where the real server answers the client directly.
    pub packets_out: u64,
    /// Bytes in.
    pub bytes_in: u64,
    /// Bytes out; none where the real server answers the client directly.
    pub bytes_out: u64,
    /// Connections per second.
    pub connection_rate: u64,
    /// Packets in per second.
    pub packet_rate_in: u64,
    /// Packets out per second.
    pub packet_rate_out: u64,
    /// Bytes in per second.
    pub byte_rate_in: u64,
    /// Bytes out per second.
    pub byte_rate_out: u64,
}

impl<C: Counter> From<&[StatsAttribute<C>]> for Stats {
    fn from(attributes: &[StatsAttribute<C>]) -> Self {
        let mut stats = Self::default();
        for attribute in attributes {
            match *attribute {
                StatsAttribute::Connections(count) => stats.connections = count.into(),
                StatsAttribute::PacketsIn(count) => stats.packets_in = count.into(),
                StatsAttribute::PacketsOut(count) => stats.packets_out = count.into(),
                StatsAttribute::BytesIn(count) => stats.bytes_in = count,
                StatsAttribute::BytesOut(count) => stats.bytes_out = count,
                StatsAttribute::ConnectionRate(rate) => stats.connection_rate = rate.into(),
                StatsAttribute::PacketRateIn(rate) => stats.packet_rate_in = rate.into(),
                StatsAttribute::PacketRateOut(rate) => stats.packet_rate_out = rate.into(),
                StatsAttribute::ByteRateIn(rate) => stats.byte_rate_in = rate.into(),
                StatsAttribute::ByteRateOut(rate) => stats.byte_rate_out = rate.into(),
                StatsAttribute::Other(_) => {}
            }
        }
        stats
    }
}

impl<C: Counter> Nla for StatsAttribute<C> {
    fn value_len(&self) -> usize {
        match self {
            Self::Connections(_)
            | Self::PacketsIn(_)
            | Self::PacketsOut(_)
            | Self::ConnectionRate(_)
            | Self::PacketRateIn(_)
            | Self::PacketRateOut(_)
            | Self::ByteRateIn(_)
            | Self::ByteRateOut(_) => size_of::<C>(),
            Self::BytesIn(_) | Self::BytesOut(_) => size_of::<u64>(),
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Connections(_) => IPVS_STATS_ATTR_CONNS,
            Self::PacketsIn(_) => IPVS_STATS_ATTR_INPKTS,
            Self::PacketsOut(_) => IPVS_STATS_ATTR_OUTPKTS,
            Self::BytesIn(_) => IPVS_STATS_ATTR_INBYTES,
            Self::BytesOut(_) => IPVS_STATS_ATTR_OUTBYTES,
            Self::ConnectionRate(_) => IPVS_STATS_ATTR_CPS,
            Self::PacketRateIn(_) => IPVS_STATS_ATTR_INPPS,
            Self::PacketRateOut(_) => IPVS_STATS_ATTR_OUTPPS,
            Self::ByteRateIn(_) => IPVS_STATS_ATTR_INBPS,
            Self::ByteRateOut(_) => IPVS_STATS_ATTR_OUTBPS,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Connections(count)
            | Self::PacketsIn(count)
            | Self::PacketsOut(count)
            | Self::ConnectionRate(count)
            | Self::PacketRateIn(count)
            | Self::PacketRateOut(count)
            | Self::ByteRateIn(count)
            | Self::ByteRateOut(count) => count.emit(buffer),
            Self::BytesIn(count) | Self::BytesOut(count) => buffer.copy_from_slice(&count.to_ne_bytes()),
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized, C: Counter> Parseable<NlaBuffer<&'a T>> for StatsAttribute<C> {
    fn parse(attribute: &NlaBuffer<&'a T>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            IPVS_STATS_ATTR_CONNS => {
                Self::Connections(C::parse(value).context("invalid IPVS_STATS_ATTR_CONNS value")?)
            }
            IPVS_STATS_ATTR_INPKTS => {
                Self::PacketsIn(C::parse(value).context("invalid IPVS_STATS_ATTR_INPKTS value")?)
            }
            IPVS_STATS_ATTR_OUTPKTS => {
                Self::PacketsOut(C::parse(value).context("invalid IPVS_STATS_ATTR_OUTPKTS value")?)
            }
            IPVS_STATS_ATTR_INBYTES => {
                Self::BytesIn(parse_u64(value).context("invalid IPVS_STATS_ATTR_INBYTES value")?)
            }
            IPVS_STATS_ATTR_OUTBYTES => {
                Self::BytesOut(parse_u64(value).context("invalid IPVS_STATS_ATTR_OUTBYTES value")?)
            }
            IPVS_STATS_ATTR_CPS => {
                Self::ConnectionRate(C::parse(value).context("invalid IPVS_STATS_ATTR_CPS value")?)
            }
            IPVS_STATS_ATTR_INPPS => {
                Self::PacketRateIn(C::parse(value).context("invalid IPVS_STATS_ATTR_INPPS value")?)
            }
            IPVS_STATS_ATTR_OUTPPS => {
                Self::PacketRateOut(C::parse(value).context("invalid IPVS_STATS_ATTR_OUTPPS value")?)
            }
            IPVS_STATS_ATTR_INBPS => {
                Self::ByteRateIn(C::parse(value).context("invalid IPVS_STATS_ATTR_INBPS value")?)
            }
            IPVS_STATS_ATTR_OUTBPS => {
                Self::ByteRateOut(C::parse(value).context("invalid IPVS_STATS_ATTR_OUTBPS value")?)
            }
            _ => Self::Other(DefaultNla::parse(attribute)?),
        })
    }
}

/// Keeps [`Counter`] to the two widths that the kernel has.
mod sealed {
    use super::{DecodeError, parse_u32, parse_u64};

    pub trait Wire: Sized {
        fn parse(value: &[u8]) -> Result<Self, DecodeError>;
        fn emit(self, buffer: &mut [u8]);
    }

    impl Wire for u32 {
        fn parse(value: &[u8]) -> Result<Self, DecodeError> {
            parse_u32(value)
        }

        fn emit(self, buffer: &mut [u8]) {
            buffer.copy_from_slice(&self.to_ne_bytes());
        }
    }

    impl Wire for u64 {
        fn parse(value: &[u8]) -> Result<Self, DecodeError> {
            parse_u64(value)
        }

        fn emit(self, buffer: &mut [u8]) {
            buffer.copy_from_slice(&self.to_ne_bytes());
        }
    }
}
