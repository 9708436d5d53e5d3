//! `ping`, `exec` and `copy`, the real program against real OpenSSH servers: every word and every exit code. As root; what
//! a host is, says `tests::sshd`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal::SIGINT;
use tests::process::Process;
use tests::sshd::{Host, Setup, SshLab, User};
use tests::wait::eventually;

#[path = "remote/faults.rs"]
mod faults;
#[path = "remote/figures.rs"]
mod figures;
#[path = "remote/log.rs"]
mod log;
#[path = "remote/nodes.rs"]
mod nodes;
#[path = "remote/question.rs"]
mod question;

/// Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// A password that stands nowhere else.
const CANARY: &str = "canary of 'quotes\" $HOME \\ and ;blanks ";

/// The first and the second host, and one that is down.
const FINE: &str = "10.9.1.1";
const WRONG: &str = "10.9.1.2";
const DOWN: &str = "10.9.1.99";

/// Hosts, and who works with them.
struct Cluster {
    lab: SshLab,
    hosts: Vec<Host>,
    password: PathBuf,
}

/// What a person sees.
struct Seen {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Cluster {
    /// A host that takes the canary, and one that takes another password. Both are known.
    fn new() -> Self {
        let lab = SshLab::new();
        let setup = |password: &str| Setup {
            root_password: Some(password.to_owned()),
            users: vec![User::new("ops", password, "ALL=(ALL:ALL) ALL")],
            ..Setup::default()
        };
        let hosts = vec![lab.host(&setup(CANARY)), lab.host(&setup("another"))];
        assert_eq!(hosts.iter().map(|host| host.address.to_string()).collect::<Vec<_>>(), [FINE, WRONG]);
        let known: String = hosts.iter().map(Host::known_hosts).collect();
        fs::write(lab.home().join(".ssh/known_hosts"), known).unwrap();
        let password = lab.home().join("password");
        fs::write(&password, format!("{CANARY}\n")).unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        Self { lab, hosts, password }
    }

    fn fine(&self) -> &Host {
        self.hosts.first().unwrap()
    }

    fn logs(&self) -> PathBuf {
        self.lab.home().join("logs")
    }

