//! Hosts with a real OpenSSH server, to log in to: each a set of namespaces with a file system of its own.
//!
//! ```text
//!   tests ──► controller: a network namespace with a bridge, 10.9.0.1/16
//!               ├── veth ── host 1, 10.9.1.1: net, mnt, uts, pid; overlay of Debian's packages in a tmpfs; sshd is pid 1
//!               ├── veth ── host 2, 10.9.1.2
//! ```
//!
//! Debian's packages are unpacked below `target/`, never installed, and no file of this machine is read or written but
//! in a temporary directory. A keeper outlives the test whatever ends it, and takes everything away: it waits for the end
//! of a pipe, which comes when the test process is gone. Processes are found by the network namespace they are in.

use std::fmt::Write as _;
use std::fs;
use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::Process;
use crate::vm::{PLAN, Tree, target_directory};
use crate::wait::eventually;

/// Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// What a host has: a small Debian.
const PACKAGES: [&str; 11] = [
    "bash",
    "coreutils",
    "dash",
    "grep",
    "libc-bin",
    "mount",
    "openssh-server",
    "procps",
    "sed",
    "sudo",
    "util-linux",
];

/// The first process of a host builds its root and becomes the server.
const BOOT: &str = r#"set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
layer=$1 tree=$2 name=$3 server=$4
mount --make-rprivate /
mount -t tmpfs -o size=2g,mode=755 tmpfs "$layer/disk"
mkdir "$layer/disk/upper" "$layer/disk/work" "$layer/disk/root"
mount -t overlay -o "lowerdir=$layer/files:$tree,upperdir=$layer/disk/upper,workdir=$layer/disk/work" overlay "$layer/disk/root"
cd "$layer/disk/root"
mkdir -p proc sys dev run tmp var/tmp mnt var/lib
chmod 1777 tmp var/tmp
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/sshd dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
for node in 'null 3' 'zero 5' 'full 7' 'random 8' 'urandom 9'; do
    set -- $node; mknod -m 666 "dev/$1" c 1 "$2"
done
mknod -m 666 dev/tty c 5 0
hostname "$name"
# A guest's first root has nothing above it that could be changed for another.
if pivot_root . mnt 2>/dev/null; then umount -l /mnt; else mount --move . /; fi
exec chroot . $server
"#;

/// Takes away what a laboratory has made, when its standard input ends.
const KEEPER: &str = r#"export PATH=/usr/sbin:/usr/bin:/sbin:/bin
cat >/dev/null
for path in /run/netns/"$1"*; do
    test -e "$path" || continue
    name=${path##*/}
    for try in 1 2 3 4 5; do
        pids=$(ip netns pids "$name" 2>/dev/null) || break
        test -n "$pids" || break
        kill -9 $pids 2>/dev/null
        sleep 0.05
    done
    ip netns del "$name"
done
rm -rf "$2"
"#;

/// A host to be.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Lines for `sshd_config`; they come first, and so they win.
    pub config: String,
    /// Users beside root.
    pub users: Vec<User>,
    /// Root's password; without one root logs in by key only.
    pub root_password: Option<String>,
    /// Files: path, mode, contents.
    pub files: Vec<(String, u32, Vec<u8>)>,
    /// What is run instead of `sshd`.
    pub server: Option<String>,
}

/// A user of a host, with a home of their own.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
    /// What `/etc/sudoers` has after the name, such as `ALL=(ALL:ALL) ALL`; nothing for no sudo.
    pub sudo: String,
    /// The login shell.
    pub shell: String,
}

impl User {
    /// With bash.
    pub fn new(name: &str, password: &str, sudo: &str) -> Self {
        let shell = "/bin/bash".to_owned();
        Self { name: name.to_owned(), password: password.to_owned(), sudo: sudo.to_owned(), shell }
    }
}

