//! Listeners: those with our tags. Somebody else's on the same balancer are left alone.

use std::collections::BTreeSet;

use super::{Generation, attributes, groups, tags};
use crate::attributes::Owner;
use crate::ids::CertificateArn;
use crate::model::{Listener, Model};
use crate::names::{GENERATION, SERVES, serves_tag};
use crate::settings::listeners::{Front, writes};
use crate::settings::tls::Tls;
use crate::state::{self, State};
use crate::step::{AttributesOf, ListenerOf, Step, Tagged};
use crate::words::AlpnPolicy;

pub(super) fn put(model: &Model, observed: &State, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    for wanted in groups::served(model, generation) {
        let existing = generation.existing.and_then(|balancer| balancer.listener(wanted.port));
        if wanted.held && existing.is_some() {
            continue;
        }
        one(model, observed, generation, wanted, existing, steps);
    }
}

fn one(
    model: &Model,
    observed: &State,
    generation: &Generation<'_>,
    wanted: &Listener,
    existing: Option<&state::Listener>,
    steps: &mut Vec<Step>,
) {
    let group = groups::object(model, observed, generation, wanted);
    let of = ListenerOf {
        balancer: generation.object(),
        port: wanted.port,
        arn: existing.map(|listener| listener.arn.clone()),
    };
    let mut tags = model.tags.clone();
    tags.insert(GENERATION.to_owned(), generation.number.to_string());
    tags.insert(SERVES.to_owned(), serves_tag(&wanted.serves));
    match existing {
        None => steps.push(Step::CreateListener {
            balancer: generation.object(),
            port: wanted.port,
            front: wanted.front.clone(),
            group,
            tags,
        }),
        Some(listener) => {
            let same_front = listener.front.as_ref().map(alone) == Some(alone(&wanted.front));
            if !same_front || listener.group.is_none() || listener.group != group.arn {
                let front = wanted.front.clone();
                steps.push(Step::ModifyListener { listener: of.clone(), front, group });
            }
            tags::put(model, observed, &listener.tags, tags, || Tagged::Listener(of.clone()), steps);
        }
    }
    certificates(&of, &wanted.front, existing.and_then(|listener| listener.front.as_ref()), steps);
    attributes::put(
        &wanted.attributes,
        existing.map(|listener| &listener.attributes),
        Owner::Listener,
        |owned| writes(&wanted.attributes, owned, &wanted.front),
        || AttributesOf::Listener(of.clone()),
        steps,
    );
}

/// What one call of AWS says of it: all but the certificates beside the default one. To AWS, no ALPN is a policy too.
fn alone(front: &Front) -> Front {
    match front {
        Front::Tls(tls) => {
            let alpn = tls.alpn.filter(|policy| *policy != AlpnPolicy::None);
            Front::Tls(Tls { certificates: Vec::new(), alpn, ..tls.clone() })
        }
        Front::Tcp | Front::Udp | Front::TcpUdp => front.clone(),
    }
}

/// Added before others are removed. The default one is never among them: AWS has it in a place of its own.
fn certificates(of: &ListenerOf, wanted: &Front, existing: Option<&Front>, steps: &mut Vec<Step>) {
    let beside = |front: &Front| -> BTreeSet<CertificateArn> {
        match front {
            Front::Tls(tls) => {
                tls.certificates.iter().filter(|arn| **arn != tls.default_certificate).cloned().collect()
            }
            Front::Tcp | Front::Udp | Front::TcpUdp => BTreeSet::new(),
        }
    };
    let (wanted, existing) = match (wanted, existing) {
        // AWS forgets them with TLS.
        (Front::Tcp | Front::Udp | Front::TcpUdp, _) => return,
        (Front::Tls(_), existing) => (beside(wanted), existing.map(beside).unwrap_or_default()),
    };
    steps.extend(
        wanted
            .difference(&existing)
            .map(|certificate| Step::AddCertificate { listener: of.clone(), certificate: certificate.clone() }),
    );
    steps.extend(
        existing
            .difference(&wanted)
            .map(|certificate| Step::RemoveCertificate { listener: of.clone(), certificate: certificate.clone() }),
    );
}

/// Those of ours that nobody asks for any more, and that no step has removed yet.
pub(super) fn remove(model: &Model, generation: &Generation<'_>, steps: &mut Vec<Step>) {
    let Some(existing) = generation.existing else { return };
    let goes = |listener: &&state::Listener| listener.ours && model.listener(listener.port).is_none();
    for listener in existing.listeners.iter().filter(goes) {
        let of = ListenerOf { balancer: generation.object(), port: listener.port, arn: Some(listener.arn.clone()) };
        let step = Step::DeleteListener { listener: of };
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
}
