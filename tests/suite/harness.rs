//! What a case works with: a namespace of its own and the Services in it, controllers, the audit log, and comparison.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{Api, Refused};
use crate::server::Server;

mod audit;
mod controller;
mod mock;
mod normal;

pub(crate) use audit::Write;
pub(crate) use controller::{Controller, Setup};
pub(crate) use mock::Mock;
pub(crate) use normal::Names;

/// How long a cluster may take to become what a case expects. Long, since all cases share two cores; a condition that holds is
/// seen within 30 ms.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A case's part of the cluster.
pub(crate) struct World {
    pub(crate) server: &'static Server,
    /// The cluster's administrator.
    pub(crate) api: Api,
    /// A namespace that no other case uses.
    pub(crate) namespace: String,
    /// The name of the Portolan that serves it.
    pub(crate) instance: String,
    /// For files.
    pub(crate) folder: PathBuf,
    /// The users of its controllers, and of those of the other parts of the same case.
    users: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// A new namespace, named after the case.
    pub(crate) fn new(server: &'static Server, case: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let words: String = case.rsplit("::").next().unwrap_or(case).replace('_', "-").chars().take(40).collect();
        let namespace = format!("c{number}-{}", words.trim_matches('-'));
        let folder = server.folder.join(&namespace);
        fs::create_dir_all(&folder).unwrap();
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        server.admin.create("/api/v1/namespaces", &object);
        let (api, instance) = (server.admin.clone(), format!("c{number}"));
        Self { server, api, namespace, instance, folder, users: Arc::default() }
    }

    /// Another part of the cluster for the same case.
    pub(crate) fn another(&self, what: &str) -> Self {
        Self { users: self.users.clone(), ..Self::new(self.server, what) }
    }

    /// A user for a controller of this case.
    fn new_user(&self) -> String {
        let user = self.server.new_user();
        self.users.lock().unwrap().push(user.clone());
        user
    }

    /// Fails if a controller of this case has asked for anything that deploy/rbac.yaml does not allow.
    pub(crate) fn nobody_was_refused(&self) {
        for user in self.users.lock().unwrap().iter() {
            let refused = self.forbidden(user);
            assert!(refused.is_empty(), "{user} has asked for more than deploy/rbac.yaml gives: {refused:?}");
        }
    }

    /// A controller for this namespace that serves the class `portolan.dev/mock`; not started yet.
    pub(crate) fn setup(&self) -> Setup {
        Setup::new(self)
    }

    /// The provider's state, from outside.
    pub(crate) fn mock(&self) -> Mock {
        Mock::new(self.folder.join("mock"))
    }

