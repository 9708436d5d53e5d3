//! Real servers.

use core::net::SocketAddr;

use netlink_packet_core::DecodeError;

use super::{
    AddressFamily, Stats,
    wire::{find, set},
};

mod attribute;
mod forward;
mod tunnel;

pub use attribute::DestinationAttribute;
pub use forward::ForwardMethod;
pub use tunnel::{TunnelFlags, TunnelType};

/// A real server of a virtual one (`IPVS_CMD_ATTR_DEST`).
///
/// ```
/// use lvscare::ipvs::{AddressFamily, Destination, DestinationAttribute, ForwardMethod};
///
/// let address = "192.168.0.2:6443".parse()?;
/// let destination = Destination::new(address, ForwardMethod::Masquerade, 1)
///     .with(DestinationAttribute::UpperThreshold(1_000));
/// assert_eq!(destination.address(AddressFamily::Inet)?, address);
/// assert_eq!(destination.weight(), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// What it is made of, in the order of the wire.
    pub attributes: Vec<DestinationAttribute>,
}

impl Destination {
    /// All that [`Command::NewDestination`](super::Command::NewDestination) and
    /// [`Command::SetDestination`](super::Command::SetDestination) demand: no thresholds.
    ///
    /// With weight zero it gets no new connections and keeps those it has.
    pub fn new(address: SocketAddr, forward_method: ForwardMethod, weight: u32) -> Self {
        let mut destination = Self::from(address);
        destination.attributes.extend([
            DestinationAttribute::ForwardMethod(forward_method),
            DestinationAttribute::Weight(weight),
            DestinationAttribute::UpperThreshold(0),
            DestinationAttribute::LowerThreshold(0),
        ]);
        destination
    }

    /// The same with one attribute set.
    #[must_use]
    pub fn with(mut self, attribute: DestinationAttribute) -> Self {
        set(&mut self.attributes, attribute);
        self
    }

    /// Where it is, which is also what names it. An error says which attribute is missing.
    ///
    /// Kernels before Linux 3.18 do not tell the family: there it is the service's.
    pub fn address(&self, service_family: AddressFamily) -> Result<SocketAddr, DecodeError> {
        let address = find!(self.attributes, DestinationAttribute::Address(address) => *address)
            .ok_or("IPVS_DEST_ATTR_ADDR is missing")?;
        let port = find!(self.attributes, DestinationAttribute::Port(port) => *port)
            .ok_or("IPVS_DEST_ATTR_PORT is missing")?;
        let ip = address
            .to_ip(self.family().unwrap_or(service_family))
            .ok_or("IPVS_DEST_ATTR_ADDR_FAMILY is neither AF_INET nor AF_INET6")?;
        Ok(SocketAddr::new(ip, port))
    }

    /// The family of its address, if the kernel tells.
    pub fn family(&self) -> Option<AddressFamily> {
        find!(self.attributes, DestinationAttribute::AddressFamily(family) => *family)
    }

    /// How packets reach it.
    pub fn forward_method(&self) -> Option<ForwardMethod> {
        find!(self.attributes, DestinationAttribute::ForwardMethod(method) => *method)
    }

    /// Its share of new connections, in proportion to the other weights.
    pub fn weight(&self) -> Option<u32> {
        find!(self.attributes, DestinationAttribute::Weight(weight) => *weight)
    }

    /// The number of connections from which it gets no new ones; zero for no limit.
    pub fn upper_threshold(&self) -> Option<u32> {
        find!(self.attributes, DestinationAttribute::UpperThreshold(limit) => *limit)
    }

    /// The number of connections below which it gets new ones again; zero for three quarters of the upper
    /// threshold.
    pub fn lower_threshold(&self) -> Option<u32> {
        find!(self.attributes, DestinationAttribute::LowerThreshold(limit) => *limit)
    }

    /// How many connections are established to it.
    pub fn active_connections(&self) -> Option<u32> {
        find!(self.attributes, DestinationAttribute::ActiveConnections(count) => *count)
    }

    /// How many connections to it are opening or closing, or are UDP.
    pub fn inactive_connections(&self) -> Option<u32> {
        find!(self.attributes, DestinationAttribute::InactiveConnections(count) => *count)
    }

    /// How many clients are remembered to belong to it.
    pub fn persistent_connections(&self) -> Option<u32> {
        find!(self.attributes, DestinationAttribute::PersistentConnections(count) => *count)
    }

    /// Its statistics, from the 64-bit ones if there are.
    pub fn stats(&self) -> Option<Stats> {
        find!(self.attributes, DestinationAttribute::Stats64(stats) => stats.as_slice().into())
            .or_else(|| find!(self.attributes, DestinationAttribute::Stats(stats) => stats.as_slice().into()))
    }
}

/// Only what names it: enough to delete it.
impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        let attributes = vec![
            DestinationAttribute::AddressFamily(address.ip().into()),
            DestinationAttribute::Address(address.ip().into()),
            DestinationAttribute::Port(address.port()),
        ];
        Self { attributes }
    }
}
