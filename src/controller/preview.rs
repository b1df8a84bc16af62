//! What a pass would do, without doing it: the dry run behind `portolan plan`. It goes on to what later passes would do, as far as that follows
//! from this one and nothing fails.

use std::collections::BTreeSet;

use portolan_core::balancer::LoadBalancer;
use portolan_core::claim::{ClaimWarning, NotOurs, WasOurs};
use portolan_core::class::{Class, Classes};
use portolan_core::desire::{Desired, Settings, Warning};
use portolan_core::ids::{LoadBalancerId, ServiceKey};
use portolan_core::provider::{Foreseen, Known, Plan, Provider, Step};
use portolan_core::record::Record;
use portolan_core::refusal::Refused;
use portolan_core::snapshot::{Service, Snapshot, Versioned};
use serde::Serialize;
use serde_json::Value;

use crate::cluster::finalizers::{self, Standard};
use crate::controller::decision::{Decision, Fate, Role, decide};
use crate::controller::reconcile::{candidates, desired};
use crate::controller::walk::observe;
use crate::providers::{Providers, with_provider};

/// What would be done for one load balancer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Preview {
    /// The Service; none if only its record is left.
    pub service: Option<ServiceKey>,
    /// The load balancer.
    pub id: LoadBalancerId,
    /// `Claimed`, `NotOurs`, `WasOurs`, `Moving` or `Unreadable`.
    pub claim: &'static str,
    /// Why, for people.
    pub why: String,
    /// The class that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// All that is refused, with codes.
    pub refusals: Vec<Refused>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// The marks that would be written to Kubernetes, beside status and events.
    pub writes: Vec<&'static str>,
    /// The provider's steps, in order; those of later parts say when they come.
    pub steps: Vec<PlannedStep>,
    /// What kept the plan from being made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One step of a provider.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlannedStep {
    /// Its kind.
    pub name: &'static str,
    /// What comes first, of a later part of the plan: to end "then, when ...".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<&'static str>,
    /// For people.
    pub summary: String,
    /// All of it.
    pub step: Value,
}

/// In a dry run over several, those that are served are looked at first: what can go with one that is removed depends on what they need.
pub(crate) fn goes_last(snapshot: &Snapshot, classes: &Classes) -> bool {
    match decide(snapshot, classes).fate {
        Fate::Removed(_) | Fate::Moved(..) => true,
        Fate::Left | Fate::Served(_) => false,
    }
}

/// Looks ahead for one load balancer: an entry for each of its Services, the provider's steps with the first that is served; or one entry
/// for what only a record remembers.
pub(crate) async fn preview(
    snapshot: &Snapshot,
    classes: &Classes,
    settings: &Settings,
    providers: &Providers,
) -> Vec<Preview> {
    let decision = decide(snapshot, classes);
    providers.facts.show_nodes(&snapshot.nodes);
    let mut previews: Vec<Preview> =
        decision.services.iter().map(|(service, role)| Preview::of(snapshot, &service.object, role)).collect();
    for member in &decision.unreadable {
        let why = "the Service is there but cannot be read: everything stays as it is".to_owned();
        previews.push(Preview { service: Some(member.key()), claim: "Unreadable", why, ..Preview::empty(snapshot) });
    }
    if previews.is_empty() && decision.record.is_some() {
        let why = "the Service is gone".to_owned();
        previews.push(Preview { claim: "WasOurs", why, ..Preview::empty(snapshot) });
    }
    match &decision.fate {
        Fate::Left => {}
        Fate::Removed(record) => {
            if let Some(first) = previews.first_mut() {
                first.removal(record, providers).await;
            }
        }
        Fate::Moved(record, class) => {
            for (preview, _) in previews.iter_mut().zip(&decision.services).filter(is_served) {
                preview.why = format!("class {}, after what class {} has made is removed", class.name, record.class);
                preview.class = Some(class.name.to_string());
            }
            if let Some((first, _)) = previews.iter_mut().zip(&decision.services).find(is_served) {
                first.removal(record, providers).await;
            }
        }
        Fate::Served(class) => match providers.of_class(class) {
            Ok(provider) => with_provider!(provider, provider => {
                let candidates = candidates(snapshot, &decision, &BTreeSet::new());
                let desired = desired(snapshot, &decision, settings, class, &provider, &candidates);
                served(&mut previews, snapshot, &decision, classes, class, &desired);
                let LoadBalancer { members, held, .. } = &desired.load_balancer;
                let leaves = decision.leaving().any(|(service, _)| decision.has_joined(&service.object));
                if leaves || members.iter().any(|member| !held.contains(&member.uid)) {
                    let first = previews.iter().position(|preview| {
                        preview.service.as_ref().is_some_and(|key| {
                            members.iter().any(|member| member.key() == *key && !held.contains(&member.uid))
                        })
                    });
                    if let Some(preview) = previews.get_mut(first.unwrap_or(0)) {
                        let known = decision.known(&snapshot.id);
                        preview.steps(&provider, &known, Some(&desired.load_balancer)).await;
                    }
                }
            }),
            Err(error) => {
                for (preview, _) in previews.iter_mut().zip(&decision.services).filter(is_served) {
                    preview.error = Some(error.to_string());
                }
            }
        },
    }
    for (preview, (service, role)) in previews.iter_mut().zip(&decision.services) {
        let named = snapshot.is_named_elsewhere(&service.object.uid, &classes.instance);
        if matches!(role, Role::Leaving(_)) && !named {
            preview.writes.push("remove finalizer and conditions");
        }
    }
    previews
}

