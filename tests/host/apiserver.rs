//! Every behaviour of the fake apiserver, as a real client sees it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lvscare::certificate;
use node::facts::cluster::{self, Learned, Pass};
use node::machine::linux::Linux;
use node::machine::programs::Terminal;
use node::spec::kubeadm::KubeadmSpec;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tests::apiserver::{Behaviour, Control, KUBEADM_CONFIG};
use tests::client::{Client, Connection};
use tests::pki::Pki;
use tests::process::Process;
use tests::stub::TOKEN;
use tests::wait::eventually;
use tokio_rustls::TlsConnector;

/// Long enough for anything that should succeed.
const LIMIT: Duration = Duration::from_secs(60);
/// Long enough to be sure that nothing comes.
const SHORT: Duration = Duration::from_millis(300);

struct Server {
    address: SocketAddr,
    control: Control,
    client: Client,
    _process: Process,
    directory: TempDir,
}

impl Server {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pki = Pki::new(directory.path()).unwrap();
        let identity = pki.apiserver("m1", &[Ipv4Addr::LOCALHOST.into()]).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let control = Control::new(&directory.path().join("m1.sock"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_fake-apiserver"));
        command.args(["--listen", &address.to_string(), "--name", "m1"]);
        command.arg("--cert").arg(identity.certificate).arg("--key").arg(identity.key);
        command.arg("--control").arg(control.path());
        let process = Process::spawn(&mut command).unwrap();
        eventually(LIMIT, "the start of the server", || control.answers().then_some(()));
        let client = Client::new(pki.roots().unwrap());
        Self { address, control, client, _process: process, directory }
    }

    fn connect(&self) -> Connection {
        self.client.connect(self.address, LIMIT).unwrap()
    }

    /// What a new connection ends with that is to come to nothing within `limit`.
    fn refusal(&self, limit: Duration) -> ErrorKind {
        self.client.connect(self.address, limit).err().unwrap().kind()
    }
}

/// Status and body of one request.
fn get(connection: &mut Connection, path: &str) -> (u16, String) {
    let answer = connection.get(path, LIMIT).unwrap();
    (answer.status, answer.body)
}

/// How a request that should come to nothing ends.
fn failure(connection: &mut Connection) -> ErrorKind {
    connection.get("/healthz", SHORT).unwrap_err().kind()
}

#[test]
fn a_healthy_server_answers_and_counts() {
    let server = Server::new();
    let mut connection = server.connect();
    assert_eq!(get(&mut connection, "/healthz"), (200, "ok".to_owned()));
    assert_eq!(get(&mut connection, "/readyz"), (200, "ok".to_owned()));
    assert_eq!(get(&mut connection, "/api/v1/nodes"), (200, "m1".to_owned()));
    assert_eq!(get(&mut connection, "/bytes/100000").1.len(), 100_000);
    let stats = server.control.stats();
    assert_eq!((stats.accepted, stats.open), (1, 1));
    assert_eq!((stats.healthz, stats.readyz, stats.other), (1, 1, 2));
    drop(connection);
    eventually(LIMIT, "a closed connection", || (server.control.stats().open == 0).then_some(()));
}

#[test]
fn a_watch_goes_on() {
    let server = Server::new();
    let mut connection = server.connect();
    assert_eq!(get(&mut connection, "/watch").0, 200);
    let mut seen = String::new();
    while seen.matches("tick").count() < 3 {
        let mut buffer = [0; 64];
        let count = connection.read(&mut buffer).unwrap();
        seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
}

#[test]
fn an_open_connection_sees_every_new_status() {
    let server = Server::new();
    let mut connection = server.connect();
    for (behaviour, healthz, readyz) in [
        (Behaviour::Healthz(500), 500, 500),
        (Behaviour::Readyz(503), 200, 503),
        (Behaviour::Redirect, 302, 302),
        (Behaviour::Healthy, 200, 200),
    ] {
        server.control.set(behaviour);
        assert_eq!(get(&mut connection, "/healthz").0, healthz, "{behaviour}");
        assert_eq!(get(&mut connection, "/readyz").0, readyz, "{behaviour}");
        assert_eq!(get(&mut connection, "/").0, 200, "{behaviour}");
    }
}

#[test]
fn http2_is_offered_first_and_sees_new_statuses_too() {
    let server = Server::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tcp = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let tls = TlsConnector::from(server.client.speaking(&["http/1.1", "h2"]).tls());
        let tls = tls.connect(ServerName::try_from("kubernetes").unwrap(), tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        for (behaviour, status) in [(Behaviour::Healthy, 200), (Behaviour::Healthz(500), 500)] {
            server.control.set(behaviour);
            let request = Request::get("https://kubernetes/healthz").body(Empty::<Bytes>::new()).unwrap();
            assert_eq!(sender.send_request(request).await.unwrap().status(), status);
        }
    });
}

#[test]
fn a_hanging_server_is_silent_until_it_recovers() {
    let server = Server::new();
    let mut connection = server.connect();

    server.control.set(Behaviour::HangAccept);
    assert_eq!(server.refusal(SHORT), ErrorKind::TimedOut);
    assert_eq!(failure(&mut connection), ErrorKind::TimedOut);

    server.control.set(Behaviour::HangAnswer);
    let mut connection = server.connect();
    assert_eq!(failure(&mut connection), ErrorKind::TimedOut);

    server.control.set(Behaviour::Healthy);
    // The answer to the request above, late.
    connection.limit(LIMIT);
    assert!(connection.read(&mut [0; 64]).unwrap() > 0);
    assert_eq!(get(&mut server.connect(), "/healthz").0, 200);
}

#[test]
fn junk_is_no_handshake() {
    let server = Server::new();
    let mut connection = server.connect();
    server.control.set(Behaviour::TlsGarbage);
    assert_eq!(server.refusal(LIMIT), ErrorKind::InvalidData);
    assert_eq!(get(&mut connection, "/healthz").0, 200);
}

#[test]
fn a_slow_loris_sends_but_never_ends() {
    let server = Server::new();
    let mut connection = server.connect();
    server.control.set(Behaviour::SlowLoris);
    assert_eq!(failure(&mut connection), ErrorKind::TimedOut);
    for _ in 0..3 {
        connection.limit(LIMIT);
        assert_eq!(connection.read(&mut [0; 64]).unwrap(), 1);
    }
}

#[test]
fn connections_are_closed_at_their_age() {
    let server = Server::new();
    let mut connection = server.connect();
    assert_eq!(get(&mut connection, "/healthz").0, 200);
    server.control.set(Behaviour::CloseAfter(Duration::from_millis(50)));
    eventually(LIMIT, "the end of the connection", || connection.get("/healthz", LIMIT).err());
    assert_eq!(server.control.stats().open, 0);
}

#[test]
fn a_deaf_server_keeps_its_connections() {
    let server = Server::new();
    let mut connection = server.connect();
    server.control.set(Behaviour::Deaf);
    assert_eq!(server.refusal(LIMIT), ErrorKind::ConnectionRefused);
    assert_eq!(get(&mut connection, "/healthz").0, 200);
    server.control.set(Behaviour::Healthy);
    assert_eq!(get(&mut server.connect(), "/healthz").0, 200);
}

#[test]
fn a_reset_spares_nobody() {
    let server = Server::new();
    let mut connection = server.connect();
    server.control.set(Behaviour::Reset);
    connection.limit(LIMIT);
    assert_eq!(connection.read(&mut [0; 64]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(server.refusal(LIMIT), ErrorKind::ConnectionReset);
}

#[test]
fn an_answer_can_be_late() {
    let server = Server::new();
    let mut connection = server.connect();
    server.control.set(Behaviour::Delay(SHORT));
    let answer = connection.get("/healthz", LIMIT).unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.took >= SHORT);
}

#[test]
fn a_body_can_be_huge() {
    let server = Server::new();
    server.control.set(Behaviour::HugeBody);
    let mut connection = server.connect();
    assert_eq!(get(&mut connection, "/readyz"), (200, String::new()));
    let mut megabyte = vec![1; 1 << 20];
    connection.read_exact(&mut megabyte).unwrap();
    assert!(megabyte.iter().all(|byte| *byte == 0));
}

/// What a join learns of the cluster behind `server`, with the hash of `authority` in its hand.
fn learned(server: &Server, authority: &Path, token: &str) -> Learned {
    let hash = certificate::pem_key_hash(&fs::read(authority).unwrap()).unwrap();
    let asked = KubeadmSpec {
        token: token.parse().ok(),
        ca_cert_hashes: vec![hash.parse().unwrap()],
        ..KubeadmSpec::default()
    };
    cluster::learn(&mut Linux::new(Terminal::Both), &[server.address], &Pass::of(&asked).unwrap())
}

#[test]
fn a_cluster_tells_how_it_was_made_to_whoever_has_token_and_hash() {
    let server = Server::new();
    let authority = server.directory.path().join("ca.crt");
    let made = "kubernetesVersion: v1.34.1\ncontrolPlaneEndpoint: 10.0.0.1\nnetworking: {serviceSubnet: \"10.96.0.0/12,fd00::/108\"}\n";
    fs::write(server.directory.path().join(KUBEADM_CONFIG), made).unwrap();
    let Learned::Known(cluster) = learned(&server, &authority, TOKEN) else { panic!("not known") };
    let endpoints: Vec<_> = cluster.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["apiserver.cluster.local:6443", "10.0.0.1:6443"]);
    assert_eq!((cluster.services.len(), cluster.version), (2, "v1.34.1".parse().ok()));

    let other = learned(&server, &authority, "abcdef.0123456789abcdef");
    assert_eq!(other, Learned::TokenRefused { master: server.address, id: "abcdef".into() });
    server.control.set(Behaviour::Deaf);
    assert!(matches!(learned(&server, &authority, TOKEN), Learned::Unknown(why) if why.contains("refused")));
}

/// Somebody in between shows the true authority, which is no secret, or puts it beside one of its own.
#[test]
fn who_cannot_prove_to_be_of_the_cluster_never_sees_the_token() {
    let server = Server::new();
    let (own, true_one) = (server.directory.path().join("ca.crt"), tempfile::tempdir().unwrap());
    Pki::new(true_one.path()).unwrap();
    let authority = true_one.path().join("ca.crt");
    let (own_pem, true_pem) = (fs::read(&own).unwrap(), fs::read(&authority).unwrap());
    let asked = || server.control.stats().other;
    assert!(matches!(learned(&server, &authority, TOKEN), Learned::Stranger { .. }));
    assert_eq!(asked(), 1);
    for bundle in [true_pem.clone(), [&own_pem[..], &true_pem].concat(), [&true_pem[..], &own_pem].concat()] {
        let before = asked();
        fs::write(&own, bundle).unwrap();
        let seen = learned(&server, &authority, TOKEN);
        assert!(matches!(&seen, Learned::Unknown(why) if why.contains("certificate")), "{seen:?}");
        assert_eq!(asked(), before + 1, "nothing but cluster-info was asked");
    }
    fs::write(&own, "rubbish").unwrap();
    assert!(matches!(learned(&server, &authority, TOKEN), Learned::Stranger { authority: None, .. }));
}
