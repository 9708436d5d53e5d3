//! Tells when routes or addresses of this network namespace change. IPVS itself has no such events.

use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// `RTNLGRP_*` of `linux/rtnetlink.h`: addresses and routes of both families.
const GROUPS: [u32; 4] = [5, 7, 9, 11];

/// A subscription to route and address changes.
pub struct Watch {
    socket: TokioSocket,
}

impl Watch {
    /// Subscribes. Must be called within a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.socket_ref().add_membership(group)?;
        }
        Ok(Self { socket })
    }

    /// Waits until something changed. What it was does not matter: the reader looks at everything anyway.
    ///
    /// Cancel-safe: an event that was not consumed is still there at the next call.
    pub async fn changed(&mut self) -> io::Result<()> {
        // Datagrams are cut to the scratch space on purpose; only their arrival counts.
        let mut scratch = [0; 64];
        match self.socket.recv(&mut &mut scratch[..]).await {
            // Events were lost for want of buffer space, so there were some.
            Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => Ok(()),
            other => other,
        }
    }

    /// Forgets the events that have arrived, because somebody is about to look anyway.
    pub fn drain(&mut self) {
        let mut scratch = [0; 64];
        while matches!(
            recv(self.socket.socket_ref(), &mut scratch[..], RecvFlags::empty()),
            Ok(_) | Err(Errno::INTR | Errno::NOBUFS)
        ) {}
    }
}
