//! lvscare keeps every Kubernetes node connected to its apiservers with the kernel's own load balancer, IPVS.
//!
//! ```text
//!   apiservers ◄──probe── checker ──verdict──► board ──► applier ──change──► kernel ──netlink──► IPVS, route
//!                            │                             │
//!                         machine (pure)            pool, reconcile (pure)
//! ```
//!
//! # Pure decisions
//!
//! No clock, no I/O; time is passed in. Everything worth arguing about is here.
//!
//! - [`model`]: the words of the data path (virtual server, real server, change).
//! - [`health`]: [`health::machine`] judges one server, [`health::pool`] decides who serves.
//! - [`desired`], [`reconcile`]: what should be there, and the steps towards it.
//! - [`config`], [`preflight`]: what was asked for, valid by construction, possible on this node.
//! - [`survey`]: what lvscare made, now or before, found without being told.
//! - [`takeover`]: what a virtual server loses that somebody else has made.
//! - [`ipvs`]: the wire types of the kernel's generic-netlink family; a crate in waiting.
//! - [`exit`]: the exit codes; [`repeats`]: what not to log again; [`jitter`]: not all at once.
//!
//! # Talking to the world
//!
//! - [`netlink`]: one blocking request function. [`kernel`]: the only modules that change the kernel.
//! - [`http`]: hyper's client with limits, for whoever answers.
//! - [`discover`]: who the masters are, as the API says; what counts is decided by [`discover::accept`], pure.
//! - [`files`], [`yaml`]: reading what others have written. [`terminal`]: showing what they say.
//! - [`runtime`]: where everything that waits does so. [`tls`]: whom a client trusts; [`certificate`]: what a server's certificate says.
//! - [`health::probe`]: one server asked over one held connection.
//! - [`server`]: this daemon's own endpoint; [`client`] asks it; [`status`]: what is said there.
//!
//! # Joining the parts
//!
//! - [`health::checker`] and [`applier`] are the two kinds of task, [`daemon`] joins them.
//! - [`job`]: what they are to do; [`reload`] notices that this has changed.
//! - [`drain`]: whom an administrator has taken out of service; [`commands`]: how that is done.
//! - [`notify`]: telling systemd how it goes.
//! - [`metrics`]: what is counted on the way, for Prometheus. [`timer`]: when to wake for what can wait.
//! - [`doctor`]: finds and explains what is wrong with a node. Changes nothing.
//! - [`rivals`]: another lvscare on the same node; [`place`]: where a process belongs.
//! - [`once`]: the commands that change the kernel and end. [`cli`]: what can be typed.
//!
//! Arrows point one way: `main > daemon > {applier, checker, server} > {reconcile, health, kernel} >
//! {model, ipvs, netlink}`.

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

pub mod applier;
pub mod certificate;
pub mod cli;
pub mod client;
pub mod commands;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod config;
pub mod daemon;
pub mod desired;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod discover;
pub mod doctor;
pub mod drain;
pub mod exit;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod files;
pub mod health;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod http;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod ipvs;
pub mod jitter;
pub mod job;
pub mod kernel;
pub mod metrics;
pub mod model;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod netlink;
pub mod notify;
pub mod once;
pub mod place;
pub mod preflight;
pub mod reconcile;
pub mod reload;
pub mod repeats;
pub mod rivals;
pub mod runtime;
pub mod server;
pub mod status;
pub mod survey;
pub mod takeover;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod terminal;
pub mod timer;
pub mod tls;
#[cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
pub mod yaml;
