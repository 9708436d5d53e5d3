//! Root's rights on a host, what is run there, and files for it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use cluster::remote::elevate::{Elevation, check};
use cluster::remote::probe::{Sudo, probe};
use cluster::remote::run::{Said, run};
use cluster::remote::transfer::{Sent, Source, send};
use cluster::remote::{self, elevate};
use cluster::runner::Stop;
use cluster::transport::auth::Credentials;
use cluster::transport::ssh::Target;
use cluster::transport::{Exit, Kind};
use node::spec::secret::Secret;
use tests::sshd::{Host, Setup, SshLab, User};
use tests::wait::eventually;

use crate::stage::{LIMIT, as_root, connected, with_password};

/// Everything a password may be made of, but what ends a line.
fn hard_password() -> String {
    (' '..='~').chain("äöü€日本".chars()).collect()
}

/// Sudo once free, once with a question, and a host for all of it.
fn host_with_sudo(lab: &SshLab, defaults: &str) -> Host {
    let hard = hard_password();
    let users = vec![
        User::new("free", "secret", "ALL=(ALL:ALL) NOPASSWD: ALL"),
        User::new("asked", &hard, "ALL=(ALL:ALL) ALL"),
        User::new("nobody", "secret", ""),
    ];
    let files = vec![("etc/sudoers.d/test".to_owned(), 0o440, defaults.as_bytes().to_vec())];
    let host = lab.host(&Setup { users, files, ..Setup::default() });
    host.check(&["sh", "-c", "echo '@includedir /etc/sudoers.d' >>/etc/sudoers"]);
    host
}

/// Connects, becomes root, and runs a command: its output and its end.
fn as_root_there(
    lab: &SshLab,
    target: &Target,
    command: &str,
) -> Result<(String, String, Exit), remote::Error> {
    lab.run(|| async {
        let ssh = connected(lab, target).await;
        let how = Elevation::new(&probe(&ssh).await?, target.credentials.password.as_ref())?;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (_nobody, mut stop) = Stop::new();
        let exit = run(&ssh, &how, command, &mut stop, |said| match said {
            Said::Out(bytes) => out.extend_from_slice(&bytes),
            Said::Err(bytes) => err.extend_from_slice(&bytes),
        });
        let exit = exit.await?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ok((text(out), text(err), exit))
    })
}

#[test]
fn a_host_says_what_it_is() {
    let lab = SshLab::new();
    let host = host_with_sudo(&lab, "");
    for (user, password, wanted) in [
        ("free", "secret", Sudo::Free),
        ("asked", hard_password().as_str(), Sudo::Asks),
        ("nobody", "secret", Sudo::Asks),
    ] {
        let found = lab.run(|| async {
            probe(&connected(&lab, &with_password(&host, user, password)).await).await.unwrap()
        });
        assert_eq!((found.system.as_str(), found.machine.as_str()), ("Linux", std::env::consts::ARCH));
        assert_eq!((found.is_root, found.sudo), (false, wanted), "{user}");
    }
    let found = lab.run(|| async { probe(&connected(&lab, &as_root(&lab, &host)).await).await.unwrap() });
    assert!(found.is_root);
}

#[test]
fn a_command_is_run_as_root_by_whoever_may() {
    let lab = SshLab::new();
    let host = host_with_sudo(&lab, "");
    let command = "id -u; echo \"it's $((1 + 1)) 'quoted' \\\\ !\" >&2; cat; exit 3";
    for target in [
        as_root(&lab, &host),
        with_password(&host, "free", "secret"),
        with_password(&host, "asked", &hard_password()),
    ] {
        let (out, err, exit) = as_root_there(&lab, &target, command).unwrap();
        // The lecture of sudo may come before it.
        assert_eq!((out.as_str(), exit), ("0\n", Exit::Code(3)), "{}", target.credentials.user);
        assert!(err.ends_with("it's 2 'quoted' \\ !\n"), "{err}");
    }
}

#[test]
fn whoever_may_not_is_told_why() {
    let lab = SshLab::new();
    let host = host_with_sudo(&lab, "Defaults:free requiretty\n");
    let hard = hard_password();
    let refusal = |target: &Target, password: Option<&str>| {
        let error = lab.run(|| async {
            let ssh = connected(&lab, target).await;
            let secret = password.map(|password| Secret::from(password.to_owned()));
            let found = probe(&ssh).await?;
            check(&ssh, &Elevation::new(&found, secret.as_ref())?).await
        });
        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::Login, "{error}");
        error.to_string()
    };
    let wrong = refusal(&with_password(&host, "asked", &hard), Some("wrong"));
    assert_eq!(wrong, "cannot become root there: sudo does not take the password");
    let none = refusal(&with_password(&host, "asked", &hard), None);
    assert!(none.ends_with("sudo asks for a password, and none was given; see --ask-pass"), "{none}");
    let nobody = refusal(&with_password(&host, "nobody", "secret"), Some("secret"));
    assert!(nobody.contains("sudo refuses this user: nobody is not in the sudoers file"), "{nobody}");
    let tty = refusal(&with_password(&host, "free", "secret"), Some("secret"));
    assert!(tty.contains("!requiretty"), "{tty}");
}

