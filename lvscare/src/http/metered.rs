//! A stream that gives only so much.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The other side has sent more than it may.
#[derive(Debug, thiserror::Error)]
#[error("too much was sent")]
pub(super) struct Exhausted;

/// A stream with an allowance of bytes to be read, which whoever holds the other half can renew.
pub(super) struct Metered<S> {
    stream: S,
    allowance: Arc<AtomicUsize>,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, allowance: Arc<AtomicUsize>) -> Self {
        Self { stream, allowance }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match ready!(Pin::new(&mut self.stream).poll_read(context, buffer)) {
            // A TLS connection that ends without saying so. Where the length was told, that does no harm.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
            result => result?,
        }
        let read = buffer.filled().len().saturating_sub(before);
        match self.allowance.load(Ordering::Relaxed).checked_sub(read) {
            Some(left) => self.allowance.store(left, Ordering::Relaxed),
            None => return Poll::Ready(Err(io::Error::other(Exhausted))),
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
