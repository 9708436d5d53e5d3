//! A node that gives the daemon no processor time: the servers are not to blame, and yet what happens to them is noticed.
//!
//! `-- --nocapture` shows the measured times.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "measured times are worth a look")]

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::care::{Care, Eye, Film, LIMIT, connections, vip, wait_all_serve};
use tests::lab::Lab;
use tests::process::Process;

/// An emulated machine without processor time needs patience.
const LONG: Duration = Duration::from_secs(180);

/// One test at a time takes the processors away.
static ALONE: Mutex<()> = Mutex::new(());

/// Programs that take all the processor time there is, more urgent than anything else.
fn busy_loops(lab: &Lab, count: usize) -> Vec<Process> {
    let busy = ["nice", "-n", "-19", "sh", "-c", "while :; do :; done"];
    (0..count).map(|_| lab.node().spawn(&busy)).collect()
}

/// However late this node is, and however often: the servers are not to blame.
#[test]
fn a_node_without_processor_time_blames_nobody() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::new();
    let mut care = Care::judged(&lab, &[]);
    let open = connections(&lab, 60);
    let film = Film::start(lab.node(), vip());

    let busy = busy_loops(&lab, 8);
    thread::sleep(Duration::from_secs(40));
    drop(busy);
    // Stopped, and given a moment now and then.
    for millis in [300, 900, 1700, 1900, 2100, 2600, 3500, 6000] {
        care.process().signal(Signal::SIGSTOP);
        thread::sleep(Duration::from_millis(millis));
        care.process().signal(Signal::SIGCONT);
        thread::sleep(Duration::from_millis(200));
    }

    for (time, table) in film.stop() {
        let servers = table.unwrap_or_default();
        let whole = lab.addresses().iter().all(|server| servers.contains_key(server));
        assert!(whole, "{:?} ago: {servers:?}\n{}", time.elapsed(), care.log());
    }
    for (server, mut connection) in open {
        assert_eq!(connection.get("/", LIMIT).unwrap().body, server, "{}", care.log());
    }
    wait_all_serve(&lab);
    println!("{} verdicts", care.log().matches("real server is worse").count());
    assert!(!care.log().contains("to=dead"), "{}", care.log());
}

/// Its kernel keeps time: a host that has vanished is noticed all the same.
#[test]
fn a_node_without_processor_time_notices_a_vanished_host() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::new();
    let _care = Care::judged(&lab, &[]);
    let eye = Eye::open(lab.node());
    let busy = busy_loops(&lab, 4);
    thread::sleep(Duration::from_secs(2));
    let gone = lab.master(2);
    gone.link_down();
    let out = eye.time(LONG, "out", |eye| !eye.serves(vip(), gone.address()));
    let removed = eye.time(LONG, "removed", |eye| eye.weight(vip(), gone.address()).is_none());
    println!(
        "without processor time a vanished host has weight 0 after {out:.1?}, is out {removed:.1?} later"
    );
    drop(busy);
    gone.link_up();
    wait_all_serve(&lab);
}
