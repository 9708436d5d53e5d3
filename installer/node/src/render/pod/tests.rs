use proptest::prelude::*;

use super::*;
use crate::spec::daemon::DaemonOptions;

const IMAGE: &str = "registry.example/lvscare:1.2.3";

fn arguments(more: &[&str]) -> Vec<String> {
    let words = ["care", "--vs=10.103.97.2:6443", "--rs=10.0.0.1:6443"];
    words.iter().chain(more).map(ToString::to_string).collect()
}

fn understood(arguments: &[String]) -> Config {
    DaemonOptions::read(arguments).unwrap().config().unwrap()
}

fn render_with(image: &str, arguments: &[String]) -> Result<String, Error> {
    render(&Pod { image, arguments, config: &understood(arguments) })
}

fn rendered(more: &[&str]) -> String {
    render_with(IMAGE, &arguments(more)).unwrap()
}

fn read(text: &str) -> Manifest {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn the_example_is_what_is_rendered_for_it() {
    let container = &read(EXAMPLE).spec.containers[0];
    assert_eq!(render_with(&container.image, &container.args).unwrap(), EXAMPLE);
}

#[test]
fn image_and_arguments_are_taken() {
    let manifest = read(&rendered(&["--interval=5s", "--prefer-local"]));
    let [container] = &manifest.spec.containers[..] else { panic!() };
    assert_eq!(container.image, IMAGE);
    assert_eq!(container.args, arguments(&["--interval=5s", "--prefer-local"]));
}

#[test]
fn it_has_one_capability_and_nothing_of_the_host_that_it_does_not_read() {
    let manifest = read(&rendered(&[]));
    let context = &manifest.spec.containers[0].security_context;
    assert_eq!(
        (&context.capabilities.add[..], &context.capabilities.drop[..]),
        (&["NET_ADMIN".to_owned()][..], &["ALL".to_owned()][..])
    );
    assert!(!context.privileged && !context.allow_privilege_escalation && context.read_only_root_filesystem);
    let paths: Vec<&Path> = manifest.spec.volumes.iter().map(|volume| &*volume.host_path.path).collect();
    assert_eq!(paths, [Path::new("/var/lib/lvscare")]);
    let mount = &manifest.spec.containers[0].volume_mounts[0];
    assert!(mount.read_only, "whom it may not use, root says");
    assert!(read(&rendered(&["--state-dir=none"])).spec.volumes.is_empty());
    assert!(!manifest.spec.automount_service_account_token);
}

#[test]
fn probes_go_where_the_daemon_listens() {
    for (listen, host) in [
        ("127.0.0.1:9", "127.0.0.1"),
        ("0.0.0.0:9", "127.0.0.1"),
        ("[::]:9", "::1"),
        ("10.0.0.9:9", "10.0.0.9"),
    ] {
        let manifest = read(&rendered(&[&format!("--listen={listen}")]));
        let container = &manifest.spec.containers[0];
        for (probe, path) in [(&container.liveness_probe, "/livez"), (&container.readiness_probe, "/readyz")]
        {
            let HttpGetSeen { host: seen, port, path: at } = seen(probe.as_ref().unwrap());
            assert_eq!((seen, port, at), (host, 9, path));
        }
    }
    let silent = rendered(&["--listen=none"]);
    assert!(!silent.contains("Probe") && !silent.contains("prometheus"), "{silent}");
}

struct HttpGetSeen<'a> {
    host: &'a str,
    port: u16,
    path: &'a str,
}

fn seen(probe: &Probe) -> HttpGetSeen<'_> {
    HttpGetSeen { host: &probe.http_get.host, port: probe.http_get.port, path: &probe.http_get.path }
}

#[test]
fn prometheus_is_not_sent_to_loopback() {
    assert!(!rendered(&[]).contains("prometheus"));
    let wanted = "\
    prometheus.io/path: /metrics
    prometheus.io/port: \"10261\"
    prometheus.io/scrape: \"true\"
";
    assert!(rendered(&["--listen=0.0.0.0:10261"]).contains(wanted));
}

#[test]
fn what_the_daemon_reads_is_mounted_where_it_is() {
    let text = rendered(&[
        "--ca-file=/etc/kubernetes/pki/ca.crt",
        "--cert-file=/etc/lvscare/tls.crt",
        "--key-file=/etc/lvscare/tls.key",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
    ]);
    let manifest = read(&text);
    let mounts = &manifest.spec.containers[0].volume_mounts;
    let seen: Vec<_> = manifest
        .spec
        .volumes
        .iter()
        .zip(mounts)
        .map(|(volume, mount)| {
            assert_eq!((&volume.name, &volume.host_path.path), (&mount.name, &mount.mount_path));
            (mount.mount_path.to_str().unwrap(), volume.host_path.kind.as_str(), mount.read_only)
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("/etc/kubernetes/pki/ca.crt", "File", true),
            ("/etc/lvscare", "Directory", true),
            ("/etc/kubernetes/kubelet.conf", "File", true),
            ("/var/lib/kubelet/pki", "Directory", true),
            ("/var/lib/lvscare", "DirectoryOrCreate", false),
        ]
    );
}

#[test]
fn what_cannot_work_is_refused() {
    let refusal = render_with("lvscare:latest", &arguments(&[])).unwrap_err().to_string();
    assert!(refusal.starts_with("image \"lvscare:latest\": "), "{refusal}");
    let refusal = render_with(IMAGE, &arguments(&["--ca-file=ca.crt"])).unwrap_err().to_string();
    assert!(refusal.starts_with("ca.crt: the pod has another working directory"), "{refusal}");
}

#[test]
fn other_masters_change_nothing_else() {
    let old = rendered(&["--interval=5s", "--listen=0.0.0.0:9"]);
    assert_eq!(read_seen(&old), (IMAGE.to_owned(), arguments(&["--interval=5s", "--listen=0.0.0.0:9"])));
    let words =
        ["care", "--vs=10.103.97.2:6443", "--rs=10.0.0.7:6443", "--interval=5s", "--listen=0.0.0.0:9"];
    let new = with_arguments(&old, &words.map(str::to_owned)).unwrap();
    let changed = |text: &str| {
        let different = |line: &&str| !line.contains("--rs=") && !line.contains(HASH);
        text.lines().filter(different).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(changed(&old), changed(&new));
    assert_eq!(with_arguments(&new, &read_seen(&old).1).unwrap(), old);

    let foreign = old.replace("hostNetwork: true", "hostNetwork: true\n  hostPID: true");
    assert!(with_arguments(&foreign, &[]).unwrap_err().to_string().contains("hostPID"));
}

fn read_seen(text: &str) -> (String, Vec<String>) {
    let Seen { image, arguments } = super::read(text).unwrap();
    (image, arguments)
}

#[test]
fn another_pod_has_another_hash() {
    let hash = |text: &str| read(text).metadata.annotations[HASH].clone();
    assert_eq!(hash(&rendered(&[])), hash(&rendered(&[])));
    assert_ne!(hash(&rendered(&[])), hash(&rendered(&["--interval=5s"])));
}

proptest! {
    #[test]
    fn any_argument_arrives_as_it_is(more in ".{0,20}") {
        let arguments = [arguments(&[]), vec![more]].concat();
        let config = understood(&self::arguments(&[]));
        let text = render(&Pod { image: IMAGE, arguments: &arguments, config: &config }).unwrap();
        prop_assert_eq!(&read(&text).spec.containers[0].args, &arguments);
    }
}
