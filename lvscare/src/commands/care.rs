//! `lvscare care`: the daemon, or its rules once.

use std::io::{self, IsTerminal};

use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::{say, tell};
use crate::active_config::ActiveConfig;
use crate::config::raw::CareArgs;
use crate::config::value::LogFormat;
use crate::config::{Config, Logging};
use crate::exit::{Exit, Failure};
use crate::kernel::Linux;
use crate::reload::Watched;
use crate::{daemon, oneshot, rivals};

/// Guards the rules until somebody ends it, or makes them and ends.
pub(super) fn run(args: CareArgs) -> Result<(), Failure> {
    log_to_stderr(&Logging::load(&args.config)?);
    for flag in args.ignored.given() {
        tracing::warn!(
            "{flag} has no meaning any more and is ignored; route and source address need no help"
        );
    }
    let (file, active) = Watched::reading(args.config.file.clone(), || ActiveConfig::load(&args.config))?;
    for service in &active.config.services {
        if !service.scheduler.heeds_weights() && service.servers.iter().any(|server| server.weight != 1) {
            tracing::warn!("scheduler {} does not heed weights; use --scheduler wrr", service.scheduler);
        }
    }
    let mut kernel = Linux::open()?;
    if args.run_once {
        let drained = active.follow_drained().drained;
        return run_once(&mut kernel, &drained.without(&active.config), args.force);
    }
    daemon::run(args.config, active, file, kernel, args.force)
}

fn run_once(kernel: &mut Linux, config: &Config, forced: bool) -> Result<(), Failure> {
    let preview = oneshot::preview(kernel, config)?;
    if !forced && !preview.changes.is_empty() {
        rivals::refuse(&rivals::find(&config.addresses(), config.listen)?)?;
    }
    for (at, what) in &preview.taken_over {
        if !forced {
            return Err(Failure::new(
                Exit::Foreign,
                format!(
                    "{at} is there and not known to be lvscare's: {what}; choose another --vs, or replace it with --force"
                ),
            ));
        }
        say(&format!("replace what was at {at}: {what}"))?;
    }
    tell(&oneshot::build(kernel, config)?, "nothing to change; route and rules are in place")
}

fn log_to_stderr(logging: &Logging) {
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let layer = match logging.format {
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(logging.targets.clone())).init();
}
