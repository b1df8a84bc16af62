//! Who gets in, through the whole provider: the rules as AWS has them.

use std::collections::BTreeSet;
use std::time::Duration;

use portolan_aws_double::Service as Api;
use portolan_aws_double::xml::Element;
use portolan_core::reason::Reason;

use super::stage::{End, Stage, annotate, on_localstack, on_stage, service};
use crate::emulated::REGION;

/// The rules of the only security group that is a balancer's own, as `tcp 80-80 10.0.0.0/8`, whatever their source is.
async fn rules(stage: &Stage) -> BTreeSet<String> {
    let id = stage.security_group_id().await;
    let answer = stage.double.by_hand(Api::Ec2, REGION, "DescribeSecurityGroups", &[("GroupId.1", &id)]).await.unwrap();
    let groups = items(&answer, "securityGroupInfo");
    let permissions = groups.iter().flat_map(|group| items(group, "ipPermissions"));
    let of_permission = |one: Element| {
        let text = |name: &str| one.text_at(&[name]).unwrap_or("*").to_owned();
        let traffic = format!("{} {}-{}", text("ipProtocol"), text("fromPort"), text("toPort"));
        let lists = [("ipRanges", "cidrIp"), ("ipv6Ranges", "cidrIpv6"), ("prefixListIds", "prefixListId")];
        let sources = lists.into_iter().flat_map(|(list, key)| {
            items(&one, list).into_iter().filter_map(move |entry| entry.text_at(&[key]).map(str::to_owned))
        });
        sources.map(|source| format!("{traffic} {source}")).collect::<Vec<_>>()
    };
    permissions.flat_map(of_permission).collect()
}

pub(super) fn items(of: &Element, list: &str) -> Vec<Element> {
    of.child(list).map(|list| list.children.clone()).unwrap_or_default()
}

fn set<const N: usize>(rules: [&str; N]) -> BTreeSet<String> {
    rules.into_iter().map(str::to_owned).collect()
}

/// A list that somebody keeps in the account, which may have so many entries.
pub(super) async fn prefix_list(stage: &Stage, name: &str, most: &str) -> String {
    let new = [("PrefixListName", name), ("AddressFamily", "IPv4"), ("MaxEntries", most)];
    let made = stage.double.by_hand(Api::Ec2, REGION, "CreateManagedPrefixList", &new).await.unwrap();
    made.text_at(&["prefixList", "prefixListId"]).unwrap().to_owned()
}

fn asked(stage: &Stage, mark: usize) -> Vec<usize> {
    let calls = stage.calls(mark).into_iter().filter(|call| call.action == "DescribeManagedPrefixLists");
    calls.map(|call| call.query.pairs().filter(|(name, _)| name.starts_with("Filter.1.Value.")).count()).collect()
}

#[tokio::test]
async fn prefix_lists_and_the_messages_of_path_mtu_get_in_and_go_again() {
    on_stage("prefix lists", lists_and_messages).await;
}

#[tokio::test]
async fn at_localstack_too_prefix_lists_and_the_messages_of_path_mtu_get_in_and_go_again() {
    on_localstack("prefix lists", lists_and_messages).await;
}

async fn lists_and_messages(mut stage: Stage) {
    let (a, b) = (&prefix_list(&stage, "a", "5").await, &prefix_list(&stage, "b", "5").await);
    stage.add(service("web", 2));
    stage.edit("web", |service| annotate(service, "security-group-prefix-lists", &format!("{a}, {b}")));
    stage.settled("web").await;
    let lists = [(80, a), (80, b), (81, a), (81, b)].map(|(port, list)| format!("tcp {port}-{port} {list}"));
    assert_eq!(rules(&stage).await, lists.into(), "and nobody else");
    assert_eq!(asked(&stage, 0), [2], "both at once");

    stage.edit("web", |service| {
        service.annotations.clear();
        service.source_ranges = vec!["10.0.0.0/8".to_owned()];
        annotate(service, "security-group-prefix-lists", b);
        annotate(service, "enable-icmp-for-path-mtu-discovery", "on");
    });
    stage.settled("web").await;
    let both = [
        "icmp 3-4 10.0.0.0/8",
        "tcp 80-80 10.0.0.0/8",
        &format!("tcp 80-80 {b}"),
        "tcp 81-81 10.0.0.0/8",
        &format!("tcp 81-81 {b}"),
    ];
    assert_eq!(rules(&stage).await, set(both));

    stage.edit("web", |service| {
        service.annotations.clear();
        service.source_ranges.clear();
    });
    stage.settled("web").await;
    assert_eq!(rules(&stage).await, set(["tcp 80-80 0.0.0.0/0", "tcp 81-81 0.0.0.0/0"]));
    assert_eq!(asked(&stage, 0).len(), 1, "what is known is not asked again");
}

