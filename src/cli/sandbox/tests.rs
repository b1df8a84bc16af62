use std::fs;

use clap::Parser;
use serde_json::Value;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: SandboxArguments,
}

/// Runs the command with these words, and gives back how it ended and what it printed.
fn ran(words: &[&str]) -> anyhow::Result<(Ended, String)> {
    let Line { arguments } = Line::try_parse_from(["sandbox"].iter().chain(words))?;
    let mut out = Vec::new();
    let ended = super::super::runtime()?.block_on(sandbox(&arguments, &mut out, false))?;
    Ok((ended, String::from_utf8(out)?))
}

fn file(folder: &tempfile::TempDir, text: &str) -> String {
    let file = folder.path().join("cluster.yaml");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

const WEB: &str = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, \
    spec: {type: LoadBalancer, loadBalancerClass: portolan.dev/mock, ports: [{port: 80}]}}";

#[test]
fn the_cluster_that_comes_with_the_program_settles_as_expected() {
    let (ended, printed) = ran(&["--once"]).unwrap();
    assert_eq!(ended, Ended::AsExpected, "{printed}");
    let row = |name: &str| printed.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
    for (service, said) in [
        ("shop/web", "all True"),
        ("shop/pinned", "203.0.113.80 (VIP)"),
        ("shop/coming-soon", "Reachable=False NoEndpoints: "),
        ("edge/https", "203.0.113.90 (VIP)"),
        ("dns/signalling", "2905"),
        ("others/foreign", "class example.com/other is somebody else's"),
        ("others/cluster-ip", "not of type LoadBalancer"),
    ] {
        assert!(row(service).contains(said), "{}", row(service));
    }
    let services = printed.lines().count() - 2;
    assert!(services >= 30, "only {services}");
    assert!(
        printed
            .ends_with(&format!("{services} of {services} Services are as expected; {} are claimed\n", services - 7)),
        "{printed}"
    );
}

#[test]
fn what_does_not_settle_is_named_when_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let never = WEB.replace(
        "namespace: shop",
        "namespace: shop, annotations: {sandbox.portolan.dev/expect: 'loadBalancer: {ingress: [{ip: 192.0.2.1}]}'}",
    );
    let file = file(&folder, &never);
    let (ended, printed) = ran(&["--once", "--timeout", "5", &file]).unwrap();
    assert_eq!(ended, Ended::TimedOut);
    let last = printed.lines().last().unwrap();
    assert_eq!(last, "  shop/web: wanted address 192.0.2.1, is 203.0.113.1 VIP 80/TCP", "{printed}");
    assert!(printed.contains("\nnot as expected within 5s:\n"), "{printed}");
}

#[test]
fn without_a_controller_nothing_is_claimed_by_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let (ended, printed) =
        ran(&["--once", "--no-controller", "--timeout", "2s", "-o", "json", &file(&folder, WEB)]).unwrap();
    assert_eq!(ended, Ended::TimedOut);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["settled"], false);
    let row = &printed["services"][0];
    assert_eq!((&row["name"], &row["claim"], &row["expected"]), (&"web".into(), &"Claimed".into(), &false.into()));
    assert_eq!(row["missing"][0], "portolan.dev/Programmed=True, is absent");
    // The server has given it a node port, so this is no echo of the file.
    assert!(row["ports"][0]["nodePort"].is_u64(), "{row}");
}

#[test]
fn json_says_the_same_to_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let (ended, printed) = ran(&["--once", "-o", "json", &file(&folder, WEB)]).unwrap();
    assert_eq!(ended, Ended::AsExpected, "{printed}");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["settled"], true);
    assert_eq!(printed["services"][0]["addresses"], serde_json::json!([{"ip": "203.0.113.1", "ipMode": "VIP"}]));
}

#[test]
fn a_configuration_gives_the_controller_its_classes() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let text = "{apiVersion: portolan.dev/v1alpha1, kind: Configuration, classes: [{name: example.com/lab, provider: mock, default: true}]}";
    fs::write(&config, text).unwrap();
    let classless = WEB.replace("loadBalancerClass: portolan.dev/mock, ", "");
    let file = file(&folder, &classless);
    let (ended, printed) = ran(&["--once", "--config", &config.display().to_string(), &file]).unwrap();
    assert_eq!(ended, Ended::AsExpected, "{printed}");
    assert!(printed.contains("shop/web  example.com/lab  203.0.113.1 (VIP)"), "{printed}");
}

