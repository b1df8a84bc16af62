//! The EndpointSlices of each Service. The index alone writes them; a provider may ask who has an address.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portolan_core::ids::ServiceKey;
use portolan_core::snapshot::Slice;

/// Each Service's slices, by name. Cheap to clone: all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slices(Arc<Mutex<BTreeMap<ServiceKey, Vec<Arc<Slice>>>>>);

impl Slices {
    /// Those of one Service.
    pub(super) fn of(&self, service: &ServiceKey) -> Vec<Arc<Slice>> {
        self.all().get(service).cloned().unwrap_or_default()
    }

    pub(super) fn removed(&self, slice: &Slice) {
        let mut all = self.all();
        if let Some(slices) = all.get_mut(&slice.service) {
            slices.retain(|other| other.name != slice.name);
            if slices.is_empty() {
                all.remove(&slice.service);
            }
        }
    }

    pub(super) fn added(&self, slice: Arc<Slice>) {
        let mut all = self.all();
        let slices = all.entry(slice.service.clone()).or_default();
        let place = slices.partition_point(|other| other.name < slice.name);
        slices.insert(place, slice);
    }

    /// Those of all Services.
    pub(crate) fn all(&self) -> MutexGuard<'_, BTreeMap<ServiceKey, Vec<Arc<Slice>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
