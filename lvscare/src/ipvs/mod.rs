//! Wire types of the generic-netlink family `IPVS`: the kernel's own load balancer.
//!
//! IPVS keeps a table of *virtual servers* (services) and, for each, the *real servers* (destinations) that
//! it spreads connections over. User space reads and changes that table with generic-netlink messages. This
//! module turns such messages into bytes and bytes into messages, and does nothing else: no socket, no
//! policy, no `unsafe`. It follows the kernel's `include/uapi/linux/ip_vs.h`; the constant each item stands
//! for is named in its documentation and in the error of a value that cannot be read.
//!
//! | `ipvsadm`        | command                                        | attributes                                        |
//! |------------------|------------------------------------------------|---------------------------------------------------|
//! | `-A`, `-E`       | [`NewService`][ns], [`SetService`][ss]         | [`Service::new`]                                  |
//! | `-D`             | [`DelService`][ds]                             | `Service::from(id)`                               |
//! | `-L`             | [`GetService`][gs]                             | none for a dump of all, or `Service::from(id)`    |
//! | `-a`, `-e`       | [`NewDestination`][nd], [`SetDestination`][sd] | `Service::from(id)`, [`Destination::new`]         |
//! | `-d`             | [`DelDestination`][dd]                         | `Service::from(id)`, `Destination::from(address)` |
//! | `-L`             | [`GetDestination`][gd]                         | `Service::from(id)`                               |
//! | `--set`          | [`SetConfig`][sc], [`GetConfig`][gc]           | [`Attribute::TimeoutTcp`] and its neighbours      |
//! | `--start-daemon` | [`NewDaemon`][na], [`DelDaemon`][da]           | [`Daemon::new`]                                   |
//! | `-Z`, `-C`       | [`Zero`][z], [`Flush`][f]                      | none                                              |
//!
//! [ns]: Command::NewService
//! [ss]: Command::SetService
//! [ds]: Command::DelService
//! [gs]: Command::GetService
//! [nd]: Command::NewDestination
//! [sd]: Command::SetDestination
//! [dd]: Command::DelDestination
//! [gd]: Command::GetDestination
//! [sc]: Command::SetConfig
//! [gc]: Command::GetConfig
//! [na]: Command::NewDaemon
//! [da]: Command::DelDaemon
//! [z]: Command::Zero
//! [f]: Command::Flush
//!
//! # Two layers
//!
//! A [`Message`] is a command and a list of [`Attribute`]s, faithful to the wire: order is kept, and what a
//! newer kernel adds is kept too, as `Other`, so that a message that was read is written back unchanged. On
//! top of it [`Service`] and [`Destination`] join what the wire holds apart, above all address and family,
//! into [`ServiceId`] and [`SocketAddr`](core::net::SocketAddr).
//!
//! # Example
//!
//! A request to add a real server, written and read back:
//!
//! ```
//! use lvscare::ipvs::{AddressFamily, Command, Destination, ForwardMethod, Message, Service, ServiceId};
//! use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
//! use netlink_packet_generic::GenlMessage;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let virtual_server = ServiceId::tcp("10.103.97.2:6443".parse()?);
//! let real_server = Destination::new("192.168.0.2:6443".parse()?, ForwardMethod::Masquerade, 1);
//! let request = Message::new(
//!     Command::NewDestination,
//!     [Service::from(virtual_server).into(), real_server.into()],
//! );
//!
//! let mut request = GenlMessage::from_payload(request);
//! request.set_resolved_family_id(0x20); // as the kernel answers CTRL_CMD_GETFAMILY for "IPVS"
//! let mut request = NetlinkMessage::from(request);
//! request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
//! request.finalize();
//! let mut bytes = vec![0; request.buffer_len()];
//! request.serialize(&mut bytes);
//!
//! let read = NetlinkMessage::<GenlMessage<Message>>::deserialize(&bytes)?;
//! let NetlinkPayload::InnerMessage(read) = read.payload else { unreachable!() };
//! let destination = read.payload.destination().ok_or("no destination")?;
//! assert_eq!(destination.address(AddressFamily::Inet)?, "192.168.0.2:6443".parse()?);
//! assert_eq!(destination.weight(), Some(1));
//! # Ok(())
//! # }
//! ```
//!
//! # What the kernel does not say
//!
//! - A `GET_*` request is answered with the matching `NEW_*` or `SET_*` command.
//! - An empty table is an empty dump, not an error.
//! - Top-level nests travel without `NLA_F_NESTED`; it is accepted on input and never written.
//! - There are no notifications: a program that wants to know must ask again.

mod address;
mod attribute;
mod command;
mod daemon;
mod destination;
mod info;
mod message;
mod service;
mod stats;
mod wire;

pub use address::{Address, AddressFamily, Netmask};
pub use attribute::Attribute;
pub use command::Command;
pub use daemon::{Daemon, DaemonAttribute, DaemonState};
pub use destination::{Destination, DestinationAttribute, ForwardMethod, TunnelFlags, TunnelType};
pub use info::{InfoAttribute, Version};
pub use message::Message;
pub use service::{MaskedFlags, Protocol, Service, ServiceAttribute, ServiceFlags, ServiceId};
pub use stats::{Counter, Stats, StatsAttribute};

#[cfg(test)]
mod tests;
