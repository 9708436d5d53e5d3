//! `init`, `join` and `clean`: all that is typed is understood and read before the first host is asked.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cluster::flow::lifecycle::{self, Ended, Options, Purpose};
use cluster::inventory::{Inventory, Role, Words};
use cluster::plan::members::APISERVER;
use cluster::remote::transfer::Source;
use lvscare::exit::{Exit, Failure};
use node::spec::masters::Master;
use node::spec::{NodeSpec, Spec};

use crate::cli::config::{check_words, read};
use crate::cli::lifecycle::{LifecycleRequest, What};
use crate::report::lifecycle::LifecycleReporter;
use crate::report::refuse;
use crate::report::remote::exit_of_flow;
use crate::run_log::RunLog;

/// How long the daemon's pod may take after a join.
const WAIT: Duration = Duration::from_secs(120);

/// Does it.
pub(crate) fn run(request: LifecycleRequest) -> Exit {
    let words = Words { limit: Vec::new(), ..request.words.clone() };
    let limited = Inventory::new(&request.words);
    let inventory = Inventory::new(&words);
    let (what, has_limit) = (request.what, !request.words.limit.is_empty());
    let mut mistakes = limited.as_ref().err().cloned().unwrap_or_default();
    mistakes.extend(mistakes_of(&request, inventory.as_ref().ok(), has_limit));
    let template = request.kubeadm_config.as_deref().map(|path| {
        read(path)
            .map_err(|error| mistakes.push(format!("--kubeadm-config {}: {error}", path.display())))
            .ok()
    });
    let program = Source::new(Path::new("/proc/self/exe")).map_err(|error| mistakes.push(error.to_string()));
    let login = request.login.read().map_err(|why| mistakes.extend(why));
    let (Ok(inventory), Ok(limited), Ok(program), Ok(login), true) =
        (inventory, limited, program, login, mistakes.is_empty())
    else {
        for mistake in &mistakes {
            refuse(mistake);
        }
        return Exit::Usage;
    };
    let names = inventory.hosts.iter().map(cluster::inventory::Host::name).collect();
    let mut notes = login.notes.clone();
    let package = match request.package.get(request.version, &mut |note| notes.push(note.to_owned())) {
        Ok(package) => package,
        Err(failures) => {
            for failure in &failures {
                refuse(&failure.message);
            }
            return failures.first().map_or(Exit::Image, |failure| failure.exit);
        }
    };
    let access = match login.ask(&inventory.user) {
        Ok(access) => access,
        Err(Failure { exit, message }) => {
            refuse(&message);
            return exit;
        }
    };
    let log = RunLog::begin(request.log_dir, what.name());
    let mut reporter = LifecycleReporter::new(request.output, names, request.dry_run, request.yes, log);
    for note in &notes {
        reporter.warn(note);
    }
    let options = Options {
        spec: request.spec,
        version: request.version,
        cert_sans: request.cert_sans,
        image_repository: request.repo,
        template: template.flatten(),
        validity: request.validity,
        package,
        ignore_preflight_errors: request.ignore_preflight_errors,
        wait: WAIT,
        dry_run: request.dry_run,
        by: format!("{} from another machine", what.name()),
        run: run_name(what),
    };
    let purpose = match what {
        What::Init => Purpose::Init(options),
        What::Join => Purpose::Join(options),
        What::Clean => {
            // Whoever only wants a host forgotten wants the others to stay.
            let is_asked = has_limit || request.forgotten.is_empty();
            let leaves = |at: &SocketAddr| is_asked && limited.hosts.iter().any(|host| host.at == *at);
            let places = inventory.hosts.iter().enumerate().filter(|(_, host)| leaves(&host.at));
            Purpose::Clean {
                leaving: places.map(|(place, _)| place).collect(),
                forgotten: request.forgotten,
                options,
            }
        }
    };
    let reporter = Rc::new(RefCell::new(reporter));
    let ended = lifecycle::run(&purpose, &inventory, access, &program, &reporter);
    let mut reporter = reporter.borrow_mut();
    let exit = match ended {
        Ok(Ended::Planned) if request.detailed_exitcode => Exit::Pending,
        Ok(ended) => reporter.finish(&ended),
        Err(error) => {
            let exit = exit_of_flow(&error);
            reporter.refuse(&error.to_string(), exit);
            return exit;
        }
    };
    reporter.close(exit);
    exit
}

/// What was typed and cannot be meant.
fn mistakes_of(request: &LifecycleRequest, inventory: Option<&Inventory>, has_limit: bool) -> Vec<String> {
    let is_clean = request.what == What::Clean;
    let mut mistakes = Vec::new();
    if has_limit && !is_clean {
        mistakes.push("--limit: all hosts of a cluster are needed to make it; leave it out".to_owned());
    }
    let words = check_words(&request.cert_sans, request.repo.as_ref(), None);
    mistakes.extend(words.err().map(|error| error.message));
    if is_clean && request.package.is_given() {
        mistakes.push("--pkg-url: nothing is put on hosts that leave; leave it out".to_owned());
    }
    let Some(inventory) = inventory else { return mistakes };
    mistakes.extend(check(inventory, &request.spec));
    let is_named = |address: &&IpAddr| inventory.hosts.iter().any(|host| host.at.ip() == **address);
    mistakes.extend(request.forgotten.iter().filter(is_named).map(|address| {
        format!(
            "--forget {address}: it is named as a host as well, and would be spoken with; leave it out there"
        )
    }));
    mistakes
}

/// What each node shall have must be possible with these masters.
fn check(inventory: &Inventory, spec: &NodeSpec) -> Option<String> {
    let masters = masters(inventory);
    if masters.is_empty() {
        return None;
    }
    let spec = NodeSpec { masters, ..spec.clone() };
    Spec::new(&spec, |_| Ok(Vec::new())).err().map(|failure| failure.message)
}

fn masters(inventory: &Inventory) -> Vec<Master> {
    let masters = inventory.hosts.iter().filter(|host| host.role == Some(Role::Master));
    masters.map(|host| Master::At(SocketAddr::new(host.at.ip(), APISERVER))).collect()
}

/// Of this run: runs of one second on one machine are told apart by the process.
fn run_name(what: What) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("{}-{since}-{}", what.name(), std::process::id())
}
