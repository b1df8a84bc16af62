//! Security groups and their inbound rules, and tags of EC2's objects.

use std::collections::BTreeMap;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::batch;
use crate::client::ec2::filter::{Filters, VALUES};
use crate::client::ec2::form::Form;
use crate::client::ec2::network::PAGE;
use crate::client::ec2::xml::{Items, Tag};
use crate::client::elb::needed;
use crate::client::error::{Error, Problem};
use crate::estate::prefix_lists::PrefixLists;
use crate::ids::{Id, PrefixListId, SecurityGroupId, VpcId};

/// Rules in one call: the most that a group can have at all
/// (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups>).
pub(crate) const RULES: usize = 1000;

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecurityGroup {
    /// Its id.
    pub id: SecurityGroupId,
    /// Its name, unique in the VPC.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Where it is; a group of EC2-Classic was nowhere.
    pub vpc: Option<VpcId>,
    /// What it lets in.
    pub rules: Vec<Rule>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// One inbound rule: one kind of traffic from one source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Rule {
    /// What may come in.
    pub traffic: Traffic,
    /// From where.
    pub source: Source,
    /// What it is for. It is no part of a rule's identity: there cannot be two that differ in this alone.
    pub description: Option<String>,
}

/// What may come in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Traffic {
    /// TCP to these ports.
    Tcp(u16, u16),
    /// UDP to these ports.
    Udp(u16, u16),
    /// ICMP of this type and code; -1 is any.
    Icmp(i16, i16),
    /// ICMP for IPv6 of this type and code; -1 is any.
    Icmpv6(i16, i16),
    /// Everything.
    All,
    /// Another protocol, by AWS's word or number. We make no such rule.
    Other(String),
}

/// Where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Source {
    /// A network.
    Ipv4(Ipv4Net),
    /// A network.
    Ipv6(Ipv6Net),
    /// A list of networks that somebody keeps.
    PrefixList(PrefixListId),
    /// Whoever is in this group.
    Group(SecurityGroupId),
}

/// How many rules these are for AWS's quota: those for IPv4 and for IPv6 count separately, and those whose source is a group or a prefix list
/// for both (<https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-security-groups>). A list counts for as many as
/// [`PrefixLists`] says.
pub(crate) fn counted<'a>(rules: impl IntoIterator<Item = &'a Rule>, lists: &PrefixLists) -> usize {
    let (mut v4, mut v6) = (0_usize, 0_usize);
    for rule in rules {
        let (of_v4, of_v6) = match &rule.source {
            Source::Ipv4(_) => (1, 0),
            Source::Ipv6(_) => (0, 1),
            Source::Group(_) => (1, 1),
            Source::PrefixList(list) => (lists.rules(list), lists.rules(list)),
        };
        v4 = v4.saturating_add(of_v4);
        v6 = v6.saturating_add(of_v6);
    }
    v4.max(v6)
}

/// The prefix lists that rules name.
pub(crate) fn named<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> impl Iterator<Item = &'a PrefixListId> {
    rules.into_iter().filter_map(|rule| match &rule.source {
        Source::PrefixList(list) => Some(list),
        Source::Ipv4(_) | Source::Ipv6(_) | Source::Group(_) => None,
    })
}

