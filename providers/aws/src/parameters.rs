//! The parameters of a class of this provider: whose cluster it is, what Services get that do not say, and what none may have.

mod reading;

use std::collections::{BTreeMap, BTreeSet};

use portolan_core::balancer::Scheme;
use portolan_core::class::ParameterProblem;
use serde_json::{Map, Value};

use crate::attributes::{self, AttributeKey, Attributes};
use crate::ids::{ClusterName, Id, Region, SecurityGroupId, SecurityGroupRef, SslPolicy, SubnetRef, VpcId};
use crate::settings::tags;
use crate::words::{IpAddressType, TargetType, scheme_word};

use reading::{Place, Reading};

/// What a class can set. Only `clusterName` has no default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// `clusterName`: everything is marked with it (`elbv2.k8s.aws/cluster`), and subnets are found by it.
    pub cluster_name: ClusterName,
    /// `region`: without it the SDK's own chain decides.
    pub region: Option<Region>,
    /// `vpcId`: without it that of the nodes.
    pub vpc_id: Option<VpcId>,
    /// `backendSecurityGroup`: what targets' security groups let in.
    pub backend_security_group: BackendSecurityGroup,
    /// `publishWhen`: when a name is published for the first time.
    pub publish_when: PublishWhen,
    /// `rulesPerSecurityGroup`: the account's quota of inbound rules, where it is not AWS's own of 60: AWS tells nobody who may not ask Service
    /// Quotas. At most 1,000, since a network interface takes no more
    /// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups>).
    pub rules_per_security_group: Option<usize>,
    /// `defaults`: what a Service gets that does not say.
    pub defaults: Defaults,
    /// `limits`: what no Service may have.
    pub limits: Limits,
}

/// The security group that all balancers of the cluster carry, so that the targets' security groups need one rule for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BackendSecurityGroup {
    /// `managed`: one that Portolan keeps.
    #[default]
    Managed,
    /// `none`: there is none.
    None,
    /// This one, which somebody else keeps.
    Own(SecurityGroupId),
}

/// When the name of a balancer is published for the first time. One that is published stays, whatever becomes of its targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishWhen {
    /// `active`: AWS has set it up.
    #[default]
    Active,
    /// `healthy`: AWS finds a target healthy, too. A Service without endpoints does not wait for what it cannot have.
    Healthy,
}

/// What a Service gets that does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// `scheme`: `internal` (the default) or `internet-facing`.
    pub scheme: Scheme,
    /// `targetType`: `instance` (the default) or `ip`.
    pub target_type: TargetType,
    /// `ipAddressType`: `ipv4` or `dualstack`. Without it, the Service's families decide.
    pub ip_address_type: Option<IpAddressType>,
    /// `subnets`: identifiers or names. Without them they are discovered.
    pub subnets: Vec<SubnetRef>,
    /// `securityGroups`: `managed` (the default), `none`, or a list of identifiers or names.
    pub security_groups: DefaultSecurityGroups,
    /// `sslPolicy`: of TLS listeners.
    pub ssl_policy: SslPolicy,
    /// `tags`: a Service's own tags win over these.
    pub tags: BTreeMap<String, String>,
    /// `loadBalancerAttributes`.
    pub load_balancer_attributes: Attributes,
    /// `targetGroupAttributes`; those that AWS does not take for a group's protocol are left out there.
    pub target_group_attributes: Attributes,
    /// `listenerAttributes`; those that AWS does not take for a listener's protocol are left out there.
    pub listener_attributes: Attributes,
}

/// The security groups of a balancer whose Service names none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DefaultSecurityGroups {
    /// One that Portolan keeps.
    #[default]
    Managed,
    /// None at all.
    None,
    /// These.
    Own(Vec<SecurityGroupRef>),
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            scheme: Scheme::Internal,
            target_type: TargetType::Instance,
            ip_address_type: None,
            subnets: Vec::new(),
            security_groups: DefaultSecurityGroups::default(),
            ssl_policy: SslPolicy::default(),
            tags: BTreeMap::new(),
            load_balancer_attributes: Attributes::new(),
            target_group_attributes: Attributes::new(),
            listener_attributes: Attributes::new(),
        }
    }
}

impl Parameters {
    /// Who is to reach a balancer: what the Service asks for (whether it may has been judged); else what exists, because a new default replaces
    /// nothing; else the class's. What exists and is outside of the class's limits is no reason to stay there.
    pub fn scheme(&self, asked: Option<Scheme>, existing: Option<Scheme>) -> Scheme {
        asked.or(existing.filter(|scheme| self.limits.schemes.allows(scheme))).unwrap_or(self.defaults.scheme)
    }
}

