//! Classes: what the configuration binds to a `loadBalancerClass`.

use std::sync::Arc;

use serde_json::Value;

use crate::ids::{ClassName, Instance, ProviderName};

/// The prefix of our own class names.
pub const OWN_PREFIX: &str = "portolan.dev/";

/// Class names that ship with Portolan. A Service that names one while it is not configured is left alone in silence: another
/// Portolan, or a later configuration, will serve it.
pub const BUILT_IN: [&str; 3] = ["portolan.dev/aws", "portolan.dev/metal", "portolan.dev/mock"];

/// One configured class.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its own name.
    pub name: ClassName,
    /// Other values of `loadBalancerClass` that mean the same.
    pub aliases: Vec<String>,
    /// The provider that serves it.
    pub provider: ProviderName,
    /// It serves Services without a class. At most one class does.
    pub default: bool,
    /// It serves Services without a class that carry `aws-load-balancer-type: external` or `nlb-ip`.
    pub claim_by_type_annotation: bool,
    /// The provider's parameters, as the provider reads them.
    pub parameters: Value,
}

/// All configured classes and what else decides whose a Service is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classes {
    /// The classes, in the order of the configuration.
    pub classes: Vec<Arc<Class>>,
    /// Names under our prefix that belong to another Portolan.
    pub other_classes: Vec<String>,
    /// This Portolan's name.
    pub instance: Instance,
    /// Namespaces whose Services are looked at; empty for all.
    pub watch_namespaces: Vec<String>,
}

impl Classes {
    /// The class that serves this value of `loadBalancerClass`: an exact, case-sensitive match of name or alias.
    pub fn named(&self, value: &str) -> Option<&Arc<Class>> {
        self.classes
            .iter()
            .find(|class| class.name.as_str() == value || class.aliases.iter().any(|alias| alias == value))
    }

    /// Services of this namespace are looked at.
    pub fn watches(&self, namespace: &str) -> bool {
        self.watch_namespaces.is_empty() || self.watch_namespaces.iter().any(|watched| watched == namespace)
    }

    /// The class that serves Services without a class.
    pub fn default_class(&self) -> Option<&Arc<Class>> {
        self.classes.iter().find(|class| class.default)
    }

    /// The class that claims Services without a class by their type annotation.
    pub fn by_type_annotation(&self) -> Option<&Arc<Class>> {
        self.classes.iter().find(|class| class.claim_by_type_annotation)
    }

    /// A class name that looks like ours but is nobody's: worth telling the user about.
    pub fn is_unknown(&self, value: &str) -> bool {
        value.starts_with(OWN_PREFIX)
            && !BUILT_IN.contains(&value)
            && !self.other_classes.iter().any(|other| other == value)
            && self.named(value).is_none()
    }
}

/// Something wrong in the parameters of a class. A provider's parser returns all of them at once; the configuration adds line
/// and column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterProblem {
    /// Where, as a JSON pointer (RFC 6901) below `parameters`.
    pub pointer: String,
    /// What is wrong and what to write instead.
    pub message: String,
}
