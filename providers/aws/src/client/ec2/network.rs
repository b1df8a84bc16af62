//! What balancers are put into: VPCs, subnets, their routes and zones.

use std::collections::BTreeMap;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::client::Aws;
use crate::client::action::Action;
use crate::client::ec2::filter::{Filters, VALUES};
use crate::client::ec2::xml::{Items, Tag};
use crate::client::elb::needed;
use crate::client::error::Error;
use crate::client::names::RouteTableId;
use crate::ids::{Id, SubnetId, VpcId};

/// The most that AWS puts on one page.
pub(super) const PAGE: &str = "1000";
/// The same for route tables (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRouteTables.html>).
const ROUTES_PAGE: &str = "100";

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Where it is.
    pub vpc: VpcId,
    /// The zone's name.
    pub zone: String,
    /// The zone's id, which is the same in every account.
    pub zone_id: String,
    /// Its IPv4 network; an IPv6-only subnet has none.
    pub ipv4: Option<Ipv4Net>,
    /// Its IPv6 networks that are in use.
    pub ipv6: Vec<Ipv6Net>,
    /// IPv4 addresses that are free.
    pub free: u32,
    /// The outpost that it is on.
    pub outpost: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A VPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// Its IPv4 networks that are in use.
    pub ipv4: Vec<Ipv4Net>,
    /// Its IPv6 networks that are in use.
    pub ipv6: Vec<Ipv6Net>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A route table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteTable {
    /// Its id.
    pub id: RouteTableId,
    /// Where it is.
    pub vpc: VpcId,
    /// It serves the subnets that name none.
    pub main: bool,
    /// The subnets that name it.
    pub subnets: Vec<SubnetId>,
    /// Its routes.
    pub routes: Vec<Route>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Where to: a network, or the id of a prefix list.
    pub to: String,
    /// Through which gateway, if it is one: `igw-...`, `local`, ...
    pub gateway: Option<String>,
    /// It works; a route whose target is gone does not.
    pub active: bool,
}

impl Aws {
    /// Those that exist of these.
    pub async fn subnets(&self, ids: &[SubnetId]) -> Result<Vec<Subnet>, Error> {
        let mut found = Vec::new();
        for ids in ids.chunks(VALUES) {
            let filter = Filters::new().and("subnet-id", ids.iter().map(SubnetId::as_str));
            found.extend(self.subnets_where(&filter).await?);
        }
        Ok(found)
    }

    /// All that match.
    pub async fn subnets_where(&self, filters: &Filters) -> Result<Vec<Subnet>, Error> {
        const ACTION: Action = Action::DescribeSubnets;
        let form = filters.form().with("MaxResults", PAGE);
        let all =
            self.ec2_pages(ACTION, &form, |page: SubnetsXml| (page.subnet_set.into_iter().collect(), page.next_token));
        all.await?.into_iter().map(|xml: SubnetXml| xml.read(ACTION)).collect()
    }

    /// All VPCs that match.
    pub async fn vpcs_where(&self, filters: &Filters) -> Result<Vec<Vpc>, Error> {
        const ACTION: Action = Action::DescribeVpcs;
        let form = filters.form().with("MaxResults", PAGE);
        let all = self.ec2_pages(ACTION, &form, |page: VpcsXml| (page.vpc_set.into_iter().collect(), page.next_token));
        all.await?.into_iter().map(|xml: VpcXml| xml.read(ACTION)).collect()
    }

    /// A VPC, if it exists.
    pub async fn vpc(&self, id: &VpcId) -> Result<Option<Vpc>, Error> {
        Ok(self.vpcs_where(&Filters::new().in_vpc(id)).await?.into_iter().next())
    }

    /// All route tables that match.
    pub async fn route_tables_where(&self, filters: &Filters) -> Result<Vec<RouteTable>, Error> {
        const ACTION: Action = Action::DescribeRouteTables;
        let form = filters.form().with("MaxResults", ROUTES_PAGE);
        let all = self
            .ec2_pages(ACTION, &form, |page: TablesXml| (page.route_table_set.into_iter().collect(), page.next_token));
        all.await?.into_iter().map(|xml: TableXml| xml.read(ACTION)).collect()
    }
}

