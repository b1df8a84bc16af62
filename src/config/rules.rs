//! The second pass: every rule about the file. A rule that is broken reports and goes on, so that one run finds everything.

mod classes;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use portolan_core::class::Classes;
use portolan_core::ids::Instance;

use super::fields::{Fields, Place, shown};
use super::findings::{ConfigErrors, Findings};
use super::names::{is_dns_label, is_qualified_name};
use super::{
    API_VERSION, Cloud, Configuration, DEFAULT_RESYNC, DEFAULT_STEADY_AFTER, InternalAnnotations, KIND, ProviderCheck,
};
use super::{duration, near_miss};
use crate::yaml::{Node, Position, Tree};

const FIELDS: [&str; 9] = [
    "apiVersion",
    "kind",
    "instance",
    "classes",
    "otherClasses",
    "internalAnnotations",
    "nodes",
    "watchNamespaces",
    "resync",
];

pub(super) fn check(tree: &Tree, known_providers: &ProviderCheck<'_>) -> Result<Configuration, ConfigErrors> {
    let mut findings = Findings::default();
    let configuration = configuration(tree, known_providers, &mut findings);
    findings.into_result(configuration)
}

fn configuration(tree: &Tree, known_providers: &ProviderCheck<'_>, findings: &mut Findings) -> Configuration {
    if tree.node == Node::Null {
        let message = format!("the file is empty; write at least apiVersion: {API_VERSION}, kind: {KIND} and classes");
        findings.report(Position::START, "", message);
        return Configuration::default();
    }
    let Some(fields) = Place::root(tree).fields(findings, &FIELDS) else { return Configuration::default() };
    constant(&fields, "apiVersion", API_VERSION, findings);
    constant(&fields, "kind", KIND, findings);
    let (classes, taken) = classes::check(&fields, known_providers, findings);
    let (ignore_exclude_label, steady_after) = nodes(&fields, findings);
    Configuration {
        classes: Classes {
            classes,
            other_classes: other_classes(&fields, &taken, findings),
            instance: instance(&fields, findings),
            watch_namespaces: watch_namespaces(&fields, findings),
        },
        internal_annotations: internal_annotations(&fields, findings),
        ignore_exclude_label,
        steady_after,
        resync: resync(&fields, findings),
    }
}

/// A field that can only say one thing.
fn constant(fields: &Fields<'_>, name: &str, value: &str, findings: &mut Findings) {
    let Some(place) = fields.require(name, findings, value) else { return };
    if let Some(text) = place.text(findings, value)
        && text != value
    {
        place.report(findings, format!("is {}; write {value}", shown(text)));
    }
}

fn instance(fields: &Fields<'_>, findings: &mut Findings) -> Instance {
    let Some(place) = fields.get("instance") else { return Instance::default() };
    let Some(text) = place.text(findings, "a name, or \"\" for the only Portolan of the cluster") else {
        return Instance::default();
    };
    Instance::parse(text).unwrap_or_else(|wrong| {
        place.report(findings, wrong);
        Instance::default()
    })
}

fn other_classes(fields: &Fields<'_>, taken: &classes::Taken, findings: &mut Findings) -> Vec<String> {
    let names = list(fields, "otherClasses", "a list of class names", findings, |place, text, findings| {
        if !is_qualified_name(text) {
            place.report(findings, classes::not_a_class_name(text));
        } else if let Some(by) = taken.get(text) {
            place.report(findings, format!("{} is configured here, by {by}; remove one of the two", shown(text)));
        }
        Some(text.to_owned())
    });
    names.unwrap_or_default()
}

fn watch_namespaces(fields: &Fields<'_>, findings: &mut Findings) -> Vec<String> {
    let namespaces = list(fields, "watchNamespaces", "a list of namespaces", findings, |place, text, findings| {
        if !is_dns_label(text) {
            let name = shown(text);
            place.report(
                findings,
                format!(
                    "{name} is no namespace; write at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
                ),
            );
        }
        Some(text.to_owned())
    });
    namespaces.unwrap_or_default()
}

fn internal_annotations(fields: &Fields<'_>, findings: &mut Findings) -> InternalAnnotations {
    let names = Cloud::ALL.map(Cloud::name);
    let wanted = "all, or a list of clouds such as [aws, gcp]";
    if fields.get("internalAnnotations").is_some_and(|place| place.tree.node == Node::Text("all".to_owned())) {
        return InternalAnnotations::All;
    }
    let clouds = list(fields, "internalAnnotations", wanted, findings, |place, text, findings| {
        let cloud = Cloud::ALL.into_iter().find(|cloud| cloud.name() == text);
        if cloud.is_none() {
            let instead = match near_miss::among(text, &names) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("write one of {}", names.join(", ")),
            };
            place.report(findings, format!("unknown cloud {}; {instead}", shown(text)));
        }
        cloud
    });
    clouds.map_or(InternalAnnotations::All, InternalAnnotations::Only)
}

/// Whether nodes with the exclude label count, and after how long one is steady.
fn nodes(fields: &Fields<'_>, findings: &mut Findings) -> (bool, Duration) {
    const BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
    let place = fields.get("nodes");
    let Some(nodes) = place.and_then(|place| place.fields(findings, &["ignoreExcludeLabel", "steadyAfter"])) else {
        return (false, DEFAULT_STEADY_AFTER);
    };
    let ignore_exclude_label = nodes.get("ignoreExcludeLabel").and_then(|place| place.boolean(findings));
    let steady_after = duration_of(&nodes, "steadyAfter", &BOUNDS, findings);
    (ignore_exclude_label.unwrap_or_default(), steady_after.unwrap_or(DEFAULT_STEADY_AFTER))
}

fn resync(fields: &Fields<'_>, findings: &mut Findings) -> Duration {
    const BOUNDS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(365 * 24 * 60 * 60);
    duration_of(fields, "resync", &BOUNDS, findings).unwrap_or(DEFAULT_RESYNC)
}

/// None if it is not there or makes no sense.
fn duration_of(
    fields: &Fields<'_>,
    name: &str,
    bounds: &RangeInclusive<Duration>,
    findings: &mut Findings,
) -> Option<Duration> {
    let wanted = "a duration such as 10h, 90m or 1h30m";
    let place = fields.get(name)?;
    let text = place.text(findings, wanted)?;
    let Some(found) = duration::parse(text) else {
        place.report(findings, format!("{} is no duration; write {wanted}", shown(text)));
        return None;
    };
    if found < *bounds.start() {
        place.report(findings, format!("{text} is too short; write at least {}", duration::write(*bounds.start())));
    } else if found > *bounds.end() {
        place.report(findings, format!("{text} is too long; write at most {}", duration::write(*bounds.end())));
    }
    Some(found)
}

/// A list of texts, each named once. `item` says what one means, or reports what is wrong with it.
fn list<T>(
    fields: &Fields<'_>,
    name: &str,
    wanted: &str,
    findings: &mut Findings,
    mut item: impl FnMut(&Place<'_>, &str, &mut Findings) -> Option<T>,
) -> Option<Vec<T>> {
    let place = fields.get(name)?;
    let mut seen = BTreeSet::new();
    let mut read = Vec::new();
    for place in place.items(findings, wanted) {
        let Some(text) = place.text(findings, "text") else { continue };
        if seen.insert(text) {
            read.extend(item(&place, text, findings));
        } else {
            place.report(findings, format!("{} stands twice; remove one", shown(text)));
        }
    }
    Some(read)
}
