//! What the policies are, and that they are what `deploy/aws` has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::ids::ClusterName;

/// What stands in the files for the cluster's name; `deploy/aws/README.md` says how to replace it.
const PLACEHOLDER: &str = "CLUSTER_NAME";

fn document(policy: Policy) -> String {
    policy.document(&ClusterName::parse(PLACEHOLDER).unwrap())
}

fn statements(policy: Policy) -> Vec<Value> {
    let document: Value = serde_json::from_str(&document(policy)).unwrap();
    assert_eq!(document["Version"], "2012-10-17");
    document["Statement"].as_array().unwrap().clone()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// The condition keys of a statement.
fn keys(statement: &Value) -> BTreeSet<String> {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    operators.flat_map(|(_, keys)| keys.as_object().unwrap().keys().cloned()).collect()
}

#[test]
fn the_files_are_what_the_table_says() {
    for (policy, name) in [(Policy::Read, "iam-policy-read.json"), (Policy::Write, "iam-policy-write.json")] {
        let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/aws").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, document(policy)).unwrap();
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == document(policy),
            "{} is not what the table says: UPDATE_GOLDEN=1 writes it",
            file.display()
        );
    }
}

#[test]
fn every_action_is_allowed_by_one_policy_and_no_other_but_what_aws_asks_for_beside() {
    let mut allowed: BTreeMap<String, BTreeSet<Policy>> = BTreeMap::new();
    for policy in Policy::ALL {
        for statement in statements(policy) {
            for action in texts(&statement["Action"]) {
                allowed.entry(action.to_owned()).or_default().insert(policy);
            }
        }
    }
    let twice: Vec<_> = allowed.iter().filter(|(_, policies)| policies.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let called: BTreeSet<String> = Action::ALL.iter().map(ToString::to_string).collect();
    let beside: BTreeSet<String> =
        allowed.keys().filter(|action| !called.contains(*action)).map(ToOwned::to_owned).collect();
    let asked = [
        "ec2:DescribeAccountAttributes",
        "ec2:DescribeAddresses",
        "ec2:DescribeInternetGateways",
        "iam:CreateServiceLinkedRole",
    ];
    assert_eq!(beside, asked.map(str::to_owned).into());
    assert!(called.iter().all(|action| allowed.contains_key(action)));
    for policy in Policy::ALL {
        let of_this: BTreeSet<String> =
            allowed.iter().filter(|(_, policies)| policies.contains(&policy)).map(|(name, _)| name.clone()).collect();
        assert_eq!(of_this, policy.permissions());
    }
}

#[test]
fn what_reads_changes_nothing() {
    for permission in Policy::Read.permissions() {
        assert!(permission.contains(":Describe"), "{permission}");
    }
}

#[test]
fn every_write_is_bound_to_the_tag_of_the_cluster() {
    for statement in statements(Policy::Write) {
        let marked = [
            format!("aws:RequestTag/{CLUSTER}"),
            format!("aws:ResourceTag/{CLUSTER}"),
            format!("aws:ResourceTag/kubernetes.io/cluster/{PLACEHOLDER}"),
        ];
        // AWS looks at a security group's VPC too, which is nobody's; a role has no tag of ours.
        let exempt =
            texts(&statement["Resource"]) == ["arn:*:ec2:*:*:vpc/*"] || keys(&statement).contains("iam:AWSServiceName");
        assert!(exempt || !keys(&statement).is_disjoint(&marked.into()), "{statement:#}");
        let foreign = !statement["Condition"]["Null"].is_null();
        assert!(!foreign || texts(&statement["Action"]).iter().all(|action| action.ends_with("SecurityGroupIngress")));
        for (operator, conditions) in statement["Condition"].as_object().into_iter().flatten() {
            for (key, value) in conditions.as_object().unwrap() {
                assert!(!key.ends_with(CLUSTER) || value == PLACEHOLDER, "{operator} {key} {value}");
            }
        }
    }
}

/// The kinds of objects that a statement names.
fn kinds(statement: &Value) -> BTreeSet<&str> {
    let kind = |arn: &str| {
        ["loadbalancer/net/", "targetgroup/", "listener/net/", "security-group/", "vpc/", "role/"]
            .into_iter()
            .find(|kind| arn.contains(&format!(":{kind}")))
    };
    texts(&statement["Resource"]).into_iter().map(|arn| kind(arn).unwrap_or("*")).collect()
}

const TAGS: &[&str] = &["aws:RequestTag", "aws:TagKeys", "aws:ResourceTag"];

/// What AWS looks at for one action: kinds of objects, and the condition keys that go with them.
type Looked = (&'static [&'static str], &'static [&'static str]);

