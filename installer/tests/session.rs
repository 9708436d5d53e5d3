//! Sessions with the real agent on real OpenSSH hosts, over links that are cut. As root; what a host is, says
//! `tests::sshd`. kubeadm there is a script; that it goes on, who is told and what stays are real.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::remote::Error;
use cluster::remote::session::{Session, received};
use cluster::remote::transfer::{Sent, Source};
use cluster::runner::Stop;
use cluster::transport::auth::Credentials;
use cluster::transport::host_keys::HostKeys;
use cluster::transport::keys;
use cluster::transport::policy::Policy;
use cluster::transport::ssh::{Ssh, Target};
use node::agent::runs::End;
use node::agent::task::{Kubeadm, Task};
use node::agent::wire::{FileContent, TaskSignal};
use node::api::{Kind, Outcome, Request, SetHostRequest, UndoRequest};
use node::paths;
use tests::sshd::{Host, Setup, SshLab, User};
use tests::wait::eventually;

/// Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// Says its version when it may, and much else while it may.
const KUBEADM: &str = r#"#!/bin/sh
if [ "$1" = version ]; then
    touch /root/asked
    while [ -e /root/slow ]; do sleep 0.1; done
    echo v1.34.1
    exit
fi
touch /root/begun
n=0
until [ -e /root/ends ]; do n=$((n + 1)); echo "line $n"; sleep 0.02; done
echo "the last line, after $n"
"#;

/// A laboratory with one host, which has users beside root.
struct Stage {
    lab: SshLab,
    host: Host,
    program: Source,
}

impl Stage {
    fn new() -> Self {
        let lab = SshLab::new();
        let users = vec![
            User::new("free", "secret", "ALL=(ALL:ALL) NOPASSWD: ALL"),
            User::new("asked", "it's \"$secret\"", "ALL=(ALL:ALL) ALL"),
        ];
        let files = vec![("usr/local/bin/kubeadm".to_owned(), 0o755, KUBEADM.as_bytes().to_vec())];
        let host = lab.host(&Setup { users, files, ..Setup::default() });
        let program = Source::new(Path::new(env!("CARGO_BIN_EXE_lvscare-installer"))).unwrap();
        Self { lab, host, program }
    }

    fn target(&self, user: &str, password: Option<&str>) -> Target {
        let keys = if user == "root" { vec![keys::load(&self.lab.key(), None).unwrap()] } else { Vec::new() };
        let password = password.map(|password| password.to_owned().into());
        let credentials = Credentials { user: user.to_owned(), keys, password, ..Credentials::default() };
        Target { at: self.host.at(), credentials, policy: Policy::AcceptNew }
    }

    async fn connect(&self, target: &Target) -> Ssh {
        let home = self.lab.home();
        let keys = HostKeys { read: Vec::new(), write: home.join(".ssh/known_hosts") };
        Ssh::connect(target, &Arc::new(keys), None).await.unwrap()
    }

    async fn open(&self) -> Session<Ssh> {
        self.open_as("root", None).await.unwrap()
    }

    async fn open_as(&self, user: &str, password: Option<&str>) -> Result<Session<Ssh>, Error> {
        let target = self.target(user, password);
        let ssh = self.connect(&target).await;
        let password = target.credentials.password.as_ref();
        Session::open(ssh, password, &self.program, Stop::new().1, |_| ()).await
    }

    fn program_there(&self) -> String {
        format!("{}/{}", paths::PROGRAMS, self.program.sha256)
    }

    fn exists(&self, path: &str) -> bool {
        self.host.path(path).exists()
    }

    fn note(&self, name: &str) {
        self.host.check(&["touch", &format!("/root/{name}")]);
    }

    #[track_caller]
    fn wait_for(&self, name: &str) {
        eventually(LIMIT, name, || self.exists(&format!("/root/{name}")).then_some(()));
    }

    fn cut(&self) {
        self.host.cut(self.lab.controller());
    }

    fn mend(&self) {
        self.host.mend(self.lab.controller());
    }

