//! Which node answers for an address: ranked by the controller from advertisements, Nodes, speakers and endpoints. The speakers are played by the case:
//! their Leases and reports are all that a controller knows of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{CLASS, Pool, VIPS, annotated, create, grant};
use crate::case::both;
use crate::gate::{Fault, Gate, Seen};
use crate::harness::{Controller, SOON, Setup, World, addresses, condition, eventually, merged};

const NODES: &str = "/api/v1/nodes";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const REPORTS: &str = "/apis/portolan.dev/v1alpha1/speakerreports";
const ADVERTISEMENTS: &str = "/apis/portolan.dev/v1alpha1/l2advertisements";

const STRANGER: &str = "02:00:00:00:00:09";

/// No resourceVersion is as high.
const EVERYTHING: u64 = 1 << 52;

/// Nodes of the case alone, that no other case sends anything to, and the speakers on them.
struct Site<'a> {
    world: &'a World,
    nodes: Vec<String>,
    advertisement: String,
}

impl<'a> Site<'a> {
    fn new(world: &'a World, nodes: &[&str]) -> Self {
        let nodes: Vec<String> = nodes.iter().map(|node| format!("{}-{node}", world.namespace)).collect();
        for (number, node) in nodes.iter().enumerate() {
            let labels = json!({"node.kubernetes.io/exclude-from-external-load-balancers": "", "lan": world.namespace, "rank": number.to_string()});
            let metadata = json!({"name": node, "labels": labels});
            world.api.create(NODES, &json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata}));
            let ready = json!({"type": "Ready", "status": "True"});
            world.api.patch(&format!("{NODES}/{node}/status"), &json!({"status": {"conditions": [ready]}}));
            let lease = json!({"holderIdentity": node, "leaseDurationSeconds": 3600});
            let metadata = json!({"name": format!("portolan-speaker-{node}"), "namespace": "kube-system"});
            let lease =
                json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": lease});
            world.api.create(LEASES, &lease);
            let report = json!({"appliedVersion": 0, "stations": {"lan0": "02:00:00:00:00:01"}});
            let metadata = json!({"name": node});
            let report = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "SpeakerReport", "metadata": metadata, "spec": report});
            world.api.create(REPORTS, &report);
        }
        Self { world, nodes, advertisement: world.namespace.clone() }
    }

    /// Announced from these nodes, of this pool.
    fn advertise(&self, pool: &Pool<'_>, changes: Value) {
        let spec =
            json!({"ipAddressPools": [pool.name], "nodeSelectors": [{"matchLabels": {"lan": self.world.namespace}}]});
        let metadata = json!({"name": self.advertisement});
        let all = json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "L2Advertisement", "metadata": metadata, "spec": merged(spec, changes),
        });
        self.world.api.create(ADVERTISEMENTS, &all);
    }

    fn start(&self) -> Controller {
        self.setup().start()
    }

    fn setup(&self) -> Setup {
        let classes = json!([{"name": CLASS, "provider": "metal"}]);
        let setup = self.world.setup().configured(json!({"classes": classes, "nodes": {"ignoreExcludeLabel": true}}));
        grant(self.world, &setup.user);
        setup
    }

    fn node(&self, number: usize) -> &str {
        &self.nodes[number]
    }

    fn falls_silent(&self, node: &str) {
        let path = format!("{LEASES}/portolan-speaker-{node}");
        self.world.api.patch(&path, &json!({"spec": {"holderIdentity": ""}}));
    }

    /// A speaker says that everything there is by now is on the wire, but for this.
    fn reports(&self, node: &str, not_as_ranked: Value) {
        let spec = json!({"appliedVersion": EVERYTHING, "notAsRanked": not_as_ranked});
        self.world.api.patch(&format!("{REPORTS}/{node}"), &json!({"spec": spec}));
    }

    /// A speaker says that it has looked at everything it is the first heir of, and that all is proven but this.
    fn witnesses(&self, node: &str, not_proven: Value) {
        let witness = json!({"version": EVERYTHING, "notProven": not_proven});
        let spec = json!({"appliedVersion": EVERYTHING, "witness": witness});
        self.world.api.patch(&format!("{REPORTS}/{node}"), &json!({"spec": spec}));
    }

    fn drains(&self, node: &str) {
        let metadata = json!({"annotations": {"portolan.dev/drain": "true"}});
        self.world.api.patch(&format!("{NODES}/{node}"), &json!({"metadata": metadata}));
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for node in &self.nodes {
            self.world.api.delete(&format!("{NODES}/{node}"));
            self.world.api.delete(&format!("{LEASES}/portolan-speaker-{node}"));
            self.world.api.delete(&format!("{REPORTS}/{node}"));
        }
        self.world.api.delete(&format!("{ADVERTISEMENTS}/{}", self.advertisement));
    }
}

