//! What lies between.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cluster::transport::ssh::Ssh;
use cluster::transport::{Error, Exit, Kind, Piece, Transport};
use tests::sshd::{Setup, SshLab};
use tests::wait::eventually;

use crate::stage::{LIMIT, as_root, connect, connected, host_keys};

/// Reads to the end of what a command says.
async fn end(output: &mut cluster::transport::Output) -> Exit {
    loop {
        if let Piece::Ended(exit) = output.next().await {
            return exit;
        }
    }
}

#[test]
fn a_cut_link_is_lost_and_what_ran_goes_on() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let target = as_root(&lab, &host);
    lab.run(|| async {
        let ssh = connected(&lab, &target).await;
        let mut process = ssh.exec("echo begun; sleep 3; touch /tmp/finished; echo done").await.unwrap();
        assert_eq!(process.output.next().await, Piece::Stdout("begun\n".into()));
        host.cut(lab.controller());
        let since = Instant::now();
        assert_eq!(tokio::time::timeout(LIMIT, end(&mut process.output)).await.unwrap(), Exit::Lost);
        println!("a cut link was noticed after {:.1} s", since.elapsed().as_secs_f64());
        assert!(matches!(ssh.exec("true").await, Err(Error::Lost)));
    });
    let file = host.path("/tmp/finished");
    eventually(LIMIT, "the end of what ran", || file.exists().then_some(()));
    host.mend(lab.controller());
    connect(&lab, &target).unwrap();
}

/// While a write waits nobody counts keepalives: the kernel must notice.
#[test]
fn a_link_that_is_cut_in_an_upload_is_lost_too() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let target = as_root(&lab, &host);
    lab.run(|| async {
        let ssh = connected(&lab, &target).await;
        let process = ssh.exec("cat >/dev/null").await.unwrap();
        let block = Bytes::from(vec![0_u8; 1 << 18]);
        for _ in 0..40 {
            process.input.write(block.clone()).await.unwrap();
        }
        host.cut(lab.controller());
        let since = Instant::now();
        let cluster::transport::Process { input, mut output } = process;
        let feed = async { while input.write(block.clone()).await.is_ok() {} };
        let lost = async { tokio::join!(feed, end(&mut output)).1 };
        assert_eq!(tokio::time::timeout(LIMIT, lost).await.unwrap(), Exit::Lost);
        println!("a link cut in an upload was noticed after {:.1} s", since.elapsed().as_secs_f64());
    });
}

#[test]
fn a_host_that_dies_is_lost() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let target = as_root(&lab, &host);
    lab.run(|| async {
        let ssh = connected(&lab, &target).await;
        let mut process = ssh.exec("sleep 1000").await.unwrap();
        drop(host);
        assert_eq!(tokio::time::timeout(LIMIT, end(&mut process.output)).await.unwrap(), Exit::Lost);
    });
}

/// A server that answers each connection in its own way, in the laboratory's network.
fn server(lab: &SshLab, behave: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> SocketAddr {
    let listener = lab.enter(|| TcpListener::bind("10.9.0.1:0")).unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            behave(&mut stream.unwrap());
        }
    });
    at
}

#[test]
fn whoever_is_no_ssh_server_is_told_as_such() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let refusal = |at: SocketAddr| {
        let mut target = as_root(&lab, &host);
        target.at = at;
        let error = connect(&lab, &target).unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable, "{error}");
        error.to_string()
    };
    let closes = server(&lab, |_| ());
    assert_eq!(
        refusal(closes),
        format!("cannot reach {closes}: it ends connections before it says who it is")
    );
    let talks = server(&lab, |stream| {
        let _ = stream.write_all(&b"\x1b]0;HTTP/1.1 400 Bad Request\r\n".repeat(100_000));
    });
    assert_eq!(refusal(talks), format!("cannot reach {talks}: what answers there is no SSH server"));
    let rubbish = server(&lab, |stream| {
        let _ =
            stream.write_all(b"SSH-2.0-rubbish\r\n").and_then(|()| stream.write_all(&vec![0xff; 100_000]));
        let _ = stream.read(&mut [0; 1000]);
    });
    assert!(refusal(rubbish).starts_with(&format!("cannot reach {rubbish}: ")));
    assert_eq!(
        refusal("10.9.0.1:1".parse().unwrap()),
        "cannot reach 10.9.0.1:1: Connection refused (os error 111)"
    );
}

