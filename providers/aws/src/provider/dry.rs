//! The dry run: what a plan leaves to whoever acts is told where it can be known, and what follows a plan is foreseen.

use std::collections::BTreeSet;
use std::sync::Arc;

use portolan_core::balancer::LoadBalancer;
use portolan_core::provider::{Foreseen, Plan};

use crate::backend;
use crate::backend::foreseen::stand_in;
use crate::estate::Estate;
use crate::plan;
use crate::provider::{Nlb, Seen, published};
use crate::state::Admitted;
use crate::step::assumed::{done, in_time};
use crate::step::{Foretold, SecurityGroupOf, Step};

impl Nlb {
    /// The plan as a dry run tells it: what targets have to let in as the calls that it comes to. Without AWS at hand nobody knows the rules of
    /// security groups, so that of a balancer that exists nothing is said of them.
    pub(super) fn told(&self, plan: Plan<Step>, observed: &Seen) -> Plan<Step> {
        let Some(id) = &observed.looked else { return Plan { steps: without_aws(plan.steps, observed) } };
        let backend = &self.inner.site.backend;
        self.inner.site.expect();
        let mut steps = Vec::new();
        for step in plan.steps {
            if let Step::Admit { need } = &step {
                steps.extend(backend.would_admit(id, need).into_iter().map(Step::Foretold));
            } else if matches!(step, Step::Withdraw) {
                steps.extend(backend.would_withdraw(id).into_iter().map(Step::Foretold));
            } else if matches!(step, Step::Weigh { .. }) {
                let why = "AWS has not told: unknown";
                steps.push(Step::Foretold(Foretold::Unknown { what: step.to_string(), why }));
            } else {
                steps.push(step);
            }
        }
        Plan { steps }
    }

    /// What exists once this plan is carried out and everything has come that only takes time.
    pub(super) fn foreseen(
        &self,
        desired: Option<&LoadBalancer>,
        observed: &Seen,
        plan: &Plan<Step>,
    ) -> Option<Foreseen<Seen>> {
        let model = desired.map(|desired| self.model(desired, observed)).transpose().ok()?;
        let need = model.as_ref().and_then(|model| plan::needed(model, &observed.state, published(desired)));
        let need = need.map(|need| need.made(stand_in));
        let need = need.as_ref();
        if let (Some(id), true) = (&observed.looked, need.is_some() || desired.is_none()) {
            self.inner.site.backend.foresee(id, need);
        }
        let mut seen = observed.clone();
        for step in &plan.steps {
            done(&mut seen.state, step)?;
        }
        in_time(&mut seen.state);
        seen.state.admitted = need.map(|need| Admitted { need: need.clone(), ..Admitted::default() });
        seen.state.awaited = false;
        seen.foreseen = true;
        // The shared group, if it is made here, has the stand-in that the balancer carries.
        let made = stand_in(&backend::name(&self.inner.parameters.cluster_name, &self.inner.instance));
        let mut carried = seen.state.balancers.iter().flat_map(|balancer| &balancer.security_groups);
        if seen.estate.backend_group.is_none() && carried.any(|id| made.as_ref() == Some(id)) {
            seen.estate = Arc::new(Estate { backend_group: made, ..seen.estate.as_ref().clone() });
        }
        Some(Foreseen { state: seen, awaited: awaited(plan) })
    }
}

fn awaited(plan: &Plan<Step>) -> &'static str {
    let any = |is: fn(&Step) -> bool| plan.steps.iter().any(is);
    if any(|step| matches!(step, Step::Retire { .. })) {
        "clients have forgotten what is replaced"
    } else if any(|step| matches!(step, Step::Deregister { .. })) {
        "targets have finished their connections"
    } else if any(|step| matches!(step, Step::Register { .. })) {
        "new targets are healthy"
    } else {
        "that is done"
    }
}

/// Without AWS at hand nobody knows the rules of security groups. Whether a balancer that exists needs a call for them is not guessed.
fn without_aws(steps: Vec<Step>, observed: &Seen) -> Vec<Step> {
    let exists = |number: u32| observed.state.balancers.iter().any(|balancer| balancer.generation == number);
    let mut unknown: Vec<String> = Vec::new();
    let (mut told, mut of_existing) = (Vec::new(), BTreeSet::new());
    for step in steps {
        let is_of_existing = if let Step::CreateSecurityGroup { name, generation, .. } = &step {
            exists(*generation) && of_existing.insert(name.clone())
        } else if let Step::OpenRules { group: SecurityGroupOf::Made(name), .. } = &step {
            of_existing.contains(name)
        } else if let Step::SetSecurityGroups { balancer, .. } = &step {
            balancer.arn.is_some()
        } else {
            false
        };
        if matches!(step, Step::Admit { .. } | Step::Withdraw | Step::Weigh { .. }) {
            unknown.push(step.to_string());
        } else if !is_of_existing {
            told.push(step);
        }
    }
    let groups = of_existing.into_iter().map(|name| format!("let in at security group {name} who may connect"));
    let unknown = unknown.into_iter().chain(groups).filter(|_| !observed.foreseen);
    let unknown = unknown.map(|what| Step::Foretold(Foretold::Unknown { what, why: UNKNOWN }));
    unknown.chain(told).collect()
}

/// What stands where a cost would.
const UNKNOWN: &str = "AWS not reachable: unknown";
