//! L2Advertisements as placement reads them.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use portolan_core::ids::ResourceVersion;
use portolan_metal::advertisement::{Advertisement, Preference};
use portolan_metal::pool::PoolName;
use portolan_metal::selector::Selector;

use super::pools::selector_of;
use crate::api::L2Advertisement;
use crate::cluster::project;
use crate::controller::index::Object;

/// An advertisement.
#[derive(Clone, Debug)]
pub(super) struct SeenAdvertisement {
    name: String,
    version: ResourceVersion,
    /// None of one that cannot be understood, which is left out as a whole: part of it could announce what it is to keep from the wire.
    pub(super) advertisement: Option<Advertisement>,
}

impl SeenAdvertisement {
    pub(super) fn of(object: L2Advertisement) -> Self {
        let version = project::version(&object.metadata);
        let name = object.metadata.name.unwrap_or_default();
        let advertisement = advertisement(object.spec).map_err(|problem| {
            tracing::warn!(
                advertisement = name,
                problem,
                "an L2Advertisement makes no sense; nothing is announced by it"
            );
        });
        Self { name, version, advertisement: advertisement.ok() }
    }
}

fn advertisement(spec: crate::api::L2AdvertisementSpec) -> Result<Advertisement, String> {
    let preferences = spec.preferred_node_selectors.into_iter().enumerate().map(|(index, preferred)| {
        let field = format!("spec.preferredNodeSelectors[{index}]");
        if !(1..=100).contains(&preferred.weight) {
            return Err(format!("{field}.weight is {}, not 1 to 100", preferred.weight));
        }
        let selector = selector_of(preferred.preference).map_err(|problem| format!("{field}.preference: {problem}"))?;
        Ok(Preference { weight: preferred.weight, selector })
    });
    Ok(Advertisement {
        pools: spec.ip_address_pools.into_iter().map(PoolName::new).collect(),
        pool_selectors: selectors(spec.ip_address_pool_selectors, "ipAddressPoolSelectors")?,
        node_selectors: selectors(spec.node_selectors, "nodeSelectors")?,
        interfaces: spec.interfaces.into_iter().collect::<BTreeSet<String>>(),
        service_selectors: selectors(spec.service_selectors, "serviceSelectors")?,
        preferences: preferences.collect::<Result<_, _>>()?,
    })
}

fn selectors(all: Vec<LabelSelector>, field: &str) -> Result<Vec<Selector>, String> {
    let each = all
        .into_iter()
        .enumerate()
        .map(|(index, selector)| selector_of(selector).map_err(|problem| format!("spec.{field}[{index}]: {problem}")));
    each.collect()
}

/// Those that can be understood, for a dry run; the others are named.
pub(super) fn readable(all: &[L2Advertisement]) -> Vec<Advertisement> {
    all.iter().filter_map(|object| SeenAdvertisement::of(object.clone()).advertisement).collect()
}

impl Object for SeenAdvertisement {
    type Name = String;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn version(&self) -> Option<&ResourceVersion> {
        Some(&self.version)
    }

    fn same(&self, other: &Self) -> bool {
        self.advertisement == other.advertisement
    }
}
