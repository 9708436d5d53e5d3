//! The test laboratory: everything that needs more than one module of the product, or a kernel to break.
//!
//! ```text
//! pki, apiserver     what stands behind a virtual server: certificates and servers that fail on demand
//! netns, process     what keeps a laboratory's parts apart, and gone when a test ends
//! lab                a node, three masters and a pod inside one kernel
//! api                what the Kubernetes API says of its masters, and every way not to; masters, the same in the
//!                    laboratory
//! daemon             the product in that laboratory; configuration, its file; prepared, a node for the installer
//! stub               a kubeadm of any version, and what it was told
//! sshd               hosts with a real OpenSSH server; terminal, a program and somebody who types
//! web                a plain HTTP service, for virtual servers that are no apiservers
//! client, kubelet    what clients of the virtual server see; load, many of them; refusal, clients in vain
//! wait               which every test needs
//! kubernetes         real apiservers, a real kubelet: `make test-kubernetes`
//! sbom               what a release is made of, for `make dist`
//! vm                 the kernel, if the host's own will not do
//! ```
//!
//! Everything a test calls panics instead of returning errors: a panic points at the line of the test.

#![allow(clippy::expect_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "libtest shows it when a test fails")]

pub mod api;
pub mod apiserver;
pub mod bench;
pub mod client;
pub mod configuration;
pub mod daemon;
pub mod kubelet;
pub mod kubernetes;
pub mod lab;
pub mod load;
pub mod masters;
pub mod netns;
pub mod pki;
pub mod prepared;
pub mod process;
pub mod program;
pub mod refusal;
pub mod sbom;
pub mod sshd;
pub mod stub;
pub mod terminal;
pub mod vm;
pub mod wait;
pub mod web;
