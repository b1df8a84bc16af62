//! The real watches and dispatcher on the storage: no socket, virtual time.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::runtime::wait::{await_condition, conditions};
use portolan_mock::clock::Millis;
use portolan_mock::{Mock, Parameters, Store};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{JSON, MERGE, SERVICES, Storage, done, get, request};
use crate::cluster::clock::Clock;
use crate::cluster::events::EventWriter;
use crate::cluster::records::ClusterRecords;
use crate::cluster::watch;
use crate::config::Configuration;
use crate::controller::dispatcher::Dispatcher;
use crate::controller::gate::Gate;
use crate::controller::reconcile::Reconciler;
use crate::providers::{self, AnyProvider, Providers};

/// The mock's clock, moved by the runtime's.
struct Virtual(Clock);

impl portolan_mock::Clock for Virtual {
    fn now(&self) -> Millis {
        Millis::default().after(Duration::from_nanos(self.0.now().as_nanos()))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration.max(Duration::from_secs(1))).boxed()
    }
}

/// A controller with the class portolan.dev/mock, until the set is dropped.
fn controller(storage: &Storage, clock: Clock) -> JoinSet<()> {
    let client = storage.client();
    let configuration = Configuration::default();
    let instance = configuration.classes.instance.clone();
    let providers = Providers::new(instance.clone());
    for class in &configuration.classes.classes {
        let read = Parameters::parse(&class.parameters).unwrap();
        let mock = Mock::new(read, Store::memory(), instance.clone(), Arc::new(Virtual(clock)));
        providers.put("mock", &class.parameters, AnyProvider::Mock(mock));
    }
    let reconciler = Reconciler {
        records: ClusterRecords::new(client.clone()),
        events: EventWriter::new(client.clone(), clock),
        client: client.clone(),
        classes: Arc::new(configuration.classes.clone()),
        settings: configuration.settings(),
        providers: Arc::new(providers),
        clock,
        seed: 7,
    };
    let stop = CancellationToken::new();
    let gate = Gate::new(None, stop.clone(), clock);
    let (events, observed) = mpsc::channel(1024);
    let pods = providers::wants_pods(&reconciler.providers, &reconciler.classes);
    let dispatcher = Dispatcher::new(reconciler, gate, 4, configuration.resync);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { watch::run(client, 7, pods, events, stop).await.unwrap() });
    tasks.spawn(async move { dispatcher.run(observed).await.unwrap() });
    tasks
}

#[tokio::test(start_paused = true)]
async fn a_service_gets_its_address_and_gives_it_back() {
    let clock = Clock::start_at("2026-02-01T00:00:00Z".parse().unwrap());
    let storage = Storage::new(clock);
    let definition = serde_json::to_value(crate::api::crds().remove(0)).unwrap();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    done(request(&storage, "POST", definitions, JSON, &definition));
    let node =
        json!({"metadata": {"name": "n"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.11"}]}});
    done(request(&storage, "POST", "/api/v1/nodes", JSON, &node));
    let _controller = controller(&storage, clock);

    let spec = json!({"type": "LoadBalancer", "loadBalancerClass": "portolan.dev/mock", "ports": [{"port": 80}]});
    done(request(&storage, "POST", SERVICES, JSON, &json!({"metadata": {"name": "web"}, "spec": spec})));
    let services: Api<Service> = Api::namespaced(storage.client(), "default");
    let addressed = |service: Option<&Service>| {
        let status = service.and_then(|service| service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref());
        status.is_some_and(|ingress| !ingress.is_empty())
    };
    let path = &format!("{SERVICES}/web");
    let records = "/apis/portolan.dev/v1alpha1/loadbalancerrecords";
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, await_condition(services.clone(), "web", addressed)).await.unwrap().unwrap();
    let stored = get(&storage, path).1;
    assert_eq!(stored["status"]["loadBalancer"]["ingress"][0]["ipMode"], "VIP");
    assert_eq!(done(get(&storage, records))["items"].as_array().unwrap().len(), 1);

    // Any edit that leaves the type, and the address is free again.
    done(request(&storage, "PATCH", path, MERGE, &json!({"spec": {"type": "ClusterIP"}})));
    let free = |service: Option<&Service>| service.is_some_and(|service| service.metadata.finalizers.is_none());
    tokio::time::timeout(patience, await_condition(services.clone(), "web", free)).await.unwrap().unwrap();
    assert_eq!(get(&storage, records).1["items"], json!([]));

    // An idle hour writes nothing.
    let before = get(&storage, SERVICES).1["metadata"]["resourceVersion"].clone();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(get(&storage, SERVICES).1["metadata"]["resourceVersion"], before);
    let uid = stored["metadata"]["uid"].as_str().unwrap().to_owned();
    done(request(&storage, "DELETE", path, JSON, &Value::Null));
    tokio::time::timeout(patience, await_condition(services, "web", conditions::is_deleted(&uid)))
        .await
        .unwrap()
        .unwrap();
}
