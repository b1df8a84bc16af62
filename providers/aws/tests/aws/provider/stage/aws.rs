//! What AWS has, by nobody's account but its own, and what it was asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use portolan_aws_double::xml::Element;
use portolan_aws_double::{Call as Called, Inventory, Service as Api};

use super::Stage;
use crate::emulated::REGION;

impl Stage {
    /// What we have called since this mark of the log.
    pub(crate) fn calls(&self, mark: usize) -> Vec<Arc<Called>> {
        let ours = |call: &Arc<Called>| call.caller.access_key == "AKIDTEST";
        self.double.log().calls_since(mark).into_iter().filter(ours).collect()
    }

    /// Those of them that change something.
    pub(crate) fn writes(&self, mark: usize) -> Vec<String> {
        self.calls(mark).iter().filter(|call| call.is_mutating()).map(|call| call.action.clone()).collect()
    }

    pub(crate) fn mark(&self) -> usize {
        self.double.log().mark()
    }

    pub(crate) async fn inventory(&self) -> Inventory {
        self.double.inventory(REGION).await
    }

    /// The security groups by name, those of the network apart, and the ports and sources that each lets in.
    pub(crate) async fn security_groups(&self) -> BTreeMap<String, Vec<String>> {
        let mut groups = BTreeMap::new();
        for (name, group) in self.described_groups().await {
            let mut rules = Vec::new();
            for rule in items(&group, "ipPermissions") {
                let [protocol, from, to] =
                    ["ipProtocol", "fromPort", "toPort"].map(|name| rule.text_at(&[name]).unwrap_or("-").to_owned());
                for range in items(&rule, "ipRanges") {
                    let range = range.text_at(&["cidrIp"]).unwrap_or("-").to_owned();
                    rules.push(format!("{protocol} {from}-{to} from {range}"));
                }
            }
            rules.sort();
            groups.insert(name, rules);
        }
        groups
    }

    /// The same security groups' tags, by name.
    pub(crate) async fn security_group_tags(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let text = |tag: &Element, name: &str| tag.text_at(&[name]).unwrap_or_default().to_owned();
        let pair = |tag: &Element| (text(tag, "key"), text(tag, "value"));
        let tags = |group: &Element| items(group, "tagSet").iter().map(pair).collect();
        self.described_groups().await.iter().map(|(name, group)| (name.clone(), tags(group))).collect()
    }

    async fn described_groups(&self) -> BTreeMap<String, Element> {
        let answer = self.double.by_hand(Api::Ec2, REGION, "DescribeSecurityGroups", &[]).await.unwrap();
        let mut groups = BTreeMap::new();
        for group in items(&answer, "securityGroupInfo") {
            let text = |name: &str| group.text_at(&[name]).unwrap_or_default().to_owned();
            // The group that all balancers share has cases of its own: `client/backend.rs`.
            let is_shared = text("groupName").starts_with("portolan-targets-");
            if !is_shared && text("groupId") != self.seed.security_group && text("groupName") != "default" {
                groups.insert(text("groupName"), group);
            }
        }
        groups
    }

    /// Whether the rules of security groups count for PrivateLink, by balancer.
    pub(crate) async fn private_link(&self) -> Vec<String> {
        let api = Api::ElasticLoadBalancing;
        let answer = self.double.by_hand(api, REGION, "DescribeLoadBalancers", &[]).await.unwrap();
        let all = items(answer.child("DescribeLoadBalancersResult").unwrap(), "LoadBalancers");
        let word =
            |one: &Element| one.text_at(&["EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"]).map(str::to_owned);
        all.iter().map(|one| word(one).unwrap_or_default()).collect()
    }

    /// The id of the only security group that is not the network's.
    pub(crate) async fn security_group_id(&self) -> String {
        let answer = self.double.by_hand(Api::Ec2, REGION, "DescribeSecurityGroups", &[]).await.unwrap();
        let all = answer.child("securityGroupInfo").map(|set| set.children.clone()).unwrap_or_default();
        let name = self.security_groups().await.into_keys().next();
        let ours = all.iter().find(|group| group.text_at(&["groupName"]) == name.as_deref());
        ours.and_then(|group| group.text_at(&["groupId"])).unwrap().to_owned()
    }

    /// The attributes of an object, as AWS has them.
    pub(crate) async fn attributes(&self, action: &str, key: &str, arn: &str) -> BTreeMap<String, String> {
        let answer = self.double.by_hand(Api::ElasticLoadBalancing, REGION, action, &[(key, arn)]).await.unwrap();
        let result = answer.child(&format!("{action}Result")).unwrap();
        let pairs = result.child("Attributes").map(|set| set.children.clone()).unwrap_or_default();
        let text = |pair: &Element, name: &str| pair.text_at(&[name]).unwrap_or_default().to_owned();
        pairs.iter().map(|pair| (text(pair, "Key"), text(pair, "Value"))).collect()
    }

    /// Nothing is there, by nobody's account.
    pub(crate) async fn assert_nothing_left(&self) {
        let inventory = self.inventory().await;
        assert!(inventory.is_empty(), "{inventory:#?}");
        assert_eq!(self.security_groups().await, BTreeMap::new());
    }
}

fn items(of: &Element, set: &str) -> Vec<Element> {
    of.child(set).map(|set| set.children.clone()).unwrap_or_default()
}
