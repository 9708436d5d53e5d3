//! The IPVS table over generic netlink: one request per fact or change.

use std::net::SocketAddr;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_sys::protocols::NETLINK_GENERIC;
use rustix::io::Errno;

use super::Error;
use crate::ipvs::{
    AddressFamily, Command, Destination as WireDestination, ForwardMethod, Message, Service as WireService,
    ServiceFlags, ServiceId,
};
use crate::model::{Change, Destination, Forwarding, SeenDestination, SeenService, Service};
use crate::netlink::{self, Channel};

/// The IPVS table of this network namespace.
#[derive(Debug)]
pub struct Table {
    channel: Channel,
    family: u16,
}

impl Table {
    /// Finds the family `IPVS`; asking for it makes Linux 5.15 and later load the module.
    pub fn open() -> Result<Self, Error> {
        let failed = |error| Error::from_netlink(|| "open generic netlink".into(), error);
        let mut channel = Channel::open(NETLINK_GENERIC).map_err(|error| failed(error.into()))?;
        let question =
            GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![GenlCtrlAttrs::FamilyName("IPVS".into())] };
        let mut question = GenlMessage::from_payload(question);
        question.finalize();
        let answers = channel.request(question, 0).map_err(|error| match error.errno() {
            Some(Errno::NOENT) => Error::NoIpvs,
            _ => failed(error),
        })?;
        let family = answers.iter().flat_map(|answer| &answer.payload.nlas).find_map(|attribute| {
            if let GenlCtrlAttrs::FamilyId(family) = attribute { Some(*family) } else { None }
        });
        Ok(Self { channel, family: family.ok_or(Error::NoIpvs)? })
    }

    /// The virtual server at `at` with its real servers, if it exists.
    pub fn read(&mut self, at: SocketAddr) -> Result<Option<SeenService>, Error> {
        let id = ServiceId::tcp(at);
        let message = Message::new(Command::GetService, [WireService::from(id).into()]);
        let answers = match self.request(message, 0) {
            Err(error) if error.errno() == Some(Errno::SRCH) => return Ok(None),
            other => other.map_err(|error| reading(at, error))?,
        };
        let Some(service) = answers.iter().find_map(Message::service) else { return Ok(None) };
        let service = Service {
            scheduler: service.scheduler().unwrap_or_default().to_owned(),
            // The kernel adds its own mark to every service that is in its table.
            flags: service.flags().unwrap_or_default().difference(ServiceFlags::HASHED).bits(),
        };

        let message = Message::new(Command::GetDestination, [WireService::from(id).into()]);
        let answers = self.request(message, NLM_F_DUMP).map_err(|error| reading(at, error))?;
        let destinations = answers
            .iter()
            .filter_map(Message::destination)
            .map(|destination| {
                let address = destination
                    .address(AddressFamily::from(at.ip()))
                    .map_err(|error| reading(at, error.into()))?;
                Ok((address, seen(destination)))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Some(SeenService { service, destinations }))
    }

    /// Makes a change that concerns the table; others are not its business and do nothing.
    pub fn apply(&mut self, change: &Change) -> Result<(), Error> {
        let (command, at) = match *change {
            Change::AddService { at, .. } => (Command::NewService, at),
            Change::UpdateService { at, .. } => (Command::SetService, at),
            Change::RemoveService { at } => (Command::DelService, at),
            Change::AddServer { at, .. } => (Command::NewDestination, at),
            Change::UpdateServer { at, .. } => (Command::SetDestination, at),
            Change::RemoveServer { at, .. } => (Command::DelDestination, at),
            Change::SetSysctl { .. } | Change::SetRoute { .. } | Change::RemoveRoute { .. } => return Ok(()),
        };
        let id = ServiceId::tcp(at);
        let mut attributes = vec![match change {
            Change::AddService { service, .. } | Change::UpdateService { service, .. } => {
                WireService::new(id, &service.scheduler).into()
            }
            _ => WireService::from(id).into(),
        }];
        match change {
            Change::AddServer { server, destination, .. }
            | Change::UpdateServer { server, destination, .. } => {
                attributes.push(wire(*server, *destination).into());
            }
            Change::RemoveServer { server, .. } => attributes.push(WireDestination::from(*server).into()),
            _ => {}
        }
        match self.request(Message::new(command, attributes), NLM_F_ACK) {
            Ok(_) => Ok(()),
            Err(error) => Err(refused(change, error)),
        }
    }

    fn request(&mut self, message: Message, flags: u16) -> Result<Vec<Message>, netlink::Error> {
        let mut message = GenlMessage::from_payload(message);
        message.set_resolved_family_id(self.family);
        message.finalize();
        let answers = self.channel.request(message, flags)?;
        Ok(answers.into_iter().map(|answer| answer.payload).collect())
    }
}

fn wire(server: SocketAddr, destination: Destination) -> WireDestination {
    let method = match destination.forwarding {
        Forwarding::Masquerade => ForwardMethod::Masquerade,
        Forwarding::Other(method) => ForwardMethod::from(method),
    };
    WireDestination::new(server, method, destination.weight)
}

fn seen(destination: &WireDestination) -> SeenDestination {
    let forwarding = match destination.forward_method() {
        // The kernel's own word for a real server on this very node, whatever was asked for.
        Some(ForwardMethod::Masquerade | ForwardMethod::LocalNode) | None => Forwarding::Masquerade,
        Some(other) => Forwarding::Other(other.into()),
    };
    SeenDestination {
        destination: Destination {
            weight: destination.weight().unwrap_or_default(),
            forwarding,
            upper_threshold: destination.upper_threshold().unwrap_or_default(),
        },
        active: destination.active_connections().unwrap_or_default(),
        inactive: destination.inactive_connections().unwrap_or_default(),
    }
}

/// What a refusal means (`ip_vs_genl_set_cmd()` in `net/netfilter/ipvs/ip_vs_ctl.c`).
fn refused(change: &Change, error: netlink::Error) -> Error {
    match (error.errno(), change) {
        (Some(Errno::NOENT), Change::AddService { service, .. } | Change::UpdateService { service, .. }) => {
            Error::NoScheduler(service.scheduler.clone())
        }
        (Some(Errno::EXIST | Errno::SRCH | Errno::NOENT), _) => Error::Raced(change.to_string()),
        _ => Error::from_netlink(|| change.to_string(), error),
    }
}

fn reading(at: SocketAddr, error: netlink::Error) -> Error {
    match error.errno() {
        // It was deleted between the two questions.
        Some(Errno::SRCH) => Error::Raced(format!("read virtual server {at}")),
        _ if matches!(error, netlink::Error::Interrupted) => {
            Error::Raced(format!("read virtual server {at}"))
        }
        _ => Error::from_netlink(|| format!("read virtual server {at}"), error),
    }
}
