//! Trouble: changes that are refused, other hands at the same time, and addresses that come and go.

use std::collections::VecDeque;

use super::*;
use crate::survey::Survey;

/// What somebody else does between a look at the kernel and the next change.
type Hand = Box<dyn FnMut(&mut Actual)>;

/// Whether a change is refused, and why.
type Refuse = Box<dyn Fn(&Change) -> Option<Error>>;

/// A fake kernel with which things go wrong.
pub(super) struct Troubled {
    pub(super) fake: Fake,
    /// Who meddles after each look.
    hands: VecDeque<Hand>,
    /// Which changes are refused, and why.
    refuse: Refuse,
    /// How many of those refusals are left.
    refusals: usize,
}

impl Troubled {
    pub(super) fn new(fake: Fake) -> Self {
        Self { fake, hands: VecDeque::new(), refuse: Box::new(|_| None), refusals: 0 }
    }

    fn meddle(&mut self) {
        if let Some(mut hand) = self.hands.pop_front() {
            hand(&mut self.fake.state);
        }
    }
}

impl Kernel for Troubled {
    fn read_services(&mut self, services: &[SocketAddr]) -> Result<Services, Error> {
        let found = self.fake.read_services(services);
        self.meddle();
        found
    }

    fn survey(&mut self) -> Result<Survey, Error> {
        self.fake.survey()
    }

    fn read_routes(&mut self, vips: &BTreeSet<IpAddr>) -> Result<BTreeMap<IpAddr, SeenRoute>, Error> {
        self.fake.read_routes(vips)
    }

    fn read_sysctls(&mut self) -> Result<BTreeMap<Sysctl, u32>, Error> {
        self.fake.read_sysctls()
    }

    fn apply(&mut self, change: &Change) -> Result<(), Error> {
        if self.refusals > 0
            && let Some(error) = (self.refuse)(change)
        {
            self.refusals -= 1;
            return Err(error);
        }
        self.fake.apply(change)
    }

    fn clients_of(&mut self, at: SocketAddr, server: SocketAddr) -> Result<BTreeSet<SocketAddr>, Error> {
        self.fake.clients_of(at, server)
    }

    fn cut(&mut self, at: SocketAddr, clients: &BTreeSet<SocketAddr>) -> Result<usize, Error> {
        self.fake.cut(at, clients)
    }

    fn source_towards(&mut self, server: IpAddr) -> Result<Option<IpAddr>, Error> {
        self.fake.source_towards(server)
    }

    fn own_addresses(&mut self) -> Result<BTreeSet<IpAddr>, Error> {
        self.fake.own_addresses()
    }
}

impl Node {
    pub(super) fn refuse(&mut self, refusals: usize, refuse: impl Fn(&Change) -> Option<Error> + 'static) {
        self.applier.kernel.refusals = refusals;
        self.applier.kernel.refuse = Box::new(refuse);
    }

    fn meddle(&mut self, hands: impl IntoIterator<Item = fn(&mut Actual)>) {
        self.applier.kernel.hands = hands.into_iter().map(|hand| Box::new(hand) as Hand).collect();
    }
}

/// The kernel has no way to add this one server.
fn not_the_second(change: &Change) -> Option<Error> {
    let is_it = matches!(change, Change::AddServer { server, .. } if *server == addr(SERVERS[1]));
    is_it.then(|| Error::File { path: "/proc".into(), source: std::io::ErrorKind::OutOfMemory.into() })
}

#[test]
fn one_refusal_does_not_stop_the_others() {
    let mut node = Node::new();
    node.refuse(usize::MAX, not_the_second);
    let applied = node.pass();
    assert_eq!(node.weights(), [("10.0.0.1:6443".to_owned(), 1), ("10.0.0.3:6443".to_owned(), 1)]);
    assert_eq!(applied.problems, ["/proc: out of memory"]);
    assert_eq!(applied.actual.services[&addr(AT)].destinations.len(), 2, "as it is, not as it should be");
}

/// What could not be done before is nobody's damage, neither while it is refused nor when it works at last.
#[test]
fn a_late_success_is_no_repair() {
    let mut node = Node::new();
    node.refuse(2, not_the_second);
    for _ in 0..2 {
        assert_eq!(node.pass().repairs, 0);
    }
    node.now += Duration::from_secs(1);
    let applied = node.pass();
    node.assert_all_serve();
    assert_eq!((applied.repairs, applied.problems), (0, vec![]));
}

/// But damage is damage even while something else is refused.
#[test]
fn repairs_go_on_while_something_is_refused() {
    let mut node = Node::new();
    node.refuse(usize::MAX, |change| {
        let source = std::io::ErrorKind::PermissionDenied;
        matches!(change, Change::SetRoute { .. })
            .then(|| Error::File { path: "/proc".into(), source: source.into() })
    });
    node.pass();
    node.state().services.clear();
    let applied = node.pass();
    node.assert_all_serve();
    assert_eq!(applied.repairs, 4);
    assert_eq!(applied.problems, ["/proc: permission denied"]);
}

#[test]
fn a_race_is_run_again_at_once() {
    for refusals in 1..=3 {
        let mut node = Node::new();
        node.refuse(refusals, |change| Some(Error::Raced(change.to_string())));
        let applied = node.pass();
        node.assert_all_serve();
        assert_eq!((applied.repairs, applied.problems), (0, vec![]));
    }
}

/// A race without end does not keep a pass from ending.
#[test]
fn an_endless_race_is_left_to_the_next_pass() {
    let mut node = Node::settled();
    node.state().services.clear();
    node.refuse(usize::MAX, |change| Some(Error::Raced(change.to_string())));
    let applied = node.pass();
    assert!(applied.actual.services.is_empty());
    node.refuse(0, |_| None);
    node.pass();
    node.assert_all_serve();
}

