//! The commands that change the kernel once and end: `care --run-once` and `clean`.

use std::net::SocketAddr;

use crate::config::Config;
use crate::desired::{self, Sources, no_source};
use crate::exit::{Exit, Failure};
use crate::kernel::{Error, Kernel};
use crate::model::{Change, Desired};
use crate::reconcile::plan;
use crate::takeover;

#[cfg(test)]
mod tests;

/// Attempts when somebody else changes the same objects at the same time.
const ATTEMPTS: usize = 5;

/// What a command would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preview {
    /// The changes.
    pub changes: Vec<Change>,
    /// Virtual servers that lvscare has not made and that would lose something, each with what it has.
    pub taken_over: Vec<(SocketAddr, String)>,
}

/// Says what [`build`] would do.
pub(crate) fn preview(kernel: &mut impl Kernel, config: &Config) -> Result<Preview, Failure> {
    let desired = everything(kernel, config)?;
    let actual = kernel.read(&config.addresses())?;
    let ours = kernel.survey()?.routes;
    let services = desired.services.iter().filter_map(|(at, wanted)| Some((at, wanted.as_ref()?)));
    let taken_over = services.filter(|(at, _)| !ours.contains_key(&at.ip())).filter_map(|(&at, wanted)| {
        let seen = actual.services.get(&at)?;
        takeover::loses(seen, wanted).then(|| (at, takeover::describe(seen)))
    });
    Ok(Preview { taken_over: taken_over.collect(), changes: plan(&desired, &actual) })
}

/// Makes route and rules with every configured server. Returns what was changed, nothing on a second run.
pub(crate) fn build(kernel: &mut impl Kernel, config: &Config) -> Result<Vec<Change>, Failure> {
    let desired = everything(kernel, config)?;
    converge(kernel, &config.addresses(), &desired)
}

fn everything(kernel: &mut impl Kernel, config: &Config) -> Result<Desired, Failure> {
    let mut sources = Sources::new();
    for service in &config.services {
        let vip = service.at.ip();
        let source = match config.node_ip {
            Some(node_ip) => Some(node_ip),
            None => kernel.source_towards_any(service.hosts())?,
        };
        sources.insert(vip, source.ok_or_else(|| Failure::new(Exit::Failed, no_source(vip)))?);
    }
    Ok(desired::everything(config, &sources))
}

/// Says what [`clean`] would do.
pub(crate) fn preview_clean(
    kernel: &mut impl Kernel,
    services: &[SocketAddr],
) -> Result<Vec<Change>, Failure> {
    let desired = desired::nothing(services, &kernel.survey()?);
    Ok(plan(&desired, &kernel.read(services)?))
}

/// Removes the virtual servers at `services` and our routes to them, apart from those that another virtual server
/// needs. Returns what was changed.
pub(crate) fn clean(kernel: &mut impl Kernel, services: &[SocketAddr]) -> Result<Vec<Change>, Failure> {
    let desired = desired::nothing(services, &kernel.survey()?);
    converge(kernel, services, &desired)
}

fn converge(
    kernel: &mut impl Kernel,
    services: &[SocketAddr],
    desired: &Desired,
) -> Result<Vec<Change>, Failure> {
    let mut done = Vec::new();
    for _ in 0..ATTEMPTS {
        let changes = plan(desired, &kernel.read(services)?);
        if changes.is_empty() {
            return Ok(done);
        }
        for change in changes {
            match kernel.apply(&change) {
                Ok(()) => done.push(change),
                Err(Error::Raced(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Err(Failure::new(Exit::Failed, "somebody else keeps changing the same rules; stop that first"))
}