/// A laboratory of hosts. Dropping it takes everything away.
pub struct SshLab {
    directory: PathBuf,
    tree: PathBuf,
    prefix: String,
    controller: Namespace,
    count: AtomicU32,
    keeper: Mutex<Option<Child>>,
}

/// A running host.
pub struct Host {
    /// Its address.
    pub address: IpAddr,
    /// Its public key, `ssh-ed25519 AAAA...`.
    pub key: String,
    namespace: Namespace,
    files: PathBuf,
    process: Process,
    number: u32,
}

impl SshLab {
    /// An empty one.
    #[track_caller]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // A guest was given them, and has them as its own.
        let tree = if Path::new(PLAN).exists() {
            PathBuf::from("/")
        } else {
            let cache = target_directory().expect("a target directory").join("guest");
            Tree::fetch(&cache, "ssh-hosts", &PACKAGES).expect("Debian's packages").root
        };
        let prefix = format!("ssh{}x{}n", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = TempDir::with_prefix("ssh-lab").expect("a directory").keep();
        let keeper = Command::new("setsid")
            .args(["sh", "-c", KEEPER, "keeper", &prefix])
            .arg(&directory)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let controller = Namespace::new(format!("{prefix}0"));
        let name = controller.name();
        crate::netns::ip(&format!("netns add {name}")).expect("root makes namespaces");
        controller
            .ip("link set lo up\nlink add br0 type bridge\nlink set br0 up\naddress add 10.9.0.1/16 dev br0");
        let lab = Self {
            directory,
            tree,
            prefix,
            controller,
            count: AtomicU32::new(0),
            keeper: Mutex::new(Some(keeper)),
        };
        fs::create_dir_all(lab.home().join(".ssh")).expect("a directory");
        lab.keygen(&lab.key(), "ed25519", "");
        lab
    }

    /// A directory that goes with the laboratory: the home of whoever logs in.
    pub fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    /// The private key that opens root on every host.
    pub fn key(&self) -> PathBuf {
        self.home().join("key")
    }

