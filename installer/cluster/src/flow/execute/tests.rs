//! Plans on hosts in memory: who is asked what, and what becomes of the others when one fails.

use node::api::etcd::{EtcdHealth, EtcdMember};
use node::api::{Change, Changed, Failure, PrepareRequest, SetHostRequest};
use node::spec::NodeSpec;
use node::spec::kubeadm::KubeadmSpec;

use super::*;
use crate::plan::credentials::CHANCE;

const AUTHORITY: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A host that records what it is asked, and fails at what it was told to fail at.
#[derive(Debug)]
struct Fake {
    number: usize,
    fails_at: Option<&'static str>,
    loses_link: bool,
    said: Rc<RefCell<Vec<String>>>,
    secrets: Rc<RefCell<Vec<String>>>,
    /// What is wrong with etcd, the last word first.
    etcd: Rc<RefCell<Vec<&'static str>>>,
}

impl Fake {
    fn does(&self, what: &str) -> Result<(), Error> {
        self.said.borrow_mut().push(format!("{} {what}", self.number));
        match self.fails_at {
            Some(bad) if what.contains(bad) && self.loses_link => {
                Err(Error::Unknown { why: "the link was lost".to_owned() })
            }
            Some(bad) if what.contains(bad) => Err(Failure::new(HostKind::Failed, "it refuses").into()),
            _ => Ok(()),
        }
    }
}

impl Host for Fake {
    async fn run(&mut self, request: Request, _tell: &mut dyn FnMut(Event)) -> Result<Outcome, Error> {
        let what = match request {
            Request::SetHost(SetHostRequest { name, .. }) => name,
            Request::Prepare(request) => {
                let kubeadm = &request.kubeadm;
                let token = kubeadm.token.as_ref().map(|token| token.reveal().to_owned());
                self.secrets.borrow_mut().extend(token);
                format!(
                    "prepare {:?}",
                    kubeadm
                        .ca_cert_hashes
                        .iter()
                        .map(node::spec::credentials::CaCertHash::as_str)
                        .collect::<Vec<_>>()
                )
            }
            Request::Cluster(request) => {
                format!("{request:?}").split(' ').next().unwrap_or_default().to_owned()
            }
            Request::EtcdHealth => {
                self.does("EtcdHealth")?;
                let mut troubles = self.etcd.borrow_mut();
                let trouble = troubles.pop().map(str::to_owned);
                let member = EtcdMember { name: "m1".to_owned(), trouble, ..EtcdMember::default() };
                return Ok(Outcome::EtcdHealth(EtcdHealth { members: vec![member] }));
            }
            other => format!("{other:?}"),
        };
        self.does(&what)?;
        Ok(Outcome::Changed(Changed::default()))
    }

    async fn task(&mut self, id: &RunId, task: Task, tell: &mut dyn FnMut(&[u8])) -> Result<End, Error> {
        let words = task.command_line().unwrap().words.join(" ");
        tell(b"one\n\x1b[2Jtwo\n");
        match self.does(&format!("{id} {words}")) {
            Err(Error::Host(_)) => Ok(End::Exited { code: 3 }),
            other => other.map(|()| End::Exited { code: 0 }),
        }
    }

    async fn write_secret(&mut self, path: PathBuf, text: Secret) -> Result<(), Error> {
        self.secrets.borrow_mut().push(text.reveal().to_owned());
        self.does(&path.display().to_string())
    }

    async fn send(&mut self, _file: &Source) -> Result<(), Error> {
        self.does("send")
    }

    async fn authority(&mut self) -> Result<Option<String>, Error> {
        self.does("authority")?;
        Ok(Some(AUTHORITY.to_owned()))
    }
}

#[derive(Debug, Default)]
struct Heard(Vec<String>);

impl Progress for Heard {
    fn phase(&mut self, phase: &Phase) {
        self.0.push(phase.title.to_owned());
    }
    fn step(&mut self, _host: usize, _step: &Step) {}
    fn event(&mut self, _host: usize, _event: &Event) {}
    fn printed(&mut self, _host: usize, _bytes: &[u8]) {}
    fn failed(&mut self, host: usize, failed: &Failed, goes_on: bool) {
        self.0.push(format!("{host} failed, {goes_on}: {}", failed.why));
    }
    fn left(&mut self, host: usize) {
        self.0.push(format!("{host} left"));
    }
    fn stopping(&mut self, _running: usize) {}
    fn ending(&mut self, _running: usize) {}
}

