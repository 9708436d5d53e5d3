//! One blocking request function over a netlink socket, for every family lvscare speaks.
//!
//! Blocking is right here: the kernel handles a request inside `send()`, so the answer is there when
//! `send()` returns and `recv()` never waits. It is also in `send()` that the kernel loads modules.

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, recv};

/// The kernel sends at most this much in one datagram of a dump (`netlink_dump()` in
/// `net/netlink/af_netlink.c`), provided that the reader's buffer is as large.
const BUFFER: usize = 32 * 1024;

/// The kernel answers at once; only a defect on either side could exceed this.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A listing during which the table changed is made again, so often in all.
const ATTEMPTS: u32 = 10;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused the request with this errno.
    #[error("{0}")]
    Kernel(io::Error),
    /// The socket failed.
    #[error("netlink socket: {0}")]
    Socket(#[from] io::Error),
    /// The kernel's answer could not be read.
    #[error("netlink answer: {0}")]
    Decode(#[from] netlink_packet_core::DecodeError),
    /// The table changed while it was being read, again and again.
    #[error("the table changed while it was being read")]
    Interrupted,
}

impl Error {
    /// The errno with which the kernel refused the request.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel(error) => error.raw_os_error().map(Errno::from_raw_os_error),
            _ => None,
        }
    }
}

/// A socket of one netlink protocol (`NETLINK_GENERIC`, `NETLINK_ROUTE`, ..), talking to the kernel.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: Socket,
    sequence: u32,
    buffer: Box<[u8]>,
}

impl Channel {
    /// Opens a socket of `protocol` (see [`netlink_sys::protocols`]) in this thread's network namespace.
    pub(crate) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Without the capped acknowledgement every refusal carries our whole request back.
        socket.set_cap_ack(true)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(RECEIVE_TIMEOUT))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER].into_boxed_slice() })
    }

    /// From now on the kernel takes what stands in the head of a request for a listing as a filter (Linux 4.20 and
    /// later; an older one lists everything).
    pub(crate) fn filter_listings(&mut self) {
        let _ = self.socket.set_netlink_get_strict_chk(true);
    }

    /// Sends one message and returns the messages of the answer, none for a bare acknowledgement.
    ///
    /// `flags` must contain `NLM_F_ACK` for a request that changes something, `NLM_F_DUMP` for one that lists, and
    /// neither for one that fetches a single object.
    pub(crate) fn request<M>(&mut self, message: M, flags: u16) -> Result<Vec<M>, Error>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
    {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        request.finalize();
        for _ in 1..ATTEMPTS {
            match self.exchange(&mut request) {
                Err(Error::Interrupted) => {}
                result => return result,
            }
        }
        self.exchange(&mut request)
    }

    /// Sends a request under a number of its own and reads its answer.
    fn exchange<M>(&mut self, request: &mut NetlinkMessage<M>) -> Result<Vec<M>, Error>
    where
        M: NetlinkSerializable + NetlinkDeserializable,
    {
        self.sequence = self.sequence.wrapping_add(1);
        request.header.sequence_number = self.sequence;
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;

        let mut answer = Vec::new();
        let mut interrupted = false;
        loop {
            let length = self.receive()?;
            let mut rest = self.buffer.get(..length).unwrap_or_default();
            while !rest.is_empty() {
                let message = NetlinkMessage::<M>::deserialize(rest)?;
                let length = message.header.length as usize;
                // Messages in one datagram are aligned to four bytes.
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                // An answer to an earlier request that had timed out.
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                let multipart = message.header.flags & NLM_F_MULTIPART != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(inner) => {
                        answer.push(inner);
                        if !multipart {
                            return Ok(answer);
                        }
                    }
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(Error::Kernel(error.to_io()));
                    }
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(Error::Kernel(io::Error::from_raw_os_error(done.code.saturating_neg())));
                    }
                    NetlinkPayload::Done(_) if interrupted => return Err(Error::Interrupted),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answer),
                    _ => {}
                }
            }
        }
    }

    /// Reads one datagram into the buffer and returns its length.
    fn receive(&mut self) -> Result<usize, Error> {
        loop {
            match recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC) {
                Ok((_, length)) if length > self.buffer.len() => {
                    let cut = format!("an answer of {length} bytes was cut short");
                    return Err(Error::Socket(io::Error::other(cut)));
                }
                Ok((_, length)) => return Ok(length),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::Socket(errno.into())),
            }
        }
    }
}