fn vip(world: &World, address: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{address}: {what}"), SOON, || {
        let vip = world.api.get(&format!("{VIPS}/{address}")).unwrap_or_default();
        if holds(&vip) { Ok(vip) } else { Err(format!("{vip:#}")) }
    })
}

fn slices(world: &World) -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", world.namespace)
}

/// A ready endpoint of IPv6, beside that of IPv4 which every Service of a case has.
fn create_v6_slice(world: &World, service: &str, node: &str) {
    let metadata = json!({"name": format!("{service}-6"), "labels": {"kubernetes.io/service-name": service}});
    let endpoint = json!({"addresses": ["fd00:200::10"], "nodeName": node, "conditions": {"ready": true}});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv6",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": [endpoint],
    });
    world.api.create(&slices(world), &slice);
}

fn owner(vip: &Value) -> &str {
    vip["spec"]["ranks"]["nodes"][0].as_str().unwrap_or_default()
}

#[test]
fn no_node_is_told_of_an_address_before_the_status_of_its_service_names_it() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.43.0/30"]}));
        let site = Site::new(world, &["a", "b"]);
        site.advertise(&pool, json!({}));
        let gate = Gate::before(world.server);
        // Its finalizer is written at the same place, before anything is recorded.
        let is_recorded = AtomicBool::new(false);
        let tells_early = move |seen: &Seen, _| {
            is_recorded.fetch_or(seen.method == "POST" && seen.path.contains("/virtualips"), Ordering::Relaxed);
            is_recorded.load(Ordering::Relaxed) && seen.is_write() && seen.path.contains("/services/early/status")
        };
        gate.when(usize::MAX, Fault::status(500), tells_early);
        let _controller = site.setup().through(world, &gate).start();
        create(world, "early", json!({}));
        vip(world, "10.77.43.0", "is recorded", |vip| vip["spec"]["serviceNames"].is_string());
        // Whoever looks at one address looks at all.
        create(world, "web", json!({}));
        vip(world, "10.77.43.1", "has a node", |vip| !owner(vip).is_empty());
        let early = world.api.get(&format!("{VIPS}/10.77.43.0")).unwrap();
        assert_eq!(owner(&early), "", "{early:#}");
        gate.behave();
        vip(world, "10.77.43.0", "has a node", |vip| !owner(vip).is_empty());
    });
}