    /// Calls `body` where the hosts can be reached.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        self.controller.enter(body)
    }

    /// The network in which the hosts can be reached.
    pub fn controller(&self) -> &Namespace {
        &self.controller
    }

    /// Runs a future where the hosts can be reached, on one thread as the product does.
    pub fn run<T: Send, F: Future<Output = T>>(&self, body: impl FnOnce() -> F + Send) -> T {
        self.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(body())
        })
    }

    /// Makes a pair of keys with OpenSSH's own program.
    #[track_caller]
    pub fn keygen(&self, path: &Path, kind: &str, passphrase: &str) {
        self.tool(
            "ssh-keygen",
            &["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", &path.display().to_string()],
        );
    }

    /// Runs one of the programs that the hosts have, on this machine, with the libraries of the hosts.
    #[track_caller]
    pub fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.tool_command(program).args(arguments).output().expect("Debian's loader");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// One of the programs that the hosts have, with the libraries of the hosts.
    pub fn tool_command(&self, program: &str) -> Command {
        let library = |path: &str| self.tree.join(path).join("x86_64-linux-gnu").display().to_string();
        let mut command = Command::new(self.tree.join("lib64/ld-linux-x86-64.so.2"));
        command.args(["--library-path", &format!("{}:{}", library("lib"), library("usr/lib"))]);
        command.arg(self.tree.join("usr/bin").join(program));
        command
    }

    /// Starts a host and waits until its server listens.
    #[track_caller]
    pub fn host(&self, setup: &Setup) -> Host {
        let host = self.boot(setup);
        host.wait();
        host
    }

    /// Starts many of the same kind, and waits for all.
    #[track_caller]
    pub fn hosts(&self, count: usize, setup: &Setup) -> Vec<Host> {
        let hosts: Vec<_> = (0..count).map(|_| self.boot(setup)).collect();
        hosts.iter().for_each(Host::wait);
        hosts
    }

    fn boot(&self, setup: &Setup) -> Host {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let [_, _, high, low] = number.to_be_bytes();
        // 10.9.1.0 is not for a host, nor is 10.9.1.255 used.
        let address = Ipv4Addr::new(10, 9, 1 + high, low);
        let layer = self.directory.join(format!("host{number}"));
        let files = layer.join("files");
        fs::create_dir_all(&files).expect("a directory");
        fs::create_dir(layer.join("disk")).expect("a directory");
        let key = self.furnish(&files, setup);
        let namespace = Namespace::new(format!("{}{number}", self.prefix));
        let name = namespace.name();
        crate::netns::ip(&format!("netns add {name}")).expect("root makes namespaces");
        self.controller.ip(&format!(
            "link add v{number} type veth peer name eth0 netns {name}\nlink set v{number} master br0 up"
        ));
        namespace.ip(&format!(
            "link set lo up\nlink set eth0 up\naddress add {address}/16 dev eth0\nroute add default via 10.9.0.1"
        ));
        let server = setup.server.as_deref().unwrap_or("/usr/sbin/sshd -D -e");
        let process = namespace.spawn(&[
            // Where it is Debian's, whatever else goes by that name.
            "/usr/bin/unshare",
            "--mount",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            BOOT,
            "boot",
            &layer.display().to_string(),
            &self.tree.display().to_string(),
            &format!("host{number}"),
            server,
        ]);
        Host { address: address.into(), key, namespace, files, process, number }
    }

    /// What a host has beside Debian's packages. Returns its public key.
    fn furnish(&self, files: &Path, setup: &Setup) -> String {
        let put = |path: &str, mode: u32, contents: &[u8]| {
            let path = files.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
            fs::write(&path, contents).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        };
        let mut passwd =
            "root:x:0:0:root:/root:/bin/bash\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n".to_owned();
        let hash = |password: &Option<String>| password.as_deref().map_or("*".to_owned(), hashed);
        let mut shadow = format!("root:{}:19000::::::\nsshd:!:19000::::::\n", hash(&setup.root_password));
        let mut group = "root:x:0:\nnogroup:x:65534:\n".to_owned();
        let mut sudoers = "Defaults lecture=always\nroot ALL=(ALL:ALL) ALL\n".to_owned();
        for (id, user) in (1000..).zip(&setup.users) {
            let User { name, password, sudo, shell } = user;
            let _ = writeln!(passwd, "{name}:x:{id}:{id}::/home/{name}:{shell}");
            let _ = writeln!(shadow, "{name}:{}:19000::::::", hashed(password));
            let _ = writeln!(group, "{name}:x:{id}:");
            if !sudo.is_empty() {
                let _ = writeln!(sudoers, "{name} {sudo}");
            }
            let home = files.join("home").join(name);
            fs::create_dir_all(&home).expect("a directory");
            std::os::unix::fs::chown(&home, Some(id), Some(id)).expect("root gives away");
        }
        put("etc/passwd", 0o644, passwd.as_bytes());
        put("etc/shadow", 0o640, shadow.as_bytes());
        put("etc/group", 0o644, group.as_bytes());
        put("etc/sudoers", 0o440, sudoers.as_bytes());
        put("etc/nsswitch.conf", 0o644, b"passwd: files\ngroup: files\nshadow: files\nhosts: files\n");
        put("etc/hosts", 0o644, b"127.0.0.1 localhost\n");
        put(
            "etc/profile",
            0o644,
            b"export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
        );
        let stack = b"auth required pam_unix.so nodelay\naccount required pam_unix.so\nsession required pam_permit.so\n";
        put("etc/pam.d/sshd", 0o644, stack);
        put("etc/pam.d/sudo", 0o644, stack);
        put("etc/pam.d/other", 0o644, b"auth required pam_deny.so\naccount required pam_deny.so\n");
        let base = "HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM yes\nPermitRootLogin yes\nPasswordAuthentication yes\n\
            KbdInteractiveAuthentication no\nUseDNS no\nPrintMotd no\nPidFile none\n\
            Subsystem sftp /usr/lib/openssh/sftp-server\n";
        put("etc/ssh/sshd_config", 0o600, format!("{}\n{base}", setup.config).as_bytes());
        let authorized = fs::read(self.key().with_extension("pub")).expect("the key");
        put("root/.ssh/authorized_keys", 0o600, &authorized);
        fs::set_permissions(files.join("root"), fs::Permissions::from_mode(0o700)).expect("a mode");
        for (path, mode, contents) in &setup.files {
            put(path, *mode, contents);
        }
        let key = files.join("etc/ssh/ssh_host_ed25519_key");
        if !key.exists() {
            self.keygen(&key, "ed25519", "");
        }
        fs::read_to_string(key.with_extension("pub")).expect("the key").trim().to_owned()
    }
}

