//! Clusters whose nodes are instances, one for each emulator; and what a case sees and does at AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use portolan_aws_double::emulator::{self, Which};
use portolan_aws_double::xml::Element;
use portolan_aws_double::{Call, Clock, Double, Inventory, Policies, Refusal, Seed, Service, Timings};
use serde_json::{Value, json};

use crate::case;
use crate::harness::{SOON, Setup, World, condition, eventually, merged};
use crate::server::{Missing, Server};

pub(crate) const REGION: &str = "eu-central-1";

/// The name of the cluster at AWS.
pub(crate) const CLUSTER: &str = "prod";

pub(crate) const CLASS: &str = "portolan.dev/aws";

/// A cluster in an account of an emulator. Cases share both: their balancers are told apart by the instance of Portolan, and each case has a
/// double of its own, which knows nothing of the others'.
struct Site {
    server: Option<Server>,
    upstream: String,
    account: String,
    seed: Seed,
}

/// Where the doubles live.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}

/// Waits for something of the double.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// The cluster at this emulator, made when it is first asked for; none where the emulator cannot be had.
fn site(which: Which) -> Option<&'static Site> {
    static MOTO: OnceLock<Option<Site>> = OnceLock::new();
    static LOCALSTACK: OnceLock<Option<Site>> = OnceLock::new();
    match which {
        Which::Moto => MOTO.get_or_init(|| make_site(which, "moto")),
        Which::LocalStack => LOCALSTACK.get_or_init(|| make_site(which, "localstack")),
    }
    .as_ref()
}

/// The cluster of those who want it to themselves, one at a time.
fn site_alone(which: Which) -> Option<&'static Site> {
    static MOTO: OnceLock<Option<Site>> = OnceLock::new();
    static LOCALSTACK: OnceLock<Option<Site>> = OnceLock::new();
    match which {
        Which::Moto => MOTO.get_or_init(|| make_site(which, "moto-alone")),
        Which::LocalStack => LOCALSTACK.get_or_init(|| make_site(which, "localstack-alone")),
    }
    .as_ref()
}

fn make_site(which: Which, name: &str) -> Option<Site> {
    let upstream = wait(emulator::endpoint(which)).unwrap()?;
    let double = wait(Double::start(&upstream)).unwrap();
    let account = double.account().unwrap().to_owned();
    let seed = wait(double.seed(REGION, CLUSTER)).unwrap();
    let server = Server::with_crds(name);
    if let Some(server) = &server {
        make_nodes(server, &seed);
    }
    Some(Site { server, upstream, account, seed })
}

/// An instance in each zone, and a machine that is at AWS by name alone.
fn make_nodes(server: &Server, seed: &Seed) {
    let zones = ["a", "b", "c"];
    let instances = seed.instances.iter().zip(zones);
    let nodes = instances.map(|(id, zone)| (format!("in-{zone}"), format!("aws:///{REGION}{zone}/{id}")));
    let elsewhere = ("elsewhere".to_owned(), "eks-hybrid:///eu-central-1/prod/mi-0123456789abcdef0".to_owned());
    for (number, (name, provider_id)) in nodes.chain([elsewhere]).enumerate() {
        let metadata = json!({"name": name, "labels": {"kubernetes.io/hostname": name}});
        let spec = json!({"providerID": provider_id});
        server
            .admin
            .create("/api/v1/nodes", &json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}));
        let addresses = json!([{"type": "InternalIP", "address": format!("10.0.{}.10", 100 + number)}]);
        let status = json!({"status": {"addresses": addresses, "conditions": [{"type": "Ready", "status": "True"}]}});
        server.admin.patch(&format!("/api/v1/nodes/{name}/status"), &status);
    }
}

