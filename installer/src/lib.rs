//! lvscare's installer: everything a node needs before `kubeadm join`, and the way back.
//!
//! A join hangs without a way to the apiservers, and the daemon that keeps that way is a static pod, which needs the
//! kubelet that the join starts. So the installer makes the rules first, with the daemon's own code, and leaves the
//! pod for later.
//!
//! # Pure
//!
//! - [`hosts`]: the hosts file, edited without touching a byte of anybody else's.
//! - [`pod`]: the static pod. [`kubernetes`]: what differs between its versions, and how kubeadm is told to join.
//! - [`spec`]: what was asked for, checked as a whole. [`masters`]: how masters are typed.
//! - [`yaml`]: printed so that the same value gives the same bytes.
//!
//! # One node
//!
//! - [`check`]: can this be a node? All that is wrong, at once. [`node`]: plan, do, note, undo.
//! - [`reach`]: do the apiservers answer? [`image`]: is the image there? [`kubeadm`]: the stock one. [`kubelet`]: has the
//!   node joined?
//! - [`files`]: written whole or not at all. [`lock`]: one run at a time. [`wait`]: bounded.
//!
//! # At the shell
//!
//! - [`cli`]: what can be typed. [`show`], [`things`]: what is answered.
//!
//! Arrows point one way: `main > commands > {check, node} > {cli, hosts, pod, reach, files} > lvscare`, never back.

pub mod check;
pub mod cli;
pub mod files;
pub mod hosts;
pub mod image;
pub mod kubeadm;
pub mod kubelet;
pub mod kubernetes;
pub mod lock;
pub mod masters;
pub mod node;
pub mod pod;
pub mod reach;
pub mod show;
pub mod spec;
pub mod things;
pub mod wait;
pub mod yaml;
