//! The connection list, and destroying real sockets of this machine.

use std::io::Read;
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
