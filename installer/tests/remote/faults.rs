//! An image in an archive, and what goes wrong on the way: a controller that is killed, a link that is cut, a clock that
//! is wrong.

use std::os::unix::net::UnixListener;

use nix::sys::signal::Signal::SIGKILL;

use super::*;

/// The client of a container runtime. An import waits while `/root/waits` is there.
const CTR: &str = r#"#!/bin/sh
case "$*" in
    *"images list --quiet") cat /root/images 2>/dev/null; exit 0 ;;
    *"images import "*) ;;
    *) exit 64 ;;
esac
for archive; do :; done
touch /root/importing
while test -e /root/waits; do sleep 0.05; done
cp "$archive" /root/imported && cat "$archive" >>/root/images
"#;

const IMAGE: &str = "example.com/lvscare:v7";

/// The first host with a container runtime, and a preparation that gives it an image.
struct Stage {
    cluster: Cluster,
    archive: String,
    _runtime: UnixListener,
}

impl Stage {
    fn new() -> Self {
        let cluster = Cluster::new();
        let fine = cluster.fine();
        fine.check(&["mkdir", "-p", "/usr/local/bin", "/run/containerd"]);
        fs::write(fine.path("/usr/local/bin/ctr"), CTR).unwrap();
        fine.check(&["chmod", "755", "/usr/local/bin/ctr"]);
        let runtime = UnixListener::bind(fine.path("/run/containerd/containerd.sock")).unwrap();
        let archive = cluster.lab.home().join("lvscare.tar");
        // It holds the name of the image for whoever imports it, and is long enough to take a while.
        fs::write(&archive, format!("{IMAGE}\n{}", "x\n".repeat(500_000))).unwrap();
        Self { archive: archive.display().to_string(), cluster, _runtime: runtime }
    }

    fn words<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let words = ["--master", "10.0.0.1-10.0.0.3", "--vip", "10.103.97.9", "--image", IMAGE];
        let parts = ["--skip", "checks,modules,sysctl,rules,reach", "--node", FINE];
        [&words[..], &parts, &["--import", &self.archive], more].concat()
    }

    fn prepare(&self, more: &[&str]) -> Seen {
        self.cluster.run("prepare", &self.words(more))
    }

    fn exists(&self, path: &str) -> bool {
        self.cluster.fine().path(path).exists()
    }

    /// A preparation that stands still in the midst of it.
    fn begin(&self) -> Process {
        self.cluster.fine().check(&["touch", "/root/waits"]);
        let process = self.cluster.start("prepare", &self.words(&[]));
        eventually(LIMIT, "the import", || self.exists("/root/importing").then_some(()));
        process
    }

    /// The same command does what is missing, as soon as what was at work has ended.
    fn is_finished_by_the_same_command(&self) {
        self.cluster.fine().check(&["rm", "-f", "/root/waits"]);
        let seen = eventually(2 * LIMIT, "the end of what was at work", || {
            let seen = self.prepare(&[]);
            (seen.code != Some(9)).then_some(seen)
        });
        assert_eq!(seen.code, Some(0), "{}{}", seen.out, seen.err);
        assert!(self.exists(node::paths::POD) && self.exists("/root/imported"));
        let seen = self.prepare(&[]);
        assert!(seen.out.contains("nothing to do; this node is prepared"), "{}", seen.out);
    }
}

#[test]
fn an_archive_is_sent_and_imported_and_stays_with_nobody() {
    let stage = Stage::new();
    let planned = stage.prepare(&["--dry-run"]);
    assert_eq!(planned.code, Some(0), "{}{}", planned.out, planned.err);
    assert!(planned.out.contains("import"), "{}", planned.out);
    assert!(!stage.exists("/root/imported") && !stage.exists("/var/lib/lvscare-installer"));
    let done = stage.prepare(&[]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    let there = fs::read(stage.cluster.fine().path("/root/imported")).unwrap();
    assert!(there == fs::read(&stage.archive).unwrap(), "every byte of it");
    assert!(!stage.exists(node::paths::RECEIVED), "the archive is not kept");
    assert!(fs::read_to_string(stage.cluster.fine().path(node::paths::POD)).unwrap().contains(IMAGE));
    let again = stage.prepare(&[]);
    assert!(again.out.contains("nothing to do; this node is prepared"), "{}", again.out);
    // An archive that holds another image is told, with the way out.
    fs::write(&stage.archive, "example.com/other:v1\n").unwrap();
    let other = stage.prepare(&["--image", "example.com/lvscare:v8"]);
    assert_eq!(other.code, Some(2), "an option is not given twice: {}", other.err);
    stage.cluster.fine().check(&["rm", "/root/images"]);
    let other = stage.prepare(&[]);
    assert_eq!(other.code, Some(8), "{}{}", other.out, other.err);
    assert!(other.err.contains("it holds no image example.com/lvscare:v7"), "{}", other.err);
}

#[test]
fn a_controller_that_is_killed_in_the_midst_of_it_is_no_harm() {
    let stage = Stage::new();
    let process = stage.begin();
    process.signal(SIGKILL);
    drop(process);
    assert!(!stage.exists(node::paths::POD));
    stage.is_finished_by_the_same_command();
}

#[test]
fn a_link_that_is_cut_in_the_midst_of_it_is_told_as_unknown() {
    let stage = Stage::new();
    let (lab, fine) = (&stage.cluster.lab, stage.cluster.fine());
    let mut process = stage.begin();
    fine.cut(lab.controller());
    assert_eq!(process.wait(LIMIT).code(), Some(7), "{}", process.log());
    assert!(process.log().contains("the link was lost"), "{}", process.log());
    fine.mend(lab.controller());
    // The host's server would notice it in hours.
    fine.check(&["pkill", "-f", "sshd: root@notty"]);
    stage.is_finished_by_the_same_command();
}

#[test]
fn a_clock_that_is_wrong_is_shown() {
    let cluster = Cluster::new();
    let fine = cluster.fine();
    fine.check(&["mv", "/bin/date", "/bin/right-date"]);
    let wrong = "#!/bin/sh\nexec /bin/right-date -d '+120 seconds' \"$@\"\n";
    fs::write(fine.path("/bin/date"), wrong).unwrap();
    fine.check(&["chmod", "755", "/bin/date"]);
    let seen = cluster.run("ping", &["--host", FINE, "-o", "json"]);
    assert_eq!(seen.code, Some(0), "{}{}", seen.out, seen.err);
    let document: serde_json::Value = serde_json::from_str(&seen.out).unwrap();
    let ahead = document["hosts"][0]["clock_ahead_seconds"].as_i64().unwrap();
    assert!((100..=180).contains(&ahead), "{ahead}");
}
