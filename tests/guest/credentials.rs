//! What a probe shows: client certificates and tokens, to apiservers that insist; and that all of it can be renewed
//! while the daemon runs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lvscare::health::Condition;
use tests::apiserver::{Behaviour, Control};
use tests::daemon::{Daemon, LIMIT, QUICK, VIP};
use tests::lab::Lab;
use tests::pki::Pki;
use tests::process::Process;
use tests::wait::eventually;

/// Where the apiserver listens that insists: another port of the first master.
const STRICT: &str = "10.0.0.1:7443";

fn strict() -> SocketAddr {
    STRICT.parse().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Starts an apiserver with a certificate of `pki` that insists on something.
fn insist(lab: &Lab, pki: &Pki, options: &[&str]) -> (Process, Control) {
    let identity = pki.apiserver("strict", &[strict().ip()]).unwrap();
    let control = Control::new(&lab.directory().join("strict.sock"));
    let _ = fs::remove_file(control.path());
    let (cert, key) = (text(&identity.certificate), text(&identity.key));
    let words = ["fake-apiserver", "--listen", STRICT, "--name", "strict", "--cert", cert, "--key", key];
    let words = [&words[..], &["--control", text(control.path())], options].concat();
    let process = lab.master(1).namespace().spawn(&words);
    eventually(LIMIT, "the start of an apiserver", || control.answers().then_some(()));
    (process, control)
}

/// An authority in a directory of its own.
fn authority(lab: &Lab, name: &str) -> Pki {
    let directory = lab.directory().join(name);
    fs::create_dir(&directory).unwrap();
    Pki::new(&directory).unwrap()
}

/// What the daemon reads, and how it is renewed: renamed over.
struct Files(PathBuf);

impl Files {
    fn new(lab: &Lab) -> Self {
        let files = Self(lab.directory().join("files"));
        fs::create_dir(&files.0).unwrap();
        files
    }

    fn path(&self, name: &str) -> String {
        text(&self.0.join(name)).to_owned()
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path("new"), content).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn put_authority(&self, pki: &Pki) {
        self.put("ca.crt", fs::read(pki.ca()).unwrap());
    }

    fn put_identity(&self, pki: &Pki) {
        let identity = pki.apiserver("client", &[]).unwrap();
        self.put("client.key", fs::read(identity.key).unwrap());
        self.put("client.crt", fs::read(identity.certificate).unwrap());
    }
}

#[test]
fn certificates_are_shown_and_followed_when_they_are_renewed() {
    let lab = Lab::new();
    let [old, new] = ["old", "new"].map(|name| authority(&lab, name));
    let files = Files::new(&lab);
    files.put_authority(&old);
    files.put_identity(&old);
    let (server, control) = insist(&lab, &old, &["--client-ca", text(&old.ca())]);

    let [ca, cert, key] = ["ca.crt", "client.crt", "client.key"].map(|name| files.path(name));
    let options = ["--ca-file", &ca, "--cert-file", &cert, "--key-file", &key];
    let mut daemon = Daemon::start_for(&lab, VIP, &[strict()], &[&QUICK[..], &options].concat());
    daemon.wait_judged();
    daemon.wait_condition(strict(), Condition::Alive);
    assert!(control.stats().questions() > 0);

    // The cluster has a new authority, and nothing of the old one is good enough.
    drop(server);
    let (_server, control) = insist(&lab, &new, &["--client-ca", text(&new.ca())]);
    daemon.wait_reason(strict(), &["certificate"]);
    daemon.wait_condition(strict(), Condition::Dead);
    files.put_authority(&new);
    // Now it is the apiserver that refuses.
    daemon.wait_reason(strict(), &["alert"]);
    assert_eq!((control.stats().questions(), daemon.condition(strict())), (0, Some(Condition::Dead)));
    files.put_identity(&new);
    daemon.wait_condition(strict(), Condition::Alive);
    assert!(control.stats().questions() > 0);

    // A file that is lost or broken is no reason to give up what works.
    fs::remove_file(files.path("client.crt")).unwrap();
    files.put("ca.crt", "nonsense");
    let before = control.stats().accepted;
    control.set(Behaviour::CloseAfter(Duration::ZERO));
    control.set(Behaviour::Healthy);
    eventually(LIMIT, "a new connection", || (control.stats().accepted > before).then_some(()));
    let before = control.stats().questions();
    eventually(LIMIT, "further questions", || (control.stats().questions() > before + 2).then_some(()));
    assert_eq!(daemon.condition(strict()), Some(Condition::Alive));
    assert!(daemon.log().contains("what was there before is still used"), "{}", daemon.log());
}

/// The answer 401 counts as alive; so it is the apiserver that tells whether the token was right.
#[test]
fn a_token_is_sent_and_followed_when_it_is_renewed() {
    let lab = Lab::new();
    let files = Files::new(&lab);
    files.put_authority(&lab.pki);
    let right = lab.directory().join("right");
    fs::write(&right, "first").unwrap();
    let (_server, control) = insist(&lab, &lab.pki, &["--token-file", text(&right)]);

    files.put("token", "first\n");
    let [ca, token] = ["ca.crt", "token"].map(|name| files.path(name));
    let options = [&QUICK[..], &["--ca-file", &ca, "--token-file", &token]].concat();
    let mut daemon = Daemon::start_for(&lab, VIP, &[strict()], &options);
    daemon.wait_judged();
    eventually(LIMIT, "some questions", || (control.stats().readyz > 2).then_some(()));
    assert_eq!(control.stats().unauthorized, 0);

    fs::write(&right, "second").unwrap();
    eventually(LIMIT, "refusals", || (control.stats().unauthorized > 0).then_some(()));
    files.put("token", "second\n");
    // A connection keeps its token; a new one reads the file.
    control.set(Behaviour::CloseAfter(Duration::ZERO));
    control.set(Behaviour::Healthy);
    let before = control.stats().readyz;
    eventually(LIMIT, "the new token", || (control.stats().readyz > before).then_some(()));
    let before = control.stats();
    eventually(LIMIT, "more of it", || (control.stats().readyz > before.readyz + 2).then_some(()));
    assert_eq!(control.stats().unauthorized, before.unauthorized);
    assert_eq!(daemon.condition(strict()), Some(Condition::Alive));
}

/// A token must not reach whoever happens to listen at the apiserver's address.
#[test]
fn an_impostor_never_sees_the_token() {
    let lab = Lab::new();
    let files = Files::new(&lab);
    files.put_authority(&lab.pki);
    files.put("token", "secret");
    let impostor = authority(&lab, "impostor");
    let (_server, control) = insist(&lab, &impostor, &[]);
    let [ca, token] = ["ca.crt", "token"].map(|name| files.path(name));
    let options = [&QUICK[..], &["--ca-file", &ca, "--token-file", &token]].concat();
    let daemon = Daemon::start_for(&lab, VIP, &[strict()], &options);
    daemon.wait_condition(strict(), Condition::Dead);
    assert_eq!(control.stats().questions(), 0);
}
