use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

fn at() -> SocketAddr {
    "10.103.97.2:6443".parse().unwrap()
}

fn here() -> Origin {
    Origin { at: at(), configured: vec![servers()[0]], trust: Some("abc".to_owned()) }
}

fn servers() -> Vec<SocketAddr> {
    ["10.0.0.1:6443", "10.0.0.2:6443"].map(|server| server.parse().unwrap()).to_vec()
}

/// Why `bytes` are not taken for a list.
#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    check(bytes, &here()).unwrap_err()
}

fn text() -> String {
    String::from_utf8(render(&here(), &servers())).unwrap()
}

#[test]
fn a_list_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a/b/masters.json");
    assert_eq!(load(&file, &here()).unwrap(), None);
    save(&file, &here(), &servers()).unwrap();
    assert_eq!(load(&file, &here()).unwrap(), Some(servers()));
    save(&file, &here(), &servers()[..1]).unwrap();
    assert_eq!(load(&file, &here()).unwrap(), Some(servers()[..1].to_vec()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> =
        fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["masters.json"]);
}

#[test]
fn people_can_read_it() {
    let sum = "ca33502bf03fa81ad8f5d615904466c18566a92578633d8568974e066102db14";
    assert_eq!(
        text(),
        format!(
            "{{\n  \"version\": 2,\n  \"virtualServer\": \"10.103.97.2:6443\",\n  \"configured\": [\n    \
             \"10.0.0.1:6443\"\n  ],\n  \"trust\": \"abc\",\n  \"servers\": [\n    \
             \"10.0.0.1:6443\",\n    \"10.0.0.2:6443\"\n  ],\n  \"sha256\": \"{sum}\"\n}}\n"
        ),
        "a file of an earlier version of this program stays valid"
    );
}

#[test]
fn leftovers_and_links_are_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("masters.json");
    let victim = directory.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, directory.path().join(".masters.json.new")).unwrap();
    save(&file, &here(), &servers()).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(load(&file, &here()).unwrap(), Some(servers()));
}

#[test]
fn what_cannot_be_written_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("taken/masters.json");
    fs::write(directory.path().join("taken"), "a file").unwrap();
    let error = save(&file, &here(), &servers()).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot keep the list of masters in {}: ", file.display())),
        "{error}"
    );
}

#[test]
fn damage_is_noticed() {
    assert_eq!(refusal(text().replace("10.0.0.2", "10.0.0.3").as_bytes()), "its checksum is wrong");
    assert_eq!(
        refusal(text().replace("\"version\": 2", "\"version\": 3").as_bytes()),
        "its version is 3 instead of 2"
    );
    assert_eq!(refusal(&vec![b' '; 70_000]), "it is longer than 65536 bytes");
    for cut in 0..text().len() - 2 {
        let why = refusal(&text().as_bytes()[..cut]);
        assert!(why.starts_with("it is damaged or no list of masters: "), "{why}");
    }
    for foreign in ["", "null", "{}", "[]", "\0\0\0", "apiVersion: v1"] {
        assert!(refusal(foreign.as_bytes()).starts_with("it is damaged"), "{foreign}");
    }
}

#[test]
fn a_list_of_another_virtual_server_is_left_alone() {
    let other = render(&Origin { at: "10.103.97.3:6443".parse().unwrap(), ..here() }, &servers());
    assert_eq!(refusal(&other), "it belongs to the virtual server 10.103.97.3:6443");
}

/// A node has moved to another cluster, or somebody has corrected the list.
#[test]
fn a_list_that_was_learned_elsewhere_is_ignored() {
    let corrected = render(&Origin { configured: servers(), ..here() }, &servers());
    assert_eq!(
        refusal(&corrected),
        "it was learned when other real servers were configured: 10.0.0.1:6443, 10.0.0.2:6443"
    );
    let other = render(&Origin { trust: Some("abd".to_owned()), ..here() }, &servers());
    assert_eq!(refusal(&other), "it was learned from a cluster with other certificate authorities");
    // Before a join nobody can say whom the credentials will trust.
    assert_eq!(check(&other, &Origin { trust: None, ..here() }), Ok(servers()));
    let first =
        "{\"version\": 1, \"virtualServer\": \"10.103.97.2:6443\", \"servers\": [], \"sha256\": \"\"}";
    assert_eq!(refusal(first.as_bytes()), "its version is 1 instead of 2");
}

#[test]
fn a_sound_file_may_still_be_of_no_use() {
    assert_eq!(refusal(&render(&here(), &[])), "it holds 0 servers");
    for wrong in [at(), "[fd00::1]:6443".parse().unwrap()] {
        let why = refusal(&render(&here(), &[servers()[0], wrong]));
        assert_eq!(why, "it holds servers that cannot stand behind 10.103.97.2:6443");
    }
    let directory = tempfile::tempdir().unwrap();
    let error = load(directory.path(), &here()).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{} is ignored: not a regular file; it is written anew with the next answer of the API",
            directory.path().display()
        )
    );
}

proptest! {
    #[test]
    fn a_flipped_bit_never_changes_the_list(place in 0_usize..1000, bit in 0_u8..8) {
        let mut bytes = render(&here(), &servers());
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        if let Ok(read) = check(&bytes, &here()) {
            prop_assert_eq!(read, servers());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        prop_assert!(check(&bytes, &here()).is_err());
    }
}