#[test]
fn addresses_are_spread_over_the_nodes_that_may_and_only_those_of_a_node_that_goes_move() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.20.0/29"]}));
        let site = Site::new(world, &["a", "b", "c"]);
        let _controller = site.start();
        let names = ["one", "two", "three", "four", "five", "six"];
        for name in names {
            create(world, name, json!({}));
            world.addressed(name);
        }
        // Nobody may before an advertisement says so, which is told with the reason.
        let first = vip(world, "10.77.20.0", "it says why nobody announces it", |vip| {
            vip["status"]["barred"].as_array().into_iter().flatten().any(|of| of["reason"] == "NotAdvertised")
        });
        assert_eq!((&first["spec"]["ranks"], &first["status"]["owner"]), (&Value::Null, &Value::Null));
        let service = world.becomes("one", "it says so", |service| {
            let programmed = condition(service, "portolan.dev/Programmed");
            let told = programmed.map(|programmed| programmed["message"].to_string()).unwrap_or_default();
            told.contains("is not selected by an L2Advertisement")
        });
        assert_eq!(condition(&service, "portolan.dev/Programmed").unwrap()["reason"], "NotAnnounced");

        site.advertise(&pool, json!({}));
        let addresses: Vec<String> = (0..6).map(|number| format!("10.77.20.{number}")).collect();
        let owners = |what: &str, holds: &dyn Fn(&Value) -> bool| -> BTreeMap<String, String> {
            let of = |address: &String| (address.clone(), owner(&vip(world, address, what, holds)).to_owned());
            addresses.iter().map(of).collect()
        };
        let before = owners("it is ranked", &|vip| {
            vip["spec"]["ranks"]["nodes"].as_array().is_some_and(|nodes| nodes.len() == 3)
        });
        for node in &site.nodes {
            assert_eq!(before.values().filter(|owner| *owner == node).count(), 2, "{before:?}");
        }

        // Its speaker stops: the first heir of each of its addresses follows, and nothing else moves.
        let gone = site.node(0).to_owned();
        let heirs: BTreeMap<&String, String> = addresses
            .iter()
            .map(|address| {
                (
                    address,
                    vip(world, address, "it has heirs", |_| true)["spec"]["ranks"]["nodes"][1]
                        .as_str()
                        .unwrap()
                        .to_owned(),
                )
            })
            .collect();
        site.falls_silent(&gone);
        let after = owners("its owner is alive", &|vip| !vip["spec"]["ranks"]["nodes"].to_string().contains(&gone));
        for (address, owner) in &after {
            let expected = if before[address] == gone { &heirs[address] } else { &before[address] };
            assert_eq!(owner, expected, "{address}: {before:?} -> {after:?}");
        }
        let shown = vip(world, "10.77.20.0", "it says why not the other one", |vip| {
            vip["status"]["barred"].as_array().into_iter().flatten().any(|of| of["reason"] == "SpeakerSilent")
        });
        assert_eq!(shown["status"]["owner"], shown["spec"]["ranks"]["nodes"][0]);
        assert!(shown["status"]["since"].is_string(), "{shown:#}");

        // Drained by its owner, the next one goes too, and the last one stays whatever is asked of it.
        let drained = site.node(1).to_owned();
        site.drains(&drained);
        let after = owners("the last node has it", &|vip| owner(vip) == site.node(2));
        assert_eq!(after.len(), 6);
    });
}

#[test]
fn a_service_is_programmed_once_its_nodes_speaker_says_that_it_announces_it() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.21.0/30"]}));
        let site = Site::new(world, &["a"]);
        site.advertise(&pool, json!({}));
        let _controller = site.start();
        create(world, "web", json!({}));
        vip(world, "10.77.21.0", "it is ranked", |vip| owner(vip) == site.node(0));
        let service = world.becomes("web", "it says who is waited for", |service| {
            let programmed = condition(service, "portolan.dev/Programmed");
            programmed.is_some_and(|programmed| programmed["message"].to_string().contains("waits for the speaker"))
        });
        assert_eq!(condition(&service, "portolan.dev/Programmed").unwrap()["status"], "False");
        site.reports(site.node(0), json!([]));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");

        // An interface by name that the node does not have.
        let path = format!("{ADVERTISEMENTS}/{}", site.advertisement);
        world.api.patch(&path, &json!({"spec": {"interfaces": ["lan7"]}}));
        vip(world, "10.77.21.0", "nobody may", |vip| vip["status"]["barred"].to_string().contains("NoInterface"));
        world.condition("web", "portolan.dev/Programmed", "False", "NotAnnounced");
        world.api.patch(&path, &json!({"spec": {"interfaces": ["lan0", "lan7"]}}));
        let limited = vip(world, "10.77.21.0", "it is ranked again", |vip| owner(vip) == site.node(0));
        assert_eq!(limited["spec"]["ranks"]["interfaces"][site.node(0)], json!(["lan0", "lan7"]));
    });
}