impl Default for SshLab {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SshLab {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut keeper) = keeper {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

impl Host {
    /// Where its server listens.
    pub fn at(&self) -> SocketAddr {
        SocketAddr::new(self.address, 22)
    }

    /// The line of a `known_hosts` file for it.
    pub fn known_hosts(&self) -> String {
        let mut fields = self.key.split(' ');
        let (kind, key) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        format!("{} {kind} {key}\n", self.address)
    }

    #[track_caller]
    fn wait(&self) {
        eventually(LIMIT, "a server that listens", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
            assert!(!stat.contains(") Z "), "the server has ended: {}", self.log());
            let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.process.id())).ok()?;
            // State 0A is LISTEN, port 0016 is 22.
            table.lines().any(|line| line.contains(":0016 00000000:0000 0A")).then_some(())
        });
    }

    /// Where this machine sees a file of the host.
    #[track_caller]
    pub fn path(&self, path: &str) -> PathBuf {
        let init = eventually(LIMIT, "the first process of a host", || self.init());
        PathBuf::from(format!("/proc/{init}/root{path}"))
    }

    /// Its first process, as this machine counts: the one child of the program that made its namespaces.
    fn init(&self) -> Option<u32> {
        let id = self.process.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Runs a command inside, as root, without SSH.
    #[track_caller]
    pub fn inside(&self, arguments: &[&str]) -> Output {
        let init = self.init().expect("a running host").to_string();
        let mut command = Command::new("/usr/bin/nsenter");
        command
            .args(["--target", &init, "--mount", "--uts", "--pid", "--net", "--root", "--wd"])
            .args(arguments);
        command.output().expect("nsenter")
    }

    /// Runs a command inside that must succeed, and returns what it printed.
    #[track_caller]
    pub fn check(&self, arguments: &[&str]) -> String {
        let output = self.inside(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}: {errors}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Cuts its link, so that no packet comes or goes; nobody is told.
    pub fn cut(&self, controller: &Namespace) {
        // Down as well: a bridge has the address of a port, so that what came without it would still be taken.
        controller.ip(&format!("link set v{0} nomaster\nlink set v{0} down", self.number));
    }

    /// Mends it.
    pub fn mend(&self, controller: &Namespace) {
        controller.ip(&format!("link set v{0} master br0\nlink set v{0} up", self.number));
    }

    /// What its server says.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The network in which it is.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The files it began with.
    pub fn files(&self) -> &Path {
        &self.files
    }
}

/// A password as `/etc/shadow` keeps it.
fn hashed(password: &str) -> String {
    let program = r"local $/; binmode STDIN; print crypt(<STDIN>, '$6$saltsalt$')";
    let spawned =
        Command::new("perl").args(["-e", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let hash = spawned.and_then(|mut child| {
        child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(password.as_bytes())?;
        child.wait_with_output()
    });
    String::from_utf8(hash.expect("perl is essential to Debian").stdout).expect("a hash is ASCII")
}
