//! `LoadBalancerRecord`: the stored form of the core's [`Record`].

use std::collections::BTreeMap;

use ipnet::IpNet;
use kube::CustomResource;
use kube::core::ObjectMeta;
use portolan_core::balancer::{Member, Scheme};
use portolan_core::ids::{ClassName, Instance, LoadBalancerId, ProviderName, ResourceVersion, Uid};
use portolan_core::record::{ClaimedBy, Joined, Record};
use portolan_core::share::Share;
use portolan_core::terms::{Settled, Terms};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What Portolan must remember of a load balancer although Kubernetes forgets it. Written by the controller before it creates anything
/// outside, deleted after everything outside is gone. Editing one by hand orphans what it stands for.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(group = "portolan.dev", version = "v1alpha1", kind = "LoadBalancerRecord", shortname = "lbr")]
#[kube(derive = "PartialEq", doc = "What Portolan must remember of a load balancer although Kubernetes forgets it.")]
#[kube(printcolumn = r#"{"name": "Class", "type": "string", "jsonPath": ".spec.class"}"#)]
#[kube(printcolumn = r#"{"name": "Provider", "type": "string", "jsonPath": ".spec.provider"}"#)]
#[kube(printcolumn = r#"{"name": "Services", "type": "string", "jsonPath": ".spec.services"}"#)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerRecordSpec {
    /// The Portolan that it belongs to; empty for the only one of a cluster.
    #[serde(default)]
    pub instance: String,
    /// The class, as configured when the record was written.
    pub class: String,
    /// The class's aliases at that time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The share that it serves; none for a Service's own load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<ShareSpec>,
    /// The provider.
    pub provider: String,
    /// The provider's parameters: with them the load balancer can be removed although its class is no longer configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub parameters: Option<Value>,
    /// The Services that it serves, in the order of joining.
    #[serde(default)]
    pub members: Vec<MemberSpec>,
    /// Their names, for people: `kubectl get` shows one value a column. Never read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub services: String,
    /// What Services have asked for that holds for all of them, and goes on when those have gone who asked.
    #[serde(default, skip_serializing_if = "TermsSpec::is_none")]
    pub terms: TermsSpec,
    /// The resourceVersions of the Services, by UID, on which the terms were settled last. A controller that knows only older ones waits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<String, String>,
    /// External identifiers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub external: BTreeMap<String, String>,
}

/// How a Service came to its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClaimedByText {
    /// `spec.loadBalancerClass` names it.
    Class,
    /// It has no class, and this one is the default.
    Default,
    /// It has no class, and its type annotation asks for this one.
    TypeAnnotation,
}

/// What Services ask for that share a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShareSpec {
    /// The namespace of the Service that was there first.
    pub namespace: String,
    /// The name in their annotation `portolan.dev/share`.
    pub name: String,
}

/// What holds for the whole load balancer because Services have asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TermsSpec {
    /// Internal or public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<SchemeTerm>,
    /// Who may connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ranges: Option<SourceRangesTerm>,
}

impl TermsSpec {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether the load balancer is internal or public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemeTerm {
    /// `internal` or `public`.
    pub value: SchemeText,
    /// The UIDs of the Services that ask for it; nobody, if those who did have gone or asked no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_by: Vec<String>,
}

/// A scheme, as objects have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchemeText {
    /// Only the private network.
    Internal,
    /// Everybody.
    Public,
}

impl From<Scheme> for SchemeText {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Internal => Self::Internal,
            Scheme::Public => Self::Public,
        }
    }
}

impl From<SchemeText> for Scheme {
    fn from(scheme: SchemeText) -> Self {
        match scheme {
            SchemeText::Internal => Self::Internal,
            SchemeText::Public => Self::Public,
        }
    }
}

/// Who may connect to the load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceRangesTerm {
    /// Networks in CIDR notation (RFC 4632).
    pub value: Vec<String>,
    /// The UIDs of the Services that ask for it; nobody, if those who did have gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked_by: Vec<String>,
}

impl From<&Terms> for TermsSpec {
    fn from(terms: &Terms) -> Self {
        let texts = |uids: &[Uid]| uids.iter().map(ToString::to_string).collect();
        Self {
            scheme: terms
                .scheme
                .as_ref()
                .map(|Settled { value, asked_by }| SchemeTerm { value: (*value).into(), asked_by: texts(asked_by) }),
            source_ranges: terms.source_ranges.as_ref().map(|Settled { value, asked_by }| SourceRangesTerm {
                value: value.iter().map(ToString::to_string).collect(),
                asked_by: texts(asked_by),
            }),
        }
    }
}

