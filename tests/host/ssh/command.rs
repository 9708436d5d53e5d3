//! What a host does for us, and how that ends.

use std::time::Duration;

use bytes::Bytes;
use cluster::transport::ssh::Ssh;
use cluster::transport::{Error, Exit, Kind, Piece, Transport};
use tests::sshd::{Setup, SshLab, User};

use crate::stage::{LIMIT, as_root, connected, host_keys, run, with_password};

#[test]
fn streams_are_kept_apart_and_the_end_is_known() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let target = as_root(&lab, &host);
    let all = |command| run(&lab, &target, command).unwrap();
    assert_eq!(all("exit 0").exit, Exit::Code(0));
    assert_eq!(all("exit 255").exit, Exit::Code(255));
    assert_eq!(all("kill -KILL $$").exit, Exit::Signal("KILL".to_owned()));
    let large = all("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2");
    assert_eq!((large.stdout.len(), large.stderr.len()), (1 << 20, 1 << 20));
    assert_eq!(large.exit, Exit::Code(0));
}

#[test]
fn input_arrives_whole_and_has_an_end() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let input: Vec<u8> = (0..5_000_000_u32).map(|number| number.to_le_bytes()[number as usize % 4]).collect();
    let wanted = {
        let file = lab.home().join("input");
        std::fs::write(&file, &input).unwrap();
        lab.tool("sha256sum", &[&file.display().to_string()])[..64].to_owned()
    };
    let target = as_root(&lab, &host);
    let finished = lab.run(|| async {
        let ssh = Ssh::connect(&target, &host_keys(&lab), None).await?;
        ssh.exec("sha256sum").await?.finish(Bytes::from(input), LIMIT).await
    });
    assert_eq!(&finished.unwrap().stdout[..64], wanted.as_bytes());
}

#[test]
fn a_command_that_does_not_read_is_no_obstacle() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let target = as_root(&lab, &host);
    let finished = lab.run(|| async {
        let ssh = Ssh::connect(&target, &host_keys(&lab), None).await?;
        ssh.exec("exit 3").await?.finish(Bytes::from(vec![0; 20 << 20]), LIMIT).await
    });
    assert_eq!(finished.unwrap().exit, Exit::Code(3));
}

#[test]
fn two_at_a_time_on_one_connection() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let target = as_root(&lab, &host);
    lab.run(|| async {
        let ssh = connected(&lab, &target).await;
        let mut first = ssh.exec("cat").await.unwrap();
        let second = ssh.exec("echo second").await.unwrap().finish("", LIMIT).await.unwrap();
        assert_eq!(second.stdout, "second\n");
        first.input.write("first").await.unwrap();
        assert_eq!(first.output.next().await, Piece::Stdout("first".into()));
        drop(first.input);
        assert_eq!(first.output.next().await, Piece::Ended(Exit::Code(0)));
    });
    assert_eq!(host.log().matches("Accepted publickey").count(), 1, "{}", host.log());
}

#[test]
fn a_server_with_fewer_sessions_says_so() {
    let lab = SshLab::new();
    let host = lab.host(&Setup { config: "MaxSessions 1".into(), ..Setup::default() });
    let target = as_root(&lab, &host);
    let error = lab.run(|| async {
        let ssh = connected(&lab, &target).await;
        let _first = ssh.exec("cat").await.unwrap();
        ssh.exec("cat").await.unwrap_err()
    });
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.to_string().contains("MaxSessions"), "{error}");
}

#[test]
fn a_silent_command_has_a_limit() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let target = as_root(&lab, &host);
    let limit = Duration::from_secs(1);
    let error = lab.run(|| async {
        let ssh = connected(&lab, &target).await;
        ssh.exec("sleep 1000").await.unwrap().finish("", limit).await.unwrap_err()
    });
    assert!(matches!(error, Error::Silent { .. }), "{error}");
}

#[test]
fn a_restricted_shell_and_no_shell_at_all_end_with_a_code() {
    let lab = SshLab::new();
    let with_shell =
        |name: &str, shell: &str| User { shell: shell.to_owned(), ..User::new(name, "secret", "") };
    let users = vec![
        with_shell("tight", "/bin/rbash"),
        with_shell("none", "/bin/false"),
        with_shell("gone", "/bin/gone"),
    ];
    let host = lab.host(&Setup { users, ..Setup::default() });
    let tight = run(&lab, &with_password(&host, "tight", "secret"), "/bin/true").unwrap();
    assert_eq!(tight.exit, Exit::Code(1));
    assert!(String::from_utf8_lossy(&tight.stderr).contains("restricted"), "{tight:?}");
    let none = run(&lab, &with_password(&host, "none", "secret"), "true").unwrap();
    assert_eq!(none.exit, Exit::Code(1));
    // A shell that is not there is no user to OpenSSH.
    assert_eq!(run(&lab, &with_password(&host, "gone", "secret"), "true").unwrap_err().kind(), Kind::Login);
}

#[test]
fn banners_are_for_people() {
    let lab = SshLab::new();
    let banner = "\u{1b}[2J Authorised use only\n".repeat(2000).into_bytes();
    let files = vec![("etc/banner".to_owned(), 0o644, banner)];
    let host = lab.host(&Setup { config: "Banner /etc/banner".into(), files, ..Setup::default() });
    let finished = run(&lab, &as_root(&lab, &host), "echo yes").unwrap();
    assert_eq!((finished.stdout, finished.stderr), ("yes\n".into(), Bytes::new()));
}

#[test]
fn a_large_upload_survives_new_keys_by_both_sides() {
    let lab = SshLab::new();
    let host = lab.host(&Setup { config: "RekeyLimit 2M".into(), ..Setup::default() });
    let target = as_root(&lab, &host);
    let block = Bytes::from(vec![7_u8; 1 << 20]);
    let wanted = {
        let file = lab.home().join("input");
        std::fs::write(&file, block.repeat(64)).unwrap();
        lab.tool("sha256sum", &[&file.display().to_string()])[..64].to_owned()
    };
    let finished = lab.run(|| async {
        let ssh = connected(&lab, &target).await;
        let process = ssh.exec("sha256sum").await.unwrap();
        for _ in 0..64 {
            process.input.write(block.clone()).await.unwrap();
        }
        process.finish("", LIMIT).await
    });
    assert_eq!(&finished.unwrap().stdout[..64], wanted.as_bytes());
}
