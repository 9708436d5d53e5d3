//! Who we are.

use cluster::transport::auth::Credentials;
use cluster::transport::policy::Policy;
use cluster::transport::ssh::Target;
use cluster::transport::{Error, Exit, Kind, keys};
use tests::sshd::{Setup, SshLab, User};

use crate::stage::{as_root, connect, run, with_password};

/// Every printable character, and letters that are more than one byte.
fn hard_password() -> String {
    (' '..='~').chain("äöü€日本 ".chars()).collect()
}

#[test]
fn a_key_opens_and_a_command_answers() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let finished = run(&lab, &as_root(&lab, &host), "echo out; echo err >&2; exit 7").unwrap();
    assert_eq!(finished.stdout, "out\n");
    assert_eq!(finished.stderr, "err\n");
    assert_eq!(finished.exit, Exit::Code(7));
}

#[test]
fn every_form_of_a_key_opens() {
    let lab = SshLab::new();
    // What `ssh-keygen` writes: type, format, passphrase.
    let forms = [
        ("rsa", "RFC4716", ""),
        ("rsa", "PEM", ""),
        ("rsa", "PEM", "secret"),
        ("rsa", "PKCS8", ""),
        ("rsa", "PKCS8", "secret"),
        ("ecdsa", "RFC4716", ""),
        ("ecdsa", "PEM", ""),
        ("ecdsa", "PKCS8", ""),
        ("ecdsa", "PKCS8", "secret"),
        ("ed25519", "RFC4716", "secret"),
    ];
    let mut authorized = Vec::new();
    let mut paths = Vec::new();
    for (number, (kind, form, passphrase)) in forms.iter().enumerate() {
        let path = lab.home().join(format!("form{number}"));
        lab.keygen(&path, kind, "");
        let file = path.display().to_string();
        lab.tool("ssh-keygen", &["-q", "-p", "-m", form, "-P", "", "-N", passphrase, "-f", &file]);
        authorized.extend(std::fs::read(path.with_extension("pub")).unwrap());
        paths.push(path);
    }
    let files = vec![("root/.ssh/authorized_keys".to_owned(), 0o600, authorized)];
    let host = lab.host(&Setup { files, ..Setup::default() });
    for (path, form) in paths.iter().zip(forms) {
        let secret = Some(form.2.to_owned().into()).filter(|_| !form.2.is_empty());
        if secret.is_some() {
            assert!(matches!(keys::load(path, None), Err(Error::Encrypted { .. })), "{form:?}");
            let wrong = keys::load(path, Some(&"wrong".to_owned().into())).unwrap_err();
            assert!(wrong.to_string().contains("wrong passphrase"), "{form:?}: {wrong}");
        }
        let key = keys::load(path, secret.as_ref()).unwrap_or_else(|error| panic!("{form:?}: {error}"));
        let credentials = Credentials { user: "root".to_owned(), keys: vec![key], ..Credentials::default() };
        let target = Target { at: host.at(), credentials, policy: Policy::AcceptNew };
        connect(&lab, &target).unwrap_or_else(|error| panic!("{form:?}: {error}"));
    }
}

