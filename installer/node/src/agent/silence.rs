//! A controller that says nothing any more. A link that was cut is not noticed by the server at this end for hours, and
//! so long the machine would stay locked; so a controller says an empty line where it has nothing else to say.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Whoever has said nothing for so long is gone.
pub const SILENCE: Duration = Duration::from_secs(60);

/// How often a controller says something, at least.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// An input that must not be silent for too long.
#[derive(Debug)]
pub struct Attentive<R> {
    input: R,
    limit: Duration,
}

impl<R: Read + AsFd> Attentive<R> {
    /// `input` keeps no bytes back that it has read already.
    pub fn new(input: R, limit: Duration) -> Self {
        Self { input, limit }
    }
}

impl<R: Read + AsFd> Read for Attentive<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let limit = Timespec::try_from(self.limit).map_err(io::Error::other)?;
        let ready = poll(&mut [PollFd::new(&self.input, PollFlags::IN)], Some(&limit))?;
        if ready == 0 {
            let text = format!("the controller has said nothing for {} s", self.limit.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        self.input.read(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};

    use super::*;

    #[test]
    fn who_speaks_is_heard_who_is_silent_is_gone_and_who_ends_has_ended() {
        let (input, mut output) = pipe().unwrap();
        let mut input = Attentive::new(input, Duration::from_millis(50));
        output.write_all(b"word").unwrap();
        let mut bytes = [0; 9];
        assert_eq!(input.read(&mut bytes).unwrap(), 4);
        assert_eq!(input.read(&mut bytes).unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(output);
        assert_eq!(input.read(&mut bytes).unwrap(), 0);
    }
}
