//! Many machines, from one: a connection to each, the program on it, and what is done with all of them.
//!
//! - [`inventory`]: which machines, by what a person typed. Pure.
//! - [`plan`]: what a cluster needs, phase by phase, out of what its hosts say. Pure.
//! - [`flow`]: a task on all of them. [`runner`]: how many at once, and what ends it.
//! - [`remote`]: root's rights on one host, what is run there, and files for it.
//! - [`fetch`](mod@fetch): a package from an HTTP server.
//! - [`template`]: texts with holes, as Go fills them; [`kubeadm`]: the one that makes a cluster. Pure.
//! - [`transport`]: a command on another machine, its streams and how it ended; over SSH.
//!
//! Nothing in `transport` knows Kubernetes. tokio is used here and nowhere below, on one thread.

pub mod fetch;
pub mod flow;
pub mod inventory;
pub mod kubeadm;
pub mod plan;
pub mod remote;
pub mod runner;
pub mod template;
pub mod transport;
