//! Taking over what the emulator holds already, when the double is started in front of it again.
//!
//! What only a double knows is gone with the one before: attributes are as at birth, addresses in subnets, source NAT prefixes and
//! certificates beside the default one are forgotten, nothing is draining. What is taken over counts as born now.

use std::collections::BTreeMap;

use crate::estate::{Balancer, Group, Listener, Mapping, Target, TargetType};
use crate::play::Stage;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::protocols::Protocol;
use crate::rules::{attributes, health_checks, listeners};
use crate::xml::Element;

/// Learns the balancers, groups, listeners and targets of a region.
pub(crate) async fn region(stage: &mut Stage<'_>) -> Result<(), Refusal> {
    for theirs in stage.forward_all("DescribeTargetGroups", "TargetGroups", &[]).await? {
        let group = group(stage, &theirs).await?;
        stage.estate.groups.push(group);
    }
    for theirs in stage.forward_all("DescribeLoadBalancers", "LoadBalancers", &[]).await? {
        // Those of other kinds are somebody else's.
        if theirs.text_at(&["Type"]) == Some("network") {
            let balancer = balancer(stage, &theirs).await?;
            let listeners = listeners_of(stage, &balancer.arn).await?;
            stage.estate.balancers.push(balancer);
            stage.estate.listeners.extend(listeners);
        }
    }
    stage.settle();
    Ok(())
}

async fn balancer(stage: &Stage<'_>, theirs: &Element) -> Result<Balancer, Refusal> {
    let internal = theirs.text_at(&["Scheme"]) == Some("internal");
    let zones = theirs.child("AvailabilityZones").map(|zones| zones.children.as_slice()).unwrap_or_default();
    let groups = theirs.child("SecurityGroups").map(|groups| groups.children.as_slice()).unwrap_or_default();
    let mapping = |zone: &Element| Mapping {
        subnet: text(zone, "SubnetId"),
        zone: text(zone, "ZoneName"),
        allocation: None,
        private_ipv4: None,
        ipv6: None,
        source_nat_prefix: None,
    };
    let arn = text(theirs, "LoadBalancerArn");
    Ok(Balancer {
        name: text(theirs, "LoadBalancerName"),
        internal,
        vpc: text(theirs, "VpcId"),
        mappings: zones.iter().map(mapping).collect(),
        security_groups: groups.iter().map(|group| group.text.clone()).collect(),
        born_with_security_groups: !groups.is_empty(),
        dual_stack: theirs.text_at(&["IpAddressType"]) == Some("dualstack"),
        source_nat_prefix: false,
        private_link_rules: "on".to_owned(),
        attributes: attributes::of_new_balancer(internal),
        tags: tags(stage, &arn).await?,
        born: stage.now,
        arn,
    })
}

async fn group(stage: &Stage<'_>, theirs: &Element) -> Result<Group, Refusal> {
    let protocol = Protocol::read(&text(theirs, "Protocol"))?;
    let target_type = if text(theirs, "TargetType") == "ip" { TargetType::Ip } else { TargetType::Instance };
    // Their path and matcher of a TCP check are nothing to AWS.
    let is_http = text(theirs, "HealthCheckProtocol") != "TCP";
    let settings = theirs.children.iter().filter(|child| child.name != "HealthCheckPath" || is_http);
    let settings = settings.map(|child| (child.name.clone(), child.text.clone()));
    let matcher = theirs.text_at(&["Matcher", "HttpCode"]).filter(|_| is_http);
    let settings = Query::of(settings.chain(matcher.map(|codes| ("Matcher.HttpCode".to_owned(), codes.to_owned()))));
    let arn = text(theirs, "TargetGroupArn");
    Ok(Group {
        name: text(theirs, "TargetGroupName"),
        protocol,
        port: text(theirs, "Port").parse().unwrap_or_default(),
        vpc: text(theirs, "VpcId"),
        target_type,
        ipv6: theirs.text_at(&["IpAddressType"]) == Some("ipv6"),
        health_check: health_checks::read(&settings, None)?,
        attributes: attributes::of_new_group(protocol, target_type),
        tags: tags(stage, &arn).await?,
        targets: targets(stage, &arn).await?,
        born: stage.now,
        in_use_since: None,
        held_until: stage.now,
        arn,
    })
}