/// What no Service may have. Without one of the lists, all is allowed; with an empty one, a Service may say nothing there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `schemes`.
    pub schemes: Limit<Scheme>,
    /// `targetTypes`.
    pub target_types: Limit<TargetType>,
    /// `ipAddressTypes`.
    pub ip_address_types: Limit<IpAddressType>,
    /// `subnets`: those that a Service may name, in the same words, and that discovery may find.
    pub subnets: Limit<SubnetRef>,
    /// `securityGroups`: those that a Service may name, in the same words.
    pub security_groups: Limit<SecurityGroupRef>,
    /// `sslPolicies`.
    pub ssl_policies: Limit<SslPolicy>,
    /// `loadBalancerAttributes`: the keys that a Service may set.
    pub load_balancer_attributes: Limit<AttributeKey>,
    /// `targetGroupAttributes`: the keys that a Service may set.
    pub target_group_attributes: Limit<AttributeKey>,
    /// `listenerAttributes`: the keys that a Service may set.
    pub listener_attributes: Limit<AttributeKey>,
    /// `names`: whether a Service may name its balancer.
    pub names: bool,
    /// `staticAddresses`: whether a Service may fix its addresses.
    pub static_addresses: bool,
    /// `withoutSecurityGroups`: whether a Service may do without security groups.
    pub without_security_groups: bool,
    /// `tags`: these stand on everything, whatever a Service says.
    pub tags: BTreeMap<String, String>,
    /// `reservedTags`: keys that a Service may not set, because somebody else does.
    pub reserved_tags: BTreeSet<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            schemes: Limit::Any,
            target_types: Limit::Any,
            ip_address_types: Limit::Any,
            subnets: Limit::Any,
            security_groups: Limit::Any,
            ssl_policies: Limit::Any,
            load_balancer_attributes: Limit::Any,
            target_group_attributes: Limit::Any,
            listener_attributes: Limit::Any,
            names: true,
            static_addresses: true,
            without_security_groups: true,
            tags: BTreeMap::new(),
            reserved_tags: BTreeSet::new(),
        }
    }
}

/// A choice that a class leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Limit<T> {
    /// Everything.
    #[default]
    Any,
    /// One of these.
    Only(Vec<T>),
}

impl<T: PartialEq> Limit<T> {
    /// The class allows it.
    pub fn allows(&self, choice: &T) -> bool {
        match self {
            Self::Any => true,
            Self::Only(choices) => choices.contains(choice),
        }
    }