#[test]
fn a_file_that_is_no_private_key_is_told_before_anybody_is_asked() {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;
    let lab = SshLab::new();
    let path = lab.home().join("bad");
    let refusal = |mode: u32, text: &str| {
        write(&path, text).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = keys::load(&path, None).unwrap_err();
        assert_eq!(error.kind(), Kind::Local);
        error.to_string()
    };
    let good = std::fs::read_to_string(lab.key()).unwrap();
    let public = std::fs::read_to_string(lab.key().with_extension("pub")).unwrap();
    for (mode, text, why) in [
        (0o640, good.as_str(), "others can read it; `chmod 600 "),
        (0o600, public.as_str(), "it is a public key; name the private one"),
        (0o600, "", "it is not a private key that is known"),
        (0o600, &good[..good.len() / 2], "it is not a private key that is known"),
        (0o600, &"x".repeat(70_000), "it is larger than 64 KiB"),
    ] {
        let refusal = refusal(mode, text);
        assert!(refusal.contains(why), "{refusal}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(keys::load(&path, None).unwrap_err().to_string().contains("No such file"));
    assert!(keys::load(&lab.home(), None).unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn an_agent_signs_and_another_one_is_no_obstacle() {
    let lab = SshLab::new();
    let host = lab.host(&Setup::default());
    let socket = lab.home().join("agent");
    let path = socket.display().to_string();
    let mut command = lab.tool_command("ssh-agent");
    let mut agent = command.args(["-D", "-a", &path]).stdout(std::process::Stdio::null()).spawn().unwrap();
    tests::wait::eventually(crate::stage::LIMIT, "an agent", || socket.exists().then_some(()));
    let login = |agent: Option<&std::path::Path>, with_key: bool| {
        let mut target = as_root(&lab, &host);
        target.credentials.agent = agent.map(Into::into);
        if !with_key {
            target.credentials.keys.clear();
        }
        connect(&lab, &target)
    };
    // An agent without a key, none at all, and one that is no agent: the file is tried all the same.
    for agent in [socket.clone(), lab.home().join("none"), lab.key()] {
        login(Some(&agent), true).unwrap();
        assert_eq!(login(Some(&agent), false).unwrap_err().kind(), Kind::Login);
    }
    let mut add = lab.tool_command("ssh-add");
    let added = add.arg("-q").arg(lab.key()).env("SSH_AUTH_SOCK", &socket).status().unwrap();
    assert!(added.success());
    login(Some(&socket), false).unwrap();
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[test]
fn passwords_of_every_kind_are_taken() {
    let lab = SshLab::new();
    let hard = hard_password();
    let users = [("plain", "secret"), ("hard", hard.as_str()), ("long", &"x".repeat(500))];
    let users = users.map(|(name, password)| User::new(name, password, "")).to_vec();
    for config in ["", "PasswordAuthentication no\nKbdInteractiveAuthentication yes"] {
        let host = lab.host(&Setup { config: config.to_owned(), users: users.clone(), ..Setup::default() });
        for user in &users {
            let finished = run(&lab, &with_password(&host, &user.name, &user.password), "id -un").unwrap();
            assert_eq!(finished.stdout, format!("{}\n", user.name), "{config}");
        }
    }
}

#[test]
fn a_wrong_password_is_given_once() {
    let lab = SshLab::new();
    let users = vec![User::new("plain", "secret", "")];
    for (config, tried) in [
        ("", "tried the password;"),
        ("KbdInteractiveAuthentication yes", "tried the password;"),
        ("PasswordAuthentication no\nKbdInteractiveAuthentication yes", "tried the password, when asked;"),
    ] {
        let host = lab.host(&Setup { config: config.to_owned(), users: users.clone(), ..Setup::default() });
        let error = connect(&lab, &with_password(&host, "plain", "wrong")).unwrap_err();
        assert_eq!(error.kind(), Kind::Login, "{error}");
        assert!(error.to_string().contains(tried), "{config}: {error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
        let log = host.log();
        let failures =
            log.matches("Failed password").count() + log.matches("PAM: Authentication failure").count();
        assert_eq!(failures, 1, "{log}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let lab = SshLab::new();
    let users = vec![User::new("plain", "secret", "")];
    let host = lab.host(&Setup { config: "PasswordAuthentication no".into(), users, ..Setup::default() });
    let error = connect(&lab, &with_password(&host, "plain", "secret")).unwrap_err();
    assert_eq!(error.kind(), Kind::Login);
    let at = host.at();
    assert_eq!(
        error.to_string(),
        format!(
            "{at} does not let plain in: it takes publickey, and nothing of that was given; see --pk and --ask-pass"
        )
    );
}

#[test]
fn a_key_and_a_password_can_both_be_needed() {
    let lab = SshLab::new();
    let config = "AuthenticationMethods publickey,password".to_owned();
    let host = lab.host(&Setup { config, root_password: Some("secret".into()), ..Setup::default() });
    let mut target = as_root(&lab, &host);
    assert_eq!(connect(&lab, &target).unwrap_err().kind(), Kind::Login);
    target.credentials.password = Some("secret".to_owned().into());
    connect(&lab, &target).unwrap();
}

#[test]
fn many_wrong_keys_leave_a_try_for_the_password() {
    let lab = SshLab::new();
    let host = lab.host(&Setup { root_password: Some("secret".into()), ..Setup::default() });
    let mut target = with_password(&host, "root", "secret");
    for number in 0..10 {
        let path = lab.home().join(format!("wrong{number}"));
        lab.keygen(&path, "ed25519", "");
        target.credentials.keys.push(keys::load(&path, None).unwrap());
    }
    connect(&lab, &target).unwrap();
}

#[test]
fn a_server_that_counts_fewer_tries_is_no_lost_link() {
    let lab = SshLab::new();
    let host = lab.host(&Setup { config: "MaxAuthTries 1".into(), ..Setup::default() });
    let mut target = as_root(&lab, &host);
    let path = lab.home().join("wrong");
    lab.keygen(&path, "ed25519", "");
    target.credentials.keys.insert(0, keys::load(&path, None).unwrap());
    let error = connect(&lab, &target).unwrap_err();
    assert_eq!(error.kind(), Kind::Login, "{error}");
    assert!(error.to_string().ends_with("; name one key with --pk"), "{error}");
}
