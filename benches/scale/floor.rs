//! The floor: a client that remembers nothing and gives each Service an address by one patch.

use futures::stream::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use crate::api;
use crate::harness::World;
use crate::meters::Tally;
use crate::stand::{SINGLES, fresh};
use crate::traffic::{self, CONCURRENCY, Run, has_address};

/// The class of its Services, which it does not look at.
const NOBODY: &str = "portolan.dev/mock";

/// One run on a server of its own.
pub(crate) fn run(number: usize) -> Run {
    let server = fresh("floor");
    let world = World::new(server, "floor");
    let user = server.new_user();
    let mut tally = Tally::new(server, &user);
    let bare = api::RUNTIME.spawn(bare_client(api::client(&server.kubeconfig(&user)), world.namespace.clone()));
    let services: Api<Service> = Api::namespaced(api::client(&server.kubeconfig("admin")), &world.namespace);
    let mut run = traffic::create_all(server, &services, NOBODY, number);
    tally.settle();
    run.requests = tally.per(number + 1);
    run.singles = traffic::create_singly(&services, NOBODY, "single", SINGLES);
    bare.abort();
    server.stop();
    run
}

async fn bare_client(client: kube::Client, namespace: String) {
    let services: Api<Service> = Api::namespaced(client, &namespace);
    let watch = watcher(services.clone(), watcher::Config::default()).default_backoff().applied_objects();
    watch
        .try_for_each_concurrent(CONCURRENCY, |service| {
            let services = services.clone();
            async move {
                if !has_address(&service) {
                    let name = service.metadata.name.unwrap_or_default();
                    let patch =
                        json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1", "ipMode": "VIP"}]}}});
                    services.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
                }
                Ok(())
            }
        })
        .await
        .unwrap();
}
