//! Virtual servers.

use netlink_packet_core::DecodeError;

use super::{
    AddressFamily, Netmask, Stats,
    wire::{find, set},
};

mod attribute;
mod flags;
mod id;

pub use attribute::ServiceAttribute;
pub use flags::{MaskedFlags, ServiceFlags};
pub use id::{Protocol, ServiceId};

/// A virtual server (`IPVS_CMD_ATTR_SERVICE`).
///
/// ```
/// use lvscare::ipvs::{Service, ServiceAttribute, ServiceId};
///
/// let id = ServiceId::tcp("10.103.97.2:6443".parse()?);
/// let service = Service::new(id, "wrr").with(ServiceAttribute::Timeout(300));
/// assert_eq!(service.id()?, id);
/// assert_eq!(service.scheduler(), Some("wrr"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// What it is made of, in the order of the wire.
    pub attributes: Vec<ServiceAttribute>,
}

impl Service {
    /// All that [`Command::NewService`](super::Command::NewService) and
    /// [`Command::SetService`](super::Command::SetService) demand: no flags, no persistence.
    ///
    /// The kernel looks for the scheduler (`rr`, `wrr`, `lc`, `fo`, `mh`, ..) among its modules.
    pub fn new(id: ServiceId, scheduler: impl Into<String>) -> Self {
        let mut service = Self::from(id);
        service.attributes.extend([
            ServiceAttribute::Scheduler(scheduler.into()),
            ServiceAttribute::Flags(ServiceFlags::empty().into()),
            ServiceAttribute::Timeout(0),
            ServiceAttribute::Netmask(Netmask::host(id.family())),
        ]);
        service
    }

    /// The same with one attribute set.
    #[must_use]
    pub fn with(mut self, attribute: ServiceAttribute) -> Self {
        set(&mut self.attributes, attribute);
        self
    }

    /// What names it. An error says which attribute is missing.
    pub fn id(&self) -> Result<ServiceId, DecodeError> {
        ServiceId::try_from(self.attributes.as_slice())
    }

    /// The family of its address, its netmask, and of its destinations' addresses.
    pub fn family(&self) -> Option<AddressFamily> {
        find!(self.attributes, ServiceAttribute::AddressFamily(family) => *family)
    }

    /// The name of its scheduler.
    pub fn scheduler(&self) -> Option<&str> {
        find!(self.attributes, ServiceAttribute::Scheduler(name) => name.as_str())
    }

    /// Its flags. In an answer the kernel has added [`ServiceFlags::HASHED`].
    pub fn flags(&self) -> Option<ServiceFlags> {
        find!(self.attributes, ServiceAttribute::Flags(masked) => masked.flags)
    }

    /// How many seconds a client is remembered, if it is [`ServiceFlags::PERSISTENT`].
    pub fn timeout(&self) -> Option<u32> {
        find!(self.attributes, ServiceAttribute::Timeout(seconds) => *seconds)
    }

    /// Which clients are remembered together, if it is [`ServiceFlags::PERSISTENT`].
    pub fn netmask(&self) -> Option<Netmask> {
        find!(self.attributes, ServiceAttribute::Netmask(mask) => *mask)
    }

    /// The name of its persistence engine.
    pub fn persistence_engine(&self) -> Option<&str> {
        find!(self.attributes, ServiceAttribute::PersistenceEngine(name) => name.as_str())
    }

    /// Its statistics, from the 64-bit ones if there are.
    pub fn stats(&self) -> Option<Stats> {
        find!(self.attributes, ServiceAttribute::Stats64(stats) => stats.as_slice().into())
            .or_else(|| find!(self.attributes, ServiceAttribute::Stats(stats) => stats.as_slice().into()))
    }
}

/// Only what names it: enough to read or delete it, and for all commands on its destinations.
impl From<ServiceId> for Service {
    fn from(id: ServiceId) -> Self {
        Self { attributes: id.into() }
    }
}
