//! What members have asked for that holds for the whole load balancer, and who of them asked. The record remembers it, so that whoever
//! goes takes nothing from those who stay: deleting one Service must not replace the load balancer of another, nor open it to everybody.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Serialize;

use crate::balancer::Scheme;
use crate::ids::{ResourceVersion, Uid};

/// What is settled for the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// Internal or public.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Settled<Scheme>>,
    /// Who may connect; none: everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ranges: Option<Settled<Vec<IpNet>>>,
    /// The versions of the members on which the rest was settled last. Whoever knows only older ones is behind, and must not settle
    /// anything: what it takes back somebody may have asked for since.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<Uid, ResourceVersion>,
}

impl Terms {
    /// These terms, settled on these versions of the members; what has held already `before` was settled then, unless that is a version
    /// which is yet to come.
    pub fn as_of<'a>(
        self,
        before: Option<&Self>,
        members: impl IntoIterator<Item = (&'a Uid, &'a ResourceVersion)>,
    ) -> Self {
        let now: BTreeMap<Uid, ResourceVersion> =
            members.into_iter().map(|(uid, version)| (uid.clone(), version.clone())).collect();
        let was_seen = |before: &Self| !now.iter().any(|(uid, version)| before.are_newer_than(uid, version));
        let seen = match before {
            Some(before) if before.says_the_same(&self) && was_seen(before) => before.seen.clone(),
            None if Self::default().says_the_same(&self) => BTreeMap::new(),
            Some(_) | None => now,
        };
        Self { seen, ..self }
    }

    /// These terms rest on a later version of this Service.
    pub fn are_newer_than(&self, uid: &Uid, version: &ResourceVersion) -> bool {
        let seen = self.seen.get(uid).and_then(ResourceVersion::number);
        matches!((seen, version.number()), (Some(seen), Some(version)) if seen > version)
    }

    fn says_the_same(&self, other: &Self) -> bool {
        (&self.scheme, &self.source_ranges) == (&other.scheme, &other.source_ranges)
    }
}

/// One thing that is settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settled<T> {
    /// What.
    pub value: T,
    /// The members that ask for it; nobody, if those who did have gone.
    pub asked_by: Vec<Uid>,
}

/// What has become of something that was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Now<T> {
    /// It holds.
    Holds(Settled<T>),
    /// A member that asked for it is there and asks no more, nor does anybody else.
    TakenBack,
    /// Nobody has asked.
    Open,
}

/// What holds now: what somebody asks for; else what members hold that cannot be changed, or what those have left who are gone. `asks`
/// is what members that are served ask for, all the same.
pub(crate) fn settle<T: Clone + PartialEq>(
    before: Option<&Settled<T>>,
    asks: Option<Settled<T>>,
    members: &[Uid],
    held: &[Uid],
) -> Now<T> {
    let asked_before = |uid: &&Uid| before.is_some_and(|before| before.asked_by.contains(uid));
    let holding: Vec<Uid> = held.iter().filter(asked_before).cloned().collect();
    match (asks, before) {
        (Some(mut asks), before) => {
            if before.is_some_and(|before| before.value == asks.value) {
                asks.asked_by.extend(holding);
            }
            Now::Holds(asks)
        }
        (None, None) => Now::Open,
        (None, Some(_)) if holding.is_empty() && members.iter().any(|uid| asked_before(&uid)) => Now::TakenBack,
        (None, Some(before)) => Now::Holds(Settled { value: before.value.clone(), asked_by: holding }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(names: &[&str]) -> Vec<Uid> {
        names.iter().map(|name| Uid::new(*name)).collect()
    }

    fn version(number: u64) -> ResourceVersion {
        ResourceVersion::new(number.to_string())
    }

    #[test]
    fn terms_remember_on_which_versions_of_the_members_they_were_settled() {
        let web = Uid::new("web");
        let internal = |asked_by: &[&str]| Terms {
            scheme: Some(Settled { value: Scheme::Internal, asked_by: uids(asked_by) }),
            ..Terms::default()
        };
        let nothing = Terms::default().as_of(None, [(&web, &version(9))]);
        assert_eq!(nothing, Terms::default(), "nothing was settled");
        let asked = internal(&["web"]).as_of(Some(&nothing), [(&web, &version(11))]);
        let again = internal(&["web"]).as_of(Some(&asked), [(&web, &version(30))]);
        assert_eq!(again, asked, "what goes on as it was is no reason to write the record");
        for (known, behind) in [(9, true), (10, true), (11, false), (12, false)] {
            assert_eq!(asked.are_newer_than(&web, &version(known)), behind, "{known}");
        }
        let put_right = internal(&["web"]).as_of(Some(&asked), [(&web, &version(10))]);
        assert_eq!(put_right.seen, [(web.clone(), version(10))].into(), "nobody can have seen what is yet to come");
        let back = Terms::default().as_of(Some(&asked), [(&web, &version(100))]);
        assert!(back.are_newer_than(&web, &version(99)), "as numbers; also of what was taken back");
        assert!(!back.are_newer_than(&Uid::new("api"), &version(1)), "of whom nothing is known");
        assert!(!back.are_newer_than(&web, &ResourceVersion::new("no-number")));
    }

    fn settled(value: u8, asked_by: &[&str]) -> Settled<u8> {
        Settled { value, asked_by: uids(asked_by) }
    }

    #[test]
    fn what_somebody_asks_for_holds_and_only_a_member_takes_it_back() {
        let before = settled(1, &["a"]);
        for (what, asks, members, held, now) in [
            (
                "it is asked for again",
                Some(settled(1, &["a", "b"])),
                &["a", "b"][..],
                &[][..],
                Now::Holds(settled(1, &["a", "b"])),
            ),
            ("another is asked for", Some(settled(2, &["b"])), &["a", "b"], &[], Now::Holds(settled(2, &["b"]))),
            ("who asked has gone", None, &["b"], &[], Now::Holds(settled(1, &[]))),
            ("who asked takes it back", None, &["a", "b"], &[], Now::TakenBack),
            ("who asked cannot be asked", None, &["a", "b"], &["a"], Now::Holds(settled(1, &["a"]))),
            (
                "the same beside one who cannot be asked",
                Some(settled(1, &["b"])),
                &["a", "b"],
                &["a"],
                Now::Holds(settled(1, &["b", "a"])),
            ),
            (
                "another beside one who cannot be asked",
                Some(settled(2, &["b"])),
                &["a", "b"],
                &["a"],
                Now::Holds(settled(2, &["b"])),
            ),
        ] {
            assert_eq!(settle(Some(&before), asks, &uids(members), &uids(held)), now, "{what}");
        }
        assert_eq!(settle::<u8>(None, None, &uids(&["a"]), &[]), Now::Open);
    }
}
