//! Prefix lists: networks that somebody keeps under one identity, for rules to name.

use serde::Deserialize;

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::ec2::filter::{Filters, VALUES};
use crate::client::ec2::xml::Items;
use crate::client::elb::needed;
use crate::client::error::Error;
use crate::estate::prefix_lists::{PrefixList, weight};
use crate::ids::{Id, PrefixListId};

/// The most that AWS puts on one page
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeManagedPrefixLists.html>).
const PAGE: &str = "100";

/// Whose the lists are that AWS keeps.
const AWS: &str = "AWS";

/// A list in one of these is no more, or has never been
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ManagedPrefixList.html>).
const GONE: [&str; 3] = ["create-failed", "delete-in-progress", "delete-complete"];

impl Aws {
    /// Those that exist of these, and as how many rules each counts.
    pub async fn prefix_lists(&self, ids: &[PrefixListId]) -> Result<Vec<(PrefixListId, PrefixList)>, Error> {
        let mut found = Vec::new();
        for ids in ids.chunks(VALUES) {
            let filter = Filters::new().and("prefix-list-id", ids.iter().map(PrefixListId::as_str));
            found.extend(self.prefix_lists_where(&filter).await?);
        }
        Ok(found)
    }

    /// All that match, of those that AWS keeps, that the account has and that others share with it.
    pub async fn prefix_lists_where(&self, filters: &Filters) -> Result<Vec<(PrefixListId, PrefixList)>, Error> {
        const ACTION: Action = Action::DescribeManagedPrefixLists;
        let form = filters.form().with("MaxResults", PAGE);
        let all = self
            .ec2_pages(ACTION, &form, |page: ListsXml| (page.prefix_list_set.into_iter().collect(), page.next_token));
        let there = all.await?.into_iter().filter(|list: &ListXml| !list.is_gone());
        there
            .map(|list| Ok((needed(ACTION, "prefixListId", PrefixListId::parse(&list.prefix_list_id))?, list.read())))
            .collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListsXml {
    #[serde(default)]
    prefix_list_set: Items<ListXml>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListXml {
    prefix_list_id: String,
    prefix_list_name: Option<String>,
    owner_id: Option<String>,
    state: Option<String>,
    /// Left out of lists that AWS keeps; some emulators leave the element empty.
    max_entries: Option<String>,
}

impl ListXml {
    fn is_gone(&self) -> bool {
        self.state.as_deref().is_some_and(|state| GONE.contains(&state))
    }

    fn read(self) -> PrefixList {
        let of_aws = self.owner_id.as_deref().is_some_and(|owner| owner.eq_ignore_ascii_case(AWS));
        let told = || self.max_entries.as_deref().and_then(|most| most.parse().ok());
        let counts = self.prefix_list_name.as_deref().filter(|_| of_aws).and_then(weight).or_else(told);
        counts.map_or(PrefixList::Uncounted, PrefixList::Counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inner: &str) -> (PrefixList, bool) {
        let text = format!("<item><prefixListId>pl-1</prefixListId>{inner}</item>");
        let list: ListXml = quick_xml::de::from_str(&text).unwrap();
        let is_gone = list.is_gone();
        (list.read(), is_gone)
    }

    #[test]
    fn a_customer_s_list_counts_for_what_it_may_hold_and_one_of_aws_for_its_weight() {
        let of = |owner: &str, name: &str, most: &str| {
            let name = format!("<prefixListName>{name}</prefixListName>");
            read(&format!("<ownerId>{owner}</ownerId>{name}{most}")).0
        };
        let cloudfront = "com.amazonaws.global.cloudfront.origin-facing";
        assert_eq!(of("123456789012", "offices", "<maxEntries>20</maxEntries>"), PrefixList::Counts(20));
        assert_eq!(of("AWS", cloudfront, ""), PrefixList::Counts(55));
        assert_eq!(of("AWS", cloudfront, "<maxEntries/>"), PrefixList::Counts(55));
        assert_eq!(of("AWS", "com.amazonaws.global.new", "<maxEntries>7</maxEntries>"), PrefixList::Counts(7));
        assert_eq!(of("AWS", "com.amazonaws.global.new", ""), PrefixList::Uncounted);
    }

    #[test]
    fn a_list_that_is_being_deleted_is_none() {
        for (state, is_gone) in [
            ("create-complete", false),
            ("modify-in-progress", false),
            ("delete-complete", true),
            ("create-failed", true),
        ] {
            assert_eq!(read(&format!("<state>{state}</state>")).1, is_gone, "{state}");
        }
    }
}
