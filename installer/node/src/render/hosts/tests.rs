use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::spec::names::check_name;

const NAME: &str = "apiserver.cluster.local";

fn vip() -> IpAddr {
    "10.103.97.2".parse().unwrap()
}

fn made(file: &str, force: bool) -> String {
    String::from_utf8(set(file.as_bytes(), NAME, vip(), force).unwrap()).unwrap()
}

fn refused(file: &str) -> String {
    set(file.as_bytes(), NAME, vip(), false).unwrap_err().to_string()
}

#[test]
fn an_entry_is_a_block_below_everything() {
    assert_eq!(
        made("127.0.0.1\tlocalhost\n", false),
        "127.0.0.1\tlocalhost\n\
         # BEGIN lvscare-installer\n\
         # To take a name out again: lvscare-installer hosts unset NAME\n\
         10.103.97.2 apiserver.cluster.local\n\
         # END lvscare-installer\n"
    );
}

#[test]
fn an_end_of_line_that_was_missing_is_missing_again() {
    for file in ["127.0.0.1 localhost", "a\r", "\r\n ", ""] {
        let made = made(file, false);
        assert_eq!(unset(made.as_bytes(), NAME).unwrap(), file.as_bytes());
    }
}

#[test]
fn what_was_written_below_the_block_stays_a_line() {
    let made = made("127.0.0.1 localhost", false) + "10.0.0.9 registry\n";
    let undone = unset(made.as_bytes(), NAME).unwrap();
    assert_eq!(undone, b"127.0.0.1 localhost\n10.0.0.9 registry\n");
}

#[test]
fn another_address_replaces_the_first_in_its_place() {
    let before = made("", false) + "10.0.0.9 registry\n";
    let after = set(before.as_bytes(), NAME, "fd00::2".parse().unwrap(), false).unwrap();
    assert_eq!(String::from_utf8(after).unwrap(), before.replace("10.103.97.2", "fd00::2"));
}

#[test]
fn several_names_share_the_block() {
    let two = set(made("", false).as_bytes(), "registry", "10.0.0.9".parse().unwrap(), false).unwrap();
    let names: Vec<_> = list(&two).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, [NAME, "registry"]);
    assert_eq!(unset(&two, "registry").unwrap(), made("", false).as_bytes());
}

#[test]
fn a_line_of_somebody_else_is_refused_with_its_number() {
    let says = "of the hosts file says what apiserver.cluster.local means:";
    for line in [
        "10.0.0.1 apiserver.cluster.local",
        "10.0.0.1\tmaster APIServer.Cluster.Local # by hand",
        "fd00::1 apiserver.cluster.local",
    ] {
        let refusal = refused(&format!("127.0.0.1 localhost\n{line}\r\n"));
        assert!(refusal.starts_with(&format!("line 2 {says} `{line}`;")), "{refusal}");
    }
    let below = made("", false) + "10.0.0.1 apiserver.cluster.local";
    assert!(refused(&below).starts_with("line 5 "));
}

#[test]
fn what_only_looks_alike_is_none_of_our_business() {
    for line in [
        "# 10.0.0.1 apiserver.cluster.local",
        "10.0.0.1 my-apiserver.cluster.local apiserver.cluster.local.example",
        "10.0.0.1 master # apiserver.cluster.local",
        "apiserver.cluster.local",
    ] {
        assert!(made(line, false).starts_with(line));
    }
}

#[test]
fn force_comments_a_line_out_and_keeps_its_other_names() {
    let cases = [
        ("10.0.0.1 apiserver.cluster.local\n", "# lvscare-installer: 10.0.0.1 apiserver.cluster.local\n"),
        (
            "\t10.0.0.1  m1 APIserver.cluster.local  m2 # by hand\r\n",
            "10.0.0.1 m1 m2 # lvscare-installer: \t10.0.0.1  m1 APIserver.cluster.local  m2 # by hand\r\n",
        ),
    ];
    for (line, covered) in cases {
        let forced = made(line, true);
        assert!(forced.starts_with(&format!("{covered}# BEGIN")), "{forced}");
        assert_eq!(made(&forced, false), forced, "and is at peace afterwards");
        assert_eq!(others(forced.as_bytes(), NAME), Ok(vec![]));
        assert_eq!(unset(forced.as_bytes(), NAME).unwrap(), line.as_bytes());
    }
}

#[test]
fn a_line_with_two_of_our_names_comes_back_in_any_order() {
    let line = b"10.0.0.1 a b c";
    let one = set(line, "a", vip(), true).unwrap();
    let two = set(&one, "b", vip(), true).unwrap();
    assert!(two.starts_with(b"10.0.0.1 c # lvscare-installer: 10.0.0.1 a b c\n"));
    for (first, second) in [("a", "b"), ("b", "a")] {
        assert_eq!(unset(&unset(&two, first).unwrap(), second).unwrap(), line);
    }
    assert!(unset(&two, "a").unwrap().starts_with(b"10.0.0.1 a c # lvscare-installer: 10.0.0.1 a b c\n"));
}

