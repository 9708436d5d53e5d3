//! What every test here needs: a laboratory, and ways to log in.

use std::sync::Arc;
use std::time::Duration;

use cluster::transport::auth::Credentials;
use cluster::transport::host_keys::HostKeys;
use cluster::transport::policy::Policy;
use cluster::transport::ssh::{Ssh, Target};
use cluster::transport::{Error, Finished, Transport, keys};
use tests::sshd::{Host, SshLab};

/// Generous: the machine may be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The `known_hosts` files of a laboratory.
pub(crate) fn host_keys(lab: &SshLab) -> Arc<HostKeys> {
    Arc::new(HostKeys {
        read: vec![lab.home().join("global_known_hosts")],
        write: lab.home().join(".ssh/known_hosts"),
    })
}

/// As root with the laboratory's key, whoever the host is.
pub(crate) fn as_root(lab: &SshLab, host: &Host) -> Target {
    let keys = vec![keys::load(&lab.key(), None).unwrap()];
    let credentials = Credentials { user: "root".to_owned(), keys, ..Credentials::default() };
    Target { at: host.at(), credentials, policy: Policy::AcceptNew }
}

/// With a password, whoever the host is.
pub(crate) fn with_password(host: &Host, user: &str, password: &str) -> Target {
    let password = Some(password.to_owned().into());
    let credentials = Credentials { user: user.to_owned(), password, ..Credentials::default() };
    Target { at: host.at(), credentials, policy: Policy::AcceptNew }
}

/// A connection of somebody who is let in.
pub(crate) async fn connected(lab: &SshLab, target: &Target) -> Ssh {
    Ssh::connect(target, &host_keys(lab), None).await.unwrap()
}

/// Logs in, and says good-bye.
pub(crate) fn connect(lab: &SshLab, target: &Target) -> Result<(), Error> {
    lab.run(|| async {
        let ssh = Ssh::connect(target, &host_keys(lab), None).await?;
        ssh.close().await;
        Ok(())
    })
}

/// Logs in and runs one command to its end.
pub(crate) fn run(lab: &SshLab, target: &Target, command: &'static str) -> Result<Finished, Error> {
    lab.run(|| async {
        let ssh = Ssh::connect(target, &host_keys(lab), None).await?;
        let finished = ssh.exec(command).await?.finish("", LIMIT).await;
        ssh.close().await;
        finished
    })
}
