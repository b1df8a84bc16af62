//! EC2's answers, recorded from moto 5.2.5 (`recorded/*.xml`), and what becomes of them.

use std::collections::BTreeMap;

use portolan_aws::client::ec2::filter::Filters;
use portolan_aws::client::ec2::groups::{Rule, Source, Traffic};
use portolan_aws::client::error::Problem;
use portolan_aws::client::names::{InstanceId, RouteTableId};
use portolan_aws::ids::{Id, SecurityGroupId, SubnetId, VpcId};

use super::scripted::{Say, Scripted};

async fn recorded(xml: &'static str) -> Scripted {
    Scripted::start(move |_, _| Say::Xml(200, xml.to_owned())).await
}

fn id<T: Id>(text: &str) -> T {
    T::parse(text).unwrap()
}

const SUBNETS: &str = include_str!("recorded/subnets.xml");

#[tokio::test]
async fn subnets() {
    let server = recorded(SUBNETS).await;
    let subnets = server.client().await.subnets(&[id("subnet-62aed8c792467b75f")]).await.unwrap();
    let [first, second] = subnets.as_slice() else { panic!("{subnets:?}") };
    assert_eq!((first.id.as_str(), &first.vpc), ("subnet-62aed8c792467b75f", &id::<VpcId>("vpc-16efd92d25b121052")));
    assert_eq!((first.zone.as_str(), first.zone_id.as_str()), ("eu-central-1a", "euc1-az1"));
    assert_eq!((first.ipv4, first.free), (Some("10.1.0.0/24".parse().unwrap()), 250));
    assert_eq!(first.ipv6, ["2400:6500:c27:5e00::/64".parse().unwrap()]);
    let tags =
        [("Name", "a & b"), ("kubernetes.io/role/elb", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!((&first.tags, &first.outpost), (&BTreeMap::from(tags), &None));
    assert_eq!((second.ipv6.len(), second.tags.len()), (0, 0));
    let asked = server.seen().remove(0).form;
    assert_eq!(
        (asked["Filter.1.Name"].as_str(), asked["Filter.1.Value.1"].as_str()),
        ("subnet-id", "subnet-62aed8c792467b75f")
    );
}

#[tokio::test]
async fn a_network_that_was_taken_away_is_not_there_and_layout_is_nothing() {
    // As in the API reference of DescribeSubnets, where answers are indented.
    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<DescribeSubnetsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">
    <requestId>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</requestId>
    <subnetSet>
        <item>
            <subnetId>subnet-9d4a7b6c</subnetId>
            <state>available</state>
            <vpcId>vpc-1a2b3c4d</vpcId>
            <ipv6CidrBlockAssociationSet>
                <item>
                    <ipv6CidrBlock>2001:db8:1234:a1::/64</ipv6CidrBlock>
                    <ipv6CidrBlockState>
                        <state>disassociated</state>
                    </ipv6CidrBlockState>
                </item>
                <item>
                    <ipv6CidrBlock>2001:db8:1234:a2::/64</ipv6CidrBlock>
                    <ipv6CidrBlockState>
                        <state>associated</state>
                    </ipv6CidrBlockState>
                </item>
            </ipv6CidrBlockAssociationSet>
            <availableIpAddressCount>0</availableIpAddressCount>
            <availabilityZone>us-east-1a</availabilityZone>
            <ipv6Native>true</ipv6Native>
        </item>
    </subnetSet>
</DescribeSubnetsResponse>";
    let subnets = recorded(xml).await.client().await.subnets_where(&Filters::new()).await.unwrap();
    assert_eq!(subnets[0].ipv6, ["2001:db8:1234:a2::/64".parse().unwrap()]);
    assert_eq!((subnets[0].ipv4, subnets[0].free, subnets[0].zone_id.as_str()), (None, 0, ""));
}

#[tokio::test]
async fn a_vpc_has_networks_of_both_families() {
    let server = recorded(include_str!("recorded/vpcs.xml")).await;
    let vpc = server.client().await.vpc(&id("vpc-16efd92d25b121052")).await.unwrap().unwrap();
    assert_eq!(vpc.ipv4, ["10.1.0.0/16".parse().unwrap()]);
    assert_eq!(vpc.ipv6, ["2400:6500:c27:5e00::/56".parse().unwrap()]);
}

#[tokio::test]
async fn route_tables_say_which_subnets_reach_the_internet() {
    let server = recorded(include_str!("recorded/route_tables.xml")).await;
    let tables = server.client().await.route_tables_where(&Filters::new()).await.unwrap();
    let [main, public] = tables.as_slice() else { panic!("{tables:?}") };
    assert!(
        main.main
            && main.subnets.is_empty()
            && main.routes.iter().all(|route| route.gateway.as_deref() == Some("local"))
    );
    assert_eq!((public.main, &public.id), (false, &RouteTableId::new("rtb-27cba41ad1f08c99e")));
    assert_eq!(public.subnets, [id::<SubnetId>("subnet-62aed8c792467b75f")]);
    let default = public.routes.iter().find(|route| route.to == "0.0.0.0/0").unwrap();
    assert_eq!((default.gateway.as_deref(), default.active), (Some("igw-b1b44ec776df77024"), true));
}

#[tokio::test]
async fn rules_are_one_source_each() {
    let server = recorded(include_str!("recorded/security_groups.xml")).await;
    let group = server.client().await.security_groups_where(&Filters::new()).await.unwrap().remove(0);
    assert_eq!((group.name.as_str(), group.description.as_str()), ("front", "of a balancer"));
    let rule = |traffic, source, description: Option<&str>| Rule {
        traffic,
        source,
        description: description.map(str::to_owned),
    };
    let expected = [
        rule(Traffic::Tcp(80, 80), Source::Ipv4("10.0.0.0/8".parse().unwrap()), Some("portolan")),
        rule(Traffic::Tcp(80, 80), Source::Ipv4("192.0.2.0/24".parse().unwrap()), None),
        rule(Traffic::Tcp(80, 80), Source::Ipv6("2001:db8::/32".parse().unwrap()), None),
        rule(Traffic::All, Source::Group(id("sg-8b52f5c75f29eed51")), None),
        rule(Traffic::Icmp(3, 4), Source::Ipv4("0.0.0.0/0".parse().unwrap()), None),
    ];
    assert_eq!(group.rules, expected);
}

#[tokio::test]
async fn instances_and_interfaces() {
    let server = recorded(include_str!("recorded/instances.xml")).await;
    let instance = server.client().await.instances(&[InstanceId::new("i-2bd8b5d88daaad893")]).await.unwrap().remove(0);
    assert_eq!(
        (instance.id.as_str(), instance.state.as_str(), instance.zone.as_str()),
        ("i-2bd8b5d88daaad893", "running", "eu-central-1a")
    );
    let server = recorded(include_str!("recorded/interfaces.xml")).await;
    let interface = server.client().await.interfaces_where(&Filters::new()).await.unwrap().remove(0);
    assert_eq!(instance.interfaces, std::slice::from_ref(&interface), "the same interface, from both sides");
    assert_eq!(
        (interface.instance, interface.groups),
        (Some(instance.id), vec![id::<SecurityGroupId>("sg-8b52f5c75f29eed51")])
    );
    assert_eq!(interface.ipv4, ["10.1.0.4".parse::<std::net::Ipv4Addr>().unwrap()]);
    assert_eq!(interface.prefixes, []);
    let with_prefixes = include_str!("recorded/instances.xml").replace(
        "<ipv6AddressesSet/>",
        "<ipv6AddressesSet/><ipv4PrefixSet><item><ipv4Prefix>10.1.0.16/28</ipv4Prefix></item></ipv4PrefixSet>\
         <ipv6PrefixSet><item><ipv6Prefix>2001:db8::/80</ipv6Prefix></item></ipv6PrefixSet>",
    );
    let server = recorded(with_prefixes.leak()).await;
    let instance = server.client().await.instances(&[InstanceId::new("i-2bd8b5d88daaad893")]).await.unwrap().remove(0);
    assert_eq!(
        instance.interfaces[0].prefixes,
        ["10.1.0.16/28", "2001:db8::/80"].map(|net| net.parse::<ipnet::IpNet>().unwrap())
    );
    let none = recorded(include_str!("recorded/no_instances.xml")).await;
    assert_eq!(none.client().await.instances(&[InstanceId::new("i-0")]).await.unwrap(), []);
}

#[tokio::test]
async fn a_refusal() {
    let xml = include_str!("recorded/not_found.xml");
    let server = Scripted::start(move |_, _| Say::Xml(400, xml.to_owned())).await;
    let error = server.client().await.delete_security_group(&id("sg-0123456789abcdef0")).await.unwrap_err();
    assert_eq!((error.problem, error.code.as_deref()), (Problem::Gone, Some("InvalidGroup.NotFound")));
    assert_eq!(
        (error.said.as_str(), error.request_id.as_deref()),
        ("The security group 'sg-0123456789abcdef0' does not exist", Some("request-id"))
    );
}
