//! What is taken away and what is left, on a kernel in memory.

use super::*;
use crate::config::tests::config;
use crate::kernel::fake::Fake;
use crate::model::{RouteOwner, SeenRoute};

const SOURCE: [u8; 4] = [10, 0, 0, 9];

fn fake() -> Fake {
    Fake { source: Some(SOURCE.into()), ..Fake::default() }
}

/// A kernel with a virtual server at each of these addresses.
fn with(services: &[&str]) -> Fake {
    let mut kernel = fake();
    for vs in services {
        build(&mut kernel, &config(&format!("--vs {vs} --rs 10.0.0.1:6443")).unwrap()).unwrap();
    }
    kernel
}

fn cleaned(kernel: &mut Fake, services: &[&str]) -> Vec<String> {
    let services: Vec<SocketAddr> = services.iter().map(|text| text.parse().unwrap()).collect();
    let before = kernel.state.clone();
    let preview = preview_clean(kernel, &services).unwrap();
    assert_eq!(kernel.state, before, "a preview changes nothing");
    let done = clean(kernel, &services).unwrap();
    assert_eq!(preview, done);
    done.iter().map(ToString::to_string).collect()
}

#[test]
fn a_route_stays_while_another_virtual_server_has_the_address() {
    let mut kernel = with(&["10.103.97.2:6443", "10.103.97.2:5000"]);
    assert_eq!(cleaned(&mut kernel, &["10.103.97.2:5000"]), ["remove virtual server 10.103.97.2:5000"]);
    // Of DNS, say, and nobody's business.
    kernel.other_protocols.insert([10, 103, 97, 2].into());
    assert_eq!(cleaned(&mut kernel, &["10.103.97.2:6443"]), ["remove virtual server 10.103.97.2:6443"]);
    kernel.other_protocols.clear();
    assert_eq!(cleaned(&mut kernel, &["10.103.97.2:6443"]), ["remove route local 10.103.97.2"]);
    assert_eq!(cleaned(&mut kernel, &["10.103.97.2:6443"]), [""; 0]);
}

#[test]
fn all_virtual_servers_of_an_address_go_with_its_route() {
    let both = ["10.103.97.2:5000", "10.103.97.2:6443"];
    assert_eq!(
        cleaned(&mut with(&both), &both),
        [
            "remove virtual server 10.103.97.2:5000",
            "remove virtual server 10.103.97.2:6443",
            "remove route local 10.103.97.2"
        ]
    );
}

/// What `preview` says of an administrator's virtual server with this route to its address.
fn previewed(route: Option<RouteOwner>, options: &str) -> Preview {
    let mut kernel = fake();
    let theirs = config("--scheduler wlc --rs 10.0.0.1:6443,weight=7 --rs 10.0.0.9:6443").unwrap();
    build(&mut kernel, &theirs).unwrap();
    let vip = theirs.services[0].at.ip();
    kernel.state.routes.remove(&vip);
    if let Some(owner) = route {
        kernel.state.routes.insert(vip, SeenRoute { source: Some(SOURCE.into()), owner });
    }
    preview(&mut kernel, &config(options).unwrap()).unwrap()
}

#[test]
fn what_somebody_else_would_lose_is_said_before() {
    for route in [None, Some(RouteOwner::Foreign)] {
        let preview = previewed(route, "--rs 10.0.0.1:6443");
        let [(_, what)] = &preview.taken_over[..] else { panic!("{preview:?}") };
        assert_eq!(what, "scheduler wlc, real servers 10.0.0.1:6443 (weight 7) and 10.0.0.9:6443 (weight 1)");
        assert!(!preview.changes.is_empty());
        // A real server more takes nothing away.
        let more = "--scheduler wlc --rs 10.0.0.1:6443,weight=7 --rs 10.0.0.9:6443 --rs 10.0.0.2:6443";
        assert_eq!(previewed(route, more).taken_over, []);
    }
    assert_eq!(previewed(Some(RouteOwner::Ours), "--rs 10.0.0.1:6443").taken_over, []);
}
