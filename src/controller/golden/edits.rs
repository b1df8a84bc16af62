//! Edits at random, back and forth: in the end everything is as if the last state had been applied afresh.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::case::{Act, Case, Step};
use super::lab;
use super::server::{Name, merged};
use crate::cluster::random::Random;
use crate::yaml;

/// `HISTORIES=3000` makes more of them.
const HISTORIES: u64 = 60;
const EDITS: u64 = 8;

#[test]
fn a_history_of_edits_ends_where_its_last_state_applied_afresh_does() {
    let only = std::env::var("HISTORY").ok().map(|seed| seed.parse().unwrap());
    let histories = std::env::var("HISTORIES").map_or(HISTORIES, |number| number.parse().unwrap());
    let mut failures = Vec::new();
    let mut accepted = 0;
    for seed in only.map_or(0..histories, |only: u64| only..only + 1) {
        let history = history(seed);
        let end = lab::run(&history);
        let again = end.services.iter().map(|service| Act::Create(afresh(service))).collect();
        let fresh = lab::run(&case(vec![step("1-afresh", again)]));
        let (here, there) = (seen(&end.text), seen(&fresh.text));
        // Of what cannot be served, or at no address that is asked for, whatever was there before stays. What one asks for the other may
        // have kept from a time when they shared it.
        let is_false = |hop: &str| there.contains(&format!("portolan.dev/{hop}: \"False"));
        let refused = ["Accepted", "AddressAssigned"].iter().any(|hop| is_false(hop))
            || here.contains("RequestedAddressUnavailable");
        accepted += u64::from(!refused && there.contains("portolan.dev/Accepted"));
        if !refused && here != there {
            let diff =
                similar::TextDiff::from_lines(&there, &here).unified_diff().header("afresh", "edited").to_string();
            failures.push(format!("HISTORY={seed}: {}\n{diff}", described(&history)));
        }
        failures.extend(end.violations.iter().map(|violation| format!("HISTORY={seed}: {violation}")));
    }
    assert!(only.is_some() || accepted > histories / 4, "only {accepted} histories end with a Service that is served");
    assert!(failures.is_empty(), "{} histories\n{}", failures.len(), failures.join("\n\n"));
}

/// A Service, in every other history beside one that was there before and with which it may share; edits, and the end of every pause.
fn history(seed: u64) -> Case {
    let mut random = Random::new(seed);
    let shares = json!({"metadata": {"annotations": {"portolan.dev/share": "front"}}});
    let web = service("web", 80);
    let web = if seed % 4 == 1 { merged(web, shares.clone()) } else { web };
    let mut services = vec![Act::Create(web)];
    if seed % 2 == 1 {
        services.insert(0, Act::Create(merged(service("peer", 8443), shares)));
    }
    let mut steps = vec![step("1-create", services)];
    for number in 2..2 + EDITS {
        let acts = (0..=random.below(2)).map(|_| edit(&mut random)).collect();
        steps.push(step(&format!("{number}-edit"), acts));
    }
    let resume = json!({"metadata": {"annotations": {"portolan.dev/paused": null}}});
    steps.push(step("99-resume", vec![patch(resume)]));
    case(steps)
}

