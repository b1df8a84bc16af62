//! A step as a line of the dry run, with the call that it costs.

use std::fmt;

use super::{Action, Api, AttributesOf, ListenerOf, Object, SecurityGroupOf, Step, Tagged};
use crate::estate::Known;
use crate::names::Kind;
use crate::words::scheme_word;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateSecurityGroup { name, vpc, .. } => write!(f, "create security group {name} in VPC {vpc}")?,
            Self::OpenRules { group, rules } => write!(f, "let in {} at security group {group}", listed(rules))?,
            Self::CloseRules { group, rules } => {
                write!(f, "let in no more {} at security group {group}", listed(rules))?;
            }
            Self::DeleteSecurityGroup { id, name } => write!(f, "delete security group {name} ({id})")?,
            Self::CreateGroup { name, kind, .. } => write!(f, "create target group {name}: {kind}")?,
            Self::SetHealthCheck { group, .. } => write!(f, "set the health check of target group {group}")?,
            Self::SetAttributes { of, values, .. } => {
                let values = listed(values.iter().map(|(key, value)| format!("{key}={value}")));
                write!(f, "set {values} of {of}")?;
            }
            Self::CreateBalancer { name, generation, scheme, ip_address_type, subnets, .. } => {
                let scheme = scheme_word(*scheme);
                write!(f, "create {scheme} {ip_address_type} load balancer {name}, generation {generation}, in ")?;
                match subnets {
                    Known::Known(subnets) => f.write_str(&listed(subnets.iter().map(|mapping| &mapping.subnet)))?,
                    Known::Unknown => f.write_str("subnets that only AWS knows")?,
                }
            }
            Self::SetIpAddressType { balancer, ip_address_type } => write!(f, "make {balancer} {ip_address_type}")?,
            Self::SetSubnets { balancer, subnets } => {
                write!(f, "put {balancer} in {}", listed(subnets.iter().map(|mapping| &mapping.subnet)))?;
            }
            Self::SetSecurityGroups { balancer, security_groups, private_link } => {
                write!(f, "give {balancer} the security groups {}", listed(security_groups))?;
                if let Some(switch) = private_link {
                    write!(f, ", for PrivateLink {switch}")?;
                }
            }
            Self::CreateListener { balancer, port, front, group, .. } => {
                write!(f, "create listener {port}/{} of {balancer}, to {group}", front.protocol())?;
            }
            Self::ModifyListener { listener, front, group } => {
                write!(f, "make {listener} {}, to {group}", front.protocol())?;
            }
            Self::AddCertificate { listener, certificate } => {
                write!(f, "add certificate {certificate} to {listener}")?;
            }
            Self::RemoveCertificate { listener, certificate } => {
                write!(f, "remove certificate {certificate} from {listener}")?;
            }
            Self::DeleteListener { listener } => write!(f, "delete {listener}")?,
            Self::Register { group, targets } => write!(f, "register {} in {group}", listed(targets))?,
            Self::Deregister { group, targets } => write!(f, "deregister {} from {group}", listed(targets))?,
            Self::SetTags { of, tags } => {
                write!(f, "tag {of} with {}", listed(tags.iter().map(|(key, value)| format!("{key}={value}"))))?;
            }
            Self::Retire { balancer } => write!(f, "retire {balancer}, which is replaced")?,
            Self::DeleteBalancer { balancer, gap: false } => write!(f, "delete load balancer {balancer}")?,
            Self::DeleteBalancer { balancer, gap: true } => {
                write!(f, "delete load balancer {balancer}; nobody is served until its successor is active")?;
            }
            Self::DeleteGroup { group } => write!(f, "delete target group {group}")?,
        }
        let [Action { api, name }] = self.calls();
        write!(f, " [{api}:{name}]")
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ElbV2 => "elasticloadbalancing",
            Self::Ec2 => "ec2",
        })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for ListenerOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener {} of {}", self.port, self.balancer)
    }
}

impl fmt::Display for SecurityGroupOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Made(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balancer(object) | Self::Group(object) => object.fmt(f),
            Self::Listener(listener) => listener.fmt(f),
        }
    }
}

impl fmt::Display for AttributesOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balancer(object) | Self::Group(object) => object.fmt(f),
            Self::Listener(listener) => listener.fmt(f),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to targets of type {}, {}", self.protocol, self.target_type, self.family)
    }
}

fn listed<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}
