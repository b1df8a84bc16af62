//! What `deploy/` says is what the program understands: definitions, arguments, configuration, service accounts.

use std::fs;

use clap::Parser;
use serde_json::Value;

use super::speaker::SIGN_OF_LIFE;
use super::{Arguments, Command, check_parameters};
use crate::{api, config, yaml};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(format!("{FOLDER}/{file}")).unwrap_or_else(|error| panic!("{file}: {error}"));
    yaml::documents(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn one(file: &str, kind: &str) -> Value {
    let found = documents(file).into_iter().find(|document| document["kind"] == kind);
    found.unwrap_or_else(|| panic!("{file} has no {kind}"))
}

#[test]
fn the_definitions_are_those_of_the_types() {
    let now: String =
        api::crds().iter().map(|crd| format!("---\n{}\n", yaml::to_string(crd).unwrap().trim_end())).collect();
    let file = format!("{FOLDER}/crds.yaml");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, now).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(file).unwrap_or_default() == now,
        "deploy/crds.yaml is not what `portolan crds` prints; run `UPDATE_GOLDEN=1 cargo test -p portolan --lib deployed`"
    );
}

#[test]
fn a_pace_that_makes_no_sense_is_refused_with_what_would() {
    let refused = |pace: &str| {
        let line = ["portolan", "speaker", "--node-name", "node-a", "--frames-per-second", pace];
        Arguments::try_parse_from(line).err().map(|error| error.to_string())
    };
    for pace in ["1", "50", "10000"] {
        assert_eq!(refused(pace), None);
    }
    for pace in ["0", "10001", "fast"] {
        let why = refused(pace).unwrap_or_default();
        assert!(why.contains("--frames-per-second"), "{pace}: {why}");
        assert!(pace.parse::<u32>().is_err() || why.contains("1..=10000"), "{pace}: {why}");
    }
}

/// Of the first container: the command line as the kubelet would start it, its environment as flags.
fn command(workload: &Value) -> Command {
    let pod = &workload["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let words = container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
    let mut line: Vec<String> = ["portolan".to_owned()].into_iter().chain(words).collect();
    for variable in container["env"].as_array().unwrap() {
        let given = |otherwise| variable["value"].as_str().unwrap_or(otherwise);
        let (flag, value) = match variable["name"].as_str().unwrap() {
            "PORTOLAN_CONFIG" => ("--config", given("from-the-pod")),
            "POD_NAME" => ("--identity", given("from-the-pod")),
            "POD_NAMESPACE" => ("--lease-namespace", given("from-the-pod")),
            "NODE_NAME" => ("--node-name", given("from-the-pod")),
            "NODE_IPS" => ("--node-ips", given("198.51.100.11,2001:db8:51::11")),
            other => panic!("{other} is no variable of ours"),
        };
        line.extend([flag.to_owned(), value.to_owned()]);
    }
    Arguments::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).command
}

#[test]
fn the_arguments_are_understood_and_the_service_accounts_are_those_of_the_roles() {
    let (controller, speaker) = (one("controller.yaml", "Deployment"), one("speaker.yaml", "DaemonSet"));
    assert!(matches!(command(&controller), Command::Controller(_)));
    assert!(matches!(command(&speaker), Command::Speaker(_)));
    for (workload, file) in [(controller, "rbac.yaml"), (speaker, "rbac-speaker.yaml")] {
        let (account, pod) = (one(file, "ServiceAccount"), &workload["spec"]["template"]["spec"]);
        assert_eq!(pod["serviceAccountName"], account["metadata"]["name"], "{file}");
        assert_eq!(workload["metadata"]["namespace"], account["metadata"]["namespace"], "{file}");
        let security = &pod["containers"][0]["securityContext"];
        assert_eq!(security["capabilities"]["drop"], serde_json::json!(["ALL"]), "{file}");
        assert_eq!(security["readOnlyRootFilesystem"], true, "{file}");
    }
    let pod = &one("speaker.yaml", "DaemonSet")["spec"]["template"]["spec"];
    let security = &pod["containers"][0]["securityContext"];
    assert_eq!(security["capabilities"]["add"], serde_json::json!(["NET_RAW"]));
    let steady = one("speaker.yaml", "DaemonSet")["spec"]["minReadySeconds"].as_u64();
    assert!(
        steady > Some(SIGN_OF_LIFE.renew_deadline.as_secs()),
        "{steady:?}: the next one ends before this one is alive"
    );
    assert_eq!((&security["runAsUser"], &pod["hostNetwork"]), (&serde_json::json!(0), &serde_json::json!(true)));
}

#[test]
fn the_configuration_is_sound() {
    let map = one("controller.yaml", "ConfigMap");
    let text = map["data"]["config.yaml"].as_str().unwrap();
    let configuration =
        config::Configuration::parse(text, &check_parameters).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(configuration.classes.classes.len(), 1);
}
