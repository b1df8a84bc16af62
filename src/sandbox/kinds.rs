//! The kinds that there are. What is not here is a 404, as a kind that a real server does not have.

use std::sync::{Arc, LazyLock, OnceLock};

use serde_json::{Value, json};

use super::managed::shape::Shapes;
use super::schema::Schema;
use super::schema::components::components;
use super::schema::published::published;

/// A kind in one version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kind {
    /// Empty for the core group.
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) singular: String,
    pub(super) kind: String,
    pub(super) list_kind: String,
    pub(super) namespaced: bool,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
    /// Whether the status is written through a subresource of its own.
    pub(super) status: bool,
    /// Brought by a CustomResourceDefinition.
    pub(super) custom: bool,
    /// What its definition says that its objects are, as it is published; built-in kinds have the server's (`schema::components`).
    pub(super) schema: Option<Value>,
    /// The same as the definition has it, null for built-in kinds: what custom resources are held to.
    pub(super) structure: Value,
    /// What the merging of its objects needs to know, once somebody needs it.
    shapes: Merged,
    /// Whether a PUT of something that is not there creates it (`AllowCreateOnUpdate`).
    pub(super) put_creates: bool,
    /// Whether a PUT needs no resourceVersion (`AllowUnconditionalUpdate`).
    pub(super) put_unconditionally: bool,
}

/// Made of a kind's schema, so that kinds do not differ by it.
#[derive(Clone, Debug, Default)]
struct Merged(OnceLock<Arc<Shapes>>);

impl PartialEq for Merged {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// All kinds.
#[derive(Debug)]
pub(super) struct Kinds(Vec<Arc<Kind>>);

impl Kind {
    fn new(group: &str, kind: &str, plural: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: "v1".to_owned(),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            kind: kind.to_owned(),
            list_kind: format!("{kind}List"),
            namespaced: true,
            short_names: Vec::new(),
            categories: Vec::new(),
            status: false,
            custom: false,
            schema: None,
            structure: Value::Null,
            shapes: Merged::default(),
            put_creates: false,
            put_unconditionally: true,
        }
    }

    fn cluster_wide(self) -> Self {
        Self { namespaced: false, ..self }
    }

    fn short(self, name: &str) -> Self {
        Self { short_names: vec![name.to_owned()], ..self }
    }

    fn with_status(self) -> Self {
        Self { status: true, ..self }
    }

    fn created_by_put(self) -> Self {
        Self { put_creates: true, ..self }
    }

    fn put_with_version(self) -> Self {
        Self { put_unconditionally: false, ..self }
    }

    /// `v1`, or `GROUP/VERSION`.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// As messages name it: `services`, `leases.coordination.k8s.io`.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Where its objects lie. Events have one place under two groups.
    pub(super) fn place(&self) -> String {
        if self.is_new_event() { self.plural.clone() } else { self.qualified() }
    }

    /// An Event of events.k8s.io, whose fields have other names.
    pub(super) fn is_new_event(&self) -> bool {
        self.group == "events.k8s.io"
    }

    /// Of the built-in kind of this name.
    pub(super) fn is(&self, kind: &str) -> bool {
        !self.custom && self.kind == kind
    }

    /// What the merging of its objects needs to know.
    pub(super) fn shapes(&self) -> &Shapes {
        self.shapes.0.get_or_init(|| {
            let schema = Schema::published(self).map(|(_, schema)| schema);
            Arc::new(schema.map_or_else(Shapes::deduced, |schema| Shapes::of(schema, components())))
        })
    }

    pub(super) fn verbs(&self) -> Value {
        // In the order in which each half of the server counts them.
        if self.custom {
            return json!(["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]);
        }
        json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"])
    }
}

/// Those that every server has. One set for all, because of what is made of their schemas.
static BUILT_IN: LazyLock<Vec<Arc<Kind>>> = LazyLock::new(|| {
    let events = || Kind::new("", "Event", "events").short("ev").created_by_put();
    let crds = "apiextensions.k8s.io";
    [
        Kind::new("", "ConfigMap", "configmaps").short("cm"),
        events(),
        Kind::new("", "Namespace", "namespaces").short("ns").cluster_wide().with_status(),
        Kind::new("", "Node", "nodes").short("no").cluster_wide().with_status(),
        Kind { categories: vec!["all".to_owned()], ..Kind::new("", "Pod", "pods").short("po").with_status() },
        Kind::new("", "Secret", "secrets"),
        Kind {
            categories: vec!["all".to_owned()],
            ..Kind::new("", "Service", "services").short("svc").with_status().created_by_put()
        },
        Kind {
            categories: vec!["api-extensions".to_owned()],
            short_names: vec!["crd".to_owned(), "crds".to_owned()],
            ..Kind::new(crds, "CustomResourceDefinition", "customresourcedefinitions")
                .cluster_wide()
                .with_status()
                .put_with_version()
        },
        Kind::new("coordination.k8s.io", "Lease", "leases").created_by_put().put_with_version(),
        Kind::new("discovery.k8s.io", "EndpointSlice", "endpointslices"),
        Kind { group: "events.k8s.io".to_owned(), ..events() },
    ]
    .map(Arc::new)
    .into()
});

impl Default for Kinds {
    fn default() -> Self {
        Self(BUILT_IN.clone())
    }
}

impl Kinds {
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.iter()
    }

    pub(super) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        self.all().find(|kind| kind.group == group && kind.version == version && kind.plural == plural).cloned()
    }

    /// The kinds of a CustomResourceDefinition, one for each version that is served, instead of those that it brought before.
    pub(super) fn define(&mut self, definition: &Value) {
        self.forget(definition);
        let (spec, names) = (&definition["spec"], &definition["spec"]["names"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
        let versions = spec["versions"].as_array().into_iter().flatten();
        self.0.extend(versions.filter(|version| version["served"] == true).map(|version| {
            let kind = text(&names["kind"]);
            let or = |value: &Value, default: String| value.as_str().map_or(default, str::to_owned);
            let identity = json!({"group": spec["group"], "version": version["name"], "kind": kind});
            Arc::new(Kind {
                group: text(&spec["group"]),
                version: text(&version["name"]),
                plural: text(&names["plural"]),
                singular: or(&names["singular"], kind.to_lowercase()),
                list_kind: or(&names["listKind"], format!("{kind}List")),
                kind,
                namespaced: spec["scope"] == "Namespaced",
                short_names: texts(&names["shortNames"]),
                categories: texts(&names["categories"]),
                status: !version["subresources"]["status"].is_null(),
                custom: true,
                structure: version["schema"]["openAPIV3Schema"].clone(),
                schema: Some(published(&version["schema"]["openAPIV3Schema"], &identity)),
                shapes: Merged::default(),
                put_creates: false,
                put_unconditionally: false,
            })
        }));
    }

    /// The kinds of a CustomResourceDefinition that is gone.
    pub(super) fn forget(&mut self, definition: &Value) {
        let (group, plural) = (&definition["spec"]["group"], &definition["spec"]["names"]["plural"]);
        self.0.retain(|kind| !kind.custom || *group != kind.group || *plural != kind.plural);
    }
}