fn server_of(site: Option<&'static Site>) -> Option<&'static Server> {
    let Some(site) = site else { std::panic::panic_any(Missing("localstack/tools to have run")) };
    site.server.as_ref()
}

/// Runs the case on both servers, at moto.
pub(crate) fn both(case: impl FnOnce(&World)) {
    case::both_on(|| server_of(site(Which::Moto)), case);
}

/// Runs the case on both servers, at LocalStack.
pub(crate) fn both_at_localstack(case: impl FnOnce(&World)) {
    case::both_on(|| server_of(site(Which::LocalStack)), case);
}

/// Those that want a cluster to themselves wait for one another.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs the case on both servers, at moto, in a cluster and an account in which nobody else is; it leaves them as it found them.
pub(crate) fn both_alone(case: impl FnOnce(&World)) {
    let _turn = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    case::both_on(|| server_of(site_alone(Which::Moto)), case);
}

/// The same at LocalStack.
pub(crate) fn both_alone_at_localstack(case: impl FnOnce(&World)) {
    let _turn = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    case::both_on(|| server_of(site_alone(Which::LocalStack)), case);
}

/// AWS as a case has it.
pub(crate) struct Cloud {
    pub(crate) double: Double,
    pub(crate) seed: &'static Seed,
    instance: String,
}

/// A balancer, as AWS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Balancer {
    pub(crate) arn: String,
    pub(crate) hostname: String,
    pub(crate) scheme: String,
    pub(crate) zones: usize,
    pub(crate) security_groups: Vec<String>,
}

impl Cloud {
    /// Where nothing takes any time.
    pub(crate) fn quick(world: &World) -> Self {
        Self::at(Which::Moto, world, Timings::none())
    }

    /// Where time stands until the case moves it.
    pub(crate) fn at(which: Which, world: &World, timings: Timings) -> Self {
        Self::of(site(which), world, timings)
    }

    /// Of a case that has a cluster to itself, where nothing takes any time.
    pub(crate) fn alone(which: Which, world: &World) -> Self {
        Self::of(site_alone(which), world, Timings::none())
    }

    fn of(site: Option<&'static Site>, world: &World, timings: Timings) -> Self {
        let site = site.expect("the case runs");
        let double = Double::at(&site.upstream).account(Some(&site.account)).clock(Clock::by_hand()).timings(timings);
        let double = wait(double.start()).unwrap();
        // The controller has the rights that we hand out, no more; see `drop`.
        double.permissions().enforce(Policies::deployed(CLUSTER).unwrap());
        Self { double, seed: &site.seed, instance: world.instance.clone() }
    }

    /// A controller that serves the class [`CLASS`] here.
    pub(crate) fn setup(&self, world: &World) -> Setup {
        let parameters = json!({"clusterName": CLUSTER, "region": REGION, "vpcId": self.seed.vpc});
        let class = json!({"name": CLASS, "provider": "aws", "parameters": parameters});
        let setup = world.setup().configured(json!({"classes": [class]})).environment(self.environment());
        // Pods may wait for balancers.
        world.server.grant_readiness_gates(&setup.user);
        setup
    }

