//! Files of a node, as bytes. Pure: the same value always gives the same bytes.
//!
//! - [`hosts`]: the hosts file, edited without touching a byte of anybody else's.
//! - [`pod`]: the static pod. [`init`], [`join`]: how kubeadm is told to make a cluster and to join it, in the words of its
//!   version; what both say alike is in `kubeadm`. [`manifest`]: static pods of others, and [`former`], those of older
//!   lvscares, read but never written.
//! - [`mod@etcd`]: how a snapshot of etcd is restored, in commands for people.
//! - [`yaml`]: printed as Kubernetes reads it.

pub mod etcd;
pub mod former;
pub mod hosts;
pub mod init;
pub mod join;
mod kubeadm;
pub mod kubelet;
pub mod manifest;
pub mod pod;
pub mod yaml;
