use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use ring::digest::{SHA256, digest};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{EntryType, Header};
use tempfile::TempDir;

use super::program::Arch;
use super::*;
use crate::step::Digest;

/// A tar, entry by entry; nothing keeps it from being a bad one.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, kind: EntryType, name: &[u8], mode: u32, target: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Regular, name.as_bytes(), 0o644, "", content.as_ref())
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name.as_bytes(), 0o777, target, b"")
    }

    fn hard(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name.as_bytes(), 0o644, target, b"")
    }

    fn directory(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name.as_bytes(), 0o755, "", b"")
    }

    fn pax(self, record: &str) -> Self {
        let rest = record.len() + 2;
        let length = (1..=6)
            .map(|digits| rest + digits)
            .find(|length| length.to_string().len() + rest == *length)
            .unwrap();
        self.entry(EntryType::XHeader, b"pax", 0o644, "", format!("{length} {record}\n").as_bytes())
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 10240]);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(&digest(&SHA256, bytes))
}

/// An archive in a directory of its own, and where packages would be unpacked.
struct Place(TempDir);

impl Place {
    fn new(bytes: &[u8]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.archive(), bytes).unwrap();
        place
    }

    fn archive(&self) -> std::path::PathBuf {
        self.0.path().join("archive")
    }

    fn packages(&self) -> std::path::PathBuf {
        self.0.path().join("pkg")
    }

    fn unpack(&self) -> Result<std::path::PathBuf, Error> {
        let sha256 = sha256(&fs::read(self.archive()).unwrap());
        unpack(&self.archive(), &sha256, &self.packages())?;
        Ok(self.packages().join(sha256.to_string()))
    }

    /// The one complaint of reading and unpacking it, after which nothing is left.
    fn refusal(&self) -> String {
        let said = read(&self.archive()).unwrap_err().to_string();
        assert_eq!(self.unpack().unwrap_err().to_string(), said);
        let left = fs::read_dir(self.packages()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{said}");
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), 2, "{said}");
        said
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn each_kind_of_hostile_archive_is_refused_and_leaves_nothing() {
    use EntryType::*;
    let tar = Tar::default;
    let long = "x".repeat(256);
    let deep = "d/".repeat(501);
    for (archive, expected) in [
        (tar().file("/etc/passwd", "x"), "`/etc/passwd` has an absolute path; nothing of it was used"),
        (tar().file("kube/../../x", "x"), "`kube/../../x` has `..` in its path; nothing of it was used"),
        (tar().file("..", "x"), "`..` has `..` in its path; nothing of it was used"),
        (tar().file("", "x"), "`` has no name; nothing of it was used"),
        (tar().file("./", "x"), "`./` has no name; nothing of it was used"),
        (
            tar().link("kube/bin", "/usr/bin"),
            "`kube/bin` is a link to `/usr/bin`, which leaves the package; nothing of it was used",
        ),
        (
            tar().link("kube/a/b", "../../x"),
            "`kube/a/b` is a link to `../../x`, which leaves the package; nothing of it was used",
        ),
        (
            tar().link("d/l", "..").link("m", "d/l/../.."),
            "`m` is a link to `d/l/../..`, which goes up after it went down; nothing of it was used",
        ),
        (tar().link("l", ""), "`l` is a link to ``, which is no path; nothing of it was used"),
        (
            tar().link("kube/l", "conf").file("kube/l/x", "x"),
            "`kube/l/x` lies below `l`, which is no directory; nothing of it was used",
        ),
        (
            tar().file("f", "x").file("f/x", "x"),
            "`f/x` lies below `f`, which is no directory; nothing of it was used",
        ),
        (
            tar().hard("h", "/etc/shadow"),
            "`h` is another name of `/etc/shadow`, which is no file that came before it; nothing of it was used",
        ),
        (
            tar().link("l", "x").hard("h", "l"),
            "`h` is another name of `l`, which is no file that came before it; nothing of it was used",
        ),
        (tar().entry(Char, b"kube/null", 0o666, "", b""), "`kube/null` is a device; nothing of it was used"),
        (tar().entry(Block, b"sda", 0o666, "", b""), "`sda` is a device; nothing of it was used"),
        (tar().entry(Fifo, b"p", 0o666, "", b""), "`p` is a pipe; nothing of it was used"),
        (tar().entry(GNUSparse, b"s", 0o644, "", b""), "`s` is a sparse file; nothing of it was used"),
        (tar().pax("GNU.sparse.major=1").file("s", "x"), "`pax` is a sparse file; nothing of it was used"),
        (
            tar().entry(EntryType::new(b'M'), b"m", 0o644, "", b""),
            "`m` is of the kind 'M', which no package needs; nothing of it was used",
        ),
        (
            tar().entry(Regular, b"bin/sh", 0o4755, "", b"x"),
            "`bin/sh` has mode 4755: setuid, setgid and sticky are refused; nothing of it was used",
        ),
        (
            tar().entry(Directory, b"d", 0o2755, "", b""),
            "`d` has mode 2755: setuid, setgid and sticky are refused; nothing of it was used",
        ),
        (
            tar().entry(Symlink, b"l", 0o777, "x", b"x"),
            "`l` has content, and is no file; nothing of it was used",
        ),
        (tar().file("f", "x").file("./f", "y"), "`./f` is in it twice; nothing of it was used"),
        (tar().file("f", "x").link("f", "x"), "`f` is in it twice; nothing of it was used"),
        (
            tar().file("Bin/x", "x").file("bin/x", "y"),
            "`bin/x` differs from `Bin` in capitals only; nothing of it was used",
        ),
        (
            tar().file("a\u{1b}[2J", "x"),
            "`a\\u{1b}[2J` has a control character in its name; nothing of it was used",
        ),
        (
            tar().pax("path=a\0b").file("f", "x"),
            "`a\\0b` has a control character in its name; nothing of it was used",
        ),
        (
            tar().entry(Regular, b"\xff", 0o644, "", b"x"),
            "`\u{fffd}` has a name that is not UTF-8; nothing of it was used",
        ),
        (
            tar().pax(&format!("path={long}")).file("f", "x"),
            &format!("`{}..` has a name of more than 255 bytes; nothing of it was used", &long[..120]),
        ),
        (
            tar().entry(GNULongName, b"L", 0, "", deep.as_bytes()).file("f", "x"),
            &format!("`{}..` has a path of more than 1000 bytes; nothing of it was used", &deep[..120]),
        ),
        (
            tar().entry(GNULongName, b"L", 0, "", &vec![b'x'; (64 << 10) + 1]).file("f", "x"),
            "`L` says 65537 bytes about one entry; nothing of it was used",
        ),
        (
            tar().pax(&format!("size={}", (20_u64 << 30) + 1)).file("f", "x"),
            "`f` makes it more than the 20 GiB that a package may have; nothing of it was used",
        ),
        (
            tar().pax(&format!("size={}", u64::MAX)).file("f", "x"),
            "`f` makes it more than the 20 GiB that a package may have; nothing of it was used",
        ),
        (
            tar().entry(XGlobalHeader, b"g", 0, "", b"10 path=x\n"),
            "`g` names or measures all entries at once; nothing of it was used",
        ),
        (
            tar().entry(XHeader, b"p", 0, "", b"99 path=x\n"),
            "it is damaged after 1024 bytes of its content: what is said about an entry is not understood; get it anew",
        ),
        (
            tar().directory("kube").file("other/f", "x"),
            "`other/f` lies beside the directory `kube`, in which all else lies; nothing of it was used",
        ),
    ] {
        let archive = archive.end();
        for packed in [archive.clone(), gzip(&archive), zstd(&archive)] {
            assert_eq!(Place::new(&packed).refusal(), expected);
        }
    }
}