/// Where `sudo` asks nothing after all, the password is nobody's input.
#[test]
fn a_password_is_said_to_nobody_who_does_not_ask() {
    let lab = SshLab::new();
    let host = host_with_sudo(&lab, "");
    let how = Elevation::Asked("canary".to_owned().into());
    let target = with_password(&host, "free", "secret");
    let (out, exit) = lab.run(|| async {
        let ssh = connected(&lab, &target).await;
        let mut out = Vec::new();
        let (_nobody, mut stop) = Stop::new();
        let exit = run(&ssh, &how, "tr '\\0' '\\n' </proc/$PPID/cmdline; cat", &mut stop, |said| {
            if let Said::Out(bytes) = said {
                out.extend_from_slice(&bytes);
            }
        });
        let exit = exit.await.unwrap();
        (String::from_utf8(out).unwrap(), exit)
    });
    assert_eq!(exit, Exit::Code(0));
    assert!(!out.contains("canary"), "{out}");
}

#[test]
fn no_argument_of_any_process_holds_the_password() {
    let lab = SshLab::new();
    let host = host_with_sudo(&lab, "");
    let hard = "canary-5f3b";
    host.check(&["sh", "-c", &format!("echo asked:{hard} | chpasswd -c SHA512")]);
    let command =
        "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; tr '\\0' '\\n' <$p/environ; done 2>/dev/null";
    let (out, _, exit) = as_root_there(&lab, &with_password(&host, "asked", hard), command).unwrap();
    assert_eq!(exit, Exit::Code(0));
    assert!(out.contains("sshd") && out.contains("PATH="), "{out}");
    assert!(!out.contains(hard), "{out}");
    assert!(!host.log().contains(hard));
}

#[test]
fn noise_of_profiles_is_nobodys_answer() {
    let lab = SshLab::new();
    let noise = b"echo Welcome to this host; echo >&2 mind the gap; printf 'no line end'\n".to_vec();
    let users = vec![User::new("noisy", "secret", "ALL=(ALL:ALL) ALL")];
    let rc = ["root/.bashrc", "home/noisy/.bashrc", "root/.profile"];
    let files = rc.map(|path| (path.to_owned(), 0o644, noise.clone())).to_vec();
    let host = lab.host(&Setup { users, files, ..Setup::default() });
    for target in [as_root(&lab, &host), with_password(&host, "noisy", "secret")] {
        let (out, _, exit) = as_root_there(&lab, &target, "echo yes").unwrap();
        assert_eq!((out.as_str(), exit), ("yes\n", Exit::Code(0)));
    }
}

#[test]
fn a_host_that_hangs_after_login_has_a_limit() {
    let lab = SshLab::new();
    let files = vec![("root/.bashrc".to_owned(), 0o644, b"sleep 1000\n".to_vec())];
    let host = lab.host(&Setup { files, ..Setup::default() });
    let error = lab.run(|| async { probe(&connected(&lab, &as_root(&lab, &host)).await).await.unwrap_err() });
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
}

fn source(lab: &SshLab, length: usize) -> (Source, Vec<u8>) {
    let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
    let path = lab.home().join(format!("source{length}"));
    fs::write(&path, &bytes).unwrap();
    (Source::new(&path).unwrap(), bytes)
}

#[test]
fn a_file_arrives_whole_with_its_mode() {
    let lab = SshLab::new();
    let host = host_with_sudo(&lab, "");
    for (number, (target, length)) in [
        (as_root(&lab, &host), 0),
        (as_root(&lab, &host), 1),
        (with_password(&host, "free", "secret"), 3_000_000),
        (with_password(&host, "asked", &hard_password()), 3_000_001),
    ]
    .into_iter()
    .enumerate()
    {
        let (source, bytes) = source(&lab, length);
        let path = format!("/opt/it's \"a $file\" {number}");
        host.check(&["mkdir", "-p", "/opt"]);
        lab.run(|| async {
            let ssh = connected(&lab, &target).await;
            let password = target.credentials.password.as_ref();
            let how = Elevation::new(&probe(&ssh).await.unwrap(), password).unwrap();
            let mut heard = Vec::new();
            let sent = send(&ssh, &how, &source, &path, 0o640, |bytes| heard.push(bytes)).await.unwrap();
            assert_eq!(sent, Sent::Bytes(length as u64));
            assert_eq!((heard.first(), heard.last()), (Some(&0), Some(&(length as u64))));
            assert!(heard.is_sorted());
            let again = send(&ssh, &how, &source, &path, 0o600, |_| ()).await.unwrap();
            assert_eq!(again, Sent::Already);
        });
        assert_eq!(fs::read(host.path(&path)).unwrap(), bytes);
        let metadata = fs::metadata(host.path(&path)).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o600, 0));
        assert_eq!(fs::read_dir(host.path("/opt")).unwrap().count(), number + 1);
    }
}

