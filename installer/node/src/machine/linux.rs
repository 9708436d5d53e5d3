//! The machine we run on.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lvscare::client;
use lvscare::doctor::facts::visit::{Caller, Visit};
use lvscare::doctor::facts::{self as doctor};
use lvscare::kernel::address::{self, InterfaceAddress};
use lvscare::kernel::route::Routes;
use lvscare::kernel::{Error, Kernel as _, Linux as Kernel};
use lvscare::model::{Actual, Change};
use lvscare::question::{self, Question, Reply};
use lvscare::status::Status;
use rustix::fs::{IFlags, StatVfsMountFlags, ioctl_getflags, statvfs};

use super::lock::{self, Lock};
use super::programs::{self, Finished, Program, Supervised, Terminal};
use super::{Cancel, Closed, HealthPage, Machine, Mended, Place, files};
use crate::api::{Failure, Kind};
use crate::package::{self, images::Image};
use crate::paths;
use crate::step::{Content, Digest};

/// How long the host's `modprobe` may take.
const MODPROBE: Duration = Duration::from_secs(60);

/// The machine we run on, in the network namespace of the thread that uses it.
#[derive(Debug)]
pub struct Linux {
    terminal: Terminal,
    begin: Instant,
    kernel: Option<Kernel>,
    lock: Option<Lock>,
    cancel: Cancel,
}

impl Linux {
    /// Nothing is opened before it is needed.
    pub fn new(terminal: Terminal) -> Self {
        Self { terminal, begin: Instant::now(), kernel: None, lock: None, cancel: Cancel::default() }
    }

    /// Goes on under a lock that another process took and handed on (see [`lock_descriptor`](Self::lock_descriptor)).
    /// Whoever comes next is told that `command` is at work, in this process.
    pub fn inherit(terminal: Terminal, lock: OwnedFd, command: &str) -> Result<Self, lock::Error> {
        let lock = Lock::inherited(Path::new(paths::LOCK), lock, &holder(command))?;
        Ok(Self { lock: Some(lock), ..Self::new(terminal) })
    }

    /// A descriptor of the lock, if we have it. A program that is started with it (as its standard input, say) keeps the
    /// machine locked until it ends, even should we end first; meanwhile the lock must not be removed.
    pub fn lock_descriptor(&self) -> io::Result<Option<OwnedFd>> {
        self.lock.as_ref().map(Lock::descriptor).transpose()
    }

    /// Opening it has it load IPVS (Linux 5.15 and later).
    fn kernel(&mut self) -> Result<&mut Kernel, Error> {
        if self.kernel.is_none() {
            self.kernel = Some(Kernel::open()?);
        }
        self.kernel.as_mut().ok_or(Error::NoIpvs)
    }

    fn has_module(&self, name: &str) -> bool {
        self.entries(&paths::module(name)).is_some()
    }

    /// The table needs IPVS; the routes to it do not.
    fn apply(&mut self, change: &Change) -> Result<(), Error> {
        match *change {
            Change::SetRoute { vip, source } => Routes::open()?.set(vip, source),
            Change::RemoveRoute { vip } => Routes::open()?.remove(vip),
            _ => self.kernel()?.apply(change),
        }
    }
}

impl Machine for Linux {
    fn read(&self, path: &Path) -> io::Result<Option<Content>> {
        files::read(path)
    }

    fn entries(&self, directory: &Path) -> Option<Vec<String>> {
        let entries = fs::read_dir(directory).ok()?.flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Some(names)
    }

    fn write(&mut self, path: &Path, content: &Content) -> io::Result<()> {
        files::write(path, paths::staging(path), content)
    }

    fn digest(&self, path: &Path) -> io::Result<Option<Digest>> {
        files::copy::digest(path)
    }

    fn copy(&mut self, from: &Path, to: &Path, mode: Option<u32>) -> io::Result<()> {
        files::copy::copy(from, to, paths::staging(to), mode)
    }

    fn mend(&mut self, path: &Path) -> io::Result<Mended> {
        files::mend(path, paths::staging(path))
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        files::remove(path)
    }

    fn make_directory(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        files::make_directory(path, mode)
    }

