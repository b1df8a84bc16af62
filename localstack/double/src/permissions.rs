//! What the callers' IAM policies allow: a list of actions, or documents with all that stands in them.
//!
//! Sources: "Elastic Load Balancing API permissions" and "API permissions to tag resources during creation" (Elastic Load Balancing user
//! guide), "Grant permission to tag Amazon EC2 resources during creation" (EC2 user guide), for what a call needs beside its own action;
//! "Error codes for the Amazon EC2 API": `UnauthorizedOperation`. ELB's "Common Errors" name `AccessDeniedException` with status 400; what
//! users report from the wire is `AccessDenied` with 403, and that is what the double says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::caller::{Scope, Service};
use crate::play::{Stage, rights};
use crate::policy::Policies;
use crate::query::Query;
use crate::refusal::Refusal;

/// The code of a call that is not allowed.
pub(crate) const DENIED: &str = "AccessDenied";

/// The same of EC2.
pub(crate) const DENIED_BY_EC2: &str = "UnauthorizedOperation";

/// The permissions. Cheap to clone: all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Permissions(Arc<Mutex<Rights>>);

#[derive(Debug, Clone, Default)]
enum Rights {
    #[default]
    Everything,
    /// These actions, whatever they are called on.
    Actions(BTreeSet<String>),
    /// What these documents say.
    Policies(Arc<Policies>),
}

impl Permissions {
    /// From now on nothing else is allowed than these, as IAM writes them: `ec2:DescribeVpcs`. Resources and conditions are not looked at.
    pub fn allow(&self, actions: impl IntoIterator<Item = impl Into<String>>) {
        *self.rights() = Rights::Actions(actions.into_iter().map(Into::into).collect());
    }

    /// From now on nothing else is allowed than what these documents allow, with their resources and conditions.
    pub fn enforce(&self, policies: Policies) {
        *self.rights() = Rights::Policies(Arc::new(policies));
    }

    /// Everything is allowed, as it is unless a test says otherwise.
    pub fn allow_everything(&self) {
        *self.rights() = Rights::Everything;
    }

    /// Takes an action away from those that [`Permissions::allow`] has given.
    pub fn revoke(&self, action: &str) {
        if let Rights::Actions(allowed) = &mut *self.rights() {
            allowed.remove(action);
        }
    }

    fn rights(&self) -> MutexGuard<'_, Rights> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn check(&self, stage: &Stage<'_>, scope: &Scope, query: &Query) -> Result<(), Refusal> {
        let rights = self.rights().clone();
        let lacking = match rights {
            Rights::Everything => None,
            Rights::Actions(allowed) => {
                needed(&scope.service, query).into_iter().find(|action| !allowed.contains(action))
            }
            Rights::Policies(policies) => {
                let asked = rights::asked(stage, &scope.service, query).await;
                let lacking = asked.into_iter().find(|asked| !policies.allow(asked));
                lacking.map(|asked| format!("{} on resource: {}", asked.action, asked.resource))
            }
        };
        lacking.map_or(Ok(()), |lacking| Err(denied(scope, &lacking)))
    }
}

fn denied(scope: &Scope, lacking: &str) -> Refusal {
    let why = format!("{} is not authorized to perform: {lacking}", scope.caller.access_key);
    match scope.service {
        Service::Ec2 => Refusal::with_status(
            DENIED_BY_EC2,
            403,
            format!("You are not authorized to perform this operation. User: {why}"),
        ),
        Service::ElasticLoadBalancing | Service::Other(_) => Refusal::with_status(DENIED, 403, format!("User: {why}")),
    }
}

/// The action itself, and what AWS asks for beside it.
pub(crate) fn needed(service: &Service, query: &Query) -> Vec<String> {
    let action = query.action();
    let (prefix, beside): (&str, &[&str]) = match service {
        Service::ElasticLoadBalancing => ("elasticloadbalancing", beside(action)),
        Service::Ec2 => ("ec2", &[]),
        // Passed through as it is.
        Service::Other(_) => return Vec::new(),
    };
    let tags: &[&str] = match action {
        "CreateLoadBalancer" | "CreateTargetGroup" | "CreateListener" if query.has("Tags") => {
            &["elasticloadbalancing:AddTags"]
        }
        "CreateSecurityGroup" if query.has("TagSpecification") => &["ec2:CreateTags"],
        _ => &[],
    };
    [format!("{prefix}:{action}")].into_iter().chain(beside.iter().chain(tags).map(|one| (*one).to_owned())).collect()
}

/// "Required permissions for the 2015-12-01 API".
fn beside(action: &str) -> &'static [&'static str] {
    match action {
        "CreateLoadBalancer" => &[
            "ec2:DescribeAccountAttributes",
            "ec2:DescribeAddresses",
            "ec2:DescribeInternetGateways",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
            "iam:CreateServiceLinkedRole",
        ],
        "CreateTargetGroup" => &["ec2:DescribeInternetGateways", "ec2:DescribeVpcs"],
        "RegisterTargets" => {
            &["ec2:DescribeInstances", "ec2:DescribeInternetGateways", "ec2:DescribeSubnets", "ec2:DescribeVpcs"]
        }
        "SetIpAddressType" | "SetSubnets" => &["ec2:DescribeSubnets"],
        _ => &[],
    }
}