/// Somebody else adds, removes or flushes just after the applier has looked.
#[test]
fn other_hands_at_the_same_time() {
    fn build(state: &mut Actual) {
        let service = Service { scheduler: "wlc".into(), flags: 0 };
        let destinations = foreign_service().destinations;
        state.services.insert(addr(AT), SeenService { service, destinations, traffic: Traffic::default() });
    }
    fn flush(state: &mut Actual) {
        state.services.remove(&addr(AT));
    }
    fn remove_one(state: &mut Actual) {
        if let Some(seen) = state.services.get_mut(&addr(AT)) {
            seen.destinations.remove(&addr(SERVERS[2]));
        }
    }
    let hands: [&[fn(&mut Actual)]; 5] =
        [&[build], &[flush], &[flush, build], &[build, flush], &[remove_one, flush]];
    for (case, hands) in hands.into_iter().enumerate() {
        for mut node in [Node::new(), Node::settled()] {
            node.judge(0, Condition::Draining, false);
            node.meddle(hands.iter().copied());
            node.pass();
            // What was done after the last look is seen at the next.
            node.pass();
            let serving: Vec<_> = node.weights().into_iter().filter(|(_, weight)| *weight > 0).collect();
            let expected = SERVERS[1..].iter().map(|&server| (server.to_owned(), 1));
            assert_eq!(serving, expected.collect::<Vec<_>>(), "hands {case}");
            assert_eq!(node.ours().service.scheduler, "rr", "hands {case}");
        }
    }
}

#[test]
fn others_are_never_touched() {
    let mut node = Node::new();
    for condition in [Condition::Alive, Condition::Sick, Condition::Dead, Condition::Alive] {
        for index in 0..3 {
            node.judge(index, condition, condition == Condition::Dead);
        }
        node.pass();
        assert_eq!(node.state().services[&addr(FOREIGN)], foreign_service());
        let route = SeenRoute { source: None, owner: RouteOwner::Foreign };
        assert_eq!(node.state().routes[&ip("10.96.0.1")], route);
    }
    let changes = node.take_changes();
    assert!(!changes.iter().any(|change| change.contains("10.96.0.1")), "{changes:?}");
}

fn source(node: &mut Node) -> Option<IpAddr> {
    node.state().routes.get(&ip(VIP)).and_then(|route| route.source)
}

/// The node gets another address; the kernel drops the route with the old one. Even if it does not say so, it is
/// noticed in time.
#[test]
fn the_route_follows_the_source_address() {
    for (dropped, told) in [(false, true), (true, true), (false, false)] {
        let mut node = Node::settled();
        node.kernel().source = Some(ip("192.168.7.7"));
        if told {
            node.applier.environment.expire();
        } else {
            node.now += environment::MAX_AGE;
        }
        if dropped {
            node.state().routes.remove(&ip(VIP));
        }
        let applied = node.pass();
        assert_eq!(node.take_changes(), ["set route local 10.103.97.2 dev lo src 192.168.7.7"]);
        assert_eq!(applied.repairs, 0);
    }
}

/// While there is no way to any server, the route stays as it was and is still guarded.
#[test]
fn no_way_for_a_while() {
    let foreign = SeenRoute { source: Some(ip("10.9.9.9")), owner: RouteOwner::Foreign };
    for damage in [None, Some(foreign)] {
        let mut node = Node::settled();
        node.kernel().source = None;
        assert_eq!(node.pass().problems, [""; 0]);
        assert_eq!(node.take_changes(), [""; 0]);
        node.state().routes.remove(&ip(VIP));
        node.state().routes.extend(damage.map(|route| (ip(VIP), route)));
        node.applier.environment.expire();
        node.pass();
        assert_eq!(source(&mut node), Some(ip("10.0.0.9")));
    }
}

#[test]
fn no_way_after_a_restart() {
    let mut node = Node::new();
    let found = SeenRoute { source: Some(ip("10.0.0.9")), owner: RouteOwner::Ours };
    node.state().routes.insert(ip(VIP), found);
    node.kernel().source = None;
    assert_eq!(node.pass().problems, [""; 0]);
    assert_eq!(source(&mut node), found.source);
}

#[test]
fn no_way_from_the_start() {
    let mut node = Node::new();
    node.kernel().source = None;
    let applied = node.pass();
    node.assert_all_serve();
    assert_eq!(source(&mut node), None);
    assert_eq!(
        applied.problems,
        [
            "no route for 10.103.97.2: this node has no way to any real server; give its address with --node-ip"
        ]
    );
    node.kernel().source = Some(ip("10.0.0.9"));
    assert_eq!(node.pass().problems, [""; 0]);
    assert_eq!(source(&mut node), Some(ip("10.0.0.9")));
}

#[test]
fn configured_source_address_wins() {
    let mut node = Node::with(Config { node_ip: Some(ip("10.0.0.77")), ..config() });
    node.pass();
    assert_eq!(source(&mut node), Some(ip("10.0.0.77")));
}

/// After a restart what is found is kept: nothing is made anew, whoever was out stays out.
#[test]
fn a_restart_changes_nothing() {
    let mut before = Node::settled();
    before.judge(0, Condition::Draining, false);
    before.ours().destinations.values_mut().for_each(|seen| seen.active = 1);
    before.pass();
    let mut after = Node::new();
    *after.state() = before.state().clone();
    after.health_table.values_mut().next().unwrap().verdict.condition = Condition::Dead;
    let applied = after.pass();
    assert_eq!(after.take_changes(), [""; 0]);
    assert_eq!(applied.repairs, 0);
    assert_eq!(after.weights()[0], ("10.0.0.1:6443".to_owned(), 0));
}
