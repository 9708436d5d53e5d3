//! The IPVS table over generic netlink: one request per fact or change.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_sys::protocols::NETLINK_GENERIC;
use rustix::io::Errno;

use super::Error;
use crate::ipvs::{
    AddressFamily, Command, Destination as WireDestination, ForwardMethod, MaskedFlags, Message, Protocol,
    Service as WireService, ServiceAttribute, ServiceFlags, ServiceId,
};
use crate::model::{Change, Destination, Forwarding, SeenDestination, SeenService, Service, Traffic};
use crate::netlink::{self, Channel};
use crate::retry::Retry;

/// Schedulers with data per network namespace. Loading one within `NEW_SERVICE` waits, with the IPVS lock
/// held, for namespaces that are being deleted, and those wait for the lock: seen on 6.1, for good.
const NOT_ON_DEMAND: [&str; 2] = ["lblc", "lblcr"];

/// Flags that are nobody's but the kernel's own mark, or the administrator's: whether the client's port counts (`sh`,
/// `mh`), and one that no scheduler has a meaning for yet.
const NOT_OURS: ServiceFlags =
    ServiceFlags::HASHED.union(ServiceFlags::SCHEDULER_2).union(ServiceFlags::SCHEDULER_3);

/// While somebody else's modprobe is at work, ours returns before the module is ready. So what seems to be
/// missing is asked for again, so often and after such a pause.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// The IPVS table of this network namespace.
#[derive(Debug)]
pub struct Table {
    channel: Channel,
    family: u16,
    /// How often a scheduler may still be waited for, in this object's life.
    attempts: u32,
    /// The module is gone and did not come back: asking for it makes the kernel start a program each time.
    missing: Option<Retry>,
}

impl Table {
    /// Finds the family `IPVS`; asking for it makes Linux 5.15 and later load the module.
    pub fn open() -> Result<Self, Error> {
        let failed = |error| Error::from_netlink(|| "open generic netlink".into(), error);
        let mut channel = Channel::open(NETLINK_GENERIC).map_err(|error| failed(error.into()))?;
        for attempt in 1.. {
            match find_family(&mut channel) {
                Ok(Some(family)) => return Ok(Self { channel, family, attempts: ATTEMPTS, missing: None }),
                Ok(None) if attempt < ATTEMPTS => sleep(PAUSE),
                Ok(None) => break,
                Err(error) => return Err(failed(error)),
            }
        }
        Err(Error::NoIpvs)
    }

    /// The virtual server at `at` with its real servers, if it exists.
    pub fn read(&mut self, at: SocketAddr) -> Result<Option<SeenService>, Error> {
        let mut seen = self.read_once(at);
        if seen.as_ref().is_err_and(|error| error.errno() == Some(Errno::NOENT)) {
            // To these questions only generic netlink itself says so: the module was unloaded, and when it is there
            // again its family has another number.
            self.resolve()?;
            seen = self.read_once(at);
        }
        seen.map_err(|error| reading(at, error))
    }

    fn read_once(&mut self, at: SocketAddr) -> Result<Option<SeenService>, netlink::Error> {
        let id = ServiceId::tcp(at);
        let message = Message::new(Command::GetService, [WireService::from(id).into()]);
        let answers = match self.request(message, 0) {
            Err(error) if error.errno() == Some(Errno::SRCH) => return Ok(None),
            other => other?,
        };
        let Some(service) = answers.iter().find_map(Message::service) else { return Ok(None) };
        let stats = service.stats().unwrap_or_default();
        let service = Service {
            scheduler: service.scheduler().unwrap_or_default().to_owned(),
            flags: service.flags().unwrap_or_default().difference(NOT_OURS).bits(),
        };

        let message = Message::new(Command::GetDestination, [WireService::from(id).into()]);
        let answers = match self.request(message, NLM_F_DUMP) {
            // It was deleted between the two questions.
            Err(error) if error.errno() == Some(Errno::SRCH) => return Ok(None),
            other => other?,
        };
        let destinations = answers
            .iter()
            .filter_map(Message::destination)
            .map(|destination| {
                let address = destination.address(AddressFamily::from(at.ip()))?;
                Ok((address, seen(destination)))
            })
            .collect::<Result<_, netlink::Error>>()?;
        let traffic = Traffic {
            connections: stats.connections,
            packets_in: stats.packets_in,
            packets_out: stats.packets_out,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
        };
        Ok(Some(SeenService { service, destinations, traffic }))
    }

