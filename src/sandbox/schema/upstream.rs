//! The built-in kinds as k8s-openapi has them, which is generated from the API server's own OpenAPI: structure and descriptions. It has no
//! defaults, and nothing of how lists and maps are merged; of these it makes code. The suite includes this file too, and compares with a
//! real server.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event as NewEvent;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// All schemas by name, as components of an OpenAPI document; where a property says more than its reference, both stand in one object.
pub(crate) fn schemas() -> Map<String, Value> {
    let mut settings = SchemaSettings::openapi3();
    settings.transforms.clear(); // they are OpenAPI 3.0 as they are
    let mut generator = SchemaGenerator::new(settings);
    generator.subschema_for::<ConfigMap>();
    generator.subschema_for::<CustomResourceDefinition>();
    generator.subschema_for::<EndpointSlice>();
    generator.subschema_for::<Event>();
    generator.subschema_for::<Lease>();
    generator.subschema_for::<Namespace>();
    generator.subschema_for::<NewEvent>();
    generator.subschema_for::<Node>();
    generator.subschema_for::<Pod>();
    generator.subschema_for::<Secret>();
    generator.subschema_for::<Service>();
    generator.take_definitions(false)
}
