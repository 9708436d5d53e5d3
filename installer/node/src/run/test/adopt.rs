//! Nodes that an older installer made.

use super::*;
use crate::api::AdoptRequest;
use crate::paths;

const SEALYUN: &str = "/etc/kubernetes/manifests/kube-sealyun-lvscare.yaml";
const SEALOS: &str = "/etc/kubernetes/manifests/kube-sealos-lvscare.yaml";
const IMAGE: &str = "docker.io/library/lvscare:0.1.0";

fn manifest(more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: kube-lvscare-of-old\nspec:\n  containers:\n  - args: [care, --vs, \
         \"{VIP}\", --health-path, /healthz, --health-schem, https, --rs, \"10.0.0.1:6443\", --rs, \"10.0.0.2:6443\", --rs, \
         \"10.0.0.3:6443\"{more}]\n    command: [/usr/bin/lvscare]\n    image: fanux/lvscare:latest\n  hostNetwork: true\n"
    )
}

/// A node with an older lvscare's manifest at `path`, its rules in the kernel, and kubelet.
fn old(path: &str, more: &str) -> Fake {
    use lvscare::model::{self, Destination, Service};
    let mut machine = Fake::bare();
    for module in ["ip_vs", "nf_conntrack", "ip_vs_rr"] {
        machine.load(module);
    }
    machine.has_file(path, &manifest(more));
    machine.has_file(
        paths::KUBELET,
        "apiVersion: v1\nclusters:\n- name: k\n  cluster:\n    server: https://api.old.example:6443\n",
    );
    machine.has_file(paths::HOSTS, "127.0.0.1 localhost\n10.103.97.2 api.old.example\n");
    machine.images = Some([IMAGE.to_owned()].into());
    // As on every node that runs pods.
    machine.has_file("/proc/sys/net/ipv4/ip_forward", "1\n");
    let at = VIP.parse().unwrap();
    let service = Service { scheduler: "rr".into(), flags: 0 };
    let mut changes = vec![model::Change::AddService { at, service }];
    for server in ["10.0.0.1:6443", "10.0.0.2:6443", "10.0.0.3:6443"] {
        let server = server.parse().unwrap();
        changes.push(model::Change::AddServer { at, server, destination: Destination::masqueraded(1) });
    }
    for change in changes {
        crate::machine::Machine::change(&mut machine, &change).unwrap();
    }
    machine.kubelet = Some(Duration::from_secs(1));
    machine.changes = 0;
    machine
}

fn adoption() -> AdoptRequest {
    AdoptRequest {
        image: IMAGE.into(),
        archive: None,
        name: None,
        node_ip: None,
        daemon_args: Vec::new(),
        wait: Duration::from_secs(120),
        change: Change::default(),
    }
}

fn adopt() -> Request {
    Request::Adopt(Box::new(adoption()))
}

/// Where a line stands that begins so.
#[track_caller]
fn place(lines: &[String], beginning: &str) -> usize {
    let place = lines.iter().position(|line| line.starts_with(beginning));
    place.unwrap_or_else(|| panic!("{beginning}: {lines:#?}"))
}

#[test]
fn an_older_guard_goes_when_ours_is_at_work_and_undo_brings_it_back() {
    for path in [SEALYUN, SEALOS, "/etc/kubernetes/manifests/lvs.json"] {
        let mut machine = old(path, "");
        let before = machine.snapshot();
        let mut dry = adoption();
        dry.change.dry_run = true;
        let (planned, _) = changed(&mut machine, &Request::Adopt(Box::new(dry)));
        assert_eq!(machine.snapshot(), before);

        let (done, told) = changed(&mut machine, &adopt());
        assert_eq!(done.guarded, Some(true));
        assert_eq!(planned.steps, done.steps);
        assert!(
            place(&told, &format!("write {}", paths::POD)) < place(&told, &format!("remove {path}")),
            "{told:#?}"
        );
        // What is in the table is the older one's business until the end.
        assert!(!told.iter().any(|line| line.contains("real server")), "{told:#?}");
        let pod = machine.text(paths::POD).unwrap();
        for part in [format!("--vs={VIP}"), "--rs=10.0.0.3:6443".into(), IMAGE.into()] {
            assert!(pod.contains(&part), "{part}: {pod}");
        }
        assert!(machine.text(paths::HOSTS).unwrap().contains("\n10.103.97.2 api.old.example\n# END"));
        assert!(machine.text(path).is_none());
        assert_eq!(status(&mut machine).differences, [""; 0]);
        let (again, _) = changed(&mut machine, &adopt());
        assert!(!again.changed, "{again:?}");

        // kubelet keeps its way to the apiservers, so nobody has to insist.
        changed(&mut machine, &UNDO);
        assert!(machine.kernel.state.services[&VIP.parse().unwrap()].destinations.len() == 3);
        assert_eq!(machine.text(path), Some(manifest("")));
        assert!(machine.text(paths::POD).is_none());
        assert_eq!(machine.text(paths::HOSTS).unwrap(), "127.0.0.1 localhost\n10.103.97.2 api.old.example\n");
    }
}

#[test]
fn one_in_our_own_place_is_replaced_and_comes_back() {
    let mut machine = old(paths::POD, "");
    changed(&mut machine, &adopt());
    assert!(machine.text(paths::POD).unwrap().contains(IMAGE));
    assert!(!changed(&mut machine, &adopt()).0.changed);
    changed(&mut machine, &UNDO);
    assert_eq!(machine.text(paths::POD), Some(manifest("")));
}