    /// How any AWS SDK finds the double, and nothing else.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        environment(&self.double.endpoint())
    }

    /// What there is of balancers, groups, listeners and targets.
    pub(crate) fn inventory(&self) -> Inventory {
        wait(self.double.inventory(REGION))
    }

    /// A call by somebody else's hand.
    pub(crate) fn by_hand(&self, service: Service, action: &str, pairs: &[(&str, &str)]) -> Result<Element, Refusal> {
        wait(self.double.by_hand(service, REGION, action, pairs))
    }

    pub(crate) fn elb(&self, action: &str, pairs: &[(&str, &str)]) -> Element {
        self.by_hand(Service::ElasticLoadBalancing, action, pairs)
            .unwrap_or_else(|refusal| panic!("{action}: {refusal}"))
    }

    pub(crate) fn ec2(&self, action: &str, pairs: &[(&str, &str)]) -> Element {
        self.by_hand(Service::Ec2, action, pairs).unwrap_or_else(|refusal| panic!("{action}: {refusal}"))
    }

    /// All balancers, by name.
    pub(crate) fn balancers(&self) -> BTreeMap<String, Balancer> {
        let answer = self.elb("DescribeLoadBalancers", &[]);
        let one = |member: &Element| {
            let text = |path: &[&str]| member.text_at(path).unwrap_or_default().to_owned();
            let balancer = Balancer {
                arn: text(&["LoadBalancerArn"]),
                hostname: text(&["DNSName"]),
                scheme: text(&["Scheme"]),
                zones: children(member, &["AvailabilityZones"]).len(),
                security_groups: children(member, &["SecurityGroups"]).iter().map(|one| one.text.clone()).collect(),
            };
            (text(&["LoadBalancerName"]), balancer)
        };
        children(&answer, &["DescribeLoadBalancersResult", "LoadBalancers"]).iter().map(one).collect()
    }

    /// The only one.
    pub(crate) fn balancer(&self) -> Balancer {
        let all = self.balancers();
        assert_eq!(all.len(), 1, "{all:#?}");
        all.into_values().next().unwrap()
    }

    /// An attribute of a balancer, as AWS has it.
    pub(crate) fn attribute(&self, arn: &str, key: &str) -> String {
        let answer = self.elb("DescribeLoadBalancerAttributes", &[("LoadBalancerArn", arn)]);
        let all = children(&answer, &["DescribeLoadBalancerAttributesResult", "Attributes"]);
        let found = all.iter().find(|one| one.text_at(&["Key"]) == Some(key)).unwrap_or_else(|| panic!("no {key}"));
        found.text_at(&["Value"]).unwrap_or_default().to_owned()
    }

    /// The security groups that this case's Portolan keeps: by id, its inbound rules as `tcp 80-80 0.0.0.0/0`.
    pub(crate) fn security_groups(&self) -> BTreeMap<String, BTreeSet<String>> {
        let ours = [("Filter.1.Name", "tag:portolan.dev/instance"), ("Filter.1.Value.1", &*self.instance)];
        let answer = self.ec2("DescribeSecurityGroups", &ours);
        let group = |one: &Element| {
            let rules = children(one, &["ipPermissions"]).iter().flat_map(rules).collect();
            (one.text_at(&["groupId"]).unwrap_or_default().to_owned(), rules)
        };
        children(&answer, &["securityGroupInfo"]).iter().map(group).collect()
    }

    /// What the managed security group of the only balancer lets in.
    pub(crate) fn let_in(&self) -> BTreeSet<String> {
        let groups = self.security_groups();
        let of_balancer = self.balancer().security_groups;
        of_balancer.iter().filter_map(|id| groups.get(id)).flatten().cloned().collect()
    }

    /// The controller's calls from this mark on: not those by hand.
    pub(crate) fn calls(&self, mark: usize) -> Vec<Arc<Call>> {
        let calls = self.double.log().calls_since(mark);
        calls.into_iter().filter(|call| call.caller.access_key == KEY).collect()
    }

    /// Those of them that change something, by action.
    pub(crate) fn mutating(&self, mark: usize) -> Vec<String> {
        self.calls(mark).iter().filter(|call| call.is_mutating()).map(|call| call.action.clone()).collect()
    }

    /// The listeners of the only balancer: port and protocol.
    pub(crate) fn listeners(&self) -> Vec<(u16, String)> {
        self.inventory().listeners.into_iter().map(|((_, port), (protocol, _))| (port, protocol)).collect()
    }

    /// The targets behind each listener, by its port.
    pub(crate) fn targets(&self) -> BTreeMap<u16, BTreeSet<(String, u16)>> {
        let inventory = self.inventory();
        let targets = |groups: &BTreeSet<String>| {
            groups.iter().filter_map(|group| inventory.targets.get(group)).flatten().cloned().collect()
        };
        inventory.listeners.iter().map(|((_, port), (_, groups))| (*port, targets(groups))).collect()
    }

    /// Waits until nothing of this case is left, at AWS and among the records.
    pub(crate) fn nothing_left(&self, world: &World) {
        eventually("nothing is left at AWS, nor a record", SOON * 2, || {
            let (inventory, groups, records) = (self.inventory(), self.security_groups(), world.records());
            if inventory.is_empty() && groups.is_empty() && records.is_empty() {
                Ok(())
            } else {
                Err(format!("{inventory:#?} {groups:#?} {records:#?}"))
            }
        });
    }
}