#[test]
fn a_name_that_was_left_in_a_covered_line_is_not_covered_without_force() {
    let one = set(b"10.0.0.1 a b\n", "a", vip(), true).unwrap();
    assert!(matches!(set(&one, "b", vip(), false), Err(Error::Foreign { .. })));
}

#[test]
fn a_covered_line_that_was_changed_by_hand_is_left_alone() {
    let forced =
        made("10.0.0.1 apiserver.cluster.local m1\n", true).replace("10.0.0.1 m1 #", "10.0.0.7 m1 #");
    let undone = unset(forced.as_bytes(), NAME).unwrap();
    assert_eq!(undone, b"10.0.0.7 m1 # lvscare-installer: 10.0.0.1 apiserver.cluster.local m1\n");
}

#[test]
fn a_damaged_block_is_refused_with_the_line() {
    let cases = [
        ("\n# BEGIN lvscare-installer\n10.0.0.1 a\n", "line 2", "a block begins and does not end"),
        ("# END lvscare-installer\n", "line 1", "a block ends that has not begun"),
        (
            "# BEGIN lvscare-installer\n# BEGIN lvscare-installer\n",
            "line 2",
            "the block that began in line 1",
        ),
        (
            "# BEGIN lvscare-installer\n# END lvscare-installer\n# BEGIN lvscare-installer\n",
            "line 3",
            "a second block begins",
        ),
        ("# BEGIN lvscare-installer\n10.0.0.1 a b\n", "line 2", "was not made by lvscare-installer"),
        ("# BEGIN lvscare-installer\n\n", "line 2", "was not made by lvscare-installer"),
    ];
    for (file, line, why) in cases {
        let refusal = refused(file);
        assert!(refusal.starts_with(line) && refusal.contains(why), "{refusal}");
        assert_eq!(unset(file.as_bytes(), NAME).unwrap_err().to_string(), refusal);
    }
}

#[test]
fn names_are_checked() {
    for name in ["apiserver.cluster.local", "a", "1-2.3x", &["a"; 126].join(".")] {
        assert_eq!(check_name(name), Ok(()));
    }
    let cases = [
        ("", "it is empty"),
        ("10.0.0.1", "it is an address"),
        ("fd00::1", "it is an address"),
        ("API.local", "lower case"),
        ("a..b", "a part between dots is empty"),
        ("a.", "a part between dots is empty"),
        ("-a", "begins or ends with `-`"),
        ("a\n10.0.0.1 b", "only a to z"),
        ("a b", "only a to z"),
        (&"a".repeat(64), "longer than 63"),
        (&["a"; 128].join("."), "longer than 253"),
    ];
    for (name, why) in cases {
        let refusal = check_name(name).unwrap_err().to_string();
        assert!(refusal.contains(why), "{refusal}");
        assert!(set(b"", name, vip(), true).is_err());
    }
}

/// Pieces of which every kind of line can come, and many that are none.
fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => select(vec![" ", "\t", "#", "\r\n", "\n", "\n", "10.0.0.1 ", "::1 ", "localhost", NAME, "APISERVER.cluster.local"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..6),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Some with a block, and something below it.
fn any_file_or_made() -> impl Strategy<Value = Vec<u8>> {
    (any_file(), any_file(), any::<bool>()).prop_map(|(file, below, make)| {
        if !make {
            return file;
        }
        [set(&file, "registry", "10.0.0.9".parse().unwrap(), true).unwrap(), below].concat()
    })
}

proptest! {
    #[test]
    fn reading_and_printing_change_nothing(file in any_file_or_made()) {
        prop_assert_eq!(Text::parse(&file).unwrap().print(), file);
    }

    #[test]
    fn unset_brings_back_every_byte(file in any_file()) {
        let made = set(&file, NAME, vip(), true).unwrap();
        prop_assert_eq!(unset(&made, NAME).unwrap(), file);
    }

    #[test]
    fn beside_another_entry_as_well(file in any_file_or_made()) {
        let made = set(&file, NAME, vip(), true).unwrap();
        prop_assert_eq!(unset(&made, NAME).unwrap(), file);
    }

    #[test]
    fn twice_is_once(file in any_file_or_made()) {
        let once = set(&file, NAME, vip(), true).unwrap();
        prop_assert_eq!(others(&once, NAME).unwrap(), vec![]);
        prop_assert_eq!(set(&once, NAME, vip(), false).unwrap(), once);
    }

    #[test]
    fn only_our_block_changes(file in any_file_or_made()) {
        if let Ok(made) = set(&file, NAME, vip(), false) {
            let rest = |file: &[u8]| Text { block: None, ..Text::parse(file).unwrap() }.print();
            let (before, after) = (rest(&file), rest(&made));
            prop_assert!(after == before || after == [&before[..], b"\n"].concat());
            prop_assert_eq!(unset(&made, NAME).unwrap(), file);
        } else {
            prop_assert!(!others(&file, NAME).unwrap().is_empty());
        }
    }
}
