//! The dry run: `portolan plan`, with AWS and without.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use serde_json::json;

use super::cloud::{Cloud, both, create, environment, served};
use crate::harness::{Controller, World};

/// Nobody listens on the discard port.
const NOBODY: &str = "http://127.0.0.1:9";

/// What stands where a cost would.
const UNKNOWN: &str = "AWS not reachable: unknown";

/// `portolan plan` on the live cluster, with AWS at this endpoint.
fn plan(world: &World, cloud: &Cloud, endpoint: &str) -> Output {
    let file = |name: &str| world.folder.join(name);
    let kubeconfig = world.server.kubeconfig(&world.server.new_administrator());
    fs::write(file("plan.kubeconfig"), kubeconfig.to_string()).unwrap();
    fs::write(file("plan.yaml"), cloud.setup(world).configuration().to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
    command.arg("plan").arg("--kubeconfig").arg(file("plan.kubeconfig")).arg("--config").arg(file("plan.yaml"));
    command.env("NO_COLOR", "1").env_remove("RUST_LOG").envs(environment(endpoint)).output().unwrap()
}

/// A controller that serves these.
fn serving(world: &World, cloud: &Cloud, names: &[&str]) -> Controller {
    let controller = cloud.setup(world).start();
    for name in names {
        create(world, name, json!({}));
    }
    for name in names {
        served(world, name);
    }
    controller
}

/// The lines about this case's Service.
fn about(world: &World, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let begins = format!("{}/web: ", world.namespace);
    let lines = text.lines().skip_while(|line| !line.starts_with(&begins));
    let (first, rest): (Vec<_>, Vec<_>) = lines.enumerate().partition(|(number, _)| *number == 0);
    let own = rest.into_iter().take_while(|(_, line)| line.starts_with("  "));
    first.into_iter().chain(own).map(|(_, line)| format!("{line}\n")).collect()
}

/// The calls that its steps cost, in their order.
fn costs(text: &str) -> Vec<&str> {
    let steps = text.lines().filter(|line| line.starts_with("  step "));
    steps.filter_map(|line| line.rsplit_once('[')?.1.strip_suffix(']')).collect()
}

/// First the group that all balancers of the cluster carry, and the targets let it in.
const COSTS: [&str; 8] = [
    "ec2:CreateSecurityGroup",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateSecurityGroup",
    "ec2:AuthorizeSecurityGroupIngress",
    "elasticloadbalancing:CreateTargetGroup",
    "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:RegisterTargets",
];

#[test]
fn the_dry_run_prints_each_step_with_the_call_that_it_costs_and_changes_nothing() {
    both(|world| {
        let cloud = Cloud::quick(world);
        create(world, "web", json!({}));
        let output = plan(world, &cloud, &cloud.double.endpoint());
        assert!(output.status.success(), "{output:?}");
        let text = about(world, &output);
        assert_eq!(costs(&text), COSTS, "{text}");
        assert!(cloud.seed.private_subnets.iter().all(|subnet| text.contains(subnet)), "{text}");
        assert!(cloud.seed.instances.iter().all(|instance| text.contains(instance)), "{text}");
        assert_eq!(cloud.mutating(0), [""; 0]);
        assert!(world.records().is_empty());
    });
}

#[test]
fn without_aws_the_dry_run_prints_the_steps_and_what_it_cannot_know() {
    both(|world| {
        let cloud = Cloud::quick(world);
        create(world, "web", json!({}));
        let output = plan(world, &cloud, NOBODY);
        assert!(output.status.success(), "{output:?}");
        let text = about(world, &output);
        let [_, _, known @ ..] = COSTS;
        let (unknown, rest) = costs(&text).split_first().map(|(first, rest)| (*first, rest.to_vec())).unwrap();
        assert_eq!((unknown, rest.as_slice()), (UNKNOWN, known.as_slice()), "{text}");
        assert!(text.contains("in subnets that only AWS knows"), "{text}");
    });
}

#[test]
fn at_rest_there_is_nothing_to_do_and_without_aws_the_rules_are_not_guessed() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = serving(world, &cloud, &["web", "other"]);
        controller.is_well();
        let output = plan(world, &cloud, &cloud.double.endpoint());
        let text = about(world, &output);
        assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), ["  nothing to do"], "{text}");
        let text = about(world, &plan(world, &cloud, NOBODY));
        assert_eq!(costs(&text), [UNKNOWN, UNKNOWN], "its targets' groups and its own: {text}");
    });
}

#[test]
fn a_change_of_scheme_is_planned_with_what_becomes_of_the_first() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = serving(world, &cloud, &["web"]);
        drop(controller);
        world.edit("web", json!({"metadata": {"annotations": {"portolan.dev/scheme": "public"}}}));
        let text = about(world, &plan(world, &cloud, &cloud.double.endpoint()));
        assert_eq!(costs(&text), COSTS[2..], "the targets let it in already: {text}");
        let later: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  then, when ")).collect();
        let told = |line: &&str| line.split(": ").take(2).map(str::to_owned).collect::<Vec<_>>().join(": ");
        let expected = [
            "it is published: Retire",
            "clients have forgotten what is replaced: Deregister",
            "targets have finished their connections: DeleteBalancer",
            "targets have finished their connections: DeleteGroup",
            "targets have finished their connections: DeleteSecurityGroup",
        ];
        assert_eq!(later.iter().map(told).collect::<Vec<_>>(), expected, "{text}");
    });
}

#[test]
fn who_goes_takes_along_what_only_he_needed_and_the_last_one_the_group_that_all_carry() {
    both(|world| {
        let cloud = Cloud::quick(world);
        let controller = serving(world, &cloud, &["web", "other"]);
        drop(controller);
        let calls = |text: &str| -> Vec<String> {
            let known = costs(text).into_iter().filter(|cost| !cost.contains("unknown"));
            known.map(str::to_owned).collect()
        };
        let own = [
            "elasticloadbalancing:DeleteLoadBalancer",
            "elasticloadbalancing:DeleteTargetGroup",
            "ec2:DeleteSecurityGroup",
        ];
        world.delete("web");
        let text = about(world, &plan(world, &cloud, &cloud.double.endpoint()));
        let planned = calls(&text);
        assert!(planned.starts_with(&own.map(str::to_owned)), "{text}");
        assert_eq!(planned.last().map(String::as_str), Some("ec2:RevokeSecurityGroupIngress"), "{text}");
        world.delete("other");
        let output = plan(world, &cloud, &cloud.double.endpoint());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let all = calls(&text);
        let deleted = all.iter().filter(|cost| *cost == "ec2:DeleteSecurityGroup").count();
        assert_eq!(deleted, 3, "their own ones, and the one that all carry: {text}");
        // Each revokes its own; and where node ports follow one another, what was one rule is opened anew for who is left.
        assert!((2 * own.len() + 2..=2 * own.len() + 4).contains(&all.len()), "{text}");
        assert!(!text.contains("then, "), "{text}");
        assert!(text.contains("which no load balancer carries any more [ec2:DeleteSecurityGroup]"), "{text}");

        let mark = cloud.double.log().mark();
        let controller = cloud.setup(world).start();
        cloud.nothing_left(world);
        let done: BTreeSet<String> = cloud.mutating(mark).into_iter().collect();
        let planned = all.iter().filter_map(|cost| cost.split_once(':')).map(|(_, action)| action.to_owned());
        // Both at one time may need fewer calls than one after the other.
        let planned: BTreeSet<String> = planned.collect();
        assert!(done.is_subset(&planned), "{done:?} {planned:?}");
        controller.is_well();
    });
}
