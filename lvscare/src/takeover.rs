//! What becomes of a virtual server that is there and that lvscare has not made. Pure.

use crate::ipvs::ServiceFlags;
use crate::model::{SeenService, WantedService};

/// Whether anything of `seen` is not in `wanted`: a setting, a real server, a weight.
pub(crate) fn loses(seen: &SeenService, wanted: &WantedService) -> bool {
    let mut servers = seen.destinations.iter();
    seen.service != wanted.service
        || !servers.all(|(server, seen)| wanted.destinations.get(server) == Some(&seen.destination))
}

/// What it has, in the words of a person who would have to make it again.
pub(crate) fn describe(seen: &SeenService) -> String {
    let mut words = vec![format!("scheduler {}", seen.service.scheduler)];
    let flags = ServiceFlags::from_bits_retain(seen.service.flags);
    if flags.contains(ServiceFlags::PERSISTENT) {
        words.push("persistent".to_owned());
    }
    let others = flags.difference(ServiceFlags::PERSISTENT | ServiceFlags::HASHED);
    if !others.is_empty() {
        words.push(format!("flags {:#x}", others.bits()));
    }
    let servers = seen.destinations.iter();
    let servers: Vec<String> =
        servers.map(|(server, seen)| format!("{server} (weight {})", seen.destination.weight)).collect();
    words.push(match servers.as_slice() {
        [] => "no real server".to_owned(),
        [one] => format!("real server {one}"),
        [most @ .., last] => format!("real servers {} and {last}", most.join(", ")),
    });
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Destination, SeenDestination, Service, Traffic};

    fn seen(flags: u32, servers: &[(&str, u32)]) -> SeenService {
        let server = |&(address, weight): &(&str, u32)| {
            let destination = Destination::masqueraded(weight);
            (address.parse().unwrap(), SeenDestination { destination, active: 3, inactive: 4 })
        };
        SeenService {
            service: Service { scheduler: "wlc".into(), flags },
            destinations: servers.iter().map(server).collect(),
            traffic: Traffic::default(),
        }
    }

    fn wanted(flags: u32, servers: &[(&str, u32)]) -> WantedService {
        let seen = seen(flags, servers);
        let destinations = seen.destinations.iter().map(|(at, seen)| (*at, seen.destination));
        WantedService { destinations: destinations.collect(), service: seen.service }
    }

    #[test]
    fn every_loss_counts() {
        let one = [("10.0.0.1:6443", 1)];
        let both = [("10.0.0.1:6443", 1), ("10.0.0.2:6443", 1)];
        assert!(!loses(&seen(0, &one), &wanted(0, &one)));
        assert!(!loses(&seen(0, &one), &wanted(0, &both)), "one more is no loss");
        assert!(loses(&seen(0, &both), &wanted(0, &one)), "a real server");
        assert!(loses(&seen(0, &[("10.0.0.1:6443", 7)]), &wanted(0, &one)), "a weight");
        assert!(loses(&seen(1, &one), &wanted(0, &one)), "a flag");
        let mut other = wanted(0, &one);
        other.service.scheduler = "rr".into();
        assert!(loses(&seen(0, &one), &other), "the scheduler");
    }

    #[test]
    fn words() {
        assert_eq!(describe(&seen(0, &[])), "scheduler wlc, no real server");
        assert_eq!(
            describe(&seen(0x0b, &[("10.0.0.1:6443", 7)])),
            "scheduler wlc, persistent, flags 0x8, real server 10.0.0.1:6443 (weight 7)"
        );
    }
}
