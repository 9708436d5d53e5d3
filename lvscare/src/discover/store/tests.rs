use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

fn at() -> SocketAddr {
    "10.103.97.2:6443".parse().unwrap()
}

fn servers() -> Vec<SocketAddr> {
    ["10.0.0.1:6443", "10.0.0.2:6443"].map(|server| server.parse().unwrap()).to_vec()
}

/// Why `bytes` are not taken for a list.
#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    check(bytes, at()).unwrap_err()
}

fn text() -> String {
    String::from_utf8(render(at(), &servers())).unwrap()
}

#[test]
fn a_list_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a/b/masters.json");
    assert_eq!(load(&file, at()).unwrap(), None);
    save(&file, at(), &servers()).unwrap();
    assert_eq!(load(&file, at()).unwrap(), Some(servers()));
    save(&file, at(), &servers()[..1]).unwrap();
    assert_eq!(load(&file, at()).unwrap(), Some(servers()[..1].to_vec()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let names: Vec<_> =
        fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["masters.json"]);
}

#[test]
fn people_can_read_it() {
    let sum = checksum(at(), &servers());
    assert_eq!(
        text(),
        format!(
            "{{\n  \"version\": 1,\n  \"virtualServer\": \"10.103.97.2:6443\",\n  \"servers\": [\n    \
             \"10.0.0.1:6443\",\n    \"10.0.0.2:6443\"\n  ],\n  \"sha256\": \"{sum}\"\n}}\n"
        )
    );
    // A file of an earlier version of this program stays valid.
    assert_eq!(sum, "15bbfef07a0fdad6b762ac6d84883c899f91b743e42d297429b602e1c1a7fab4");
}

#[test]
fn leftovers_and_links_are_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("masters.json");
    let victim = directory.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, directory.path().join(".masters.json.new")).unwrap();
    save(&file, at(), &servers()).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(load(&file, at()).unwrap(), Some(servers()));
}

#[test]
fn what_cannot_be_written_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("taken/masters.json");
    fs::write(directory.path().join("taken"), "a file").unwrap();
    let error = save(&file, at(), &servers()).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot keep the list of masters in {}: ", file.display())),
        "{error}"
    );
}

#[test]
fn damage_is_noticed() {
    assert_eq!(refusal(text().replace("10.0.0.2", "10.0.0.3").as_bytes()), "its checksum is wrong");
    assert_eq!(
        refusal(text().replace("\"version\": 1", "\"version\": 2").as_bytes()),
        "its version is 2 instead of 1"
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
    let other = render("10.103.97.3:6443".parse().unwrap(), &servers());
    assert_eq!(refusal(&other), "it belongs to the virtual server 10.103.97.3:6443");
}

#[test]
fn a_sound_file_may_still_be_of_no_use() {
    assert_eq!(refusal(&render(at(), &[])), "it holds 0 servers");
    for wrong in [at(), "[fd00::1]:6443".parse().unwrap()] {
        let why = refusal(&render(at(), &[servers()[0], wrong]));
        assert_eq!(why, "it holds servers that cannot stand behind 10.103.97.2:6443");
    }
    let directory = tempfile::tempdir().unwrap();
    let error = load(directory.path(), at()).unwrap_err().to_string();
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
        let mut bytes = render(at(), &servers());
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        if let Ok(read) = check(&bytes, at()) {
            prop_assert_eq!(read, servers());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        prop_assert!(check(&bytes, at()).is_err());
    }
}
