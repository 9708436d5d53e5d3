//! Do the apiservers answer? Asked as a client asks: TCP, TLS, `GET /healthz`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lvscare::doctor::facts::visit::{Caller, Visit};

use crate::api::{Failure, Kind};
use crate::machine::Machine;

/// Limit for one answer, of a master far away and busy.
pub const LIMIT: Duration = Duration::from_secs(3);

/// Times that the virtual server is asked, and the pause between: a master may die just now.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// Asks every one of `servers` directly.
pub fn directly<M: Machine>(
    machine: &mut M,
    servers: &[SocketAddr],
    vs: SocketAddr,
    name: &str,
) -> Result<Vec<Visit>, Failure> {
    if servers.is_empty() {
        return Ok(Vec::new());
    }
    machine.visit(servers, &caller(vs, name))
}

/// Those that gave no good answer, and why.
pub fn silent(visits: &[Visit]) -> BTreeMap<SocketAddr, String> {
    visits.iter().filter_map(|visit| Some((visit.address, trouble(visit)?))).collect()
}

/// Those of `asked` that gave no good answer, and why; that none did is an error, with a way out.
pub fn some_answer(visits: &[Visit], way_out: &str) -> Result<BTreeMap<SocketAddr, String>, Failure> {
    let silent = silent(visits);
    if silent.len() < visits.len() {
        return Ok(silent);
    }
    let each: Vec<_> = silent.iter().map(|(server, why)| format!("{server}: {why}")).collect();
    Err(Failure::new(
        Kind::Unreachable,
        format!("no apiserver answers ({}); nothing was changed; mend that first{way_out}", each.join("; ")),
    ))
}

/// Asks through the virtual server.
pub fn through<M: Machine>(machine: &mut M, vs: SocketAddr, name: &str) -> Result<(), Failure> {
    let mut why = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            machine.sleep(PAUSE);
        }
        match machine.visit(&[vs], &caller(vs, name))?.first().map(trouble) {
            Some(None) => return Ok(()),
            Some(Some(trouble)) => why = trouble,
            None => {}
        }
    }
    Err(Failure::new(
        Kind::NotVerified,
        format!(
            "the apiservers answer directly, but not through the virtual server {vs}: {why}; see `lvscare doctor`, \
             or take the changes back with `lvscare-installer node undo`"
        ),
    ))
}

fn caller(vs: SocketAddr, name: &str) -> Caller {
    Caller { vip: vs.ip(), name: name.to_owned(), limit: LIMIT, authority: None }
}

/// What is wrong with an answer.
fn trouble(visit: &Visit) -> Option<String> {
    match &visit.answer {
        Ok(answer) if answer.is_alive() => None,
        Ok(answer) => Some(format!("/healthz says HTTP {}", answer.status)),
        Err(why) => Some(why.clone()),
    }
}
