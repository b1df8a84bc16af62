//! What the API server does, and we rest upon: nobody of ours runs here.

use http::Method;
use serde_json::{Value, json};

use crate::case::without_neighbours;
use crate::harness::World;

// The stand-in of the golden cases is asked the same.
#[path = "../../src/controller/golden/facts.rs"]
mod asking;

use asking::{Asked, ask};

/// A Service on the real server.
struct OnServer<'a> {
    world: &'a World,
    name: String,
}

impl OnServer<'_> {
    fn request(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> Result<Value, String> {
        self.world.api.request(method, path, body).map_err(|refused| refused.to_string())
    }
}

impl Asked for OnServer<'_> {
    fn create(&self, service: Value) -> Result<Value, String> {
        self.request(Method::POST, &self.world.services_path(), Some(("application/json", &service)))
    }

    fn edit(&self, patch: Value) -> Result<Value, String> {
        self.request(Method::PATCH, &self.world.path(&self.name), Some(("application/merge-patch+json", &patch)))
    }

    fn status(&self, patch: Value) -> Result<Value, String> {
        let path = format!("{}/status", self.world.path(&self.name));
        self.request(Method::PATCH, &path, Some(("application/merge-patch+json", &patch)))
    }

    fn delete(&self) -> Result<Value, String> {
        self.request(Method::DELETE, &self.world.path(&self.name), None)?;
        self.world.api.get(&self.world.path(&self.name)).ok_or_else(|| "it is gone".to_owned())
    }
}

#[test]
fn the_server_is_as_the_golden_cases_take_it_to_be() {
    without_neighbours(|world| {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/server-facts.yaml")).unwrap();
        let mut wrong = Vec::new();
        for (number, fact) in portolan::yaml::documents(&text).unwrap().iter().enumerate() {
            let name = format!("fact-{number}");
            wrong.extend(ask(fact, &name, &OnServer { world, name: name.clone() }));
            world.api.delete(&world.path(&name)); // its node ports are free again
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn a_slice_holds_no_address_that_no_packet_from_outside_may_reach() {
    without_neighbours(|world| {
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", world.namespace);
        for address in ["127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1"] {
            let slice = json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "bad"}, "addressType": "IPv4",
                "endpoints": [{"addresses": [address]}],
            });
            let refused = world.api.request(Method::POST, &path, Some(("application/json", &slice))).unwrap_err();
            assert_eq!(refused.status, 422, "{address}: {refused}");
        }
    });
}
