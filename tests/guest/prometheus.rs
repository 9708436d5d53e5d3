//! Dashboard, alerts and scrape configuration in the hands of a real Prometheus: a name that nobody exports, or a query
//! that joins what has no label in common, shows as silence only here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends by a panic")]
#![allow(clippy::print_stdout, reason = "the picture leaves the guest this way")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lvscare::discover::Source;
use lvscare::health::Condition;
use lvscare::health::pool::Mode;
use serde_json::Value;
use tests::apiserver::Behaviour;
use tests::daemon::{Daemon, URL};
use tests::lab::Lab;
use tests::masters::{kubeconfig, name};
use tests::netns::Namespace;
use tests::process::Process;
use tests::wait::eventually;

#[path = "prometheus/picture.rs"]
mod picture;

use picture::Series;

/// Prometheus takes its time on an emulated machine.
const LIMIT: Duration = Duration::from_secs(120);

const ALERTS: &str = include_str!("../../manifests/prometheus/alerts.yaml");
const SCRAPE: &str = include_str!("../../manifests/prometheus/scrape.yaml");
const DASHBOARD: &str = include_str!("../../manifests/grafana/dashboard.json");

/// What the daemon of a healthy node serves, as a file.
const SAMPLE: &str = include_str!("prometheus/metrics.txt");

const YEAR: u64 = 365 * 86400;

#[test]
fn a_sample_answers_every_query() {
    let lab = Lab::new();
    let listener = lab.node().enter(|| TcpListener::bind("127.0.0.1:10261").unwrap());
    std::thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    let prometheus = Prometheus::start(&lab);
    prometheus.every_query_has_data();
    prometheus.wait_alerts("all quiet", &[]);
}

#[test]
fn the_daemon_answers_every_query() {
    let lab = Lab::new();
    let daemon = learning(&lab);
    let prometheus = Prometheus::start(&lab);
    prometheus.wait_alerts("all quiet", &[]);
    lab.master(3).kill();
    daemon.wait_condition(lab.master(3).address(), Condition::Dead);
    prometheus.wait_alerts("one apiserver is down", &["LvscareApiserverDown"]);
    lab.master(3).start();
    daemon.wait_condition(lab.master(3).address(), Condition::Alive);
    prometheus.wait_alerts("all quiet again", &[]);
    // Only now: some counters exist from their first event on.
    prometheus.every_query_has_data();
    lint(&daemon.metrics());
}

/// The daemon with everything that has metrics: it learns the masters as well.
fn learning(lab: &Lab) -> Daemon {
    name(lab, Some(&lab.addresses()));
    let daemon = Daemon::judged(lab, &["--kubeconfig", &kubeconfig(lab), "--state-dir", "none"]);
    eventually(LIMIT, "an answer of the API", || {
        let status = daemon.status()?;
        (status.virtual_servers[0].masters.as_ref()?.source == Source::Api).then_some(())
    });
    daemon
}

/// The rows of the dashboard that the picture shows end here, in units of Grafana's grid.
const BOTTOM: f64 = 47.0;

#[test]
#[ignore = "takes four minutes to draw a picture; run by make dashboard"]
fn a_picture_for_the_documentation() {
    let lab = Lab::new();
    let daemon = learning(&lab);
    let prometheus = Prometheus::start(&lab);
    let load = lab.load(lab.node(), URL, 1, LIMIT);
    // Rates and quantiles need some past.
    sleep(Duration::from_secs(30));
    let from = now();
    sleep(Duration::from_secs(40));
    lab.master(3).kill();
    sleep(Duration::from_secs(50));
    lab.master(3).start();
    sleep(Duration::from_secs(40));
    lab.master(2).control().set(Behaviour::Readyz(500));
    sleep(Duration::from_secs(40));
    lab.master(2).control().set(Behaviour::Healthy);
    sleep(Duration::from_secs(40));
    load.stop();
    assert_eq!(daemon.mode(), Some(Mode::Normal));
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let window = Window { prometheus: &prometheus, from, to: now() };
    // libtest may have begun the line.
    println!("\n{}", picture::draw(&dashboard, &window, BOTTOM));
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// What Prometheus knows of a certain time.
struct Window<'a> {
    prometheus: &'a Prometheus,
    from: f64,
    to: f64,
}

