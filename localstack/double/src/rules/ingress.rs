//! Rules of security groups: EC2 API reference, AuthorizeSecurityGroupIngress; EC2 error codes `InvalidPermission.Duplicate`,
//! `RulesPerSecurityGroupLimitExceeded`; VPC guide, "Amazon VPC quotas": 60 inbound rules, counted for IPv4 and for IPv6; as how many a prefix
//! list counts is in `prefix_lists`.

use std::collections::{BTreeMap, BTreeSet};

use crate::query::Query;
use crate::refusal::Refusal;
use crate::xml::Element;

/// One rule, as AWS counts and compares them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    protocol: String,
    from: String,
    to: String,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    V4(String),
    V6(String),
    PrefixList(String),
    Group(String),
}

/// The rules that a request asks to add.
pub(crate) fn asked(query: &Query) -> Vec<Rule> {
    let mut permissions = query.structures("IpPermissions");
    if permissions.is_empty() && query.get("IpProtocol").is_some() {
        let with_range = query.get("CidrIp").map(|range| ("IpRanges.1.CidrIp", range));
        let plain = ["IpProtocol", "FromPort", "ToPort"].iter().filter_map(|name| Some((*name, query.get(name)?)));
        permissions.push(Query::of(plain.chain(with_range)));
    }
    permissions.iter().flat_map(of_permission).collect()
}

fn of_permission(permission: &Query) -> Vec<Rule> {
    let of = |list: &str, key: &str| -> Vec<String> {
        permission.structures(list).iter().filter_map(|entry| entry.get(key).map(str::to_owned)).collect()
    };
    let sources = [
        of("IpRanges", "CidrIp").into_iter().map(Source::V4).collect::<Vec<_>>(),
        of("Ipv6Ranges", "CidrIpv6").into_iter().map(Source::V6).collect(),
        of("PrefixListIds", "PrefixListId").into_iter().map(Source::PrefixList).collect(),
        of("Groups", "GroupId").into_iter().map(Source::Group).collect(),
    ];
    let text = |name| permission.get(name).unwrap_or("-1").to_owned();
    let rule = |source| Rule {
        protocol: protocol(permission.get("IpProtocol").unwrap_or("-1")),
        from: text("FromPort"),
        to: text("ToPort"),
        source,
    };
    sources.into_iter().flatten().map(rule).collect()
}

/// The rules of a group as EC2 describes it (an `item` of `securityGroupInfo`).
pub(crate) fn existing(group: &Element) -> BTreeSet<Rule> {
    let permissions = group.child("ipPermissions").map(|list| list.children.as_slice()).unwrap_or_default();
    let of = |permission: &Element, list: &str, key: &str, source: fn(String) -> Source| -> Vec<Source> {
        let entries = permission.child(list).map(|list| list.children.as_slice()).unwrap_or_default();
        entries.iter().filter_map(|entry| entry.text_at(&[key])).map(|text| source(text.to_owned())).collect()
    };
    let rules = permissions.iter().flat_map(|permission| {
        let text = |name| permission.text_at(&[name]).filter(|text| !text.is_empty()).unwrap_or("-1").to_owned();
        let mut sources = of(permission, "ipRanges", "cidrIp", Source::V4);
        sources.extend(of(permission, "ipv6Ranges", "cidrIpv6", Source::V6));
        sources.extend(of(permission, "prefixListIds", "prefixListId", Source::PrefixList));
        sources.extend(of(permission, "groups", "groupId", Source::Group));
        let (name, from, to) = (protocol(&text("ipProtocol")), text("fromPort"), text("toPort"));
        sources.into_iter().map(move |source| Rule {
            protocol: name.clone(),
            from: from.clone(),
            to: to.clone(),
            source,
        })
    });
    rules.collect()
}

/// Names stand for numbers: API reference, IpPermission, `IpProtocol`.
fn protocol(text: &str) -> String {
    match text {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" => "icmpv6",
        other => other,
    }
    .to_owned()
}

impl Rule {
    /// The prefix list that it names.
    pub(crate) fn prefix_list(&self) -> Option<&str> {
        match &self.source {
            Source::PrefixList(list) => Some(list),
            Source::V4(_) | Source::V6(_) | Source::Group(_) => None,
        }
    }
}

