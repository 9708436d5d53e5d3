//! A stream that, while the behaviour says so, lets one byte out at a time.
//!
//! It sits between TLS and HTTP: the handshake is quick, and each byte is a TLS record of its own. A client with a
//! time-out per read is fooled for ever; only a time-out for the whole exchange helps.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::Behaviour;
use super::state::State;

const PAUSE: Duration = Duration::from_millis(200);

/// `inner`, slowed down on demand.
pub(super) struct Dribble<T> {
    inner: T,
    state: Arc<State>,
    pause: Pin<Box<Sleep>>,
}

impl<T> Dribble<T> {
    pub(super) fn new(inner: T, state: Arc<State>) -> Self {
        Self { inner, state, pause: Box::pin(sleep(Duration::ZERO)) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Dribble<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Dribble<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.state.behaviour() != Behaviour::SlowLoris {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        ready!(self.pause.as_mut().poll(cx));
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes[..bytes.len().min(1)]));
        self.pause.as_mut().reset(Instant::now() + PAUSE);
        // HTTP asks for a flush after its last byte only, and TLS may keep what nobody flushes.
        let _ = Pin::new(&mut self.inner).poll_flush(cx);
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
