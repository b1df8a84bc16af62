//! A look: which calls it makes, and what their answers come to.
//!
//! At most four: DescribeInstances where the class does not name the VPC and nobody has found it yet; DescribeSubnets;
//! DescribeSecurityGroups; and DescribeRouteTables where routes can decide.

use std::collections::BTreeSet;

use portolan_core::balancer::Scheme;

use crate::client::Aws;
use crate::client::ec2::filter::{Filters, VALUES};
use crate::client::ec2::groups::SecurityGroup;
use crate::client::ec2::network::{self, RouteTable};
use crate::client::ec2::nodes::Instance;
use crate::client::names::InstanceId;
use crate::estate::{Estate, Subnet};
use crate::ids::{SubnetId, VpcId};
use crate::model::subnets::has_role;
use crate::parameters::Parameters;
use crate::survey::Error;

/// What a look has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) vpc: VpcId,
    pub(super) subnets: Vec<Subnet>,
    pub(super) groups: Vec<SecurityGroup>,
    /// Those that were asked for to find the VPC.
    pub(super) instances: Vec<Instance>,
}

pub(super) async fn ask(
    aws: &Aws,
    parameters: &Parameters,
    known: Option<VpcId>,
    nodes: &[String],
) -> Result<Found, Error> {
    let (vpc, instances) = match known {
        Some(vpc) => (vpc, Vec::new()),
        None => {
            let instances = instances(aws, parameters, nodes).await?;
            (vpc_of(&instances)?, instances)
        }
    };
    let here = Filters::new().in_vpc(&vpc);
    let network = async {
        let subnets = aws.subnets_where(&here).await?;
        let mut subnets: Vec<Subnet> = subnets.into_iter().map(without_routes).collect();
        if routes_decide(parameters, &subnets) {
            let tables = aws.route_tables_where(&here).await?;
            for subnet in &mut subnets {
                subnet.public = is_public(&subnet.id, &tables);
            }
        }
        subnets.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(subnets)
    };
    let (subnets, groups) = futures::future::try_join(network, aws.security_groups_where(&here)).await?;
    Ok(Found { vpc, subnets, groups, instances })
}

/// As many nodes' as one call takes: one of them would do, but any may be gone by now. Who is told of no node asks for the instances with the
/// tag that a cluster of Kubernetes at AWS must have on its own (kubernetes/kubernetes#48954).
async fn instances(aws: &Aws, parameters: &Parameters, nodes: &[String]) -> Result<Vec<Instance>, Error> {
    if nodes.is_empty() {
        let tag = format!("kubernetes.io/cluster/{}", parameters.cluster_name);
        let found = aws.instances_where(&Filters::new().tagged(&tag)).await?;
        return if found.is_empty() { Err(Error::NoInstance) } else { Ok(found) };
    }
    let estate = Estate::default();
    let ids = nodes.iter().filter_map(|node| estate.instance(node)).take(VALUES);
    let ids: Vec<InstanceId> = ids.map(InstanceId::new).collect();
    if ids.is_empty() {
        return Err(Error::NoInstance);
    }
    Ok(aws.instances(&ids).await?)
}

fn vpc_of(instances: &[Instance]) -> Result<VpcId, Error> {
    let vpcs: BTreeSet<&VpcId> = instances.iter().filter_map(|instance| instance.vpc.as_ref()).collect();
    let mut vpcs = vpcs.into_iter();
    match (vpcs.next(), vpcs.next()) {
        (None, _) => Err(Error::UnknownInstances),
        (Some(one), None) => Ok(one.clone()),
        (Some(first), Some(second)) => {
            let all = [first, second].into_iter().chain(vpcs).map(VpcId::as_str).collect::<Vec<_>>();
            Err(Error::SeveralVpcs(all.join(", ")))
        }
    }
}

fn without_routes(subnet: network::Subnet) -> Subnet {
    Subnet {
        id: subnet.id,
        zone: subnet.zone,
        tags: subnet.tags,
        ipv4: subnet.ipv4,
        // AWS allows one IPv6 network a subnet that is in use, and takes a balancer's addresses from it.
        ipv6: subnet.ipv6.first().copied(),
        free_addresses: subnet.free,
        public: None,
        outpost: subnet.outpost,
    }
}

/// Subnets are found by route only where none carries the role, and only if the class names none itself.
fn routes_decide(parameters: &Parameters, subnets: &[Subnet]) -> bool {
    let lacks_role = |scheme: &Scheme| !subnets.iter().any(|subnet| has_role(*scheme, subnet));
    let allowed = |scheme: &Scheme| parameters.limits.schemes.allows(scheme);
    parameters.defaults.subnets.is_empty()
        && [Scheme::Public, Scheme::Internal].iter().filter(|scheme| allowed(scheme)).any(lacks_role)
}