#[test]
fn what_never_ends_is_refused_early() {
    let zeros = Tar::default().file("f", vec![0; 80 << 20]).end();
    let grows = "it grows to more than 200 times its size when it is unpacked; nothing of it was used";
    let packed = gzip(&zeros);
    assert!(packed.len() * 200 < zeros.len(), "{}", packed.len());
    assert_eq!(Place::new(&packed).refusal(), grows);
    assert_eq!(Place::new(&zstd(&zeros)).refusal(), grows);
    // Small ones may grow: no machine is full of them.
    Place::new(&gzip(&Tar::default().file("f", vec![0; 1 << 20]).end())).unpack().unwrap();

    let mut names = names::Names::default();
    let file = || names::Kind::File { size: 0, executable: false };
    for number in 0..names::MAX_ENTRIES {
        names.accept(number.to_string().as_bytes(), file()).unwrap();
    }
    let refusal = names.accept(b"x", file()).unwrap_err().to_string();
    assert_eq!(refusal, "`x` is one too many: a package has at most 200000 entries; nothing of it was used");
    let mut names = names::Names::default();
    let refusal = (0..names::MAX_ENTRIES)
        .find_map(|number| names.accept(format!("{number}{}", "x".repeat(240)).as_bytes(), file()).err());
    assert!(refusal.unwrap().to_string().contains("all names together have more than 32 MiB"));
}

