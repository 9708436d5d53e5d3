//! Against a real server on loopback, which does what the test says, connection by connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use ring::digest::{SHA256, digest};

use super::*;

/// A server that answers one question a connection, each as it is told; the last answer is given for ever.
struct Server {
    port: u16,
    /// The questions that it was asked.
    asked: Arc<Mutex<Vec<String>>>,
}

/// What is answered to a question.
type Reply = Box<dyn Fn(&str) -> Vec<u8> + Send>;

impl Server {
    fn new(answers: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream: TcpStream = stream.unwrap();
                let question = head(&mut stream);
                let answer = answers[number.min(answers.len() - 1)](&question);
                heard.lock().unwrap().push(question);
                let _ = stream.write_all(&answer);
            }
        });
        Self { port, asked }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/kube.tar", self.port)
    }

    /// The ranges that were asked for.
    fn ranges(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let range = |question: &String| {
            let line = question.lines().find(|line| line.to_lowercase().starts_with("range: "));
            line.map_or("all", |line| &line["range: ".len()..]).to_owned()
        };
        asked.iter().map(range).collect()
    }
}

fn head(stream: &mut impl Read) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

fn offset(question: &str) -> Option<usize> {
    let line = question.lines().find(|line| line.to_lowercase().starts_with("range: bytes="))?;
    line["range: bytes=".len()..].trim_end_matches('-').parse().ok()
}

fn content() -> Vec<u8> {
    (0..=250).cycle().take(100_000).collect()
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(&digest(&SHA256, bytes))
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\n{headers}\r\n").as_bytes(), body].concat()
}

/// The whole file, of which so many bytes come.
fn whole(stamp: &'static str, body: Vec<u8>, comes: usize) -> Reply {
    Box::new(move |_| {
        let headers = format!("Content-Length: {}\r\nETag: {stamp}\r\n", body.len());
        answer("200 OK", &headers, &body[..comes])
    })
}

/// As a good server: what is missing, of which so many bytes come.
fn rest(stamp: &'static str, body: Vec<u8>, comes: usize) -> Reply {
    Box::new(move |question| match offset(question) {
        Some(offset) if question.contains(&format!("if-range: {stamp}\r\n")) => {
            let length = body.len() - offset;
            let range = format!("Content-Range: bytes {offset}-{}/{}\r\n", body.len() - 1, body.len());
            let headers = format!("Content-Length: {length}\r\nETag: {stamp}\r\n{range}");
            answer("206 Partial Content", &headers, &body[offset..(offset + comes).min(body.len())])
        }
        _ => whole(stamp, body.clone(), body.len())(question),
    })
}

fn says(status: &'static str, headers: &'static str) -> Reply {
    Box::new(move |_| answer(status, &format!("{headers}Content-Length: 0\r\n"), b""))
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("kube.tar")
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn fetch(&self, url: &str, sha256: Option<Digest>) -> (Result<Fetched, Error>, Vec<Event>) {
        self.fetch_by(url, sha256, None)
    }

    fn fetch_by(
        &self,
        url: &str,
        sha256: Option<Digest>,
        authorities: Option<PathBuf>,
    ) -> (Result<Fetched, Error>, Vec<Event>) {
        let mut told = Vec::new();
        let settings = Settings { authorities, patience: Duration::from_secs(60), pause: Duration::ZERO };
        let to = self.file();
        let done = fetch(&Wanted { url, to: &to, sha256 }, &settings, &mut |event| told.push(event));
        (done, told)
    }
}

#[test]
fn a_file_arrives_however_often_the_link_is_cut() {
    let body = content();
    let sha256 = sha256(&body);
    let server = Server::new(vec![
        whole("\"a\"", body.clone(), 10_000),
        rest("\"a\"", body.clone(), 1),
        rest("\"a\"", body.clone(), 50_000),
        rest("\"a\"", body.clone(), 0),
        says("503 Service Unavailable", ""),
        rest("\"a\"", body.clone(), body.len()),
    ]);
    let place = Place::new();
    let (done, told) = place.fetch(&server.url(), Some(sha256));
    assert_eq!(done.unwrap(), Fetched { sha256, received: 100_000 });
    assert_eq!(fs::read(place.file()).unwrap(), body);
    assert_eq!(place.names(), ["kube.tar"]);
    let ranges = ["all", "bytes=10000-", "bytes=10001-", "bytes=60001-", "bytes=60001-", "bytes=60001-"];
    assert_eq!(server.ranges(), ranges);
    let arrived: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            Event::Arrived { bytes, total } => Some((*bytes, *total)),
            Event::Note(_) => None,
        })
        .collect();
    assert!(arrived.is_sorted() && arrived.last() == Some(&(100_000, Some(100_000))), "{arrived:?}");
    let notes: Vec<_> = told
        .iter()
        .filter_map(|event| match event {
            Event::Note(note) => Some(note.as_str()),
            Event::Arrived { .. } => None,
        })
        .collect();
    assert_eq!(notes[0], "the link was cut, after 10000 bytes; going on");
    assert_eq!(notes[4], "127.0.0.1 answers 503 Service Unavailable, after 60001 bytes; going on");
    // What is there is not asked for again.
    let (done, _) = place.fetch(&server.url(), Some(sha256));
    assert_eq!((done.unwrap().received, server.ranges().len()), (0, 6));
}