    /// Whether a program of that name runs on the first host.
    fn runs(&self, name: &str) -> bool {
        self.fine().inside(&["pgrep", "-x", name]).status.success()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lvscare-installer"));
        command.arg(words[0]).arg("--log-dir").arg(self.logs()).args(&words[1..]);
        command.env("HOME", self.lab.home()).env_remove("SSH_AUTH_SOCK").env("PATH", "/nowhere");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program where the hosts can be reached, with the password by its file.
    fn run(&self, command: &str, words: &[&str]) -> Seen {
        let file = self.password.display().to_string();
        self.run_plain(&[&[command, "--passwd-file", &file], words].concat())
    }

    fn run_plain(&self, words: &[&str]) -> Seen {
        let output = self.lab.enter(|| self.command(words).output()).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let err = without_log(&text(output.stderr));
        Seen { code: output.status.code(), out: text(output.stdout), err }
    }

    /// Starts it and goes on.
    fn start(&self, command: &str, words: &[&str]) -> Process {
        let file = self.password.display().to_string();
        let mut command = self.command(&[&[command, "--passwd-file", &file], words].concat());
        self.lab.enter(|| Process::spawn(&mut command)).unwrap()
    }
}

/// All that was said but for the last line, which says where the log is; nothing was begun where there is none.
fn without_log(text: &str) -> String {
    if let Some((before, path)) = text.rsplit_once("log: ") {
        assert!(Path::new(path.trim_end()).is_file(), "{text}");
        before.to_owned()
    } else {
        assert!(text.starts_with("lvscare-installer: "), "{text}");
        text.to_owned()
    }
}

/// All three of them, of every role.
const ALL: [&str; 4] = ["--master", FINE, "--node", "10.9.1.2,10.9.1.99"];

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim().to_owned()
}

#[test]
fn one_host_is_fine_one_refuses_and_one_is_down() {
    let cluster = Cluster::new();
    let refused = "! 10.9.1.2:22 does not let root in: tried the password; it takes publickey, password\n";
    let down = "! cannot reach 10.9.1.99:22: No route to host (os error 113)\n";

    let ping = cluster.run("ping", &ALL);
    let (arch, kernel) = (std::env::consts::ARCH, kernel());
    assert_eq!(
        ping.out,
        format!(
            "HOST       ROLE    STATE        ROOT   CLOCK  ARCH    KERNEL\n\
             10.9.1.1   master  ok           login  ok     {arch}  Linux {kernel}\n\
             10.9.1.2   node    login        -      -      -       -\n\
             10.9.1.99  node    unreachable  -      -      -       -\n\
             {refused}{down}1 of 3 hosts can be worked with\n"
        )
    );
    assert_eq!((ping.code, ping.err.as_str()), (Some(1), ""));

    let exec = cluster.run("exec", &[&ALL[..], &["--", "printf 'one\\ntwo\\n'; echo three >&2"]].concat());
    assert_eq!(exec.out, "10.9.1.1   one\n10.9.1.1   two\n");
    assert_eq!(exec.err, format!("10.9.1.1   three\n{refused}{down}done on 1 of 3 hosts\n"));
    assert_eq!(exec.code, Some(1));

    let file = cluster.lab.home().join("file");
    fs::write(&file, "0123456789").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let file = file.display().to_string();
    let copy = cluster.run("copy", &[&ALL[..], &[&file, "/root/file"]].concat());
    assert_eq!(copy.out, "10.9.1.1   10 bytes sent, and in place\n");
    assert_eq!(copy.err, format!("{refused}{down}done on 1 of 3 hosts\n"));
    assert_eq!(copy.code, Some(1));
    assert_eq!(cluster.fine().check(&["stat", "-c", "%a %U %s", "/root/file"]), "640 root 10\n");
}

#[test]
fn whatever_fails_for_one_reason_has_a_code_of_its_own() {
    let cluster = Cluster::new();
    let code = |words: &[&str]| cluster.run("exec", words).code;
    assert_eq!(code(&["--host", FINE, "--", "true"]), Some(0));
    assert_eq!(code(&["--host", FINE, "--", "exit 7"]), Some(1));
    assert_eq!(code(&["--host", FINE, "--host", WRONG, "--", "true"]), Some(5));
    assert_eq!(code(&["--host", FINE, "--host", DOWN, "--", "true"]), Some(7));
    // The limit leaves those that fail out.
    assert_eq!(code(&[&ALL[..], &["--limit", "master", "--", "true"]].concat()), Some(0));
    let seen = cluster.run("exec", &["--host", FINE, "--", "exit 7"]);
    assert_eq!(
        (seen.out.as_str(), seen.err.as_str()),
        ("", "! 10.9.1.1: ended with code 7\ndone on 0 of 1 hosts\n")
    );
}

#[test]
fn a_host_that_nobody_knows_is_refused_until_it_is_accepted_and_one_that_changed_is_never() {
    let cluster = Cluster::new();
    let path = cluster.lab.home().join(".ssh/known_hosts");
    let known = fs::read_to_string(&path).unwrap();
    let (fine, wrong) = known.split_at(known.find(WRONG).unwrap());
    let ping = |policy: &str| cluster.run("ping", &["--host", FINE, "--host-key-policy", policy]);

    fs::write(&path, wrong).unwrap();
    let seen = ping("strict");
    assert_eq!(seen.code, Some(6), "{}", seen.out);
    assert!(seen.out.contains("! 10.9.1.1 is not trusted: its ssh-ed25519 key SHA256:"), "{}", seen.out);
    assert!(seen.err.contains("then --host-key-policy accept-new records them"), "{}", seen.err);
    assert_eq!(fs::read_to_string(&path).unwrap(), wrong);

    assert_eq!(ping("accept-new").code, Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{wrong}{fine}"));
    assert_eq!(ping("strict").code, Some(0));

    fs::write(&path, wrong.replace(WRONG, FINE)).unwrap();
    let seen = ping("accept-new");
    assert_eq!(seen.code, Some(6), "{}", seen.out);
    assert!(seen.err.contains("forget the old key with `ssh-keygen -R '10.9.1.1'`"), "{}", seen.err);
    assert!(!cluster.fine().log().contains("wrong"), "{}", cluster.fine().log());
}

#[test]
fn a_key_that_was_named_is_the_only_one_that_is_trusted() {
    let cluster = Cluster::new();
    let path = cluster.lab.home().join(".ssh/known_hosts");
    let known = fs::read_to_string(&path).unwrap();
    let (fine, _) = known.split_at(known.find(WRONG).unwrap());
    fs::write(&path, "").unwrap();
    let listed = cluster.lab.home().join("listed");
    fs::write(&listed, fine).unwrap();
    let listed = cluster.lab.tool("ssh-keygen", &["-lf", &listed.display().to_string()]);
    let fingerprint = listed.split(' ').nth(1).unwrap();
    let other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let seen = cluster.run("ping", &["--host", FINE, "--host-key", other]);
    assert_eq!(seen.code, Some(6), "{}", seen.out);
    assert!(seen.out.contains("is not a pinned one"), "{}", seen.out);
    assert_eq!(
        cluster.run("ping", &["--host", FINE, "--host-key", other, "--host-key", fingerprint]).code,
        Some(0)
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), fine, "it is recorded");
}

#[test]
fn a_cluster_may_stand_in_a_file_and_what_is_typed_wins() {
    let cluster = Cluster::new();
    let file = cluster.lab.home().join("cluster.yaml");
    let text = format!("masters: [{WRONG}]\nnodes: [{FINE}]\nssh:\n  user: ops\n  passwordFile: password\n");
    fs::write(&file, &text).unwrap();
    let file = file.display().to_string();
    let run = |words: &[&str]| {
        cluster.run_plain(&[&["exec", "--cluster", &file], words, &["--", "id -un"]].concat())
    };
    let seen = run(&["--limit", "node"]);
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), "10.9.1.1  ops\n"), "{}", seen.err);
    let seen = run(&["--limit", "node", "--user", "root"]);
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), "10.9.1.1  root\n"), "{}", seen.err);
    let seen = run(&["--node", DOWN, "--limit", "node"]);
    assert_eq!(seen.code, Some(7), "{}", seen.err);
    let seen = run(&[]);
    assert!(seen.code == Some(5) && seen.err.contains("10.9.1.2:22 does not let ops in"), "{}", seen.err);
    // No secret stands in it, and a key that is mistyped is refused before a host is asked.
    fs::write(&file, text.replace("passwordFile: password", "password: canary")).unwrap();
    let seen = run(&[]);
    let why = "ssh: unknown field `password` (did you mean `passwordFile`?), expected one of";
    assert_eq!((seen.code, seen.out.as_str()), (Some(3), ""));
    assert!(seen.err.starts_with(&format!("lvscare-installer: --cluster {file}: {why}")), "{}", seen.err);
    assert!(seen.err.contains("line 5 column 3") && !seen.err.contains("canary"), "{}", seen.err);
}

