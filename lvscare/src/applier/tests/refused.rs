//! What the kernel refuses for ever keeps nothing else from being as it should be.

use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::changed::{OTHER, with_registry, with_servers};
use super::*;

/// A scheduler that this kernel does not have.
const MISSING: &str = "twos";

fn with_scheduler(name: &str, mut config: Config) -> Config {
    config.services[0].scheduler = name.parse().expect("a scheduler");
    config
}

/// A reload names a scheduler that this kernel lacks; then the masters are restarted one after another.
#[test]
fn a_scheduler_that_is_missing_costs_nothing_else() {
    let mut node = Node::settled();
    node.kernel().missing_schedulers = BTreeSet::from([MISSING.to_owned()]);
    node.reconfigure(with_scheduler(MISSING, with_registry()), Condition::Alive);
    for index in 0..3 {
        node.judge(index, Condition::Dead, true);
        node.pass();
        assert_eq!(node.weights().len(), 2, "the dead one is out");
        node.judge(index, Condition::Alive, false);
        let applied = node.pass();
        node.assert_all_serve();
        assert_eq!(node.ours().service.scheduler, "rr", "it keeps what it has");
        assert_eq!(applied.problems.len(), 1);
        assert!(
            applied.problems[0].contains("10.103.97.2:6443 keeps its scheduler"),
            "{:?}",
            applied.problems
        );
        assert_eq!(applied.repairs, 0);
    }
    assert!(node.state().services.contains_key(&addr(OTHER)), "others are made");

    // It is asked for seldom, and once it is there it is used.
    node.take_changes();
    for _ in 0..100 {
        node.pass();
    }
    let tries = node.take_changes().len();
    assert!((1..=8).contains(&tries), "{tries} tries in 100 s");
    node.kernel().missing_schedulers.clear();
    node.now += Duration::from_secs(60);
    let applied = node.pass();
    assert_eq!(node.ours().service.scheduler, MISSING);
    assert_eq!((applied.repairs, applied.problems), (0, vec![]));
}

/// At the start there is nobody whom it could serve better to go on, and an operator who is looking.
#[test]
fn a_start_that_cannot_succeed_leaves_nothing_half_made() {
    let mut node = Node::with(with_scheduler(MISSING, with_registry()));
    node.kernel().missing_schedulers = BTreeSet::from([MISSING.to_owned()]);
    let before = node.state().clone();
    let error = node.applier.pass(&node.health_table, node.now).expect_err("no such scheduler");
    assert!(matches!(error, Error::NoScheduler(_)), "{error}");
    assert_eq!(*node.state(), before);
}

/// What happens between two passes.
#[derive(Clone, Debug)]
enum Step {
    Judge(usize, Condition, bool),
    Reconfigure {
        servers: Vec<&'static str>,
        scheduler: &'static str,
        has_registry: bool,
    },
    Flush,
    Delete(usize),
    SetWeight(usize, u32),
    AddStranger,
    ChangeScheduler,
    ReplaceRoute(RouteOwner),
    UnsetSysctl,
    /// Somebody makes a virtual server at an address that is nobody's.
    TakeOther,
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let conditions =
        vec![Condition::Alive, Condition::Alive, Condition::Dead, Condition::Sick, Condition::Draining];
    let owners = vec![RouteOwner::Ours, RouteOwner::Foreign];
    prop_oneof![
        6 => (0..3_usize, select(conditions), any::<bool>())
            .prop_map(|(index, condition, certain)| Step::Judge(index, condition, certain)),
        3 => (subsequence(SERVERS.to_vec(), 1..=3), select(vec!["rr", "wlc", MISSING]), any::<bool>())
            .prop_map(|(servers, scheduler, has_registry)| Step::Reconfigure { servers, scheduler, has_registry }),
        1 => Just(Step::Flush),
        1 => (0..3_usize).prop_map(Step::Delete),
        2 => (0..3_usize, 0..3_u32).prop_map(|(index, weight)| Step::SetWeight(index, weight)),
        1 => Just(Step::AddStranger),
        1 => Just(Step::ChangeScheduler),
        1 => select(owners).prop_map(Step::ReplaceRoute),
        1 => Just(Step::UnsetSysctl),
        2 => Just(Step::TakeOther),
        2 => (1..100_u64).prop_map(Step::Wait),
    ]
}