/// A security group to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewSecurityGroup {
    /// Unique in the VPC, at most 255 characters.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Where.
    pub vpc: VpcId,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Aws {
    /// Those that exist of these.
    pub async fn security_groups(&self, ids: &[SecurityGroupId]) -> Result<Vec<SecurityGroup>, Error> {
        let mut found = Vec::new();
        for ids in ids.chunks(VALUES) {
            let filter = Filters::new().and("group-id", ids.iter().map(SecurityGroupId::as_str));
            found.extend(self.security_groups_where(&filter).await?);
        }
        Ok(found)
    }

    /// All that match.
    pub async fn security_groups_where(&self, filters: &Filters) -> Result<Vec<SecurityGroup>, Error> {
        const ACTION: Action = Action::DescribeSecurityGroups;
        let form = filters.form().with("MaxResults", PAGE);
        let all = self.ec2_pages(ACTION, &form, |page: GroupsXml| {
            (page.security_group_info.into_iter().collect(), page.next_token)
        });
        all.await?.into_iter().map(|xml: GroupXml| xml.read(ACTION)).collect()
    }

    /// Makes one, without inbound rules. `Exists` if the VPC has one of this name, which an answer that got lost may have made.
    pub async fn create_security_group(&self, new: &NewSecurityGroup) -> Result<SecurityGroupId, Error> {
        const ACTION: Action = Action::CreateSecurityGroup;
        let form = Form::default()
            .with("GroupName", &new.name)
            .with("GroupDescription", &new.description)
            .with("VpcId", new.vpc.as_str());
        let form = if new.tags.is_empty() {
            form
        } else {
            form.with("TagSpecification.1.ResourceType", "security-group").tags("TagSpecification.1.Tag", &new.tags)
        };
        let answer: CreatedXml = self.ec2(ACTION, &form).await?;
        needed(ACTION, "groupId", SecurityGroupId::parse(&answer.group_id))
    }

    /// Deletes one. `InUse` as long as an interface or a rule uses it; `Gone` if it is not there.
    pub async fn delete_security_group(&self, id: &SecurityGroupId) -> Result<(), Error> {
        let form = Form::default().with("GroupId", id.as_str());
        self.ec2::<Ignored>(Action::DeleteSecurityGroup, &form).await.map(drop)
    }

    /// Lets this in. A rule that is there already is as good as made.
    pub async fn authorize_ingress(&self, group: &SecurityGroupId, rules: &[Rule]) -> Result<(), Error> {
        let there = |error: &Error| error.problem == Problem::Exists;
        self.ingress(Action::AuthorizeSecurityGroupIngress, group, rules, there).await
    }

    /// Lets this in no more. The rules as they were described: AWS does not need their descriptions, emulators do. A rule that is not there
    /// is as good as revoked.
    pub async fn revoke_ingress(&self, group: &SecurityGroupId, rules: &[Rule]) -> Result<(), Error> {
        let gone = |error: &Error| error.code.as_deref() == Some("InvalidPermission.NotFound");
        self.ingress(Action::RevokeSecurityGroupIngress, group, rules, gone).await
    }

    async fn ingress(
        &self,
        action: Action,
        group: &SecurityGroupId,
        rules: &[Rule],
        done: impl Fn(&Error) -> bool,
    ) -> Result<(), Error> {
        let ask = |rules: Vec<Rule>| async move {
            let form =
                (1..).zip(&rules).fold(Form::default().with("GroupId", group.as_str()), |form, (number, rule)| {
                    rule.write(&format!("IpPermissions.{number}"), form)
                });
            self.ec2::<Ignored>(action, &form).await.map(drop)
        };
        batch::halved(rules, RULES, done, ask).await.map(drop)
    }

    /// Adds tags to objects of EC2, or gives those that are there these values.
    pub async fn create_ec2_tags(&self, ids: &[String], tags: &BTreeMap<String, String>) -> Result<(), Error> {
        let form = Form::default().list("ResourceId", ids.iter().map(String::as_str)).tags("Tag", tags);
        self.ec2::<Ignored>(Action::CreateTags, &form).await.map(drop)
    }

    /// Removes the tags with these keys, whatever their values.
    pub async fn delete_ec2_tags(&self, ids: &[String], keys: &[String]) -> Result<(), Error> {
        let form = Form::default().list("ResourceId", ids.iter().map(String::as_str));
        let form = (1..).zip(keys).fold(form, |form, (number, key)| form.with(&format!("Tag.{number}.Key"), key));
        self.ec2::<Ignored>(Action::DeleteTags, &form).await.map(drop)
    }
}

impl Rule {
    fn write(&self, at: &str, form: Form) -> Form {
        let (protocol, range) = match &self.traffic {
            Traffic::Tcp(from, to) => ("tcp", Some((i32::from(*from), i32::from(*to)))),
            Traffic::Udp(from, to) => ("udp", Some((i32::from(*from), i32::from(*to)))),
            Traffic::Icmp(kind, code) => ("icmp", Some((i32::from(*kind), i32::from(*code)))),
            Traffic::Icmpv6(kind, code) => ("icmpv6", Some((i32::from(*kind), i32::from(*code)))),
            Traffic::All => ("-1", None),
            Traffic::Other(word) => (word.as_str(), None),
        };
        let form = form.with(&format!("{at}.IpProtocol"), protocol);
        let form = match range {
            Some((from, to)) => {
                form.with(&format!("{at}.FromPort"), &from.to_string()).with(&format!("{at}.ToPort"), &to.to_string())
            }
            None => form,
        };
        let (list, name, value) = match &self.source {
            Source::Ipv4(net) => ("IpRanges", "CidrIp", net.to_string()),
            Source::Ipv6(net) => ("Ipv6Ranges", "CidrIpv6", net.to_string()),
            Source::PrefixList(id) => ("PrefixListIds", "PrefixListId", id.as_str().to_owned()),
            Source::Group(id) => ("Groups", "GroupId", id.as_str().to_owned()),
        };
        let form = form.with(&format!("{at}.{list}.1.{name}"), &value);
        match &self.description {
            Some(text) => form.with(&format!("{at}.{list}.1.Description"), text),
            None => form,
        }
    }
}