#[test]
fn a_server_that_has_too_many_logins_is_tried_again() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    // The first three are reset, as by MaxStartups; then the real server is at the end of the line.
    let real = lab.enter(|| std::net::TcpStream::connect(host.at())).unwrap();
    drop(real);
    let count = std::sync::atomic::AtomicU32::new(0);
    let (at, controller) = (host.at(), lab.controller().clone());
    let busy = server(&lab, move |stream| {
        if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 3 {
            return;
        }
        let there = controller.enter(|| std::net::TcpStream::connect(at)).unwrap();
        let (mut from, mut to) = (stream.try_clone().unwrap(), there.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let (mut from, mut to) = (there, stream.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    });
    let mut target = as_root(&lab, &host);
    target.at = busy;
    connect(&lab, &target).unwrap();
}

#[test]
fn through_a_bastion() {
    let lab = SshLab::new();
    let bastion = lab.host(&Setup::default());
    let hosts = lab.hosts(3, &Setup::default());
    let door = as_root(&lab, &bastion);
    let said: Vec<Bytes> = lab.run(|| async {
        let files = host_keys(&lab);
        let bastion = Arc::new(Ssh::connect(&door, &files, None).await.unwrap());
        let mut said = Vec::new();
        for host in &hosts {
            let ssh = Ssh::connect(&as_root(&lab, host), &files, Some(&bastion)).await.unwrap();
            said.push(ssh.exec("uname -n").await.unwrap().finish("", LIMIT).await.unwrap().stdout);
        }
        // Where nobody listens the bastion says so.
        let mut nowhere = as_root(&lab, &hosts[0]);
        nowhere.at.set_port(1);
        let error = Ssh::connect(&nowhere, &files, Some(&bastion)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(error.to_string().contains("the bastion says"), "{error}");
        said
    });
    assert_eq!(said, ["host2\n", "host3\n", "host4\n"]);
    for host in &hosts {
        assert!(host.log().contains(&format!("from {} port", bastion.address)), "{}", host.log());
    }
    // And each is recorded under its own address.
    let text = std::fs::read_to_string(lab.home().join(".ssh/known_hosts")).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[test]
fn a_bastion_that_forbids_is_named() {
    let lab = SshLab::new();
    let bastion = lab.host(&Setup { config: "AllowTcpForwarding no".into(), ..Setup::default() });
    let host = lab.host(&Setup::default());
    let error = lab.run(|| async {
        let files = host_keys(&lab);
        let door = Arc::new(Ssh::connect(&as_root(&lab, &bastion), &files, None).await.unwrap());
        Ssh::connect(&as_root(&lab, &host), &files, Some(&door)).await.unwrap_err()
    });
    assert_eq!(error.to_string(), format!("cannot reach {}: the bastion says: it is forbidden", host.at()));
}

#[test]
fn twenty_hosts_at_once() {
    let lab = SshLab::new();
    let began = Instant::now();
    let hosts = lab.hosts(20, &Setup::default());
    println!("20 hosts were up after {:.1} s", began.elapsed().as_secs_f64());
    let targets: Vec<_> = hosts.iter().map(|host| as_root(&lab, host)).collect();
    let began = Instant::now();
    let said = lab.run(|| async {
        let files = host_keys(&lab);
        let mut tasks = tokio::task::JoinSet::new();
        for target in targets {
            let files = Arc::clone(&files);
            tasks.spawn(async move {
                let ssh = Ssh::connect(&target, &files, None).await.unwrap();
                ssh.exec("uname -n").await.unwrap().finish("", LIMIT).await.unwrap().stdout
            });
        }
        let mut said: Vec<Bytes> = tasks.join_all().await;
        said.sort();
        said
    });
    println!("20 logins with a command took {:.1} s", began.elapsed().as_secs_f64());
    let mut wanted: Vec<_> = (1..=20).map(|number| Bytes::from(format!("host{number}\n"))).collect();
    wanted.sort();
    assert_eq!(said, wanted);
}
