//! `/etc/hosts` (`hosts(5)`), edited without touching a byte of anybody else's. Pure: bytes in, bytes out.
//!
//! ```text
//! 127.0.0.1 localhost
//! 10.0.0.9 registry # lvscare-installer: 10.0.0.9 apiserver.cluster.local registry
//! # BEGIN lvscare-installer
//! # To take a name out again: lvscare-installer hosts unset NAME
//! 10.103.97.2 apiserver.cluster.local
//! # END lvscare-installer
//! ```
//!
//! Our entries stand in one block. A line of somebody else that has one of our names is refused, or on demand
//! *covered*: its other names stay, and the line as it was follows in a comment. So [`unset`] brings back every byte.

use std::net::IpAddr;

use serde::Serialize;

use crate::api::{Failure, HostEntry, Kind};
use crate::spec::names::{NameError, check_resolvable};
use crate::step::HostsEdit;

mod text;

#[cfg(test)]
mod tests;

use text::{Block, Text};

/// A line that is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// Its number, from 1.
    pub line: usize,
    /// What it says, without the end of line.
    pub text: String,
}

/// Why a file is not edited.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name is none.
    #[error("{0}")]
    Name(#[from] NameError),
    /// Somebody else says what the name means.
    #[error(
        "line {} of the hosts file says what {name} means: `{}`; remove it, or let it be commented out with --force",
        line.line,
        line.text
    )]
    Foreign {
        /// The name.
        name: String,
        /// The first line that has it.
        line: Foreign,
    },
    /// The block is not as it was made.
    #[error(
        "line {line} of the hosts file: {why}; mend it by hand, from `# BEGIN` to `# END lvscare-installer`"
    )]
    Block {
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
}

/// The file after an edit of our entries.
pub fn edit(file: &[u8], edit: &HostsEdit) -> Result<Vec<u8>, Error> {
    match edit {
        HostsEdit::Set { name, address, force } => set(file, name, *address, *force),
        HostsEdit::Unset { name } => unset(file, name),
    }
}

/// The file with `name` meaning `address`; the same bytes when it does already. `force` covers other lines of `name`.
pub fn set(file: &[u8], name: &str, address: IpAddr, force: bool) -> Result<Vec<u8>, Error> {
    check_resolvable(name)?;
    let mut text = Text::parse(file)?;
    let names = text.names();
    let mut covers = Vec::new();
    for line in &mut text.lines {
        let defines = line.defines(name);
        if defines && !force {
            return Err(Error::Foreign { name: name.to_owned(), line: line.foreign() });
        }
        covers.push(line.uncover(&names) || defines);
    }
    text.set(HostEntry { name: name.to_owned(), address });
    let names = text.names();
    for (line, _) in text.lines.iter_mut().zip(covers).filter(|(_, covers)| *covers) {
        line.cover(&names);
    }
    Ok(text.print())
}

/// The file without our entry for `name`, if there is one, and with the lines back that it covered.
pub fn unset(file: &[u8], name: &str) -> Result<Vec<u8>, Error> {
    let mut text = Text::parse(file)?;
    let mut names = text.names();
    names.push(name.to_owned());
    let covered: Vec<_> = text.lines.iter_mut().map(|line| line.uncover(&names)).collect();
    text.unset(name);
    let names = text.names();
    for (line, _) in text.lines.iter_mut().zip(covered).filter(|(_, covered)| *covered) {
        line.cover(&names);
    }
    Ok(text.print())
}

/// Our entries, in their order.
pub fn list(file: &[u8]) -> Result<Vec<HostEntry>, Error> {
    Ok(Text::parse(file)?.block.map_or_else(Vec::new, |block| block.entries))
}

/// What our entry for `name` says.
pub fn entry(file: &[u8], name: &str) -> Result<Option<IpAddr>, Error> {
    Ok(list(file)?.into_iter().find(|entry| entry.name == name).map(|entry| entry.address))
}

/// The lines of somebody else that say what `name` means.
pub fn others(file: &[u8], name: &str) -> Result<Vec<Foreign>, Error> {
    let text = Text::parse(file)?;
    Ok(text.lines.iter().filter(|line| line.defines(name)).map(text::Line::foreign).collect())
}

/// The names that `address` has, on lines of ours and of others.
pub fn names_of(file: &[u8], address: IpAddr) -> Result<Vec<String>, Error> {
    let text = Text::parse(file)?;
    let ours = text.block.iter().flat_map(|block| &block.entries).filter(|entry| entry.address == address);
    let ours: Vec<_> = ours.map(|entry| entry.name.clone()).collect();
    let others = text.lines.iter().flat_map(|line| line.names_of(address));
    Ok(others.chain(ours).collect())
}

impl Text {
    fn names(&self) -> Vec<String> {
        self.block.iter().flat_map(|block| &block.entries).map(|entry| entry.name.clone()).collect()
    }

    fn set(&mut self, entry: HostEntry) {
        let block = self.block.get_or_insert_with(|| Block::after(&mut self.lines));
        match block.entries.iter_mut().find(|other| other.name == entry.name) {
            Some(other) => *other = entry,
            None => block.entries.push(entry),
        }
    }

    /// The block goes with its last entry.
    fn unset(&mut self, name: &str) {
        let Some(block) = &mut self.block else { return };
        block.entries.retain(|entry| entry.name != name);
        if block.entries.is_empty() {
            let block = self.block.take();
            if block.is_some_and(|block| block.ended_the_line && block.at == self.lines.len())
                && let Some(last) = self.lines.last_mut()
            {
                last.pop_end();
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Name(_) => Kind::Usage,
            Error::Foreign { .. } => Kind::Foreign,
            Error::Block { .. } => Kind::Invalid,
        };
        Self::new(kind, error.to_string())
    }
}
