//! For which processor a program is, by its first bytes. Pure.

use serde::{Deserialize, Serialize};

/// A kind of processor; its `Display` is the name that Kubernetes and images have for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arch(String);

/// How many bytes of a program are looked at.
pub const HEAD_BYTES: usize = 20;

/// Numbers of the ELF header's field `e_machine` (elf.h), and names.
const MACHINES: [(u16, &str); 8] = [
    (3, "386"),
    (21, "ppc64le"),
    (22, "s390x"),
    (40, "arm"),
    (62, "amd64"),
    (183, "arm64"),
    (243, "riscv64"),
    (258, "loong64"),
];

impl Arch {
    /// By the name that Kubernetes has for it, or by that which `uname -m` prints.
    pub fn named(name: &str) -> Option<Self> {
        let name = match name {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "i686" | "i386" => "386",
            name => name,
        };
        MACHINES.iter().any(|(_, known)| *known == name).then(|| Self(name.to_owned()))
    }

    /// Of a program, by its beginning; `None` when it is no program for Linux.
    pub fn of_program(head: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD_BYTES] = head.first_chunk()?;
        let number = [head[18], head[19]];
        let machine = match head {
            [0x7f, b'E', b'L', b'F', _, 1, ..] => u16::from_le_bytes(number),
            [0x7f, b'E', b'L', b'F', _, 2, ..] => u16::from_be_bytes(number),
            _ => return None,
        };
        let name = MACHINES.iter().find(|(known, _)| *known == machine).map(|(_, name)| (*name).to_owned());
        Some(Self(name.unwrap_or_else(|| format!("machine {machine}"))))
    }
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
