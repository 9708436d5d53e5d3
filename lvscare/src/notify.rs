//! Telling systemd how it goes (`sd_notify(3)`, `Type=notify`): ready, alive, stopping.
//!
//! Without systemd there is nobody to tell and nothing happens; nor does anything that goes wrong here. The variables
//! stay set, since the daemon starts no program that could take them for its own.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

use tracing::debug;

/// Whoever started this process, if it wants to be told.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    socket: Option<UnixDatagram>,
    /// It restarts a process of which it does not hear for so long.
    patience: Option<Duration>,
}

impl Supervisor {
    /// The one that the environment names.
    pub(crate) fn from_env() -> Self {
        let text = |name| std::env::var(name).ok();
        let patience = patience(text("WATCHDOG_USEC").as_deref(), text("WATCHDOG_PID").as_deref());
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(address) => Self::at(&address, patience),
            None => Self::default(),
        }
    }

    /// One that listens there: at a path, or at an abstract name (`@name`).
    fn at(address: &OsStr, patience: Option<Duration>) -> Self {
        let socket =
            connect(address).inspect_err(|error| debug!(%error, "nobody to notify at {address:?}")).ok();
        Self { socket, patience }
    }

    /// How often it wants to hear [`Self::alive`]; `None`: it does not care.
    pub(crate) fn heartbeat(&self) -> Option<Duration> {
        // One may be late, and one may get lost.
        self.patience.map(|patience| patience / 3)
    }

    /// What was to be done at the start is done.
    pub(crate) fn ready(&self) {
        self.say("READY=1");
    }

    /// Everything goes on as it should.
    pub(crate) fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, word: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(word.as_bytes()) {
            debug!(%error, "{word} was not heard");
        }
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A supervisor that is busy must not hold up the only thread.
    socket.set_nonblocking(true)?;
    match address.as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => socket.connect(address)?,
    }
    Ok(socket)
}

/// A variable that was meant for another process, a parent's say, is no reason to do anything.
fn patience(microseconds: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid == process::id().to_string());
    let microseconds = microseconds.filter(|_| is_ours)?.parse().ok().filter(|&time| time > 0)?;
    Some(Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listener: &UnixDatagram) -> String {
        listener.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut buffer = [0; 100];
        let length = listener.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn assert_told(listener: &UnixDatagram, supervisor: &Supervisor) {
        supervisor.ready();
        supervisor.alive();
        supervisor.stopping();
        assert_eq!([(); 3].map(|()| heard(listener)), ["READY=1", "WATCHDOG=1", "STOPPING=1"]);
    }

    #[test]
    fn it_is_told_at_a_path_and_at_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        assert_told(&listener, &Supervisor::at(path.as_os_str(), None));

        let name = format!("lvscare-test-{}", process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        assert_told(&listener, &Supervisor::at(OsStr::new(&format!("@{name}")), None));
    }

    #[test]
    fn nobody_there_is_no_trouble() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        for address in [path.as_os_str(), OsStr::new(""), OsStr::new("@"), OsStr::new(&"x".repeat(300))] {
            Supervisor::at(address, None).ready();
        }
        Supervisor::default().alive();
        // One that listens no more, and one that does not read.
        let listener = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::at(path.as_os_str(), None);
        (0..10_000).for_each(|_| supervisor.alive());
        drop(listener);
        supervisor.stopping();
    }

    #[test]
    fn the_watchdog_is_for_this_process_only() {
        let ours = process::id().to_string();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (microseconds, pid, wanted) in [
            (Some("30000000"), None, seconds(30)),
            (Some("30000000"), Some(ours.as_str()), seconds(30)),
            (Some("30000000"), Some("1"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (None, None, None),
        ] {
            assert_eq!(patience(microseconds, pid), wanted, "{microseconds:?} {pid:?}");
        }
        let supervisor = Supervisor { patience: seconds(30), ..Supervisor::default() };
        assert_eq!(supervisor.heartbeat(), seconds(10));
    }
}
