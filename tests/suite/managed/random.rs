//! Writes at random by three managers, the same on both servers at once.

use serde_json::{Value, json};
use similar::TextDiff;

use super::steps::{Server, Subject, outcome};

/// How many writes there are of each kind.
const WRITES: usize = 120;

/// Numbers from a seed (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Some of these, each with a value.
    fn some(&mut self, names: &[&str], mut value: impl FnMut(&mut Self) -> Value) -> Value {
        let mut all = json!({});
        for name in names {
            if self.one_in(2) {
                all[*name] = value(self);
            }
        }
        all
    }

    fn list(&mut self, of: &[&str]) -> Value {
        of.iter().filter(|_| self.one_in(2)).copied().collect::<Vec<_>>().into()
    }

    fn text(&mut self) -> Value {
        self.of(&["one", "two"]).into()
    }
}

/// Carries out the writes of one seed on both servers, until they differ: then it says how.
pub(super) fn play(seed: u64, kind: &str, left: &impl Server, right: &impl Server) -> Result<usize, String> {
    let mut dice = Dice(seed);
    let (mut before_left, mut before_right) = (None, None);
    let name = format!("random-{seed}");
    let subjects = (Subject::new(left, kind, &name), Subject::new(right, kind, &name));
    let (mut history, mut done) = (Vec::new(), 0);
    for _ in 0..WRITES {
        let step = step(&mut dice, kind);
        history.push(step.to_string());
        let answers = (left.send(&subjects.0.request(&step)), right.send(&subjects.1.request(&step)));
        let said = [
            outcome(left, &subjects.0, before_left.as_ref(), &answers.0),
            outcome(right, &subjects.1, before_right.as_ref(), &answers.1),
        ];
        if said.iter().all(|said| said["code"].as_u64().is_some_and(|code| code < 300)) {
            done += 1;
            let leaves = step.get("delete").is_some();
            (before_left, before_right) = if leaves { (None, None) } else { (Some(answers.0.1), Some(answers.1.1)) };
        }
        // What is wrong with a value is another matter; of one the server finds out too late to say 422.
        let unfit = |said: &Value| said["code"] == 422 || said.to_string().contains("duplicate nodePort");
        let judged = said.each_ref().map(|said| if unfit(said) { json!(422) } else { said.clone() });
        if judged[0] != judged[1] {
            let [real, sandbox] = said.map(|said| format!("{said:#}\n"));
            let last: Vec<&str> = history.iter().rev().take(6).rev().map(String::as_str).collect();
            let difference = TextDiff::from_lines(&real, &sandbox);
            return Err(format!(
                "{kind}, seed {seed}, after\n{}\n{}",
                last.join("\n"),
                difference.unified_diff().context_radius(3)
            ));
        }
    }
    Ok(done)
}

fn step(dice: &mut Dice, kind: &str) -> Value {
    let manager = dice.of(&["alice", "bob", "carol"]);
    let has_status = kind != "LoadBalancerRecord";
    let status = has_status && dice.one_in(4);
    let body = |dice: &mut Dice| {
        let mut body = if status { json!({"status": status_of(dice, kind)}) } else { body(dice, kind) };
        if dice.one_in(3) {
            body["metadata"] = metadata(dice);
        }
        body
    };
    match dice.below(20) {
        0 => json!({"delete": {}}),
        1 => json!({"merge": {"metadata": {"managedFields": [{}]}}, "by": manager}),
        2 | 3 => json!({"create": whole(dice, kind), "by": manager}),
        4..=6 if kind == "Service" => json!({"replace": body(dice), "by": manager, "status": status}),
        4..=9 => json!({"merge": body(dice), "by": manager, "status": status}),
        10 | 11 if matches!(kind, "Service" | "Node") => {
            json!({"strategic": body(dice), "by": manager, "status": status})
        }
        _ => {
            let mut step = json!({"apply": body(dice), "by": manager, "status": status});
            if dice.one_in(2) {
                step["query"] = "force=true".into();
            } else if dice.one_in(8) {
                step["query"] = "dryRun=All".into();
            }
            step
        }
    }
}

fn whole(dice: &mut Dice, kind: &str) -> Value {
    let mut object = body(dice, kind);
    object["metadata"] = metadata(dice);
    object
}

fn metadata(dice: &mut Dice) -> Value {
    let mut metadata = json!({"labels": dice.some(&["a", "b", "c"], Dice::text)});
    if dice.one_in(2) {
        metadata["annotations"] = dice.some(&["x.example/a", "x.example/b"], Dice::text);
    }
    if dice.one_in(3) {
        metadata["finalizers"] = json!([]);
    }
    // Empty ones that are applied to a custom resource the server stores unseen, and the next write, whatever it is, takes them away.
    if let Some(fields) = metadata.as_object_mut() {
        fields.retain(|_, field| field.as_object().is_none_or(|field| !field.is_empty()));
    }
    metadata
}

fn body(dice: &mut Dice, kind: &str) -> Value {
    match kind {
        "Service" => service(dice),
        "Node" => node(dice),
        "Gadget" => gadget(dice),
        "LoadBalancerRecord" => {
            let some = dice.some(&["share", "parameters"], |dice| dice.some(&["namespace", "name"], Dice::text));
            record(dice, &some)
        }
        other => panic!("no grammar of {other}"),
    }
}

