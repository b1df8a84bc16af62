//! The stand-in answers as the real server does, wherever it does not say that it does not know.

use std::fs;

use serde_json::Value;

use super::facts::{Asked, ask};
use super::journal::Journal;
use super::server::{Name, Server};
use crate::yaml;

/// A Service on the stand-in.
struct OnStandIn {
    server: Server,
    name: Name,
}

impl OnStandIn {
    fn stored(&self) -> Value {
        let found = self.server.list("Service").into_iter().find(|(name, _)| name == &self.name);
        found.map(|(_, object)| object).unwrap_or_default()
    }
}

impl Asked for OnStandIn {
    fn create(&self, service: Value) -> Result<Value, String> {
        self.server.create(service).map(|()| self.stored()).map_err(|refused| refused.to_string())
    }

    fn edit(&self, patch: Value) -> Result<Value, String> {
        self.server.patch(&self.name, patch, false).map(|()| self.stored()).map_err(|refused| refused.to_string())
    }

    fn status(&self, patch: Value) -> Result<Value, String> {
        self.server.patch(&self.name, patch, true).map(|()| self.stored()).map_err(|refused| refused.to_string())
    }

    fn delete(&self) -> Result<Value, String> {
        self.server.delete(&self.name).map(|()| self.stored()).map_err(|refused| refused.to_string())
    }
}

#[test]
fn the_stand_in_answers_as_the_server_does() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/server-facts.yaml")).unwrap();
    let facts = yaml::documents(&text).unwrap();
    let (mut asked, mut wrong) = (0, Vec::new());
    for fact in facts.iter().filter(|fact| fact["notInStandIn"].is_null()) {
        let server = OnStandIn { server: Server::new(Journal::default()), name: Name::parse("Service/web") };
        wrong.extend(ask(fact, "web", &server));
        asked += 1;
    }
    assert!(asked >= 15, "only {asked} facts");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