impl TryFrom<TermsSpec> for Terms {
    type Error = String;

    fn try_from(stored: TermsSpec) -> Result<Self, String> {
        let uids = |texts: Vec<String>| texts.into_iter().map(Uid::new).collect();
        let network = |text: &String| {
            text.parse::<IpNet>().map_err(|error| format!("spec.terms.sourceRanges.value: {text:?}: {error}"))
        };
        let source_ranges = stored.source_ranges.map(|SourceRangesTerm { value, asked_by }| {
            let value = value.iter().map(network).collect::<Result<Vec<_>, String>>()?;
            Ok::<_, String>(Settled { value, asked_by: uids(asked_by) })
        });
        Ok(Self {
            scheme: stored
                .scheme
                .map(|SchemeTerm { value, asked_by }| Settled { value: value.into(), asked_by: uids(asked_by) }),
            source_ranges: source_ranges.transpose()?,
            seen: BTreeMap::new(),
        })
    }
}

/// A Service behind a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberSpec {
    /// How it came to the class.
    pub claimed_by: ClaimedByText,
    /// Its UID: the identity.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A stored record that cannot be what a controller wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("LoadBalancerRecord {name:?}: {problem}")]
pub struct StoredRecordError {
    /// `metadata.name`.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

impl From<&Record> for LoadBalancerRecord {
    fn from(record: &Record) -> Self {
        let metadata = ObjectMeta {
            name: Some(record.id.to_string()),
            resource_version: record.version.as_ref().map(ToString::to_string),
            ..ObjectMeta::default()
        };
        let spec = LoadBalancerRecordSpec {
            instance: record.instance.as_str().to_owned(),
            class: record.class.to_string(),
            aliases: record.aliases.clone(),
            share: record.share.clone().map(|Share { namespace, name }| ShareSpec { namespace, name }),
            provider: record.provider.to_string(),
            parameters: Some(record.parameters.clone()).filter(|value| !value.is_null()),
            members: record
                .members
                .iter()
                .map(|Joined { member, claimed_by }| MemberSpec {
                    claimed_by: match claimed_by {
                        ClaimedBy::Class => ClaimedByText::Class,
                        ClaimedBy::Default => ClaimedByText::Default,
                        ClaimedBy::TypeAnnotation => ClaimedByText::TypeAnnotation,
                    },
                    uid: member.uid.to_string(),
                    namespace: member.namespace.clone(),
                    name: member.name.clone(),
                })
                .collect(),
            services: record.members.iter().map(|joined| joined.member.key().to_string()).collect::<Vec<_>>().join(","),
            terms: TermsSpec::from(&record.terms),
            seen: record.terms.seen.iter().map(|(uid, version)| (uid.to_string(), version.to_string())).collect(),
            external: record.external.clone(),
        };
        Self { metadata, spec }
    }
}

impl TryFrom<LoadBalancerRecord> for Record {
    type Error = StoredRecordError;

    fn try_from(stored: LoadBalancerRecord) -> Result<Self, StoredRecordError> {
        let LoadBalancerRecord { metadata, spec } = stored;
        let name = metadata.name.unwrap_or_default();
        let wrong = |problem: String| StoredRecordError { name: name.clone(), problem };
        if name.is_empty() {
            return Err(wrong("it has no name".to_owned()));
        }
        if spec.parameters.as_ref().is_some_and(|value| !value.is_object()) {
            return Err(wrong("spec.parameters is not an object".to_owned()));
        }
        Ok(Self {
            id: LoadBalancerId::new(name.clone()),
            version: metadata.resource_version.map(ResourceVersion::new),
            instance: Instance::parse(&spec.instance).map_err(|problem| wrong(format!("spec.instance: {problem}")))?,
            class: ClassName::new(spec.class),
            aliases: spec.aliases,
            share: spec.share.map(|ShareSpec { namespace, name }| Share { namespace, name }),
            provider: ProviderName::new(spec.provider),
            parameters: spec.parameters.unwrap_or(Value::Null),
            members: spec
                .members
                .into_iter()
                .map(|MemberSpec { claimed_by, uid, namespace, name }| Joined {
                    member: Member { uid: Uid::new(uid), namespace, name },
                    claimed_by: match claimed_by {
                        ClaimedByText::Class => ClaimedBy::Class,
                        ClaimedByText::Default => ClaimedBy::Default,
                        ClaimedByText::TypeAnnotation => ClaimedBy::TypeAnnotation,
                    },
                })
                .collect(),
            terms: Terms {
                seen: spec.seen.into_iter().map(|(uid, at)| (Uid::new(uid), ResourceVersion::new(at))).collect(),
                ..spec.terms.try_into().map_err(wrong)?
            },
            external: spec.external,
        })
    }
}

/// An object of which the server keeps every field, because only the provider knows them.
fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Record {
        Record {
            id: LoadBalancerId::new("blue.0f4c"),
            version: Some(ResourceVersion::new("17")),
            instance: Instance::parse("blue").unwrap(),
            class: ClassName::new("portolan.dev/mock"),
            aliases: vec!["an.alias/of-it".to_owned()],
            share: Some(Share { namespace: "shop".into(), name: "front".into() }),
            provider: ProviderName::new("mock"),
            parameters: json!({"ranges": {"internal": ["10.255.0.0/16"]}, "delay": 3}),
            members: vec![Joined {
                member: Member { uid: Uid::new("0f4c"), namespace: "shop".into(), name: "web".into() },
                claimed_by: ClaimedBy::TypeAnnotation,
            }],
            terms: Terms {
                scheme: Some(Settled { value: Scheme::Internal, asked_by: vec![Uid::new("0f4c")] }),
                source_ranges: Some(Settled { value: vec!["10.0.0.0/8".parse().unwrap()], asked_by: vec![] }),
                seen: BTreeMap::from([(Uid::new("0f4c"), ResourceVersion::new("16"))]),
            },
            external: BTreeMap::from([("arn".to_owned(), "arn:aws:x".to_owned())]),
        }
    }

