//! One command, one file.

use std::io::{self, Write};
use std::time::SystemTime;

use lvscare::exit::{Exit, Failure};

pub(crate) mod check;
pub(crate) mod hosts;
pub(crate) mod join;
pub(crate) mod pod;
pub(crate) mod prepare;
pub(crate) mod set_masters;
pub(crate) mod status;
pub(crate) mod undo;

/// What another run is told when it finds this one at work.
fn holder(command: &str) -> String {
    let since = httpdate::fmt_http_date(SystemTime::now());
    format!("process {}, `lvscare-installer {command}`, since {since}", std::process::id())
}

fn say(line: &str) -> Result<(), Failure> {
    print(format!("{line}\n").as_bytes())
}

/// A reader that went away is no failure.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    match io::stdout().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Failed, format!("cannot write the answer: {error}")))
        }
        _ => Ok(()),
    }
}
