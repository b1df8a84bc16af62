//! A small network to put balancers into, planted in the emulator directly: what it takes is in no log and no bucket.
//!
//! One VPC with IPv4 and IPv6; in each of three zones a public subnet (route to the internet gateway, tagged for internet-facing balancers)
//! and a private one (tagged for internal balancers) with an instance; the subnets of the third zone have no IPv6. Also a security group
//! and three elastic addresses. Everything is tagged `portolan-seed=NAME`, and what is tagged so already is not planted again.

use crate::caller::Service;
use crate::network::items;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::upstream::Upstream;
use crate::xml::Element;

/// The tag of everything that a seed planted.
const MARK: &str = "portolan-seed";
/// The zones of the subnets, without the region.
const ZONES: [&str; 3] = ["a", "b", "c"];

/// What was planted, or found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seed {
    /// The VPC: 10.0.0.0/16 and an IPv6 range of the emulator's choice.
    pub vpc: String,
    /// The public subnets, by zone: 10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24; the last without IPv6.
    pub public_subnets: Vec<String>,
    /// The private subnets, by zone: 10.0.100.0/24, 10.0.101.0/24, 10.0.102.0/24; the last without IPv6.
    pub private_subnets: Vec<String>,
    /// One instance in each private subnet.
    pub instances: Vec<String>,
    /// The security group of the instances, tagged `kubernetes.io/cluster/NAME`; no inbound rules.
    pub security_group: String,
    /// Three elastic addresses, by their allocation ids.
    pub allocations: Vec<String>,
}

struct Planter<'a> {
    upstream: &'a Upstream,
    region: &'a str,
    cluster: &'a str,
}

/// Plants the network of a cluster.
pub(crate) async fn plant(upstream: &Upstream, region: &str, cluster: &str) -> Result<Seed, Refusal> {
    let planter = Planter { upstream, region, cluster };
    let seed = planter.find().await?;
    if !seed.vpc.is_empty() { Ok(seed) } else { planter.plant().await }
}

