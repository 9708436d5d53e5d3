//! A node that asks an API, and everything a test may do to both.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lvscare::discover::membership::Health;
use lvscare::discover::{Found, Settings, Source, initial, run};
use lvscare::metrics::{Metrics, Snapshot};
use tempfile::TempDir;
use tests::api::{Api, TOKEN};
use tests::pki::{Identity, Pki};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Long enough for anything that should succeed.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Many questions in a short time.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

pub(crate) type Board = BTreeMap<SocketAddr, Health>;

pub(crate) fn server(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 6443))
}

pub(crate) fn servers(numbers: &[u8]) -> Vec<SocketAddr> {
    numbers.iter().map(|&number| server(number)).collect()
}

/// An API with one apiserver, and a node that asks it. The masters 1 and 2 are configured.
pub(crate) struct Stage {
    pub(crate) pki: Pki,
    pub(crate) identity: Identity,
    pub(crate) api: Option<Api>,
    pub(crate) settings: Settings,
    pub(crate) board: watch::Sender<Board>,
    pub(crate) found: watch::Sender<Found>,
    pub(crate) metrics: Metrics,
    pub(crate) task: Option<JoinHandle<()>>,
    pub(crate) directory: TempDir,
}

impl Stage {
    /// Everything is ready; nobody asks yet.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pki = Pki::new(directory.path()).unwrap();
        let identity = pki.apiserver("m1", &[]).unwrap();
        let api = Api::start((Ipv4Addr::LOCALHOST, 0).into(), &identity, &pki).await.unwrap();
        let settings = Settings {
            at: api.address(),
            configured: servers(&[2, 1, 2]),
            kubeconfig: directory.path().join("kubelet.conf"),
            server_name: "kubernetes".to_owned(),
            store: Some(directory.path().join("state/masters.json")),
            interval: INTERVAL,
        };
        let found = watch::Sender::new(initial(&settings));
        let board = watch::Sender::new(Board::new());
        let metrics = Metrics::new().unwrap();
        let (api, task) = (Some(api), None);
        let stage = Self { pki, identity, api, settings, board, found, metrics, task, directory };
        stage.certify("client.pem");
        stage.configure(
            "certificate-authority: ca.crt",
            "client-certificate: client.pem, client-key: client.pem",
        );
        stage
    }

    /// An API that names these masters, and a node that asks it.
    pub(crate) async fn naming(numbers: &[u8]) -> Self {
        let mut stage = Self::new().await;
        stage.api().name(&servers(numbers));
        stage.ask();
        stage
    }

    pub(crate) fn api(&self) -> &Api {
        self.api.as_ref().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn store(&self) -> &Path {
        self.settings.store.as_deref().unwrap()
    }

    /// A new client certificate with its key in one file, replaced as kubelet does.
    pub(crate) fn certify(&self, name: &str) {
        let Identity { certificate, key } = self.pki.node("n1").unwrap();
        let both = [certificate, key].map(|file| fs::read_to_string(file).unwrap()).concat();
        fs::write(self.path("next"), both).unwrap();
        fs::rename(self.path("next"), self.path(name)).unwrap();
    }

    pub(crate) fn configure(&self, cluster: &str, user: &str) {
        self.configure_for("https://nowhere.invalid:1", cluster, user);
    }

    /// The same with a server, which is asked when the virtual one is silent.
    pub(crate) fn configure_for(&self, server: &str, cluster: &str, user: &str) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             clusters:\n- name: c\n  cluster: {{server: '{server}', {cluster}}}\n\
             contexts:\n- name: here\n  context: {{cluster: c, user: u}}\n\
             users:\n- name: u\n  user: {{{user}}}\n"
        );
        fs::write(&self.settings.kubeconfig, text).unwrap();
    }

    /// Starts to ask, as the daemon does at its start and with every new configuration.
    pub(crate) fn ask(&mut self) {
        let health = |board: &Board, server| board.get(&server).copied().unwrap_or(Health::Unknown);
        let task = run(
            self.settings.clone(),
            self.board.subscribe(),
            health,
            self.found.clone(),
            self.metrics.clone(),
        );
        if let Some(before) = self.task.replace(tokio::spawn(task)) {
            before.abort();
        }
    }

    /// Starts as if the machine had been switched off.
    pub(crate) fn restart(&mut self) {
        self.found = watch::Sender::new(initial(&self.settings));
        self.ask();
    }

    pub(crate) fn judge(&self, numbers: &[u8], health: Health) {
        self.board.send_modify(|board| board.extend(numbers.iter().map(|&number| (server(number), health))));
    }

    /// Waits until what was found is as wanted.
    #[track_caller]
    pub(crate) fn until<W: FnMut(&Found) -> bool>(
        &self,
        what: &str,
        wanted: W,
    ) -> impl Future<Output = Found> + use<W> {
        let what = what.to_owned();
        let mut found = self.found.subscribe();
        let line = std::panic::Location::caller();
        async move {
            let outcome = timeout(LIMIT, found.wait_for(wanted)).await.map(|found| found.unwrap().clone());
            outcome.unwrap_or_else(|_| panic!("not in time at {line}: {what}; found {:?}", found.borrow()))
        }
    }

    #[track_caller]
    pub(crate) fn until_learned(&self, numbers: &[u8]) -> impl Future<Output = Found> + use<> {
        let wanted = servers(numbers);
        self.until("the masters that the API names", move |found| {
            found.source == Source::Api && found.servers == wanted && found.problem.is_none()
        })
    }

    /// Waits for a problem, which must not have changed the servers.
    #[track_caller]
    pub(crate) fn until_problem(&self, part: &str) -> impl Future<Output = ()> + use<> {
        let servers = self.found.borrow().servers.clone();
        let part = part.to_owned();
        let found = self.until(&part.clone(), move |found| {
            found.problem.as_ref().is_some_and(|problem| problem.contains(&part))
        });
        async move {
            let found = found.await;
            assert_eq!(found.servers, servers);
            let problem = found.problem.unwrap();
            assert!(!problem.contains(TOKEN) && !problem.contains("PRIVATE"), "{problem}");
        }
    }

    /// How many questions came to nothing for that reason.
    pub(crate) fn failures(&self, reason: &str) -> u64 {
        let text = self.metrics.render(&Snapshot::default()).unwrap();
        let name = format!("lvscare_discovery_failures_total{{reason=\"{reason}\"");
        let line = text.lines().find(|line| line.starts_with(&name));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// Waits for so many questions.
    pub(crate) async fn questions(&self, count: usize) {
        let begin = Instant::now();
        let mut seen = self.api().seen().len();
        while seen < count {
            assert!(begin.elapsed() < LIMIT, "only {seen} questions");
            sleep(INTERVAL / 10).await;
            seen += self.api().seen().len();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The address may be in use for a moment longer.
pub(crate) async fn started(at: SocketAddr, identity: &Identity, pki: &Pki) -> Api {
    let begin = Instant::now();
    loop {
        match Api::start(at, identity, pki).await {
            Ok(api) => return api,
            Err(error) => assert!(begin.elapsed() < LIMIT, "{error}"),
        }
        sleep(INTERVAL / 10).await;
    }
}
