//! The masters as the API names them, over real TLS and with a real disk.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lvscare::discover::membership::Health;
use lvscare::discover::{Settings, Source, initial};
use tests::api::{Place, Reply, TOKEN, endpoints, slices};
use tests::pki::Pki;
use tokio::time::sleep;

#[path = "discover/stage.rs"]
mod stage;

use stage::{INTERVAL, LIMIT, Stage, server, servers, started};

#[tokio::test]
async fn the_configured_servers_come_first_then_what_the_api_says() {
    let mut stage = Stage::new().await;
    let first = stage.found.borrow().clone();
    assert_eq!((first.servers, first.source, first.problem), (servers(&[1, 2]), Source::Configured, None));
    stage.judge(&[1, 2, 3], Health::Alive);
    stage.api().name(&servers(&[3, 2, 1]));
    stage.ask();
    let found = stage.until_learned(&[1, 2, 3]).await;
    let seen = stage.api().seen().remove(0);
    assert!(seen.certificate.is_some() && seen.authorization.is_none(), "{seen:?}");

    // Every answer confirms the list, and none of them is news.
    let mut news = stage.found.subscribe();
    news.mark_unchanged();
    stage.questions(3).await;
    assert!(!news.has_changed().unwrap());
    assert!(stage.found.borrow().time > found.time);
    assert_eq!(fs::metadata(stage.store()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn every_kind_of_credentials() {
    let mut stage = Stage::naming(&[1, 2, 3]).await;
    stage.until_learned(&[1, 2, 3]).await;
    let base64 = |name: &str| STANDARD.encode(fs::read(stage.path(name)).unwrap());
    let (authority, client) = (base64("ca.crt"), base64("client.pem"));
    fs::write(stage.path("token"), format!("{TOKEN}\n")).unwrap();
    let inline = format!("client-certificate-data: {client}, client-key-data: {client}");
    let mut number = 3;
    for (cluster, user) in [
        (format!("certificate-authority-data: {authority}"), inline),
        ("certificate-authority: ca.crt".to_owned(), format!("token: {TOKEN}")),
        ("certificate-authority: ca.crt".to_owned(), "tokenFile: token".to_owned()),
        ("insecure-skip-tls-verify: true".to_owned(), "tokenFile: token".to_owned()),
        (
            "certificate-authority: ca.crt, tls-server-name: localhost".to_owned(),
            "tokenFile: token".to_owned(),
        ),
    ] {
        stage.task.take().unwrap().abort();
        stage.configure(&cluster, &user);
        number += 1;
        stage.api().name(&servers(&[1, 2, number]));
        stage.ask();
        let new = server(number);
        stage.until(&format!("{cluster}, {user}"), |found| found.servers.contains(&new)).await;
    }
}

#[tokio::test]
async fn answers_that_change_nothing() {
    let mut stage = Stage::naming(&[1, 2, 3]).await;
    stage.until_learned(&[1, 2, 3]).await;
    let many: Vec<_> = (1..=65).map(server).collect();
    let named = |masters: &[SocketAddr]| Reply::Status(200, slices(masters).to_string());
    let padded = format!("{}{}", slices(&servers(&[9])), " ".repeat(5 << 20));
    assert_eq!(stage.failures("useless"), 0);
    for (reply, problem) in [
        (Reply::Status(401, String::new()), "(401); has the certificate or token expired?"),
        (Reply::Status(403, String::new()), "does not let the user of"),
        (Reply::Status(500, "etcdserver: leader changed".into()), "answered 500"),
        (Reply::Status(503, String::new()), "answered 503"),
        (Reply::Status(302, String::new()), "answered 302"),
        (Reply::Status(200, "<html>".into()), "not the JSON"),
        (Reply::Status(200, String::new()), "not the JSON"),
        (Reply::Status(200, r#"{"kind":"Status"}"#.into()), "of kind \"Status\""),
        (Reply::Junk(b"220 mail.example.com\r\n".to_vec()), "not HTTP"),
        (Reply::Junk(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{".to_vec()), "breaks off"),
        (Reply::Junk(Vec::new()), "cannot ask the API"),
        (Reply::Junk(b"HTTP/1.1 100\n\n".repeat(300_000)), "head of the answer"),
        (
            Reply::Junk([&b"HTTP/1.1 200 OK\r\n\r\n"[..], &b"x".repeat(5 << 20)].concat()),
            "more than 4194304 bytes",
        ),
        (
            Reply::Junk([&b"HTTP/1.1 200 OK\r\n"[..], &b"a: b\r\n".repeat(1000)].concat()),
            "head of the answer",
        ),
        (named(&[]), "names no apiserver"),
        (named(&["[fd00::1]:6443".parse().unwrap()]), "names no apiserver"),
        (named(&many), "names 65 apiservers"),
        (Reply::Status(200, padded.clone()), "more than 4194304 bytes"),
        (Reply::Chunked(padded), "more than 4194304 bytes"),
    ] {
        stage.api().set(Place::Slices, reply);
        stage.until_problem(problem).await;
        stage.api().name(&servers(&[1, 2, 3]));
        // Without the growing pause of repeated failures.
        stage.ask();
        stage.until_learned(&[1, 2, 3]).await;
    }
    // A question may have been repeated before its answer was mended.
    for (reason, least) in
        [("unauthorized", 1), ("forbidden", 1), ("bad-status", 3), ("unreachable", 1), ("useless", 10)]
    {
        assert!(stage.failures(reason) >= least, "{reason}: {}", stage.failures(reason));
    }
}

#[tokio::test]
async fn older_apis_and_nodes_without_a_role() {
    let mut stage = Stage::new().await;
    let beta = slices(&servers(&[1, 2, 3])).to_string();
    stage.api().set(Place::SlicesBeta, Reply::Status(200, beta));
    stage.ask();
    stage.until_learned(&[1, 2, 3]).await;

    stage.api().set(Place::SlicesBeta, Reply::Status(404, String::new()));
    stage.api().set(Place::Endpoints, Reply::Chunked(endpoints(&servers(&[1, 2, 3, 4])).to_string()));
    stage.until_learned(&[1, 2, 3, 4]).await;

    stage.api().set(Place::Slices, Reply::Status(403, String::new()));
    stage.api().set(Place::Endpoints, Reply::Status(200, endpoints(&servers(&[1, 2, 3, 4, 5])).to_string()));
    stage.until_learned(&[1, 2, 3, 4, 5]).await;

    stage.api().set(Place::Endpoints, Reply::Status(403, String::new()));
    stage.until_problem("apply manifests/rbac.yaml").await;
}

#[tokio::test]
async fn silence_has_a_limit() {
    let mut stage = Stage::naming(&[1, 2, 3]).await;
    stage.until_learned(&[1, 2, 3]).await;
    for reply in [Reply::Hang, Reply::Dribble] {
        stage.api().set(Place::Slices, reply);
        stage.until_problem("did not say within 3s").await;
        stage.api().name(&servers(&[1, 2, 3]));
        stage.ask();
        stage.until_learned(&[1, 2, 3]).await;
    }
}

#[tokio::test]
async fn only_the_right_server_is_believed() {
    let mut stage = Stage::naming(&[1, 2, 3]).await;
    stage.until_learned(&[1, 2, 3]).await;
    fs::write(stage.path("other.crt"), "no certificate").unwrap();
    let user = "client-certificate: client.pem, client-key: client.pem";
    stage.configure("certificate-authority: ca.crt, tls-server-name: other.example.com", user);
    stage.until_problem("certificate not valid for name").await;
    stage.configure("certificate-authority: other.crt", user);
    stage.ask();
    stage.until_problem("certificate-authority: holds no certificate in PEM form").await;
    let directory = tempfile::tempdir().unwrap();
    let foreign = Pki::new(directory.path()).unwrap();
    let identity = foreign.apiserver("x", &[]).unwrap();
    stage.configure("certificate-authority: ca.crt", user);
    let at = stage.api().address();
    drop(stage.api.take());
    stage.api = Some(started(at, &identity, &foreign).await);
    stage.api().name(&servers(&[7, 8, 9]));
    stage.ask();
    stage.until_problem("invalid peer certificate: BadSignature").await;
    assert_eq!(stage.api().seen(), [], "no word to a stranger");
}

#[tokio::test]
async fn a_rotated_certificate_is_used_at_once() {
    let stage = Stage::naming(&[1, 2, 3]).await;
    stage.until_learned(&[1, 2, 3]).await;
    let before = stage.api().seen().pop().unwrap().certificate.unwrap();
    stage.certify("client.pem");
    let begin = Instant::now();
    while stage.api().seen().last().is_none_or(|seen| seen.certificate.as_ref() == Some(&before)) {
        assert!(begin.elapsed() < LIMIT, "still the old certificate");
        sleep(INTERVAL).await;
    }
    assert_eq!(stage.found.borrow().problem, None);
}

#[tokio::test]
async fn credentials_that_are_of_no_use() {
    let mut stage = Stage::naming(&[1, 2, 3]).await;
    stage.until_learned(&[1, 2, 3]).await;
    let ca = "certificate-authority: ca.crt";
    for (user, problem) in [
        ("exec: {command: aws}".to_owned(), "the user's exec would run another program"),
        (
            "client-certificate: ca.crt, client-key: client.pem".to_owned(),
            "client-certificate and client-key: ",
        ),
        ("client-certificate: client.pem, client-key: ca.crt".to_owned(), "client-key: holds no private key"),
        (format!("token: '{TOKEN}x'"), "(401)"),
    ] {
        stage.configure(ca, &user);
        stage.ask();
        stage.until_problem(problem).await;
    }
    fs::remove_file(&stage.settings.kubeconfig).unwrap();
    stage.ask();
    stage.until_problem("kubelet.conf: No such file or directory").await;
}

#[tokio::test]
async fn a_start_without_the_api_uses_the_disk() {
    let mut stage = Stage::naming(&[1, 2, 3]).await;
    stage.until_learned(&[1, 2, 3]).await;
    drop(stage.api.take());
    stage.until_problem("cannot ask the API at").await;
    stage.restart();
    assert_eq!(stage.found.borrow().source, Source::Disk);
    assert_eq!(stage.found.borrow().servers, servers(&[1, 2, 3]));
    stage.until_problem("cannot ask the API at").await;
    assert_eq!(stage.found.borrow().source, Source::Disk);
    stage.api = Some(started(stage.settings.at, &stage.identity, &stage.pki).await);
    stage.api().name(&servers(&[1, 2, 3, 4]));
    stage.ask();
    stage.until_learned(&[1, 2, 3, 4]).await;
}

#[tokio::test]
async fn a_damaged_list_is_ignored_and_written_anew() {
    let mut stage = Stage::naming(&[1, 2, 3]).await;
    stage.until_learned(&[1, 2, 3]).await;
    stage.questions(2).await;
    let good = fs::read(stage.store()).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    for damage in
        [&b""[..], &good[..good.len() / 2], b"\0\0\0\0", text.replace("10.0.0.3", "10.0.0.9").as_bytes()]
    {
        stage.task.take().unwrap().abort();
        fs::write(stage.store(), damage).unwrap();
        stage.restart();
        let found = stage.found.borrow().clone();
        assert_eq!((found.source, found.servers), (Source::Configured, servers(&[1, 2])));
        assert!(found.problem.unwrap().contains("masters.json is ignored: "));
        stage.until_learned(&[1, 2, 3]).await;
        stage.questions(2).await;
        assert_eq!(fs::read(stage.store()).unwrap(), good);
    }
}

#[tokio::test]
async fn a_disk_that_takes_nothing_does_not_hold_up_the_list() {
    let mut stage = Stage::new().await;
    fs::write(stage.path("state"), "not a directory").unwrap();
    stage.api().name(&servers(&[1, 2, 3]));
    stage.ask();
    let found =
        stage.until("a problem", |found| found.problem.is_some() && found.source == Source::Api).await;
    assert_eq!(found.servers, servers(&[1, 2, 3]));
    assert!(found.problem.unwrap().starts_with("cannot keep the list of masters in "));
    fs::remove_file(stage.path("state")).unwrap();
    stage.until_learned(&[1, 2, 3]).await;
}

#[tokio::test]
async fn a_removed_master_leaves_and_a_listed_one_that_is_dead_replaces_nobody() {
    let stage = Stage::naming(&[1, 2, 3]).await;
    stage.judge(&[1, 2, 3], Health::Alive);
    stage.until_learned(&[1, 2, 3]).await;
    stage.api().name(&servers(&[1, 2]));
    stage.until_learned(&[1, 2]).await;

    stage.judge(&[7, 8, 9], Health::NotAlive);
    stage.api().name(&servers(&[7, 8, 9]));
    stage.until_learned(&[1, 2, 7, 8, 9]).await;
    stage.questions(12).await;
    assert_eq!(stage.found.borrow().servers, servers(&[1, 2, 7, 8, 9]));
    stage.judge(&[7, 8], Health::Alive);
    stage.until_learned(&[7, 8, 9]).await;
}

#[tokio::test]
async fn when_all_are_dead_the_configured_servers_are_tried() {
    let mut stage = Stage::naming(&[3, 4]).await;
    stage.judge(&[3, 4], Health::Alive);
    stage.until_learned(&[3, 4]).await;
    drop(stage.api.take());
    stage.judge(&[3, 4], Health::NotAlive);
    let rescued = servers(&[1, 2, 3, 4]);
    stage.until("the configured servers as well", |found| found.servers == rescued).await;
}

#[tokio::test]
async fn new_settings_go_on_from_what_was_found() {
    let mut stage = Stage::new().await;
    stage.api().set(Place::Slices, Reply::Status(500, String::new()));
    stage.settings.configured = servers(&[5, 6]);
    stage.ask();
    let new = servers(&[5, 6]);
    stage.until("the new configured servers", |found| found.servers == new).await;
    stage.api().name(&servers(&[1, 2, 3]));
    stage.judge(&[1, 2, 3], Health::Alive);
    stage.until_learned(&[1, 2, 3]).await;
    stage.settings.configured = servers(&[7]);
    stage.settings.interval = INTERVAL / 2;
    stage.ask();
    // Until the API answers to these settings, whoever is configured now is tried as well.
    let new = server(7);
    stage.until("the configured server as well", |found| found.servers.contains(&new)).await;
    stage.until_learned(&[1, 2, 3]).await;
}

/// A node has moved to another cluster, or somebody has corrected the list, and the API does not answer.
#[tokio::test]
async fn a_list_that_was_learned_elsewhere_is_ignored() {
    let mut stage = Stage::naming(&[3, 4]).await;
    stage.judge(&[3, 4], Health::Alive);
    stage.until_learned(&[3, 4]).await;
    stage.questions(2).await;
    stage.task.take().unwrap().abort();

    // Where it was learned, the configured servers are tried beside it.
    let found = initial(&stage.settings);
    assert_eq!((found.servers, found.source, found.problem), (servers(&[1, 2, 3, 4]), Source::Disk, None));

    let corrected = Settings { configured: servers(&[5]), ..stage.settings.clone() };
    let found = initial(&corrected);
    assert_eq!((found.servers, found.source), (servers(&[5]), Source::Configured));
    assert!(found.problem.unwrap().contains("it was learned when other real servers were configured"));

    let directory = tempfile::tempdir().unwrap();
    Pki::new(directory.path()).unwrap();
    fs::copy(directory.path().join("ca.crt"), stage.path("ca.crt")).unwrap();
    let found = initial(&stage.settings);
    assert_eq!((found.servers, found.source), (servers(&[1, 2]), Source::Configured));
    assert!(found.problem.unwrap().contains("a cluster with other certificate authorities"));
}

/// All masters that were known are gone; the one that the kubeconfig names is not.
#[tokio::test]
async fn when_the_virtual_server_is_silent_the_kubeconfigs_server_is_asked() {
    let mut stage = Stage::naming(&[7, 8, 9]).await;
    stage.judge(&[7, 8, 9], Health::Alive);
    stage.judge(&[1, 2], Health::NotAlive);
    let real = stage.api().address();
    let user = "client-certificate: client.pem, client-key: client.pem";
    // Nobody listens there.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    stage.settings.at = silent;
    stage.task.take().unwrap().abort();
    stage.found = tokio::sync::watch::Sender::new(initial(&stage.settings));

    // Not without a proof that it is of the cluster.
    stage.configure_for(&format!("https://{real}"), "insecure-skip-tls-verify: true", "tokenFile: token");
    fs::write(stage.path("token"), TOKEN).unwrap();
    stage.api().seen();
    stage.ask();
    stage.until_problem("cannot ask the API at").await;
    assert_eq!(stage.api().seen(), []);

    stage.configure_for(&format!("https://{real}"), "certificate-authority: ca.crt", user);
    stage.ask();
    stage.until_learned(&[7, 8, 9]).await;
}

/// A node without a thread to give, as when its processes are exhausted: a question fails, and the daemon goes on.
#[tokio::test]
async fn a_node_without_threads_fails_a_question() {
    const INSIDE: &str = "LVSCARE_TEST_WITHOUT_THREADS";
    if std::env::var_os(INSIDE).is_some() {
        let stage = Stage::naming(&[1, 2, 3]).await;
        stage.until_problem("no thread for the disk").await;
        return;
    }
    // Root may always start one, so somebody else must ask, in a place of his own.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = directory.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = std::process::Command::new("bash");
    command.args([
        "-c",
        "ulimit -u 1 && exec \"$0\" --exact a_node_without_threads_fails_a_question --test-threads 1",
    ]);
    command.arg(&program).env(INSIDE, "1").env("TMPDIR", directory.path()).current_dir(directory.path());
    if nix::unistd::geteuid().is_root() {
        command.uid(65534);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}
