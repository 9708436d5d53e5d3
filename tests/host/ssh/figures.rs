//! What it costs. Printed, never asserted:
//! `cargo test -p tests --test ssh -- --ignored --nocapture --test-threads 1 figures`.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::transport::Transport;
use cluster::transport::ssh::Ssh;
use tests::sshd::{Setup, SshLab};

use crate::stage::{LIMIT, as_root, host_keys};

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// The most memory that this process has had.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned()
}

#[test]
#[ignore = "a measurement; it takes half a minute"]
fn a_login_and_a_command_on_many_hosts() {
    let lab = SshLab::new();
    let hosts = lab.hosts(50, &Setup::default());
    let targets: Vec<_> = hosts.iter().map(|host| as_root(&lab, host)).collect();
    for count in [1, 20, 50] {
        let times = (0..5).map(|_| {
            let began = Instant::now();
            lab.run(|| async {
                let files = host_keys(&lab);
                let mut tasks = tokio::task::JoinSet::new();
                for target in &targets[..count] {
                    let (target, files) = (target.clone(), Arc::clone(&files));
                    tasks.spawn(async move {
                        let ssh = Ssh::connect(&target, &files, None).await.unwrap();
                        ssh.exec("true").await.unwrap().finish("", LIMIT).await.unwrap();
                    });
                }
                tasks.join_all().await;
            });
            began.elapsed()
        });
        println!(
            "figures: login and command on {count} hosts, median of 5: {:.2} s",
            median(times.collect())
        );
    }
    println!("figures: {}", peak());
}
