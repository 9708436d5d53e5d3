//! A TCP connection that remembers whether the kernel has given it up.
//!
//! HTTP and TLS only pass on that a connection has ended. Why matters: that the other side ended it says nothing, that
//! nobody has acknowledged anything for a while says a lot.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::classify::failed;

/// Whether the kernel has given the connection up in silence.
#[derive(Clone, Debug, Default)]
pub(super) struct GivenUp(Arc<AtomicBool>);

/// The connection.
pub(super) struct Tracked {
    stream: TcpStream,
    given_up: GivenUp,
}

impl GivenUp {
    pub(super) fn is_true(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if failed(error).is_silence() {
                self.0.store(true, Ordering::Relaxed);
            }
        })
    }
}

impl Tracked {
    pub(super) fn new(stream: TcpStream) -> (Self, GivenUp) {
        let given_up = GivenUp::default();
        (Self { stream, given_up: given_up.clone() }, given_up)
    }
}

impl AsyncRead for Tracked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        Poll::Ready(self.given_up.note(result))
    }
}

impl AsyncWrite for Tracked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        Poll::Ready(self.given_up.note(result))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices));
        Poll::Ready(self.given_up.note(result))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    /// Who ends a connection has spoken; so has this node, where it lacks something.
    #[test]
    fn only_silence_gives_a_connection_up() {
        for (errno, silent) in [
            (Errno::TIMEDOUT, true),
            (Errno::HOSTUNREACH, true),
            (Errno::NETUNREACH, true),
            (Errno::CONNRESET, false),
            (Errno::PIPE, false),
            (Errno::NOBUFS, false),
        ] {
            let given_up = GivenUp::default();
            let _ = given_up.note(Ok(()));
            assert!(!given_up.is_true());
            let _ = given_up.note::<()>(Err(errno.into()));
            let _ = given_up.note(Ok(()));
            assert_eq!(given_up.is_true(), silent, "{errno}");
        }
    }
}