#[test]
fn programs_get_one_document() {
    let cluster = Cluster::new();
    let read = |seen: &Seen| serde_json::from_str::<serde_json::Value>(&seen.out).unwrap();
    let ping = cluster.run("ping", &[&ALL[..], &["-o", "json"]].concat());
    let document = read(&ping);
    assert_eq!((ping.code, &document["exit"], ping.err.as_str()), (Some(1), &1.into(), ""));
    let host = &document["hosts"][0];
    for (key, value) in
        [("host", FINE), ("role", "master"), ("outcome", "done"), ("root", "login"), ("kernel", &kernel())]
    {
        assert_eq!(host[key], value, "{host}");
    }
    assert_eq!(host["clock_ahead_seconds"], 0);
    let kinds: Vec<_> = (1..3).map(|index| document["hosts"][index]["failure"]["kind"].clone()).collect();
    assert_eq!(kinds, ["login", "unreachable"]);

    let words = ["--host", FINE, "-o", "json", "--", "echo out; echo err >&2; exit 3"];
    let exec = cluster.run("exec", &words);
    let host = read(&exec)["hosts"][0].clone();
    assert_eq!((exec.code, host["outcome"].as_str()), (Some(1), Some("failed")));
    assert_eq!((host["stdout"].as_str(), host["stderr"].as_str()), (Some("out\n"), Some("err\n")));
    assert_eq!(host["code"], 3);
}