impl Node {
    fn take(&mut self, step: &Step) {
        // What surrounds the table is read when the kernel tells of a change, and now and then.
        self.applier.environment.expire();
        match step {
            Step::Judge(index, condition, certain) => {
                // Of a server that is not configured nobody has an opinion.
                if self
                    .health_table
                    .contains_key(&ServerId { service: addr(AT), server: addr(SERVERS[*index]) })
                {
                    self.judge(*index, *condition, *certain && *condition == Condition::Dead);
                }
            }
            Step::Reconfigure { servers, scheduler, has_registry } => {
                let mut config = with_scheduler(scheduler, with_servers(servers));
                if *has_registry {
                    config.services.push(with_registry().services.remove(1));
                }
                self.reconfigure(config, Condition::Alive);
            }
            Step::Flush => self.state().services.retain(|at, _| *at == addr(FOREIGN)),
            Step::Wait(seconds) => self.now += Duration::from_secs(*seconds),
            Step::TakeOther => {
                let is_ours = self.applier.active.config.service(addr(OTHER)).is_some();
                if !is_ours {
                    self.state().services.entry(addr(OTHER)).or_insert_with(foreign_service);
                }
            }
            Step::UnsetSysctl => self.state().sysctls.values_mut().for_each(|value| *value = 0),
            Step::ReplaceRoute(owner) => {
                let route = SeenRoute { source: Some(ip("10.9.9.9")), owner: *owner };
                self.state().routes.insert(ip(VIP), route);
            }
            edit => {
                let Some(seen) = self.state().services.get_mut(&addr(AT)) else { return };
                match edit {
                    Step::Delete(index) => _ = seen.destinations.remove(&addr(SERVERS[*index])),
                    Step::SetWeight(index, weight) => {
                        if let Some(seen) = seen.destinations.get_mut(&addr(SERVERS[*index])) {
                            seen.destination.weight = *weight;
                        }
                    }
                    Step::AddStranger => seen.destinations.extend(foreign_service().destinations),
                    _ => seen.service.scheduler = "sh".into(),
                }
            }
        }
    }
}

/// Any subset of changes, the same for ever.
fn is_refused(seed: u64, share: u64, change: &Change) -> bool {
    let mut hasher = DefaultHasher::new();
    (seed, change.to_string()).hash(&mut hasher);
    hasher.finish() % 100 < share
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn all_else_is_as_it_should_be(
        seed in any::<u64>(),
        share in select(vec![0_u64, 10, 40, 80]),
        steps in prop::collection::vec(any_step(), 1..25),
    ) {
        let mut node = Node::settled();
        node.kernel().missing_schedulers = BTreeSet::from([MISSING.to_owned()]);
        let is_refused = move |change: &Change| match change {
            Change::AddService { service, .. } | Change::UpdateService { service, .. } if service.scheduler == MISSING => true,
            _ => is_refused(seed, share, change),
        };
        node.refuse(usize::MAX, move |change| {
            let source = std::io::ErrorKind::OutOfMemory;
            is_refused(change).then(|| Error::File { path: change.to_string(), source: source.into() })
        });
        let foreign_route = SeenRoute { source: None, owner: RouteOwner::Foreign };
        let mut strangers: Option<SeenService> = None;
        for step in &steps {
            let had_other = node.state().services.contains_key(&addr(OTHER));
            node.take(step);
            match step {
                Step::TakeOther if !had_other => strangers = node.state().services.get(&addr(OTHER)).cloned(),
                Step::Reconfigure { has_registry: true, .. } | Step::Flush => strangers = None,
                _ => {}
            }
            let applied = node.pass();

            // Whatever is missing is refused, or has no place to be.
            let actual = node.applier.read().unwrap();
            let Decided { desired, .. } = node.applier.decide(&node.health_table, &actual, node.now);
            let missing = plan(&desired, &actual);
            for change in &missing {
                let has_place = !matches!(change, Change::AddServer { at, .. } if !actual.services.contains_key(at));
                prop_assert!(is_refused(change) || !has_place, "{step:?}: left undone: {change}");
            }
            prop_assert!(missing.is_empty() || !applied.problems.is_empty(), "nobody is told of {missing:?}");

            // The same once more, from the verdicts alone.
            let weights = node.weights();
            let weight = |server: &str| weights.iter().find(|(at, _)| at == server).map(|(_, weight)| *weight);
            let at = addr(AT);
            let verdict = |server: &str| node.health_table.get(&ServerId { service: at, server: addr(server) }).map(|entry| &entry.verdict);
            let alive: Vec<&str> = SERVERS.into_iter()
                .filter(|server| verdict(server).is_some_and(|verdict| verdict.condition == Condition::Alive))
                .collect();
            let update = |server, weight| {
                let server = addr(server);
                Change::UpdateServer { at, server, destination: Destination::masqueraded(weight) }
            };
            for server in &alive {
                let destination = Destination::masqueraded(1);
                let add = Change::AddServer { at, server: addr(server), destination };
                let is_prevented =
                    is_refused(&add) || is_refused(&update(server, 1)) || !actual.services.contains_key(&at);
                prop_assert!(weight(server) == Some(1) || is_prevented, "{server} does not serve: {weights:?}");
            }
            for server in SERVERS {
                let is_dead = verdict(server)
                    .is_some_and(|verdict| verdict.condition == Condition::Dead && verdict.certain);
                let is_prevented = is_refused(&Change::RemoveServer { at, server: addr(server) })
                    && is_refused(&update(server, 0));
                let serves = weight(server).is_some_and(|weight| weight > 0);
                prop_assert!(!(serves && is_dead && !alive.is_empty()) || is_prevented, "{server} serves: {weights:?}");
            }

            // And what is not ours is as it was.
            let services = &node.state().services;
            prop_assert_eq!(services.get(&addr(FOREIGN)), Some(&foreign_service()));
            if let Some(made) = &strangers {
                prop_assert_eq!(services.get(&addr(OTHER)), Some(made));
            }
            prop_assert_eq!(node.state().routes.get(&ip("10.96.0.1")), Some(&foreign_route));
            let others = node.take_changes().into_iter().filter(|change| change.contains("10.96.0.1"));
            prop_assert_eq!(others.count(), 0);
        }
    }
}
