//! A machine in memory that refuses what the real one refuses, and counts what is done to it, so that a test can have
//! any change fail.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lvscare::doctor::facts::daemon::Daemon;
use lvscare::doctor::facts::node::Node;
use lvscare::doctor::facts::process::Guard;
use lvscare::doctor::facts::table::Table;
use lvscare::doctor::facts::visit::{Caller, Visit};
use lvscare::doctor::facts::{self as doctor, Scope};
use lvscare::kernel::address::InterfaceAddress;
use lvscare::kernel::fake::Fake as Kernel;
use lvscare::kernel::{self, Kernel as _};
use lvscare::model::{Actual, Change, Sysctl};
use lvscare::question::{self, Question, Reply};
use lvscare::status::Status;

use crate::api::{Failure, Kind};
use crate::machine::{
    Cancel, Closed, Finished, HealthPage, Machine, Mended, Place, Program, Supervised, files, lock,
};
use crate::package::{self, images::Image};
use crate::paths;
use crate::step::{Content, Digest};

mod world;

pub use world::{Cluster, Pod};

/// Which change fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fails {
    /// None does.
    #[default]
    Never,
    /// This one, counted from 0.
    Once(usize),
    /// This one, and all that come after it.
    From(usize),
}

/// What kubeadm does when it is to join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kubeadm {
    /// There is none.
    Absent,
    /// It joins.
    #[default]
    Joins,
    /// It ends before it has done anything.
    Refuses,
    /// It writes kubelet's kubeconfig and ends without having joined.
    FailsHalfWay,
    /// It says that all is well and has done nothing.
    Lies,
    /// It joins; meanwhile it is said that no new step shall be begun.
    JoinsUnwanted,
    /// It writes kubelet's kubeconfig and is ended then, as nobody wants it any more.
    IsEnded,
}

/// The machine.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    /// All regular files, those below `/proc` and `/sys` as well.
    pub files: BTreeMap<PathBuf, Content>,
    /// All directories.
    pub directories: BTreeSet<PathBuf>,
    /// Routes and rules.
    pub kernel: Kernel,
    /// The modules that the kernel could load.
    pub modules: BTreeSet<String>,
    /// The addresses of its interfaces.
    pub own: Vec<InterfaceAddress>,
    /// The masters that do not answer.
    pub silent: BTreeSet<SocketAddr>,
    /// What the masters tell of their cluster.
    pub cluster: Option<Cluster>,
    /// A daemon that was not started by kubelet, and where it listens.
    pub stranger: Option<(SocketAddr, SocketAddr)>,
    /// Whether kubelet runs what lies among the manifests, and how long a pod takes to end.
    pub kubelet: Option<Duration>,
    /// The sockets at which somebody answers.
    pub sockets: BTreeSet<PathBuf>,
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// The images that containerd has; `None`: there is no `ctr`.
    pub images: Option<BTreeSet<String>>,
    /// The image that every archive holds.
    pub archived: String,
    /// What kubeadm does.
    pub kubeadm: Kubeadm,
    /// The version that it says.
    pub version: String,
    /// How it was called.
    pub calls: Vec<Vec<String>>,
    /// What `kubectl` says; `None`: there is none.
    pub kubectl: Option<fn(&Program) -> Finished>,
    /// The file system that is mounted read-only.
    pub read_only: Option<PathBuf>,
    /// Which change fails, as on a disk that is full.
    pub fails: Fails,
    /// Changes that were tried so far.
    pub changes: usize,
    /// What was to be mended after a crash.
    pub mended: Vec<PathBuf>,
    /// What another run that is at work says of itself.
    pub locked_by: Option<String>,
    /// Whether we hold the lock.
    pub is_locked: bool,
    /// By which it is said that no new step shall be begun.
    pub cancel: Cancel,
    /// The runs that a supervisor watches over, and the file by which each is alive.
    pub supervised: Vec<(String, Arc<File>)>,
    /// The time.
    pub clock: Cell<Duration>,
    /// What kubelet runs.
    pub pod: Option<Pod>,
    /// The other static pods, by their manifests: since when each runs, and until when it does if its manifest is gone.
    pub others: BTreeMap<PathBuf, Duration>,
    /// What etcd's programs answer, by a part of their arguments: what they say, or why they fail.
    pub etcdctl: Vec<(&'static str, Result<String, String>)>,
    /// What kubelet has started and ended.
    pub lives: Vec<String>,
}

