//! The one thread's runtime.

use std::fs::File;
use std::io;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use crate::timer;

/// As many descriptors as tokio opens for itself, and some more: for its poller, to be woken, for signals.
const DESCRIPTORS: usize = 8;

/// The first attempt on a slow machine may take milliseconds; then nobody knows when its clock began to run.
const ATTEMPTS: u32 = 5;

/// Makes a runtime for this thread. tokio panics when it finds no descriptor for its signals, so they are tried before.
pub(crate) fn build() -> io::Result<Runtime> {
    let spare: Vec<File> = (0..DESCRIPTORS).map(|_| File::open("/dev/null")).collect::<io::Result<_>>()?;
    drop(spare);
    let mut attempts = ATTEMPTS;
    loop {
        attempts -= 1;
        let before = Instant::now();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        if before.elapsed() < timer::EXACT || attempts == 0 {
            timer::start(before);
            return Ok(runtime);
        }
    }
}
