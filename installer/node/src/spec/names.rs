//! Names of hosts.

use std::net::IpAddr;

/// The longest name, and the longest part between dots (RFC 1035, section 2.3.4).
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Why a name is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a name for a host: {why}")]
pub struct NameError {
    name: String,
    why: &'static str,
}

/// Whether `name` is what Kubernetes calls a DNS subdomain (RFC 1123, section 2.1, in lower case), and not an address.
pub fn check_name(name: &str) -> Result<(), NameError> {
    match refusal(name) {
        None => Ok(()),
        Some(why) => Err(NameError { name: name.to_owned(), why }),
    }
}

/// Whether resolvers will look `name` up: it is a name, and no number that they take for an address (`inet_aton(3)`).
pub fn check_resolvable(name: &str) -> Result<(), NameError> {
    check_name(name)?;
    let is_number = |label: &str| match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    };
    if name.split('.').all(is_number) {
        let why = "resolvers take such a number for an address";
        return Err(NameError { name: name.to_owned(), why });
    }
    Ok(())
}

fn refusal(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.parse::<IpAddr>().is_ok() {
        return Some(
            "it is an address; clients call the virtual server by a name such as apiserver.cluster.local",
        );
    }
    if name.len() > LONGEST {
        return Some("it is longer than 253 characters");
    }
    name.split('.').find_map(label)
}

fn label(label: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if label.is_empty() {
        return Some("a part between dots is empty");
    }
    if label.len() > LONGEST_LABEL {
        return Some("a part between dots is longer than 63 characters");
    }
    if label.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some("write it in lower case");
    }
    if !label.bytes().all(allowed) {
        return Some("only a to z, 0 to 9, `-` and `.` are allowed");
    }
    (label.starts_with('-') || label.ends_with('-')).then_some("a part begins or ends with `-`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_may_be_a_number_and_what_is_looked_up_may_not() {
        for name in ["12345", "0x7f000001", "1.2", "0x"] {
            assert!(check_name(name).is_ok(), "{name}");
            let refusal = check_resolvable(name).unwrap_err().to_string();
            assert!(refusal.ends_with("resolvers take such a number for an address"), "{refusal}");
        }
        for name in ["api.1", "m1", "0xg", "apiserver.cluster.local"] {
            assert_eq!(check_resolvable(name), Ok(()));
        }
    }
}
