//! lvscare keeps every Kubernetes node connected to its apiservers with the kernel's own load balancer, IPVS.
//!
//! ```text
//!   apiservers ◄──probe── checker ──verdict──► table ──► applier ──change──► kernel ──netlink──► IPVS, route
//!                            │                             │
//!                         machine (pure)            pool, reconcile (pure)
//! ```
//!
//! # A tour
//!
//! Whatever is typed is parsed by [`cli`] and done by [`commands`], one file per command. What was asked for becomes a
//! [`config`], which is valid by construction; [`preflight`] says whether it is possible on this node.
//!
//! `lvscare care` hands it to `daemon`, which builds every part, joins them, and waits for a signal. One task per
//! apiserver ([`checker`]) asks it ([`probe`]) and lets [`health::machine`] judge the answers; the verdicts meet in a table
//! ([`health::HealthTable`]). The
//! `applier` reads that table and the kernel, lets [`health::pool`] decide who serves and [`desired`] what should be there,
//! and [`reconcile`] what must change. It alone changes the [`kernel`], by netlink: [`kernel::ipvs`] has the table,
//! [`kernel::route`] the local route, and the wire types of IPVS are in [`ipvs`], a crate in waiting. `reload` notices that
//! the file has changed, `drain` that an administrator has taken a server out, and [`discover`] asks the API itself who the
//! masters are.
//!
//! Whoever wants to know how it goes asks `server`, the daemon's own endpoint, as [`client`] does: [`status`] for people and
//! programs, [`metrics`] for Prometheus; `notify` tells systemd. [`doctor`] finds and explains what is wrong with a node, with
//! or without a daemon, and changes nothing. `oneshot` are the commands that change the kernel and end, `survey` finds
//! what lvscare made, now or before, `takeover` says what somebody else's virtual server would lose, and `rivals` meets
//! another lvscare on the same node.
//!
//! Strangers are met in few places: [`http`] is hyper's client with limits, [`question`] asks the API once, `files` and [`yaml`] read what others have
//! written, [`terminal`] shows what they say, `tls` trusts whom it is told to, [`certificate`] reads theirs.
//!
//! # Rules
//!
//! Decisions are pure: no clock, no I/O, time and chance are passed in. [`model`] has their words. Arrows point one way:
//! `main > commands > daemon > {applier, health, server} > {reconcile, kernel} > {model, ipvs, netlink}`.
//!
//! What is public is what the installer and the tests use; the compiler finds what nobody uses of the rest.

// `panic = "abort"`: a panic ends the guard of the rules, so nothing may panic, and one thread does everything, so
// nothing may wait. Arithmetic is watched where strangers choose the numbers.
#![cfg_attr(
    not(test),
    warn(
        clippy::disallowed_methods,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable
    )
)]

pub mod certificate;
pub mod checker;
pub mod cli;
pub mod client;
pub mod commands;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod config;
pub mod desired;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod discover;
pub mod doctor;
pub mod exit;
pub mod health;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod http;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod ipvs;
pub mod kernel;
pub mod metrics;
pub mod model;
pub mod preflight;
pub mod probe;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod question;
pub mod reconcile;
pub mod status;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod terminal;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod yaml;

mod active_config;
mod applier;
mod daemon;
mod drain;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
mod files;
mod jitter;
mod log_throttle;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
mod netlink;
mod notify;
mod oneshot;
mod place;
mod reload;
mod retry;
mod rivals;
mod runtime;
mod server;
mod survey;
mod takeover;
mod timer;
mod tls;
