//! What the watches have told of Services and records, as rows. Pure: the display feeds it and asks it.

use std::collections::BTreeMap;
use std::sync::Arc;

use portolan_core::class::Classes;
use portolan_core::ids::{LoadBalancerId, ServiceKey, Uid};
use portolan_core::record::Record;
use portolan_core::snapshot::{Service, Versioned};

use super::table::Row;
use crate::controller::index::{Event, Object, Observed};

/// Services and records as they are known.
#[derive(Debug)]
pub(crate) struct View {
    classes: Classes,
    services: Listed<ServiceKey, Versioned<Service>>,
    records: Listed<LoadBalancerId, Arc<Record>>,
}

/// The objects of a kind. A list that is under way replaces them when it is complete.
#[derive(Debug)]
struct Listed<N, T> {
    objects: BTreeMap<N, T>,
    relisted: Option<BTreeMap<N, T>>,
    complete: bool,
}

impl View {
    /// A view in which these classes say whose a Service is.
    pub(crate) fn new(classes: Classes) -> Self {
        Self { classes, services: Listed::new(), records: Listed::new() }
    }

    /// Takes in what a watch says. Of other kinds it is nothing.
    pub(crate) fn observe(&mut self, observed: Observed) {
        match observed {
            Observed::Service(event) => self.services.observe(event),
            Observed::Record(event) => self.records.observe(event),
            Observed::Slice(_) | Observed::Node(_) | Observed::Namespace(_) | Observed::Pod(_) => {}
        }
    }

    /// Both kinds have been listed once.
    pub(crate) fn complete(&self) -> bool {
        self.services.complete && self.records.complete
    }

    /// All Services, by namespace and name.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut naming: BTreeMap<&Uid, Vec<&Record>> = BTreeMap::new();
        for record in self.records.objects.values() {
            for joined in &record.members {
                naming.entry(&joined.member.uid).or_default().push(record);
            }
        }
        let rows = self.services.objects.values().map(|Versioned { version: _, object: service }| {
            Row::of(service, naming.get(&service.uid).map(Vec::as_slice).unwrap_or_default(), &self.classes)
        });
        rows.collect()
    }
}

impl<T: Object> Listed<T::Name, T>
where
    T::Name: Ord,
{
    fn new() -> Self {
        Self { objects: BTreeMap::new(), relisted: None, complete: false }
    }

    fn observe(&mut self, event: Event<T>) {
        match event {
            Event::Init => self.relisted = Some(BTreeMap::new()),
            Event::InitApply(object) => {
                self.relisted.get_or_insert_default().insert(object.name(), object);
            }
            Event::InitDone => {
                self.objects = self.relisted.take().unwrap_or_default();
                self.complete = true;
            }
            Event::Apply(object) => {
                self.objects.insert(object.name(), object);
            }
            Event::Delete(name, _) => {
                self.objects.remove(&name);
            }
            // It is there: what was read of it before stands.
            Event::Unreadable(name) => {
                if let (Some(relisted), Some(known)) = (&mut self.relisted, self.objects.get(&name)) {
                    relisted.insert(name, known.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::project;
    use crate::config::Configuration;

    fn service(name: &str) -> Versioned<Service> {
        let stored = json!({"metadata": {"name": name, "namespace": "shop", "uid": name}});
        project::service(serde_json::from_value(stored).unwrap())
    }

    fn names(view: &View) -> Vec<String> {
        view.rows().into_iter().map(|row| row.key.name).collect()
    }

    #[test]
    fn a_list_replaces_what_was_known_when_it_is_complete() {
        let mut view = View::new(Configuration::default().classes);
        for event in [Event::Init, Event::InitApply(service("b")), Event::InitApply(service("a"))] {
            view.observe(Observed::Service(event));
            assert!(names(&view).is_empty());
        }
        view.observe(Observed::Service(Event::InitDone));
        assert_eq!(names(&view), ["a", "b"]);
        assert!(!view.complete());
        view.observe(Observed::Record(Event::Init));
        view.observe(Observed::Record(Event::InitDone));
        assert!(view.complete());

        view.observe(Observed::Service(Event::Apply(service("c"))));
        let gone = service("a");
        view.observe(Observed::Service(Event::Delete(gone.object.key.clone(), gone.version)));
        assert_eq!(names(&view), ["b", "c"]);

        // One that cannot be read is not gone.
        view.observe(Observed::Service(Event::Init));
        view.observe(Observed::Service(Event::Unreadable(service("c").object.key.clone())));
        assert_eq!(names(&view), ["b", "c"]);
        view.observe(Observed::Service(Event::InitDone));
        assert_eq!(names(&view), ["c"]);
    }
}