#[test]
fn nothing_that_a_host_prints_reaches_the_terminal_raw() {
    let cluster = Cluster::new();
    let words = ["--host", FINE, "--", "printf 'a\\033[2J\\tb\\rc\\377\\nno end'; printf '\\007' >&2"];
    let seen = cluster.run("exec", &words);
    assert_eq!(seen.out, "10.9.1.1  a\\x1b[2J\tb\\rc\u{fffd}\n10.9.1.1  no end\n");
    assert_eq!(seen.err, "10.9.1.1  \\x07\n");
}

#[test]
fn hosts_are_told_in_their_order_whoever_is_first() {
    let cluster = Cluster::new();
    let lab = &cluster.lab;
    let third = lab.host(&Setup { root_password: Some(CANARY.to_owned()), ..Setup::default() });
    let known = lab.home().join(".ssh/known_hosts");
    fs::write(&known, fs::read_to_string(&known).unwrap() + &third.known_hosts()).unwrap();
    // The first waits until the other one has spoken.
    let command = "if test $(uname -n) = host3; then echo quick; else while ! test -e /root/go; do sleep 0.1; done; echo slow; fi";
    let process = cluster.start("exec", &["--host", FINE, "--host", "10.9.1.3", "--", command]);
    eventually(LIMIT, "the end of the other host's command", || {
        third.log().contains("Received disconnect").then_some(())
    });
    cluster.fine().check(&["touch", "/root/go"]);
    let mut process = process;
    assert!(process.wait(LIMIT).success(), "{}", process.log());
    assert_eq!(without_log(&process.log()), "10.9.1.1  slow\n10.9.1.3  quick\n");
}

#[test]
fn a_file_is_sent_once_and_goes_on_where_it_was_cut() {
    let cluster = Cluster::new();
    let file = cluster.lab.home().join("big");
    let contents: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    fs::write(&file, &contents).unwrap();
    let sha256 = cluster.lab.tool("sha256sum", &[&file.display().to_string()]);
    let sha256 = sha256.split(' ').next().unwrap();
    let part = cluster.fine().path(&format!("/root/big.{sha256}.part"));
    fs::write(&part, &contents[..1_500_000]).unwrap();
    let file = file.display().to_string();
    let copy = |words: &[&str]| cluster.run("copy", &[words, &["--host", FINE, &file, "/root/big"]].concat());
    let seen = copy(&["--mode", "0750"]);
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), "10.9.1.1  2500000 bytes sent, and in place\n"));
    assert_eq!(fs::read(cluster.fine().path("/root/big")).unwrap(), contents);
    assert_eq!(cluster.fine().check(&["stat", "-c", "%a", "/root/big"]), "750\n");
    assert!(!part.exists());
    let seen = copy(&["--mode", "0600"]);
    assert_eq!(
        (seen.code, seen.out.as_str(), seen.err.as_str()),
        (Some(0), "10.9.1.1  was there already\n", "")
    );
    assert_eq!(cluster.fine().check(&["stat", "-c", "%a", "/root/big"]), "600\n");
    let seen = copy(&["--port", "22", "--host", WRONG]);
    assert_eq!(seen.code, Some(5), "{}", seen.err);
}

