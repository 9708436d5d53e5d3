//! One question and its answer.

use std::fs;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT_ENCODING, HOST, IF_RANGE, RANGE, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::answer::Begin;
use super::{Error, Settings};

/// No head of an answer is longer, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Where systems keep the authorities that they trust: Debian, Fedora, openSUSE, Alpine.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// They are no longer than this, in bytes.
const MAX_AUTHORITIES: u64 = 8 << 20;

trait Link: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Link for S {}

/// Asks for a file from `begin` on. Within the answer: why there is none, which may be another thing later.
pub(super) async fn ask(
    address: &Address,
    begin: &Begin,
    settings: &Settings,
) -> Result<Result<Response<Incoming>, String>, Error> {
    let tls = if address.is_tls { Some(tls(settings)?) } else { None };
    let request = request(address, begin)?;
    let answered = timeout(settings.patience, async {
        let link = open(address, tls).await?;
        let handshake = http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(link));
        let (mut sender, connection) = handshake.await.map_err(|error| error.to_string())?;
        // It ends with the answer's body.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|error| match io_of(&error) {
            Some(error) => error.to_string(),
            None => format!("the answer is not HTTP: {error}"),
        })
    });
    let answer = match answered.await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer in {} s", settings.patience.as_secs())),
    };
    Ok(answer.map_err(|why| format!("{}: {why}", address.authority())))
}

fn io_of(error: &hyper::Error) -> Option<&io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

fn request(address: &Address, begin: &Begin) -> Result<Request<Empty<Bytes>>, Error> {
    let mut request = Request::get(&address.path)
        .header(HOST, address.authority())
        .header(USER_AGENT, concat!("lvscare-installer/", env!("CARGO_PKG_VERSION")))
        // As it is: its hash is that of the file.
        .header(ACCEPT_ENCODING, "identity");
    if let (1.., Some(stamp)) = (begin.offset, &begin.stamp) {
        request = request.header(RANGE, format!("bytes={}-", begin.offset)).header(IF_RANGE, stamp);
    }
    request.body(Empty::new()).map_err(|error| Error::Address(format!("{}: {error}", address.host)))
}

async fn open(address: &Address, tls: Option<TlsConnector>) -> Result<Pin<Box<dyn Link>>, String> {
    let stream =
        TcpStream::connect((address.name(), address.port)).await.map_err(|error| error.to_string())?;
    let Some(tls) = tls else { return Ok(Box::pin(stream)) };
    let name = ServerName::try_from(address.name().to_owned()).map_err(|error| error.to_string())?;
    let link = tls.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?;
    Ok(Box::pin(link))
}

fn tls(settings: &Settings) -> Result<TlsConnector, Error> {
    let told = settings.authorities.as_deref();
    let known = AUTHORITIES.iter().map(Path::new).find(|path| path.exists());
    let Some(path) = told.or(known) else {
        let text = "this system has no list of authorities; name one in SSL_CERT_FILE";
        return Err(Error::Address(text.to_owned()));
    };
    let wrong = |why: String| Error::File { path: path.to_owned(), why };
    let meta = fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !meta.is_file() || meta.len() > MAX_AUTHORITIES {
        return Err(wrong("it is no file with authorities".to_owned()));
    }
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    // One that this library does not understand is no reason not to trust the others.
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(wrong("it holds no authority in PEM form".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Error::Address(format!("TLS: {error}")))?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
