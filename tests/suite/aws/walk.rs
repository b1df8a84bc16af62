//! A Service's life: `kubectl apply`, the balancer at AWS, a change, `kubectl delete`, nothing left. Once as `localstack/README.md` leads it, with
//! its own commands, and once looked at in between.

use std::collections::BTreeSet;
use std::time::Duration;

use portolan_aws_double::Timings;
use portolan_aws_double::emulator::Which;

use super::cloud::{
    Cloud, REGION, behind, both, both_alone, both_alone_at_localstack, both_at_localstack, hostnames, served,
};
use super::terminal::{Terminal, commands};
use crate::harness::{SOON, World, condition, eventually, finalizers};

/// The Service of the walk.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/localstack/web.yaml");

/// A balancer and its targets take their time, so that a case sees what the status says meanwhile.
const SLOW: Timings = Timings {
    provisioning: Duration::from_secs(150),
    registration: Duration::from_secs(180),
    release: Duration::from_secs(3),
    interface_release: Duration::from_secs(3),
    ..Timings::none()
};

#[test]
fn a_service_is_applied_served_changed_and_deleted_and_nothing_is_left() {
    both(|world| walk(world, Which::Moto));
}

#[test]
fn at_localstack_too_a_service_is_applied_served_changed_and_deleted_and_nothing_is_left() {
    both_at_localstack(|world| walk(world, Which::LocalStack));
}

fn walk(world: &World, which: Which) {
    let cloud = Cloud::at(which, world, SLOW);
    let controller = cloud.setup(world).start();
    world.kubectl(&["apply", "-f", MANIFEST]).unwrap_or_else(|error| panic!("{error}"));

    // Accepted at once; no name is published for a balancer that is still being set up.
    let service = world.condition("web", "portolan.dev/Programmed", "False", "Provisioning");
    assert_eq!(condition(&service, "portolan.dev/Accepted").unwrap()["status"], "True");
    assert_eq!(hostnames(&service), [""; 0]);
    eventually("listener and targets are there before it is active", SOON, || {
        let service = world.service("web").unwrap();
        let (found, wanted) = (cloud.targets().remove(&80), behind(&cloud, &service, 80));
        if found.as_ref() == Some(&wanted) { Ok(()) } else { Err(format!("{found:?}, not {wanted:?}")) }
    });
    assert_eq!(cloud.listeners(), [(80, "TCP".to_owned())]);
    assert_eq!(cloud.let_in(), BTreeSet::from(["tcp 80-80 0.0.0.0/0".to_owned()]));
    let balancer = cloud.balancer();
    assert_eq!((balancer.scheme.as_str(), balancer.zones), ("internal", 3), "the class's own default");

    // Active, its targets not yet probed: the name is published, and says what is missing.
    cloud.double.clock().advance(SLOW.provisioning);
    let service = world.becomes("web", "its name is published", |service| !hostnames(service).is_empty());
    assert_eq!(hostnames(&service), std::slice::from_ref(&balancer.hostname));
    assert!(balancer.hostname.ends_with(&format!(".elb.{REGION}.amazonaws.com")), "{balancer:?}");
    let ingress = &service["status"]["loadBalancer"]["ingress"][0];
    assert!(ingress["ip"].is_null() && ingress["ipMode"].is_null(), "{ingress:#}");
    assert_eq!(ingress["ports"], serde_json::json!([{"port": 80, "protocol": "TCP"}]));
    world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
    world.condition("web", "portolan.dev/Reachable", "Unknown", "NoWitness");
    cloud.double.clock().advance(SLOW.registration);
    served(world, "web");

    // A port more.
    let ports =
        r#"[{"op": "add", "path": "/spec/ports/-", "value": {"name": "https", "port": 443, "targetPort": 8443}}]"#;
    world.kubectl(&["patch", "service", "web", "--type=json", "-p", ports]).unwrap_or_else(|error| panic!("{error}"));
    world.becomes("web", "the status lists both ports", |service| {
        service["status"]["loadBalancer"]["ingress"][0]["ports"].as_array().is_some_and(|ports| ports.len() == 2)
    });
    assert_eq!(cloud.listeners(), [(80, "TCP".to_owned()), (443, "TCP".to_owned())]);
    let rules = ["tcp 80-80 0.0.0.0/0", "tcp 443-443 0.0.0.0/0"].map(str::to_owned);
    assert_eq!(cloud.let_in(), BTreeSet::from(rules), "exactly the ports");
    assert_eq!(cloud.balancer(), balancer, "the same balancer");

    let finalizer = finalizers(&world.service("web").unwrap());
    assert_eq!(finalizer.len(), 1, "{finalizer:?}");
    world.kubectl(&["delete", "-f", MANIFEST, "--wait=false"]).unwrap_or_else(|error| panic!("{error}"));
    // What AWS still holds on to for some seconds is waited for, then removed.
    eventually("its balancer is deleted", SOON, || match cloud.inventory().balancers.len() {
        0 => Ok(()),
        left => Err(format!("{left} left")),
    });
    cloud.double.clock().advance(SLOW.interface_release);
    cloud.nothing_left(world);
    world.gone("web");
    controller.is_well();
}

