//! How packets reach a real server.

const IP_VS_CONN_F_MASQ: u32 = 0;
const IP_VS_CONN_F_LOCALNODE: u32 = 1;
const IP_VS_CONN_F_TUNNEL: u32 = 2;
const IP_VS_CONN_F_DROUTE: u32 = 3;
const IP_VS_CONN_F_BYPASS: u32 = 4;

/// How packets reach a real server (the part of `IP_VS_CONN_F_*` under `IP_VS_CONN_F_FWD_MASK`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForwardMethod {
    /// Address and port are rewritten, both ways (`IP_VS_CONN_F_MASQ`).
    Masquerade,
    /// The real server is this host; the kernel finds out by itself (`IP_VS_CONN_F_LOCALNODE`).
    LocalNode,
    /// Packets are wrapped in others (`IP_VS_CONN_F_TUNNEL`); see [`TunnelType`](super::TunnelType).
    Tunnel,
    /// Packets are put on the real server's link unchanged (`IP_VS_CONN_F_DROUTE`).
    DirectRoute,
    /// Packets are sent on as if there were no IPVS; the kernel's own choice (`IP_VS_CONN_F_BYPASS`).
    Bypass,
    /// A method this module does not know.
    Other(u32),
}

impl From<u32> for ForwardMethod {
    fn from(method: u32) -> Self {
        match method {
            IP_VS_CONN_F_MASQ => Self::Masquerade,
            IP_VS_CONN_F_LOCALNODE => Self::LocalNode,
            IP_VS_CONN_F_TUNNEL => Self::Tunnel,
            IP_VS_CONN_F_DROUTE => Self::DirectRoute,
            IP_VS_CONN_F_BYPASS => Self::Bypass,
            other => Self::Other(other),
        }
    }
}

impl From<ForwardMethod> for u32 {
    fn from(method: ForwardMethod) -> Self {
        match method {
            ForwardMethod::Masquerade => IP_VS_CONN_F_MASQ,
            ForwardMethod::LocalNode => IP_VS_CONN_F_LOCALNODE,
            ForwardMethod::Tunnel => IP_VS_CONN_F_TUNNEL,
            ForwardMethod::DirectRoute => IP_VS_CONN_F_DROUTE,
            ForwardMethod::Bypass => IP_VS_CONN_F_BYPASS,
            ForwardMethod::Other(other) => other,
        }
    }
}