impl Fake {
    /// A fresh machine of 10.0.0.0/24 with containerd and kubeadm, on which nothing of ours is.
    pub fn bare() -> Self {
        let mut machine = Self {
            modules: ["ip_vs", "ip_vs_rr", "nf_conntrack"].map(str::to_owned).into(),
            own: vec![InterfaceAddress { address: [10, 0, 0, 10].into(), prefix: 24 }],
            sockets: ["/run/containerd/containerd.sock".into()].into(),
            images: Some(BTreeSet::new()),
            version: "v1.34.1".to_owned(),
            ..Self::default()
        };
        machine.kernel.source = Some([10, 0, 0, 10].into());
        for directory in ["/etc/sysctl.d", "/var/lib", "/proc/sys/net/ipv4", "/sys/module", "/tmp"] {
            machine.has_directory(directory);
        }
        machine.has_file("/proc/sys/net/ipv4/ip_forward", "0\n");
        machine.has_file("/proc/sys/kernel/hostname", "worker-1\n");
        machine.has_file("/proc/sys/kernel/osrelease", "6.1.0\n");
        machine.has_file(paths::HOSTS, "127.0.0.1 localhost\n");
        machine
    }

    /// Puts a file there, and the directories above it.
    pub fn has_file(&mut self, path: &str, text: &str) {
        let path = PathBuf::from(path);
        self.directories.extend(path.ancestors().skip(1).map(Path::to_owned));
        self.files.insert(path, Content::new(text, 0o644));
    }

    /// Puts a directory there, and those above it.
    pub fn has_directory(&mut self, path: &str) {
        self.directories.extend(Path::new(path).ancestors().map(Path::to_owned));
    }

    /// Has the kernel load a module, as somebody else's work.
    pub fn load(&mut self, module: &str) {
        let loaded = self.load_module(module);
        debug_assert!(loaded.is_ok(), "{loaded:?}");
        self.changes = 0;
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<String> {
        self.files.get(Path::new(path)).map(|content| String::from_utf8_lossy(&content.bytes).into_owned())
    }

    /// All that a run could have changed, as one text, but for the lock and for what the kernel has loaded.
    pub fn snapshot(&self) -> String {
        let modules = |path: &Path| path.starts_with("/sys/module");
        let files: BTreeMap<_, _> =
            self.files.iter().filter(|(path, _)| *path != Path::new(paths::LOCK)).collect();
        let directories: Vec<_> = self.directories.iter().filter(|path| !modules(path)).collect();
        format!(
            "{files:#?}\n{directories:#?}\n{:#?}",
            (&self.kernel.state.services, &self.kernel.state.routes)
        )
    }

    /// The process ends, whatever it was at: the kernel lets go of its lock.
    pub fn dies(&mut self) {
        self.is_locked = false;
        self.fails = Fails::Never;
    }

    fn is_loaded(&self, module: &str) -> bool {
        self.directories.contains(&paths::module(module))
    }

    /// Counts a change, which may be one of those that fail.
    fn try_change(&mut self, path: &Path) -> io::Result<()> {
        let number = self.changes;
        self.changes += 1;
        let fails = match self.fails {
            Fails::Never => false,
            Fails::Once(bad) => number == bad,
            Fails::From(bad) => number >= bad,
        };
        if self.read_only.as_ref().is_some_and(|closed| path.starts_with(closed)) {
            return Err(rustix::io::Errno::ROFS.into());
        }
        if fails { Err(rustix::io::Errno::NOSPC.into()) } else { Ok(()) }
    }
}

impl Machine for Fake {
    fn read(&self, path: &Path) -> io::Result<Option<Content>> {
        if self.directories.contains(path) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        match self.files.get(path) {
            Some(content) if content.bytes.len() as u64 > files::MAX_BYTES => {
                Err(io::ErrorKind::FileTooLarge.into())
            }
            content => Ok(content.cloned()),
        }
    }

    fn entries(&self, directory: &Path) -> Option<Vec<String>> {
        if !self.directories.contains(directory) {
            return None;
        }
        let all = self.files.keys().chain(&self.directories);
        let inside = all.filter(|path| path.parent() == Some(directory));
        let mut names: Vec<_> =
            inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
        names.sort();
        Some(names)
    }