#[test]
fn an_expectation_that_cannot_be_read_is_an_error_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let odd =
        WEB.replace("namespace: shop", "namespace: shop, annotations: {sandbox.portolan.dev/expect: 'condition: []'}");
    let error = ran(&["--once", &file(&folder, &odd)]).unwrap_err().to_string();
    assert!(error.contains("Service shop/web: annotation sandbox.portolan.dev/expect cannot be read"), "{error}");
}

#[test]
fn what_the_server_refuses_is_told_in_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let error = ran(&["--once", &file(&folder, &WEB.replace("port: 80", "port: 99999"))]).unwrap_err().to_string();
    assert!(error.contains("Service shop/web: ") && error.contains("spec.ports[0].port"), "{error}");
}

#[test]
fn the_named_kubeconfig_stays() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig").display().to_string();
    let (ended, _) = ran(&["--once", "--kubeconfig", &kubeconfig, &file(&folder, WEB)]).unwrap();
    assert_eq!(ended, Ended::AsExpected);
    assert!(fs::read_to_string(&kubeconfig).unwrap().contains("http://127.0.0.1:"));
}

#[test]
fn a_taken_address_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = ran(&["--once", "--listen", &taken.local_addr().unwrap().to_string()]).unwrap_err();
    assert!(format!("{error:#}").contains("--listen 127.0.0.1:0 takes any free port"), "{error:#}");
}

#[test]
fn a_timeout_is_a_number_of_seconds_or_a_duration() {
    for (text, seconds) in
        [("60", Some(60)), ("60s", Some(60)), ("2m", Some(120)), ("soon", None), ("-1", None), ("", None)]
    {
        assert_eq!(duration(text).ok(), seconds.map(Duration::from_secs), "{text:?}");
    }
}

#[test]
fn a_range_of_node_ports_is_the_first_and_the_last() {
    for (text, range) in [
        ("30000-32767", Some(30_000..=32_767)),
        ("80-80", Some(80..=80)),
        ("2-1", None),
        ("0-9", None),
        ("30000", None),
    ] {
        assert_eq!(ports(text).ok(), range, "{text:?}");
    }
}

#[test]
fn services_get_their_numbers_from_the_ranges_that_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let node_port = |words: &[&str]| {
        let file = file(&folder, WEB);
        let all: Vec<&str> = ["--once", "-o", "json"].iter().chain(words).copied().chain([file.as_str()]).collect();
        let printed: Value = serde_json::from_str(&ran(&all).unwrap().1).unwrap();
        printed["services"][0]["ports"][0]["nodePort"].as_u64().unwrap()
    };
    assert_eq!(node_port(&["--service-node-port-range", "20000-20000"]), 20_000);
    assert!((30_000..=32_767).contains(&node_port(&[])));
    let error = ran(&["--once", "--service-cluster-ip-range", "10.0.0.0/12,10.96.0.0/16"]).unwrap_err().to_string();
    assert!(error.contains("one range of a family"), "{error}");
}

#[test]
fn an_empty_sandbox_has_our_kinds_and_no_service() {
    let (ended, printed) = ran(&["--once", "-o", "json", "--empty"]).unwrap();
    assert_eq!(ended, Ended::AsExpected, "{printed}");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["services"], serde_json::json!([]));
    assert!(Line::try_parse_from(["sandbox", "--empty", "cluster.yaml"]).is_err(), "one of the two");
}

#[test]
fn the_audit_log_holds_the_writes_of_the_controller() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let (ended, _) = ran(&["--once", "--audit-log", &log.display().to_string(), &file(&folder, WEB)]).unwrap();
    assert_eq!(ended, Ended::AsExpected);
    let lines: Vec<Value> =
        fs::read_to_string(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // The manifests are loaded without a socket: what stands here is the controller's.
    let told = |event: &Value| format!("{} {}", event["verb"].as_str().unwrap(), event["objectRef"]["resource"]);
    let writes: Vec<String> = lines.iter().map(told).collect();
    let expected = ["patch \"services\"", "create \"loadbalancerrecords\"", "patch \"services\"", "create \"events\""];
    assert!(expected.iter().all(|write| writes.iter().any(|one| one == write)), "{writes:?}");
    let status = lines.iter().find(|event| event["objectRef"]["subresource"] == "status").unwrap();
    assert_eq!((&status["objectRef"]["namespace"], &status["objectRef"]["name"]), (&"shop".into(), &"web".into()));
    assert_eq!((&status["stage"], &status["responseStatus"]["code"]), (&"ResponseComplete".into(), &200.into()));
    assert_eq!(status["user"]["username"], "system:anonymous");
}