    /// A link that is cut leaves its server behind, which notices nothing. So is the agent, and what it has locked.
    fn end_old_links(&self) {
        self.host.check(&["pkill", "-f", "lvscare-installer/bin/.* agent"]);
    }
}

fn reset() -> Task {
    Task::Kubeadm(Kubeadm::Reset { cri_socket: None })
}

/// A failure that the host itself tells.
#[track_caller]
fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> (Kind, String) {
    let Err(Error::Host(failure)) = result else { panic!("{result:?}") };
    (failure.kind, failure.message)
}

#[track_caller]
fn assert_unknown<T: std::fmt::Debug>(result: &Result<T, Error>) {
    let Err(Error::Unknown { why }) = result else { panic!("{result:?}") };
    assert_eq!(why, "the link was lost");
}

#[test]
fn whoever_may_be_root_starts_it_and_it_leaves_nothing() {
    let stage = Stage::new();
    let secret = "it's \"$secret\"";
    for (user, password) in [("root", None), ("free", Some("secret")), ("asked", Some(secret))] {
        stage.lab.run(async || {
            let mut session = stage.open_as(user, password).await.unwrap();
            assert!(stage.exists(&stage.program_there()));
            let facts = session.facts().await.unwrap();
            assert_eq!((facts.name.as_str(), facts.versions["kubeadm"].as_str()), ("host1", "v1.34.1"));
            assert_eq!(session.probe().is_root, user == "root");
            session.bye(false).await.unwrap().close().await;
        });
        assert!(!stage.exists(paths::STATE), "{user}");
    }
    // It takes no password that it did not ask for, and none is guessed.
    let target = stage.target("asked", Some(secret));
    stage.lab.run(async || {
        for (password, why) in
            [(None, "none was given; see --ask-pass"), (Some("wrong"), "sudo does not take the password")]
        {
            let ssh = stage.connect(&target).await;
            let password = password.map(|text| text.to_owned().into());
            let opened = Session::open(ssh, password.as_ref(), &stage.program, Stop::new().1, |_| ()).await;
            let refusal = opened.unwrap_err().to_string();
            assert!(refusal.ends_with(why), "{refusal}");
        }
    });
    assert!(!stage.exists(paths::STATE));
}

#[test]
fn the_program_is_brought_once_and_what_is_not_it_is_not_started() {
    let stage = Stage::new();
    stage.lab.run(async || {
        let sent = async || {
            let ssh = stage.connect(&stage.target("root", None)).await;
            let mut heard = Vec::new();
            let opened = Session::open(ssh, None, &stage.program, Stop::new().1, |bytes| heard.push(bytes));
            // No good-bye: the program stays.
            drop(opened.await.unwrap());
            assert_eq!(heard.last(), Some(&stage.program.size));
            heard[0]
        };
        assert_eq!(sent().await, 0);
        assert_eq!(sent().await, stage.program.size);
        // Somebody has put another program there.
        let program = stage.host.path(&stage.program_there());
        fs::remove_file(&program).unwrap();
        fs::write(&program, "#!/bin/sh\ntouch /root/hacked\n").unwrap();
        assert_eq!(sent().await, 0);
        assert!(!stage.exists("/root/hacked"));
        let mode = fs::metadata(stage.host.path(&stage.program_there())).unwrap().permissions().mode();
        let above = fs::metadata(stage.host.path(paths::PROGRAMS)).unwrap().permissions().mode();
        assert_eq!((mode & 0o7777, above & 0o7777), (0o700, 0o700));
    });
}

