use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";

/// A directory with the files that the kubeconfigs below name.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, contents) in [("ca.crt", "authority"), ("client.pem", "both"), ("token", "t0k.en\n")] {
        fs::write(directory.path().join(name), contents).unwrap();
    }
    directory
}

/// A kubeconfig as kubeadm writes it, with these lines for cluster and user.
fn with(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\npreferences: {{}}\ncurrent-context: system:node:n1@kubernetes\n\
         clusters:\n- name: kubernetes\n  cluster: {{server: 'https://10.103.97.2:6443', {cluster}}}\n\
         contexts:\n- name: system:node:n1@kubernetes\n  context: {{cluster: kubernetes, user: system:node:n1}}\n\
         users:\n- name: other\n  user: {{exec: {{command: no}}}}\n- name: system:node:n1\n  user: {{{user}}}\n"
    )
}

fn read_text(text: &str) -> Result<Credentials, String> {
    let directory = directory();
    let file = directory.path().join("kubelet.conf");
    fs::write(&file, text).unwrap();
    read(&file).map_err(|error| {
        let message = error.to_string();
        assert!(!message.contains(SECRET), "{message}");
        let message = message.replace(&directory.path().display().to_string(), "DIR");
        message.strip_prefix("kubeconfig DIR/kubelet.conf: ").unwrap().to_owned()
    })
}

#[track_caller]
fn refused(text: &str, why: &str) {
    match read_text(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(message) => assert_eq!(message, why),
    }
}

const CA: &str = "certificate-authority: ca.crt";

#[test]
fn files_beside_the_kubeconfig() {
    let given = with(CA, "client-certificate: client.pem, client-key: client.pem");
    let credentials = read_text(&given).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(credentials.authorities.as_deref(), Some(b"authority".as_ref()));
    let identity = credentials.identity.unwrap();
    assert_eq!(
        (identity.certificate.as_slice(), identity.key.as_slice()),
        (b"both".as_ref(), b"both".as_ref())
    );
    assert_eq!((credentials.token, credentials.server_name), (None, None));
}

#[test]
fn inline_data_comes_before_files() {
    let given = with(
        "certificate-authority: absent, certificate-authority-data: aW5saW5l, tls-server-name: api",
        "client-certificate-data: Y2VydA==, client-certificate: absent, client-key-data: a2V5",
    );
    let credentials = read_text(&given).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(credentials.authorities.as_deref(), Some(b"inline".as_ref()));
    assert_eq!(credentials.server_name.as_deref(), Some("api"));
    let identity = credentials.identity.unwrap();
    assert_eq!(
        (identity.certificate.as_slice(), identity.key.as_slice()),
        (b"cert".as_ref(), b"key".as_ref())
    );
}

#[test]
fn tokens_inline_or_in_a_file() {
    let token = |user: &str| read_text(&with(CA, user)).map(|credentials| credentials.token.unwrap());
    assert_eq!(token("token: abc").unwrap(), "abc");
    assert_eq!(token("tokenFile: token").unwrap(), "t0k.en");
    assert_eq!(token("token: stale, tokenFile: token").unwrap(), "t0k.en");
}

#[test]
fn verification_is_given_up_only_when_asked() {
    let credentials = read_text(&with("insecure-skip-tls-verify: true", "token: abc"));
    assert!(credentials.is_ok_and(|credentials| credentials.authorities.is_none()));
    refused(
        &with(&format!("insecure-skip-tls-verify: true, {CA}"), "token: abc"),
        "certificate-authority and insecure-skip-tls-verify contradict each other; remove the second",
    );
    refused(
        &with("proxy-url: ''", "token: abc"),
        "the cluster has no certificate-authority to verify the apiserver with; \
         kubeadm keeps it in /etc/kubernetes/pki/ca.crt",
    );
}

