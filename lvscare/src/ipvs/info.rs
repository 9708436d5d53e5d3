//! What IPVS says about itself.

use core::fmt;

use netlink_packet_core::{DecodeError, DefaultNla, ErrorContext, Nla, NlaBuffer, Parseable, parse_u32};

const IPVS_INFO_ATTR_VERSION: u16 = 1;
const IPVS_INFO_ATTR_CONN_TAB_SIZE: u16 = 2;

/// An attribute of the answer to [`Command::GetInfo`](super::Command::GetInfo) (`IPVS_INFO_ATTR_*`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InfoAttribute {
    /// The version of IPVS (`IPVS_INFO_ATTR_VERSION`).
    Version(Version),
    /// Buckets of the connection hash table (`IPVS_INFO_ATTR_CONN_TAB_SIZE`).
    ConnectionTableSize(u32),
    /// An attribute this module does not know.
    Other(DefaultNla),
}

/// The version of IPVS, not of the kernel: major, minor, patch (`IP_VS_VERSION_CODE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u8, pub u8, pub u8);

impl From<u32> for Version {
    fn from(code: u32) -> Self {
        let [_, major, minor, patch] = code.to_be_bytes();
        Self(major, minor, patch)
    }
}

impl From<Version> for u32 {
    fn from(Version(major, minor, patch): Version) -> Self {
        Self::from_be_bytes([0, major, minor, patch])
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl Nla for InfoAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Version(_) | Self::ConnectionTableSize(_) => size_of::<u32>(),
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Version(_) => IPVS_INFO_ATTR_VERSION,
            Self::ConnectionTableSize(_) => IPVS_INFO_ATTR_CONN_TAB_SIZE,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Version(version) => buffer.copy_from_slice(&u32::from(*version).to_ne_bytes()),
            Self::ConnectionTableSize(size) => buffer.copy_from_slice(&size.to_ne_bytes()),
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Parseable<NlaBuffer<&'a T>> for InfoAttribute {
    fn parse(attribute: &NlaBuffer<&'a T>) -> Result<Self, DecodeError> {
        let value = attribute.value();
        Ok(match attribute.kind() {
            IPVS_INFO_ATTR_VERSION => {
                Self::Version(parse_u32(value).context("invalid IPVS_INFO_ATTR_VERSION value")?.into())
            }
            IPVS_INFO_ATTR_CONN_TAB_SIZE => Self::ConnectionTableSize(
                parse_u32(value).context("invalid IPVS_INFO_ATTR_CONN_TAB_SIZE value")?,
            ),
            _ => Self::Other(DefaultNla::parse(attribute)?),
        })
    }
}
