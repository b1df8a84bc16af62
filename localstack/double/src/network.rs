//! What the rules need of EC2, read from the emulator when a rule needs it: these reads are the double's own and are in no log.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::caller::Service;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::subnets::Subnet;
use crate::upstream::Upstream;
use crate::xml::Element;

/// EC2 as the double reads it.
#[derive(Debug)]
pub(crate) struct Network<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) region: &'a str,
}

impl Network<'_> {
    /// The subnets of these ids; one that is missing makes it `SubnetNotFound`.
    pub(crate) async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>, Refusal> {
        let answer = self.describe("DescribeSubnets", "SubnetId", ids).await;
        let answer = answer.map_err(|refusal| renamed(refusal, "InvalidSubnetID", "SubnetNotFound"))?;
        Ok(items(&answer, "subnetSet").iter().map(subnet).collect())
    }

    /// The subnets of a VPC.
    pub(crate) async fn subnets_of(&self, vpc: &str) -> Result<Vec<Subnet>, Refusal> {
        let answer = self.ask("DescribeSubnets", &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc)]).await?;
        Ok(items(&answer, "subnetSet").iter().map(subnet).collect())
    }

    /// The address ranges of a VPC.
    pub(crate) async fn vpc_ranges(&self, vpc: &str) -> Result<Vec<IpNet>, Refusal> {
        let answer = self.describe("DescribeVpcs", "VpcId", &[vpc.to_owned()]).await;
        let answer = answer.map_err(|refusal| renamed(refusal, "InvalidVpcID", "ValidationError"))?;
        Ok(items(&answer, "vpcSet").iter().flat_map(ranges).collect())
    }

    /// Has this VPC an internet gateway?
    pub(crate) async fn has_internet_gateway(&self, vpc: &str) -> Result<bool, Refusal> {
        let query = [("Filter.1.Name", "attachment.vpc-id"), ("Filter.1.Value.1", vpc)];
        Ok(!items(&self.ask("DescribeInternetGateways", &query).await?, "internetGatewaySet").is_empty())
    }

    /// Do these security groups exist? `InvalidSecurityGroup` if one does not.
    pub(crate) async fn security_groups(&self, ids: &[String]) -> Result<Vec<Element>, Refusal> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.describe("DescribeSecurityGroups", "GroupId", ids).await;
        let answer = answer.map_err(|refusal| renamed(refusal, "InvalidGroup", "InvalidSecurityGroup"))?;
        Ok(items(&answer, "securityGroupInfo").to_vec())
    }

    /// Do these elastic addresses exist? `AllocationIdNotFound` if one does not.
    pub(crate) async fn allocations(&self, ids: &[String]) -> Result<(), Refusal> {
        if ids.is_empty() {
            return Ok(());
        }
        let answer = self.describe("DescribeAddresses", "AllocationId", ids).await;
        answer.map(|_| ()).map_err(|refusal| renamed(refusal, "InvalidAllocationID", "AllocationIdNotFound"))
    }

    /// Every security group.
    pub(crate) async fn all_security_groups(&self) -> Result<Vec<Element>, Refusal> {
        Ok(items(&self.ask("DescribeSecurityGroups", &[]).await?, "securityGroupInfo").to_vec())
    }

    /// Those that exist of these prefix lists.
    pub(crate) async fn prefix_lists(&self, ids: &BTreeSet<&str>) -> Result<Vec<Element>, Refusal> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let values = (1..).zip(ids).map(|(number, id)| (format!("Filter.1.Value.{number}"), *id));
        let query: Vec<(String, &str)> =
            [("Filter.1.Name".to_owned(), "prefix-list-id")].into_iter().chain(values).collect();
        let pairs: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        Ok(items(&self.ask("DescribeManagedPrefixLists", &pairs).await?, "prefixListSet").to_vec())
    }

    /// The zones and VPCs of these instances; one that does not exist is missing in the answer.
    pub(crate) async fn instances(&self, ids: &[String]) -> Result<BTreeMap<String, (String, String)>, Refusal> {
        let filter = ids.iter().enumerate().map(|(index, id)| (format!("Filter.1.Value.{}", index + 1), id.as_str()));
        let query: Vec<(String, &str)> =
            [("Filter.1.Name".to_owned(), "instance-id")].into_iter().chain(filter).collect();
        let pairs: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let answer = self.ask("DescribeInstances", &pairs).await?;
        let instances =
            items(&answer, "reservationSet").iter().flat_map(|reservation| items(reservation, "instancesSet"));
        let text = |instance: &Element, path: &[&str]| instance.text_at(path).unwrap_or_default().to_owned();
        Ok(instances
            .map(|one| {
                (text(one, &["instanceId"]), (text(one, &["placement", "availabilityZone"]), text(one, &["vpcId"])))
            })
            .collect())
    }

    async fn describe(&self, action: &str, list: &str, ids: &[String]) -> Result<Element, Refusal> {
        let names: Vec<String> = (1..=ids.len()).map(|number| format!("{list}.{number}")).collect();
        let pairs: Vec<(&str, &str)> = names.iter().zip(ids).map(|(name, id)| (name.as_str(), id.as_str())).collect();
        self.ask(action, &pairs).await
    }

    async fn ask(&self, action: &str, pairs: &[(&str, &str)]) -> Result<Element, Refusal> {
        let query = Query::of([("Action", action), ("Version", "2016-11-15")].into_iter().chain(pairs.iter().copied()));
        self.upstream.ask(&Service::Ec2, self.region, &query).await
    }
}

/// EC2's code for an id that does not exist, as ELBv2 says it.
fn renamed(refusal: Refusal, ec2: &str, elb: &str) -> Refusal {
    if refusal.code.starts_with(ec2) { Refusal::new(elb, refusal.message) } else { refusal }
}

pub(crate) fn items<'a>(answer: &'a Element, set: &str) -> &'a [Element] {
    answer.child(set).map(|set| set.children.as_slice()).unwrap_or_default()
}

fn subnet(item: &Element) -> Subnet {
    let text = |name: &str| item.text_at(&[name]).unwrap_or_default().to_owned();
    Subnet {
        id: text("subnetId"),
        vpc: text("vpcId"),
        zone: text("availabilityZone"),
        ranges: ranges(item),
        free: text("availableIpAddressCount").parse().unwrap_or_default(),
    }
}

/// The IPv4 and IPv6 ranges of a VPC or subnet, further ones that were associated later included.
fn ranges(item: &Element) -> Vec<IpNet> {
    let first = item.text_at(&["cidrBlock"]).map(str::to_owned);
    let associated = |set: &str, key: &str| -> Vec<String> {
        items(item, set).iter().filter_map(|one| one.text_at(&[key]).map(str::to_owned)).collect()
    };
    let mut all: Vec<String> = first.into_iter().chain(associated("cidrBlockAssociationSet", "cidrBlock")).collect();
    all.extend(associated("ipv6CidrBlockAssociationSet", "ipv6CidrBlock"));
    let mut ranges: Vec<IpNet> = all.iter().filter_map(|range| range.parse().ok()).collect();
    ranges.sort();
    ranges.dedup();
    ranges
}