/// The service authorization reference: what AWS looks at for each of our writes. A key that AWS does not supply is a statement that allows
/// nothing.
fn looked_at(action: &str) -> Looked {
    match action {
        "elasticloadbalancing:CreateLoadBalancer" | "elasticloadbalancing:CreateListener" => {
            (&["loadbalancer/net/"], TAGS)
        }
        "elasticloadbalancing:CreateTargetGroup" => (&["targetgroup/"], TAGS),
        "elasticloadbalancing:ModifyLoadBalancerAttributes"
        | "elasticloadbalancing:SetSubnets"
        | "elasticloadbalancing:SetSecurityGroups"
        | "elasticloadbalancing:SetIpAddressType"
        | "elasticloadbalancing:DeleteLoadBalancer" => (&["loadbalancer/net/"], &["aws:ResourceTag"]),
        "elasticloadbalancing:ModifyTargetGroup"
        | "elasticloadbalancing:ModifyTargetGroupAttributes"
        | "elasticloadbalancing:RegisterTargets"
        | "elasticloadbalancing:DeregisterTargets"
        | "elasticloadbalancing:DeleteTargetGroup" => (&["targetgroup/"], &["aws:ResourceTag"]),
        "elasticloadbalancing:ModifyListener"
        | "elasticloadbalancing:ModifyListenerAttributes"
        | "elasticloadbalancing:AddListenerCertificates"
        | "elasticloadbalancing:RemoveListenerCertificates"
        | "elasticloadbalancing:DeleteListener" => (&["listener/net/"], &["aws:ResourceTag"]),
        "elasticloadbalancing:AddTags" => (
            &["loadbalancer/net/", "targetgroup/", "listener/net/"],
            &["aws:RequestTag", "aws:TagKeys", "aws:ResourceTag", "elasticloadbalancing:CreateAction"],
        ),
        "elasticloadbalancing:RemoveTags" => (&["loadbalancer/net/", "targetgroup/", "listener/net/"], TAGS),
        "ec2:CreateSecurityGroup" => (&["security-group/", "vpc/"], &["aws:RequestTag", "aws:TagKeys"]),
        "ec2:AuthorizeSecurityGroupIngress" | "ec2:RevokeSecurityGroupIngress" | "ec2:DeleteSecurityGroup" => {
            (&["security-group/"], &["aws:ResourceTag"])
        }
        "ec2:CreateTags" => {
            (&["security-group/"], &["aws:RequestTag", "aws:TagKeys", "aws:ResourceTag", "ec2:CreateAction"])
        }
        "ec2:DeleteTags" => (&["security-group/"], TAGS),
        "iam:CreateServiceLinkedRole" => (&["role/"], &["iam:AWSServiceName"]),
        other => panic!("{other}: look it up"),
    }
}

#[test]
fn each_condition_is_one_that_aws_looks_at_for_the_action() {
    let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for statement in statements(Policy::Write) {
        let kinds = kinds(&statement);
        let mut called_on = BTreeSet::new();
        for action in texts(&statement["Action"]) {
            let (objects, supplied) = looked_at(action);
            for key in keys(&statement) {
                let name = key.split('/').next().unwrap();
                assert!(supplied.contains(&name), "AWS does not supply {key} for {action}");
            }
            let here = objects.iter().copied().filter(|kind| kinds.contains(kind));
            called_on.extend(here.clone());
            allowed.entry(action.to_owned()).or_default().extend(here.map(str::to_owned));
        }
        assert_eq!(kinds, called_on, "what none of the actions is called on: {statement:#}");
    }
    for (action, kinds) in allowed {
        let all: BTreeSet<String> = looked_at(&action).0.iter().map(|kind| (*kind).to_owned()).collect();
        assert_eq!(kinds, all, "{action} needs each of them");
    }
}

#[test]
fn tags_at_birth_are_those_of_every_action_that_creates() {
    let listed = |policy: Policy| {
        statements(policy).into_iter().filter_map(|statement| {
            let equals = statement["Condition"]["StringEquals"].as_object()?;
            let (key, actions) = equals.iter().find(|(key, _)| key.ends_with(":CreateAction"))?;
            let service = key.split(':').next().unwrap().to_owned();
            Some(texts(actions).into_iter().map(|action| format!("{service}:{action}")).collect::<Vec<_>>())
        })
    };
    let listed: BTreeSet<String> = listed(Policy::Write).flatten().collect();
    let creating =
        Action::ALL.iter().filter(|action| action.name().starts_with("Create") && **action != Action::CreateTags);
    assert_eq!(listed, creating.map(ToString::to_string).collect());
}

/// "Quotas" of the IAM user guide: a managed policy has at most 6,144 characters, white space left out
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>); a `Sid` is of letters and digits.
#[test]
fn iam_takes_them() {
    for policy in Policy::ALL {
        let cluster = ClusterName::parse(&"x".repeat(100)).unwrap();
        let length = policy.document(&cluster).chars().filter(|c| !c.is_whitespace()).count();
        assert!(length <= 6144, "{policy:?}: {length}");
        let sids: Vec<String> =
            statements(policy).iter().map(|statement| statement["Sid"].as_str().unwrap().to_owned()).collect();
        assert!(sids.iter().all(|sid| sid.chars().all(|c| c.is_ascii_alphanumeric())), "{sids:?}");
        assert_eq!(sids.iter().collect::<BTreeSet<_>>().len(), sids.len(), "{sids:?}");
    }
}