#[tokio::test]
async fn a_prefix_list_counts_for_what_it_may_hold_before_anything_is_written() {
    on_stage("weights", async |mut stage| {
        let large = prefix_list(&stage, "large", "31").await;
        stage.add(service("web", 2));
        stage.edit("web", |service| annotate(service, "security-group-prefix-lists", &large));
        let end = stage.pass("web").await;
        assert!(end.message().contains("would need 62 inbound rules"), "{}", end.message());
        assert!(end.message().contains(&format!("{large} for 31")), "{}", end.message());
        assert_eq!(stage.writes(0), [""; 0]);
        assert_eq!(asked(&stage, 0), [1]);
        // One port less, and it fits.
        stage.edit("web", |service| service.ports.truncate(1));
        stage.settled("web").await;
        assert_eq!(rules(&stage).await, set([&format!("tcp 80-80 {large}")]));
    })
    .await;
}

#[tokio::test]
async fn a_prefix_list_that_does_not_exist_is_refused_by_name_until_it_does() {
    on_stage("no such list", async |mut stage| {
        let there = prefix_list(&stage, "there", "5").await;
        stage.add(service("web", 1));
        let missing = "pl-0123456789abcdef0";
        stage.edit("web", |service| annotate(service, "security-group-prefix-lists", &format!("{there},{missing}")));
        let end = stage.pass("web").await;
        assert_eq!(end.reason(), Some(Reason::ProviderRefused), "{end:?}");
        let expected = format!("there is no prefix list {missing} in this region");
        assert!(end.message().contains(&expected), "{}", end.message());
        assert_eq!(stage.writes(0), [""; 0]);
        stage.advance(Duration::from_secs(61));
        let mark = stage.mark();
        assert!(stage.pass("web").await.message().contains(&expected));
        assert_eq!(asked(&stage, mark).len(), 1, "it may be there by now");
        stage.edit("web", |service| annotate(service, "security-group-prefix-lists", &there));
        stage.settled("web").await;
        assert_eq!(rules(&stage).await, set([&format!("tcp 80-80 {there}")]));
    })
    .await;
}

#[tokio::test]
async fn nobody_asks_for_prefix_lists_where_no_service_names_one_or_nothing_is_to_be_opened() {
    on_stage("not asked", async |mut stage| {
        stage.add(service("plain", 1));
        assert!(matches!(stage.settle("plain").await, End::Settled));
        assert_eq!(asked(&stage, 0), [0; 0]);
        let list = prefix_list(&stage, "list", "5").await;
        stage.add(service("web", 1));
        stage.edit("web", |service| annotate(service, "security-group-prefix-lists", &list));
        let mark = stage.mark();
        stage.settled("web").await;
        let (_, ec2) = super::budget::cost(&stage, "web", mark).await;
        assert!(ec2.len() <= 4, "of a later Service: {ec2:?}");
        stage.restart();
        let mark = stage.mark();
        stage.settled("web").await;
        stage.run_for(Duration::from_secs(3700)).await;
        assert_eq!(asked(&stage, mark), [0; 0], "a settled estate");
    })
    .await;
}

#[tokio::test]
async fn rules_of_others_at_the_targets_count_for_what_their_prefix_lists_may_hold() {
    on_stage("lists at targets", async |mut stage| {
        let list = prefix_list(&stage, "corporate", "60").await;
        let nodes = stage.seed.security_group.clone();
        let rule = [
            ("GroupId", nodes.as_str()),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "22"),
            ("IpPermissions.1.ToPort", "22"),
            ("IpPermissions.1.PrefixListIds.1.PrefixListId", list.as_str()),
        ];
        stage.double.by_hand(Api::Ec2, REGION, "AuthorizeSecurityGroupIngress", &rule).await.unwrap();
        stage.add(service("web", 1));
        let mark = stage.mark();
        stage.settle("web").await;
        let said = stage.kept["web"].outcome.clone().unwrap();
        let no_room = "has room for 0 more inbound rules, and 1 are needed";
        assert!(said.programmed.message.contains(no_room), "{}", said.programmed.message);
        let opened = stage.calls(mark).into_iter().filter(|call| {
            call.action == "AuthorizeSecurityGroupIngress" && call.query.get("GroupId") == Some(nodes.as_str())
        });
        assert_eq!(opened.count(), 0, "that is known before AWS is asked");
        assert_eq!(asked(&stage, mark), [1]);
    })
    .await;
}