fn is_served((_, (_, role)): &(&mut Preview, &(Versioned<Service>, Role))) -> bool {
    matches!(role, Role::Served(_))
}

/// What being served means for each of the Services.
fn served(
    previews: &mut [Preview],
    snapshot: &Snapshot,
    decision: &Decision,
    classes: &Classes,
    class: &Class,
    desired: &Desired,
) {
    let members = desired.load_balancer.members.len();
    let mut record = decision.record.is_some();
    for (preview, (service, role)) in previews.iter_mut().zip(&decision.services) {
        let Role::Served(claimed) = role else { continue };
        let service = &service.object;
        preview.why = format!("class {}", class.name);
        if members > 1 {
            preview.why.push_str(&format!(", on a load balancer of {members} Services"));
        }
        preview.class = Some(class.name.to_string());
        if let Some(refusal) = desired.refused.get(&service.uid) {
            preview.refusals.clone_from(&refusal.reasons);
            continue;
        }
        preview.refusals.extend(desired.refused_ports.get(&service.uid).into_iter().flatten().cloned());
        preview.warnings = claimed.warnings.iter().map(ClaimWarning::warning).collect();
        preview.warnings.extend(desired.warnings.get(&service.uid).into_iter().flatten().cloned());
        let standard = Standard::of(service, claimed.by, snapshot.records_of(&classes.instance), classes);
        if finalizers::wanted(service, &classes.instance, standard).is_some() {
            preview.writes.push("edit finalizers");
        }
        if !record {
            preview.writes.push("create record");
            record = true;
        } else if members > 1 && !decision.has_joined(service) {
            preview.writes.push("join record");
        }
    }
}

impl Preview {
    fn empty(snapshot: &Snapshot) -> Self {
        Self {
            service: None,
            id: snapshot.id.clone(),
            claim: "Claimed",
            why: String::new(),
            class: None,
            refusals: Vec::new(),
            warnings: Vec::new(),
            writes: Vec::new(),
            steps: Vec::new(),
            error: None,
        }
    }

    fn of(snapshot: &Snapshot, service: &Service, role: &Role) -> Self {
        let (claim, why, refusals) = match role {
            Role::Stranger(why) => ("NotOurs", not_ours(why, service), Vec::new()),
            Role::Kept(finding) => {
                ("Claimed", finding.message.clone(), vec![Refused::whole(finding.reason, finding.message.clone())])
            }
            Role::Moving { .. } => ("Moving", moving(snapshot, service), Vec::new()),
            Role::Gone => ("Moving", "it has come to another class".to_owned(), Vec::new()),
            Role::Leaving(why) => ("WasOurs", was_ours(*why).to_owned(), Vec::new()),
            Role::Served(_) => ("Claimed", String::new(), Vec::new()),
        };
        Self { service: Some(service.key.clone()), claim, why, refusals, ..Self::empty(snapshot) }
    }

