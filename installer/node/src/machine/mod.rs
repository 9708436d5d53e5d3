//! All that a machine can be asked and made to do. [`linux`] is the one we run on.
//!
//! Paths are absolute, and those of the machine.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use lvscare::doctor::facts::visit::{Caller, Visit};
use lvscare::doctor::facts::{self as doctor};
use lvscare::kernel::address::InterfaceAddress;
use lvscare::model::{Actual, Change};
use lvscare::question::{self, Question, Reply};
use lvscare::status::Status;

use crate::api::Failure;
use crate::package;
use crate::package::images::Image;
use crate::step::{Content, Digest};

pub mod cancel;
pub mod files;
pub mod linux;
pub mod lock;
pub mod programs;

pub use cancel::Cancel;
pub use files::Mended;
pub use programs::{Finished, Program, Supervised};

/// A machine.
pub trait Machine {
    /// A regular file; `None` when there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Content>>;

    /// The names in a directory; `None` when there is no such directory.
    fn entries(&self, directory: &Path) -> Option<Vec<String>>;

    /// Gives a file its content, whole or not at all.
    fn write(&mut self, path: &Path, content: &Content) -> io::Result<()>;

    /// What a file of any length holds; `None` when there is none.
    fn digest(&self, path: &Path) -> io::Result<Option<Digest>>;

    /// Gives `to` the content of `from`, of any length, whole or not at all: with `mode` as a file of root's, without as
    /// `from` in every respect.
    fn copy(&mut self, from: &Path, to: &Path, mode: Option<u32>) -> io::Result<()>;

    /// Tidies up after a write that was cut short, perhaps by a crash.
    fn mend(&mut self, path: &Path) -> io::Result<Mended>;

    /// Removes a file; that there is none is fine.
    fn remove(&mut self, path: &Path) -> io::Result<()>;

    /// Makes a directory with these permissions, and those above it.
    fn make_directory(&mut self, path: &Path, mode: u32) -> io::Result<()>;

    /// Removes a directory. Returns whether it is gone: one that somebody else uses stays.
    fn remove_directory(&mut self, path: &Path) -> io::Result<bool>;

    /// Unpacks the package `archive`, if it has this SHA-256, into [`paths::package`](crate::paths::package).
    fn unpack(&mut self, archive: &Path, sha256: &Digest) -> Result<(), package::Error>;

    /// Removes all packages that were unpacked.
    fn remove_packages(&mut self) -> io::Result<()>;

    /// The images in an archive of them.
    fn images_in(&self, archive: &Path) -> Result<Vec<Image>, package::Error>;

    /// Sets a kernel setting, such as `net.ipv4.ip_forward`; it is read as a file below `/proc/sys`.
    fn set_sysctl(&mut self, name: &str, value: &str) -> io::Result<()>;

    /// What keeps a place from being written to.
    fn place(&self, path: &Path) -> Place;

    /// Has the kernel load a module.
    fn load_module(&mut self, name: &str) -> Result<(), Failure>;

    /// Virtual servers and the routes to them. Asking loads no module: without IPVS there are no virtual servers.
    fn rules(&mut self, services: &[SocketAddr]) -> Result<Actual, Failure>;

    /// Changes route or IPVS table. That somebody else was faster is fine.
    fn change(&mut self, change: &Change) -> Result<(), Failure>;

    /// The address from which `server` would be reached; `None`: there is no way.
    fn source_towards(&mut self, server: IpAddr) -> Result<Option<IpAddr>, Failure>;

    /// The addresses of all interfaces.
    fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, Failure>;

    /// Runs a program of the machine to its end.
    fn run(&mut self, program: &Program) -> io::Result<Finished>;

    /// Asks apiservers for their health.
    fn visit(&mut self, servers: &[SocketAddr], caller: &Caller) -> Result<Vec<Visit>, Failure>;

    /// Asks the Kubernetes API.
    fn ask_api(&mut self, question: &Question<'_>) -> Result<Reply, question::Error>;

    /// What a daemon says that listens there, if one does.
    fn daemon(&mut self, listen: SocketAddr) -> Option<Status>;

    /// What the doctor sees.
    fn doctor(&mut self, asked: &doctor::Asked) -> Result<doctor::Facts, Failure>;

    /// The addresses that a name means.
    fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>>;

    /// Whether somebody answers at a socket of the file system.
    fn answers(&self, socket: &Path) -> bool;

    /// The HTTP status with which a health page answers; `None`: nobody does.
    fn health(&mut self, page: &HealthPage) -> Option<u16>;

    /// A variable of the environment, which kubeadm inherits.
    fn variable(&self, name: &str) -> Option<String>;

    /// Whether everything may be changed.
    fn is_root(&self) -> bool;

    /// Lets nobody else in, until [`unlock`](Self::unlock) or the end of the process; whoever comes next is told
    /// that `command` is at work. Returns `false` when this very machine is locked by us already: then whoever did it
    /// unlocks. So who locks first can make many requests, with nobody else in between.
    fn lock(&mut self, command: &str) -> Result<bool, lock::Error>;

    /// Tells whoever comes next that `command` is at work by now.
    fn note(&mut self, command: &str) -> io::Result<()>;

    /// Has this very program watch over a run of a task, in a process that outlives us and that keeps the machine locked.
    /// Returns when `is_begun`.
    fn supervise(&mut self, run: &Supervised<'_>, is_begun: &dyn Fn() -> bool) -> io::Result<()>;

    /// Lets others in; with `remove`, without a trace.
    fn unlock(&mut self, remove: bool) -> io::Result<()>;

    /// By which it is said that no new step shall be begun.
    fn cancel(&self) -> &Cancel;

    /// Time since 1970, as the machine knows it.
    fn unix_time(&self) -> Duration;

    /// Time since some moment.
    fn now(&self) -> Duration;

    /// Lets time pass.
    fn sleep(&mut self, time: Duration);
}

/// Where a server says how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthPage {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it speaks TLS. Its certificate is not looked at.
    pub tls: bool,
    /// The path, such as `/livez`.
    pub path: String,
}

/// What keeps a place from being written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Why nothing can be written there.
    pub closed: Option<Closed>,
    /// Bytes that are free; `None`: that cannot be told.
    pub free: Option<u64>,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Its length in bytes, of a file.
    pub length: Option<u64>,
}

/// Why nothing can be written somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The file system is mounted read-only.
    ReadOnly,
    /// The file, or the directory, is immutable (`chattr +i`).
    Immutable,
    /// The file can only be added to (`chattr +a`).
    AppendOnly,
}

/// Waits until `is_so` comes true, for `limit` at most, or until nobody wants to wait any more; asked at once, and then
/// after each `pause`.
pub fn until<M: Machine>(
    machine: &mut M,
    limit: Duration,
    pause: Duration,
    mut is_so: impl FnMut(&mut M) -> bool,
) -> bool {
    let begin = machine.now();
    loop {
        if is_so(machine) {
            return true;
        }
        if machine.now().saturating_sub(begin) > limit || machine.cancel().is_asked() {
            return false;
        }
        machine.sleep(pause);
    }
}
