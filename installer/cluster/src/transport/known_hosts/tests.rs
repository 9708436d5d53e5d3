use proptest::prelude::*;

use super::*;

/// A key of that type; its bytes after the type are `rest`.
pub(in super::super) fn blob(algorithm: &str, rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(algorithm.len()).unwrap().to_be_bytes();
    [&length[..], algorithm.as_bytes(), rest].concat()
}

fn key(algorithm: &str) -> String {
    format!("{algorithm} {}", STANDARD.encode(blob(algorithm, b"key")))
}

fn known(text: &str, at: &str) -> Known {
    let mut known = Known::default();
    known.read("file", text.as_bytes(), &HostName::new(at.parse().unwrap()));
    known
}

fn places(recorded: &[Recorded]) -> Vec<&str> {
    recorded.iter().map(|recorded| recorded.place.as_str()).collect()
}

#[test]
fn a_host_goes_by_its_address_and_by_another_port() {
    for (at, name) in [
        ("10.0.0.1:22", "10.0.0.1"),
        ("10.0.0.1:2222", "[10.0.0.1]:2222"),
        ("[fd00::1]:22", "fd00::1"),
        ("[fd00::1]:2222", "[fd00::1]:2222"),
    ] {
        assert_eq!(HostName::new(at.parse().unwrap()).as_str(), name);
    }
}

/// Each line alone: whether it speaks of 10.0.9.7, port 22 and port 2222.
#[test]
fn whom_a_line_is_about() {
    for (hosts, plain, other_port) in [
        ("10.0.9.7", true, false),
        ("10.0.9.70", false, false),
        ("10.0.9", false, false),
        ("[10.0.9.7]:2222", false, true),
        ("[10.0.9.7]:22", false, false),
        ("10.0.9.*", true, false),
        ("10.0.9.?", true, false),
        ("10.0.9.??", false, false),
        ("*", true, true),
        ("[10.0.9.*]:2222", false, true),
        ("*,!10.0.9.7", false, true),
        ("!10.0.9.7,*", false, true),
        ("!10.0.9.8,*", true, true),
        ("!10.0.9.7", false, false),
        ("other,10.0.9.7,another", true, false),
        ("other,,10.0.9.7", true, false),
        ("**.7", true, false),
        ("10*9*7", true, false),
        ("10*9*8", false, false),
        ("|1|bm90IGEgc2FsdCBhdCBhbGw=|AAAA", false, false),
        ("|1|", false, false),
        ("|1|not base64|x", false, false),
        ("", false, false),
    ] {
        let text = format!("{hosts} {}\n", key("ssh-ed25519"));
        assert_eq!(!known(&text, "10.0.9.7:22").keys.is_empty(), plain, "{hosts}");
        assert_eq!(!known(&text, "10.0.9.7:2222").keys.is_empty(), other_port, "{hosts}:2222");
    }
}

#[test]
fn hashed_names_are_those_of_openssh() {
    for (host, salt, hash, at) in HASHED {
        let text = format!("|1|{salt}|{hash} {}\n", key("ssh-ed25519"));
        assert_eq!(known(&text, at).keys.len(), 1, "{host}");
        assert_eq!(known(&text, "10.0.9.8:22").keys.len(), 0, "{host}");
    }
}

#[test]
fn markers_and_fields() {
    let key = key("ssh-ed25519");
    let text = format!(
        "# 10.0.0.1 {key}\n\n   \n10.0.0.1\t{}\n@revoked * {key}\n @cert-authority\t*  {key} a comment\r\n10.0.0.1 {key}",
        key.replace(' ', "\t")
    );
    let known = known(&text, "10.0.0.1:22");
    assert_eq!(places(&known.keys), ["file:4", "file:7"]);
    assert_eq!(places(&known.revoked), ["file:5"]);
    assert_eq!(places(&known.authorities), ["file:6"]);
    assert_eq!(known.notes, Vec::<String>::new());
}

#[test]
fn a_type_that_nobody_knows_is_recorded_like_others() {
    let text = format!("10.0.0.1 {}\n10.0.0.1 {}\n", key("ssh-made-up@example.com"), key("ssh-rsa"));
    let algorithms: Vec<_> = known(&text, "10.0.0.1:22").keys.into_iter().map(|key| key.algorithm).collect();
    assert_eq!(algorithms, ["ssh-made-up@example.com", "ssh-rsa"]);
}

#[test]
fn a_line_that_says_nothing_is_told_only_to_whom_it_is_about() {
    for (line, why) in [
        ("10.0.0.1 ssh-ed25519", "file:1 has no key and was skipped"),
        ("10.0.0.1 ssh-ed25519 !!!", "file:1 has a key that is not base64 and was skipped"),
        (
            "10.0.0.1 ssh-ed25519 AAAA",
            "file:1 has a key that is not of the type \"ssh-ed25519\" it names and was skipped",
        ),
        ("10.0.0.1 1024 65537 1234", "file:1 has a key that is not base64 and was skipped"),
        ("@new 10.0.0.1 ssh-rsa AAAA", "file:1 has the unknown marker \"@new\" and was skipped"),
    ] {
        let text = format!("{line}\n10.0.0.1 {}\n", key("ssh-ed25519"));
        let here = known(&text, "10.0.0.1:22");
        assert_eq!((here.notes, here.keys.len()), (vec![why.to_owned()], 1), "{line}");
        assert_eq!(known(&text, "10.0.0.2:22"), Known::default(), "{line}");
    }
    let mut known = Known::default();
    known.read("file", b"\xff\xfe", &HostName::new("10.0.0.1:22".parse().unwrap()));
    assert_eq!(known.notes, ["file:1 is not text and was skipped"]);
}

#[test]
fn what_is_written_is_read() {
    for at in ["10.0.0.1:22", "[fd00::1]:2222"] {
        let host = HostName::new(at.parse().unwrap());
        let text = line(&host, "ssh-ed25519", &blob("ssh-ed25519", b"key"));
        let mut known = Known::default();
        known.read("file", text.as_bytes(), &host);
        assert_eq!(known.keys.first().map(|key| key.blob.clone()), Some(blob("ssh-ed25519", b"key")));
    }
}

/// The same by trying all ways.
fn slowly(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => slowly(rest, text),
        (Some((b'*', rest)), Some((_, less))) => slowly(rest, text) || slowly(pattern, less),
        (Some((wanted, rest)), Some((byte, less))) => {
            (*wanted == b'?' || wanted == byte) && slowly(rest, less)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn wildcards_match_as_they_are_defined(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        prop_assert_eq!(matches_glob(pattern.as_bytes(), text.as_bytes()), slowly(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn no_file_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[@|1a=, \t*!#\n]{0,60}") {
        let host = HostName::new("10.0.0.1:22".parse().unwrap());
        Known::default().read("file", &bytes, &host);
        Known::default().read("file", text.as_bytes(), &host);
    }
}

/// What `ssh-keygen -H` made of a name: salt and hash.
const HASHED: [(&str, &str, &str, &str); 3] = [
    ("10.0.9.7", "fWgHhunDPSwPZrXQVbnTvA5cUHk=", "/60KxcGi/tj+34HXqz7SbQyJn+A=", "10.0.9.7:22"),
    ("[10.0.9.7]:2222", "UcPf1buhh3m0uiaOrf6Yd1Xwrpg=", "ngkjolVqk9vwiBasvBZFufQsNrs=", "10.0.9.7:2222"),
    ("[fd00::1]:2222", "LFCx5Aml3vqbd9PmyIVKtiwUkEY=", "3mMU0C89aMcFV+QdPWG1rqpcQLY=", "[fd00::1]:2222"),
];
