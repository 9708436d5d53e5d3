//! A hosts file as lines of bytes, with our block taken out of them. Whatever is not ours is kept as it is, valid or
//! not.

use std::net::IpAddr;
use std::str::from_utf8;

use super::{Error, Foreign};
use crate::api::HostEntry;

const BEGIN: &str = "# BEGIN lvscare-installer";
/// The mark of a block before which a line had to be ended.
const BEGIN_AFTER_OPEN_LINE: &str = "# BEGIN lvscare-installer, after a line without an end";
const HINT: &str = "# To take a name out again: lvscare-installer hosts unset NAME";
const END: &str = "# END lvscare-installer";
/// What follows in a covered line is the line as it was.
const COVER: &[u8] = b"# lvscare-installer: ";

/// A hosts file.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// All lines but ours.
    pub(super) lines: Vec<Line>,
    /// Ours.
    pub(super) block: Option<Block>,
}

/// A line that is not in the block, with its end if it has one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    number: usize,
    bytes: Vec<u8>,
}

/// Our lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// How many other lines stand before it.
    pub(super) at: usize,
    /// Whether the line before it had no end, and was given one.
    pub(super) ended_the_line: bool,
    /// What it says.
    pub(super) entries: Vec<HostEntry>,
}

impl Text {
    pub(super) fn parse(file: &[u8]) -> Result<Self, Error> {
        let mut text = Self::default();
        // The number of the line where the block begins, while it has not ended.
        let mut open = None;
        for (number, bytes) in (1..).zip(file.split_inclusive(|&byte| byte == b'\n')) {
            let wrong = |why: String| Err(Error::Block { line: number, why });
            let said = from_utf8(bytes).map(str::trim_end).unwrap_or_default();
            let ended_the_line = said == BEGIN_AFTER_OPEN_LINE;
            if ended_the_line || said == BEGIN {
                if let Some(begin) = open {
                    return wrong(format!("a block begins in the block that began in line {begin}"));
                }
                if text.block.is_some() {
                    return wrong("a second block begins".to_owned());
                }
                open = Some(number);
                text.block = Some(Block { at: text.lines.len(), ended_the_line, entries: Vec::new() });
            } else if said == END {
                if open.take().is_none() {
                    return wrong("a block ends that has not begun".to_owned());
                }
            } else if let (Some(_), Some(block)) = (open, &mut text.block) {
                match entry(said) {
                    Some(entry) => block.entries.push(entry),
                    None if said == HINT => {}
                    None => {
                        return wrong(
                            "it stands in the block and was not made by lvscare-installer".to_owned(),
                        );
                    }
                }
            } else {
                text.lines.push(Line { number, bytes: bytes.to_owned() });
            }
        }
        match open {
            Some(line) => Err(Error::Block { line, why: "a block begins and does not end".to_owned() }),
            None => Ok(text),
        }
    }

    pub(super) fn print(&self) -> Vec<u8> {
        let (before, after) = self.lines.split_at(self.block.as_ref().map_or(0, |block| block.at));
        let mut file = before.iter().map(|line| line.bytes.as_slice()).collect::<Vec<_>>().concat();
        if let Some(block) = &self.block {
            file.extend(block.print().into_bytes());
        }
        file.extend(after.iter().flat_map(|line| &line.bytes));
        file
    }
}

/// `ADDRESS NAME`, as [`Block::print`] writes it.
fn entry(said: &str) -> Option<HostEntry> {
    let (address, name) = said.split_once(' ')?;
    crate::spec::names::check_name(name).ok()?;
    Some(HostEntry { name: name.to_owned(), address: address.parse().ok()? })
}

impl Block {
    /// A new block below all lines.
    pub(super) fn after(lines: &mut [Line]) -> Self {
        let open = lines.last_mut().filter(|line| !line.bytes.ends_with(b"\n"));
        let ended_the_line = open.map(|line| line.bytes.push(b'\n')).is_some();
        Self { at: lines.len(), ended_the_line, entries: Vec::new() }
    }

    fn print(&self) -> String {
        let begin = if self.ended_the_line { BEGIN_AFTER_OPEN_LINE } else { BEGIN };
        let entry = |HostEntry { name, address }: &HostEntry| format!("{address} {name}\n");
        let entries: String = self.entries.iter().map(entry).collect();
        format!("{begin}\n{HINT}\n{entries}{END}\n")
    }
}

impl Line {
    /// Whether it gives `name` an address, as canonical name or alias. Resolvers differ in the addresses that they
    /// take; here any word will do.
    pub(super) fn defines(&self, name: &str) -> bool {
        words(&self.bytes).skip(1).any(|word| is(word, name))
    }

    /// The names that it gives to `address`.
    pub(super) fn names_of(&self, address: IpAddr) -> Vec<String> {
        let mut words = words(&self.bytes).filter_map(|word| from_utf8(word).ok());
        match words.next().map(str::parse::<IpAddr>) {
            Some(Ok(said)) if said == address => words.map(str::to_lowercase).collect(),
            _ => Vec::new(),
        }
    }

    /// Comments the line out as far as it has one of `names`.
    pub(super) fn cover(&mut self, names: &[String]) {
        if let Some(covered) = covered(&self.bytes, names) {
            self.bytes = covered;
        }
    }

    /// Turns a line that is covered because of `names` into what it was. One that somebody has changed since is his.
    pub(super) fn uncover(&mut self, names: &[String]) -> bool {
        let mark = self.bytes.windows(COVER.len()).position(|window| window == COVER);
        let Some(original) = mark.map(|mark| &self.bytes[mark + COVER.len()..]) else { return false };
        if covered(original, names).as_deref() != Some(&self.bytes) {
            return false;
        }
        self.bytes = original.to_owned();
        true
    }

    /// Takes away the end that the block needed.
    pub(super) fn pop_end(&mut self) {
        if self.bytes.ends_with(b"\n") {
            self.bytes.pop();
        }
    }

    pub(super) fn foreign(&self) -> Foreign {
        Foreign { line: self.number, text: String::from_utf8_lossy(&self.bytes).trim_end().to_owned() }
    }
}

/// The line without `names` and then, in a comment, as it was; `None` if it has none of them.
fn covered(line: &[u8], names: &[String]) -> Option<Vec<u8>> {
    let ours = |word: &&[u8]| names.iter().any(|name| is(word, name));
    if !words(line).skip(1).any(|word| ours(&word)) {
        return None;
    }
    let mut kept: Vec<_> =
        words(line).take(1).chain(words(line).skip(1).filter(|word| !ours(word))).collect();
    // An address alone says nothing.
    if kept.len() == 1 {
        kept.clear();
    }
    let mut covered = Vec::new();
    for word in kept {
        covered.extend(word);
        covered.push(b' ');
    }
    covered.extend(COVER);
    covered.extend(line);
    Some(covered)
}

/// The words before a comment.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let said = line.split(|&byte| byte == b'#').next().unwrap_or_default();
    said.split(|&byte| byte.is_ascii_whitespace() || byte == b'\x0b').filter(|word| !word.is_empty())
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}
