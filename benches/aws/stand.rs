//! What is measured: the double of AWS in front of moto, a sandbox, and a controller between them, which has no other way to either.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use portolan_aws_double::log::is_mutating;
use portolan_aws_double::{Call, Clock, Double, Effect, Fault, Quotas, Seed, Service, Timings};
use serde_json::{Value, json};

const REGION: &str = "eu-central-1";
const CLUSTER: &str = "prod";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

/// What every call takes longer, so that time counts calls.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);
/// How long a balancer is `provisioning` here. At AWS it is minutes, which nobody can shorten.
pub(crate) const PROVISIONING: Duration = Duration::from_secs(2);
/// Longer than a poll takes to come (5 s), so that nothing is left to do of what a poll would tell.
const QUIET: Duration = Duration::from_secs(7);
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(1200);

/// One estate, and all that is needed to change and to count it.
pub(crate) struct Stand {
    pub(crate) double: Double,
    pub(crate) seed: Seed,
    kube: kube::Client,
    folder: tempfile::TempDir,
    _sandbox: Process,
}

/// A process that goes with the bench.
pub(crate) struct Process(Child);

impl Process {
    /// Resident memory in MB.
    pub(crate) fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stand {
    pub(crate) async fn new(upstream: &str) -> Self {
        let timings = Timings {
            provisioning: PROVISIONING,
            registration: Duration::from_secs(1),
            draining: Some(Duration::from_secs(1)),
            ..Timings::none()
        };
        // AWS raises them on request; who has an estate of this size has asked. In three zones 400 balancers use up the 1,200 interfaces of
        // a VPC.
        let quotas = Quotas { balancers: 100_000, groups: 100_000, interfaces_per_vpc: 100_000, ..Quotas::default() };
        let double =
            Double::at(upstream).clock(Clock::of_the_machine()).timings(timings).quotas(quotas).start().await.unwrap();
        let seed = double.seed(REGION, CLUSTER).await.unwrap();
        pods(&double, &seed).await;
        double.faults().arm(Fault::on_any(Effect::DelayBefore(LATENCY)).always());
        let folder = tempfile::tempdir().unwrap();
        let (sandbox, kube) = sandbox(folder.path().join("kubeconfig")).await;
        let configuration = format!(
            "apiVersion: portolan.dev/v1alpha1\nkind: Configuration\nclasses:\n- name: portolan.dev/aws\n  provider: aws\n  \
             parameters: {{clusterName: {CLUSTER}, vpcId: {}}}\n",
            seed.vpc
        );
        fs::write(folder.path().join("portolan.yaml"), configuration).unwrap();
        Self { double, seed, kube, folder, _sandbox: sandbox }
    }

    /// A controller that works at once.
    pub(crate) fn controller(&self) -> Process {
        let folder = self.folder.path();
        let log = std::env::temp_dir().join(format!("portolan-bench-aws-{}.log", std::process::id()));
        let child = Command::new(env!("CARGO_BIN_EXE_portolan"))
            .args(["controller", "--no-leader-election", "--kubeconfig"])
            .arg(folder.join("kubeconfig"))
            .arg("--config")
            .arg(folder.join("portolan.yaml"))
            .envs([("AWS_ENDPOINT_URL", &*self.double.endpoint()), ("AWS_REGION", REGION)])
            .envs([("AWS_ACCESS_KEY_ID", "bench"), ("AWS_SECRET_ACCESS_KEY", "bench")])
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }

    pub(crate) async fn node(&self, number: usize) {
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{number}")},
            "spec": {"providerID": format!("aws:///{REGION}a/{}", self.seed.instances[number])},
            "status": {"addresses": [{"type": "InternalIP", "address": format!("10.0.10{number}.4")}]},
        });
        self.ask(Method::POST, "/api/v1/nodes", Some(node)).await;
    }

    pub(crate) async fn remove_node(&self, number: usize) {
        self.ask(Method::DELETE, &format!("/api/v1/nodes/node-{number}"), None).await;
    }

    /// A Service of these ports, with these annotations of AWS's.
    pub(crate) async fn create(&self, name: &str, ports: usize, annotations: &[(&str, &str)]) {
        let key = |key: &str| format!("service.beta.kubernetes.io/{key}");
        let annotations: BTreeMap<String, &str> = annotations.iter().map(|(name, value)| (key(name), *value)).collect();
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": annotations},
            "spec": {"type": "LoadBalancer", "loadBalancerClass": "portolan.dev/aws", "ports": numbered(ports)},
        });
        self.ask(Method::POST, SERVICES, Some(service)).await;
    }

    pub(crate) async fn add_port(&self, name: &str, ports: usize) {
        self.patch(name, json!({"spec": {"ports": numbered(ports)}})).await;
    }

    pub(crate) async fn annotate(&self, name: &str, key: &str, value: &str) {
        self.patch(name, json!({"metadata": {"annotations": {key: value}}})).await;
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.ask(Method::DELETE, &format!("{SERVICES}/{name}"), None).await;
    }

    /// The Service has one endpoint, at this address, and has had another if it had one.
    pub(crate) async fn endpoint(&self, service: &str, address: &str) {
        let path = format!("{SLICES}/{service}");
        let pod = json!({"kind": "Pod", "name": format!("pod-{address}"), "uid": format!("{service}-{address}")});
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
            "ports": [{"name": "p0", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}, "targetRef": pod}],
        });
        match self.try_ask(Method::GET, &path, None).await {
            Ok(_) => self.merge(&path, slice).await,
            Err(_) => drop(self.ask(Method::POST, SLICES, Some(slice)).await),
        }
    }

    /// When the Service has a hostname, to a hundredth of a second.
    pub(crate) async fn hostname(&self, name: &str) -> Instant {
        let path = format!("{SERVICES}/{name}");
        self.eventually(&format!("the hostname of {name}"), Duration::from_millis(10), || async {
            has_hostname(&self.ask(Method::GET, &path, None).await)
        })
        .await;
        Instant::now()
    }

    /// When so many Services have hostnames.
    pub(crate) async fn hostnames(&self, number: usize) -> Instant {
        self.eventually(&format!("{number} hostnames"), Duration::from_millis(500), || async {
            let list = self.ask(Method::GET, SERVICES, None).await;
            list["items"].as_array().unwrap().iter().filter(|service| has_hostname(service)).count() >= number
        })
        .await;
        Instant::now()
    }

    /// Waits until nothing but polls is called any more.
    pub(crate) async fn quiet(&self) {
        let calls = || Tally::of(&self.double.log().calls()).all();
        let mut before = calls();
        loop {
            tokio::time::sleep(QUIET).await;
            let now = calls();
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// What was called from `mark` on.
    pub(crate) fn tally(&self, mark: usize) -> Tally {
        Tally::of(&self.double.log().calls_since(mark))
    }

    /// The controller's own words.
    pub(crate) fn log() -> PathBuf {
        std::env::temp_dir().join(format!("portolan-bench-aws-{}.log", std::process::id()))
    }

    async fn eventually<F: Future<Output = bool>>(&self, what: &str, every: Duration, mut is_so: impl FnMut() -> F) {
        let started = Instant::now();
        while !is_so().await {
            let patient = started.elapsed() < PATIENCE;
            assert!(patient, "{what}: not after {PATIENCE:?}; see {}", Self::log().display());
            tokio::time::sleep(every).await;
        }
    }

    async fn patch(&self, name: &str, patch: Value) {
        self.merge(&format!("{SERVICES}/{name}"), patch).await;
    }

    async fn merge(&self, path: &str, patch: Value) {
        self.ask(Method::PATCH, path, Some(patch)).await;
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        self.try_ask(method.clone(), path, body).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    async fn try_ask(&self, method: Method, path: &str, body: Option<Value>) -> kube::Result<Value> {
        let media = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("content-type", media);
        self.kube.request(request.body(body.into_bytes()).unwrap()).await
    }
}

/// The addresses that pods have are those of network interfaces, as the VPC CNI plugin gives them.
async fn pods(double: &Double, seed: &Seed) {
    for (third, hosts) in [(100, 10..211), (101, 10..11), (102, 19..23)] {
        let mut pairs = vec![
            ("SubnetId".to_owned(), seed.private_subnets[third - 100].clone()),
            ("SecurityGroupId.1".to_owned(), seed.security_group.clone()),
        ];
        for (index, host) in hosts.enumerate() {
            let of = format!("PrivateIpAddresses.{}", index + 1);
            pairs.push((format!("{of}.PrivateIpAddress"), format!("10.0.{third}.{host}")));
            pairs.push((format!("{of}.Primary"), (index == 0).to_string()));
        }
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        double.by_hand(Service::Ec2, REGION, "CreateNetworkInterface", &pairs).await.unwrap();
    }
}

/// A sandbox without a controller, and a client of it.
async fn sandbox(kubeconfig: PathBuf) -> (Process, kube::Client) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portolan"))
        .args(["sandbox", "--empty", "--no-controller", "--kubeconfig"])
        .arg(&kubeconfig)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("http://"))).expect("it says where it is").unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let started = Instant::now();
    while !kubeconfig.exists() && started.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let read = Kubeconfig::read_from(&kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
    (Process(child), kube::Client::try_from(config).unwrap())
}

