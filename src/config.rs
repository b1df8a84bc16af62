//! The configuration file: which classes there are, and what else an admin decides.
//!
//! ```yaml
//! apiVersion: portolan.dev/v1alpha1
//! kind: Configuration
//! instance: ""                      # part of finalizer and record names; several Portolans in one cluster
//! classes:
//! - name: portolan.dev/mock
//!   provider: mock
//!   default: true                   # serves Services without a class
//!   aliases: [example.com/lab]      # other values of loadBalancerClass that mean the same
//!   claimByTypeAnnotation: false    # aws only
//!   parameters: {}                  # the provider's own
//! otherClasses: [portolan.dev/lab]  # another Portolan's; no UnknownClass event
//! internalAnnotations: all          # or a list of clouds
//! nodes:
//!   ignoreExcludeLabel: false
//!   steadyAfter: 5m                 # metal only
//! watchNamespaces: []               # empty: all
//! resync: 10h
//! ```
//!
//! A file is read in two passes. The first finds out whether it is YAML and stops at the first place where it is not; the
//! second checks every rule and reports everything at once, each with line, column and path, in the order of the file.

mod duration;
mod fields;
mod findings;
mod load;
mod names;
mod near_miss;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use portolan_core::class::{Class, Classes, ParameterProblem};
use portolan_core::desire::Settings;
use portolan_core::ids::{ClassName, ProviderName};
use serde_json::{Map, Value};

use crate::yaml;
#[cfg(feature = "sandbox")]
pub(crate) use duration::parse as parse_duration;
pub use duration::write as write_duration;
pub use findings::{ConfigErrors, Problem};
pub use load::{LoadError, MAX_SIZE, load};
pub use portolan_core::desire::scheme::{Cloud, InternalAnnotations};

/// `apiVersion` of the file.
pub const API_VERSION: &str = "portolan.dev/v1alpha1";

/// `kind` of the file.
pub const KIND: &str = "Configuration";

/// Asks a provider, by its name, what is wrong with these parameters. `None`: this binary has no such provider.
pub type ProviderCheck<'a> = dyn Fn(&str, &Value) -> Option<Vec<ParameterProblem>> + 'a;

/// A configuration that has passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The classes, and what else decides whose a Service is.
    pub classes: Classes,
    /// Which clouds' annotations for internal load balancers are read.
    pub internal_annotations: InternalAnnotations,
    /// Whether nodes labelled `node.kubernetes.io/exclude-from-external-load-balancers` take traffic all the same.
    pub ignore_exclude_label: bool,
    /// A node that has been able to announce addresses for so long is given what others have; a second to a day.
    pub steady_after: Duration,
    /// How often every Service is looked at although nothing has changed; a minute to a year.
    pub resync: Duration,
}

impl Configuration {
    /// Reads and checks a file's text; `Err` holds everything that is wrong with it.
    pub fn parse(text: &str, known_providers: &ProviderCheck<'_>) -> Result<Self, ConfigErrors> {
        match yaml::parse_tree(text) {
            Ok(tree) => rules::check(&tree, known_providers),
            Err(error) => Err(ConfigErrors::not_yaml(&error)),
        }
    }

    /// What of it bears on every load balancer.
    pub fn settings(&self) -> Settings {
        Settings {
            ignore_exclude_label: self.ignore_exclude_label,
            internal_annotations: self.internal_annotations.clone(),
        }
    }
}

impl Default for Configuration {
    /// What holds without a file: the mock class alone, and no default class.
    fn default() -> Self {
        let mock = Class {
            name: ClassName::new("portolan.dev/mock"),
            aliases: Vec::new(),
            provider: ProviderName::new("mock"),
            default: false,
            claim_by_type_annotation: false,
            parameters: Value::Object(Map::new()),
        };
        Self {
            classes: Classes { classes: vec![Arc::new(mock)], ..Classes::default() },
            internal_annotations: InternalAnnotations::All,
            ignore_exclude_label: false,
            steady_after: DEFAULT_STEADY_AFTER,
            resync: DEFAULT_RESYNC,
        }
    }
}

const DEFAULT_STEADY_AFTER: Duration = Duration::from_secs(5 * 60);
const DEFAULT_RESYNC: Duration = Duration::from_secs(10 * 60 * 60);

#[cfg(test)]
pub(crate) mod tests;
