//! What it costs. Printed, never asserted:
//! `cargo test -p installer --test remote -- --ignored --nocapture --test-threads 1 figures`.
//! `INSTALLER=PATH` measures that program instead of the one that was just built.

use std::time::Instant;

use super::*;

/// What a program took.
struct Cost {
    seconds: f64,
    processor_seconds: f64,
    peak_mib: f64,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs a program to its end, and looks at it all the time.
fn measure(lab: &SshLab, command: &mut Command) -> Cost {
    let began = Instant::now();
    let mut process = lab.enter(|| Process::spawn(command)).unwrap();
    let directory = PathBuf::from(format!("/proc/{}", process.id()));
    let (mut peak, mut ticks) = (0.0_f64, 0.0_f64);
    let status = loop {
        // A process that has ended and was not waited for still tells its processor time.
        let stat = fs::read_to_string(directory.join("stat")).unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let used: f64 =
            [11, 12, 13, 14].iter().filter_map(|place| fields.get(*place)?.parse::<f64>().ok()).sum();
        ticks = ticks.max(used);
        let status = fs::read_to_string(directory.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(kib.unwrap_or_default());
        if fields.first() == Some(&"Z") {
            break process.wait(LIMIT);
        }
        thread::sleep(Duration::from_millis(2));
    };
    let seconds = began.elapsed().as_secs_f64();
    assert!(status.success(), "{status}: {}", process.log());
    Cost { seconds, processor_seconds: ticks / 100.0, peak_mib: peak / 1024.0 }
}

fn installer() -> String {
    std::env::var("INSTALLER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_lvscare-installer").to_owned())
}

/// The program, logging in with the laboratory's key.
fn ours(lab: &SshLab, words: &[&str]) -> Command {
    let mut command = Command::new(installer());
    command.arg(words[0]).arg("--log-dir").arg(lab.home().join("logs"));
    command.arg("--pk").arg(lab.key()).args(&words[1..]);
    command.env("HOME", lab.home()).env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
    command
}

fn known(lab: &SshLab, hosts: &[Host]) -> PathBuf {
    let path = lab.home().join(".ssh/known_hosts");
    fs::write(&path, hosts.iter().map(Host::known_hosts).collect::<String>()).unwrap();
    path
}

#[test]
#[ignore = "a measurement; it takes minutes"]
fn figures_of_many_hosts() {
    let lab = SshLab::new();
    let hosts = lab.hosts(50, &Setup::default());
    known(&lab, &hosts);
    for count in [1, 20, 50] {
        let range = format!("10.9.1.1-10.9.1.{count}");
        let prepare = ["prepare", "--dry-run", "--master", "10.0.0.1-10.0.0.3", "--vip", "10.103.97.9"];
        let prepare = [&prepare[..], &["--skip", "checks,modules,sysctl,rules,reach"]].concat();
        for (name, words) in
            [("ping", vec!["ping"]), ("status", vec!["status"]), ("prepare --dry-run", prepare)]
        {
            let words = [&words[..], &["--node", &range]].concat();
            let costs: Vec<_> = (0..5).map(|_| measure(&lab, &mut ours(&lab, &words))).collect();
            let of = |part: fn(&Cost) -> f64| median(costs.iter().map(part).collect());
            println!(
                "figures: {name} on {count} hosts, median of 5: {:.2} s, {:.2} s of processor, {:.1} MiB",
                of(|cost| cost.seconds),
                of(|cost| cost.processor_seconds),
                of(|cost| cost.peak_mib)
            );
        }
    }
}

#[test]
#[ignore = "a measurement; it takes minutes"]
fn figures_of_a_large_file_beside_scp() {
    const SIZE: u64 = 400 << 20;
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let known = known(&lab, std::slice::from_ref(&host));
    let file = lab.home().join("large");
    let random = fs::File::open("/dev/urandom").unwrap();
    std::io::copy(&mut std::io::Read::take(random, SIZE), &mut fs::File::create(&file).unwrap()).unwrap();
    let file = file.display().to_string();
    let (mut costs, mut scps) = (Vec::new(), Vec::new());
    // In turn, so that whatever else the machine does is the same for both.
    for _ in 0..5 {
        host.check(&["rm", "-f", "/root/large"]);
        costs.push(measure(&lab, &mut ours(&lab, &["copy", "--host", FINE, &file, "/root/large"])));
        host.check(&["rm", "-f", "/root/large"]);
        let mut scp = Command::new("scp");
        scp.args(["-q", "-F", "/dev/null", "-i"]).arg(lab.key());
        scp.arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        scp.args(["-o", "BatchMode=yes", &file, &format!("root@{FINE}:/root/large")]);
        scps.push(measure(&lab, &mut scp));
    }
    for (name, costs) in [("copy", costs), ("scp", scps)] {
        let of = |part: fn(&Cost) -> f64| median(costs.iter().map(part).collect());
        println!(
            "figures: {name} of 400 MiB, median of 5: {:.2} s, {:.2} s of processor, {:.1} MiB",
            of(|cost| cost.seconds),
            of(|cost| cost.processor_seconds),
            of(|cost| cost.peak_mib)
        );
    }
}
