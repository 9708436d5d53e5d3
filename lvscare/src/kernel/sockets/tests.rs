//! The connection list, and destroying real sockets of this machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

fn connection(client: &str, service: &str, server: &str) -> Connection {
    let [client, service, server] = [client, service, server].map(|text| text.parse().unwrap());
    Connection { client, service, server }
}

#[test]
fn lines_of_the_connection_list() {
    assert_eq!(
        parse("TCP 0A00000A A3E2 0A676102 192B 0A000001 192B ESTABLISHED     893"),
        Some(connection("10.0.0.10:41954", "10.103.97.2:6443", "10.0.0.1:6443")),
    );
    assert_eq!(
        parse(
            "TCP [fd00:0010:0000:0000:0000:0000:0000:0010] A3E2 [fd00:0099:0000:0000:0000:0000:0000:0002] 192B \
             [fd00:0010:0000:0000:0000:0000:0000:0001] 192B SYN_RECV     59"
        ),
        Some(connection("[fd00:10::10]:41954", "[fd00:99::2]:6443", "[fd00:10::1]:6443")),
    );
    for other in [
        "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData",
        "UDP 0A00000A A3E2 0A676102 0035 0A000001 0035 UDP             893",
        "TCP 0A00000A A3E2 0A676102",
        "TCP 0A00000A XXXX 0A676102 192B 0A000001 192B ESTABLISHED     893",
        "",
    ] {
        assert_eq!(parse(other), None, "{other}");
    }
}

/// `SOCK_DESTROY` needs `CAP_NET_ADMIN`; without it the error says so.
#[test]
fn destroys_the_named_connection_only() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut stuck = TcpStream::connect(at).unwrap();
    let other = TcpStream::connect(at).unwrap();
    let clients = BTreeSet::from([stuck.local_addr().unwrap()]);
    match destroy(at, &clients) {
        Err(Error::NotPermitted | Error::NoSocketDestroy) => return,
        result => assert_eq!(result.unwrap(), 1),
    }
    assert_eq!(stuck.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    other.set_nonblocking(true).unwrap();
    assert_eq!((&other).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    // The listener lives on.
    TcpStream::connect(at).unwrap();
}

#[test]
fn a_client_waits_until_it_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(at).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let waiting = |wait| unanswered(at, wait).unwrap();
    assert_eq!(waiting(Duration::ZERO), BTreeSet::new(), "it has said nothing");
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    let local = client.local_addr().unwrap();
    assert_eq!(waiting(Duration::ZERO), BTreeSet::from([local]));
    assert_eq!(waiting(Duration::from_secs(600)), BTreeSet::new(), "not so long");
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(waiting(Duration::from_millis(20)), BTreeSet::from([local]));
    server.write_all(b"hello").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    assert_eq!(waiting(Duration::ZERO), BTreeSet::new(), "it was answered");
}

/// Whatever the kernel sends, nothing panics.
#[test]
fn socket_information_of_any_length() {
    for length in 0..200 {
        assert!(!waits(&vec![0; length], Duration::ZERO));
        assert!(!waits(&vec![0xff; length], Duration::ZERO));
    }
    let mut info = vec![0; 136];
    info[44..48].copy_from_slice(&1500_u32.to_ne_bytes());
    info[120..128].copy_from_slice(&2_u64.to_ne_bytes());
    assert!(waits(&info, Duration::from_millis(1500)));
    assert!(!waits(&info, Duration::from_millis(1501)));
}
