//! Many hosts at once, and not too many; none of them stops another.
//!
//! Who asks to stop is heard: after the first time no host is begun any more and those at work go on to their end. After
//! the second they have a time to end what runs there, if that can be ended, and are left alone then; after the third at
//! once. How those end that were left is not known.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// More at once take memory and processor time here, and logins through one bastion are counted there.
pub const AT_ONCE: usize = 16;

/// How one ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// With this.
    Done(T),
    /// It was not begun.
    NotBegun,
    /// It was begun, and left.
    Left,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T> {
    /// One ended; its place in the order in which they came.
    Ended(usize, Ended<T>),
    /// It was asked to stop, and so many are at work.
    Stopping {
        /// How many.
        running: usize,
    },
    /// It was asked once more, and so many have their time to end.
    Ending {
        /// How many.
        running: usize,
    },
}

/// How often it was asked to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<u32>);

/// Whoever asks to stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<u32>);

impl Stopper {
    /// Asks once more.
    pub fn ask(&self) {
        self.0.send_modify(|count| *count = count.saturating_add(1));
    }
}

impl Stop {
    /// Asked by the other one. When that is gone, nobody asks.
    pub fn new() -> (Stopper, Self) {
        let (asked, stop) = watch::channel(0);
        (Stopper(asked), Self(stop))
    }

    /// By SIGINT or SIGTERM.
    pub fn by_signals() -> io::Result<Self> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (stopper, stop) = Self::new();
        tokio::task::spawn_local(async move {
            while !stopper.0.is_closed() {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                stopper.ask();
            }
        });
        Ok(stop)
    }

    /// Waits until it was asked at least once.
    pub async fn asked(&mut self) {
        self.more_than(0).await;
    }

    /// Waits until it was asked at least twice.
    pub async fn insisted(&mut self) {
        self.more_than(1).await;
    }

    /// Whether it was asked at least once.
    pub fn is_asked(&self) -> bool {
        self.count() > 0
    }

    fn count(&self) -> u32 {
        *self.0.borrow()
    }

    async fn more_than(&mut self, heard: u32) {
        if self.0.wait_for(|count| *count > heard).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }
}