fn named(name: &str) -> Request {
    Request::SetHost(SetHostRequest { name: name.to_owned(), address: [10, 0, 0, 1].into(), force: false })
}

fn phase(title: &'static str, order: Order, on_failure: OnFailure, work: Vec<(usize, Vec<Step>)>) -> Phase {
    Phase { title, order, on_failure, work }
}

struct Ran {
    said: Vec<String>,
    heard: Vec<String>,
    secrets: Vec<String>,
    unfinished: Vec<usize>,
    are_there: Vec<bool>,
}

/// Carries out `phases` on three hosts, of which one fails at what its name says.
fn run(phases: Vec<Phase>, bad: usize, fails_at: Option<&'static str>, loses_link: bool) -> Ran {
    let (said, secrets) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
    let hosts = (0..3).map(|number| {
        let fails_at = fails_at.filter(|_| number == bad);
        let etcd = Rc::new(RefCell::new(vec!["it knows no leader"; number]));
        let (said, secrets) = (Rc::clone(&said), Rc::clone(&secrets));
        Some(Fake { number, fails_at, loses_link, said, secrets, etcd })
    });
    let hosts = hosts.collect();
    let heard = Rc::new(RefCell::new(Heard::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let done = local.block_on(&runtime, async {
        let (_stopper, stop) = Stop::new();
        let credentials = Credentials::new(&[7; CHANCE]).unwrap();
        execute(&Plan { phases }, hosts, credentials, None, "run", &stop, &heard).await
    });
    let unfinished = done.unfinished.iter().map(|(host, _)| *host).collect();
    let are_there = done.hosts.iter().map(Option::is_some).collect();
    drop(done);
    let (said, secrets, heard) = (said.take(), secrets.take(), heard.take().0);
    Ran { said, heard, secrets, unfinished, are_there }
}

/// A phase on all three, and one after it.
fn two(order: Order, on_failure: OnFailure) -> Vec<Phase> {
    let work =
        |name: &str| (0..3).map(|host| (host, vec![Step::Run(named(name)), Step::Run(named("b"))])).collect();
    vec![phase("first", order, on_failure, work("a")), phase("second", Order::Serial, on_failure, work("c"))]
}

#[test]
fn what_becomes_of_the_others_is_the_phases_word() {
    for (order, on_failure, said, unfinished) in [
        (Order::Serial, OnFailure::StopAll, "0 a,0 b,1 a", vec![0, 1, 2]),
        (Order::Serial, OnFailure::StopPhase, "0 a,0 b,1 a,0 c,0 b", vec![1, 2]),
        (Order::Serial, OnFailure::LeaveHost, "0 a,0 b,1 a,2 a,2 b,0 c,0 b,2 c,2 b", vec![1]),
    ] {
        let ran = run(two(order, on_failure), 1, Some("a"), false);
        assert_eq!((ran.said.join(","), ran.unfinished), (said.to_owned(), unfinished), "{on_failure:?}");
        assert_eq!(ran.are_there, [true; 3]);
        assert!(ran.heard.contains(&"1 failed, false: it refuses".to_owned()), "{:?}", ran.heard);
    }
    // Many at once: those at work end in their own way, and only then nothing more is begun.
    let ran = run(two(Order::Parallel, OnFailure::StopAll), 1, Some("a"), false);
    assert_eq!((ran.said.len(), ran.unfinished), (5, vec![0, 1, 2]));
    let fine = run(two(Order::Parallel, OnFailure::StopAll), 1, None, false);
    assert!(fine.unfinished.is_empty() && fine.said.len() == 12 && fine.heard == ["first", "second"]);
}

#[test]
fn a_host_that_comes_again_is_not_blamed_for_another() {
    let work = |host, name: &str| (host, vec![Step::Run(named(name))]);
    let first = vec![work(0, "well"), work(1, "joins"), work(0, "well"), work(2, "joins"), work(0, "well")];
    let phases = vec![
        phase("masters", Order::Serial, OnFailure::StopPhase, first),
        phase("the end", Order::Serial, OnFailure::LeaveHost, vec![work(0, "token")]),
    ];
    let ran = run(phases, 1, Some("joins"), false);
    assert_eq!((ran.said.join(","), ran.unfinished), ("0 well,1 joins,0 token".to_owned(), vec![1, 2]));
}

#[test]
fn nobody_speaks_with_a_host_whose_link_is_lost() {
    let ran = run(two(Order::Serial, OnFailure::LeaveHost), 2, Some("b"), true);
    assert_eq!((ran.are_there, ran.unfinished), (vec![true, true, false], vec![2]));
    assert!(ran.heard.iter().any(|line| line.contains("what came of it is not known")), "{:?}", ran.heard);
}

#[test]
fn what_need_not_be_is_tried() {
    let work = vec![(0, vec![Step::Try(named("a")), Step::Run(named("b"))])];
    let ran = run(vec![phase("first", Order::Serial, OnFailure::StopAll, work.clone())], 0, Some("a"), false);
    assert_eq!(ran.said, ["0 a", "0 b"]);
    assert!(ran.unfinished.is_empty());
    assert_eq!(ran.heard, ["first", "0 failed, true: it refuses"]);
    // A host that is gone cannot go on.
    let ran = run(vec![phase("first", Order::Serial, OnFailure::StopAll, work)], 0, Some("a"), true);
    assert_eq!((ran.said.len(), ran.unfinished), (1, vec![0]));
}

#[test]
fn a_master_waits_for_etcd_and_no_longer_than_it_may() {
    let work = |limit| vec![(2, vec![Step::AwaitEtcd(limit), Step::Run(named("joins"))])];
    let masters = |limit| vec![phase("masters", Order::Serial, OnFailure::StopPhase, work(limit))];
    let ran = run(masters(Duration::from_secs(600)), 0, None, false);
    assert_eq!(ran.said, ["2 EtcdHealth", "2 EtcdHealth", "2 EtcdHealth", "2 joins"]);
    let ran = run(masters(Duration::ZERO), 0, None, false);
    assert_eq!(ran.said, ["2 EtcdHealth"], "nobody joins an etcd that is not well");
    assert!(ran.heard[1].contains("would make it worse: m1: it knows no leader"), "{:?}", ran.heard);
}

#[test]
fn who_joins_is_given_what_was_made_for_it() {
    let spec = NodeSpec {
        vip: "10.103.97.2:6443".parse().unwrap(),
        masters: Vec::new(),
        name: "apiserver.cluster.local".to_owned(),
        node_ip: None,
        image: "x:1".to_owned(),
        service_cidrs: Vec::new(),
        pod_cidrs: Vec::new(),
        daemon_args: Vec::new(),
    };
    let prepare = PrepareRequest {
        spec,
        archive: None,
        skip: Vec::new(),
        kubeadm: KubeadmSpec::default(),
        change: Change::default(),
    };
    let version = "v1.20.2".parse().unwrap();
    let admission = Admission { address: [10, 0, 0, 1].into(), port: 6443, version, has_masters: true };
    let ran = run(
        vec![
            phase(
                "a token",
                Order::Serial,
                OnFailure::StopAll,
                vec![(0, vec![Step::LearnAuthority, Step::Admit(admission)])],
            ),
            phase(
                "nodes",
                Order::Parallel,
                OnFailure::LeaveHost,
                vec![(1, vec![Step::PrepareJoin(Box::new(prepare))])],
            ),
        ],
        0,
        None,
        false,
    );
    assert_eq!(
        ran.said,
        [
            "0 authority".to_owned(),
            "0 AddToken".to_owned(),
            "0 /var/lib/lvscare-installer/kubeadm-init.yaml".to_owned(),
            "0 run-0-0-1 kubeadm init phase upload-certs --upload-certs --skip-certificate-key-print --config \
             /var/lib/lvscare-installer/kubeadm-init.yaml"
                .to_owned(),
            format!("1 prepare [{AUTHORITY:?}]"),
        ]
    );
    assert!(
        ran.secrets[0].contains("certificateKey: ") && ran.secrets[0].contains("kubernetesVersion: v1.20.2")
    );
    assert_eq!(ran.secrets.len(), 2);
    let (title, why) = {
        let task = Task::Kubeadm(Kubeadm::Reset { cri_socket: None });
        let work = vec![(0, vec![Step::Task(task)])];
        let ran = run(vec![phase("first", Order::Serial, OnFailure::StopAll, work)], 0, Some("reset"), false);
        (ran.heard[0].clone(), ran.heard[1].clone())
    };
    assert_eq!(title, "first");
    assert_eq!(
        why,
        "0 failed, false: its program ended with 3; the whole of what it printed is in \
         /var/lib/lvscare-installer/run/run-0-0-0/log on the host, and it ends so:\n    one\n    \\x1b[2Jtwo"
    );
}
