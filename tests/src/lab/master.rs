//! A master: a machine with an apiserver on it, and the ways to lose one.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use nix::sys::signal::Signal;

use super::network::Machine;
use super::{LIMIT, PORT};
use crate::apiserver::Control;
use crate::netns::Namespace;
use crate::pki::{Identity, Pki};
use crate::process::Process;
use crate::wait::eventually;

/// The program, which must be in reach: `vm` puts it there.
const PROGRAM: &str = "fake-apiserver";

/// One master. Its methods need no `&mut`, so that tests can break it from wherever they are.
pub struct Master {
    machine: Machine,
    net: Namespace,
    name: String,
    identity: Identity,
    control: Control,
    server: Mutex<Option<Process>>,
}

impl Master {
    /// Prepares an apiserver on `machine`, which is a port of the bridge in `net`.
    pub(super) fn new(name: &str, machine: Machine, net: Namespace, pki: &Pki, directory: &Path) -> Self {
        let identity = pki.apiserver(name, &machine.addresses()).expect("a certificate");
        let control = Control::new(&directory.join(format!("{name}.sock")));
        Self { machine, net, name: name.to_owned(), identity, control, server: Mutex::default() }
    }

    /// What its server answers when asked who answers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.machine.namespace
    }

    /// Where its server listens.
    pub fn address(&self) -> SocketAddr {
        (self.machine.ipv4, PORT).into()
    }

    /// The same in IPv6.
    pub fn address6(&self) -> SocketAddr {
        (self.machine.ipv6, PORT).into()
    }

    /// Switches and counts of its server.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Starts the server and waits until it listens.
    #[track_caller]
    pub fn start(&self) {
        self.launch();
        self.ready();
    }

    /// Starts the server without waiting: several start sooner side by side.
    pub(super) fn launch(&self) {
        let text = |path: &Path| path.to_str().expect("paths of ours are text").to_owned();
        // As kube-apiserver does by default, it listens on all addresses of the machine, of both families.
        let listen = SocketAddr::new(IpAddr::from([0u16; 8]), PORT).to_string();
        let (cert, key) = (text(&self.identity.certificate), text(&self.identity.key));
        let control = text(self.control.path());
        let process = self.namespace().spawn(&[
            PROGRAM,
            "--listen",
            &listen,
            "--name",
            &self.name,
            "--cert",
            &cert,
            "--key",
            &key,
            "--control",
            &control,
        ]);
        *self.server() = Some(process);
    }

    /// Waits until the server listens.
    #[track_caller]
    pub(super) fn ready(&self) {
        eventually(LIMIT, "the start of an apiserver", || self.control.answers().then_some(()));
    }

    /// Ends the server as a crash would: the kernel closes its connections and refuses new ones.
    pub fn kill(&self) {
        self.server().take();
    }

    /// Stops the process, which leaves connections open and the kernel accepting more.
    #[track_caller]
    pub fn sigstop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    #[track_caller]
    pub fn sigcont(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Pulls the machine's cable: silence, as when it loses power.
    #[track_caller]
    pub fn link_down(&self) {
        self.net.ip(&format!("link set {} down", self.machine.name));
    }

    /// Plugs it in again.
    #[track_caller]
    pub fn link_up(&self) {
        self.net.ip(&format!("link set {} up", self.machine.name));
    }

    fn signal(&self, signal: Signal) {
        self.server().as_ref().expect("the server was started").signal(signal);
    }

    fn server(&self) -> MutexGuard<'_, Option<Process>> {
        self.server.lock().expect("nothing panics with this lock")
    }
}