#[test]
fn what_is_cut_off_or_changed_anywhere_is_noticed() {
    let whole = Tar::default().directory("kube").file("kube/f", vec![7; 3000]).file("kube/g", "g").end();
    for packed in [whole.clone(), gzip(&whole), zstd(&whole)] {
        let is_plain = packed == whole;
        Place::new(&packed).unpack().unwrap();
        let content = if is_plain { whole.len() - 10240 } else { packed.len() };
        let step = (content / 60).max(1);
        for end in (0..content).step_by(step) {
            let said = Place::new(&packed[..end]).refusal();
            let cut = said.starts_with("it is cut off after ")
                && said.ends_with("bytes of its content; get it anew");
            assert!(
                cut || (end < if is_plain { 512 } else { 10 } && said.starts_with("it is ")),
                "{end}: {said}"
            );
        }
        if !is_plain {
            for place in (4..packed.len()).step_by(step) {
                let mut other = packed.clone();
                other[place] ^= 0x40;
                let place_of = Place::new(&other);
                // What zstd and gzip do not notice, the hash does.
                let unpacked = unpack(&place_of.archive(), &sha256(&packed), &place_of.packages());
                unpacked.unwrap_err();
                assert_eq!(fs::read_dir(place_of.packages()).unwrap().count(), 0);
            }
        }
    }
    let page = b"<!DOCTYPE html><html>not found</html>";
    for bytes in [page.to_vec(), page.repeat(50), Vec::new()] {
        let expected = "it is no tar archive, neither plain nor compressed with gzip or zstd";
        assert_eq!(Place::new(&bytes).refusal(), expected);
    }
    let said = Place::new(&[&whole[..], &[1; 512]].concat()).refusal();
    assert!(said.contains(": something follows the end of the archive; "), "{said}");
    // Two streams behind each other are one.
    let (first, second) = whole.split_at(700);
    Place::new(&[gzip(first), gzip(second)].concat()).unpack().unwrap();
    Place::new(&[zstd(first), b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(second)].concat())
        .unpack()
        .unwrap();
    let place = Place::new(&whole);
    let other = sha256(b"other");
    let refusal = unpack(&place.archive(), &other, &place.packages()).unwrap_err().to_string();
    assert_eq!(refusal, format!("its SHA-256 is {}, not {other}", sha256(&whole)));
    assert_eq!(fs::read_dir(place.packages()).unwrap().count(), 0);
}