fn numbered(ports: usize) -> Vec<Value> {
    (0..ports).map(|n| json!({"name": format!("p{n}"), "port": 80 + n, "targetPort": 8080 + n})).collect()
}

fn has_hostname(service: &Value) -> bool {
    service["status"]["loadBalancer"]["ingress"][0]["hostname"].is_string()
}

/// Calls by action. What only looks at how things are on their way is counted apart: the budget is without.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Of ELBv2.
    pub(crate) elb: BTreeMap<String, usize>,
    /// Of EC2.
    pub(crate) ec2: BTreeMap<String, usize>,
    /// Of balancers by ARN, twenty a call, and of targets' health.
    pub(crate) polls: usize,
    /// Load balancers that were read whole because it was their turn; one a minute.
    pub(crate) audits: usize,
}

impl Tally {
    pub(crate) fn of(calls: &[Arc<Call>]) -> Self {
        let mut tally = Self::default();
        for call in calls {
            let own = if call.service == Service::Ec2 { &mut tally.ec2 } else { &mut tally.elb };
            match call.action.as_str() {
                "DescribeTargetHealth" => tally.polls += 1,
                "DescribeLoadBalancers" if call.query.has("LoadBalancerArns") => tally.polls += 1,
                // Nothing else asks for attributes that nobody has set.
                "DescribeLoadBalancerAttributes" => tally.audits += 1,
                "DescribeListenerAttributes" | "DescribeTargetGroupAttributes" => {}
                action => *own.entry(action.to_owned()).or_default() += 1,
            }
        }
        // The rest of what an audit reads.
        let rest = ["DescribeLoadBalancers", "DescribeTargetGroups", "DescribeListeners", "DescribeTags"];
        less(&mut tally.ec2, &["DescribeSecurityGroups"], tally.audits);
        less(&mut tally.elb, &rest, tally.audits);
        tally
    }

    pub(crate) fn all(&self) -> usize {
        self.elb() + self.ec2()
    }

    pub(crate) fn elb(&self) -> usize {
        self.elb.values().sum()
    }

    pub(crate) fn ec2(&self) -> usize {
        self.ec2.values().sum()
    }

    pub(crate) fn mutating(&self) -> usize {
        self.elb.iter().chain(&self.ec2).filter(|(action, _)| is_mutating(action)).map(|(_, count)| count).sum()
    }

    /// By action, the most frequent first.
    pub(crate) fn actions(&self) -> String {
        let mut actions: Vec<_> = self.elb.iter().chain(&self.ec2).collect();
        actions.sort_by_key(|(action, count)| (std::cmp::Reverse(**count), is_mutating(action)));
        actions.iter().map(|(action, count)| format!("{count} {action}")).collect::<Vec<_>>().join(", ")
    }
}

fn less(counts: &mut BTreeMap<String, usize>, actions: &[&str], by: usize) {
    for action in actions {
        if let Some(count) = counts.get_mut(*action) {
            *count = count.saturating_sub(by);
        }
    }
    counts.retain(|_, count| *count > 0);
}
