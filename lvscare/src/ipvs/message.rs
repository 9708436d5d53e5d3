//! The payload of a generic-netlink message of the family.

use netlink_packet_core::{DecodeError, Emitable, NlasIterator, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader};

use super::{Attribute, Command, Destination, Service, wire::find};

const IPVS_GENL_NAME: &str = "IPVS";
const IPVS_GENL_VERSION: u8 = 1;

/// A request to IPVS or an answer of it: the payload of a
/// [`GenlMessage`](netlink_packet_generic::GenlMessage).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What is asked or answered.
    pub command: Command,
    /// On what, in the order of the wire.
    pub attributes: Vec<Attribute>,
}

impl Message {
    /// A message of these attributes.
    pub fn new(command: Command, attributes: impl IntoIterator<Item = Attribute>) -> Self {
        Self { command, attributes: attributes.into_iter().collect() }
    }

    /// The service it is about.
    pub fn service(&self) -> Option<&Service> {
        find!(self.attributes, Attribute::Service(service) => service)
    }

    /// The destination it is about.
    pub fn destination(&self) -> Option<&Destination> {
        find!(self.attributes, Attribute::Destination(destination) => destination)
    }
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        IPVS_GENL_NAME
    }

    fn command(&self) -> u8 {
        self.command.into()
    }

    fn version(&self) -> u8 {
        IPVS_GENL_VERSION
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(payload: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let command = Command::from(header.cmd);
        let attributes = NlasIterator::new(payload)
            .map(|attribute| Attribute::parse_with_param(&attribute?, command))
            .collect::<Result<_, _>>()?;
        Ok(Self { command, attributes })
    }
}