fn service(dice: &mut Dice) -> Value {
    let kind = dice.of(&["ClusterIP", "LoadBalancer"]);
    let mut spec = json!({});
    if dice.one_in(2) {
        spec["type"] = kind.into();
    }
    let mut ports = Vec::new();
    for (name, number, protocol) in [("a", 80, ""), ("b", 80, "UDP"), ("c", 81, "TCP"), ("d", 82, "")] {
        if !dice.one_in(2) {
            continue;
        }
        let mut port = json!({"name": name, "port": number});
        if !protocol.is_empty() {
            port["protocol"] = protocol.into();
        }
        if dice.one_in(3) {
            port["targetPort"] = if dice.one_in(2) { json!(8080) } else { json!("http") };
        }
        if dice.one_in(4) {
            port["appProtocol"] = dice.of(&["http", "grpc"]).into();
        }
        let at = dice.below(ports.len() + 1);
        ports.insert(at, port);
    }
    if !ports.is_empty() {
        spec["ports"] = ports.into();
    }
    for (field, values) in [
        ("sessionAffinity", ["None", "ClientIP"]),
        ("internalTrafficPolicy", ["Cluster", "Local"]),
        ("externalTrafficPolicy", ["Cluster", "Local"]),
    ] {
        if dice.one_in(5) {
            spec[field] = dice.of(&values).into();
        }
    }
    if dice.one_in(3) {
        spec["selector"] = dice.some(&["app", "tier"], Dice::text);
    }
    if dice.one_in(5) {
        spec["externalIPs"] = dice.list(&["192.0.2.7", "192.0.2.8"]);
    }
    if dice.one_in(5) {
        spec["publishNotReadyAddresses"] = dice.one_in(2).into();
    }
    json!({"spec": spec})
}

fn node(dice: &mut Dice) -> Value {
    let mut spec = json!({});
    if dice.one_in(2) {
        spec["unschedulable"] = dice.one_in(2).into();
    }
    if dice.one_in(2) {
        let taint = |key: &str| json!({"key": key, "effect": "NoSchedule"});
        spec["taints"] = ["a", "b"].iter().filter(|_| dice.one_in(2)).map(|key| taint(key)).collect();
    }
    json!({"spec": spec})
}

fn gadget(dice: &mut Dice) -> Value {
    let mut spec = json!({});
    for (field, value) in [
        ("note", dice.text()),
        ("count", dice.below(2).into()),
        ("on", dice.one_in(2).into()),
        ("either", if dice.one_in(2) { json!(1) } else { json!("one") }),
        ("plain", dice.list(&["p", "q"])),
        ("set", dice.list(&["r", "s", "t"])),
        ("numbers", json!([dice.below(3)])),
        ("whole", dice.some(&["x", "y"], Dice::text)),
        ("map", dice.some(&["k", "l"], Dice::text)),
        ("deep", dice.some(&["d", "e"], |dice| dice.some(&["x", "y"], Dice::text))),
        ("any", dice.some(&["u", "v"], |dice| dice.some(&["w"], |dice| dice.list(&["1", "2"])))),
    ] {
        if dice.one_in(3) {
            spec[field] = value;
        }
    }
    if dice.one_in(2) {
        let mut items = Vec::new();
        for (name, zone) in [("one", ""), ("one", "other"), ("two", "any"), ("two", "other")] {
            if dice.one_in(2) {
                let mut item = json!({"name": name});
                if !zone.is_empty() {
                    item["zone"] = zone.into();
                }
                if dice.one_in(2) {
                    item["size"] = dice.below(2).into();
                }
                if dice.one_in(3) {
                    item["tags"] = dice.list(&["m", "n"]);
                }
                let at = dice.below(items.len() + 1);
                items.insert(at, item);
            }
        }
        spec["items"] = items.into();
    }
    json!({"spec": spec})
}

fn record(dice: &mut Dice, spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["class"] = "example.com/x".into();
    spec["provider"] = dice.text();
    if dice.one_in(2) {
        spec["external"] = dice.some(&["e", "f"], Dice::text);
    }
    if dice.one_in(2) {
        spec["aliases"] = dice.list(&["g", "h"]);
    }
    if let Some(share) = spec.get_mut("share") {
        *share = json!({"namespace": "one", "name": dice.text()});
    }
    json!({"spec": spec})
}

fn status_of(dice: &mut Dice, kind: &str) -> Value {
    let condition = |dice: &mut Dice, name: &str| json!({"type": name, "status": dice.of(&["True", "False"])});
    let mut conditions = Vec::new();
    for name in ["x.example/A", "x.example/B"] {
        if dice.one_in(2) {
            let mut one = condition(dice, name);
            if kind == "Service" {
                one["reason"] = "Fine".into();
                one["message"] = dice.text();
                one["lastTransitionTime"] = "2026-01-01T00:00:00Z".into();
            }
            conditions.push(one);
        }
    }
    let mut status = json!({});
    if !conditions.is_empty() {
        status["conditions"] = conditions.into();
    }
    match kind {
        "Service" if dice.one_in(2) => {
            status["loadBalancer"] = json!({"ingress": [{"ip": dice.of(&["192.0.2.1", "192.0.2.2"]), "ports": [{"port": 80, "protocol": "TCP"}]}]});
        }
        "Node" if dice.one_in(2) => {
            status["addresses"] = json!([{"type": "InternalIP", "address": dice.of(&["192.0.2.1", "192.0.2.2"])}]);
            status["capacity"] = dice.some(&["cpu", "memory"], |dice| dice.of(&["1", "2"]).into());
        }
        "Gadget" if dice.one_in(2) => status["phase"] = dice.text(),
        _ => {}
    }
    status
}