    /// What the class allows, to end a message; `word` spells a choice.
    pub fn told<S: ToString>(&self, word: impl Fn(&T) -> S) -> String {
        match self {
            Self::Any => "everything".to_owned(),
            Self::Only(choices) if choices.is_empty() => "none".to_owned(),
            Self::Only(choices) => {
                format!("only {}", choices.iter().map(|choice| word(choice).to_string()).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Parameters {
    /// What holds in a cluster of this name where the class says nothing more.
    pub fn new(cluster_name: ClusterName) -> Self {
        Self {
            cluster_name,
            region: None,
            vpc_id: None,
            backend_security_group: BackendSecurityGroup::default(),
            publish_when: PublishWhen::default(),
            rules_per_security_group: None,
            defaults: Defaults::default(),
            limits: Limits::default(),
        }
    }

    /// Reads the parameters of a class. Finds all problems at once.
    pub fn parse(value: &Value) -> Result<Self, Vec<ParameterProblem>> {
        let mut read = Reading::default();
        let here = Place::default();
        let nothing = Map::new();
        let fields = if value.is_null() { Some(&nothing) } else { read.object(value, &here) };
        let parameters = fields.and_then(|fields| read_parameters(fields, &here, &mut read));
        match parameters {
            Some(parameters) if read.problems.is_empty() => Ok(parameters),
            Some(_) | None => Err(read.problems),
        }
    }
}

fn read_parameters(fields: &Map<String, Value>, here: &Place, read: &mut Reading) -> Option<Parameters> {
    let (mut cluster_name, mut region, mut vpc_id) = (None, None, None);
    let mut backend_security_group = BackendSecurityGroup::default();
    let mut publish_when = PublishWhen::default();
    let mut rules_per_security_group = None;
    let (mut defaults, mut limits) = (Defaults::default(), Limits::default());
    for (key, value) in fields {
        let at = &here.child(key);
        match key.as_str() {
            "clusterName" => cluster_name = read.text(value, at, ClusterName::parse),
            "region" => region = read.text(value, at, Region::parse),
            "vpcId" => vpc_id = read.text(value, at, id),
            "backendSecurityGroup" => {
                if let Some(group) = read.text(value, at, backend) {
                    backend_security_group = group;
                }
            }
            "publishWhen" => read.into(value, at, publishing, &mut publish_when),
            "rulesPerSecurityGroup" => rules_per_security_group = read.number(value, at, 1..=1000),
            "defaults" => read_defaults(&mut defaults, value, at, read),
            "limits" => read_limits(&mut limits, value, at, read),
            _ => read.unknown(
                at,
                "no parameter of the aws provider",
                &[
                    "backendSecurityGroup",
                    "clusterName",
                    "defaults",
                    "limits",
                    "publishWhen",
                    "region",
                    "rulesPerSecurityGroup",
                    "vpcId",
                ],
            ),
        }
    }
    if !fields.contains_key("clusterName") {
        read.problem(here, "lacks clusterName, which everything at AWS is marked with and subnets are found by");
    }
    contradictions(&defaults, &limits, here, read);
    let cluster_name = cluster_name?;
    Some(Parameters {
        cluster_name,
        region,
        vpc_id,
        backend_security_group,
        publish_when,
        rules_per_security_group,
        defaults,
        limits,
    })
}

fn read_defaults(defaults: &mut Defaults, value: &Value, here: &Place, read: &mut Reading) {
    for (key, value) in read.object(value, here).into_iter().flatten() {
        let at = &here.child(key);
        match key.as_str() {
            "scheme" => read.into(value, at, scheme, &mut defaults.scheme),
            "targetType" => read.into(value, at, target_type, &mut defaults.target_type),
            "ipAddressType" => defaults.ip_address_type = read.text(value, at, ip_address_type),
            "subnets" => defaults.subnets = read.list(value, at, SubnetRef::parse),
            "securityGroups" => {
                defaults.security_groups = match value.as_str() {
                    Some("managed") => DefaultSecurityGroups::Managed,
                    Some("none") => DefaultSecurityGroups::None,
                    Some(_) => {
                        read.problem(at, "must be managed, none, or a list of security groups");
                        continue;
                    }
                    None => DefaultSecurityGroups::Own(read.list(value, at, SecurityGroupRef::parse)),
                };
            }
            "sslPolicy" => read.into(value, at, SslPolicy::parse, &mut defaults.ssl_policy),
            "tags" => defaults.tags = read_tags(value, at, read),
            "loadBalancerAttributes" => {
                defaults.load_balancer_attributes = read.attributes(value, at, attributes::LOAD_BALANCER);
            }
            "targetGroupAttributes" => {
                defaults.target_group_attributes = read.attributes(value, at, attributes::TARGET_GROUP);
            }
            "listenerAttributes" => defaults.listener_attributes = read.attributes(value, at, attributes::LISTENER),
            _ => read.unknown(
                at,
                "no default",
                &[
                    "ipAddressType",
                    "listenerAttributes",
                    "loadBalancerAttributes",
                    "scheme",
                    "securityGroups",
                    "sslPolicy",
                    "subnets",
                    "tags",
                    "targetGroupAttributes",
                    "targetType",
                ],
            ),
        }
    }
}

fn read_limits(limits: &mut Limits, value: &Value, here: &Place, read: &mut Reading) {
    for (key, value) in read.object(value, here).into_iter().flatten() {
        let at = &here.child(key);
        match key.as_str() {
            "schemes" => limits.schemes = Limit::Only(read.list(value, at, scheme)),
            "targetTypes" => limits.target_types = Limit::Only(read.list(value, at, target_type)),
            "ipAddressTypes" => limits.ip_address_types = Limit::Only(read.list(value, at, ip_address_type)),
            "subnets" => limits.subnets = Limit::Only(read.list(value, at, SubnetRef::parse)),
            "securityGroups" => limits.security_groups = Limit::Only(read.list(value, at, SecurityGroupRef::parse)),
            "sslPolicies" => limits.ssl_policies = Limit::Only(read.list(value, at, SslPolicy::parse)),
            "loadBalancerAttributes" => {
                let parse = |text: &str| AttributeKey::parse(attributes::LOAD_BALANCER, text);
                limits.load_balancer_attributes = Limit::Only(read.list(value, at, parse));
            }
            "targetGroupAttributes" => {
                let parse = |text: &str| AttributeKey::parse(attributes::TARGET_GROUP, text);
                limits.target_group_attributes = Limit::Only(read.list(value, at, parse));
            }
            "listenerAttributes" => {
                let parse = |text: &str| AttributeKey::parse(attributes::LISTENER, text);
                limits.listener_attributes = Limit::Only(read.list(value, at, parse));
            }
            "names" => read.bool(value, at, &mut limits.names),
            "staticAddresses" => read.bool(value, at, &mut limits.static_addresses),
            "withoutSecurityGroups" => read.bool(value, at, &mut limits.without_security_groups),
            "tags" => limits.tags = read_tags(value, at, read),
            "reservedTags" => {
                let key = |text: &str| tags::key(text).map(|()| text.to_owned());
                limits.reserved_tags = read.list(value, at, key).into_iter().collect();
            }
            _ => read.unknown(
                at,
                "no limit",
                &[
                    "ipAddressTypes",
                    "listenerAttributes",
                    "loadBalancerAttributes",
                    "names",
                    "reservedTags",
                    "schemes",
                    "securityGroups",
                    "sslPolicies",
                    "staticAddresses",
                    "subnets",
                    "tags",
                    "targetGroupAttributes",
                    "targetTypes",
                    "withoutSecurityGroups",
                ],
            ),
        }
    }
}

fn read_tags(value: &Value, at: &Place, read: &mut Reading) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (key, value) in read.object(value, at).into_iter().flatten() {
        let at = &at.child(key);
        if let Err(why) = tags::key(key) {
            read.problem(at, format!("{key:?} {why}"));
        }
        if let Some(value) = read.text(value, at, |text| tags::value(text).map(|()| text.to_owned())) {
            found.insert(key.clone(), value);
        }
    }
    if found.len() > tags::MOST {
        read.problem(
            at,
            format!("holds {} tags; AWS takes 50, and Portolan needs some: {} at most", found.len(), tags::MOST),
        );
    }
    found
}

/// A default that the limits forbid would refuse every Service that says nothing. Subnets and security groups of the class are the
/// admin's own choice, whatever Services may name. What could not be read contradicts nothing.
fn contradictions(defaults: &Defaults, limits: &Limits, here: &Place, read: &mut Reading) {
    if !read.problems.is_empty() {
        return;
    }
    let mut clash = |default: &str, limit: &str, is: &str, told: String| {
        let own = here.child("defaults").child(default);
        let place = if read.is_at(&own) { own } else { here.child("limits").child(limit) };
        read.problem(&place, format!("{default} is {is} by default, and the limits allow {told}"));
    };
    if !limits.schemes.allows(&defaults.scheme) {
        let told = limits.schemes.told(|scheme| scheme_word(*scheme));
        clash("scheme", "schemes", scheme_word(defaults.scheme), told);
    }
    if !limits.target_types.allows(&defaults.target_type) {
        let told = limits.target_types.told(|kind| *kind);
        clash("targetType", "targetTypes", defaults.target_type.as_str(), told);
    }
    if let Some(kind) = defaults.ip_address_type.filter(|kind| !limits.ip_address_types.allows(kind)) {
        clash("ipAddressType", "ipAddressTypes", kind.as_str(), limits.ip_address_types.told(|kind| *kind));
    }
    if !limits.ssl_policies.allows(&defaults.ssl_policy) {
        let told = limits.ssl_policies.told(|policy| policy.clone());
        clash("sslPolicy", "sslPolicies", defaults.ssl_policy.as_str(), told);
    }
}

fn scheme(text: &str) -> Result<Scheme, String> {
    match text {
        "internal" => Ok(Scheme::Internal),
        "internet-facing" | "public" => Ok(Scheme::Public),
        _ => Err("is neither internal nor internet-facing".to_owned()),
    }
}

fn publishing(text: &str) -> Result<PublishWhen, String> {
    match text {
        "active" => Ok(PublishWhen::Active),
        "healthy" => Ok(PublishWhen::Healthy),
        _ => Err("is neither active nor healthy".to_owned()),
    }
}

fn target_type(text: &str) -> Result<TargetType, String> {
    TargetType::parse(text).ok_or_else(|| format!("is none of {}", TargetType::WORDS.join(", ")))
}

fn ip_address_type(text: &str) -> Result<IpAddressType, String> {
    IpAddressType::parse(text).ok_or_else(|| format!("is none of {}", IpAddressType::WORDS.join(", ")))
}

fn backend(text: &str) -> Result<BackendSecurityGroup, String> {
    match text {
        "managed" => Ok(BackendSecurityGroup::Managed),
        "none" => Ok(BackendSecurityGroup::None),
        _ => id(text).map(BackendSecurityGroup::Own).map_err(|why: String| format!("{why}, nor managed, nor none")),
    }
}

fn id<I: Id>(text: &str) -> Result<I, String> {
    I::parse(text).ok_or_else(|| format!("is no identifier {}...", I::PREFIX))
}

#[cfg(test)]
mod tests;