/// May these rules be added to those? All or none: one duplicate refuses the request. `lists`: as how many rules prefix lists count.
pub(crate) fn add(
    asked: &[Rule],
    existing: &BTreeSet<Rule>,
    lists: &BTreeMap<String, usize>,
    quota: usize,
) -> Result<(), Refusal> {
    let mut all = existing.clone();
    for rule in asked {
        if !all.insert(rule.clone()) {
            let message = format!(
                "the specified rule \"peer: {:?}, {}, from port: {}, to port: {}, ALLOW\" already exists",
                rule.source, rule.protocol, rule.from, rule.to
            );
            return Err(Refusal::new("InvalidPermission.Duplicate", message));
        }
    }
    // Rules with a group or a prefix list as source count for both families.
    let count = |rule: &Rule| rule.prefix_list().map_or(1, |list| lists.get(list).copied().unwrap_or(1));
    let of_v6: usize = all.iter().filter(|rule| !matches!(rule.source, Source::V4(_))).map(count).sum();
    let of_v4: usize = all.iter().filter(|rule| !matches!(rule.source, Source::V6(_))).map(count).sum();
    if of_v4.max(of_v6) > quota {
        return Err(Refusal::new(
            "RulesPerSecurityGroupLimitExceeded",
            "The maximum number of rules per security group has been reached.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(ranges: &[(&str, &str)]) -> Vec<Rule> {
        asked(&Query::of(ranges.iter().enumerate().flat_map(|(index, (protocol, range))| {
            let n = index + 1;
            let list = if range.contains(':') { "Ipv6Ranges.1.CidrIpv6" } else { "IpRanges.1.CidrIp" };
            [
                (format!("IpPermissions.{n}.IpProtocol"), (*protocol).to_owned()),
                (format!("IpPermissions.{n}.FromPort"), "80".to_owned()),
                (format!("IpPermissions.{n}.ToPort"), "80".to_owned()),
                (format!("IpPermissions.{n}.{list}"), (*range).to_owned()),
            ]
        })))
    }

    #[test]
    fn a_rule_that_is_there_refuses_the_whole_request() {
        let there: BTreeSet<Rule> = ask(&[("tcp", "10.0.0.0/8")]).into_iter().collect();
        let code =
            |rules: &[(&str, &str)]| add(&ask(rules), &there, &BTreeMap::new(), 60).map_err(|refusal| refusal.code);
        assert_eq!(code(&[("tcp", "10.1.0.0/16"), ("udp", "10.0.0.0/8")]), Ok(()));
        assert_eq!(code(&[("udp", "10.1.0.0/16"), ("6", "10.0.0.0/8")]), Err("InvalidPermission.Duplicate".to_owned()));
        assert_eq!(
            code(&[("udp", "10.1.0.0/16"), ("udp", "10.1.0.0/16")]),
            Err("InvalidPermission.Duplicate".to_owned())
        );
    }

    #[test]
    fn each_family_has_its_own_quota() {
        let (none, lists) = (BTreeSet::new(), BTreeMap::new());
        let v4 = [("tcp", "10.0.0.0/8"), ("tcp", "10.0.0.0/9")];
        let mixed = [("tcp", "10.0.0.0/8"), ("tcp", "10.0.0.0/9"), ("tcp", "::/0"), ("tcp", "fd00::/8")];
        assert_eq!((add(&ask(&v4), &none, &lists, 2), add(&ask(&mixed), &none, &lists, 2)), (Ok(()), Ok(())));
        assert_eq!(add(&ask(&v4), &none, &lists, 1).unwrap_err().code, "RulesPerSecurityGroupLimitExceeded");
    }

    #[test]
    fn a_rule_that_names_a_prefix_list_counts_for_what_that_may_hold() {
        let names = [
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "80"),
            ("IpPermissions.1.ToPort", "80"),
            ("IpPermissions.1.PrefixListIds.1.PrefixListId", "pl-1"),
        ];
        let (rules, lists) = (asked(&Query::of(names)), BTreeMap::from([("pl-1".to_owned(), 20)]));
        let there: BTreeSet<Rule> = ask(&[("tcp", "10.0.0.0/8")]).into_iter().collect();
        assert_eq!(add(&rules, &there, &lists, 21), Ok(()));
        assert_eq!(add(&rules, &there, &lists, 20).unwrap_err().code, "RulesPerSecurityGroupLimitExceeded");
    }

    #[test]
    fn what_ec2_describes_reads_as_what_was_asked() {
        let described = Element::parse(
            "<item><ipPermissions><item><ipProtocol>tcp</ipProtocol><fromPort>80</fromPort><toPort>80</toPort>\
             <groups/><ipRanges><item><cidrIp>10.0.0.0/8</cidrIp></item></ipRanges></item></ipPermissions></item>",
        );
        assert_eq!(existing(&described.unwrap()).into_iter().collect::<Vec<_>>(), ask(&[("tcp", "10.0.0.0/8")]));
    }
}
