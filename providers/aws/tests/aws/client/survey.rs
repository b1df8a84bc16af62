//! What a survey learns, and what it asks for.

use std::sync::Arc;
use std::time::Duration;

use portolan_aws::client::ec2::groups::NewSecurityGroup;
use portolan_aws::clock::SystemClock;
use portolan_aws::estate::Estate;
use portolan_aws::ids::{ClusterName, Id, SecurityGroupId, VpcId};
use portolan_aws::names::{GENERATION, Names};
use portolan_aws::parameters::Parameters;
use portolan_aws::state::{Rule, Source, Traffic};
use portolan_aws::survey::{Error, Learned, Survey};
use portolan_core::ids::{Instance, LoadBalancerId};

use crate::client::double::on_double;
use crate::client::scripted::{Say, Scripted, ec2, ec2_error};
use crate::emulated::CLUSTER;

const LONG: Duration = Duration::from_secs(3600);

fn parameters() -> Parameters {
    Parameters::new(ClusterName::parse(CLUSTER).unwrap())
}

fn survey(parameters: Parameters) -> Survey {
    Survey::new(parameters, &Instance::default(), Arc::new(SystemClock::start()))
}

fn subnet<'a>(estate: &'a Estate, id: &str) -> &'a portolan_aws::estate::Subnet {
    estate.subnets.as_ref().unwrap().iter().find(|subnet| subnet.id.as_str() == id).unwrap()
}

#[tokio::test]
async fn the_first_look_asks_for_three_things_and_a_settled_estate_for_nothing() {
    on_double("the_first_look_asks_for_three_things_and_a_settled_estate_for_nothing", |stage| async move {
        let survey = survey(parameters());
        assert_eq!(*survey.known(), Estate::default());
        let estate = survey.look(&stage.aws, LONG, &stage.nodes()).await.unwrap();
        let mut actions = stage.actions(0);
        actions.sort();
        assert_eq!(actions, ["DescribeInstances", "DescribeSecurityGroups", "DescribeSubnets"]);
        assert_eq!(estate.vpc.as_ref().unwrap().as_str(), stage.seed.vpc);
        assert_eq!(estate.subnets.as_ref().unwrap().len(), 6, "those of the VPC and no others");
        let (first, third) =
            (subnet(&estate, &stage.seed.public_subnets[0]), subnet(&estate, &stage.seed.public_subnets[2]));
        assert!(first.zone.ends_with('a') && first.ipv6.is_some() && third.ipv6.is_none());
        assert!(first.free_addresses > 200 && first.tags["kubernetes.io/role/elb"] == "1");
        assert_eq!(first.public, None, "the roles decide, so nobody asked");
        let mark = stage.double.log().mark();
        assert_eq!(survey.look(&stage.aws, LONG, &[]).await.unwrap(), estate);
        assert_eq!(survey.known(), estate);
        assert_eq!(stage.actions(mark), Vec::<String>::new());
        survey.look(&stage.aws, Duration::ZERO, &[]).await.unwrap();
        let mut again = stage.actions(mark);
        again.sort();
        assert_eq!(again, ["DescribeSecurityGroups", "DescribeSubnets"], "a VPC stays");
    })
    .await;
}

#[tokio::test]
async fn where_no_subnet_has_a_role_the_look_asks_for_routes() {
    on_double("where_no_subnet_has_a_role_the_look_asks_for_routes", |stage| async move {
        for subnet in &stage.seed.private_subnets {
            stage
                .by_hand("DeleteTags", &[("ResourceId.1", subnet), ("Tag.1.Key", "kubernetes.io/role/internal-elb")])
                .await;
        }
        let mark = stage.double.log().mark();
        let vpc_id = VpcId::parse(&stage.seed.vpc);
        let estate = survey(Parameters { vpc_id, ..parameters() }).look(&stage.aws, LONG, &[]).await.unwrap();
        let mut actions = stage.actions(mark);
        actions.sort();
        assert_eq!(
            actions,
            ["DescribeRouteTables", "DescribeSecurityGroups", "DescribeSubnets"],
            "the class names the VPC"
        );
        for (public, private) in stage.seed.public_subnets.iter().zip(&stage.seed.private_subnets) {
            assert_eq!((subnet(&estate, public).public, subnet(&estate, private).public), (Some(true), Some(false)));
        }
    })
    .await;
}