#[test]
fn whoever_asks_to_stop_is_heard() {
    let cluster = Cluster::new();
    let command = "touch /root/begun; while ! test -e /root/go; do sleep 0.1; done; echo went";
    let begin = || {
        let process = cluster.start("exec", &["--host", FINE, "--", command]);
        let begun = cluster.fine().path("/root/begun");
        eventually(LIMIT, "the command", || begun.exists().then_some(()));
        fs::remove_file(&begun).unwrap();
        process
    };
    let told = |process: &Process, words: &str| {
        eventually(LIMIT, words, || process.log().contains(words).then_some(()));
    };
    let stopping = "! stopping; hosts still at work: 1; once more ends what runs there\n";

    let mut process = begin();
    process.signal(SIGINT);
    told(&process, stopping);
    cluster.fine().check(&["touch", "/root/go"]);
    assert_eq!(process.wait(LIMIT).code(), Some(130));
    assert_eq!(without_log(&process.log()), format!("{stopping}10.9.1.1  went\ndone on 1 of 1 hosts\n"));

    cluster.fine().check(&["rm", "/root/go"]);
    let mut process = begin();
    process.signal(SIGINT);
    told(&process, stopping);
    process.signal(SIGINT);
    assert_eq!(process.wait(LIMIT).code(), Some(130));
    let ended = "! ending what runs on 1 hosts; once more leaves it\n! 10.9.1.1: killed by SIGTERM\ndone on 0 of 1 hosts\n";
    assert_eq!(without_log(&process.log()), format!("{stopping}{ended}"));
    assert!(!cluster.runs("sleep"), "with all that it has started");
}

#[test]
fn who_insists_ends_what_runs_on_all_hosts_and_who_does_it_again_leaves_them() {
    let cluster = Cluster::new();
    let more = [3, 4].map(|_| {
        let users = vec![User::new("ops", CANARY, "ALL=(ALL:ALL) ALL")];
        cluster.lab.host(&Setup { users, ..Setup::default() })
    });
    let known = cluster.lab.home().join(".ssh/known_hosts");
    let keys = more.each_ref().map(Host::known_hosts).concat();
    fs::write(&known, fs::read_to_string(&known).unwrap() + &keys).unwrap();
    let hosts = [cluster.fine(), &more[0], &more[1]];
    let begin = |command: &str| {
        let words = ["--host", FINE, "--host", "10.9.1.3-10.9.1.4", "--user", "ops", "--sudo", "--", command];
        let process = cluster.start("exec", &words);
        for host in hosts {
            let begun = host.path("/root/begun");
            eventually(LIMIT, "the command", || begun.exists().then_some(()));
            fs::remove_file(&begun).unwrap();
        }
        process
    };
    let runs = |host: &Host| host.inside(&["pgrep", "-f", "sleep 7777"]).status.success();
    let counts = |wanted: usize| {
        eventually(LIMIT, "the end of commands", || {
            (hosts.iter().filter(|host| runs(host)).count() == wanted).then_some(())
        });
    };
    let insist = |process: &Process| {
        for word in ["! stopping;", "! ending what runs on 3 hosts; once more leaves it"] {
            process.signal(SIGINT);
            eventually(LIMIT, word, || process.log().contains(word).then_some(()));
        }
    };
    // As root, by sudo, and in the background.
    let mut process = begin("sleep 7777 & touch /root/begun; wait");
    counts(3);
    insist(&process);
    assert_eq!(process.wait(LIMIT).code(), Some(130));
    counts(0);
    let log = process.log();
    assert!(log.contains("done on 0 of 3 hosts") && !log.contains("may go on"), "{log}");

    // One that does not heed SIGTERM is killed.
    let stubborn = "trap : TERM; touch /root/begun; while true; do sleep 7777; done";
    let mut process = begin(stubborn);
    insist(&process);
    assert_eq!(process.wait(LIMIT).code(), Some(130));
    counts(0);

    // Nobody waits for it who asks for the third time.
    let mut process = begin(stubborn);
    insist(&process);
    process.signal(SIGINT);
    assert_eq!(process.wait(LIMIT).code(), Some(130));
    assert!(
        process.log().contains("left while it was at work; what runs there may go on"),
        "{}",
        process.log()
    );
    for host in hosts {
        host.inside(&["pkill", "-KILL", "-f", "sleep 7777"]);
    }
}