#[test]
fn a_later_run_goes_on_and_another_file_begins_anew() {
    let (body, other) = (content(), content().repeat(2));
    let cut = Server::new(vec![whole("\"a\"", body.clone(), 30_000), rest("\"a\"", body.clone(), 0)]);
    let place = Place::new();
    let failure = place.fetch(&cut.url(), Some(sha256(&body))).0.unwrap_err().to_string();
    let expected = "127.0.0.1 does not go on: the link was cut; 30000 bytes are kept for the next time";
    assert_eq!(failure, expected);
    assert_eq!(place.names(), ["kube.tar.part", "kube.tar.part.json"]);
    // The same place on the same server, which has another file by now.
    let note = fs::read_to_string(place.0.path().join("kube.tar.part.json")).unwrap();
    let server = Server::new(vec![whole("\"b\"", other.clone(), other.len())]);
    fs::write(place.0.path().join("kube.tar.part.json"), note.replace(&cut.url(), &server.url())).unwrap();
    let (done, _) = place.fetch(&server.url(), Some(sha256(&other)));
    assert_eq!(done.unwrap().received, 200_000);
    assert_eq!(
        (server.ranges(), fs::read(place.file()).unwrap() == other),
        (vec!["bytes=30000-".to_owned()], true)
    );

    // A server that sends a part of another file, another part, or a part that is shorter.
    for (headers, status) in [
        ("ETag: \"b\"\r\nContent-Range: bytes 30000-99999/100000\r\n", "206 Partial Content"),
        ("ETag: \"a\"\r\nContent-Range: bytes 0-69999/100000\r\n", "206 Partial Content"),
        ("ETag: \"a\"\r\nContent-Range: bytes 30000-99999/100001\r\n", "206 Partial Content"),
        ("ETag: \"a\"\r\nContent-Range: bytes 30000-18446744073709551615/5\r\n", "206 Partial Content"),
        ("ETag: \"a\"\r\n", "206 Partial Content"),
        ("Content-Range: bytes */10\r\n", "416 Range Not Satisfiable"),
    ] {
        let lie: Reply = Box::new(move |_| answer(status, headers, &vec![0; 70_000]));
        let server = Server::new(vec![
            whole("\"a\"", body.clone(), 30_000),
            lie,
            whole("\"a\"", body.clone(), body.len()),
        ]);
        let place = Place::new();
        place.fetch(&server.url(), Some(sha256(&body))).0.unwrap();
        assert_eq!(server.ranges(), ["all", "bytes=30000-", "all"], "{headers}");
        assert_eq!(fs::read(place.file()).unwrap(), body);
    }
    // Without a name, or with a weak one, nothing is gone on with.
    for stamp in ["W/\"a\"", "a"] {
        let server =
            Server::new(vec![whole(stamp, body.clone(), 30_000), whole(stamp, body.clone(), body.len())]);
        let place = Place::new();
        place.fetch(&server.url(), Some(sha256(&body))).0.unwrap();
        assert_eq!(
            (server.ranges(), fs::read(place.file()).unwrap() == body),
            (vec!["all".to_owned(); 2], true)
        );
    }
}