#[test]
fn an_upload_of_it_that_is_cut_goes_on_where_it_was() {
    let stage = Stage::new();
    stage.lab.run(async || {
        let ssh = stage.connect(&stage.target("root", None)).await;
        let half = stage.program.size / 2;
        let mut is_cut = false;
        let opened = Session::open(ssh, None, &stage.program, Stop::new().1, |bytes| {
            if bytes > half && !is_cut {
                is_cut = true;
                stage.cut();
            }
        });
        let error = opened.await.unwrap_err();
        assert!(error.to_string().contains("the link was lost"), "{error}");
        stage.mend();
        let ssh = stage.connect(&stage.target("root", None)).await;
        let mut first = None;
        let opened = Session::open(ssh, None, &stage.program, Stop::new().1, |bytes| {
            first.get_or_insert(bytes);
        });
        let session = opened.await.unwrap();
        assert!(first.unwrap() > half / 2, "{first:?} of {}", stage.program.size);
        session.bye(true).await.unwrap();
    });
    assert!(!stage.exists(paths::STATE));
}

#[test]
fn a_second_controller_is_told_who_holds_the_host_and_since_when() {
    let stage = Stage::new();
    stage.lab.run(async || {
        let (mut first, mut second) = (stage.open().await, stage.open().await);
        first.lock("the run of ada").await.unwrap();
        let set = || {
            let (name, address) = ("api.test".to_owned(), [10, 1, 2, 3].into());
            Request::SetHost(SetHostRequest { name, address, force: false })
        };
        for refusal in [second.lock("bob").await, second.run(set(), &mut |_| ()).await.map(|_| ())] {
            let (kind, why) = told(refusal);
            assert_eq!(kind, Kind::Locked);
            assert!(why.contains("for the run of ada") && why.contains(", since "), "{why}");
        }
        // Whoever only looks need not wait, and whoever holds it may go on.
        assert!(matches!(second.run(Request::Status, &mut |_| ()).await.unwrap(), Outcome::Status(_)));
        let mut events = 0;
        first.run(set(), &mut |_| events += 1).await.unwrap();
        assert_eq!(events, 1);
        assert!(fs::read_to_string(stage.host.path("/etc/hosts")).unwrap().contains("10.1.2.3 api.test"));
        first.bye(false).await.unwrap();
        second.lock("bob").await.unwrap();
        second.run(Request::UnsetHost { name: "api.test".to_owned() }, &mut |_| ()).await.unwrap();
        second.bye(true).await.unwrap();
    });
    assert!(!fs::read_to_string(stage.host.path("/etc/hosts")).unwrap().contains("api.test"));
    assert!(!stage.exists(paths::STATE));
}

#[test]
fn a_link_that_is_cut_in_a_request_leaves_it_unknown_and_the_next_session_finds_out() {
    let stage = Stage::new();
    stage.lab.run(async || {
        // While it is at work there.
        stage.note("slow");
        let mut session = stage.open().await;
        let facts = session.facts();
        let cut = async {
            while !stage.exists("/root/asked") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stage.cut();
        };
        assert_unknown(&tokio::join!(facts, cut).0);
        assert_unknown(&session.tasks().await);
        stage.mend();
        fs::remove_file(stage.host.path("/root/slow")).unwrap();
        stage.end_old_links();
        // Before it has arrived: nothing of it is done, and asked again it is done once.
        let write = async |session: &mut Session<Ssh>| {
            let content = FileContent::Plain(b"x\n".to_vec());
            session.write_file("/etc/file".into(), content, 0o644).await
        };
        let mut session = stage.open().await;
        stage.cut();
        assert_unknown(&write(&mut session).await);
        stage.mend();
        stage.end_old_links();
        assert!(!stage.exists("/etc/file"));
        let mut session = stage.open().await;
        assert!(write(&mut session).await.unwrap().changed);
        assert!(!write(&mut session).await.unwrap().changed);
        assert!(session.remove_file("/etc/file".into()).await.unwrap().changed);
        session.bye(true).await.unwrap();
    });
    assert!(!stage.exists("/etc/file"));
}