/// Looks at the arguments and the environment of every process all the time, until it is told to end. Whether it has
/// seen the canary.
fn watch<T>(body: impl FnOnce() -> T) -> (bool, T) {
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut is_seen = false;
            while !ends.load(Ordering::Relaxed) {
                is_seen |= is_canary_anywhere();
            }
            is_seen
        });
        let result = body();
        ends.store(true, Ordering::Relaxed);
        (watcher.join().unwrap(), result)
    })
}

fn is_canary_anywhere() -> bool {
    let holds = |path: &Path| {
        fs::read(path)
            .is_ok_and(|bytes| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()))
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    processes.into_iter().any(|path| holds(&path.join("cmdline")) || holds(&path.join("environ")))
}

#[test]
fn a_password_from_a_file_stands_in_no_list_of_processes_and_in_no_output() {
    let cluster = Cluster::new();
    let words = ["--host", FINE, "--user", "ops", "--sudo", "--", "id -u; sleep 1"];
    let (is_seen, seen) = watch(|| cluster.run("exec", &words));
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), "10.9.1.1  0\n"), "{}", seen.err);
    assert!(!is_seen && !seen.err.contains(CANARY), "{}", seen.err);
    let logs = fs::read_dir(cluster.logs()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    for log in logs {
        assert!(!log.windows(6).any(|window| window == b"canary"), "{}", String::from_utf8_lossy(&log));
    }
    // Without --sudo the user is who logged in.
    let seen = cluster.run("exec", &["--host", FINE, "--user", "ops", "--", "id -un"]);
    assert_eq!(seen.out, "10.9.1.1  ops\n");
    let seen = cluster.run("ping", &["--host", FINE, "--user", "ops"]);
    assert!(seen.out.contains("  ok     sudo, password  ok "), "{}", seen.out);

    // Whoever watches would see it: an argument is visible, and that is told.
    let words = ["exec", "--passwd", CANARY, "--host", FINE, "--", "id -u; sleep 1"];
    let (is_seen, seen) = watch(|| cluster.run_plain(&words));
    assert!(is_seen && seen.code == Some(0), "{}", seen.err);
    assert_eq!(
        seen.err,
        "! everybody on this machine can see --passwd in the list of processes; prefer --passwd-file or --ask-pass\n"
    );
}

#[test]
fn a_bastion_leads_to_hosts_behind_it() {
    let cluster = Cluster::new();
    let third = cluster.lab.host(&Setup { root_password: Some(CANARY.to_owned()), ..Setup::default() });
    let known = cluster.lab.home().join(".ssh/known_hosts");
    fs::write(&known, fs::read_to_string(&known).unwrap() + &third.known_hosts()).unwrap();
    let run = |bastion: &str| {
        cluster.run("exec", &["--bastion", bastion, "--host", "10.9.1.3", "--", "echo $SSH_CLIENT"])
    };
    let seen = run("ops@10.9.1.1");
    assert_eq!(seen.code, Some(0), "{}", seen.err);
    assert!(seen.out.starts_with("10.9.1.3  10.9.1.1 "), "{}", seen.out);
    let seen = run(WRONG);
    let why = "lvscare-installer: the bastion: 10.9.1.2:22 does not let root in: tried the password; it takes publickey, password\n";
    assert_eq!((seen.code, seen.err.as_str()), (Some(5), why));
    assert_eq!(run(DOWN).code, Some(7));
}
