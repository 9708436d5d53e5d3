//! Clients that stay connected, as kubelet does: when do they learn that their server has vanished?

use std::io::Read;
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::daemon::vip;
use crate::lab::Lab;

/// Between two requests of the one that writes.
const PAUSE: Duration = Duration::from_millis(50);

/// For what should be quick.
const SOON: Duration = Duration::from_secs(5);

/// Two connections to one server.
pub(super) struct Held {
    idle: Connection,
    writing: Connection,
}

/// When each was told, if it was.
pub(super) struct Told {
    pub(super) idle: Option<Instant>,
    pub(super) writing: Option<Instant>,
}

impl Held {
    /// Connects through the virtual server until `server` has answered twice.
    pub(super) fn open(lab: &Lab, server: &str) -> Option<Self> {
        let mut found = (0..24).filter_map(|_| connection_to(lab, server));
        Some(Self { idle: found.next()?, writing: found.next()? })
    }

    /// Lets them wait so long for what will happen.
    pub(super) fn watch(self, patience: Duration) -> Watched {
        let began = Instant::now();
        // Now, unless it was only our own patience that ended.
        let end = move || {
            let now = Instant::now();
            (now - began < patience).then_some(now)
        };
        let Self { mut idle, mut writing } = self;
        Watched {
            idle: thread::spawn(move || {
                idle.limit(patience);
                let _ = idle.read(&mut [0]);
                end()
            }),
            writing: thread::spawn(move || {
                while writing.get("/", patience.saturating_sub(began.elapsed())).is_ok() {
                    sleep(PAUSE);
                }
                end()
            }),
        }
    }
}

/// Both, waiting.
pub(super) struct Watched {
    idle: JoinHandle<Option<Instant>>,
    writing: JoinHandle<Option<Instant>>,
}

impl Watched {
    pub(super) fn told(self) -> Told {
        let join = |thread: JoinHandle<Option<Instant>>| thread.join().expect("waiting does not panic");
        Told { idle: join(self.idle), writing: join(self.writing) }
    }
}

fn connection_to(lab: &Lab, server: &str) -> Option<Connection> {
    let mut connection = lab.connect(lab.node(), vip(), SOON).ok()?;
    let answer = connection.get("/", SOON).ok()?;
    (answer.body == server).then_some(connection)
}