#[test]
fn a_transfer_that_is_cut_goes_on_where_it_was() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let target = as_root(&lab, &host);
    let (source, bytes) = source(&lab, 60 << 20);
    let part = format!("/root/file.{}.part", source.sha256);
    let cut = lab.run(|| async {
        let ssh = connected(&lab, &target).await;
        let mut is_cut = false;
        send(&ssh, &Elevation::NotNeeded, &source, "/root/file", 0o600, |sent| {
            if sent > 20 << 20 && !is_cut {
                is_cut = true;
                host.cut(lab.controller());
            }
        })
        .await
    });
    assert_eq!(cut.unwrap_err().kind(), Kind::Unreachable);
    host.mend(lab.controller());
    // The host notices by itself; until then it still waits for the rest.
    host.check(&["pkill", "-f", "sshd: root@notty"]);
    eventually(LIMIT, "the end of the first transfer", || {
        (!host.inside(&["pgrep", "-x", "head"]).status.success()).then_some(())
    });
    let there = fs::metadata(host.path(&part)).unwrap().len();
    assert!(there > 10 << 20, "{there}");
    assert!(!host.path("/root/file").exists());
    let sent = lab.run(|| async {
        let ssh = connected(&lab, &target).await;
        send(&ssh, &Elevation::NotNeeded, &source, "/root/file", 0o600, |_| ()).await.unwrap()
    });
    assert_eq!(sent, Sent::Bytes(source.size - there));
    assert_eq!(fs::read(host.path("/root/file")).unwrap(), bytes);
    assert!(!host.path(&part).exists());
}

#[test]
fn what_is_not_what_was_sent_does_not_stay() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let target = as_root(&lab, &host);
    let (source, bytes) = source(&lab, 1 << 20);
    let part = format!("/root/file.{}.part", source.sha256);
    let sent = |path: &str| {
        lab.run(|| async {
            send(&connected(&lab, &target).await, &Elevation::NotNeeded, &source, path, 0o600, |_| ()).await
        })
    };
    // The beginning of something else.
    fs::write(host.path(&part), vec![9; 1000]).unwrap();
    let error = sent("/root/file").unwrap_err().to_string();
    assert_eq!(error, "taking a file: ended with code 65: what arrived is not what was sent");
    assert!(!host.path(&part).exists() && !host.path("/root/file").exists());
    // More than there can be; and a link to somebody's file.
    fs::write(host.path(&part), vec![9; 2 << 20]).unwrap();
    sent("/root/file").unwrap();
    fs::remove_file(host.path("/root/file")).unwrap();
    host.check(&["ln", "-s", "/etc/passwd", &part]);
    let before = fs::read(host.path("/etc/passwd")).unwrap();
    sent("/root/file").unwrap();
    assert_eq!(fs::read(host.path("/etc/passwd")).unwrap(), before);
    assert_eq!(fs::read(host.path("/root/file")).unwrap(), bytes);
    for (path, why) in [
        ("/nowhere/file", "No such file or directory"),
        ("/etc", "is a directory; name the file"),
        ("relative", "\"relative\" is not the absolute path of a file"),
        ("/root/a\nb", "holds a control character"),
    ] {
        let error = sent(path).unwrap_err().to_string();
        assert!(error.contains(why), "{path}: {error}");
    }
}

#[test]
fn a_full_disk_is_told_and_left_as_it_was() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    host.check(&["mkdir", "/small"]);
    host.check(&["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", "/small"]);
    let target = as_root(&lab, &host);
    let (small, _) = source(&lab, 3 << 20);
    let (large, _) = source(&lab, 8 << 20);
    let send = |source: &Source, tell: &mut (dyn FnMut(u64) + Send)| {
        lab.run(async || {
            let ssh = connected(&lab, &target).await;
            send(&ssh, &Elevation::NotNeeded, source, "/small/file", 0o600, tell)
                .await
                .unwrap_err()
                .to_string()
        })
    };
    // What is known before is said before.
    let error = send(&large, &mut |_| panic!("a byte was sent"));
    assert!(error.ends_with(": 8388608 bytes are to come, and there is room for 4194304"), "{error}");
    assert_eq!(fs::read_dir(host.path("/small")).unwrap().count(), 0);
    let filler = host.path("/small/filler");
    let error = send(&small, &mut |_| {
        if !filler.exists() {
            fs::write(&filler, vec![0; 2 << 20]).unwrap();
        }
    });
    assert!(error.contains("No space left on device"), "{error}");
    assert_eq!(fs::read_dir(host.path("/small")).unwrap().count(), 1);
}

/// `Credentials` has no password here; `check` is what `ping` asks.
#[test]
fn root_needs_nothing() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let target = as_root(&lab, &host);
    assert!(matches!(target.credentials, Credentials { password: None, .. }));
    lab.run(|| async {
        elevate::check(&connected(&lab, &target).await, &Elevation::NotNeeded).await.unwrap();
    });
}
