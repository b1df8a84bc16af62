//! Security groups of EC2.

use portolan_aws_double::Quotas;

use crate::client::refused;
use crate::emulator::World;

fn rule(port: &str, source: &'static str, value: &str) -> Vec<(&'static str, String)> {
    vec![
        ("IpPermissions.1.IpProtocol", "tcp".to_owned()),
        ("IpPermissions.1.FromPort", port.to_owned()),
        ("IpPermissions.1.ToPort", port.to_owned()),
        (source, value.to_owned()),
    ]
}

const RANGE: &str = "IpPermissions.1.IpRanges.1.CidrIp";
const RANGE_V6: &str = "IpPermissions.1.Ipv6Ranges.1.CidrIpv6";
const LIST: &str = "IpPermissions.1.PrefixListIds.1.PrefixListId";
const ON_LIST: &str = "IpPermissions.1.PrefixListIds.1.Description";
const GROUP: &str = "IpPermissions.1.Groups.1.GroupId";

pub(crate) async fn rules_are_unique_and_limited(world: World) {
    let quotas = Quotas { rules_per_security_group: 2, ..Quotas::default() };
    let estate = world.estate_with(|builder| builder.quotas(quotas)).await;
    let group = estate.security_group("web").await;
    let add = async |rule: Vec<(&'static str, String)>| {
        let pairs: Vec<(&str, &str)> =
            rule.iter().map(|(name, value)| (*name, value.as_str())).chain([("GroupId", &*group)]).collect();
        estate.client.ec2("AuthorizeSecurityGroupIngress", &pairs).await.map(|_| ())
    };
    assert_eq!(add(rule("80", RANGE, "10.0.0.0/8")).await, Ok(()));
    assert_eq!(add(rule("80", RANGE, "10.0.0.0/8")).await, Err(refused("InvalidPermission.Duplicate")));
    assert_eq!(add(rule("81", RANGE, "10.0.0.0/8")).await, Ok(()));
    assert_eq!(add(rule("82", RANGE, "10.0.0.0/8")).await, Err(refused("RulesPerSecurityGroupLimitExceeded")));
    assert_eq!(add(rule("82", RANGE_V6, "fd00::/8")).await, Ok(()), "IPv6 is counted by itself");
    let revoke: Vec<(&str, String)> = rule("80", RANGE, "10.0.0.0/8");
    let revoke: Vec<(&str, &str)> =
        revoke.iter().map(|(name, value)| (*name, value.as_str())).chain([("GroupId", &*group)]).collect();
    estate.client.ec2("RevokeSecurityGroupIngress", &revoke).await.unwrap();
    assert_eq!(add(rule("82", RANGE, "10.0.0.0/8")).await, Ok(()));
}

pub(crate) async fn a_prefix_list_counts_for_what_it_may_hold_and_has_to_exist(world: World) {
    let quotas = Quotas { rules_per_security_group: 12, ..Quotas::default() };
    let estate = world.estate_with(|builder| builder.quotas(quotas)).await;
    let group = estate.security_group("web").await;
    let new = [("PrefixListName", "offices"), ("AddressFamily", "IPv4"), ("MaxEntries", "10")];
    let made = estate.client.ec2("CreateManagedPrefixList", &new).await.unwrap();
    let list = made.text_at(&["prefixList", "prefixListId"]).unwrap().to_owned();
    let add = async |rule: Vec<(&'static str, String)>| {
        let pairs: Vec<(&str, &str)> =
            rule.iter().map(|(name, value)| (*name, value.as_str())).chain([("GroupId", &*group)]).collect();
        estate.client.ec2("AuthorizeSecurityGroupIngress", &pairs).await.map(|_| ())
    };
    assert_eq!(add(rule("80", LIST, "pl-0123456789abcdef0")).await, Err(refused("InvalidPrefixListID.NotFound")));
    let described = [rule("80", LIST, &list), vec![(ON_LIST, "of a test, too".to_owned())]].concat();
    assert_eq!(add(described).await, Ok(()));
    let seen = estate.client.ec2("DescribeSecurityGroups", &[("GroupId.1", &group)]).await.unwrap();
    assert!(seen.document().contains("<description>of a test, too</description>"), "{}", seen.document());
    assert_eq!(add(rule("81", LIST, &list)).await, Err(refused("RulesPerSecurityGroupLimitExceeded")));
    assert_eq!(add(rule("81", RANGE, "10.0.0.0/8")).await, Ok(()));
    assert_eq!(add(rule("82", RANGE, "10.0.0.0/8")).await, Ok(()));
    assert_eq!(add(rule("83", RANGE, "10.0.0.0/8")).await, Err(refused("RulesPerSecurityGroupLimitExceeded")));

    let ask = async |pairs: &[(&str, &str)]| {
        let answer = estate.client.ec2("DescribeManagedPrefixLists", pairs).await?;
        let all = answer.child("prefixListSet").map(|set| set.children.clone()).unwrap_or_default();
        Ok(all.iter().map(|list| list.text_at(&["prefixListId"]).unwrap().to_owned()).collect::<Vec<_>>())
    };
    let unknown = "pl-0123456789abcdef0";
    let filter = [("Filter.1.Name", "prefix-list-id"), ("Filter.1.Value.1", &*list), ("Filter.1.Value.2", unknown)];
    assert_eq!(ask(&filter).await, Ok(vec![list.clone()]), "a filter leaves out what is not there");
    let named = [("PrefixListId.1", &*list), ("PrefixListId.2", unknown)];
    assert_eq!(ask(&named).await, Err(refused("InvalidPrefixListID.NotFound")));
    assert!(ask(&[("MaxResults", "101")]).await.is_err());
}

pub(crate) async fn a_group_that_another_names_or_a_balancer_uses_is_not_deleted(world: World) {
    let estate = world.estate().await;
    let (backend, nodes) = (estate.security_group("backend").await, estate.security_group("nodes").await);
    let named = rule("80", GROUP, &backend);
    let named: Vec<(&str, &str)> =
        named.iter().map(|(name, value)| (*name, value.as_str())).chain([("GroupId", &*nodes)]).collect();
    estate.client.ec2("AuthorizeSecurityGroupIngress", &named).await.unwrap();
    let delete = async |id: &str| estate.client.ec2("DeleteSecurityGroup", &[("GroupId", id)]).await.map(|_| ());
    assert_eq!(delete(&backend).await, Err(refused("DependencyViolation")));
    estate.client.ec2("RevokeSecurityGroupIngress", &named).await.unwrap();
    assert_eq!((delete(&backend).await, delete(&nodes).await), (Ok(()), Ok(())));
    assert!(delete(&nodes).await.is_err());
}