/// The page that leads a newcomer.
const README: &str = include_str!("../../../localstack/README.md");

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    both_alone(|world| read_and_typed(world, Which::Moto));
}

#[test]
fn at_localstack_too_the_commands_of_the_readme_do_what_it_says() {
    both_alone_at_localstack(|world| read_and_typed(world, Which::LocalStack));
}

fn read_and_typed(world: &World, which: Which) {
    let cloud = Cloud::alone(which, world);
    let controller = cloud.setup(world).start();
    let endpoint = cloud.double.endpoint();
    let mut terminal = Terminal::new(
        world,
        &[
            ("AWS_ENDPOINT_URL", &*endpoint),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_DEFAULT_REGION", REGION),
        ],
    );
    let walk: Vec<&str> = commands(README, "# 4: your Service\n").split("\n\n").collect();
    let [beginning, applied, seen, port, scheme, deleted] = walk[..] else { panic!("{walk:#?}") };

    // Where the emulator and the cluster are this case knows better, and nothing else.
    let (exports, rest): (Vec<&str>, Vec<&str>) = beginning.lines().partition(|line| line.starts_with("export "));
    let exports = exports.iter().flat_map(|line| line.split(' ').skip(1)).map(|one| one.split('=').next().unwrap());
    let own = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "KUBECONFIG"];
    assert_eq!(exports.collect::<Vec<_>>(), own);
    terminal.types(&rest.join("\n"));

    let domain = format!(".elb.{REGION}.amazonaws.com");
    let printed = terminal.types(applied);
    assert!(printed.contains("service/web created") && printed.contains(&domain), "{printed}");

    let printed = terminal.types(seen);
    let first = hostnames(&world.service("web").unwrap()).remove(0);
    assert!(printed.contains(&format!("{first}\tinternal\tactive\n")), "{printed}");
    for kind in ["Accepted", "AddressAssigned", "Programmed", "Reachable"] {
        assert!(printed.contains(&format!("portolan.dev/{kind}=True ")), "{kind}: {printed}");
    }

    let printed = terminal.types(port);
    assert!(printed.ends_with("80\tTCP\n443\tTCP\n"), "{printed}");

    let printed = terminal.types(scheme);
    let second = hostnames(&world.service("web").unwrap()).remove(0);
    assert_ne!(first, second);
    assert!(printed.ends_with(&format!("{second}\tinternet-facing\tactive\n")), "{printed}");

    let printed = terminal.types(deleted);
    assert!(printed.contains(r#"service "web" deleted"#), "{printed}");
    assert_eq!(world.service("web"), None, "kubectl comes back when it is gone");
    let printed = terminal.types(commands(README, "# 4: nothing is left, each of these says: []\n"));
    assert_eq!(printed, "[]\n".repeat(3));
    cloud.nothing_left(world);
    controller.is_well();
}
