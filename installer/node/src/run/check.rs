//! Says all that is wrong with a machine before it is prepared and joined; changes nothing.

use lvscare::doctor::facts::Scope;

use crate::api::{CheckRequest, Failure, Outcome};
use crate::check;
use crate::facts::host::{self, Asked};
use crate::machine::Machine;
use crate::spec::{Role, Spec};

/// Answers the request.
pub fn run<M: Machine>(machine: &mut M, request: &CheckRequest) -> Result<Outcome, Failure> {
    let spec = Spec::new(&request.spec, |name| machine.lookup(name))?;
    let cri_socket = request.cri_socket.clone();
    let has_rules = request.role == Role::Worker;
    let asked = Asked { role: request.role, cri_socket, joins: true, has_rules, ..Asked::default() };
    let facts = host::gather(machine, &spec, &asked, Scope::Before { visits: request.visits })?;
    Ok(Outcome::Checked(check::all(&facts)))
}