async fn targets(stage: &Stage<'_>, group: &str) -> Result<Vec<Target>, Refusal> {
    let theirs =
        stage.forward_all("DescribeTargetHealth", "TargetHealthDescriptions", &[("TargetGroupArn", group)]).await?;
    let target = |one: &Element| {
        let target = one.child("Target")?;
        let (id, port) = (text(target, "Id"), text(target, "Port").parse().ok()?);
        Some(Target { id, port, zone: None, registered: stage.now, leaves: None })
    };
    Ok(theirs.iter().filter_map(target).collect())
}

async fn listeners_of(stage: &Stage<'_>, balancer: &str) -> Result<Vec<Listener>, Refusal> {
    let mut all = Vec::new();
    for theirs in stage.forward_all("DescribeListeners", "Listeners", &[("LoadBalancerArn", balancer)]).await? {
        let arn = text(&theirs, "ListenerArn");
        let settings = Query::of(flat(&theirs));
        let listener = listeners::read(&settings, balancer, None)?;
        let attributes = attributes::of_new_listener(listener.protocol);
        let tags = tags(stage, &arn).await?;
        all.push(Listener { arn, attributes, tags, born: stage.now, ..listener });
    }
    Ok(all)
}

/// A described listener as the request that would make it.
fn flat(theirs: &Element) -> BTreeMap<String, String> {
    let is_tls = text(theirs, "Protocol") == "TLS";
    let mut pairs = BTreeMap::new();
    for (name, wanted) in [("Port", true), ("Protocol", true), ("SslPolicy", is_tls)] {
        pairs.extend(theirs.text_at(&[name]).filter(|_| wanted).map(|value| (name.to_owned(), value.to_owned())));
    }
    let members = |list: &str| theirs.child(list).map(|list| list.children.as_slice()).unwrap_or_default();
    if is_tls {
        let default = members("Certificates").first().map(|one| text(one, "CertificateArn"));
        pairs.extend(default.map(|arn| ("Certificates.member.1.CertificateArn".to_owned(), arn)));
        pairs.extend(members("AlpnPolicy").first().map(|one| ("AlpnPolicy.member.1".to_owned(), one.text.clone())));
    }
    if let Some(action) = members("DefaultActions").first() {
        pairs.insert("DefaultActions.member.1.Type".to_owned(), text(action, "Type"));
        let weighted =
            action.at(&["ForwardConfig", "TargetGroups"]).map(|list| list.children.as_slice()).unwrap_or_default();
        for (index, group) in weighted.iter().enumerate().filter(|_| weighted.len() > 1) {
            let member = format!("DefaultActions.member.1.ForwardConfig.TargetGroups.member.{}", index + 1);
            pairs.insert(format!("{member}.TargetGroupArn"), text(group, "TargetGroupArn"));
            pairs.extend(group.text_at(&["Weight"]).map(|weight| (format!("{member}.Weight"), weight.to_owned())));
        }
        let only = action.text_at(&["TargetGroupArn"]).map(str::to_owned);
        let only =
            only.or_else(|| weighted.first().map(|one| text(one, "TargetGroupArn"))).filter(|_| weighted.len() < 2);
        pairs.extend(only.map(|arn| ("DefaultActions.member.1.TargetGroupArn".to_owned(), arn)));
    }
    pairs
}

async fn tags(stage: &Stage<'_>, arn: &str) -> Result<BTreeMap<String, String>, Refusal> {
    let described = stage.forward_all("DescribeTags", "TagDescriptions", &[("ResourceArns.member.1", arn)]).await?;
    let tags = described.iter().filter_map(|one| one.child("Tags")).flat_map(|tags| &tags.children);
    Ok(tags.map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect())
}

fn text(element: &Element, name: &str) -> String {
    element.text_at(&[name]).unwrap_or_default().to_owned()
}
