//! A step as a line of the dry run, with the call that it costs.

use std::collections::BTreeSet;
use std::fmt;

use super::{Action, Api, AttributesOf, Foretold, ListenerOf, Object, SecurityGroupOf, Step, Tagged};
use crate::estate::Known;
use crate::names::Kind;
use crate::words::scheme_word;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admit { need } => {
                let ports = need.openings.iter().flat_map(|opening| &opening.ports).collect::<BTreeSet<_>>();
                write!(f, "let in {} at the security groups of the targets", listed(ports))?;
            }
            Self::Withdraw => f.write_str("let in at the targets no more what only this load balancer needed")?,
            Self::Weigh { lists } => write!(f, "see as how many rules {} count at a security group", listed(lists))?,
            Self::CreateSecurityGroup { name, vpc, .. } => write!(f, "create security group {name} in VPC {vpc}")?,
            Self::OpenRules { group, rules } => write!(f, "let in {} at security group {group}", listed(rules))?,
            Self::CloseRules { group, rules, gap: false } => {
                write!(f, "let in no more {} at security group {group}", listed(rules))?;
            }
            Self::CloseRules { group, rules, gap: true } => {
                write!(f, "let in no more {} at security group {group}, which {A_GAP}", listed(rules))?;
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
            Self::SetSubnets { balancer, ip_address_type, subnets, source_nat } => {
                let subnets = listed(subnets.iter().map(|mapping| &mapping.subnet));
                write!(f, "put {balancer} in {subnets}, {ip_address_type}")?;
                if let Some(switch) = source_nat {
                    write!(f, ", source NAT of IPv6 {switch}")?;
                }
            }
            Self::SetSecurityGroups { balancer, security_groups, private_link, private_link_ours: _ } => {
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
            Self::RemoveTags { of, keys } => write!(f, "remove the tags {} from {of}", listed(keys))?,
            Self::Retire { balancer } => write!(f, "retire {balancer}, which is replaced")?,
            Self::DeleteBalancer { balancer, gap: false } => write!(f, "delete load balancer {balancer}")?,
            Self::DeleteBalancer { balancer, gap: true } => {
                write!(f, "delete load balancer {balancer}; nobody is served until its successor is active")?;
            }
            Self::DeleteGroup { group } => write!(f, "delete target group {group}")?,
            Self::Foretold(foretold) => foretold.fmt(f)?,
        }
        match self.calls() {
            Some(Action { api, name }) => write!(f, " [{api}:{name}]"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Foretold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeShared { name, vpc } => {
                write!(f, "create security group {name} in VPC {vpc}, which all load balancers of the cluster carry")
            }
            Self::LetIn { group, rules, after_a_gap: false } => {
                write!(f, "let in {} at security group {group} of targets", listed(rules))
            }
            Self::LetIn { group, rules, after_a_gap: true } => {
                write!(f, "let in {} at security group {group} of targets, which {A_GAP}", listed(rules))
            }
            Self::Shut { group, rules } => {
                write!(f, "let in no more {} at security group {group} of targets", listed(rules))
            }
            Self::DeleteShared { id, name } => {
                write!(f, "delete security group {name} ({id}), which no load balancer carries any more")
            }
            Self::Stuck { problem } => f.write_str(problem),
            Self::Unknown { what, why } => write!(f, "{what} [{why}]"),
        }
    }
}

/// What a person has to know where rules go before others come.
pub(crate) const A_GAP: &str =
    "has no room for old and new rules at once: until the new ones are there, whom they let in is kept out";

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
            Self::SecurityGroup { id, name } => write!(f, "security group {name} ({id})"),
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
