//! What differs between versions of Kubernetes, and how kubeadm is told to join. Pure.
//!
//! - [`version`]: the versions, and what kubeadm of each wants.
//! - [`words`]: tokens, hashes and keys as kubeadm takes them; what is secret never gets into a message.
//! - [`join`]: the `JoinConfiguration`.

pub mod join;
pub mod version;
pub mod words;
