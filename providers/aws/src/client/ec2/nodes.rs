//! What targets are behind: instances and network interfaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::ec2::filter::{Filters, VALUES};
use crate::client::ec2::network::PAGE;
use crate::client::ec2::xml::Items;
use crate::client::elb::needed;
use crate::client::error::Error;
use crate::client::names::{InstanceId, InterfaceId};
use crate::ids::{Id, SecurityGroupId, SubnetId, VpcId};

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
    pub state: String,
    /// Where it is; None once it is terminated.
    pub vpc: Option<VpcId>,
    /// The zone's name.
    pub zone: String,
    /// Its interfaces, the primary one first.
    pub interfaces: Vec<Interface>,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// Its id.
    pub id: InterfaceId,
    /// Where it is.
    pub vpc: VpcId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// The instance that it is attached to.
    pub instance: Option<InstanceId>,
    /// Its security groups.
    pub groups: Vec<SecurityGroupId>,
    /// Its IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
    /// Networks that are its own as a whole, from which pods get their addresses
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-prefix-eni.html>).
    pub prefixes: Vec<IpNet>,
    /// What AWS or somebody else says that it is for.
    pub description: String,
}

impl Aws {
    /// Those that exist of these.
    pub async fn instances(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, Error> {
        let mut found = Vec::new();
        for ids in ids.chunks(VALUES) {
            let filters = Filters::new().and("instance-id", ids.iter().map(InstanceId::as_str));
            found.extend(self.instances_where(&filters).await?);
        }
        Ok(found)
    }

    /// All instances that match.
    pub async fn instances_where(&self, filters: &Filters) -> Result<Vec<Instance>, Error> {
        const ACTION: Action = Action::DescribeInstances;
        let form = filters.form().with("MaxResults", PAGE);
        let instances = |page: ReservationsXml| {
            let all = page.reservation_set.into_iter().flat_map(|reservation| reservation.instances_set);
            (all.collect(), page.next_token)
        };
        let all = self.ec2_pages(ACTION, &form, instances).await?;
        all.into_iter().map(|xml: InstanceXml| InstanceXml::read(xml, ACTION)).collect()
    }

    /// All interfaces that match.
    pub async fn interfaces_where(&self, filters: &Filters) -> Result<Vec<Interface>, Error> {
        const ACTION: Action = Action::DescribeNetworkInterfaces;
        let form = filters.form().with("MaxResults", PAGE);
        let all = self.ec2_pages(ACTION, &form, |page: InterfacesXml| {
            (page.network_interface_set.into_iter().collect(), page.next_token)
        });
        all.await?.into_iter().map(|xml: InterfaceXml| xml.read(ACTION, None)).collect()
    }

    /// The interfaces that have these addresses, in one VPC: what pods are behind. An address of an interface's prefix is not found so.
    pub async fn interfaces_with(&self, vpc: &VpcId, addresses: &[IpAddr]) -> Result<Vec<Interface>, Error> {
        let (v4, v6): (Vec<&IpAddr>, Vec<&IpAddr>) = addresses.iter().partition(|address| address.is_ipv4());
        let mut found: Vec<Interface> = Vec::new();
        for (filter, addresses) in [("addresses.private-ip-address", v4), ("ipv6-addresses.ipv6-address", v6)] {
            for addresses in addresses.chunks(VALUES) {
                let addresses = addresses.iter().map(|address| address.to_string());
                let filters = Filters::new().in_vpc(vpc).and(filter, addresses);
                for interface in self.interfaces_where(&filters).await? {
                    if found.iter().all(|known| known.id != interface.id) {
                        found.push(interface);
                    }
                }
            }
        }
        Ok(found)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReservationsXml {
    #[serde(default)]
    reservation_set: Items<ReservationXml>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReservationXml {
    #[serde(default)]
    instances_set: Items<InstanceXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceXml {
    instance_id: String,
    instance_state: StateXml,
    vpc_id: Option<String>,
    placement: Option<PlacementXml>,
    #[serde(default)]
    network_interface_set: Items<InterfaceXml>,
}

#[derive(Deserialize)]
struct StateXml {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlacementXml {
    availability_zone: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InterfacesXml {
    #[serde(default)]
    network_interface_set: Items<InterfaceXml>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceXml {
    network_interface_id: String,
    subnet_id: String,
    vpc_id: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    group_set: Items<GroupXml>,
    attachment: Option<AttachmentXml>,
    #[serde(default)]
    private_ip_addresses_set: Items<Ipv4Xml>,
    #[serde(default)]
    ipv6_addresses_set: Items<Ipv6Xml>,
    #[serde(default)]
    ipv4_prefix_set: Items<PrefixXml>,
    #[serde(default)]
    ipv6_prefix_set: Items<PrefixXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupXml {
    group_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttachmentXml {
    instance_id: Option<String>,
    #[serde(default)]
    device_index: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ipv4Xml {
    private_ip_address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6Xml {
    ipv6_address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrefixXml {
    ipv4_prefix: Option<String>,
    ipv6_prefix: Option<String>,
}

impl PrefixXml {
    fn read(self) -> Option<IpNet> {
        self.ipv4_prefix.or(self.ipv6_prefix)?.parse().ok()
    }
}

impl InstanceXml {
    fn read(self, action: Action) -> Result<Instance, Error> {
        let id = InstanceId::new(self.instance_id);
        let mut interfaces: Vec<InterfaceXml> = self.network_interface_set.into_iter().collect();
        interfaces.sort_by_key(|one| one.attachment.as_ref().map_or(u32::MAX, |attachment| attachment.device_index));
        Ok(Instance {
            state: self.instance_state.name,
            vpc: self.vpc_id.as_deref().and_then(VpcId::parse),
            zone: self.placement.map(|placement| placement.availability_zone).unwrap_or_default(),
            interfaces: interfaces.into_iter().map(|one| one.read(action, Some(&id))).collect::<Result<_, _>>()?,
            id,
        })
    }
}

impl InterfaceXml {
    /// An interface inside of an instance does not say whose it is.
    fn read(self, action: Action, of: Option<&InstanceId>) -> Result<Interface, Error> {
        let attached_to = self.attachment.and_then(|attachment| attachment.instance_id).filter(|id| !id.is_empty());
        let group = |group: GroupXml| needed(action, "groupId", SecurityGroupId::parse(&group.group_id));
        Ok(Interface {
            id: InterfaceId::new(self.network_interface_id),
            vpc: needed(action, "vpcId", VpcId::parse(&self.vpc_id))?,
            subnet: needed(action, "subnetId", SubnetId::parse(&self.subnet_id))?,
            instance: attached_to.map(InstanceId::new).or_else(|| of.cloned()),
            groups: self.group_set.into_iter().map(group).collect::<Result<_, _>>()?,
            ipv4: self
                .private_ip_addresses_set
                .into_iter()
                .filter_map(|one| one.private_ip_address.parse().ok())
                .collect(),
            ipv6: self.ipv6_addresses_set.into_iter().filter_map(|one| one.ipv6_address.parse().ok()).collect(),
            prefixes: self
                .ipv4_prefix_set
                .into_iter()
                .chain(self.ipv6_prefix_set)
                .filter_map(PrefixXml::read)
                .collect(),
            description: self.description,
        })
    }
}