impl Drop for Cloud {
    /// At the end of each case nothing was asked for that the policies of `deploy/aws` do not allow.
    fn drop(&mut self) {
        let denied: Vec<_> = self.double.log().calls().into_iter().filter(|call| call.was_denied()).collect();
        assert!(std::thread::panicking() || denied.is_empty(), "not allowed by deploy/aws: {denied:#?}");
    }
}

/// The controller's access key.
const KEY: &str = "AKIDPORTOLAN";

/// How any AWS SDK finds this endpoint, and nothing else: what the user's own environment says does not count.
pub(crate) fn environment(endpoint: &str) -> Vec<(String, String)> {
    let nowhere = "/dev/null";
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", ""),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", nowhere),
        ("AWS_SHARED_CREDENTIALS_FILE", nowhere),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn children<'a>(element: &'a Element, path: &[&str]) -> &'a [Element] {
    element.at(path).map(|found| found.children.as_slice()).unwrap_or_default()
}

/// Inbound rules, one a source.
fn rules(permission: &Element) -> Vec<String> {
    let text = |name: &str| permission.text_at(&[name]).unwrap_or("*");
    let ports = format!("{} {}-{}", text("ipProtocol"), text("fromPort"), text("toPort"));
    let sources = [("ipRanges", "cidrIp"), ("ipv6Ranges", "cidrIpv6"), ("groups", "groupId")];
    let of = |(list, name): (&str, &str)| -> Vec<String> {
        let items = children(permission, &[list]).iter().filter_map(|item| item.text_at(&[name]));
        items.map(|source| format!("{ports} {source}")).collect()
    };
    sources.into_iter().flat_map(of).collect()
}

/// Creates a Service of the class [`CLASS`] with TCP port 80; `changes` is merged over it.
pub(crate) fn create(world: &World, name: &str, changes: Value) -> Value {
    world.create(name, merged(json!({"spec": {"loadBalancerClass": CLASS}}), changes))
}

/// A Service's annotations, under the prefix of AWS's controllers.
pub(crate) fn annotations(pairs: &[(&str, &str)]) -> Value {
    let prefixed = |(key, value): &(&str, &str)| (format!("service.beta.kubernetes.io/{key}"), json!(value));
    let all: serde_json::Map<String, Value> = pairs.iter().map(prefixed).collect();
    json!({"metadata": {"annotations": all}})
}

/// Waits until AWS serves a Service and finds its targets healthy; the Service.
pub(crate) fn served(world: &World, name: &str) -> Value {
    let kinds = ["Accepted", "AddressAssigned", "Programmed", "Reachable"];
    world.becomes(name, "it is served, for the generation that it has", |service| {
        kinds.iter().all(|kind| {
            condition(service, &format!("portolan.dev/{kind}")).is_some_and(|one| {
                one["status"] == "True" && one["observedGeneration"] == service["metadata"]["generation"]
            })
        })
    })
}

/// The hostnames that a Service's status publishes.
pub(crate) fn hostnames(service: &Value) -> Vec<String> {
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
    ingress.iter().filter_map(|one| one["hostname"].as_str().map(str::to_owned)).collect()
}

/// The node port of a Service's port.
pub(crate) fn node_port(service: &Value, port: u16) -> u16 {
    let ports = service["spec"]["ports"].as_array().unwrap();
    let found = ports.iter().find(|one| one["port"] == port).unwrap_or_else(|| panic!("no port {port}: {service:#}"));
    found["nodePort"].as_u64().unwrap().try_into().unwrap()
}

/// Every instance with a Service's node port: what is to be behind its port.
pub(crate) fn behind(cloud: &Cloud, service: &Value, port: u16) -> BTreeSet<(String, u16)> {
    let node_port = node_port(service, port);
    cloud.seed.instances.iter().map(|id| (id.clone(), node_port)).collect()
}
