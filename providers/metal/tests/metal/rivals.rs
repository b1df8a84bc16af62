//! Several processes that record addresses of the same pool at the same time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use portolan_core::balancer::{Family, IpMode, LoadBalancer, Member, Published, SourceRanges};
use portolan_core::ids::{ClassName, Instance, LoadBalancerId, Uid};
use portolan_core::provider::{Call, Known, Provider};
use portolan_metal::pool::{Pool, PoolName};
use portolan_metal::port::{StoreError, VirtualIps};
use portolan_metal::range::Range;
use portolan_metal::vip::Vip;
use portolan_metal::{Metal, Site};

use crate::memory::Memory;

fn member() -> Member {
    Member { uid: Uid::new("uid-web"), namespace: "shop".to_owned(), name: "web".to_owned() }
}

fn desired(published: &[&str]) -> LoadBalancer {
    let published = published.iter().map(|ip| Published::Ip { ip: ip.parse().unwrap(), mode: IpMode::Vip });
    LoadBalancer {
        id: LoadBalancerId::new("web"),
        class: ClassName::new("portolan.dev/metal"),
        members: vec![member()],
        held: Vec::new(),
        following: Vec::new(),
        families: vec![Family::V4],
        requested: Vec::new(),
        scheme: None,
        settings: BTreeMap::new(),
        listeners: Vec::new(),
        source_ranges: SourceRanges::All,
        allow_downtime: false,
        nodes: Vec::new(),
        published: published.collect(),
    }
}

fn site(vips: Arc<dyn VirtualIps>) -> Site {
    let site = Site::new(Instance::default(), vips);
    let pool = Pool::new(PoolName::new("p"), vec![Range::parse("192.0.2.1-192.0.2.9").unwrap()]);
    site.observe(|world| world.set_pools(vec![pool]));
    site.is_listed();
    site
}

/// Observes, plans and carries out until nothing is left to do.
async fn pass(site: &Site, desired: &LoadBalancer) {
    let metal = Metal::new(site.clone());
    let call = Call { id: desired.id.clone(), members: desired.members.clone(), external: BTreeMap::new() };
    for _ in 0..10 {
        let mut observed = metal.observe_many(&[Known::nothing_of(desired.id.clone())]).await;
        let plan = metal.plan(Some(desired), &observed.remove(0).unwrap()).unwrap();
        let Some(step) = plan.steps.first() else { return };
        metal.apply(step, &call).await.unwrap();
    }
    panic!("it does not end");
}

fn recorded(memory: &Memory) -> Vec<String> {
    memory.all().iter().map(|vip| vip.address.to_string()).collect()
}

#[tokio::test]
async fn of_two_addresses_that_two_have_recorded_for_one_the_published_one_stays_and_none_goes_before_one_is() {
    let memory = Memory::default();
    let site = site(Arc::new(memory.clone()));
    pass(&site, &desired(&[])).await;
    assert_eq!(recorded(&memory), ["192.0.2.1"]);
    // The other one had told him of another address.
    let other = Vip { address: "192.0.2.2".parse().unwrap(), version: None, ..memory.all().remove(0) };
    memory.put(other);
    site.observe(|world| world.shown_all(memory.all()));
    pass(&site, &desired(&[])).await;
    assert_eq!(recorded(&memory), ["192.0.2.1", "192.0.2.2"], "the other one may be about to publish either");
    pass(&site, &desired(&["192.0.2.2"])).await;
    assert_eq!(recorded(&memory), ["192.0.2.2"]);
}

/// An API server whose answers to creations come late: by then the watch has shown the object, somebody has changed it, and it has shown that.
#[derive(Debug)]
struct Late {
    memory: Memory,
    site: OnceLock<Site>,
}

impl VirtualIps for Late {
    fn get(&self, address: IpAddr) -> BoxFuture<'_, Result<Option<Vip>, StoreError>> {
        self.memory.get(address)
    }

    fn create(&self, vip: &Vip) -> BoxFuture<'_, Result<Vip, StoreError>> {
        let vip = vip.clone();
        async move {
            let created = self.memory.create(&vip).await?;
            let changed = self.memory.replace(&Vip { ask_first: true, ..created.clone() }).await?;
            if let Some(site) = self.site.get() {
                site.observe(|world| world.shown(created.clone()));
                site.observe(|world| world.shown(changed));
            }
            Ok(created)
        }
        .boxed()
    }

    fn replace(&self, vip: &Vip) -> BoxFuture<'_, Result<Vip, StoreError>> {
        self.memory.replace(vip)
    }

    fn delete(&self, vip: &Vip) -> BoxFuture<'_, Result<(), StoreError>> {
        self.memory.delete(vip)
    }
}

#[tokio::test]
async fn an_answer_that_comes_after_news_of_what_became_of_it_undoes_nothing() {
    let late = Arc::new(Late { memory: Memory::default(), site: OnceLock::new() });
    let site = site(late.clone());
    late.site.set(site.clone()).unwrap();
    pass(&site, &desired(&[])).await;
    let stored = late.memory.all().remove(0);
    assert_eq!(site.look(|world| world.vip(stored.address).cloned()), Some(stored));
}

#[tokio::test]
async fn who_finds_that_somebody_has_changed_or_deleted_an_address_knows_it_as_it_is_without_a_watch() {
    let memory = Memory::default();
    let site = site(Arc::new(memory.clone()));
    pass(&site, &desired(&[])).await;
    let known = memory.all().remove(0);
    memory.put(known.clone());
    assert!(matches!(site.record(&known).await, Err(StoreError::Conflict)));
    let stored = memory.all().remove(0);
    assert_eq!(site.look(|world| world.vip(known.address).cloned()), Some(stored.clone()));
    memory.delete(&stored).await.unwrap();
    assert!(matches!(site.record(&stored).await, Err(StoreError::Conflict)));
    assert_eq!(site.look(|world| world.vip(known.address).cloned()), None);
}

#[tokio::test]
async fn who_takes_back_what_he_has_asked_for_or_may_not_be_touched_waits_for_nothing_any_more() {
    let named = |name: &str, address: Option<&str>, published: &[&str]| LoadBalancer {
        id: LoadBalancerId::new(name),
        requested: address.map(|address| address.parse().unwrap()).into_iter().collect(),
        ..desired(published)
    };
    let is_asking = |site: &Site, name: &str| site.look(|world| world.is_asking(&LoadBalancerId::new(name)));
    let memory = Memory::default();
    let site = site(Arc::new(memory.clone()));
    pass(&site, &named("has", Some("192.0.2.9"), &[])).await;
    pass(&site, &named("web", None, &[])).await;
    let before = recorded(&memory);
    assert_eq!(before, ["192.0.2.1", "192.0.2.9"]);
    pass(&site, &named("web", Some("192.0.2.9"), &["192.0.2.1"])).await;
    assert!(is_asking(&site, "web"), "it is taken");
    pass(&site, &named("web", None, &["192.0.2.1"])).await;
    assert_eq!((is_asking(&site, "web"), recorded(&memory)), (false, before));

    pass(&site, &named("new", Some("192.0.2.9"), &[])).await;
    assert!(is_asking(&site, "new"));
    pass(&site, &LoadBalancer { held: vec![member().uid], ..named("new", Some("192.0.2.9"), &[]) }).await;
    assert!(!is_asking(&site, "new"), "nobody may touch it");
}
