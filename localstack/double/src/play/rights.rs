//! What a call asks of IAM: on which objects, with which tags. The service authorization reference says which object and which keys AWS looks
//! at for each action.

use std::collections::BTreeMap;

use crate::caller::Service;
use crate::network::items;
use crate::permissions;
use crate::play::Stage;
use crate::policy::Asked;
use crate::query::Query;
use crate::xml::Element;

const SERVICE_ROLE: &str = "arn:aws:iam::123456789012:role/aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing";

/// An object with its tags, or one that is not there yet.
type Object = (String, BTreeMap<String, String>);

/// All that has to be allowed. Of what does not exist nothing is asked: the call ends in its own words.
pub(crate) async fn asked(stage: &Stage<'_>, service: &Service, query: &Query) -> Vec<Asked> {
    let needed = permissions::needed(service, query);
    let tags = requested(query);
    let mut all = Vec::new();
    for (index, action) in needed.into_iter().enumerate() {
        let objects = match (index, service) {
            // What AWS asks for beside: at birth the tags, of what is being made; and what it looks at without an object.
            (1.., _) if action.ends_with("Tags") => newborn(stage, query),
            (1.., _) if action.starts_with("iam:") => vec![(SERVICE_ROLE.to_owned(), BTreeMap::new())],
            (1.., _) => vec![anything()],
            (0, Service::Ec2) => ec2(stage, query).await,
            (0, Service::ElasticLoadBalancing | Service::Other(_)) => balancing(stage, query),
        };
        for (resource, own) in objects {
            let mut context: BTreeMap<String, Vec<String>> = BTreeMap::new();
            let prefix = action.split(':').next().unwrap_or_default();
            if index > 0 {
                context.insert(format!("{prefix}:CreateAction"), vec![query.action().to_owned()]);
                context.insert("iam:AWSServiceName".to_owned(), vec!["elasticloadbalancing.amazonaws.com".to_owned()]);
            }
            context.extend(own.into_iter().map(|(key, value)| (format!("aws:ResourceTag/{key}"), vec![value])));
            if !tags.is_empty() {
                context.insert("aws:TagKeys".to_owned(), tags.keys().cloned().collect());
            }
            context.extend(tags.iter().map(|(key, value)| (format!("aws:RequestTag/{key}"), vec![value.clone()])));
            all.push(Asked { action: action.clone(), resource, context });
        }
    }
    all
}

fn anything() -> Object {
    ("*".to_owned(), BTreeMap::new())
}

/// The tags of the request, or the keys of tags that shall go.
fn requested(query: &Query) -> BTreeMap<String, String> {
    let text = |tag: &Query, name| tag.get(name).unwrap_or_default().to_owned();
    let specified = query.structures("TagSpecification").into_iter().flat_map(|one| one.structures("Tag"));
    let tags = query.structures("Tags").into_iter().chain(query.structures("Tag")).chain(specified);
    let keys = query.list("TagKeys").into_iter().map(|key| (key.to_owned(), String::new()));
    tags.map(|tag| (text(&tag, "Key"), text(&tag, "Value"))).chain(keys).collect()
}

fn newborn(stage: &Stage<'_>, query: &Query) -> Vec<Object> {
    let elb = |kind: &str| format!("arn:aws:elasticloadbalancing:{}:123456789012:{kind}", stage.region);
    let name = query.get("Name").unwrap_or_default();
    let arn = match query.action() {
        "CreateLoadBalancer" => elb(&format!("loadbalancer/net/{name}/0")),
        "CreateTargetGroup" => elb(&format!("targetgroup/{name}/0")),
        "CreateListener" => elb("listener/net/of/0/0"),
        _ => security_group(stage, "sg-0"),
    };
    vec![(arn, BTreeMap::new())]
}

fn security_group(stage: &Stage<'_>, id: &str) -> String {
    format!("arn:aws:ec2:{}:123456789012:security-group/{id}", stage.region)
}

fn balancing(stage: &Stage<'_>, query: &Query) -> Vec<Object> {
    match query.action() {
        action if action.starts_with("Describe") => vec![anything()],
        "CreateLoadBalancer" | "CreateTargetGroup" => newborn(stage, query),
        _ => {
            let singles = ["LoadBalancerArn", "TargetGroupArn", "ListenerArn"];
            let named = singles.into_iter().filter_map(|name| query.get(name)).chain(query.list("ResourceArns"));
            named.filter_map(|arn| Some((arn.to_owned(), tags_of(stage, arn)?))).collect()
        }
    }
}

fn tags_of(stage: &Stage<'_>, arn: &str) -> Option<BTreeMap<String, String>> {
    let balancer = || stage.estate.balancer(arn).map(|one| one.tags.clone());
    let group = || stage.estate.group(arn).map(|one| one.tags.clone());
    balancer().or_else(group).or_else(|| stage.estate.listener(arn).map(|one| one.tags.clone()))
}

async fn ec2(stage: &Stage<'_>, query: &Query) -> Vec<Object> {
    let ids: Vec<&str> = match query.action() {
        "CreateSecurityGroup" => {
            let vpc = query.get("VpcId").unwrap_or_default();
            let vpc = format!("arn:aws:ec2:{}:123456789012:vpc/{vpc}", stage.region);
            return newborn(stage, query).into_iter().chain([(vpc, BTreeMap::new())]).collect();
        }
        "AuthorizeSecurityGroupIngress" | "RevokeSecurityGroupIngress" | "DeleteSecurityGroup" => {
            query.get("GroupId").into_iter().collect()
        }
        "CreateTags" | "DeleteTags" => query.list("ResourceId"),
        _ => return vec![anything()],
    };
    let mut objects = Vec::new();
    for id in ids {
        let Ok(groups) = stage.network().security_groups(&[id.to_owned()]).await else { continue };
        objects.extend(groups.iter().map(|group| (security_group(stage, id), own_tags(group))));
    }
    objects
}

fn own_tags(group: &Element) -> BTreeMap<String, String> {
    let text = |tag: &Element, name: &str| tag.text_at(&[name]).unwrap_or_default().to_owned();
    items(group, "tagSet").iter().map(|tag| (text(tag, "key"), text(tag, "value"))).collect()
}