#[test]
fn who_lies_or_refuses_is_named_and_leaves_no_file() {
    let body = content();
    let good = sha256(&body);
    let longer = |_: &str| answer("200 OK", "Content-Length: 200000\r\nETag: \"a\"\r\n", &content());
    let too_long = |_: &str| answer("200 OK", "Content-Length: 99999999999999\r\n", b"x");
    let endless_head = |_: &str| answer("200 OK", &"X: y\r\n".repeat(100_000), b"");
    for (answers, expected) in [
        (
            vec![whole("\"a\"", b"another".to_vec(), 7)],
            format!("what was received has the SHA-256 {} instead of {good}; it is removed", sha256(b"another")),
        ),
        (vec![says("404 Not Found", "")], "127.0.0.1 answers 404 Not Found".to_owned()),
        (vec![says("403 Forbidden", "")], "127.0.0.1 answers 403 Forbidden".to_owned()),
        (vec![says("302 Found", "")], "127.0.0.1 sends elsewhere (302 Found) and does not say where to".to_owned()),
        (
            vec![says("302 Found", "Location: /kube.tar\r\n")],
            "127.0.0.1 sends from one place to the next, and never to a file".to_owned(),
        ),
        (
            vec![says("302 Found", "Location: file:///etc/shadow\r\n")],
            "127.0.0.1 sends elsewhere: `file:///etc/shadow` is no URL of http or https, such as https://example.com/kube1.34.1.tar.gz".to_owned(),
        ),
        (
            vec![says("206 Partial Content", "")],
            "127.0.0.1 sends a part of the file, and nobody asked for one".to_owned(),
        ),
        (
            vec![Box::new(too_long)],
            "127.0.0.1 has 99999999999999 bytes there; a package has at most 21474836480".to_owned(),
        ),
        (
            vec![Box::new(longer)],
            "does not go on".to_owned(),
        ),
        (
            vec![says("500 Internal Server Error", "")],
            "127.0.0.1 does not go on: 127.0.0.1 answers 500 Internal Server Error; 0 bytes are kept for the next time"
                .to_owned(),
        ),
        (vec![Box::new(endless_head)], "the answer is not HTTP".to_owned()),
        (vec![Box::new(|_: &str| b"220 mail.example ESMTP\r\n".to_vec())], "the answer is not HTTP".to_owned()),
        (vec![Box::new(|_: &str| Vec::new())], "does not go on".to_owned()),
    ] {
        let server = Server::new(answers);
        let place = Place::new();
        let failure = place.fetch(&server.url(), Some(good)).0.unwrap_err().to_string();
        let port = format!(":{}", server.port);
        let said = failure.replace(&port, "");
        let is_part = ["the answer is not HTTP", "does not go on"].contains(&&*expected);
        if is_part {
            assert!(said.contains(&expected), "{said}");
        } else {
            assert_eq!(said, expected);
        }
        assert!(!place.file().exists(), "{said}");
    }
}

#[test]
fn servers_that_send_elsewhere_or_say_no_length_are_understood() {
    let body = content();
    let chunked = |_: &str| {
        let chunk = [b"186a0\r\n", &content()[..], b"\r\n0\r\n\r\n"].concat();
        answer("200 OK", "Transfer-Encoding: chunked\r\n", &chunk)
    };
    let server =
        Server::new(vec![says("307 Temporary Redirect", "Location: there/kube?x=1\r\n"), Box::new(chunked)]);
    let place = Place::new();
    let (done, told) = place.fetch(&server.url(), Some(sha256(&body)));
    assert_eq!(done.unwrap().received, 100_000);
    assert!(told.contains(&Event::Arrived { bytes: 100_000, total: None }));
    assert!(server.asked.lock().unwrap()[1].starts_with("GET /there/kube?x=1 HTTP/1.1\r\n"));
}

#[test]
fn what_is_not_safe_is_refused_before_a_server_is_asked() {
    let server = Server::new(vec![whole("\"a\"", content(), 100_000)]);
    let place = Place::new();
    let refused = |sha256| place.fetch(&server.url(), sha256).0.unwrap_err().to_string();
    assert_eq!(
        refused(None),
        "over http: anybody on the way can change it; say with --pkg-sha256 what it must be, or use https:"
    );
    fs::write(place.file(), "somebody's").unwrap();
    let said = refused(Some(sha256(&content())));
    assert!(
        said.ends_with("not known to be what is wanted; move it away, or say its --pkg-sha256"),
        "{said}"
    );
    assert_eq!(fs::read(place.file()).unwrap(), b"somebody's");
    fs::remove_file(place.file()).unwrap();
    std::os::unix::fs::symlink("/etc/victim", place.0.path().join("kube.tar.part")).unwrap();
    assert!(refused(Some(sha256(&content()))).contains("kube.tar.part: "));
    assert_eq!(server.ranges(), [""; 0]);
}

#[test]
fn over_tls_only_a_server_that_an_authority_vouches_for_is_heard() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let own = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&own, &issuer)
        .unwrap();
    let place = Place::new();
    let roots = place.0.path().join("roots.pem");
    fs::write(&roots, authority.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://127.0.0.1:{}/kube.tar", listener.local_addr().unwrap().port());
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            head(&mut stream);
            let _ = stream.write_all(&whole("\"a\"", content(), 100_000)(""));
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    let stranger = place.fetch(&url, None).0.unwrap_err().to_string();
    assert!(stranger.contains("TLS: ") || stranger.contains("no list of authorities"), "{stranger}");
    assert!(!place.file().exists());
    let (done, _) = place.fetch_by(&url, None, Some(roots));
    assert_eq!(done.unwrap().sha256, sha256(&content()));
}