impl Window<'_> {
    fn ask(&self, path: &str, query: &str, points: &str) -> Vec<Series> {
        let query = encode(&concrete(query, "15s"));
        let ask = || self.prometheus.ask(&format!("/api/v1/{path}&query={query}"));
        let data = eventually(LIMIT, "an answer", ask);
        let series = |one: &Value| {
            let labels: BTreeMap<String, String> = serde_json::from_value(one["metric"].clone()).unwrap();
            let values = one.get(points).unwrap();
            let values =
                if points == "value" { vec![values.clone()] } else { values.as_array().unwrap().clone() };
            let point = |it: &Value| (it[0].as_f64().unwrap(), it[1].as_str().unwrap().parse().unwrap());
            Series { labels, points: values.iter().map(point).collect() }
        };
        data["result"].as_array().unwrap().iter().map(series).collect()
    }
}

impl picture::Source for Window<'_> {
    fn instant(&self, query: &str) -> Vec<Series> {
        self.ask(&format!("query?time={}", self.to), query, "value")
    }

    fn range(&self, query: &str) -> Vec<Series> {
        let path = format!("query_range?start={}&end={}&step=2", self.from, self.to);
        self.ask(&path, query, "values")
    }

    fn time(&self) -> (f64, f64) {
        (self.from, self.to)
    }
}

/// What Prometheus' own checker says of names, types and texts: nothing.
fn lint(metrics: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let path = std::env::var("PATH").unwrap_or_default();
    let mut promtool = promtool.env("PATH", format!("/usr/bin:{path}")).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(status.success() && said.is_empty(), "{status}: {said}\n{metrics}");
}

/// Answers one request, whatever it is, with the sample.
fn serve(mut stream: TcpStream) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let body = SAMPLE.replace("NOW", &now.to_string()).replace("NEXT_YEAR", &(now + YEAR).to_string());
    let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4";
    let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}

struct Prometheus {
    node: Namespace,
    process: Process,
}