#[test]
fn what_a_speaker_cannot_announce_is_told_on_the_service() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.22.0/30"]}));
        let site = Site::new(world, &["a"]);
        site.advertise(&pool, json!({}));
        let _controller = site.start();
        create(world, "web", annotated("portolan.dev/load-balancer-ips", "10.77.22.0"));
        vip(world, "10.77.22.0", "it is ranked", |vip| owner(vip) == site.node(0));
        let stranger =
            json!([{"reason": "Taken", "interface": "lan0", "mac": "02:00:00:00:00:09", "addresses": ["10.77.22.0"]}]);
        site.reports(site.node(0), stranger);
        let service = world.condition("web", "portolan.dev/Programmed", "False", "AddressConflict");
        let message = condition(&service, "portolan.dev/Programmed").unwrap()["message"].to_string();
        assert!(message.contains("02:00:00:00:00:09") && message.contains("lan0"), "{message}");
        site.reports(site.node(0), json!([]));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
    });
}

#[test]
fn an_address_that_a_stranger_had_first_is_set_aside_and_its_service_gets_another_one() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.34.0/31", "2001:db8:7734::/127"]}));
        let site = Site::new(world, &["a"]);
        site.advertise(&pool, json!({}));
        let controller = site.start();
        let pair = json!({"spec": {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}});
        create_v6_slice(world, "web", site.node(0));
        create(world, "web", pair);
        vip(world, "10.77.34.0", "it is ranked", |vip| owner(vip) == site.node(0));
        let has = |addresses: &[&str]| json!([{"reason": "Taken", "interface": "lan0", "mac": STRANGER, "addresses": addresses}]);
        let before = addresses(&world.addressed("web"));
        site.reports(site.node(0), has(&["10.77.34.0"]));
        let moved = world.becomes("web", "it has another one", |service| {
            addresses(service).iter().any(|address| address == "10.77.34.1")
        });
        assert_eq!(addresses(&moved)[1..], before[1..], "the other family's stays");
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        let aside = vip(world, "10.77.34.0", "nobody has it", |vip| vip["spec"]["loadBalancer"].is_null());
        assert_eq!(
            (&aside["spec"]["setAside"], &aside["status"]["addressConflict"]),
            (&json!(STRANGER), &json!(STRANGER))
        );
        pool.becomes("it names him", |status| {
            let told = "never given out: 10.77.34.0 (a stranger, 02:00:00:00:00:09; delete VirtualIP 10.77.34.0 when he is gone)";
            status["conditions"][1]["message"] == told
        });

        // Also by name, and by another controller, and after it was announced a stranger moves nobody.
        controller.kill();
        let _controller = site.start();
        create(world, "named", annotated("portolan.dev/load-balancer-ips", "10.77.34.0"));
        let refused = world.condition("named", "portolan.dev/AddressAssigned", "False", "RequestedAddressUnavailable");
        let message = condition(&refused, "portolan.dev/AddressAssigned").unwrap()["message"].to_string();
        assert!(message.contains(STRANGER) && message.contains("delete VirtualIP 10.77.34.0"), "{message}");
        site.reports(site.node(0), has(&["10.77.34.0", "10.77.34.1"]));
        world.condition("web", "portolan.dev/Programmed", "False", "AddressConflict");
        world.api.delete(&format!("{VIPS}/10.77.34.0"));
        world.becomes("named", "the address is anybody's again", |service| addresses(service) == ["10.77.34.0"]);
        world.condition("named", "portolan.dev/Programmed", "False", "AddressConflict");
        site.reports(site.node(0), has(&["10.77.34.0"]));
        let service = world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        assert_eq!(addresses(&service), addresses(&moved), "it stays, also while another one was free");
        vip(world, "10.77.34.0", "the stranger is remembered", |vip| vip["spec"]["setAside"] == STRANGER);
        site.reports(site.node(0), json!([]));
        world.condition("named", "portolan.dev/Programmed", "True", "Programmed");
        vip(world, "10.77.34.0", "he is gone", |vip| vip["spec"]["setAside"].is_null());
    });
}

