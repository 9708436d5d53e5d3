//! The one thread's runtime.

use std::fs::File;
use std::io;

use tokio::runtime::{Builder, Runtime};

/// As many descriptors as tokio opens for itself, and some more: for its poller, to be woken, for signals.
const DESCRIPTORS: usize = 8;

/// Makes a runtime for this thread. tokio panics when it finds no descriptor for its signals, so they are tried before.
pub(crate) fn build() -> io::Result<Runtime> {
    let spare: Vec<File> = (0..DESCRIPTORS).map(|_| File::open("/dev/null")).collect::<io::Result<_>>()?;
    drop(spare);
    Builder::new_current_thread().enable_all().build()
}
