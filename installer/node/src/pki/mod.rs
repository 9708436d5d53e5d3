//! The certificates of a cluster, as they lie on one of its machines, and later ends for them.
//!
//! A certificate is *reissued*: same key, same names, same usages, every extension as it was, signed anew by the key of
//! its authority. So whatever trusts it today trusts it afterwards, kubeadm finds what it would have made itself, and no
//! apiserver is needed for it, which an expired cluster does not have.
//!
//! - [`pem`], [`certificate`], [`key`], [`kubeconfig`]: what files say, whoever wrote them. [`reissue`](mod@reissue): one
//!   certificate. [`table`]: what is wrong with all of them. [`plan`]: which files change. All of it pure.
//! - [`find`]: which files there are.

pub mod certificate;
pub mod find;
pub mod key;
pub mod kubeconfig;
pub mod pem;
pub mod plan;
pub mod reissue;
pub mod table;

#[cfg(test)]
mod tests;
