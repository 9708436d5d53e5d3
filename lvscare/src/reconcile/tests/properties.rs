//! Any wish against any kernel. Some virtual servers and routes there are nobody's business.

use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::kernel::Kernel;
use crate::kernel::fake::Fake;

/// Two ports on one address, and another family.
fn any_service_address() -> impl Strategy<Value = SocketAddr> {
    select(["10.103.97.2:6443", "10.103.97.2:443", "10.96.0.1:443", "[fd00::6443]:6443"].map(addr).to_vec())
}

fn any_vip() -> impl Strategy<Value = IpAddr> {
    any_service_address().prop_map(|at| at.ip())
}

fn any_source() -> impl Strategy<Value = IpAddr> {
    select(["10.0.0.9", "192.168.1.9", "fd00::9"].map(ip).to_vec())
}

fn any_service() -> impl Strategy<Value = Service> {
    (select(vec!["rr", "wlc", "fo"]), 0_u32..2)
        .prop_map(|(scheduler, flags)| Service { scheduler: scheduler.to_owned(), flags })
}

fn any_server() -> impl Strategy<Value = SocketAddr> {
    (1_u8..6).prop_map(|last| SocketAddr::from(([10, 0, 0, last], 6443)))
}

fn any_destination() -> impl Strategy<Value = Destination> {
    let forwarding = select(vec![Forwarding::Masquerade, Forwarding::Other(3)]);
    (0_u32..3, forwarding, 0_u32..2).prop_map(|(weight, forwarding, upper_threshold)| Destination {
        weight,
        forwarding,
        upper_threshold,
    })
}

fn any_seen_service() -> impl Strategy<Value = SeenService> {
    let destinations = btree_map(any_server(), any_destination().prop_map(seen), 0..5);
    (any_service(), destinations).prop_map(|(service, destinations)| SeenService {
        service,
        destinations,
        traffic: Traffic::default(),
    })
}

fn any_wanted_service() -> impl Strategy<Value = WantedService> {
    (any_service(), btree_map(any_server(), any_destination(), 0..5))
        .prop_map(|(service, destinations)| WantedService { service, destinations })
}

fn any_route() -> impl Strategy<Value = SeenRoute> {
    let owner = select(vec![RouteOwner::Ours, RouteOwner::Interface, RouteOwner::Foreign]);
    (option::of(any_source()), owner).prop_map(|(source, owner)| SeenRoute { source, owner })
}

prop_compose! {
    fn any_actual()(
        services in btree_map(any_service_address(), any_seen_service(), 0..5),
        routes in btree_map(any_vip(), any_route(), 0..4),
        sysctls in btree_map(Just(Sysctl::ExpireNodestConn), 0_u32..2, 0..2),
    ) -> Actual {
        Actual { services, routes, sysctls }
    }
}

prop_compose! {
    fn any_desired()(
        services in btree_map(any_service_address(), option::weighted(0.8, any_wanted_service()), 0..4),
        routes in btree_map(any_vip(), option::weighted(0.8, any_source()), 0..3),
        sysctls in btree_map(Just(Sysctl::ExpireNodestConn), 0_u32..2, 0..2),
    ) -> Desired {
        Desired { services, routes, sysctls }
    }
}

/// Whether `actual` is as `desired` says.
fn is_reached(desired: &Desired, before: &Actual, actual: &Actual) {
    for (at, wanted) in &desired.services {
        let seen = actual.services.get(at).map(|seen| WantedService {
            service: seen.service.clone(),
            destinations: seen.destinations.iter().map(|(&at, seen)| (at, seen.destination)).collect(),
        });
        assert_eq!(seen, *wanted, "{at}");
    }
    for (vip, wanted) in &desired.routes {
        let (before, now) = (before.routes.get(vip), actual.routes.get(vip));
        let is = |owner| before.is_some_and(|route| route.owner == owner);
        match wanted {
            _ if is(RouteOwner::Interface) => assert_eq!(now, before, "{vip} belongs to an interface"),
            Some(source) => assert_eq!(now.unwrap().source, Some(*source), "{vip}"),
            None if is(RouteOwner::Foreign) => assert_eq!(now, before, "{vip} is not ours to remove"),
            None => assert_eq!(now, None, "{vip}"),
        }
    }
    for (sysctl, before) in &before.sysctls {
        assert_eq!(actual.sysctls[sysctl], *desired.sysctls.get(sysctl).unwrap_or(before));
    }
}

