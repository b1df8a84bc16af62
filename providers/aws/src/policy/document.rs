//! A policy as IAM reads it: one statement for each condition. An action is allowed on more kinds of objects there than it is ever called on,
//! which allows nothing more; a statement for each kind would make the document longer than IAM takes.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{CLUSTER, CREATING, On, Policy, When};
use crate::client::action::Service;
use crate::ids::ClusterName;

/// The version of the language, which is not that of the document
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html>).
const LANGUAGE: &str = "2012-10-17";

impl Policy {
    /// For the objects of this cluster, in any partition, account and region.
    pub fn document(self, cluster: &ClusterName) -> String {
        let mut statements: Vec<Statement> = Vec::new();
        for (name, (on, when)) in self.granted() {
            let resources = on.iter().map(|on| on.arn());
            match statements.iter_mut().find(|statement| statement.when == when) {
                Some(statement) => {
                    statement.actions.push(name);
                    statement.resources.extend(resources);
                }
                None => statements.push(Statement { when, actions: vec![name], resources: resources.collect() }),
            }
        }
        let statements: Vec<Value> =
            statements.into_iter().map(|statement| statement.write(cluster.as_str())).collect();
        format!("{:#}\n", json!({"Version": LANGUAGE, "Statement": statements}))
    }
}

struct Statement {
    when: When,
    actions: Vec<String>,
    resources: BTreeSet<&'static str>,
}

impl Statement {
    fn write(self, cluster: &str) -> Value {
        let mut statement = Map::new();
        statement.insert("Sid".to_owned(), self.when.name().into());
        statement.insert("Effect".to_owned(), "Allow".into());
        statement.insert("Action".to_owned(), self.actions.into());
        statement.insert("Resource".to_owned(), self.resources.into_iter().collect());
        if let Some(condition) = self.when.condition(cluster) {
            statement.insert("Condition".to_owned(), condition);
        }
        statement.into()
    }
}

impl On {
    /// A wildcard may stand for every part of an ARN but the service
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>).
    fn arn(self) -> &'static str {
        match self {
            Self::Anything => "*",
            Self::Balancers => "arn:*:elasticloadbalancing:*:*:loadbalancer/net/*/*",
            Self::Groups => "arn:*:elasticloadbalancing:*:*:targetgroup/*/*",
            Self::Listeners => "arn:*:elasticloadbalancing:*:*:listener/net/*/*/*",
            Self::SecurityGroups => "arn:*:ec2:*:*:security-group/*",
            Self::Vpcs => "arn:*:ec2:*:*:vpc/*",
            Self::ServiceRole => {
                "arn:*:iam::*:role/aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing"
            }
        }
    }
}

impl When {
    fn name(self) -> &'static str {
        match self {
            Self::Unbound => "Unbound",
            Self::Marked => "Create",
            Self::MarkedOnOurs => "CreateOnOurs",
            Self::Ours => "Change",
            Self::OfTheCluster => "OpenTargets",
            Self::Newborn(Service::LoadBalancing) => "TagAtCreation",
            Self::Newborn(Service::Ec2) => "TagAtCreationInEc2",
            Self::Tagging => "Tag",
            Self::Untagging => "Untag",
            Self::ForBalancing => "CreateServiceLinkedRole",
        }
    }

    fn condition(self, cluster: &str) -> Option<Value> {
        let asked = format!("aws:RequestTag/{CLUSTER}");
        let there = format!("aws:ResourceTag/{CLUSTER}");
        Some(match self {
            Self::Unbound => return None,
            Self::Marked => json!({"StringEquals": {asked: cluster}}),
            Self::MarkedOnOurs => json!({"StringEquals": {asked: cluster, there: cluster}}),
            Self::Ours => json!({"StringEquals": {there: cluster}}),
            // Its value says whether the cluster owns the group or shares it, and is not looked at.
            Self::OfTheCluster => {
                json!({"Null": {format!("aws:ResourceTag/kubernetes.io/cluster/{cluster}"): "false"}})
            }
            Self::Newborn(service) => {
                let actions = CREATING.iter().filter(|action| action.service() == service);
                let actions: Vec<&str> = actions.map(|action| action.name()).collect();
                json!({"StringEquals": {format!("{}:CreateAction", service.prefix()): actions, asked: cluster}})
            }
            // Where the key is not among the tags of the call, there is nothing to compare.
            Self::Tagging => json!({"StringEquals": {there: cluster}, "StringEqualsIfExists": {asked: cluster}}),
            Self::Untagging => {
                json!({"StringEquals": {there: cluster}, "ForAllValues:StringNotEquals": {"aws:TagKeys": [CLUSTER]}})
            }
            Self::ForBalancing => json!({"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}}),
        })
    }
}
