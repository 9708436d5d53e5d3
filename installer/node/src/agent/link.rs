//! Commands in, replies out, with bounds on all that the other side can do to us.
//!
//! Requests are done by code that waits: for a program, for a pod. So a thread of its own reads, to see `cancel` and the
//! end of the link meanwhile, on any kind of stream and without a poll in every wait. Another one writes, because a
//! stream cannot be written to with a limit of time: whoever asks and does not read is taken for gone.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use super::lines::Lines;
use super::wire::{Command, Reply, decode, encode};
use crate::api::{Event, Failure};
use crate::machine::Cancel;

/// Both ways to a controller.
#[derive(Debug)]
pub struct Link {
    commands: Receiver<Result<Command, Failure>>,
    is_busy: Arc<AtomicBool>,
    lines: SyncSender<Vec<u8>>,
    written: Receiver<io::Result<()>>,
    patience: Duration,
    cancel: Cancel,
    is_lost: bool,
}

impl Link {
    /// Over these streams. A controller that reads nothing for `patience` is gone. `cancel` is asked when it says so,
    /// and when it is gone.
    pub fn open(
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
        cancel: Cancel,
        patience: Duration,
    ) -> io::Result<Self> {
        let is_busy = Arc::new(AtomicBool::new(false));
        let (heard, commands) = channel();
        let reader =
            Reader { lines: Lines::new(input), heard, is_busy: is_busy.clone(), cancel: cancel.clone() };
        // A system without room for a thread is told as what it is; a thread's own panic would end the process.
        Builder::new().name("reader".into()).spawn(|| reader.run())?;
        let (lines, to_write) = sync_channel(0);
        let (tell, written) = channel();
        Builder::new().name("writer".into()).spawn(move || write(output, &to_write, &tell))?;
        Ok(Self { commands, is_busy, lines, written, patience, cancel, is_lost: false })
    }

    /// The next command; `None` when no more can come.
    pub fn receive(&mut self) -> Option<Result<Command, Failure>> {
        if self.is_lost { None } else { self.commands.recv().ok() }
    }

    /// Tells of something on the way.
    pub fn send(&mut self, reply: &Reply) {
        let line = encode(reply).or_else(|_| {
            let text = "something happened that is too long to be told; see the machine itself".to_owned();
            encode(&Reply::Event { event: Event::Note { text } })
        });
        if let Ok(line) = line {
            self.write(line);
        }
    }

    /// Tells how a command ended; another one may come.
    pub fn end(&mut self, reply: &Reply) {
        let line = encode(reply).or_else(|failure| encode(&Reply::Failed { failure }));
        self.is_busy.store(false, Ordering::SeqCst);
        if let Ok(line) = line {
            self.write(line);
        }
    }

    /// Writes a line that is no reply.
    pub fn write(&mut self, line: Vec<u8>) {
        if self.is_lost {
            return;
        }
        // One line is on its way at a time: nothing piles up.
        let is_written =
            self.lines.send(line).is_ok() && matches!(self.written.recv_timeout(self.patience), Ok(Ok(())));
        if !is_written {
            self.is_lost = true;
            self.cancel.ask();
        }
    }
}

fn write(mut output: impl Write, lines: &Receiver<Vec<u8>>, tell: &Sender<io::Result<()>>) {
    for line in lines {
        let written = output.write_all(&line).and_then(|()| output.flush());
        if tell.send(written).is_err() {
            return;
        }
    }
}

struct Reader<R> {
    lines: Lines<R>,
    heard: Sender<Result<Command, Failure>>,
    is_busy: Arc<AtomicBool>,
    cancel: Cancel,
}

impl<R: Read> Reader<R> {
    /// Until the input ends, or says what it must not.
    fn run(mut self) {
        loop {
            let heard = match self.lines.read() {
                Ok(None) => break,
                // It says only that somebody is there.
                Ok(Some(line)) if line.is_empty() => continue,
                Ok(Some(line)) => decode(&line),
                Err(error) => Err(Failure::usage(error.to_string())),
            };
            let heard = match heard {
                Ok(Command::Cancel) => {
                    // Nothing may be at work any more, or yet; the next command begins anew.
                    self.cancel.ask();
                    continue;
                }
                Ok(_) if self.is_busy.swap(true, Ordering::SeqCst) => {
                    Err(Failure::usage("a command came while another one was at work; only `cancel` may"))
                }
                heard => heard,
            };
            let is_wrong = heard.is_err();
            if is_wrong {
                self.cancel.ask();
            } else {
                self.cancel.clear();
            }
            if self.heard.send(heard).is_err() || is_wrong {
                return;
            }
        }
        // Whoever asked is gone: nobody is there who could want more.
        self.cancel.ask();
    }
}