fn edit(random: &mut Random) -> Act {
    let mut one_of = |all: &[Value]| {
        let place = random.below(all.len() as u64);
        all[usize::try_from(place).unwrap()].clone()
    };
    let annotation = |key: &str, value: Value| json!({"metadata": {"annotations": {key: value}}});
    let port = |name: &str, port: u16, protocol: &str| json!({"name": name, "port": port, "protocol": protocol, "targetPort": 8080});
    let (http, https, dns) = (port("http", 80, "TCP"), port("https", 443, "TCP"), port("dns", 53, "UDP"));
    let ports = [
        json!([http]),
        json!([http, https]),
        json!([https]),
        json!([port("http", 80, "UDP")]),
        json!([dns, http]),
        json!([http, port("sip", 5060, "SCTP")]),
        json!([port("sip", 5060, "SCTP")]),
        json!([port("web", 80, "TCP")]),
    ];
    let yes_or_no = [json!(true), json!(false)];
    let what = one_of(&(0..17).map(Value::from).collect::<Vec<_>>()).as_u64().unwrap();
    patch(match what {
        0 | 1 => json!({"spec": {"ports": one_of(&ports)}}),
        2 => json!({"spec": {"externalTrafficPolicy": one_of(&["Local".into(), "Cluster".into()])}}),
        3 => one_of(&[
            json!({"spec": {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}}),
            json!({"spec": {"sessionAffinity": "ClientIP", "sessionAffinityConfig": null}}),
            json!({"spec": {"sessionAffinity": "None", "sessionAffinityConfig": null}}),
        ]),
        4 => {
            json!({"spec": {"loadBalancerSourceRanges": one_of(&[Value::Null, json!(["10.0.0.0/8"]), json!([" 192.0.2.1/24", "192.0.2.0/24"])])}})
        }
        5 => annotation(
            "service.beta.kubernetes.io/load-balancer-source-ranges",
            one_of(&[Value::Null, json!("172.16.0.0/12")]),
        ),
        6 => {
            annotation("portolan.dev/scheme", one_of(&[Value::Null, json!("internal"), json!("public"), json!("junk")]))
        }
        7 => annotation(
            "service.beta.kubernetes.io/azure-load-balancer-internal",
            one_of(&[Value::Null, json!("true"), json!("false"), json!("junk")]),
        ),
        8 => {
            json!({"spec": {"loadBalancerIP": one_of(&[Value::Null, json!("203.0.113.9"), json!("10.255.0.9"), json!("banana")])}})
        }
        9 => annotation(
            "portolan.dev/load-balancer-ips",
            one_of(&[Value::Null, json!("203.0.113.8"), json!("10.255.0.8")]),
        ),
        10 => one_of(&[
            json!({"spec": {"ipFamilyPolicy": "PreferDualStack"}}),
            json!({"spec": {"ipFamilyPolicy": "RequireDualStack"}}),
            json!({"spec": {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}}),
        ]),
        11 => json!({"spec": {"allocateLoadBalancerNodePorts": one_of(&yes_or_no)}}),
        12 => annotation("portolan.dev/paused", one_of(&[Value::Null, json!("")])),
        13 => annotation("portolan.dev/share", one_of(&[Value::Null, json!("front"), json!("back")])),
        14 => {
            json!({"spec": {"type": one_of(&["ClusterIP".into(), "NodePort".into()]), "loadBalancerClass": null, "loadBalancerSourceRanges": null}})
        }
        15 => {
            json!({"spec": {"type": "LoadBalancer", "loadBalancerClass": one_of(&["portolan.dev/mock".into(), "portolan.dev/mock".into(), "example.com/x".into()])}})
        }
        _ => return Act::Restart { config: None },
    })
}

fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "type": "LoadBalancer",
            "loadBalancerClass": "portolan.dev/mock",
            "ports": [{"name": "http", "port": port, "targetPort": 8080}],
        },
    })
}

/// What a user would apply to get the Service as it is.
fn afresh(service: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": service["metadata"]["name"], "annotations": service["metadata"]["annotations"]},
        "spec": service["spec"],
    })
}

fn case(mut steps: Vec<Step>) -> Case {
    let around = ["nodes.yaml", "endpoints.yaml"].map(|file| super::root().join(file));
    let around = around.iter().flat_map(|file| super::case::acts(file));
    if let Some(first) = steps.first_mut() {
        first.acts.splice(0..0, around);
    }
    Case::of(steps)
}

fn step(name: &str, acts: Vec<Act>) -> Step {
    Step { name: name.to_owned(), acts }
}

fn patch(patch: Value) -> Act {
    Act::Patch { target: Name::parse("Service/web"), patch, status: false }
}

/// Services, records and the mock's world at the end, without what may differ: which of its range's addresses it is, numbers of
/// generations, and the order of conditions.
fn seen(text: &str) -> String {
    let mut steps = yaml::documents(text).unwrap().pop().unwrap();
    let last = steps.as_array_mut().and_then(Vec::pop).unwrap();
    let end = json!({"services": last["services"], "records": last["records"], "mock": last["mock"]});
    let lines = yaml::to_string(&end).unwrap();
    let nameless = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_hexdigit() && c != ':');
        match bare.parse::<IpAddr>() {
            Ok(ip) if word.len() <= 24 => {
                let text = ip.to_string();
                let cut = text.rfind(['.', ':']).unwrap_or(0);
                word.replace(&text, &format!("{}*", &text[..cut]))
            }
            _ => word.to_owned(),
        }
    };
    let line = |line: &str| {
        let line = line.split(' ').map(nameless).collect::<Vec<_>>().join(" ");
        match line.split_once("is: ") {
            Some((front, rest)) => format!("{front}is: {}", rest.split_once(' ').map_or("", |(_, rest)| rest)),
            None => line,
        }
    };
    lines.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn described(case: &Case) -> String {
    let act = |act: &Act| match act {
        Act::Patch { patch, .. } => patch.to_string(),
        Act::Restart { .. } => "restart".to_owned(),
        Act::Create(_) | Act::Delete(_) | Act::Fault { .. } | Act::EndFault(_) | Act::Seen | Act::WaitMinutes(_) => {
            String::new()
        }
    };
    let step = |step: &Step| step.acts.iter().map(act).filter(|act| !act.is_empty()).collect::<Vec<_>>().join(" + ");
    case.steps.iter().map(step).collect::<Vec<_>>().join("\n  ")
}
