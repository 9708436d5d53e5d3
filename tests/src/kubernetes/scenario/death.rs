//! The apiserver that kubelet is connected to dies, in every way, and comes back.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::master::Death;
use super::super::network::MASTERS;
use super::super::patiently;
use super::{LIMIT, Laboratory, say, seconds};

/// The time between two renewals of kubelet's Lease may become so long; without us it is 30 s.
const GAP: Duration = Duration::from_secs(15);

/// kubelet renews every ten seconds, and what happens shortly before is worst for it.
const WORST: Duration = Duration::from_secs(8);

fn follow(lab: &mut Laboratory, death: Death) {
    let all: Vec<u8> = (1..=MASTERS).collect();
    lab.wait_table(&all);
    lab.leases.wait(1, LIMIT);
    let lost = lab.kubelets_master();
    let left: Vec<u8> = all.iter().copied().filter(|number| *number != lost).collect();
    sleep(WORST);

    let (began, renewals) = (Instant::now(), lab.leases.count());
    lab.cluster.masters[usize::from(lost) - 1].strike(death);
    let out = lab.wait_table(&left);
    patiently(LIMIT, "kubelet renews its Lease", || (lab.leases.count() >= renewals + 2).then_some(()));
    let gap = lab.leases.longest_gap(began);
    assert_ne!(lab.kubelets_master(), lost);

    let back = Instant::now();
    lab.cluster.masters[usize::from(lost) - 1].repair(death);
    lab.cluster.wait_ready(lost);
    let ready = back.elapsed();
    let returned = lab.wait_table(&all);
    say(
        &format!("{death}"),
        &format!(
            "out of the table after {}, longest gap between Lease renewals {}; ready again after {}, back in the table \
             {} later",
            seconds(out),
            seconds(gap),
            seconds(ready),
            seconds(returned)
        ),
    );
    assert!(gap <= GAP, "{death}: {gap:?}");
}

/// The apiserver that kubelet is connected to dies in every way, and kubelet's probes of the static pod stay green all the time.
pub fn follow_all(lab: &mut Laboratory) {
    let before = lab.restarts();
    assert!(before.is_some(), "no pod");
    for death in Death::ALL {
        follow(lab, death);
    }
    lab.wait_pod_ready();
    assert_eq!(lab.restarts(), before);
    say("probes of the static pod", "ready, not restarted once");
}
