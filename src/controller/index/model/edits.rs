//! What others do to the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use portolan_core::balancer::Family;
use portolan_core::ids::{Instance, NodeName, ResourceVersion, ServiceKey, Uid};
use portolan_core::record::{ClaimedBy, Joined, Record};
use portolan_core::share::{SHARE_ANNOTATION, ShareWith};
use portolan_core::snapshot::{Namespace, Service, ServiceType, Slice, SliceName, Versioned};

use super::super::objects::{CLASS, member, node, record, service};
use super::World;

impl World {
    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1 + self.random.below(3); // other kinds count, too
        self.version
    }

    pub(super) fn put_service(&mut self, service: Service, readable: bool) -> Versioned<Service> {
        let version = self.next_version();
        let versioned = Versioned { version: ResourceVersion::new(version.to_string()), object: Arc::new(service) };
        self.services.put(version, versioned.clone(), readable);
        versioned
    }

    pub(super) fn put_record(&mut self, record: Record, readable: bool) -> Arc<Record> {
        let version = self.next_version();
        let record = Arc::new(Record { version: Some(ResourceVersion::new(version.to_string())), ..record });
        self.records.put(version, Arc::clone(&record), readable);
        record
    }

    /// One edit by somebody else.
    pub(super) fn somebody_edits(&mut self) {
        self.counts.edits += 1;
        let readable = self.random.below(20) > 0;
        let (namespace, name) = [("shop", "web"), ("shop", "api"), ("mall", "db")][self.pick(3)];
        let key = ServiceKey::new(namespace, name);
        match self.random.below(11) {
            0..5 => self.service_is_edited(key, readable),
            5..7 => {
                let name = SliceName { namespace: "shop".into(), name: ["s1", "s2", "s3", "s4"][self.pick(4)].into() };
                let version = self.next_version();
                if self.random.below(4) == 0 {
                    self.slices.delete(version, &name);
                } else {
                    let family = [Family::V4, Family::V6][self.pick(2)];
                    let slice = Slice { name, service: key, family, ports: vec![], endpoints: vec![] };
                    self.slices.put(version, Arc::new(slice), readable);
                }
            }
            7 => {
                let name = NodeName::new(["n1", "n2"][self.pick(2)]);
                let version = self.next_version();
                if self.random.below(4) == 0 {
                    self.nodes.delete(version, &name);
                } else {
                    self.nodes.put(version, Arc::new(node(name, self.random.below(2) == 0)), readable);
                }
            }
            8..10 => self.record_is_edited(&key, readable),
            _ => {
                let share_with = [ShareWith::All, ShareWith::Nobody][self.pick(2)].clone();
                let version = self.next_version();
                self.namespaces.put(version, Arc::new(Namespace { name: namespace.to_owned(), share_with }), readable);
            }
        }
    }

    pub(super) fn service_is_edited(&mut self, key: ServiceKey, readable: bool) {
        let Some(before) = self.services.get(&key).map(|service| (*service.object).clone()) else {
            self.uids += 1;
            let uid = Uid::new(format!("u{}", self.uids));
            self.all_ids.insert(Instance::default().load_balancer_of(&uid));
            let ours = self.random.below(3) > 0;
            self.put_service(service(key, uid, ours), readable);
            return;
        };
        let mut after = before;
        match self.random.below(14) {
            0 => after.annotations = BTreeMap::from([("edit".to_owned(), self.version.to_string())]),
            1 => after.service_type = ServiceType::LoadBalancer,
            2 => after.service_type = ServiceType::ClusterIp,
            3 => after.class = Some(CLASS.to_owned()),
            4 => after.class = [None, Some("example.com/other".to_owned())][self.pick(2)].clone(),
            5 => after.finalizers.clear(),
            6 => after.finalizers.push("example.com/foreign".to_owned()),
            7..9 => {} // something that no decision reads
            9..11 => after.annotations = BTreeMap::from([(SHARE_ANNOTATION.to_owned(), "x".to_owned())]),
            _ => {
                after.deleting = true;
                if after.finalizers.is_empty() || self.random.below(4) == 0 {
                    let version = self.next_version();
                    self.services.delete(version, &key);
                    return;
                }
            }
        }
        if after.deleting && after.finalizers.is_empty() {
            let version = self.next_version();
            self.services.delete(version, &key);
        } else {
            self.put_service(after, readable);
        }
    }

    pub(super) fn record_is_edited(&mut self, key: &ServiceKey, readable: bool) {
        let names: Vec<_> = self.records.live.keys().cloned().collect();
        if !names.is_empty() && self.random.below(3) > 0 {
            let name = names[self.pick(names.len())].clone();
            if self.random.below(2) == 0 {
                let version = self.next_version();
                self.records.delete(version, &name);
            } else if let Some(record) = self.records.get(&name) {
                let mut record = Record::clone(record);
                match self.random.below(3) {
                    0 => record.external = BTreeMap::from([("edit".to_owned(), self.version.to_string())]),
                    1 => {
                        if let Some(service) = self.services.get(key) {
                            record
                                .members
                                .push(Joined { member: member(&service.object), claimed_by: ClaimedBy::Class });
                        }
                    }
                    _ => {} // a label
                }
                self.put_record(record, readable);
            }
        } else if let Some(service) = self.services.get(key).map(|service| Arc::clone(&service.object)) {
            let instance = Instance::parse(["blue", ""][self.pick(2)]).unwrap();
            let id = instance.load_balancer_of(&service.uid);
            if self.records.get(&id).is_none() {
                self.put_record(record(id, instance, vec![member(&service)]), readable);
            }
        }
    }
}
