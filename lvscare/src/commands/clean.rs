//! `lvscare clean`, and `lvscare care --clean`, which is the same.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::tell;
use crate::cli::CleanArgs;
use crate::config::raw::{CareArgs, File};
use crate::exit::Failure;
use crate::kernel::{Kernel, Linux};
use crate::survey::LeftBehind;
use crate::{oneshot, rivals};

/// Where a daemon listens that is not told otherwise.
const DEFAULT_LISTEN: Option<SocketAddr> =
    Some(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10261)));

const NOTHING: &str = "nothing to remove";

/// The virtual servers of a configuration.
pub(super) fn instead_of_care(args: &CareArgs) -> Result<(), Failure> {
    let listen = args.config.operation.listen.map_or(DEFAULT_LISTEN, |listen| listen.0);
    let targets = args.config.targets()?;
    clean(&mut Linux::open()?, &targets, listen, args.force)
}

/// Those that were named, or all that are ours.
pub(super) fn run(args: &CleanArgs) -> Result<(), Failure> {
    // What was typed is judged before the kernel is asked for anything.
    let told = match &args.file {
        Some(file) => File::read(file)?.addresses(),
        None => vec![args.target.vs],
    };
    let mut kernel = Linux::open()?;
    let targets = if args.all {
        let left = kernel.survey()?.left_behind(&[]);
        left.into_iter().map(LeftBehind::target).collect()
    } else {
        told
    };
    if args.dry_run {
        let changes = oneshot::preview_clean(&mut kernel, &targets)?;
        return tell(changes.iter().map(|change| format!("would {change}")), NOTHING);
    }
    clean(&mut kernel, &targets, args.listen.0, args.force)
}

fn clean(
    kernel: &mut Linux,
    services: &[SocketAddr],
    listen: Option<SocketAddr>,
    forced: bool,
) -> Result<(), Failure> {
    if !forced {
        rivals::refuse(&rivals::find(services, listen)?)?;
    }
    tell(&oneshot::clean(kernel, services)?, NOTHING)
}