#[test]
fn what_the_first_heir_has_found_on_the_wire_is_told_on_the_service_and_what_others_say_is_not() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.33.0/30"]}));
        let site = Site::new(world, &["a", "b", "c"]);
        site.advertise(&pool, json!({}));
        let _controller = site.start();
        create(world, "web", json!({"spec": {"loadBalancerSourceRanges": ["203.0.113.0/24"]}}));
        let ranked = vip(world, "10.77.33.0", "it is ranked", |vip| {
            vip["spec"]["ranks"]["nodes"].as_array().is_some_and(|all| all.len() == 3)
        });
        assert_eq!(ranked["spec"]["sourceRanges"], json!(["203.0.113.0/24"]));
        let node = |rank: usize| ranked["spec"]["ranks"]["nodes"][rank].as_str().unwrap().to_owned();
        let reachable = |status: &str, reason: &str| {
            let service = world.condition("web", "portolan.dev/Reachable", status, reason);
            condition(&service, "portolan.dev/Reachable").unwrap()["message"].as_str().unwrap().to_owned()
        };
        let of =
            |reason: &str, more: Value| json!([merged(json!({"reason": reason, "addresses": ["10.77.33.0"]}), more)]);
        site.reports(&node(0), json!([]));
        site.witnesses(&node(2), of("NoAnswer", json!({})));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        assert!(reachable("Unknown", "NoWitness").contains(&node(1)), "who has not looked is named");

        site.witnesses(&node(1), json!([]));
        assert!(reachable("True", "Reachable").contains("TCP 80"));
        site.witnesses(&node(1), of("SourceRanges", json!({})));
        reachable("True", "LayerTwoOnly");
        site.witnesses(&node(1), of("SeveralAnswers", json!({"macs": ["02:00:00:00:00:01", "02:00:00:00:00:09"]})));
        assert!(reachable("False", "SeveralAnswers").contains("02:00:00:00:00:09"));
        site.witnesses(&node(1), of("NoSynAck", json!({"ports": [80]})));
        reachable("False", "NoSynAck");
        site.witnesses(&node(1), of("NoSynAck", json!({"ports": [81]})));
        reachable("True", "Reachable");
    });
}

#[test]
fn under_policy_local_an_address_goes_where_its_endpoint_goes() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.23.0/30"]}));
        let site = Site::new(world, &["a", "b"]);
        site.advertise(&pool, json!({}));
        let _controller = site.start();
        world.create_without_endpoints(
            "web",
            json!({"spec": {"loadBalancerClass": CLASS, "externalTrafficPolicy": "Local"}}),
        );
        let none =
            vip(world, "10.77.23.0", "nobody may", |vip| vip["status"]["barred"].to_string().contains("NoEndpoints"));
        assert_eq!(owner(&none), "");
        let slice = |node: &str, ready: bool| {
            let conditions = json!({"ready": ready, "serving": true, "terminating": !ready});
            json!({"addresses": [if node == site.node(0) { "10.1.0.1" } else { "10.1.0.2" }], "conditions": conditions, "nodeName": node})
        };
        let metadata = json!({"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}});
        let mut all = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": [slice(site.node(0), true)],
        });
        world.api.create(&slices(world), &all);
        let at = |number: usize| {
            vip(world, "10.77.23.0", "it is where its endpoint is", |vip| {
                vip["spec"]["ranks"]["nodes"] == json!([site.node(number)])
            })
        };
        at(0);
        // The other one is ready while the first still serves: it goes before the first ends.
        all["endpoints"] = json!([slice(site.node(0), false), slice(site.node(1), true)]);
        world.api.patch(&format!("{}/web-1", slices(world)), &json!({"endpoints": all["endpoints"]}));
        at(1);
    });
}

