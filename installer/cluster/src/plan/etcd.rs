//! etcd decides by a majority of its members. Whether it bears that masters come and go. Pure.

use std::net::IpAddr;

use node::api::etcd::{EtcdHealth, EtcdMember};

/// Why no master may join, but for members at `gone`, which are removed before. Each new one counts before it helps.
pub fn grows(health: &EtcdHealth, gone: &[IpAddr]) -> Result<(), String> {
    let stays = |member: &&EtcdMember| !gone.iter().any(|address| member.is_at(*address));
    let troubles: Vec<_> = health.members.iter().filter(stays).filter_map(trouble).collect();
    if troubles.is_empty() {
        return Ok(());
    }
    Err(format!(
        "etcd is not well, and a further master would make it worse: {}; mend that member, or have it removed with \
         `lvscare-installer clean`",
        troubles.join(", ")
    ))
}

/// Why masters may not leave, one after the other, and be members no more.
pub fn shrinks(health: &EtcdHealth, leaving: &[IpAddr]) -> Result<(), String> {
    let mut members: Vec<_> = health.members.iter().collect();
    let troubles: Vec<_> = members.iter().copied().filter_map(trouble).collect();
    let has_majority = |members: &[&EtcdMember]| {
        let voters = members.iter().filter(|member| !member.is_learner);
        members_well(voters.clone().copied()) * 2 > voters.count()
    };
    for address in leaving {
        // They have to agree that it goes, and to go on afterwards.
        let agrees = has_majority(&members);
        let before = members.len();
        members.retain(|member| !member.is_at(*address));
        if members.len() < before && !(agrees && has_majority(&members)) {
            let all = health.members.len();
            let troubles =
                if troubles.is_empty() { String::new() } else { format!(" ({})", troubles.join(", ")) };
            return Err(format!(
                "of {all} members of etcd {} are well{troubles}; without that of {address} etcd has no majority, and the \
                 cluster would stand still; mend the others first",
                members_well(&health.members)
            ));
        }
    }
    Ok(())
}

fn members_well<'a>(members: impl IntoIterator<Item = &'a EtcdMember>) -> usize {
    members.into_iter().filter(|member| member.trouble.is_none()).count()
}

fn trouble(member: &EtcdMember) -> Option<String> {
    let why = member.trouble.as_ref()?;
    let name = if member.name.is_empty() { member.peer_urls.first()? } else { &member.name };
    Some(format!("{name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members 10.0.0.1 and so on, well or not.
    fn health(well: &[bool]) -> EtcdHealth {
        let member = |(index, well): (usize, &bool)| EtcdMember {
            name: format!("host{}", index + 1),
            peer_urls: vec![format!("https://10.0.0.{}:2380", index + 1)],
            trouble: (!well).then(|| "it is silent".to_owned()),
            ..EtcdMember::default()
        };
        EtcdHealth { members: well.iter().enumerate().map(member).collect() }
    }

    fn address(host: u8) -> IpAddr {
        [10, 0, 0, host].into()
    }

    #[test]
    fn it_grows_only_when_all_are_well() {
        assert_eq!(grows(&health(&[true, true, true]), &[]), Ok(()));
        let sick = health(&[true, false]);
        assert!(grows(&sick, &[]).unwrap_err().contains("worse: host2: it is silent; mend"));
        assert_eq!(grows(&sick, &[address(2)]), Ok(()), "it is removed before");
        let mut announced = health(&[true, false]);
        announced.members[1].name = String::new();
        assert!(grows(&announced, &[]).unwrap_err().contains("https://10.0.0.2:2380: it is silent"));
    }

    #[test]
    fn it_shrinks_only_while_a_majority_is_well() {
        for (well, leaving, may) in [
            (&[true, true, true][..], &[1][..], true),
            (&[true, true, true], &[2, 1], true),
            (&[true, true], &[1], true),
            // One that is dead anyway may always go.
            (&[true, true, false], &[3], true),
            (&[true, true, false], &[2], false),
            (&[true, true, false], &[3, 2], true),
            (&[true, true, false], &[2, 3], false),
            // Nobody can agree on anything any more.
            (&[true, false], &[2], false),
            (&[true, true, false, false, false], &[5], false),
            (&[true, true, true, false, false], &[1], false),
            (&[true, true, true, false, false], &[5, 4, 1], true),
            // Not a member at all.
            (&[true, false], &[9], true),
        ] {
            let leaving: Vec<_> = leaving.iter().map(|host| address(*host)).collect();
            let said = shrinks(&health(well), &leaving);
            assert_eq!(said.is_ok(), may, "{well:?} {leaving:?}: {said:?}");
        }
        let said = shrinks(&health(&[true, true, false]), &[address(2)]).unwrap_err();
        assert!(
            said.starts_with(
                "of 3 members of etcd 2 are well (host3: it is silent); without that of 10.0.0.2"
            ),
            "{said}"
        );
    }
}