/// An answer that only says that it was done.
#[derive(Deserialize)]
struct Ignored {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreatedXml {
    group_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupsXml {
    #[serde(default)]
    security_group_info: Items<GroupXml>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupXml {
    group_id: String,
    group_name: String,
    #[serde(default)]
    group_description: String,
    vpc_id: Option<String>,
    #[serde(default)]
    ip_permissions: Items<PermissionXml>,
    #[serde(default)]
    tag_set: Items<Tag>,
}

/// Rules as EC2 gives them: all sources of one kind of traffic together.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PermissionXml {
    ip_protocol: String,
    from_port: Option<i32>,
    to_port: Option<i32>,
    #[serde(default)]
    ip_ranges: Items<SourceXml>,
    #[serde(default)]
    ipv6_ranges: Items<SourceXml>,
    #[serde(default)]
    prefix_list_ids: Items<SourceXml>,
    #[serde(default)]
    groups: Items<SourceXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceXml {
    cidr_ip: Option<String>,
    cidr_ipv6: Option<String>,
    prefix_list_id: Option<String>,
    group_id: Option<String>,
    description: Option<String>,
}

impl GroupXml {
    fn read(self, action: Action) -> Result<SecurityGroup, Error> {
        let rules = self.ip_permissions.into_iter().map(|permission| permission.read(action));
        Ok(SecurityGroup {
            id: needed(action, "groupId", SecurityGroupId::parse(&self.group_id))?,
            name: self.group_name,
            description: self.group_description,
            vpc: self.vpc_id.as_deref().and_then(VpcId::parse),
            rules: rules.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect(),
            tags: self.tag_set.pairs(),
        })
    }
}

impl PermissionXml {
    fn read(self, action: Action) -> Result<Vec<Rule>, Error> {
        let traffic = self.traffic();
        let sources = self.ip_ranges.into_iter().chain(self.ipv6_ranges).chain(self.prefix_list_ids).chain(self.groups);
        let rule = |from: SourceXml| {
            let source = needed(action, "source of a rule", from.source())?;
            let description = from.description.filter(|text| !text.is_empty());
            Ok(Rule { traffic: traffic.clone(), source, description })
        };
        sources.map(rule).collect()
    }

    fn traffic(&self) -> Traffic {
        let ports = || Some((u16::try_from(self.from_port?).ok()?, u16::try_from(self.to_port?).ok()?));
        let icmp = || Some((i16::try_from(self.from_port?).ok()?, i16::try_from(self.to_port?).ok()?));
        let known = match self.ip_protocol.as_str() {
            "tcp" => ports().map(|(from, to)| Traffic::Tcp(from, to)),
            "udp" => ports().map(|(from, to)| Traffic::Udp(from, to)),
            "icmp" => icmp().map(|(kind, code)| Traffic::Icmp(kind, code)),
            "icmpv6" => icmp().map(|(kind, code)| Traffic::Icmpv6(kind, code)),
            "-1" => Some(Traffic::All),
            _ => None,
        };
        known.unwrap_or_else(|| Traffic::Other(self.ip_protocol.clone()))
    }
}

impl SourceXml {
    fn source(&self) -> Option<Source> {
        if let Some(net) = &self.cidr_ip {
            return net.parse().ok().map(Source::Ipv4);
        }
        if let Some(net) = &self.cidr_ipv6 {
            return net.parse().ok().map(Source::Ipv6);
        }
        if let Some(id) = &self.prefix_list_id {
            return PrefixListId::parse(id).map(Source::PrefixList);
        }
        SecurityGroupId::parse(self.group_id.as_deref()?).map(Source::Group)
    }
}
