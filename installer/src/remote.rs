//! Commands on many hosts: all that is typed is understood and read before the first host is asked.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use cluster::flow::{self, Ask, Task};
use cluster::inventory::{Inventory, Role, Words};
use cluster::remote::run::MAX_COMMAND;
use cluster::remote::transfer::{Source, check_path};
use lvscare::exit::{Exit, Failure};
use node::api::Request;

use crate::cli::remote::{RemoteRequest, Wanted};
use crate::report::refuse;
use crate::report::remote::{RemoteReporter, exit_of_flow};
use crate::run_log::RunLog;

/// Does it.
pub(crate) fn run(request: RemoteRequest) -> Exit {
    let RemoteRequest { words, login, wanted, mut form, log_dir } = request;
    let command = wanted.name();
    if let Wanted::Change { request, .. } = &wanted {
        form.request = Some(request.clone());
    }
    let (inventory, task, login) = match (inventory(&words, &wanted), task(wanted), login.read()) {
        (Ok(inventory), Ok(task), Ok(login)) => (inventory, task, login),
        (inventory, task, login) => {
            let mistakes = [inventory.err(), task.err(), login.err()];
            for mistake in mistakes.into_iter().flatten().flatten() {
                refuse(&mistake);
            }
            return Exit::Usage;
        }
    };
    let notes = login.notes.clone();
    let access = match login.ask(&inventory.user) {
        Ok(access) => access,
        Err(Failure { exit, message }) => {
            refuse(&message);
            return exit;
        }
    };
    let mut reporter = RemoteReporter::new(form, &inventory.hosts, RunLog::begin(log_dir, command));
    for note in &notes {
        reporter.warn(note);
    }
    let reporter = Rc::new(RefCell::new(reporter));
    if let Err(error) = flow::run(task, &inventory, access, &reporter) {
        let exit = exit_of_flow(&error);
        reporter.borrow_mut().refuse(&error.to_string(), exit);
        return exit;
    }
    reporter.borrow_mut().finish()
}

/// The hosts that are meant.
fn inventory(words: &Words, wanted: &Wanted) -> Result<Inventory, Vec<String>> {
    let mut inventory = Inventory::new(words)?;
    if let Wanted::Change { spares_masters: true, .. } = wanted {
        if words.masters.is_empty() {
            return Err(vec!["there is no master; name every apiserver with --master".to_owned()]);
        }
        inventory.hosts.retain(|host| host.role != Some(Role::Master));
        if inventory.hosts.is_empty() {
            let text =
                "masters are named, and not touched; name the nodes with --node, or other hosts with --host";
            return Err(vec![text.to_owned()]);
        }
    }
    Ok(inventory)
}

/// Of the program that runs here.
fn own_program() -> Result<Source, Vec<String>> {
    Source::new(Path::new("/proc/self/exe")).map_err(|error| vec![error.to_string()])
}

fn ask(request: Request, archive: Option<&Path>, every: Option<Duration>) -> Result<Task, Vec<String>> {
    let archive = archive.map(|file| Source::new(file).map_err(|error| vec![format!("--import {error}")]));
    // Without it only the process and the time are told.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let by = format!("a controller on {}", host.trim());
    let (program, archive) = (own_program()?, archive.transpose()?);
    Ok(Task::Ask(Box::new(Ask { program, request, archive, every, by })))
}

/// What is done on each host; a file is read for it.
fn task(wanted: Wanted) -> Result<Task, Vec<String>> {
    let mut mistakes = Vec::new();
    let task = match wanted {
        Wanted::Ping => Task::Ping,
        Wanted::Status { every } => ask(Request::Status, None, every)?,
        Wanted::Change { request, archive, .. } => ask(request, archive.as_deref(), None)?,
        Wanted::Resume => Task::Resume { program: own_program()? },
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