#[test]
fn a_package_is_unpacked_as_it_is() {
    let long = format!("kube/conf/{}/file", "n".repeat(150));
    let archive = Tar::default()
        .directory("./kube/")
        .entry(EntryType::Regular, b"./kube/bin/kubeadm", 0o777, "", b"program")
        .link("kube/bin/k", "../bin/kubeadm")
        .hard("kube/shell/copy", "kube/bin/kubeadm")
        .pax(&format!("path={long}"))
        .file("short", "pax")
        .entry(EntryType::GNULongName, b"L", 0, "", format!("{long}.gnu\0").as_bytes())
        .file("short", "gnu")
        .directory("kube/empty");
    let packed = gzip(&archive.end());
    let place = Place::new(&packed);
    // A run that was killed has left something.
    let new = place.packages().join(format!("{}.new", sha256(&packed)));
    fs::create_dir_all(new.join("kube")).unwrap();
    let top = place.unpack().unwrap();
    let text = |name: &str| fs::read_to_string(top.join(name)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((text("bin/k"), text("shell/copy")), ("program".into(), "program".into()));
    assert_eq!(mode(&top.join("bin/kubeadm")) & 0o7022, 0, "nobody else may change it");
    assert_ne!(mode(&top.join("bin/kubeadm")) & 0o100, 0);
    assert_eq!(mode(&top), 0o700);
    assert_eq!(
        (text(&long["kube/".len()..]), text(&format!("{}.gnu", &long["kube/".len()..]))),
        ("pax".into(), "gnu".into())
    );
    assert!(top.join("empty").is_dir() && !new.exists());
    fs::write(top.join("kept"), "a hook's").unwrap();
    place.unpack().unwrap();
    assert_eq!(text("kept"), "a hook's", "what is there is not unpacked again");
}

pub(crate) fn program(machine: u16) -> Vec<u8> {
    let mut head = vec![0; 64];
    head[..6].copy_from_slice(b"\x7fELF\x02\x01");
    head[18..20].copy_from_slice(&machine.to_le_bytes());
    head
}

pub(crate) fn saved(images: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Tar::default();
    let mut manifest = Vec::new();
    for (index, (name, arch)) in images.iter().enumerate() {
        let config = format!("{index}.json");
        tar = tar.file(&config, format!(r#"{{"architecture": "{arch}", "os": "linux"}}"#));
        manifest.push(serde_json::json!({"Config": config, "RepoTags": [name], "Layers": []}));
    }
    tar.file("layer.tar", vec![1; 300 << 10])
        .file("manifest.json", serde_json::to_vec(&manifest).unwrap())
        .end()
}

pub(crate) const IMAGES: [(&str, &str); 8] = [
    ("registry.k8s.io/kube-apiserver:v1.34.1", "amd64"),
    ("registry.k8s.io/kube-controller-manager:v1.34.1", "amd64"),
    ("registry.k8s.io/kube-scheduler:v1.34.1", "amd64"),
    ("registry.k8s.io/kube-proxy:v1.34.1", "amd64"),
    ("registry.k8s.io/pause:3.10", "amd64"),
    ("registry.k8s.io/etcd:3.6.4-0", "amd64"),
    ("registry.k8s.io/coredns/coredns:v1.12.1", "amd64"),
    ("lvscare:0.1.0", "amd64"),
];

/// A directory to be packed.
fn source(machine: u16, images: &[(&str, &str)]) -> TempDir {
    let top = tempfile::tempdir().unwrap();
    for directory in ["bin", "images", "shell", "conf/net"] {
        fs::create_dir_all(top.path().join(directory)).unwrap();
    }
    for name in verify::PROGRAMS {
        let path = top.path().join("bin").join(name);
        fs::write(&path, program(machine)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(top.path().join("images/images.tar"), saved(images)).unwrap();
    fs::write(top.path().join("shell/init.sh"), "true\n").unwrap();
    fs::write(top.path().join("conf/net/calico.yaml"), "a: b\n").unwrap();
    top
}

fn judged(bytes: &[u8], wanted: &Wanted) -> Verdict {
    verify(&read(&Place::new(bytes).archive()).unwrap(), wanted)
}

#[test]
fn a_package_that_was_built_is_right_and_always_the_same() {
    let out = tempfile::tempdir().unwrap();
    let mut built = Vec::new();
    for name in ["one.tar.gz", "two.tar.gz"] {
        let from = source(62, &IMAGES);
        let to = out.path().join(name);
        let package = build(from.path(), &to).unwrap();
        built.push(fs::read(&to).unwrap());
        assert_eq!(package.sha256, sha256(&built[0]));
        let wanted = Wanted { version: Some("v1.34.1".parse().unwrap()), arch: Arch::named("x86_64") };
        let verdict = verify(&package, &wanted);
        assert_eq!(verdict, Verdict { version: wanted.version, arch: wanted.arch, ..Verdict::default() });
        let inside = from.path().join("conf/x.tar.gz");
        let refusal = build(from.path(), &inside).unwrap_err().to_string();
        assert!(refusal.contains("would lie in the directory that is packed"), "{refusal}");
    }
    assert!(built[0] == built[1]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2);
    let top = Place::new(&built[0]).unpack();
    top.unwrap();
    // One that was changed on the way says so, file by file.
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&built[0][..]), &mut tar).unwrap();
    let place = tar.windows(5).position(|window| window == b"a: b\n").unwrap();
    tar[place] = b'c';
    let problems = judged(&tar, &Wanted::default()).problems;
    assert_eq!(problems.len(), 1);
    let (new, old) = (sha256(b"c: b\n"), sha256(b"a: b\n"));
    assert_eq!(problems[0], format!("conf/net/calico.yaml has the SHA-256 {new}, SHA256SUMS says {old}"));
}

#[test]
fn each_thing_that_is_wrong_is_named() {
    let to = tempfile::tempdir().unwrap();
    let to = to.path().join("p.tar.gz");
    let problems = |machine, images: &[(&str, &str)], wanted: &Wanted, change: &dyn Fn(&Path)| {
        let from = source(machine, images);
        change(from.path());
        verify(&build(from.path(), &to).unwrap(), wanted).problems
    };
    let nothing = |_: &Path| {};
    let any = Wanted::default();
    let amd64 = Wanted { version: None, arch: Arch::named("amd64") };
    let v1_33 = Wanted { version: Some("v1.33.0".parse().unwrap()), arch: None };
    let arm = |path: &Path| fs::write(path.join("bin/kubelet"), program(183)).unwrap();
    for (found, expected) in [
        (problems(62, &IMAGES, &any, &nothing), vec![]),
        (
            problems(183, &[], &amd64, &nothing),
            vec![
                "bin/kubeadm is for arm64, not for amd64",
                "bin/kubectl is for arm64, not for amd64",
                "bin/kubelet is for arm64, not for amd64",
                "there is no image kube-apiserver in images/",
                "there is no image kube-controller-manager in images/",
                "there is no image kube-scheduler in images/",
                "there is no image kube-proxy in images/",
                "there is no image pause in images/",
                "there is no image etcd in images/",
                "there is no image coredns in images/",
            ],
        ),
        (problems(62, &IMAGES, &any, &arm), vec!["its programs are for different processors: amd64, arm64"]),
        (
            problems(62, &IMAGES, &v1_33, &nothing),
            vec!["it is of Kubernetes v1.34.1 (registry.k8s.io/kube-apiserver:v1.34.1), not of v1.33.0"],
        ),
        (
            problems(62, &IMAGES, &any, &|path| {
                fs::write(path.join("Metadata"), r#"{"k8sVersion": "v1.18.0"}"#).unwrap();
            }),
            vec![
                "Metadata is of v1.18.0, registry.k8s.io/kube-apiserver:v1.34.1 of v1.34.1",
                "there is no image kube-apiserver:v1.18.0 in images/",
                "there is no image kube-controller-manager:v1.18.0 in images/",
                "there is no image kube-scheduler:v1.18.0 in images/",
                "there is no image kube-proxy:v1.18.0 in images/",
            ],
        ),
        (
            problems(62, &[&IMAGES[..7], &[("x.example/a/lvscare:1", "arm64")]].concat(), &any, &nothing),
            vec!["the image x.example/a/lvscare:1 is for arm64, not for amd64"],
        ),
        (
            problems(62, &IMAGES, &any, &|path| {
                fs::remove_file(path.join("bin/kubectl")).unwrap();
                fs::write(path.join("bin/kubeadm"), "#!/bin/sh\n").unwrap();
            }),
            vec!["bin/kubeadm is no program for Linux", "bin/kubectl is not in it"],
        ),
        (
            problems(62, &IMAGES, &any, &|path| {
                fs::write(path.join("images/x.tar"), Tar::default().file("x", "x").end()).unwrap();
            }),
            vec![
                "images/x.tar: `manifest.json` is in no archive of images: those of `docker save` and `ctr images export` have one; nothing of it was used",
            ],
        ),
        (
            problems(62, &IMAGES, &any, &|path| fs::remove_dir_all(path.join("images")).unwrap()),
            vec!["there is no archive of images in images/"],
        ),
    ] {
        assert_eq!(found, expected);
    }
}

#[test]
fn images_are_found_in_either_form() {
    let index = r#"{"manifests": [
        {"annotations": {"io.containerd.image.name": "registry.k8s.io/pause:3.10"}},
        {"annotations": {"org.opencontainers.image.ref.name": "docker.io/a/b:1"}},
        {"annotations": {"org.opencontainers.image.ref.name": "latest"}}, {}]}"#;
    let names = |bytes: &[u8]| {
        let found = images::images(bytes).unwrap();
        found.into_iter().map(|image| image.name).collect::<Vec<_>>()
    };
    let archive = Tar::default().file("index.json", index).end();
    assert_eq!(names(&archive), ["docker.io/a/b:1", "registry.k8s.io/pause:3.10"]);
    assert_eq!(names(&gzip(&saved(&[("lvscare:1", "amd64")]))), ["docker.io/library/lvscare:1"]);
    let bad = Tar::default().file("manifest.json", "[{").end();
    assert!(images::images(&bad[..]).unwrap_err().to_string().contains("at line 1 and column 2"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_do_harm(place in 0_usize..3000, byte: u8, cut in 0_usize..3000, kind in 0..3) {
        let whole = Tar::default().pax("path=kube/x").file("f", vec![3; 700]).link("kube/l", "x").file("kube/images/i.tar", saved(&IMAGES[..1])).end();
        let mut bytes = match kind { 0 => whole, 1 => gzip(&whole), _ => zstd(&whole) };
        let place = place % bytes.len();
        bytes[place] = byte;
        bytes.truncate(bytes.len() - cut % bytes.len());
        let place = Place::new(&bytes);
        let (read, unpacked) = (read(&place.archive()), place.unpack());
        prop_assert_eq!(read.is_ok(), unpacked.is_ok());
        prop_assert_eq!(fs::read_dir(place.packages()).map_or(0, Iterator::count), usize::from(unpacked.is_ok()));
    }
}
