//! Ctrl-C and its like: no change of a node is left half-way by them.
//!
//! After the first signal no step is begun any more, and what is at work goes on to its end: a `kubeadm join` that is cut
//! short has to be reset. The second ends a program that is at work (SIGTERM), the third does so at once (SIGKILL).
//! Whatever it was, what came of it is noted and told, secrets are removed, and the machine is unlocked.

use std::future::poll_fn;
use std::task::Poll;
use std::{fs, io, thread};

use node::machine::Cancel;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::report::refuse;

/// Listens until the process ends. A signal that is ignored stays so: `nohup` ignores SIGHUP, a shell SIGINT for what it
/// runs in the background.
pub(crate) fn listen(cancel: Cancel) -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _within = runtime.enter();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let heard = kinds.into_iter().filter(|kind| !is_ignored(&status, kind.as_raw_value()));
        heard.map(signal).collect::<io::Result<Vec<_>>>()?
    };
    let listener = move || {
        runtime.block_on(async {
            loop {
                poll_fn(|context| {
                    let came = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
                    if came { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                refuse(told(cancel.ask_again()));
            }
        });
    };
    thread::Builder::new().name("signals".into()).spawn(listener)?;
    Ok(())
}

/// What is said after so many signals.
fn told(times: u32) -> &'static str {
    match times {
        0 | 1 => {
            "stopping: no step is begun any more, and a program that is at work, such as kubeadm, goes on to its end; the \
             same signal again ends it"
        }
        2 => "ending the program that is at work; the same signal again kills it",
        _ => "killing the program that is at work",
    }
}

/// Signals are numbered from 1, the bits of `SigIgn` in `proc_pid_status(5)` from 0.
fn is_ignored(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    u32::try_from(number - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_known_by_its_number() {
        let status = "Name:\tx\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        let ignored: Vec<i32> = (0..=64).filter(|number| is_ignored(status, *number)).collect();
        assert_eq!(ignored, [1, 13]);
        assert!(!is_ignored("", 1) && !is_ignored("SigIgn:\tx", 1));
    }
}
