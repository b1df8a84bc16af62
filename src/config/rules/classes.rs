//! The rules about classes: each for itself, and all together.

use std::collections::BTreeMap;
use std::sync::Arc;

use portolan_core::class::{BUILT_IN, Class, OWN_PREFIX};
use portolan_core::ids::{ClassName, ProviderName};
use serde_json::{Map, Value};

use crate::config::ProviderCheck;
use crate::config::fields::{Fields, Place, shown};
use crate::config::findings::Findings;
use crate::config::names::is_qualified_name;
use crate::config::near_miss;

const FIELDS: [&str; 6] = ["name", "provider", "default", "aliases", "claimByTypeAnnotation", "parameters"];

/// Every value of `loadBalancerClass` that is spoken for, and by which field.
pub(super) type Taken = BTreeMap<String, String>;

/// The classes of the file. Without `classes` nothing would be served and nothing would say so, hence it is required; an empty
/// list is how an admin takes the last class away.
pub(super) fn check(
    fields: &Fields<'_>,
    known_providers: &ProviderCheck<'_>,
    findings: &mut Findings,
) -> (Vec<Arc<Class>>, Taken) {
    let mut together = Together::default();
    let Some(place) = fields.require("classes", findings, "a list of classes, or [] to serve none") else {
        return (Vec::new(), together.taken);
    };
    let classes = place
        .items(findings, "a list of classes")
        .iter()
        .filter_map(|place| class(place, known_providers, &mut together, findings))
        .map(Arc::new)
        .collect();
    (classes, together.taken)
}

/// What only one of all the classes may have or be: a field's place in words, once a class has it.
#[derive(Default)]
struct Together {
    taken: Taken,
    default: Option<String>,
    claims_by_type_annotation: Option<String>,
}

impl Together {
    /// Reserves a name or alias; of two fields that want it, the later is told.
    fn take(&mut self, name: &str, place: &Place<'_>, findings: &mut Findings) {
        if let Some(first) = self.taken.get(name) {
            place.report(findings, format!("{} is taken by {first}; write another name", shown(name)));
        } else {
            self.taken.insert(name.to_owned(), place.in_words());
        }
    }
}

fn class(
    place: &Place<'_>,
    known_providers: &ProviderCheck<'_>,
    together: &mut Together,
    findings: &mut Findings,
) -> Option<Class> {
    let fields = place.fields(findings, &FIELDS)?;
    let name = name(&fields, together, findings);
    let aliases = aliases(&fields, together, findings);
    let default = flag(&fields, "default", &mut together.default, findings);
    let provider = provider(&fields, known_providers, findings);
    let claim_by_type_annotation = claim_by_type_annotation(&fields, provider, together, findings);
    let parameters = parameters(&fields, provider, known_providers, findings);
    Some(Class {
        name: ClassName::new(name?),
        aliases,
        provider: ProviderName::new(provider?),
        default,
        claim_by_type_annotation,
        parameters: parameters?,
    })
}

fn name<'t>(fields: &Fields<'t>, together: &mut Together, findings: &mut Findings) -> Option<&'t str> {
    let wanted = "a class name such as portolan.dev/mock";
    let place = fields.require("name", findings, wanted)?;
    class_name(&place, wanted, together, findings)
}

fn aliases(fields: &Fields<'_>, together: &mut Together, findings: &mut Findings) -> Vec<String> {
    let Some(place) = fields.get("aliases") else { return Vec::new() };
    let items = place.items(findings, "a list of class names");
    items.iter().filter_map(|place| class_name(place, "a class name", together, findings)).map(str::to_owned).collect()
}

fn class_name<'t>(
    place: &Place<'t>,
    wanted: &str,
    together: &mut Together,
    findings: &mut Findings,
) -> Option<&'t str> {
    let name = place.text(findings, wanted)?;
    if is_qualified_name(name) {
        together.take(name, place, findings);
    } else {
        place.report(findings, not_a_class_name(name));
    }
    Some(name)
}

pub(super) fn not_a_class_name(name: &str) -> String {
    format!(
        "{} is no class name; write at most 63 letters, digits, '-', '_' and '.', behind a lower-case DNS domain and '/', as \
         in portolan.dev/mock",
        shown(name)
    )
}

/// The name of the provider, if this binary has it.
fn provider<'t>(fields: &Fields<'t>, known_providers: &ProviderCheck<'_>, findings: &mut Findings) -> Option<&'t str> {
    let empty = Value::Object(Map::new());
    let known = |name: &str| known_providers(name, &empty).is_some();
    let planned = BUILT_IN.map(|name| name.strip_prefix(OWN_PREFIX).unwrap_or(name));
    let available: Vec<&str> = planned.into_iter().filter(|name| known(name)).collect();
    let wanted = match available.as_slice() {
        [only] => (*only).to_owned(),
        several => format!("one of {}", several.join(", ")),
    };
    let place = fields.require("provider", findings, &wanted)?;
    let name = place.text(findings, &wanted)?;
    if known(name) {
        return Some(name);
    }
    let message = if planned.contains(&name) {
        format!("this Portolan does not have the provider {name} yet; write {wanted}")
    } else if let Some(near) = near_miss::among(name, &available) {
        format!("unknown provider {}; did you mean {near}?", shown(name))
    } else {
        format!("unknown provider {}; write {wanted}", shown(name))
    };
    place.report(findings, message);
    None
}

/// A flag that at most one class may raise.
fn flag(fields: &Fields<'_>, name: &str, raised: &mut Option<String>, findings: &mut Findings) -> bool {
    let Some(place) = fields.get(name) else { return false };
    let value = place.boolean(findings).unwrap_or_default();
    match raised {
        Some(first) if value => {
            place.report(
                findings,
                format!("only one class may say so, and {first} does already; remove one of the two"),
            );
        }
        None if value => *raised = Some(place.in_words()),
        Some(_) | None => {}
    }
    value
}

/// The annotation is one of AWS, and an AWS load balancer is what it asks for.
fn claim_by_type_annotation(
    fields: &Fields<'_>,
    provider: Option<&str>,
    together: &mut Together,
    findings: &mut Findings,
) -> bool {
    const FIELD: &str = "claimByTypeAnnotation";
    let value = flag(fields, FIELD, &mut together.claims_by_type_annotation, findings);
    if let (true, Some(provider), Some(place)) = (value, provider, fields.get(FIELD))
        && provider != "aws"
    {
        let message =
            format!("aws-load-balancer-type asks for the provider aws, and this class has {provider}; remove it");
        place.report(findings, message);
    }
    value
}

/// The parameters, judged by their provider.
fn parameters(
    fields: &Fields<'_>,
    provider: Option<&str>,
    known_providers: &ProviderCheck<'_>,
    findings: &mut Findings,
) -> Option<Value> {
    let place = fields.get("parameters");
    let value = match &place {
        Some(place) => place.foreign(findings)?,
        None => Value::Object(Map::new()),
    };
    for problem in provider.and_then(|provider| known_providers(provider, &value)).unwrap_or_default() {
        match &place {
            Some(place) => {
                let (at, path) = place.descend(&problem.pointer);
                findings.report(at, path, problem.message);
            }
            // The provider misses something and there are no parameters: the class is the nearest place.
            None => fields.report_absent("parameters", findings, problem.message),
        }
    }
    Some(value)
}