#[test]
fn a_server_is_known_by_its_address_only() {
    let server = |url: &str| {
        let text = with(CA, "token: abc").replace("https://10.103.97.2:6443", url);
        read_text(&text).unwrap_or_else(|error| panic!("{error}")).server.map(|server| server.to_string())
    };
    assert_eq!(server("https://10.0.0.1:6443").as_deref(), Some("10.0.0.1:6443"));
    assert_eq!(server("https://10.0.0.1").as_deref(), Some("10.0.0.1:443"));
    assert_eq!(server("https://[fd00::1]:6443/").as_deref(), Some("[fd00::1]:6443"));
    assert_eq!(server("https://[fd00::1]").as_deref(), Some("[fd00::1]:443"));
    for other in [
        "",
        "http://10.0.0.1:6443",
        "https://apiserver.cluster.local:6443",
        "https://10.0.0.1:6443/k8s",
        "https://0.0.0.0:6443",
        "https://10.0.0.1:0",
        "10.0.0.1:6443",
    ] {
        assert_eq!(server(other), None, "{other}");
    }
}

#[test]
fn programs_are_not_run() {
    for key in ["exec", "auth-provider"] {
        refused(
            &with(CA, &format!("{key}: {{command: get-token}}, token: {SECRET}")),
            &format!(
                "the user's {key} would run another program, which lvscare does not do; \
                 give a kubeconfig with a client certificate or a token"
            ),
        );
    }
}

#[test]
fn users_without_proof() {
    refused(&with(CA, "token: ''"), "the user has neither a client certificate nor a token");
    refused(
        &with(CA, &format!("username: admin, password: {SECRET}")),
        "the user has a password, which no apiserver has accepted since Kubernetes 1.19; \
         give a kubeconfig with a client certificate or a token",
    );
    refused(
        &with(CA, "client-certificate: client.pem"),
        "the user has a client-certificate but no client-key",
    );
    refused(
        &with(CA, &format!("client-key-data: {SECRET}")),
        "the user has a client-key but no client-certificate",
    );
}

#[test]
fn names_that_lead_nowhere() {
    let good = with(CA, "token: abc");
    let line = "current-context: system:node:n1@kubernetes";
    let missing = "current-context is missing; name the context to use";
    refused(&good.replace(line, ""), missing);
    refused(&good.replace(line, "current-context: ''"), missing);
    refused(
        &good.replace(line, "current-context: x"),
        "contexts has none with the name that current-context says",
    );
    refused(
        &good.replace("cluster: kubernetes,", "cluster: x,"),
        "clusters has none with the name that the current context says",
    );
    refused(
        &good.replace("user: system:node:n1}", "user: x}"),
        "users has none with the name that the current context says",
    );
}

#[test]
fn files_that_cannot_be_read() {
    refused(
        &with("certificate-authority: absent", "token: abc"),
        "certificate-authority DIR/absent: No such file or directory (os error 2)",
    );
    refused(
        &with("certificate-authority: ''", "token: abc").replace("''", "."),
        "certificate-authority DIR/.: not a regular file",
    );
    refused(&with(CA, "tokenFile: /dev/zero"), "tokenFile /dev/zero: not a regular file");
    let error = read(Path::new("/nowhere/kubelet.conf")).err().unwrap().to_string();
    assert_eq!(error, "kubeconfig /nowhere/kubelet.conf: No such file or directory (os error 2)");
}

#[test]
fn secrets_stay_out_of_messages() {
    refused(
        &with(CA, &format!("client-key-data: '{SECRET}*', client-certificate-data: Y2VydA==")),
        "client-key-data is not base64",
    );
    refused(&with(CA, &format!("token: '{SECRET} x'")), "token holds no token");
    refused(&with(CA, &format!("token: \"{SECRET}\\r\\nX-Remote-User: admin\"")), "token holds no token");
    refused(
        &with(CA, "tokenFile: client.pem").replace("client.pem", "empty"),
        "tokenFile DIR/empty: No such file or directory (os error 2)",
    );
    // A value of the wrong type is what the reader of YAML would quote.
    let good = with(CA, "token: abc");
    let broken =
        read_text(&good.replace("  user: {token: abc}", &format!("  user: {SECRET}"))).err().unwrap();
    assert!(broken.starts_with("not a kubeconfig"), "{broken}");
    for text in ["", &"[".repeat(200_000), "{", "- a", "\0", "users: 3", "a: &a [*a, *a]"] {
        assert!(read_text(text).is_err(), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_it_panic(text in "[ -~\n]{0,200}", cut in 0_usize..400) {
        let _ = parse(text.as_bytes());
        let whole = with(CA, "token: abc");
        let _ = parse(&whole.as_bytes()[..cut.min(whole.len())]);
    }
}