impl Planter<'_> {
    async fn plant(&self) -> Result<Seed, Refusal> {
        let text = |answer: &Element, path: &[&str]| answer.text_at(path).unwrap_or_default().to_owned();
        let made =
            self.ask("CreateVpc", &[("CidrBlock", "10.0.0.0/16"), ("AmazonProvidedIpv6CidrBlock", "true")]).await?;
        let vpc = text(&made, &["vpc", "vpcId"]);
        let ipv6 = self.ipv6_range(&vpc).await?;
        let gateway = text(&self.ask("CreateInternetGateway", &[]).await?, &["internetGateway", "internetGatewayId"]);
        self.ask("AttachInternetGateway", &[("InternetGatewayId", &*gateway), ("VpcId", &*vpc)]).await?;
        let table = text(&self.ask("CreateRouteTable", &[("VpcId", &*vpc)]).await?, &["routeTable", "routeTableId"]);
        let route = [("RouteTableId", &*table), ("DestinationCidrBlock", "0.0.0.0/0"), ("GatewayId", &*gateway)];
        self.ask("CreateRoute", &route).await?;
        let mut seed = Seed { vpc: vpc.clone(), ..Seed::default() };
        let name = format!("{}-nodes", self.cluster);
        let group = [("GroupName", &*name), ("GroupDescription", "the nodes"), ("VpcId", &*vpc)];
        seed.security_group = text(&self.ask("CreateSecurityGroup", &group).await?, &["groupId"]);
        self.tag(&seed.security_group, &[(&format!("kubernetes.io/cluster/{}", self.cluster), "owned")]).await?;
        for (index, zone) in ZONES.iter().enumerate() {
            for (public, third) in [(true, index), (false, 100 + index)] {
                let (range, zone) = (format!("10.0.{third}.0/24"), format!("{}{zone}", self.region));
                let mut pairs = vec![("VpcId", &*vpc), ("CidrBlock", &*range), ("AvailabilityZone", &*zone)];
                let ipv6 = ipv6
                    .as_ref()
                    .filter(|_| index < 2)
                    .map(|base| base.replace("00::/56", &format!("{third:02x}::/64")));
                pairs.extend(ipv6.as_deref().map(|range| ("Ipv6CidrBlock", range)));
                let subnet = text(&self.ask("CreateSubnet", &pairs).await?, &["subnet", "subnetId"]);
                let role = if public { "kubernetes.io/role/elb" } else { "kubernetes.io/role/internal-elb" };
                let kind = if public { "public" } else { "private" };
                let owner = format!("kubernetes.io/cluster/{}", self.cluster);
                self.tag(
                    &subnet,
                    &[(role, "1"), (&owner, "shared"), ("Name", &format!("{}-{kind}-{zone}", self.cluster))],
                )
                .await?;
                if public {
                    self.ask("AssociateRouteTable", &[("RouteTableId", &*table), ("SubnetId", &*subnet)]).await?;
                    seed.public_subnets.push(subnet);
                } else {
                    seed.instances.push(self.instance(&subnet, &seed.security_group).await?);
                    seed.private_subnets.push(subnet);
                }
            }
            let allocation = text(&self.ask("AllocateAddress", &[("Domain", "vpc")]).await?, &["allocationId"]);
            self.tag(&allocation, &[("Name", &format!("{}-{zone}", self.cluster))]).await?;
            seed.allocations.push(allocation);
        }
        // Last: the mark on the VPC says that all of it is there.
        self.tag(&vpc, &[("Name", self.cluster)]).await?;
        Ok(seed)
    }

    async fn instance(&self, subnet: &str, security_group: &str) -> Result<String, Refusal> {
        let pairs = [
            ("ImageId", "ami-12c6146b"),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("InstanceType", "t3.micro"),
            ("SubnetId", subnet),
            ("SecurityGroupId.1", security_group),
        ];
        let made = self.ask("RunInstances", &pairs).await?;
        let instance = items(&made, "instancesSet")
            .first()
            .and_then(|one| one.text_at(&["instanceId"]))
            .unwrap_or_default()
            .to_owned();
        self.tag(&instance, &[(&format!("kubernetes.io/cluster/{}", self.cluster), "owned")]).await?;
        Ok(instance)
    }

    async fn ipv6_range(&self, vpc: &str) -> Result<Option<String>, Refusal> {
        let answer = self.ask("DescribeVpcs", &[("VpcId.1", vpc)]).await?;
        let associated = items(&answer, "vpcSet").iter().flat_map(|vpc| items(vpc, "ipv6CidrBlockAssociationSet"));
        Ok(associated.filter_map(|one| one.text_at(&["ipv6CidrBlock"])).map(str::to_owned).next())
    }

    /// What an earlier seed of this cluster planted; the VPC is empty if there is none.
    async fn find(&self) -> Result<Seed, Refusal> {
        let mark = format!("tag:{MARK}");
        let of = async |action: &str, set: &str, id: &str| -> Result<Vec<String>, Refusal> {
            let answer = self.ask(action, &[("Filter.1.Name", &mark), ("Filter.1.Value.1", self.cluster)]).await?;
            let found = items(&answer, set).iter().filter_map(|one| one.text_at(&[id]).map(str::to_owned));
            Ok(found.collect())
        };
        let Some(vpc) = of("DescribeVpcs", "vpcSet", "vpcId").await?.pop() else { return Ok(Seed::default()) };
        let filter = [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", &*vpc)];
        let subnets = self.ask("DescribeSubnets", &filter).await?;
        let in_third = |range: std::ops::Range<usize>| -> Vec<String> {
            let wanted = range.map(|third| format!("10.0.{third}.0/24"));
            let find = |range: String| {
                items(&subnets, "subnetSet").iter().find(|one| one.text_at(&["cidrBlock"]) == Some(&range))
            };
            wanted.filter_map(find).filter_map(|one| one.text_at(&["subnetId"]).map(str::to_owned)).collect()
        };
        let private_subnets = in_third(100..103);
        let answer = self.ask("DescribeInstances", &filter).await?;
        let instances = items(&answer, "reservationSet").iter().flat_map(|one| items(one, "instancesSet"));
        let mut instances: Vec<(Option<usize>, String)> = instances
            .map(|one| {
                let place = private_subnets.iter().position(|subnet| one.text_at(&["subnetId"]) == Some(subnet));
                (place, one.text_at(&["instanceId"]).unwrap_or_default().to_owned())
            })
            .collect();
        instances.sort();
        Ok(Seed {
            vpc,
            public_subnets: in_third(0..3),
            private_subnets,
            instances: instances.into_iter().map(|(_, id)| id).collect(),
            security_group: of("DescribeSecurityGroups", "securityGroupInfo", "groupId")
                .await?
                .pop()
                .unwrap_or_default(),
            allocations: of("DescribeAddresses", "addressesSet", "allocationId").await?,
        })
    }

    async fn tag(&self, id: &str, tags: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut pairs = vec![("ResourceId.1".to_owned(), id)];
        for (index, (key, value)) in [(MARK, self.cluster)].iter().chain(tags).enumerate() {
            pairs.push((format!("Tag.{}.Key", index + 1), key));
            pairs.push((format!("Tag.{}.Value", index + 1), value));
        }
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        self.ask("CreateTags", &pairs).await.map(|_| ())
    }

    async fn ask(&self, action: &str, pairs: &[(&str, &str)]) -> Result<Element, Refusal> {
        let query = Query::of([("Action", action), ("Version", "2016-11-15")].into_iter().chain(pairs.iter().copied()));
        self.upstream.ask(&Service::Ec2, self.region, &query).await
    }
}
