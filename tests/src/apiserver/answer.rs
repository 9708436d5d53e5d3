//! One request and its answer.

use std::convert::Infallible;
use std::fs;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{AUTHORIZATION, DATE, HeaderValue, LOCATION};
use hyper::{Request, Response, StatusCode};
use tokio::time::{Interval, interval, sleep};

use super::state::State;
use super::{Behaviour, cluster};
use crate::api::Place;

const GIGABYTE: u64 = 1 << 30;

/// How often a watch has news.
const TICK: Duration = Duration::from_millis(100);

/// Answers `request` when and how the behaviour of the moment says.
pub(super) async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Content>, Infallible> {
    let path = request.uri().path();
    if !authorized(&state, &request) {
        state.stats().unauthorized += 1;
        let mut response = Response::new(Content::Text(None));
        refuse(&mut response, 401);
        return Ok(response);
    }
    count(&state, path);
    let behaviour = state.other_than(&[Behaviour::HangAccept, Behaviour::HangAnswer]).await;
    if let Behaviour::Delay(time) = behaviour {
        sleep(time).await;
    }
    if let Some(place) = request.uri().path_and_query().and_then(|path| Place::of(path.as_str())) {
        return Ok(masters(&state, place));
    }
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if let Some((status, body)) = cluster::answer(&state.directory, path, authorization) {
        let mut response = Response::new(text(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        return Ok(response);
    }
    Ok(match path {
        "/healthz" => health(behaviour, matches!(behaviour, Behaviour::Healthz(_))),
        "/readyz" => health(behaviour, matches!(behaviour, Behaviour::Readyz(_) | Behaviour::Healthz(_))),
        "/watch" => Response::new(Content::Ticks(interval(TICK))),
        _ => match path.strip_prefix("/bytes/").map(str::parse) {
            Some(Ok(count)) => Response::new(Content::Zeros(count)),
            _ => Response::new(text(state.name.clone())),
        },
    })
}

/// Whether the request carries the token of the moment, if one is needed.
fn authorized(state: &State, request: &Request<Incoming>) -> bool {
    let Some(file) = &state.token else { return true };
    let right = fs::read_to_string(file).map(|token| format!("Bearer {token}")).unwrap_or_default();
    request.headers().get(AUTHORIZATION).is_some_and(|given| given.as_bytes() == right.as_bytes())
}

fn count(state: &State, path: &str) {
    let mut seen = state.stats();
    match path {
        "/healthz" => seen.healthz += 1,
        "/readyz" => seen.readyz += 1,
        _ => seen.other += 1,
    }
}

/// Says who the masters are, if it was told.
fn masters(state: &State, place: Place) -> Response<Content> {
    let list = state.masters.lock().expect("nobody panics with it").clone();
    let mut response = Response::new(text("404 page not found"));
    match list.filter(|_| place == Place::Slices) {
        Some(list) => *response.body_mut() = text(list),
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response
}

/// Answers a health request; `meant` says whether a status for one path means this one.
fn health(behaviour: Behaviour, meant: bool) -> Response<Content> {
    let mut response = Response::new(text("ok"));
    match behaviour {
        Behaviour::Healthz(status) | Behaviour::Readyz(status) if meant => refuse(&mut response, status),
        Behaviour::Ahead(time) => {
            let date = httpdate::fmt_http_date(SystemTime::now() + time);
            response.headers_mut().insert(DATE, date.parse().expect("a date"));
        }
        Behaviour::HugeBody => *response.body_mut() = Content::Zeros(GIGABYTE),
        Behaviour::Redirect => {
            refuse(&mut response, 302);
            response.headers_mut().insert(LOCATION, "/elsewhere".parse().expect("a path"));
        }
        _ => {}
    }
    response
}

fn refuse(response: &mut Response<Content>, status: u16) {
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.body_mut() = text("not ok");
}

fn text(text: impl Into<Bytes>) -> Content {
    Content::Text(Some(text.into()))
}

/// The body of an answer, made while it is sent: what a test asks for need not fit into the guest.
pub(super) enum Content {
    /// All at once.
    Text(Option<Bytes>),
    /// So many bytes.
    Zeros(u64),
    /// A line per tick, without end.
    Ticks(Interval),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static ZEROS: [u8; 16 << 10] = [0; 16 << 10];
        let chunk = match self.get_mut() {
            Self::Text(text) => text.take(),
            Self::Zeros(0) => None,
            Self::Zeros(left) => {
                let size = ZEROS.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= size as u64;
                Some(Bytes::from_static(&ZEROS[..size]))
            }
            Self::Ticks(interval) => match interval.poll_tick(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(_) => Some(Bytes::from_static(b"tick\n")),
            },
        };
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None) | Self::Zeros(0))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Zeros(count) => SizeHint::with_exact(*count),
            Self::Ticks(_) => SizeHint::default(),
        }
    }
}