/// Does all jobs, [`AT_ONCE`] at a time and in their order. Those that can end what runs on their hosts do so when it is
/// [insisted](Stop::insisted), and have `grace` for it. It runs within a `LocalSet`.
pub async fn run<T: 'static, F: Future<Output = T> + 'static>(
    jobs: impl IntoIterator<Item = F>,
    mut stop: Stop,
    grace: Duration,
    mut tell: impl FnMut(Event<T>),
) {
    let mut jobs = jobs.into_iter().enumerate();
    let (mut tasks, mut running) = (JoinSet::new(), BTreeSet::new());
    let mut heard = 0;
    let mut left = None;
    loop {
        if heard == 0 && stop.count() > 0 {
            tell(Event::Stopping { running: running.len() });
        }
        heard = stop.count();
        if heard > 2 || (heard > 1 && grace.is_zero()) {
            break;
        }
        if heard > 1 && left.is_none() {
            tell(Event::Ending { running: running.len() });
            left = Some(Instant::now() + grace);
        }
        let out_of_patience = async {
            match left {
                Some(left) => sleep_until(left).await,
                None => std::future::pending().await,
            }
        };
        while heard == 0 && running.len() < AT_ONCE {
            let Some((index, job)) = jobs.next() else { break };
            running.insert(index);
            tasks.spawn_local(async move { (index, job.await) });
        }
        tokio::select! {
            // What has ended is told before it is said that it was left.
            biased;
            ended = tasks.join_next() => match ended {
                Some(Ok((index, result))) => {
                    running.remove(&index);
                    tell(Event::Ended(index, Ended::Done(result)));
                }
                Some(Err(_)) => {}
                None => break,
            },
            () = stop.more_than(heard) => {}
            () = out_of_patience => break,
        }
    }
    tasks.shutdown().await;
    for index in running {
        tell(Event::Ended(index, Ended::Left));
    }
    for (index, _) in jobs {
        tell(Event::Ended(index, Ended::NotBegun));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::sync::Notify;

    use super::*;

    type Events = Vec<Event<usize>>;

    /// Runs `count` jobs, each of which waits for a word; `drive` gives the words and asks to stop.
    fn run_all<D: Future<Output = ()>>(
        count: usize,
        drive: impl FnOnce(Rc<Vec<Notify>>, watch::Sender<u32>, Rc<RefCell<Vec<usize>>>) -> D,
    ) -> Events {
        run_all_with(count, Duration::ZERO, drive)
    }

    /// The same, with a time for those that end.
    fn run_all_with<D: Future<Output = ()>>(
        count: usize,
        grace: Duration,
        drive: impl FnOnce(Rc<Vec<Notify>>, watch::Sender<u32>, Rc<RefCell<Vec<usize>>>) -> D,
    ) -> Events {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        let events = RefCell::new(Vec::new());
        local.block_on(&runtime, async {
            let words: Rc<Vec<_>> = Rc::new((0..count).map(|_| Notify::new()).collect());
            let begun = Rc::new(RefCell::new(Vec::new()));
            let (asked, stop) = watch::channel(0);
            let jobs = (0..count).map(|index| {
                let (words, begun) = (Rc::clone(&words), Rc::clone(&begun));
                async move {
                    begun.borrow_mut().push(index);
                    words[index].notified().await;
                    index
                }
            });
            let all = run(jobs, Stop(stop), grace, |event| events.borrow_mut().push(event));
            tokio::join!(all, drive(Rc::clone(&words), asked, Rc::clone(&begun)));
        });
        events.into_inner()
    }

    /// Lets everything happen that can.
    async fn settle() {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    fn done(index: usize) -> Event<usize> {
        Event::Ended(index, Ended::Done(index))
    }

    #[test]
    fn so_many_at_once_and_one_more_for_each_that_ends() {
        let events = run_all(AT_ONCE + 3, async |words, _asked, begun| {
            settle().await;
            assert_eq!(*begun.borrow(), (0..AT_ONCE).collect::<Vec<_>>());
            words[5].notify_one();
            settle().await;
            assert_eq!(begun.borrow().len(), AT_ONCE + 1);
            words.iter().for_each(Notify::notify_one);
        });
        assert_eq!(events.len(), AT_ONCE + 3);
        assert_eq!(events[0], done(5));
        for index in 0..AT_ONCE + 3 {
            assert!(events.contains(&done(index)), "{events:?}");
        }
    }

    #[test]
    fn one_that_hangs_keeps_nobody() {
        let events = run_all(40, async |words, _asked, begun| {
            words.iter().skip(1).for_each(Notify::notify_one);
            settle().await;
            assert_eq!(begun.borrow().len(), 40);
            words[0].notify_one();
        });
        assert_eq!((events.len(), events.last()), (40, Some(&done(0))));
    }

    #[test]
    fn the_first_word_begins_nothing_more_and_waits() {
        let events = run_all(AT_ONCE + 2, async |words, asked, begun| {
            settle().await;
            asked.send_replace(1);
            settle().await;
            words.iter().for_each(Notify::notify_one);
            settle().await;
            assert_eq!(begun.borrow().len(), AT_ONCE);
        });
        assert_eq!(events[0], Event::Stopping { running: AT_ONCE });
        assert_eq!(events.len(), 1 + AT_ONCE + 2);
        assert_eq!(events[AT_ONCE], done(AT_ONCE - 1));
        for (place, index) in [(1, AT_ONCE), (2, AT_ONCE + 1)] {
            assert_eq!(events[AT_ONCE + place], Event::Ended(index, Ended::NotBegun));
        }
    }

    #[test]
    fn the_second_word_waits_for_nobody() {
        let events = run_all(AT_ONCE + 1, async |words, asked, _begun| {
            settle().await;
            asked.send_replace(1);
            words[3].notify_one();
            settle().await;
            asked.send_replace(2);
        });
        let ended = |wanted: &Ended<usize>| {
            events.iter().filter(|event| matches!(event, Event::Ended(_, ended) if ended == wanted)).count()
        };
        assert!(events.contains(&done(3)), "{events:?}");
        assert_eq!((ended(&Ended::Left), ended(&Ended::NotBegun)), (AT_ONCE - 1, 1));
    }

    #[test]
    fn what_can_be_ended_has_a_time_for_it_and_the_third_word_none() {
        let forever = Duration::from_secs(100_000);
        let events = run_all_with(2, forever, async |words, asked, _begun| {
            settle().await;
            asked.send_replace(1);
            asked.send_replace(2);
            settle().await;
            words[1].notify_one();
            settle().await;
            asked.send_replace(3);
        });
        assert_eq!(events[1..], [Event::Ending { running: 2 }, done(1), Event::Ended(0, Ended::Left)]);
        let short = Duration::from_millis(50);
        let events = run_all_with(1, short, async |_words, asked, _begun| {
            settle().await;
            asked.send_replace(2);
        });
        assert_eq!(events[1..], [Event::Ending { running: 1 }, Event::Ended(0, Ended::Left)]);
    }

    #[test]
    fn a_word_before_the_beginning_counts() {
        let events = run_all(2, async |words, asked, begun| {
            asked.send_replace(2);
            words.iter().for_each(Notify::notify_one);
            settle().await;
            assert!(begun.borrow().len() <= 2);
        });
        assert_eq!(events.len(), 3, "{events:?}");
    }
}
