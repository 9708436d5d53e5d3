//! One machine: what it takes to make it a node of a highly available cluster, and the way back.
//!
//! A join hangs without a way to the apiservers, and the daemon that keeps that way is a static pod, which needs the
//! kubelet that the join starts. So the rules are made first, with the daemon's own code, and the pod is left for later.
//!
//! There is one way in, [`run()`]: a [`api::Request`] on a [`machine::Machine`], told in [`api::Event`]s, ends with an
//! [`api::Outcome`] or an [`api::Failure`]. All of these can be sent elsewhere as JSON.
//!
//! ```text
//!   Request ──[`spec`]──► what was asked for ──► DesiredNode ─┐
//!                                                             ├─[`plan`], pure─► steps ──► journal, then the machine
//!   the machine ──[`facts`]──► what there is ─────────────────┘                              │
//!                                                             undo ◄─────────────────────────┘
//! ```
//!
//! - [`api`]: what goes in and comes out, or why something ended early ([`failure`]). [`spec`]: what can be asked for, each
//!   value valid on its own.
//! - [`run`](mod@run): one file per request, the order of the work as it reads.
//! - [`desired`]: what a machine shall have. [`plan`], [`check`]: pure decisions. [`facts`]: all that looks.
//! - [`render`]: pure bytes, for hosts file, static pod and kubeadm.
//! - [`journal`]: how things were. [`step`]: how they are changed.
//! - [`package`]: what a node without a network gets instead; an archive that strangers have made.
//! - [`machine`]: the one place where a machine is touched; `fake` is one in memory, which refuses as the real one does.
//! - [`agent`]: requests in and events out as lines, for a controller elsewhere; tasks that outlive the link to it.
//!
//! Arrows point one way: `agent > run > {plan, check} > facts > {desired, journal, render} > machine > package > api >
//! {spec, step} > {failure, paths}`, never back (`tests/arrows.rs`).
//! Nothing here prints, reads arguments or knows of another machine.

pub mod agent;
pub mod api;
pub mod check;
pub mod date;
pub mod desired;
pub mod facts;
pub mod failure;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod journal;
pub mod machine;
pub mod package;
pub mod paths;
pub mod pki;
pub mod plan;
pub mod render;
pub mod run;
pub mod spec;
pub mod step;

pub use run::run;