    /// The address of every virtual server that has one; those of firewall marks have none.
    pub fn list(&mut self) -> Result<Vec<(Protocol, SocketAddr)>, Error> {
        let listing = |error| Error::from_netlink(|| "list the virtual servers".into(), error);
        let answers = self.request(Message::new(Command::GetService, []), NLM_F_DUMP).map_err(listing)?;
        let ids = answers.iter().filter_map(Message::service).map(WireService::id);
        ids.filter_map(|id| match id {
            Ok(ServiceId::Address { protocol, address }) => Some(Ok((protocol, address))),
            Ok(_) => None,
            Err(error) => Some(Err(listing(error.into()))),
        })
        .collect()
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
                let flags = ServiceFlags::from_bits_retain(service.flags);
                let flags = MaskedFlags { flags, mask: NOT_OURS.complement() };
                WireService::new(id, &service.scheduler).with(ServiceAttribute::Flags(flags)).into()
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
        if let Change::AddService { service, .. } | Change::UpdateService { service, .. } = change
            && NOT_ON_DEMAND.contains(&service.scheduler.as_str())
            && !Path::new(&format!("/sys/module/ip_vs_{}", service.scheduler)).exists()
        {
            return Err(Error::HangingScheduler(service.scheduler.clone()));
        }
        loop {
            let error = match self.request(Message::new(command, attributes.clone()), NLM_F_ACK) {
                Ok(_) => return Ok(()),
                Err(error) => refused(change, error),
            };
            if !matches!(error, Error::NoScheduler(_)) || self.attempts == 0 {
                return Err(error);
            }
            self.attempts -= 1;
            sleep(PAUSE);
        }
    }

    /// Finds the family's number anew, which makes the kernel load the module if it is gone.
    fn resolve(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if self.missing.is_some_and(|missing| !missing.is_due(now)) {
            return Err(Error::NoIpvs);
        }
        let found = find_family(&mut self.channel)
            .map_err(|error| Error::from_netlink(|| "open generic netlink".into(), error))?;
        if let Some(family) = found {
            self.family = family;
            self.missing = None;
            return Ok(());
        }
        self.missing = Some(Retry::after(self.missing, now));
        Err(Error::NoIpvs)
    }

    fn request(&mut self, message: Message, flags: u16) -> Result<Vec<Message>, netlink::Error> {
        let mut message = GenlMessage::from_payload(message);
        message.set_resolved_family_id(self.family);
        message.finalize();
        let answers = self.channel.request(message, flags)?;
        Ok(answers.into_iter().map(|answer| answer.payload).collect())
    }
}

/// The number of the family `IPVS`; `None` when it is not there.
fn find_family(channel: &mut Channel) -> Result<Option<u16>, netlink::Error> {
    let question =
        GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![GenlCtrlAttrs::FamilyName("IPVS".into())] };
    let mut question = GenlMessage::from_payload(question);
    question.finalize();
    match channel.request(question, 0) {
        Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
        Ok(answers) => Ok(answers.iter().flat_map(|answer| &answer.payload.nlas).find_map(|attribute| {
            if let GenlCtrlAttrs::FamilyId(family) = attribute { Some(*family) } else { None }
        })),
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
    let action = || format!("read virtual server {at}");
    if matches!(error, netlink::Error::Interrupted) {
        return Error::Raced(action());
    }
    Error::from_netlink(action, error)
}
