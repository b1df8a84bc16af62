//! As how many rules prefix lists count. A rule that names one that a customer keeps counts for as many as that list may have entries, however
//! many it has; one that AWS keeps has a weight
//! (<https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html#security-group-size>,
//! <https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html#aws-managed-prefix-list-weights>).

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::PrefixListId;

/// What AWS has said of a prefix list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixList {
    /// A rule that names it counts for so many.
    Counts(usize),
    /// AWS keeps it, and tells nowhere how much it weighs.
    Uncounted,
    /// There is none of this identity in the region that this account may name.
    Missing,
}

/// Those of which AWS was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixLists {
    known: BTreeMap<PrefixListId, PrefixList>,
    /// These are all that there are.
    all: bool,
}

impl PrefixLists {
    /// All that there are.
    pub fn all(lists: impl IntoIterator<Item = (PrefixListId, PrefixList)>) -> Self {
        Self { known: lists.into_iter().collect(), all: true }
    }

    /// They are all that there are.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// Nobody has asked of these.
    pub fn unknown<'a>(&self, lists: impl IntoIterator<Item = &'a PrefixListId>) -> BTreeSet<PrefixListId> {
        lists.into_iter().filter(|list| !self.all && !self.known.contains_key(*list)).cloned().collect()
    }

    /// AWS has been asked, and there is none of this identity.
    pub fn is_missing(&self, list: &PrefixListId) -> bool {
        self.known.get(list).map_or(self.all, |list| *list == PrefixList::Missing)
    }

    /// As how many rules one counts that names it: as one at least, where nobody knows. AWS has the last word then.
    pub fn rules(&self, list: &PrefixListId) -> usize {
        match self.known.get(list) {
            Some(PrefixList::Counts(rules)) => (*rules).max(1),
            Some(PrefixList::Uncounted | PrefixList::Missing) | None => 1,
        }
    }
}

impl Extend<(PrefixListId, PrefixList)> for PrefixLists {
    fn extend<T: IntoIterator<Item = (PrefixListId, PrefixList)>>(&mut self, lists: T) {
        self.known.extend(lists);
    }
}

impl FromIterator<(PrefixListId, PrefixList)> for PrefixLists {
    fn from_iter<T: IntoIterator<Item = (PrefixListId, PrefixList)>>(lists: T) -> Self {
        Self { known: lists.into_iter().collect(), all: false }
    }
}

/// How much one weighs that AWS keeps, by the end of its name, of both families
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html#aws-managed-prefix-list-weights>).
const WEIGHTS: [(&str, usize); 8] = [
    ("cloudfront.origin-facing", 55),
    ("dynamodb", 1),
    ("ec2-instance-connect", 2),
    ("groundstation", 5),
    ("route53-healthchecks", 25),
    ("s3", 1),
    ("s3express", 6),
    ("vpc-lattice", 10),
];

/// The weight of one that AWS keeps: `com.amazonaws.REGION.NAME`, `com.amazonaws.global.ipv6.NAME`. Its API leaves it out for those of
/// gateway endpoints.
pub(crate) fn weight(name: &str) -> Option<usize> {
    let (_, of_region) = name.split_once("amazonaws.")?;
    let (_, own) = of_region.split_once('.')?;
    let own = own.strip_prefix("ipv6.").unwrap_or(own);
    WEIGHTS.iter().find(|(service, _)| *service == own).map(|(_, weight)| *weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;

    #[test]
    fn a_list_that_aws_keeps_weighs_what_its_page_says() {
        for (name, expected) in [
            ("com.amazonaws.eu-central-1.s3", Some(1)),
            ("com.amazonaws.eu-central-1.s3express", Some(6)),
            ("com.amazonaws.global.cloudfront.origin-facing", Some(55)),
            ("com.amazonaws.global.ipv6.cloudfront.origin-facing", Some(55)),
            ("com.amazonaws.us-east-1.ipv6.vpc-lattice", Some(10)),
            ("com.amazonaws.us-east-1.tomorrow", None),
            ("offices", None),
        ] {
            assert_eq!(weight(name), expected, "{name}");
        }
    }

    #[test]
    fn what_nobody_knows_counts_for_one() {
        let id = |text: &str| PrefixListId::parse(text).unwrap();
        let lists: PrefixLists = [
            (id("pl-1"), PrefixList::Counts(20)),
            (id("pl-2"), PrefixList::Uncounted),
            (id("pl-3"), PrefixList::Missing),
        ]
        .into_iter()
        .collect();
        let all = ["pl-1", "pl-2", "pl-3", "pl-4"].map(id);
        assert_eq!(all.each_ref().map(|list| lists.rules(list)), [20, 1, 1, 1]);
        assert_eq!(all.each_ref().map(|list| lists.is_missing(list)), [false, false, true, false]);
        assert_eq!(lists.unknown(&all), [id("pl-4")].into());
        let lists = PrefixLists::all([(id("pl-1"), PrefixList::Counts(20))]);
        assert_eq!(
            (lists.unknown(&all).len(), lists.is_missing(&id("pl-1")), lists.is_missing(&id("pl-4"))),
            (0, false, true)
        );
    }
}
