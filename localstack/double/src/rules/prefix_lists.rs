//! As how many rules a rule counts that names a prefix list: VPC guide, "Security group rules", section "Security group size", and "AWS-managed
//! prefix lists", section "AWS-managed prefix list weight"; what there is no number for counts as one. `InvalidPrefixListID.NotFound`: "Error codes
//! for the Amazon EC2 API".

use std::collections::BTreeMap;

use crate::refusal::Refusal;
use crate::xml::Element;

/// As how many rules each counts, of lists as EC2 describes them (`item` of `prefixListSet`). One that is being deleted is none.
pub(crate) fn counts(described: &[Element]) -> BTreeMap<String, usize> {
    let there = described.iter().filter(|list| list.text_at(&["state"]) != Some("delete-complete"));
    there.filter_map(|list| Some((list.text_at(&["prefixListId"])?.to_owned(), count(list)))).collect()
}

fn count(list: &Element) -> usize {
    let of_aws = list.text_at(&["ownerId"]) == Some("AWS");
    match list.text_at(&["prefixListName"]).filter(|_| of_aws) {
        Some(name) => weight(name),
        None => list.text_at(&["maxEntries"]).and_then(|most| most.parse().ok()).unwrap_or(1),
    }
}

fn weight(name: &str) -> usize {
    match name.rsplit('.').next().unwrap_or_default() {
        "origin-facing" => 55,
        "route53-healthchecks" => 25,
        "vpc-lattice" => 10,
        "s3express" => 6,
        "groundstation" => 5,
        "ec2-instance-connect" => 2,
        _ => 1,
    }
}

/// None of these is missing among those.
pub(crate) fn exist<'a>(
    asked: impl IntoIterator<Item = &'a str>,
    counts: &BTreeMap<String, usize>,
) -> Result<(), Refusal> {
    match asked.into_iter().find(|list| !counts.contains_key(*list)) {
        None => Ok(()),
        Some(list) => {
            Err(Refusal::new("InvalidPrefixListID.NotFound", format!("The prefix list ID '{list}' does not exist")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(inner: &str) -> Element {
        Element::parse(&format!("<item><prefixListId>pl-1</prefixListId>{inner}</item>")).unwrap()
    }

    #[test]
    fn a_list_counts_for_what_it_may_hold_and_one_of_aws_for_its_weight() {
        let of = |inner: &str| counts(&[list(inner)]).remove("pl-1");
        assert_eq!(of("<ownerId>1</ownerId><maxEntries>20</maxEntries>"), Some(20));
        let cloudfront = "<prefixListName>com.amazonaws.global.cloudfront.origin-facing</prefixListName>";
        assert_eq!(of(&format!("<ownerId>AWS</ownerId>{cloudfront}")), Some(55));
        assert_eq!(of("<ownerId>AWS</ownerId><prefixListName>com.amazonaws.us-east-1.s3</prefixListName>"), Some(1));
        assert_eq!(of("<state>delete-complete</state>"), None);
    }
}