#[test]
fn of_two_families_the_one_that_has_no_endpoint_is_announced_by_nobody_and_the_other_as_ever() {
    const V6: &str = "2001-0db8-0077-001a-0000-0000-0000-0001";
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.26.1", "2001:db8:77:1a::1"]}));
        let site = Site::new(world, &["a", "b"]);
        site.advertise(&pool, json!({}));
        let _controller = site.start();
        // Its slice is of IPv4.
        let families = json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]});
        create(world, "web", json!({"spec": families}));
        let is_ranked = |vip: &Value| vip["spec"]["ranks"]["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2);
        let is_deserted =
            |vip: &Value| vip["status"]["barred"].to_string().contains("NoEndpoints") && owner(vip).is_empty();
        vip(world, "10.77.26.1", "it is ranked", is_ranked);
        vip(world, V6, "nobody may", is_deserted);
        for node in &site.nodes {
            site.witnesses(node, json!([]));
        }
        // Of the other one is told what there is to tell.
        let says = |kind: &'static str, reason: &'static str, of_v4: &'static str, of_v6: &'static str| {
            world.becomes("web", of_v6, |service| {
                let found = condition(service, kind).cloned().unwrap_or_default();
                let message = found["message"].as_str().unwrap_or_default();
                (&found["status"], &found["reason"]) == (&json!("False"), &json!(reason))
                    && message.starts_with(&format!("10.77.26.1{of_v4}"))
                    && message.contains(&format!("; 2001:db8:77:1a::1{of_v6}"))
            });
        };
        let nobody = ": no port has an endpoint of this family that can take traffic";
        says("portolan.dev/Reachable", "NoEndpoints", ": its owner answers", nobody);
        says("portolan.dev/Programmed", "NotAnnounced", " is announced by node", " is announced by nobody: ");

        create_v6_slice(world, "web", site.node(0));
        vip(world, V6, "it is ranked", is_ranked);
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        world.condition("web", "portolan.dev/Reachable", "True", "Reachable");
        // And the other way round, under Local too: each family is where its own endpoint is.
        world.edit("web", json!({"spec": {"externalTrafficPolicy": "Local"}}));
        vip(world, V6, "it is where its endpoint is", |vip| vip["spec"]["ranks"]["nodes"] == json!([site.node(0)]));
        vip(world, "10.77.26.1", "its endpoint is on none of the nodes", |vip| owner(vip).is_empty());
        world.api.patch(&format!("{}/web-1", slices(world)), &json!({"endpoints": []}));
        vip(world, "10.77.26.1", "nobody may", is_deserted);
        vip(world, V6, "it stays", |vip| owner(vip) == site.node(0));
    });
}

#[test]
fn the_report_of_a_node_that_is_gone_goes_once_its_speaker_has_and_no_other_does() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.27.0/30"]}));
        let site = Site::new(world, &["a", "b"]);
        site.advertise(&pool, json!({}));
        let _controller = site.start();
        create(world, "web", json!({}));
        let is_there = |node: &str| world.api.get(&format!("{REPORTS}/{node}")).is_some();
        let ranked = |vip: &Value| vip["spec"]["ranks"]["nodes"].as_array().map_or(0, Vec::len);
        let both_are = vip(world, "10.77.27.0", "both are ranked", |vip| ranked(vip) == 2);
        let (gone, stays) = if owner(&both_are) == site.node(0) { (0, 1) } else { (1, 0) };
        let (gone, stays) = (site.node(gone), site.node(stays));
        world.api.delete(&format!("{NODES}/{gone}"));
        vip(world, "10.77.27.0", "it is ranked without the Node", |vip| owner(vip) == stays && ranked(vip) == 1);
        // Whatever the controller does at once it has done: the Lease is what is waited for.
        site.reports(stays, json!([]));
        world.condition("web", "portolan.dev/Programmed", "True", "Programmed");
        assert!(is_there(gone), "its speaker is alive, and its kubelet may bring the Node back");
        site.falls_silent(gone);
        eventually(
            "its report is removed",
            SOON,
            || if is_there(gone) { Err("it is there".to_owned()) } else { Ok(()) },
        );
        // Silence alone is no reason: the Node is there.
        site.falls_silent(stays);
        vip(world, "10.77.27.0", "the silence is known", |vip| {
            vip["status"]["despite"].to_string().contains("SpeakerSilent")
        });
        assert!(is_there(stays));
        world.nobody_was_refused();
    });
}

