//! Masters that a node learns from the API: the node's credentials, and what the laboratory's apiservers say of each
//! other.

use std::fs;
use std::net::SocketAddr;

use crate::lab::{Lab, Master};

/// Writes kubelet's kubeconfig, with a client certificate of the cluster's authority, and returns its path.
#[track_caller]
pub fn kubeconfig(lab: &Lab) -> String {
    let identity = lab.pki.node("n1").expect("a certificate");
    let [ca, certificate, key] =
        [lab.pki.ca(), identity.certificate, identity.key].map(|path| path.display().to_string());
    let path = lab.directory().join("kubelet.conf");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters:\n- name: c\n  cluster: {{server: 'https://nowhere.invalid:1', certificate-authority: {ca}}}\n\
         contexts:\n- name: here\n  context: {{cluster: c, user: u}}\n\
         users:\n- name: u\n  user: {{client-certificate: {certificate}, client-key: {key}}}\n"
    );
    fs::write(&path, text).expect("a directory of ours");
    path.display().to_string()
}

/// From now on every apiserver that runs says that these are the masters; `None`: it knows nothing of masters.
#[track_caller]
pub fn name(lab: &Lab, masters: Option<&[SocketAddr]>) {
    let running = lab.masters().iter().map(Master::control).filter(|control| control.answers());
    running.for_each(|control| control.name(masters));
}