/// A network of a subnet or VPC that is being added, was taken away, or failed. What else is there is "associated".
const NOT_IN_USE: [&str; 5] = ["associating", "disassociating", "disassociated", "failing", "failed"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubnetsXml {
    #[serde(default)]
    subnet_set: Items<SubnetXml>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubnetXml {
    subnet_id: String,
    vpc_id: String,
    availability_zone: String,
    #[serde(default)]
    availability_zone_id: String,
    cidr_block: Option<String>,
    #[serde(default)]
    ipv6_cidr_block_association_set: Items<Ipv6Xml>,
    #[serde(default)]
    available_ip_address_count: u32,
    outpost_arn: Option<String>,
    #[serde(default)]
    tag_set: Items<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6Xml {
    ipv6_cidr_block: String,
    ipv6_cidr_block_state: Option<StateXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ipv4Xml {
    cidr_block: String,
    cidr_block_state: Option<StateXml>,
}

#[derive(Deserialize)]
struct StateXml {
    state: String,
}

fn in_use(state: Option<&StateXml>) -> bool {
    state.is_none_or(|state| !NOT_IN_USE.contains(&state.state.as_str()))
}

fn ipv6_nets(from: Items<Ipv6Xml>) -> Vec<Ipv6Net> {
    let used = from.into_iter().filter(|one| in_use(one.ipv6_cidr_block_state.as_ref()));
    used.filter_map(|one| one.ipv6_cidr_block.parse().ok()).collect()
}

impl SubnetXml {
    fn read(self, action: Action) -> Result<Subnet, Error> {
        Ok(Subnet {
            id: needed(action, "subnetId", SubnetId::parse(&self.subnet_id))?,
            vpc: needed(action, "vpcId", VpcId::parse(&self.vpc_id))?,
            zone: self.availability_zone,
            zone_id: self.availability_zone_id,
            ipv4: self.cidr_block.and_then(|cidr| cidr.parse().ok()),
            ipv6: ipv6_nets(self.ipv6_cidr_block_association_set),
            free: self.available_ip_address_count,
            outpost: self.outpost_arn.filter(|arn| !arn.is_empty()),
            tags: self.tag_set.pairs(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VpcsXml {
    #[serde(default)]
    vpc_set: Items<VpcXml>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VpcXml {
    vpc_id: String,
    #[serde(default)]
    cidr_block_association_set: Items<Ipv4Xml>,
    #[serde(default)]
    ipv6_cidr_block_association_set: Items<Ipv6Xml>,
    #[serde(default)]
    tag_set: Items<Tag>,
}

impl VpcXml {
    fn read(self, action: Action) -> Result<Vpc, Error> {
        let ipv4 = self.cidr_block_association_set.into_iter().filter(|one| in_use(one.cidr_block_state.as_ref()));
        Ok(Vpc {
            id: needed(action, "vpcId", VpcId::parse(&self.vpc_id))?,
            ipv4: ipv4.filter_map(|one| one.cidr_block.parse().ok()).collect(),
            ipv6: ipv6_nets(self.ipv6_cidr_block_association_set),
            tags: self.tag_set.pairs(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TablesXml {
    #[serde(default)]
    route_table_set: Items<TableXml>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TableXml {
    route_table_id: String,
    vpc_id: String,
    #[serde(default)]
    route_set: Items<RouteXml>,
    #[serde(default)]
    association_set: Items<AssociationXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RouteXml {
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
    gateway_id: Option<String>,
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssociationXml {
    #[serde(default)]
    main: bool,
    subnet_id: Option<String>,
}

impl TableXml {
    fn read(self, action: Action) -> Result<RouteTable, Error> {
        let associations: Vec<AssociationXml> = self.association_set.into_iter().collect();
        let route = |from: RouteXml| Route {
            to: from
                .destination_cidr_block
                .or(from.destination_ipv6_cidr_block)
                .or(from.destination_prefix_list_id)
                .unwrap_or_default(),
            gateway: from.gateway_id.filter(|id| !id.is_empty()),
            active: from.state.as_deref() == Some("active"),
        };
        Ok(RouteTable {
            id: RouteTableId::new(self.route_table_id),
            vpc: needed(action, "vpcId", VpcId::parse(&self.vpc_id))?,
            main: associations.iter().any(|association| association.main),
            subnets: associations.iter().filter_map(|one| SubnetId::parse(one.subnet_id.as_deref()?)).collect(),
            routes: self.route_set.into_iter().map(route).collect(),
        })
    }
}