#[test]
fn a_controller_that_starts_again_decides_nothing_anew_and_moves_nobody() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.24.0/29"]}));
        let site = Site::new(world, &["a", "b", "c"]);
        site.advertise(&pool, json!({}));
        let controller = site.start();
        for name in ["one", "two", "three", "four", "five"] {
            create(world, name, json!({}));
            world.addressed(name);
        }
        let addresses: Vec<String> = (0..5).map(|number| format!("10.77.24.{number}")).collect();
        let all = || -> Vec<Value> {
            let ranked = |vip: &Value| vip["spec"]["ranks"]["nodes"].as_array().is_some_and(|nodes| nodes.len() == 3);
            addresses.iter().map(|address| vip(world, address, "it is ranked", ranked)).collect()
        };
        let before = all();
        assert!(controller.terminate(SOON).is_some());
        let _again = site.start();
        // It has looked at all of them when it has ranked one more.
        create(world, "six", json!({}));
        vip(world, "10.77.24.5", "it is ranked too", |vip| !owner(vip).is_empty());
        // Which other nodes may not announce it is written as other cases' nodes come and go.
        let decided =
            |vip: &Value| (vip["spec"].clone(), vip["status"]["owner"].clone(), vip["status"]["since"].clone());
        assert_eq!(all().iter().map(decided).collect::<Vec<_>>(), before.iter().map(decided).collect::<Vec<_>>());
    });
}

#[test]
fn who_has_no_node_in_common_with_those_who_share_an_address_is_refused_and_comes_once_it_has() {
    both(|world| {
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.28.0/30"]}));
        let site = Site::new(world, &["a", "b"]);
        // Each team from its own node.
        let of = |team: &str, rank: &str| {
            let spec = json!({
                "ipAddressPools": [pool.name], "serviceSelectors": [{"matchLabels": {"team": team}}],
                "nodeSelectors": [{"matchLabels": {"lan": world.namespace, "rank": rank}}],
            });
            let name = format!("{}-{team}", world.namespace);
            let object = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "L2Advertisement", "metadata": {"name": name}, "spec": spec});
            world.api.create(ADVERTISEMENTS, &object);
            format!("{ADVERTISEMENTS}/{name}")
        };
        let advertisements = [of("red", "0"), of("blue", "1")];
        let controller = site.start();
        let shares = |team: &str, port: u16| {
            let metadata = json!({"labels": {"team": team}, "annotations": {"portolan.dev/share": "web"}});
            create(world, team, json!({"metadata": metadata, "spec": {"ports": [{"name": "http", "port": port}]}}));
        };
        shares("red", 80);
        let address = addresses(&world.addressed("red")).remove(0);
        shares("blue", 81);
        let refused = world.condition("blue", "portolan.dev/Accepted", "False", "ShareConflict");
        let told = condition(&refused, "portolan.dev/Accepted").unwrap()["message"].to_string();
        assert!(told.contains("no node and interface in common") && told.contains("/red"), "{told}");
        assert!(addresses(&refused).is_empty(), "{refused:#}");
        // Also by a controller that has just begun, of which nobody can say in which order it learns of things.
        drop(controller);
        let _controller = site.start();
        world.edit("red", json!({"metadata": {"annotations": {"example.com/seen": "again"}}}));
        let record =
            vip(world, &address, "it is red's", |vip| vip["spec"]["services"].as_array().map(Vec::len) == Some(1));
        assert!(record["spec"]["serviceNames"].as_str().unwrap().ends_with("/red"), "{record:#}");
        world.condition("blue", "portolan.dev/Accepted", "False", "ShareConflict");

        // An advertisement for both comes: nobody has edited a Service.
        site.advertise(&pool, json!({}));
        world.becomes("blue", "it has come", |service| addresses(service) == [address.clone()]);
        // It goes: who has come stays.
        world.api.delete(&format!("{ADVERTISEMENTS}/{}", site.advertisement));
        world.edit("blue", json!({"spec": {"ports": [{"name": "http", "port": 82}]}}));
        world.becomes("blue", "it has stayed", |service| {
            addresses(service) == [address.clone()]
                && service["status"]["loadBalancer"]["ingress"][0]["ports"][0]["port"] == 82
        });
        advertisements.iter().for_each(|path| world.api.delete(path));
    });
}