    fn remove_directory(&mut self, path: &Path) -> io::Result<bool> {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        }
    }

    fn unpack(&mut self, archive: &Path, sha256: &Digest) -> Result<(), package::Error> {
        package::unpack(archive, sha256, Path::new(paths::PACKAGES)).map(|_| ())
    }

    fn remove_packages(&mut self) -> io::Result<()> {
        files::remove_all(Path::new(paths::PACKAGES))
    }

    fn images_in(&self, archive: &Path) -> Result<Vec<Image>, package::Error> {
        package::images::images(package::read::open(archive)?)
    }

    fn set_sysctl(&mut self, name: &str, value: &str) -> io::Result<()> {
        fs::write(paths::sysctl(name), value)
    }

    fn place(&self, path: &Path) -> Place {
        let meta = fs::metadata(path);
        let stat = statvfs(path);
        let read_only = stat.as_ref().is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY));
        let closed = if read_only { Some(Closed::ReadOnly) } else { flagged(path) };
        // File systems in memory without a limit say that they have no blocks at all.
        let free = stat.ok().filter(|stat| stat.f_blocks > 0).map(|stat| stat.f_bavail * stat.f_frsize);
        let is_directory = meta.as_ref().is_ok_and(fs::Metadata::is_dir);
        let length = meta.ok().filter(fs::Metadata::is_file).map(|meta| meta.len());
        Place { closed, free, is_directory, length }
    }

    fn load_module(&mut self, name: &str) -> Result<(), Failure> {
        // Asking for IPVS makes Linux 5.15 and later load it; otherwise the host's own `modprobe` does.
        if (name == "ip_vs" && self.kernel().is_ok()) || self.has_module(name) {
            return Ok(());
        }
        let lacking = |why: &str| {
            let help = "install the kernel's modules, or use a kernel that has them";
            Failure::new(Kind::Kernel, format!("cannot load the module {name}: {why}; {help}"))
        };
        match self.run(&Program::asked("modprobe", &["--", name], MODPROBE)) {
            Ok(finished) if finished.success => Ok(()),
            Ok(finished) => Err(lacking(finished.complaint())),
            Err(error) => Err(lacking(&format!("modprobe: {error}"))),
        }
    }

    fn rules(&mut self, services: &[SocketAddr]) -> Result<Actual, Failure> {
        if self.has_module("ip_vs") {
            return Ok(self.kernel()?.read(services)?);
        }
        let routes = Routes::open()?.read(&services.iter().map(SocketAddr::ip).collect())?;
        Ok(Actual { routes, ..Actual::default() })
    }

    fn change(&mut self, change: &Change) -> Result<(), Failure> {
        match self.apply(change) {
            // The daemon, or another hand, was faster; what is there is verified at the end.
            Err(Error::Raced(_)) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn source_towards(&mut self, server: IpAddr) -> Result<Option<IpAddr>, Failure> {
        Ok(Routes::open()?.source_towards(server)?)
    }

    fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, Failure> {
        Ok(address::list()?)
    }

    fn run(&mut self, program: &Program) -> io::Result<Finished> {
        programs::run(program, self.terminal, self.lock.as_ref().map(AsFd::as_fd), &self.cancel)
    }

    fn visit(&mut self, servers: &[SocketAddr], caller: &Caller) -> Result<Vec<Visit>, Failure> {
        Ok(doctor::visits(servers, caller)?)
    }

    fn ask_api(&mut self, question: &Question<'_>) -> Result<Reply, question::Error> {
        question::ask(question)
    }

    fn daemon(&mut self, listen: SocketAddr) -> Option<Status> {
        client::daemon(listen)
    }

    fn doctor(&mut self, asked: &doctor::Asked) -> Result<doctor::Facts, Failure> {
        Ok(doctor::gather(asked)?)
    }

    fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
    }

    fn answers(&self, socket: &Path) -> bool {
        UnixStream::connect(socket).is_ok()
    }

    fn health(&mut self, page: &HealthPage) -> Option<u16> {
        client::health(page.address, page.tls, &page.path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn lock(&mut self, command: &str) -> Result<bool, lock::Error> {
        if self.lock.is_some() {
            return Ok(false);
        }
        self.lock = Some(Lock::take(Path::new(paths::LOCK), &holder(command))?);
        Ok(true)
    }

    fn note(&mut self, command: &str) -> io::Result<()> {
        self.lock.as_mut().map_or(Ok(()), |lock| lock.note(&holder(command)))
    }

    fn supervise(&mut self, run: &Supervised<'_>, is_begun: &dyn Fn() -> bool) -> io::Result<()> {
        let Some(lock) = &self.lock else { return Err(io::Error::other("the machine is not locked")) };
        programs::supervise(run, &|| lock.descriptor(), is_begun)
    }

    fn unlock(&mut self, remove: bool) -> io::Result<()> {
        match self.lock.take() {
            Some(lock) if remove => lock.remove(),
            _ => Ok(()),
        }
    }

    fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn sleep(&mut self, time: Duration) {
        thread::sleep(time);
    }
}

/// What whoever comes next is told.
fn holder(command: &str) -> String {
    let since = httpdate::fmt_http_date(SystemTime::now());
    format!("process {}, `lvscare-installer {command}`, since {since}", std::process::id())
}

/// `chattr +i` and `+a`. A directory that can only be added to is as good as any.
fn flagged(path: &Path) -> Option<Closed> {
    let file = File::open(path).ok()?;
    let flags = ioctl_getflags(&file).ok()?;
    let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
    match flags {
        flags if flags.contains(IFlags::IMMUTABLE) => Some(Closed::Immutable),
        flags if flags.contains(IFlags::APPEND) && is_file => Some(Closed::AppendOnly),
        _ => None,
    }
}
