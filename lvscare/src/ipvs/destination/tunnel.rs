//! How packets are wrapped on their way to a real server.

use bitflags::bitflags;

const IP_VS_CONN_F_TUNNEL_TYPE_IPIP: u8 = 0;
const IP_VS_CONN_F_TUNNEL_TYPE_GUE: u8 = 1;
const IP_VS_CONN_F_TUNNEL_TYPE_GRE: u8 = 2;

const IP_VS_TUNNEL_ENCAP_FLAG_CSUM: u16 = 0x1;
const IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM: u16 = 0x2;

/// What packets are wrapped in (`IP_VS_CONN_F_TUNNEL_TYPE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TunnelType {
    /// IP (`IP_VS_CONN_F_TUNNEL_TYPE_IPIP`).
    Ipip,
    /// Generic UDP Encapsulation (`IP_VS_CONN_F_TUNNEL_TYPE_GUE`).
    Gue,
    /// Generic Routing Encapsulation (`IP_VS_CONN_F_TUNNEL_TYPE_GRE`).
    Gre,
    /// A type this module does not know.
    Other(u8),
}

bitflags! {
    /// Checksums of the wrapping (`IP_VS_TUNNEL_ENCAP_FLAG_*`); none are set for
    /// `IP_VS_TUNNEL_ENCAP_FLAG_NOCSUM`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TunnelFlags: u16 {
        /// The wrapping has a checksum (`IP_VS_TUNNEL_ENCAP_FLAG_CSUM`).
        const CHECKSUM = IP_VS_TUNNEL_ENCAP_FLAG_CSUM;
        /// The other end computes the inner checksum (`IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM`).
        const REMOTE_CHECKSUM = IP_VS_TUNNEL_ENCAP_FLAG_REMCSUM;
        // The kernel owns the list: bits of a newer one are kept.
        const _ = !0;
    }
}

impl From<u8> for TunnelType {
    fn from(tunnel: u8) -> Self {
        match tunnel {
            IP_VS_CONN_F_TUNNEL_TYPE_IPIP => Self::Ipip,
            IP_VS_CONN_F_TUNNEL_TYPE_GUE => Self::Gue,
            IP_VS_CONN_F_TUNNEL_TYPE_GRE => Self::Gre,
            other => Self::Other(other),
        }
    }
}

impl From<TunnelType> for u8 {
    fn from(tunnel: TunnelType) -> Self {
        match tunnel {
            TunnelType::Ipip => IP_VS_CONN_F_TUNNEL_TYPE_IPIP,
            TunnelType::Gue => IP_VS_CONN_F_TUNNEL_TYPE_GUE,
            TunnelType::Gre => IP_VS_CONN_F_TUNNEL_TYPE_GRE,
            TunnelType::Other(other) => other,
        }
    }
}