    /// The steps that remove what a record stands for.
    async fn removal(&mut self, record: &Record, providers: &Providers) {
        match providers.of_record(record) {
            Ok(provider) => with_provider!(provider, provider => self.steps(&provider, &record.known(), None).await),
            Err(error) => self.error = Some(error.to_string()),
        }
        self.writes.push("delete record");
    }

    async fn steps<P: Provider>(&mut self, provider: &P, known: &Known, desired: Option<&LoadBalancer>) {
        let observed = match observe(provider, known).await {
            Ok(observed) => observed,
            Err(error) => {
                self.error = Some(error.to_string());
                return;
            }
        };
        match provider.plan(desired, &observed) {
            Ok(plan) => {
                self.add(&plan, None);
                self.later(provider, desired.cloned(), observed, plan);
            }
            Err(refusal) => self.refusals.extend(refusal.reasons),
        }
    }

    /// What follows once the plan is carried out: parts that wait for what only time brings, such as seeing off what is replaced.
    fn later<P: Provider>(
        &mut self,
        provider: &P,
        mut desired: Option<LoadBalancer>,
        mut observed: P::State,
        mut plan: Plan<P::Step>,
    ) {
        for _ in 0..PARTS {
            let Some(Foreseen { state, awaited }) = provider.foresee(desired.as_ref(), &observed, &plan) else {
                return;
            };
            let published = provider.outcome(desired.as_ref(), &state).published;
            let is_news = desired.as_ref().is_some_and(|desired| desired.published != published);
            if let Some(desired) = &mut desired {
                desired.published = published;
            }
            let Ok(next) = provider.plan(desired.as_ref(), &state) else { return };
            if next.is_empty() && !is_news {
                return;
            }
            self.add(&next, Some(if is_news { "it is published" } else { awaited }));
            (observed, plan) = (state, next);
        }
    }

    fn add<S: Step>(&mut self, plan: &Plan<S>, when: Option<&'static str>) {
        self.steps.extend(plan.steps.iter().filter(|step| !step.is_hint()).map(|step| PlannedStep {
            name: step.name(),
            when,
            summary: step.to_string(),
            step: serde_json::to_value(step).unwrap_or_default(),
        }));
    }
}

/// Parts that a plan has at most: made, published, forgotten by clients, drained, deleted.
const PARTS: usize = 8;

fn moving(snapshot: &Snapshot, service: &Service) -> String {
    match snapshot.placed.get(&service.key) {
        Some(id) => format!("it goes to load balancer {id}, and leaves this one once it is served there"),
        None => "it goes to another load balancer".to_owned(),
    }
}

/// For people.
pub(crate) fn not_ours(why: &NotOurs, service: &Service) -> String {
    match why {
        NotOurs::NotLoadBalancer => "not of type LoadBalancer".to_owned(),
        NotOurs::NoClass => "no loadBalancerClass, and no class is the default".to_owned(),
        NotOurs::ForeignClass => {
            format!("class {} is somebody else's", service.class.as_deref().unwrap_or_default())
        }
        NotOurs::UnknownClass => {
            format!("class {} is not configured anywhere", service.class.as_deref().unwrap_or_default())
        }
        NotOurs::Deleting => "it is being deleted and carries no mark of ours".to_owned(),
        NotOurs::NamespaceNotWatched => "its namespace is not among watchNamespaces".to_owned(),
    }
}

/// For people.
pub(crate) fn was_ours(why: WasOurs) -> &'static str {
    match why {
        WasOurs::Deleting => "it is being deleted",
        WasOurs::TypeChanged => "it is not of type LoadBalancer any more",
        WasOurs::HandedOver => "it names another controller now",
    }
}