#[tokio::test]
async fn our_security_groups_are_known_with_the_rules_that_carry_our_mark() {
    on_double("our_security_groups_are_known_with_the_rules_that_carry_our_mark", |stage| async move {
        let names =
            Names::new(&ClusterName::parse(CLUSTER).unwrap(), &Instance::default(), &LoadBalancerId::new("uid"));
        let mut tags = names.tags();
        tags.insert(GENERATION.to_owned(), "2".to_owned());
        let new = NewSecurityGroup {
            name: names.security_group(2),
            description: "of a test".to_owned(),
            vpc: VpcId::parse(&stage.seed.vpc).unwrap(),
            tags,
        };
        let survey = survey(parameters());
        assert_eq!(survey.own_security_groups(&names), None, "nobody has looked");
        survey.look(&stage.aws, LONG, &stage.nodes()).await.unwrap();
        assert_eq!(survey.own_security_groups(&names), Some(Vec::new()));

        let id = stage.aws.create_security_group(&new).await.unwrap();
        survey.learned(Learned::made(id.clone(), new));
        let rule = |traffic, network: &str| Rule { traffic, source: Source::Network(network.parse().unwrap()) };
        let rules = [
            rule(Traffic::Tcp(80), "0.0.0.0/0"),
            rule(Traffic::Udp(53), "2001:db8::/32"),
            rule(Traffic::PathMtu, "2001:db8::/32"),
            rule(Traffic::PathMtu, "0.0.0.0/0"),
        ];
        let ours: Vec<_> = rules.iter().map(|rule| names.mark().write(rule)).collect();
        stage.aws.authorize_ingress(&id, &ours).await.unwrap();
        survey.learned(Learned::RulesAdded(id.clone(), ours));
        let learned = survey.own_security_groups(&names).unwrap();
        assert_eq!((learned[0].generation, learned[0].others, learned[0].rules.len()), (2, 0, 4));

        let by_hand = [
            ("GroupId", id.as_str()),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "22"),
            ("IpPermissions.1.ToPort", "22"),
            ("IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8"),
        ];
        stage.by_hand("AuthorizeSecurityGroupIngress", &by_hand).await;
        survey.look(&stage.aws, Duration::ZERO, &[]).await.unwrap();
        let described = survey.own_security_groups(&names).unwrap();
        assert_eq!(described[0].rules, learned[0].rules, "what AWS describes is what we wrote");
        assert_eq!((described.len(), described[0].others), (1, 1));
        assert_eq!(described[0].id, id);

        let other =
            Names::new(&ClusterName::parse(CLUSTER).unwrap(), &Instance::default(), &LoadBalancerId::new("other"));
        assert_eq!(survey.own_security_groups(&other), Some(Vec::new()));
        survey.learned(Learned::GroupGone(id));
        assert_eq!(survey.own_security_groups(&names), Some(Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn security_groups_are_found_by_their_tag_name() {
    on_double("security_groups_are_found_by_their_tag_name", |stage| async move {
        let group = &stage.seed.security_group;
        stage.by_hand("CreateTags", &[("ResourceId.1", group), ("Tag.1.Key", "Name"), ("Tag.1.Value", "nodes")]).await;
        let estate = survey(parameters()).look(&stage.aws, LONG, &stage.nodes()).await.unwrap();
        assert_eq!(estate.security_groups.as_ref().unwrap()["nodes"], [SecurityGroupId::parse(group).unwrap()]);
    })
    .await;
}

fn empty(action: &str) -> Say {
    match action {
        "DescribeSubnets" => ec2(action, "<subnetSet/>"),
        "DescribeRouteTables" => ec2(action, "<routeTableSet/>"),
        "DescribeSecurityGroups" => ec2(action, "<securityGroupInfo/>"),
        other => ec2_error(400, "InvalidAction", other),
    }
}

fn in_a_vpc() -> Survey {
    survey(Parameters { vpc_id: VpcId::parse("vpc-1"), ..parameters() })
}

#[tokio::test]
async fn those_who_ask_at_once_share_one_look() {
    let server = Scripted::start(|request, _| empty(request.action())).await;
    let (aws, survey) = (server.client().await, in_a_vpc());
    let looks = (0..20).map(|_| survey.look(&aws, LONG, &[]));
    let found = futures::future::try_join_all(looks).await.unwrap();
    assert!(found.iter().all(|estate| Arc::ptr_eq(estate, &found[0])));
    assert_eq!(server.actions().len(), 3, "{:?}", server.actions());
}

#[tokio::test]
async fn those_who_ask_at_once_share_a_failure_too_and_the_next_one_tries_again() {
    let server = Scripted::start(|request, before| match request.action() {
        "DescribeSubnets" if before < 4 => ec2_error(403, "UnauthorizedOperation", "You are not authorized"),
        action => empty(action),
    })
    .await;
    let (aws, survey) = (server.client().await, in_a_vpc());
    let looks = (0..20).map(|_| survey.look(&aws, LONG, &[]));
    let failed = futures::future::join_all(looks).await;
    assert!(failed.iter().all(|one| matches!(one, Err(Error::Aws(_)))));
    let asked = |server: &Scripted| server.actions().iter().filter(|action| *action == "DescribeSubnets").count();
    assert_eq!(asked(&server), 1, "{:?}", server.actions());
    assert_eq!(survey.known().subnets, None);
    while survey.look(&aws, LONG, &[]).await.is_err() {}
    assert!(survey.known().subnets.is_some());
}

#[tokio::test]
async fn a_look_that_nobody_waits_for_any_more_keeps_nobody_waiting() {
    let server =
        Scripted::start(|request, before| if before == 0 { Say::Nothing } else { empty(request.action()) }).await;
    let (aws, survey) = (server.client().await, in_a_vpc());
    {
        let mut given_up = Box::pin(survey.look(&aws, LONG, &[]));
        while server.actions().is_empty() {
            let _ = futures::poll!(&mut given_up);
            tokio::task::yield_now().await;
        }
    }
    assert!(survey.look(&aws, LONG, &[]).await.is_ok());
}

#[tokio::test]
async fn where_nobody_tells_the_vpc_the_error_says_which_parameter_does() {
    let server = Scripted::start(|request, _| match request.action() {
        "DescribeInstances" => ec2("DescribeInstances", "<reservationSet/>"),
        action => empty(action),
    })
    .await;
    let aws = server.client().await;
    for (nodes, error) in [
        (vec![], Error::NoInstance),
        (vec!["gce://p/z/i-1".to_owned()], Error::NoInstance),
        (vec!["aws:///a/i-0abc".to_owned()], Error::UnknownInstances),
    ] {
        let why = survey(parameters()).look(&aws, LONG, &nodes).await.unwrap_err();
        assert_eq!(why, error);
        assert!(why.to_string().contains("set vpcId in the class's parameters"), "{why}");
    }
    assert_eq!(server.actions(), ["DescribeInstances"; 2], "by the cluster's tag, and by the one instance");
}

#[tokio::test]
async fn where_nobody_tells_of_nodes_the_instances_with_the_clusters_tag_tell_the_vpc() {
    on_double("where_nobody_tells_of_nodes_the_instances_with_the_clusters_tag_tell_the_vpc", |stage| async move {
        let estate = survey(parameters()).look(&stage.aws, LONG, &[]).await.unwrap();
        assert_eq!(estate.vpc.as_ref().unwrap().as_str(), stage.seed.vpc);
        assert_eq!(stage.actions(0).iter().filter(|action| *action == "DescribeInstances").count(), 1);
    })
    .await;
}
