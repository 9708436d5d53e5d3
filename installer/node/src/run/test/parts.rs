use super::*;
use crate::paths;

#[test]
fn the_pod_alone_is_rendered_written_and_removed() {
    let mut machine = Fake::bare();
    let before = machine.snapshot();
    let Ok(Outcome::Manifest { text }) = ask(&mut machine, &Request::RenderPod(asked())).0 else {
        panic!("no manifest")
    };
    let write = Request::WritePod { spec: asked(), change: Change::default() };
    let remove = Request::RemovePod { change: Change::default() };
    changed(&mut machine, &write);
    assert_eq!(machine.text(paths::POD), Some(text));
    assert!(!changed(&mut machine, &write).0.changed);
    changed(&mut machine, &remove);
    assert!(!changed(&mut machine, &remove).0.changed);
    assert_eq!(status(&mut machine).differences, [""; 0]);
    changed(&mut machine, &UNDO);
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn names_are_set_listed_and_taken_out() {
    let mut machine = Fake::bare();
    let before = machine.snapshot();
    let address = "10.103.97.2".parse().unwrap();
    let set = Request::SetHost(SetHostRequest { name: "api".into(), address, force: false });
    changed(&mut machine, &set);
    assert!(!changed(&mut machine, &set).0.changed);
    let Ok(Outcome::Hosts { entries }) = ask(&mut machine, &Request::ListHosts).0 else { panic!("no list") };
    assert_eq!((entries.len(), entries[0].name.as_str()), (1, "api"));
    changed(&mut machine, &Request::UnsetHost { name: "api".into() });
    assert_eq!(machine.snapshot(), before);
}

type Damage = fn(&mut Fake);

#[test]
fn status_says_what_is_not_as_it_should_be() {
    let mut machine = prepared();
    let good = status(&mut machine);
    assert_eq!((good.prepared, &good.differences), (true, &Vec::<String>::new()));
    let cases: [(&str, Damage); 6] = [
        ("the virtual server 10.103.97.2:6443 is not in the kernel", |machine| {
            machine.kernel.state.services.clear();
        }),
        ("there is no local route to 10.103.97.2", |machine| machine.kernel.state.routes.clear()),
        ("/etc/hosts says nothing of apiserver.cluster.local any more", |machine| {
            machine.has_file(paths::HOSTS, "127.0.0.1 localhost\n");
        }),
        ("net.ipv4.ip_forward is 0 instead of 1", |machine| {
            machine.has_file("/proc/sys/net/ipv4/ip_forward", "0\n");
        }),
        ("/etc/kubernetes/manifests/kube-lvscare.yaml is gone", |machine| {
            machine.files.remove(std::path::Path::new(paths::POD));
        }),
        ("no daemon answers on 127.0.0.1:10261, although kubelet should run it", |machine| {
            machine.has_file(paths::KUBELET, "clusters: []\n");
        }),
    ];
    for (difference, damage) in cases {
        let mut machine = machine.clone();
        damage(&mut machine);
        assert_eq!(status(&mut machine).differences, [difference]);
    }
    let bare = status(&mut Fake::bare());
    assert_eq!((bare.prepared, bare.rules_unknown.as_deref()), (false, Some("none were made on this node")));
}

#[test]
fn other_masters_come_first_and_the_others_go_last() {
    let mut machine = prepared();
    let (done, told) = changed(&mut machine, &set_masters("10.0.0.2,10.0.0.4"));
    let place =
        |part: &str| told.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}"));
    let places = [
        "add real server 10.0.0.4",
        "change /etc/kubernetes",
        "10.0.0.1:6443 weight 0",
        "remove real server 10.0.0.1",
    ]
    .map(place);
    assert!(places.is_sorted() && done.changed, "{told:#?}");
    assert!(!changed(&mut machine, &set_masters("10.0.0.2,10.0.0.4")).0.changed);
    // Back to the first ones, nothing tells of the others.
    let mut again = prepared();
    let before = again.snapshot();
    for masters in ["10.0.0.2,10.0.0.4", "10.0.0.1-10.0.0.3"] {
        changed(&mut again, &set_masters(masters));
    }
    assert_eq!(again.snapshot(), before);
    refused(&mut Fake::bare(), &set_masters("10.0.0.1"), Kind::Invalid, "this node is not prepared");
}