    fn write(&mut self, path: &Path, content: &Content) -> io::Result<()> {
        self.try_change(path)?;
        if !path.parent().is_some_and(|directory| self.directories.contains(directory)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.files.insert(path.to_owned(), content.clone());
        Ok(())
    }

    fn digest(&self, path: &Path) -> io::Result<Option<Digest>> {
        Ok(self.files.get(path).map(Content::digest))
    }

    fn copy(&mut self, from: &Path, to: &Path, mode: Option<u32>) -> io::Result<()> {
        let content = self.files.get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        let content = match mode {
            Some(mode) => Content::new(content.bytes, mode),
            None => content,
        };
        self.write(to, &content)
    }

    fn mend(&mut self, path: &Path) -> io::Result<Mended> {
        self.mended.push(path.to_owned());
        Ok(Mended::Nothing)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        if self.files.contains_key(path) {
            self.try_change(path)?;
            self.files.remove(path);
        }
        Ok(())
    }

    fn make_directory(&mut self, path: &Path, _mode: u32) -> io::Result<()> {
        if !self.directories.contains(path) {
            self.try_change(path)?;
            self.directories.extend(path.ancestors().map(Path::to_owned));
        }
        Ok(())
    }

    fn remove_directory(&mut self, path: &Path) -> io::Result<bool> {
        if self.entries(path).is_some_and(|names| !names.is_empty()) {
            return Ok(false);
        }
        if self.directories.contains(path) {
            self.try_change(path)?;
            self.directories.remove(path);
        }
        Ok(true)
    }

    fn unpack(&mut self, archive: &Path, sha256: &Digest) -> Result<(), package::Error> {
        self.unpack_files(archive, sha256)
    }

    fn remove_packages(&mut self) -> io::Result<()> {
        let packages = Path::new(paths::PACKAGES);
        if self.directories.contains(packages) {
            self.try_change(packages)?;
            self.files.retain(|path, _| !path.starts_with(packages));
            self.directories.retain(|path| !path.starts_with(packages));
        }
        Ok(())
    }

    fn images_in(&self, archive: &Path) -> Result<Vec<Image>, package::Error> {
        let content = self.read(archive).map_err(package::Error::Read)?;
        package::images::images(content.map(|content| content.bytes).unwrap_or_default().as_slice())
    }

    fn set_sysctl(&mut self, name: &str, value: &str) -> io::Result<()> {
        let path = paths::sysctl(name);
        self.try_change(&path)?;
        let content = self.files.get_mut(&path).ok_or(io::ErrorKind::NotFound)?;
        content.bytes = format!("{value}\n").into_bytes();
        Ok(())
    }

    fn place(&self, path: &Path) -> Place {
        let is_closed = self.read_only.as_ref().is_some_and(|closed| path.starts_with(closed));
        Place {
            closed: is_closed.then_some(Closed::ReadOnly),
            free: Some(1 << 40),
            is_directory: self.directories.contains(path),
            length: self.files.get(path).map(|content| content.bytes.len() as u64),
        }
    }

    fn load_module(&mut self, name: &str) -> Result<(), Failure> {
        let lacking = |why: &str| Failure::new(Kind::Kernel, format!("cannot load the module {name}: {why}"));
        self.try_change(&paths::module(name)).map_err(|error| lacking(&error.to_string()))?;
        if !self.modules.contains(name) {
            return Err(lacking("not found"));
        }
        self.directories.insert(paths::module(name));
        if name == "ip_vs" {
            for sysctl in Sysctl::ALL {
                let path = paths::sysctl(sysctl.name());
                if !self.files.contains_key(&path) {
                    self.has_file(&path.to_string_lossy(), "0\n");
                }
            }
        }
        Ok(())
    }

    fn rules(&mut self, services: &[SocketAddr]) -> Result<Actual, Failure> {
        self.tick();
        let mut actual = self.kernel.read(services)?;
        if !self.is_loaded("ip_vs") {
            actual.services.clear();
        }
        Ok(actual)
    }

    fn change(&mut self, change: &Change) -> Result<(), Failure> {
        let failed = |error: &io::Error| Failure::io(change, error);
        self.try_change(Path::new("/proc/net")).map_err(|error| failed(&error))?;
        let needs_ipvs = !matches!(change, Change::SetRoute { .. } | Change::RemoveRoute { .. });
        if needs_ipvs && !self.is_loaded("ip_vs") {
            return Err(kernel::Error::NoIpvs.into());
        }
        match self.kernel.apply(change) {
            Err(kernel::Error::Raced(_)) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn source_towards(&mut self, server: IpAddr) -> Result<Option<IpAddr>, Failure> {
        Ok(self.kernel.source_towards(server)?)
    }

    fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, Failure> {
        Ok(self.own.clone())
    }

    fn run(&mut self, program: &Program) -> io::Result<Finished> {
        match program.name {
            "kubeadm" => self.kubeadm(&program.words),
            "ctr" => self.ctr(&program.words),
            "env" => Ok(self.etcdctl(&program.words)),
            "systemctl" => Ok(self.systemctl(&program.words)),
            "kubectl" => {
                self.kubectl.map(|kubectl| kubectl(program)).ok_or_else(|| io::ErrorKind::NotFound.into())
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn visit(&mut self, servers: &[SocketAddr], _caller: &Caller) -> Result<Vec<Visit>, Failure> {
        Ok(servers.iter().map(|server| self.visited(*server)).collect())
    }

    fn ask_api(&mut self, question: &Question<'_>) -> Result<Reply, question::Error> {
        self.tell(question)
    }

    fn daemon(&mut self, listen: SocketAddr) -> Option<Status> {
        self.tick();
        if let Some((_, at)) = self.stranger.filter(|(place, _)| *place == listen) {
            return self.status(at);
        }
        let pod = self.pod.as_ref().filter(|pod| pod.listen == Some(listen))?;
        let at = *pod.guarded.keys().next()?;
        self.status(at)
    }

    fn doctor(&mut self, asked: &doctor::Asked) -> Result<doctor::Facts, Failure> {
        self.tick();
        let visits = asked.scope != Scope::Before { visits: false };
        let servers =
            if visits { asked.servers.iter().map(|at| self.visited(*at)).collect() } else { Vec::new() };
        let daemon = match asked.listen {
            None => Daemon::NotAsked,
            Some(listen) => match self.daemon(listen) {
                Some(first) => Daemon::Seen { first, later: None },
                None => Daemon::Absent(listen),
            },
        };
        let is_guarded = self.pod.is_some() || self.stranger.is_some();
        let guard = is_guarded.then(|| Guard {
            name: "lvscare".to_owned(),
            id: 4711,
            place: "process 4711".to_owned(),
        });
        Ok(doctor::Facts {
            vs: asked.vs,
            name: asked.name.clone(),
            now: 1_788_220_800,
            daemon,
            table: Table::NotLoaded,
            servers,
            through: None,
            sources: Vec::new(),
            node: Node { routes: vec![("eth0".into(), default_route()?)], ..Node::default() },
            cluster: doctor::cluster::Cluster::default(),
            kube_proxy: None,
            guards: guard.into_iter().collect(),
            hosts: None,
            invalid: None,
        })
    }

    fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match name {
            "m1" => Ok(vec![[10, 0, 0, 1].into()]),
            _ => Err(io::Error::other("no such name")),
        }
    }

    fn answers(&self, socket: &Path) -> bool {
        self.sockets.contains(socket)
    }

    fn health(&mut self, page: &HealthPage) -> Option<u16> {
        self.tick();
        self.answers_at(page.address.port())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn is_root(&self) -> bool {
        true
    }

    fn lock(&mut self, _command: &str) -> Result<bool, lock::Error> {
        if let Some(holder) = &self.locked_by {
            return Err(lock::Error::Held(holder.clone()));
        }
        if self.is_locked {
            return Ok(false);
        }
        let path = Path::new(paths::LOCK);
        let failed = |source| lock::Error::File { path: paths::LOCK.into(), source };
        self.make_directory(Path::new(paths::STATE), 0o700).map_err(failed)?;
        self.write(path, &Content::new("", 0o600)).map_err(failed)?;
        self.is_locked = true;
        Ok(true)
    }

    fn note(&mut self, _command: &str) -> io::Result<()> {
        Ok(())
    }

    fn supervise(&mut self, run: &Supervised<'_>, _is_begun: &dyn Fn() -> bool) -> io::Result<()> {
        self.try_change(Path::new("/proc"))?;
        self.supervised.push((run.id.to_owned(), Arc::new(run.alive.try_clone()?)));
        Ok(())
    }

    fn unlock(&mut self, remove: bool) -> io::Result<()> {
        self.is_locked = false;
        if remove { self.remove(Path::new(paths::LOCK)) } else { Ok(()) }
    }

    fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    fn unix_time(&self) -> Duration {
        // 2026-09-01, as the doctor has it.
        Duration::from_secs(1_788_220_800) + self.clock.get()
    }

    fn now(&self) -> Duration {
        self.clock.get()
    }

    fn sleep(&mut self, time: Duration) {
        self.clock.set(self.clock.get() + time);
        self.tick();
    }
}

fn default_route() -> Result<lvscare::doctor::subnet::Subnet, Failure> {
    "0.0.0.0/0".parse().map_err(|why: String| Failure::new(Kind::Failed, why))
}