#[test]
fn until_ours_answers_the_older_one_stays() {
    let mut machine = old(SEALOS, "");
    machine.kubelet = None;
    refused(&mut machine, &adopt(), Kind::NotVerified, "our static pod has not started within 120s");
    assert_eq!(machine.text(SEALOS), Some(manifest("")));
    assert!(
        status(&mut machine).differences.iter().any(|text| text.contains("runs an older lvscare as well"))
    );
    // Once it does, the same again finishes the job.
    machine.kubelet = Some(Duration::from_secs(1));
    changed(&mut machine, &adopt());
    assert!(machine.text(SEALOS).is_none());
}

#[test]
fn it_can_fail_anywhere_and_some_guard_is_always_there() {
    let begin = || old(SEALOS, "");
    let before = begin().snapshot();
    let mut done = begin();
    changed(&mut done, &adopt());
    let after = done.snapshot();
    let mut points = 0;
    for fails in [Fails::Once as fn(usize) -> Fails, Fails::From] {
        for number in 0.. {
            let mut machine = Fake { fails: fails(number), ..begin() };
            let outcome = ask(&mut machine, &adopt()).0;
            machine.dies();
            assert!(machine.text(SEALOS).is_some() || machine.text(paths::POD).is_some(), "{number}");
            assert_eq!(
                machine.kernel.state.services[&VIP.parse().unwrap()].destinations.len(),
                3,
                "{number}"
            );
            if outcome.is_ok() {
                break;
            }
            points += 1;
            let mut way_back = machine.clone();
            changed(&mut machine, &adopt());
            assert_eq!(machine.snapshot(), after, "{number}");
            changed(&mut way_back, &FORCED_UNDO);
            assert_eq!(way_back.snapshot(), before, "{number}");
        }
    }
    assert!(points > 20, "{points}");
}

#[test]
fn what_the_older_one_was_told_is_kept_or_named() {
    let mut machine = old(SEALOS, ", --scheduler, wlc, --logger, DEBG, --ip, 10.0.0.10");
    machine.modules.insert("ip_vs_wlc".into());
    let (done, _) = changed(&mut machine, &adopt());
    assert!(
        done.notes.iter().any(|note| note.contains("was told --logger DEBG, which is left behind")),
        "{done:?}"
    );
    let pod = machine.text(paths::POD).unwrap();
    assert!(pod.contains("--scheduler=wlc") && pod.contains("--node-ip=10.0.0.10"), "{pod}");
    // It is not said of a guard that it is in its own way.
    assert!(!done.notes.iter().any(|note| note.contains("foreign-manifest")), "{done:?}");
}

type Damage = fn(&mut Fake, &mut AdoptRequest);

#[test]
fn what_cannot_be_taken_over_is_refused_before_anything_is_changed() {
    let cases: [(Kind, &str, Damage); 6] = [
        (Kind::Invalid, "no static pod in /etc/kubernetes/manifests runs an older lvscare", |machine, _| {
            machine.files.remove(std::path::Path::new(SEALOS));
        }),
        (Kind::Foreign, "kube-sealos-lvscare.yaml: it uses --mode link", |machine, _| {
            machine.has_file(SEALOS, &manifest(", --mode, link"));
        }),
        (Kind::Foreign, "run two older lvscares that were told of different", |machine, _| {
            machine.has_file(SEALYUN, &manifest(", --rs, 10.0.0.4"));
        }),
        (
            Kind::Image,
            "is not on this node, and the older lvscare guards until ours has started",
            |machine, _| {
                machine.images = Some(std::collections::BTreeSet::new());
            },
        ),
        (Kind::Usage, "--lvscare-arg takes no --rs", |_, request| {
            request.daemon_args = vec!["--rs=10.0.0.9:6443".into()];
        }),
        (Kind::Foreign, "a daemon on 127.0.0.1:10261 guards the virtual server already", |machine, _| {
            machine.stranger = Some(("127.0.0.1:10261".parse().unwrap(), VIP.parse().unwrap()));
        }),
    ];
    for (kind, why, damage) in cases {
        let (mut machine, mut request) = (old(SEALOS, ""), adoption());
        damage(&mut machine, &mut request);
        let before = machine.snapshot();
        let failure = ask(&mut machine, &Request::Adopt(Box::new(request))).0.unwrap_err();
        assert!(failure.kind == kind && failure.message.contains(why), "{failure:?}");
        assert_eq!(machine.snapshot(), before, "{why}");
    }
}

#[test]
fn check_names_the_node_and_the_command() {
    let mut machine = old(SEALYUN, "");
    let check = CheckRequest { spec: asked(), role: Role::Worker, cri_socket: None, visits: true };
    let Ok(Outcome::Checked(report)) = ask(&mut machine, &Request::Check(check)).0 else {
        panic!("no report")
    };
    let found = report.findings.iter().find(|finding| finding.id == "foreign-manifest").unwrap();
    assert_eq!(found.seen, format!("{SEALYUN} runs an older lvscare"));
    assert!(found.fix.as_ref().unwrap().ends_with("lvscare-installer node adopt"), "{found:?}");
}

#[test]
fn the_name_is_kubelets_or_that_of_the_hosts_file() {
    let hosts = "10.103.97.2 api.hosts.example # mine\n";
    for (kubelet, hosts, name) in [
        ("https://api.old.example:6443", hosts, "api.old.example"),
        ("https://10.103.97.2:6443", hosts, "api.hosts.example"),
        ("nonsense", "10.103.97.3 other\n", "apiserver.cluster.local"),
    ] {
        let mut machine = old(SEALYUN, "");
        machine.has_file(paths::KUBELET, &format!("clusters:\n- cluster:\n    server: {kubelet}\n"));
        machine.has_file(paths::HOSTS, hosts);
        changed(&mut machine, &adopt());
        let text = machine.text(paths::HOSTS).unwrap();
        assert!(text.contains(&format!("\n10.103.97.2 {name}\n")), "{name}: {text}");
    }
}
