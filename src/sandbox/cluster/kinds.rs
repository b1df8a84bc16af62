//! The kinds that a cluster file may hold, and where each is created.

/// A kind that the sandbox serves.
#[derive(Debug, PartialEq)]
pub(super) struct Kind {
    /// `kind`.
    pub(super) name: &'static str,
    /// `apiVersion`.
    pub(super) version: &'static str,
    /// As it stands in paths.
    plural: &'static str,
    pub(super) scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Cluster,
    Namespaced,
}

/// In the order in which they are created: what others refer to comes first.
const KINDS: [Kind; 15] = [
    kind("Namespace", "v1", "namespaces", Scope::Cluster),
    kind("CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions", Scope::Cluster),
    kind("Node", "v1", "nodes", Scope::Cluster),
    kind("ConfigMap", "v1", "configmaps", Scope::Namespaced),
    kind("Secret", "v1", "secrets", Scope::Namespaced),
    kind("LoadBalancerRecord", "portolan.dev/v1alpha1", "loadbalancerrecords", Scope::Cluster),
    kind("AddressPool", "portolan.dev/v1alpha1", "addresspools", Scope::Cluster),
    kind("L2Advertisement", "portolan.dev/v1alpha1", "l2advertisements", Scope::Cluster),
    kind("SpeakerReport", "portolan.dev/v1alpha1", "speakerreports", Scope::Cluster),
    kind("VirtualIP", "portolan.dev/v1alpha1", "virtualips", Scope::Cluster),
    kind("Pod", "v1", "pods", Scope::Namespaced),
    kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices", Scope::Namespaced),
    kind("Service", "v1", "services", Scope::Namespaced),
    kind("Lease", "coordination.k8s.io/v1", "leases", Scope::Namespaced),
    kind("Event", "v1", "events", Scope::Namespaced),
];

const fn kind(name: &'static str, version: &'static str, plural: &'static str, scope: Scope) -> Kind {
    Kind { name, version, plural, scope }
}

/// All names, for people.
pub(super) fn all() -> String {
    KINDS.map(|kind| kind.name).join(", ")
}

impl Kind {
    pub(super) fn of(version: &str, name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name && kind.version == version)
    }

    /// How early it is created.
    pub(super) fn rank(&self) -> usize {
        KINDS.iter().position(|kind| kind.name == self.name).unwrap_or(KINDS.len())
    }

    /// Where objects of it are created.
    pub(super) fn path(&self, namespace: &str) -> String {
        let root = if self.version.contains('/') { "apis" } else { "api" };
        let namespace = match self.scope {
            Scope::Cluster => String::new(),
            Scope::Namespaced => format!("/namespaces/{namespace}"),
        };
        format!("/{root}/{}{namespace}/{}", self.version, self.plural)
    }
}