/// Whether what `desired` does not mention is as it was.
fn is_untouched(desired: &Desired, before: &Actual, actual: &Actual) {
    let foreign = |state: &Actual| {
        let mut state = state.clone();
        state.services.retain(|at, _| !desired.services.contains_key(at));
        state.routes.retain(|vip, _| !desired.routes.contains_key(vip));
        state.sysctls.retain(|sysctl, _| !desired.sysctls.contains_key(sysctl));
        state
    };
    assert_eq!(foreign(actual), foreign(before));
}

/// Whether somebody takes the connections of our virtual server.
fn serves(actual: &Actual) -> bool {
    let destinations = &actual.services[&addr(AT)].destinations;
    destinations.values().any(|seen| seen.destination.weight > 0)
}

proptest! {
    #[test]
    fn reaches_what_is_wanted_and_touches_nothing_else(desired in any_desired(), before in any_actual()) {
        let mut kernel = Fake { state: before.clone(), ..Fake::default() };
        for change in plan(&desired, &before) {
            kernel.apply(&change).unwrap();
        }
        is_reached(&desired, &before, &kernel.state);
        is_untouched(&desired, &before, &kernel.state);
        prop_assert_eq!(plan(&desired, &kernel.state), []);
    }

    /// A virtual server that serves and shall go on serving does so at every step in between.
    #[test]
    fn serves_at_every_step(wanted in any_wanted_service(), before in any_seen_service()) {
        prop_assume!(wanted.destinations.values().any(|destination| destination.weight > 0));
        let mut kernel = Fake::default();
        kernel.state.services.insert(addr(AT), before);
        prop_assume!(serves(&kernel.state));

        let mut desired = Desired::default();
        desired.services.insert(addr(AT), Some(wanted));
        for change in plan(&desired, &kernel.state) {
            kernel.apply(&change).unwrap();
            prop_assert!(serves(&kernel.state), "nobody serves after: {change}");
        }
    }

    /// Connections to a server that stays are not lost: it is changed, not made anew.
    #[test]
    fn servers_that_stay_keep_their_connections(desired in any_desired(), before in any_actual()) {
        let mut kernel = Fake { state: before.clone(), ..Fake::default() };
        for change in plan(&desired, &before) {
            kernel.apply(&change).unwrap();
        }
        for (at, wanted) in &desired.services {
            let (Some(wanted), Some(before)) = (wanted, before.services.get(at)) else { continue };
            let stays = |server: &&SocketAddr| before.destinations.contains_key(server);
            for server in wanted.destinations.keys().filter(stays) {
                prop_assert_eq!(kernel.state.services[at].destinations[server].active, 7);
            }
        }
    }

    /// `clean` leaves nothing of ours, and everything else.
    #[test]
    fn clean_removes_exactly_ours(before in any_actual()) {
        let ours = [addr("10.103.97.2:6443"), addr("[fd00::6443]:6443")];
        let mut kernel = Fake { state: before.clone(), ..Fake::default() };
        crate::oneshot::clean(&mut kernel, &ours).unwrap();

        let mut expected = before;
        expected.services.retain(|at, _| !ours.contains(at));
        let services = expected.services.clone();
        expected.routes.retain(|vip, route| {
            route.owner != RouteOwner::Ours
                || ours.iter().all(|at| at.ip() != *vip)
                || services.keys().any(|at| at.ip() == *vip)
        });
        prop_assert_eq!(kernel.state, expected);
    }
}