#[test]
fn a_task_outlives_the_link_and_no_byte_of_its_log_is_lost_or_told_twice() {
    let stage = Stage::new();
    let id = "reset-1".parse().unwrap();
    stage.lab.run(async || {
        let mut session = stage.open().await;
        session.lock("ada").await.unwrap();
        session.start(&id, reset()).await.unwrap();
        session.start(&id, reset()).await.unwrap();
        let (mut log, mut from) = (Vec::new(), 0);
        // Three times in the middle of it.
        for round in 1_u8..=3 {
            let (mut is_cut, begin) = (false, log.len());
            let mut tell = |bytes: &[u8]| {
                log.extend_from_slice(bytes);
                if !is_cut && log.len() > begin + 100 {
                    is_cut = true;
                    stage.cut();
                }
            };
            assert_unknown(&session.attach(&id, &mut from, &mut tell).await);
            assert_eq!(from, log.len() as u64);
            stage.mend();
            session = stage.open().await;
            // The host stays locked by the task, whoever else is gone, and says so.
            let (kind, why) = told(session.lock(&format!("round {round}")).await);
            assert_eq!(kind, Kind::Locked);
            assert!(why.contains("the task reset-1") && why.contains(", since "), "{why}");
            let tasks = session.tasks().await.unwrap();
            assert_eq!((tasks.len(), &tasks[0].what.id, &tasks[0].end), (1, &id, &None));
        }
        stage.note("ends");
        let end = session.attach(&id, &mut from, &mut |bytes| log.extend_from_slice(bytes)).await.unwrap();
        assert_eq!(end, End::Exited { code: 0 });
        let log = String::from_utf8(log).unwrap();
        let count = log.lines().count() - 1;
        let whole: String =
            (1..=count).fold(String::new(), |text, number| text + &format!("line {number}\n"));
        assert_eq!(log, format!("{whole}the last line, after {count}\n"));
        stage.end_old_links();
    });
}

#[test]
fn a_signal_ends_a_task_and_that_is_told() {
    let stage = Stage::new();
    let id = "reset-1".parse().unwrap();
    stage.lab.run(async || {
        let mut session = stage.open().await;
        session.start(&id, reset()).await.unwrap();
        stage.wait_for("begun");
        session.signal(&id, TaskSignal::Term).await.unwrap();
        let end = session.attach(&id, &mut 0, &mut |_| ()).await.unwrap();
        assert_eq!(end, End::Killed { signal: 15 });
        session.bye(true).await.unwrap();
    });
    assert!(!stage.exists(paths::STATE));
}

#[test]
fn a_program_is_sent_goes_on_where_it_was_cut_and_is_taken_back() {
    let stage = Stage::new();
    let path = stage.lab.home().join("program");
    let bytes: Vec<u8> = (0..8_000_000_u32).flat_map(u32::to_be_bytes).collect();
    fs::write(&path, &bytes).unwrap();
    let source = Source::new(&path).unwrap();
    stage.lab.run(async || {
        let mut session = stage.open().await;
        let mut is_cut = false;
        let sent = session.send(&source, |sent| {
            if sent > source.size / 2 && !is_cut {
                is_cut = true;
                stage.cut();
            }
        });
        let error = sent.await.unwrap_err();
        assert!(error.to_string().contains("the link was lost"), "{error}");
        assert_unknown(&session.tasks().await);
        stage.mend();
        stage.end_old_links();
        let mut session = stage.open().await;
        let Sent::Bytes(count) = session.send(&source, |_| ()).await.unwrap() else { panic!() };
        assert!(count < source.size * 3 / 4, "{count} of {}", source.size);
        assert_eq!(fs::read(stage.host.path(&received(&source).display().to_string())).unwrap(), bytes);
        let changed = session.install_program(&source, "/usr/local/bin/it".into(), 0o755, |_| ()).await;
        assert!(changed.unwrap().changed);
        assert_eq!(fs::read(stage.host.path("/usr/local/bin/it")).unwrap(), bytes);
        session.run(Request::Undo(UndoRequest::default()), &mut |_| ()).await.unwrap();
        session.bye(true).await.unwrap();
    });
    assert!(!stage.exists("/usr/local/bin/it") && !stage.exists(paths::STATE));
}