    #[test]
    fn a_record_survives_storage() {
        for parameters in [json!({"a": [1, {"b": null}]}), json!({}), Value::Null] {
            let record = Record { parameters, ..record() };
            let text = serde_json::to_string(&LoadBalancerRecord::from(&record)).unwrap();
            let stored: LoadBalancerRecord = serde_json::from_str(&text).unwrap();
            assert_eq!(Record::try_from(stored).unwrap(), record);
        }
    }

    #[test]
    fn a_stored_object_that_nobody_wrote_is_an_error() {
        let good = serde_json::to_value(LoadBalancerRecord::from(&record())).unwrap();
        let broken = |pointer: &str, value: Value| {
            let mut object = good.clone();
            *object.pointer_mut(pointer).unwrap() = value;
            let stored: LoadBalancerRecord = serde_json::from_value(object).map_err(|error| error.to_string())?;
            Record::try_from(stored).map_err(|error| error.to_string())
        };
        assert!(broken("/metadata/name", json!("other")).is_ok());
        for (pointer, value, says) in [
            ("/metadata/name", Value::Null, "no name"),
            ("/spec/instance", json!("Not legal"), "spec.instance"),
            ("/spec/parameters", json!("text"), "spec.parameters"),
            ("/spec/members/0/claimedBy", json!("Force"), "Force"),
            ("/spec/members/0/uid", json!(3), "invalid type"),
            ("/spec/terms/scheme/value", json!("Internal"), "Internal"),
            ("/spec/terms/sourceRanges/value/0", json!("10.0.0.0/33"), "spec.terms.sourceRanges"),
        ] {
            let error = broken(pointer, value).unwrap_err();
            assert!(error.contains(says), "{pointer}: {error}");
        }
    }

    #[test]
    fn the_definition_is_cluster_scoped_and_keeps_parameters() {
        let crd = crate::api::crds().remove(0);
        let crd = serde_json::to_value(crd).unwrap();
        assert_eq!(crd["metadata"]["name"], "loadbalancerrecords.portolan.dev");
        assert_eq!(crd["spec"]["scope"], "Cluster");
        assert_eq!(crd["spec"]["names"]["shortNames"], json!(["lbr"]));
        let version = &crd["spec"]["versions"][0];
        assert_eq!(version["name"], "v1alpha1");
        let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let parameters = &spec["properties"]["parameters"];
        assert_eq!(parameters["type"], "object");
        assert_eq!(parameters["x-kubernetes-preserve-unknown-fields"], true);
        let member = &spec["properties"]["members"]["items"]["properties"];
        assert_eq!(member["claimedBy"]["enum"], json!(["Class", "Default", "TypeAnnotation"]));
        assert_eq!(spec["required"], json!(["class", "provider"]));
        let columns: Vec<_> =
            version["additionalPrinterColumns"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
        assert_eq!(columns, ["Class", "Provider", "Services", "Age"]);
        // The server shows the first value of a column and no other.
        for column in version["additionalPrinterColumns"].as_array().unwrap() {
            assert!(!column["jsonPath"].as_str().unwrap().contains('*'), "{column}");
        }
    }
}