    /// kubectl in this namespace; its output, or the error it printed.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend_from_slice(arguments);
        self.server.kubectl(&all, None)
    }

    /// The path of a Service.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.services_path())
    }

    /// The path of the namespace's Services.
    pub(crate) fn services_path(&self) -> String {
        format!("/api/v1/namespaces/{}/services", self.namespace)
    }

    /// Creates a Service of type LoadBalancer and class `portolan.dev/mock` with TCP port 80 and an endpoint; `changes` is
    /// merged over it (RFC 7386).
    pub(crate) fn create(&self, name: &str, changes: Value) -> Value {
        self.create_slice(name, &["10.200.0.10"]);
        self.create_without_endpoints(name, changes)
    }

    /// The same without an endpoint.
    pub(crate) fn create_without_endpoints(&self, name: &str, changes: Value) -> Value {
        self.api.create(&self.services_path(), &merged(service(name), changes))
    }

    /// An EndpointSlice with ready endpoints on `node-1`, for port 80 and whatever else has the name `http`.
    pub(crate) fn create_slice(&self, service: &str, addresses: &[&str]) {
        let endpoints: Vec<Value> = addresses
            .iter()
            .map(|address| json!({"addresses": [address], "nodeName": "node-1", "conditions": {"ready": true}}))
            .collect();
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("{service}-1"), "labels": {"kubernetes.io/service-name": service}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": endpoints,
        });
        self.api.create(&format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", self.namespace), &slice);
    }

    /// A merge patch of a Service.
    pub(crate) fn edit(&self, name: &str, patch: Value) -> Value {
        self.api.patch(&self.path(name), &patch)
    }

    /// A merge patch that the server may refuse.
    pub(crate) fn try_edit(&self, name: &str, patch: &Value) -> Result<Value, Refused> {
        self.api.try_patch(&self.path(name), patch)
    }

    /// Asks for deletion.
    pub(crate) fn delete(&self, name: &str) {
        self.api.delete(&self.path(name));
    }

    /// The Service as it is.
    pub(crate) fn service(&self, name: &str) -> Option<Value> {
        self.api.get(&self.path(name))
    }

    /// Our records of this case's instance.
    pub(crate) fn records(&self) -> Vec<Value> {
        let all = self.api.list("/apis/portolan.dev/v1alpha1/loadbalancerrecords");
        all.into_iter()
            .filter(|record| record["spec"]["instance"].as_str().unwrap_or_default() == self.instance)
            .collect()
    }

    /// The events on a Service, of any reporter.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let all = self.api.list(&format!("/api/v1/namespaces/{}/events", self.namespace));
        all.into_iter().filter(|event| event["involvedObject"]["name"] == name).collect()
    }

    /// Waits until the Service has an address; the Service.
    pub(crate) fn addressed(&self, name: &str) -> Value {
        self.becomes(name, "it has an address", |service| !addresses(service).is_empty())
    }

    /// Waits until the Service is as `holds` says; the Service.
    pub(crate) fn becomes(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("service {name}: {what}"), SOON, || {
            let service = self.service(name).ok_or("there is no such Service")?;
            if holds(&service) { Ok(service) } else { Err(format!("{service:#}")) }
        })
    }

    /// Waits until nothing is left of a Service: neither object, nor record, nor load balancer.
    pub(crate) fn gone(&self, name: &str) {
        eventually(&format!("service {name} is gone"), SOON, || match self.service(name) {
            None => Ok(()),
            Some(service) => Err(format!("{service:#}")),
        });
    }

    /// Waits until neither a record nor a load balancer nor an address of this case is left.
    pub(crate) fn nothing_left(&self) {
        eventually("no record, no load balancer and no address is left", SOON, || {
            let (records, mock) = (self.records(), self.mock());
            if records.is_empty() && mock.balancers().is_empty() && mock.addresses().is_empty() {
                Ok(())
            } else {
                Err(format!("{records:#?} {:#}", mock.state()))
            }
        });
    }

    /// Waits until the Service's condition has this status and reason; the Service.
    pub(crate) fn condition(&self, name: &str, kind: &str, status: &str, reason: &str) -> Value {
        self.becomes(name, &format!("{kind}={status}, reason {reason}"), |service| {
            condition(service, kind).is_some_and(|found| found["status"] == status && found["reason"] == reason)
        })
    }
}

/// The plainest Service that wants a load balancer.
pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "portolan.dev/mock",
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
        },
    })
}

/// A JSON merge patch (RFC 7386), here.
pub(crate) fn merged(mut target: Value, patch: Value) -> Value {
    let Value::Object(changes) = patch else { return patch };
    if !target.is_object() {
        target = json!({});
    }
    for (key, change) in changes {
        if change.is_null() {
            target.as_object_mut().unwrap().remove(&key);
        } else {
            let old = target[&key].take();
            target[&key] = merged(old, change);
        }
    }
    target
}

/// The addresses and names in a Service's status.
pub(crate) fn addresses(service: &Value) -> Vec<String> {
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
    ingress.iter().filter_map(|one| one["ip"].as_str().or(one["hostname"].as_str()).map(str::to_owned)).collect()
}

/// A condition in a Service's status.
pub(crate) fn condition<'a>(service: &'a Value, kind: &str) -> Option<&'a Value> {
    service["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// The finalizers of an object.
pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    let all = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

/// Asks until the answer is `Ok`; fails with the last `Err` when `within` has passed.
pub(crate) fn eventually<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    loop {
        let asked = Instant::now();
        match probe() {
            Ok(found) => return found,
            Err(last) if Instant::now() > deadline => panic!("not within {within:?}: {what}. At last: {last}"),
            // A question that keeps the server busy is asked for a third of the time at most: it must not keep from happening what is awaited.
            Err(_) => std::thread::sleep(Duration::from_millis(30).max(asked.elapsed() * 2)),
        }
    }
}
