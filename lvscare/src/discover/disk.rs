//! The thread that touches the disk, which may hang, while the other one guards the rules.
//!
//! tokio has threads for that, which come and go, and panics when the node has none to give. This one is made once and
//! stays; that it cannot be made is an error like any other, and tried again with the next question.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// Work that waits while the thread is busy. More would only wait for the same disk.
const MOST_WAITING: usize = 1;

/// The thread, once there was something to do. It ends with its owner, or when a disk lets go of it.
#[derive(Default)]
pub(super) struct Disk(Option<SyncSender<Work>>);

impl Disk {
    /// Does `work` on the thread. If the caller stops waiting, it is done all the same.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move || {
            // Nobody may wait for it any more.
            let _ = answer.send(work());
        });
        let hangs = |_| io::Error::new(io::ErrorKind::ResourceBusy, "the disk has not answered for a while");
        self.thread()?.try_send(work).map_err(hangs)?;
        answered.await.map_err(io::Error::other)
    }

    fn thread(&mut self) -> io::Result<&SyncSender<Work>> {
        let sender = match self.0.take() {
            Some(sender) => sender,
            None => start()?,
        };
        Ok(self.0.insert(sender))
    }
}

fn start() -> io::Result<SyncSender<Work>> {
    let (sender, receiver) = sync_channel::<Work>(MOST_WAITING);
    let thread = thread::Builder::new().name("disk".to_owned());
    let started = thread.spawn(move || receiver.into_iter().for_each(|work| work()));
    started.map_err(|error| io::Error::new(error.kind(), format!("no thread for the disk: {error}")))?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn one_thread_does_everything() {
        let mut disk = Disk::default();
        let first = disk.run(|| thread::current().id()).await.unwrap();
        assert_ne!(first, thread::current().id());
        assert_eq!(disk.run(|| thread::current().id()).await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_disk_that_hangs_costs_one_thread_and_two_pieces_of_work() {
        let mut disk = Disk::default();
        let (end, hang) = channel::<()>();
        let (begun, beginning) = oneshot::channel();
        let hanging = disk.run(move || {
            let _ = begun.send(());
            let _ = hang.recv();
        });
        tokio::select! {
            biased;
            _ = hanging => panic!("it hangs"),
            begun = beginning => begun.unwrap(),
        }
        // Nobody waits for the first any more; the second waits for its turn.
        tokio::select! {
            biased;
            _ = disk.run(|| ()) => panic!("it hangs"),
            () = tokio::task::yield_now() => {}
        }
        let refused = disk.run(|| ()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        drop(end);
        while disk.run(|| ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