/// A subnet that names no route table has the main one, and AWS does not say so
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRouteTables.html>).
fn is_public(subnet: &SubnetId, tables: &[RouteTable]) -> Option<bool> {
    let named = tables.iter().find(|table| table.subnets.contains(subnet));
    let table = named.or_else(|| tables.iter().find(|table| table.main))?;
    let to_internet = |route: &network::Route| {
        route.active && route.to == "0.0.0.0/0" && route.gateway.as_deref().is_some_and(|id| id.starts_with("igw-"))
    };
    Some(table.routes.iter().any(to_internet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ec2::network::Route;
    use crate::client::names::RouteTableId;
    use crate::ids::{ClusterName, Id};
    use crate::parameters::Limit;

    fn id(text: &str) -> SubnetId {
        Id::parse(text).unwrap()
    }

    fn table(main: bool, subnets: &[&str], routes: &[(&str, &str, bool)]) -> RouteTable {
        let route = |(to, gateway, active): &(&str, &str, bool)| Route {
            to: (*to).to_owned(),
            gateway: Some((*gateway).to_owned()),
            active: *active,
        };
        RouteTable {
            id: RouteTableId::new("rtb-1"),
            vpc: Id::parse("vpc-1").unwrap(),
            main,
            subnets: subnets.iter().map(|subnet| id(subnet)).collect(),
            routes: routes.iter().map(route).collect(),
        }
    }

    #[test]
    fn a_subnet_is_public_by_its_own_table_else_by_the_main_one() {
        let to_internet = [("10.0.0.0/16", "local", true), ("0.0.0.0/0", "igw-1", true)];
        let closed = [("10.0.0.0/16", "local", true)];
        let tables = [table(true, &[], &to_internet), table(false, &["subnet-1"], &closed)];
        assert_eq!(is_public(&id("subnet-1"), &tables), Some(false), "its own");
        assert_eq!(is_public(&id("subnet-2"), &tables), Some(true), "the main one");
        assert_eq!(is_public(&id("subnet-2"), &tables[1..]), None, "there is none to tell");
        for (route, why) in [
            (("0.0.0.0/0", "igw-1", false), "a black hole"),
            (("0.0.0.0/0", "vgw-1", true), "not the internet"),
            (("198.51.100.0/24", "igw-1", true), "not everywhere"),
        ] {
            assert_eq!(is_public(&id("subnet-1"), &[table(true, &[], &[route])]), Some(false), "{why}");
        }
    }

    #[test]
    fn routes_are_asked_for_only_where_they_can_decide() {
        let subnet = |tag: &str| Subnet {
            id: id("subnet-1"),
            zone: "a".to_owned(),
            tags: [(tag.to_owned(), "1".to_owned())].into(),
            ipv4: None,
            ipv6: None,
            free_addresses: 9,
            public: None,
            outpost: None,
        };
        let both = [subnet("kubernetes.io/role/elb"), subnet("kubernetes.io/role/internal-elb")];
        let any = Parameters::new(ClusterName::parse("prod").unwrap());
        assert!(!routes_decide(&any, &both), "each scheme has its role");
        assert!(routes_decide(&any, &both[..1]), "an internal balancer would go by routes");
        assert!(routes_decide(&any, &[]));
        let mut limited = any.clone();
        limited.limits.schemes = Limit::Only(vec![Scheme::Public]);
        assert!(!routes_decide(&limited, &both[..1]), "there is no internal balancer");
        let mut named = any;
        named.defaults.subnets = vec![crate::ids::SubnetRef::parse("subnet-1").unwrap()];
        assert!(!routes_decide(&named, &[]), "nothing is discovered");
    }

    #[test]
    fn the_vpc_is_the_one_that_all_instances_are_in() {
        let instance = |vpc: Option<&str>| Instance {
            id: InstanceId::new("i-1"),
            state: "running".to_owned(),
            vpc: vpc.and_then(VpcId::parse),
            zone: String::new(),
            interfaces: Vec::new(),
        };
        let of = |vpcs: &[Option<&str>]| vpc_of(&vpcs.iter().map(|vpc| instance(*vpc)).collect::<Vec<_>>());
        assert_eq!(of(&[None, Some("vpc-1"), Some("vpc-1")]), Ok(Id::parse("vpc-1").unwrap()));
        assert_eq!(of(&[None]), Err(Error::UnknownInstances), "a terminated one is in none");
        let several = of(&[Some("vpc-2"), Some("vpc-1")]).unwrap_err();
        assert_eq!(
            several.to_string(),
            "the nodes' instances are in several VPCs, vpc-1, vpc-2; set vpcId in the class's parameters"
        );
    }
}
