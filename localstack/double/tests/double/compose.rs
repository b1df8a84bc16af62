//! `compose.yaml` is for those with Docker and never run here. What of it can go wrong unseen is held against what is run: `localstack/tools` has the
//! one pin, `localstack/run` the port and the settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    image: String,
    ports: Vec<String>,
    environment: BTreeMap<String, String>,
    volumes: Vec<String>,
    entrypoint: Vec<String>,
    healthcheck: Healthcheck,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Healthcheck {
    test: Vec<String>,
    #[serde(rename = "interval")]
    _interval: String,
    #[serde(rename = "retries")]
    _retries: u32,
}

fn file(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a script sets a variable to, at the beginning of a line.
fn pin(script: &str, name: &str) -> String {
    let line = script.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("{name} is set")).to_owned()
}

fn compose() -> Service {
    let mut compose: Compose = serde_yaml::from_str(&file("compose.yaml")).unwrap();
    assert_eq!(compose.services.keys().collect::<Vec<_>>(), ["localstack"]);
    compose.services.remove("localstack").unwrap()
}

#[test]
fn docker_runs_the_localstack_that_is_pinned() {
    assert_eq!(compose().image, format!("localstack/localstack:{}", pin(&file("tools"), "localstack")));
}

#[test]
fn docker_s_localstack_listens_where_the_other_does_and_has_no_setting_of_its_own() {
    let (compose, run) = (compose(), file("run"));
    assert!(run.contains("port=${port:-4566} health=_localstack/health"), "the port of localstack/run");
    assert_eq!(compose.ports, ["127.0.0.1:4566:4566"]);
    assert_eq!(compose.healthcheck.test.last().unwrap(), "http://127.0.0.1:4566/_localstack/health");
    for (name, value) in &compose.environment {
        assert!(run.contains(&format!("{name}={value} ")), "localstack/run has no {name}={value}");
    }
}

#[test]
fn docker_s_localstack_gets_the_plugin() {
    let compose = compose();
    let [mount] = compose.volumes.as_slice() else { panic!("one volume: {:?}", compose.volumes) };
    let [from, to, "ro"] = mount.split(':').collect::<Vec<_>>()[..] else { panic!("{mount}") };
    assert!(folder().join(from).join("pyproject.toml").is_file(), "{from} is the plugin");
    let script = compose.entrypoint.last().unwrap();
    assert!(
        script.starts_with(&format!("cp -r {to} ")) && script.ends_with(" && exec docker-entrypoint.sh"),
        "{script}"
    );
}

#[test]
fn the_readme_speaks_of_the_moto_that_is_pinned() {
    let moto = pin(&file("tools"), "moto");
    assert!(file("README.md").contains(&format!("what moto {moto} does")), "moto {moto}");
}