impl Prometheus {
    /// Starts it on the node, which it finds by the relabelling of `scrape.yaml`; only the discovery is replaced, since
    /// there is no Kubernetes to ask (and Debian's Prometheus could not).
    fn start(lab: &Lab) -> Self {
        let directory = lab.directory();
        let begin = SCRAPE.find("    kubernetes_sd_configs:").unwrap();
        let end = SCRAPE.find("    relabel_configs:").unwrap();
        let scrape = format!(
            "global: {{evaluation_interval: 1s}}\n{}    static_configs:\n      - targets: [127.0.0.1:10250]\n        \
             labels: {{__meta_kubernetes_node_name: node}}\n{}",
            SCRAPE[..begin].replace("scrape_interval: 15s", "scrape_interval: 1s"),
            &SCRAPE[end..]
        );
        let config = directory.join("prometheus.yaml");
        fs::write(&config, scrape).unwrap();
        fs::write(directory.join("alerts.yaml"), ALERTS).unwrap();
        let program =
            if Path::new("/usr/bin/prometheus").exists() { "/usr/bin/prometheus" } else { "prometheus" };
        let process = lab.node().spawn(&[
            program,
            &format!("--config.file={}", config.display()),
            &format!("--storage.tsdb.path={}", directory.join("tsdb").display()),
            "--web.listen-address=127.0.0.1:9090",
        ]);
        let mut prometheus = Self { node: lab.node().clone(), process };
        eventually(LIMIT, "a scrape of the node", || {
            assert!(prometheus.process.ended().is_none(), "{}", prometheus.process.log());
            prometheus.has_data(r#"up{job="lvscare",instance="node"} == 1"#).then_some(())
        });
        prometheus
    }

    /// Waits until every panel and every part of every alert has data, and names those that have none.
    fn every_query_has_data(&self) {
        let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
        let mut panels = BTreeSet::new();
        strings(&dashboard["panels"], "expr", &mut panels);
        strings(&dashboard["templating"], "definition", &mut panels);
        let mut queries: BTreeSet<String> = panels.iter().map(|query| concrete(query, "1m")).collect();
        assert!(queries.len() > 30, "{queries:?}");

        // These say nothing as long as all is well, so what they look at must be there.
        let mut conditions = BTreeSet::new();
        strings(&dashboard["annotations"], "expr", &mut conditions);
        conditions.extend(self.rules().into_iter().map(|rule| rule["query"].as_str().unwrap().to_owned()));
        assert!(conditions.len() > 10, "{conditions:?}");
        queries.extend(conditions.iter().flat_map(|query| selectors(&concrete(query, "1m"))));

        let mut silent: Vec<&String> = queries.iter().collect();
        let began = std::time::Instant::now();
        while !silent.is_empty() && began.elapsed() < LIMIT {
            silent.retain(|query| !self.has_data(query));
        }
        assert!(silent.is_empty(), "no data for {silent:#?}");
    }

    /// Waits until exactly these alerts are pending or firing, and none of them is in error.
    #[track_caller]
    fn wait_alerts(&self, what: &str, wanted: &[&str]) {
        eventually(LIMIT, what, || {
            let rules = self.rules();
            // An alert that has not been looked at is quiet for no good reason.
            if rules.is_empty() || rules.iter().any(|rule| rule["health"] == "unknown") {
                return None;
            }
            let broken: Vec<&Value> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
            assert!(broken.is_empty(), "{broken:#?}");
            let active = rules.iter().filter(|rule| rule["state"] != "inactive");
            let names: Vec<&str> = active.map(|rule| rule["name"].as_str().unwrap()).collect();
            (names == wanted).then_some(())
        });
    }

    fn rules(&self) -> Vec<Value> {
        let groups = self.ask("/api/v1/rules").map(|data| data["groups"].clone()).unwrap_or_default();
        let groups = groups.as_array().cloned().unwrap_or_default();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    fn has_data(&self, query: &str) -> bool {
        let data = self.ask(&format!("/api/v1/query?query={}", encode(query)));
        data.is_some_and(|data| data["result"].as_array().is_some_and(|result| !result.is_empty()))
    }

    /// The data of an answer; `None` while Prometheus does not answer. A query that it refuses is a panic.
    fn ask(&self, path: &str) -> Option<Value> {
        let answer = self.node.enter(|| {
            let mut stream = TcpStream::connect("127.0.0.1:9090").ok()?;
            write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer)
        })?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        // It says "Service Unavailable" in plain text while it starts.
        let answer: Value = serde_json::from_str(body).ok()?;
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        Some(answer["data"].clone())
    }
}

/// All texts that stand under `key`, however deep.
fn strings(value: &Value, key: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(key).and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|inner| strings(inner, key, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| strings(inner, key, found)),
        _ => {}
    }
}

/// A query of the dashboard with everything chosen and its rates over `interval`; of a variable, what its values are
/// taken from.
fn concrete(query: &str, interval: &str) -> String {
    let query = ["$__rate_interval", "$__interval"]
        .iter()
        .fold(query.to_owned(), |all, it| all.replace(it, interval));
    let query = ["$node", "$virtual_server"].iter().fold(query, |all, it| all.replace(it, ".*"));
    assert!(!query.contains('$'), "a variable that this test does not know: {query}");
    match query.strip_prefix("label_values(").and_then(|rest| rest.split_once(',')) {
        Some((metric, _)) => metric.to_owned(),
        None => query,
    }
}

/// The series that a query looks at: the names of our metrics, each with the braces behind it.
fn selectors(query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(begin) = rest.find(|letter: char| letter.is_ascii_alphabetic()) {
        rest = &rest[begin..];
        let end =
            rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let braces = behind.strip_prefix('{').and_then(|inside| inside.find('}')).map_or(0, |at| at + 2);
        if name == "up" || name.starts_with("lvscare_") {
            found.push(format!("{name}{}", &behind[..braces]));
        }
        rest = &behind[braces..];
    }
    found
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}
