//! `ping`, `exec` and `copy`: all that is typed is understood and read before the first host is asked.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;

use cluster::flow::{self, Task};
use cluster::inventory::Inventory;
use cluster::remote::run::MAX_COMMAND;
use cluster::remote::transfer::{Source, check_path};
use lvscare::exit::{Exit, Failure};

use crate::cli::remote::{RemoteRequest, Wanted};
use crate::report::refuse;
use crate::report::remote::{RemoteReporter, exit_of};

/// Does it.
pub(crate) fn run(request: RemoteRequest) -> Exit {
    let RemoteRequest { words, login, wanted, output } = request;
    let has_table = matches!(wanted, Wanted::Ping);
    let (inventory, task, login) = match (Inventory::new(&words), task(wanted), login.read()) {
        (Ok(inventory), Ok(task), Ok(login)) => (inventory, task, login),
        (inventory, task, login) => {
            let mistakes = [inventory.err(), task.err(), login.err()];
            for mistake in mistakes.into_iter().flatten().flatten() {
                refuse(&mistake);
            }
            return Exit::Usage;
        }
    };
    let mut reporter = RemoteReporter::new(output, has_table, &inventory.hosts);
    for note in &login.notes {
        reporter.warn(note);
    }
    let access = match login.ask(&inventory.user) {
        Ok(access) => access,
        Err(Failure { exit, message }) => {
            refuse(&message);
            return exit;
        }
    };
    let reporter = Rc::new(RefCell::new(reporter));
    if let Err(error) = flow::run(task, &inventory, access, &reporter) {
        refuse(&error.to_string());
        return match error {
            flow::Error::Bastion(error) => exit_of(error.kind()),
            flow::Error::System(_) => Exit::Failed,
        };
    }
    reporter.borrow().finish()
}

/// What is done on each host; a file is read for it.
fn task(wanted: Wanted) -> Result<Task, Vec<String>> {
    let mut mistakes = Vec::new();
    let task = match wanted {
        Wanted::Ping => Task::Ping,
        Wanted::Exec { command, as_root } => {
            if command.trim().is_empty() {
                mistakes.push("the command is empty".to_owned());
            }
            if command.len() > MAX_COMMAND {
                mistakes
                    .push(format!("the command is longer than {} KiB; copy it as a file", MAX_COMMAND >> 10));
            }
            Task::Exec { command, as_root }
        }
        Wanted::Copy { file, dest, mode, as_root } => {
            if let Err(why) = check_path(&dest) {
                mistakes.push(format!("DEST {why}"));
            }
            let mode = match mode {
                Some(text) => mode_of(&text).map_err(|why| mistakes.push(format!("--mode {why}"))).ok(),
                None => mode_here(&file),
            };
            match Source::new(&file) {
                Ok(source) => Task::Copy { source, path: dest, mode: mode.unwrap_or(0o600), as_root },
                Err(error) => {
                    mistakes.push(error.to_string());
                    Task::Ping
                }
            }
        }
    };
    if mistakes.is_empty() { Ok(task) } else { Err(mistakes) }
}

/// Permissions, and nothing that makes a program somebody else's.
fn mode_of(text: &str) -> Result<u32, String> {
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if is_octal && mode <= 0o777 => Ok(mode),
        _ => Err(format!("`{text}` is not a mode from 0000 to 0777, such as 0644")),
    }
}

fn mode_here(file: &Path) -> Option<u32> {
    fs::metadata(file).ok().map(|metadata| metadata.permissions().mode() & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_of_permissions_only() {
        for (text, wanted) in
            [("0644", Some(0o644)), ("600", Some(0o600)), ("0000", Some(0)), ("0777", Some(0o777))]
        {
            assert_eq!(mode_of(text).ok(), wanted);
        }
        for text in ["", "7", "44", "4755", "0888", "+755", "0x1f", "00644", "u+x"] {
            assert!(mode_of(text).unwrap_err().contains("is not a mode"), "{text}");
        }
    }
}
