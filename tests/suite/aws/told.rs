//! What the status says of a balancer: its name as Kubernetes takes it, and all that is wrong, whole.

use serde_json::{Value, json};

use super::cloud::{Cloud, annotations, both, create, hostnames, served};
use crate::harness::{World, condition, eventually};

/// Where every error stands that a Service can have at once.
const MANY_ERRORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/aws/settings/many-errors");

fn ensured(world: &World, name: &str) -> usize {
    world.events(name).iter().filter(|event| event["reason"] == "EnsuredLoadBalancer").count()
}

#[test]
fn a_balancer_whose_name_has_capitals_is_published_in_lower_case_and_a_restart_changes_nothing() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let setup = cloud.setup(world);
        let controller = setup.start();
        create(world, "web", annotations(&[("aws-load-balancer-name", "WebShop")]));
        let service = served(world, "web");
        let name = cloud.balancer().hostname;
        assert!(name.starts_with("WebShop-"), "AWS keeps the capitals: {name}");
        assert_eq!(hostnames(&service), [name.to_ascii_lowercase()]);
        let told = condition(&service, "portolan.dev/AddressAssigned").unwrap()["message"].as_str().unwrap();
        assert!(told.starts_with(&format!("{}; subnet-", name.to_ascii_lowercase())), "{told}");
        // Every subnet of the VPC, and why.
        for (subnets, why) in [
            (&cloud.seed.private_subnets, "is taken"),
            (&cloud.seed.public_subnets, "lacks the tag kubernetes.io/role/internal-elb"),
        ] {
            for subnet in subnets {
                let verdict = told.split("; ").find(|one| one.starts_with(&format!("{subnet} (")));
                let verdict = verdict.unwrap_or_else(|| panic!("{subnet} is missing in {told}"));
                assert!(verdict.contains("eu-central-1") && verdict.ends_with(why), "{verdict}");
            }
        }
        eventually("it is told", crate::harness::SOON, || match ensured(world, "web") {
            1 => Ok(()),
            count => Err(format!("{count} times")),
        });
        crate::at_rest::settled(world, &controller.user);
        controller.kill();

        let (before, mark) = (world.service("web").unwrap(), cloud.double.log().mark());
        let twin = setup.twin(world);
        world.server.grant_readiness_gates(&twin.user);
        let controller = twin.start();
        // A Service that comes behind it is served.
        create(world, "next", json!({}));
        served(world, "next");
        crate::at_rest::settled(world, &controller.user);
        assert_eq!(world.service("web").unwrap(), before);
        assert_eq!(ensured(world, "web"), 1, "told once");
        let arn = cloud.balancers().remove("WebShop").unwrap().arn;
        let calls = cloud.calls(mark);
        let touched: Vec<_> = calls.iter().filter(|call| call.is_mutating() && call.is_about(&arn)).collect();
        assert!(touched.is_empty(), "{touched:#?}");
        controller.is_well();
    });
}

#[test]
fn every_error_of_a_service_stands_in_the_condition_and_the_event_counts_those_that_it_has_no_room_for() {
    let read = |path: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        serde_yaml::from_multiple(&text).unwrap()
    };
    let documents = read(&format!("{MANY_ERRORS}.yaml"));
    let limits = documents[0]["$parameters"]["limits"].clone();
    let mut service = documents.into_iter().find(|one| one["metadata"]["name"] == "everything").unwrap();
    for port in service["spec"]["ports"].as_array_mut().unwrap() {
        // Those of the file may be taken here.
        port.as_object_mut().unwrap().remove("nodePort");
    }
    let expected = read(&format!("{MANY_ERRORS}.expected.yaml")).remove(0);
    let errors: Vec<String> = expected["everything"]["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap().split_once(": ").unwrap().1.to_owned())
        .collect();
    assert!(errors.len() > 8, "{errors:#?}");
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = cloud.setup(world).class(json!({"parameters": {"limits": limits}})).start();
        world.create("everything", service.clone());
        let service = world.becomes("everything", "it is refused", |service| {
            condition(service, "portolan.dev/Accepted").is_some_and(|one| one["status"] == "False")
        });
        let message = condition(&service, "portolan.dev/Accepted").unwrap()["message"].as_str().unwrap().to_owned();
        for error in &errors {
            assert!(message.contains(error), "{error}\nis missing in\n{message}");
        }
        let told = eventually("the Event is written", crate::harness::SOON, || {
            let events = world.events("everything");
            let told = events.iter().find(|event| event["reason"] == "SyncLoadBalancerFailed");
            told.and_then(|event| event["message"].as_str().map(str::to_owned)).ok_or_else(|| format!("{events:#?}"))
        });
        let (head, tail) = told.split_once("; and ").unwrap_or_else(|| panic!("{told}"));
        let more: usize =
            tail.strip_suffix(" more; see the condition").unwrap_or_else(|| panic!("{told}")).parse().unwrap();
        let named = errors.iter().filter(|error| head.contains(error.as_str())).count();
        assert!(named > 0 && more > 0 && named + more >= errors.len() && told.len() <= 1024, "{named}: {told}");
        assert_eq!(cloud.calls(0).len(), 0, "AWS is not asked");
        controller.is_well();
    });
}
