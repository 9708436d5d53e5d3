//! How a client of the virtual server is refused: the kernel's own counters tell, whatever the time it took.

use std::fs;
use std::io::ErrorKind;

use socket2::{Domain, Socket, Type};

use crate::daemon::{LIMIT, vip};
use crate::netns::Namespace;

/// One attempt tells little on a busy machine, where a packet may be sent again for no other reason.
const ATTEMPTS: usize = 5;

/// What one refused client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// So many ICMP messages "unreachable" came: IPVS refuses with these, and a closed port with a reset.
    pub unreachable: u64,
    /// So many more times it sent its SYN. TCP does that after a second, so that any at all means "late".
    pub repeated: u64,
}

/// Connects from `place`, blocking as clients do, and is refused.
#[track_caller]
pub fn refusal(place: &Namespace) -> Refusal {
    place.enter(|| {
        let before = Refusal::counted();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_write_timeout(Some(LIMIT)).expect("a limit");
        let error = socket.connect(&vip().into()).expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let after = Refusal::counted();
        Refusal {
            unreachable: after.unreachable - before.unreachable,
            repeated: after.repeated - before.repeated,
        }
    })
}

/// Nobody is kept waiting: the first packet is answered, and by TCP itself.
#[track_caller]
pub fn assert_refused_at_once(place: &Namespace) {
    let at_once = Refusal { unreachable: 0, repeated: 0 };
    let seen: Vec<Refusal> = (0..ATTEMPTS).map(|_| refusal(place)).collect();
    assert!(seen.contains(&at_once), "{place:?}: {seen:?}");
}

/// Everybody is refused by IPVS, and who waits in `connect()` waits for a second SYN.
#[track_caller]
pub fn assert_refused_late(place: &Namespace) {
    let seen: Vec<Refusal> = (0..ATTEMPTS).map(|_| refusal(place)).collect();
    assert!(seen.iter().all(|refusal| refusal.unreachable > 0), "{place:?}: {seen:?}");
    // Unless the answer comes when the client has just ceased to be busy with sending.
    assert!(seen.iter().any(|refusal| refusal.repeated > 0), "{place:?}: {seen:?}");
}

impl Refusal {
    /// What the namespace of the calling thread has counted so far.
    fn counted() -> Self {
        Self {
            unreachable: counter("/proc/thread-self/net/snmp", "Icmp:", "InDestUnreachs"),
            repeated: counter("/proc/thread-self/net/netstat", "TcpExt:", "TCPSynRetrans"),
        }
    }
}

/// A number out of a pair of lines with the same first word: names, then values.
fn counter(file: &str, group: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).expect("Linux");
    let mut lines = text.lines().filter(|line| line.split(' ').next() == Some(group));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, value) = pairs.find(|(known, _)| *known == name).expect("a counter of that name");
    value.parse().expect("a number")
}
