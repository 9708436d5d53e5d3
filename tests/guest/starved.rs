//! A node that gives the daemon no processor time: the servers are not to blame. That what happens to them is noticed all the
//! same depends on which question is late: `lvscare/src/health/checker/tests.rs` has every other one.
//!
//! `-- --nocapture` shows the measured times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::daemon::{Daemon, LIMIT, TableRecorder, connections, vip, wait_all_serve};
use tests::lab::Lab;
use tests::process::Process;

/// Programs that take all the processor time there is, more urgent than anything else.
fn busy_loops(lab: &Lab, count: usize) -> Vec<Process> {
    let busy = ["nice", "-n", "-19", "sh", "-c", "while :; do :; done"];
    (0..count).map(|_| lab.node().spawn(&busy)).collect()
}

/// However late this node is, and however often: the servers are not to blame.
#[test]
fn a_node_without_processor_time_blames_nobody() {
    let lab = Lab::new();
    let mut daemon = Daemon::judged(&lab, &[]);
    let open = connections(&lab, 60);
    let recorder = TableRecorder::start(lab.node(), vip());

    let busy = busy_loops(&lab, 8);
    thread::sleep(Duration::from_secs(40));
    drop(busy);
    // Stopped, and given a moment now and then.
    for millis in [300, 900, 1700, 1900, 2100, 2600, 3500, 6000] {
        daemon.process().signal(Signal::SIGSTOP);
        thread::sleep(Duration::from_millis(millis));
        daemon.process().signal(Signal::SIGCONT);
        thread::sleep(Duration::from_millis(200));
    }

    for (time, table) in recorder.stop() {
        let servers = table.unwrap_or_default();
        let whole = lab.addresses().iter().all(|server| servers.contains_key(server));
        assert!(whole, "{:?} ago: {servers:?}\n{}", time.elapsed(), daemon.log());
    }
    for (server, mut connection) in open {
        assert_eq!(connection.get("/", LIMIT).unwrap().body, server, "{}", daemon.log());
    }
    wait_all_serve(&lab);
    println!("{} verdicts", daemon.log().matches("real server is worse").count());
    assert!(!daemon.log().contains("to=dead"), "{}", daemon.log());
}
