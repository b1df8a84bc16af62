//! Golden cases of annotations: Services in; what each sets, or why it is refused, out.
//!
//! `testdata/aws/annotations/KEY/` has a folder for every key of the table, with `good.yaml` (values that are taken), `bad.yaml` (values that are
//! not), `conflict.yaml` (beside another key, the spec or the class that says otherwise) and `expected.yaml`, which is what each Service came
//! to: as `sets`, where its settings differ from those of the same Service without any annotation; and as `removed`, which attributes are
//! written once all its annotations are gone again. `removed.yaml` has the plan of that, see [`removed`]. `testdata/aws/settings/CASE.yaml` has
//! whole settings, `testdata/aws/cases/CASE/` whole plans. A document is a Service, or one of
//! these, which hold for the Services after it:
//!
//! ```yaml
//! $parameters: {clusterName: prod, limits: {schemes: [internal]}}   # of the class
//! ---
//! $existing: internal                                               # the scheme of the balancer that exists
//! ```
//!
//! `UPDATE_GOLDEN=1` rewrites the expected files.

mod cases;
mod manifest;
mod removed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use portolan_core::balancer::Scheme;
use portolan_core::desire::{ranges, scheme};
use portolan_core::examples;
use portolan_core::refusal::Refused;
use portolan_core::snapshot::Service;
use serde_json::{Map, Value, json};

use crate::annotations::Key;
use crate::annotations::keys::{Form, Standing};
use crate::attributes::Attributes;
use crate::settings::Input;
use crate::{Parameters, Settings};

const UPDATE: &str =
    "if the new result is right, run `UPDATE_GOLDEN=1 cargo test -p portolan-aws golden` and review the diff";
const FILES: [&str; 3] = ["good", "bad", "conflict"];

/// One Service of a file, and what it is read with.
struct Case {
    service: Service,
    parameters: Parameters,
    existing: Option<Scheme>,
}

/// What a Service came to.
struct Result {
    settings: Option<Settings>,
    refused: Vec<String>,
    refused_ports: Vec<String>,
    warnings: Vec<String>,
}

impl Result {
    /// The settings as data, without what stands beside them in the file.
    fn data(&self) -> Value {
        let mut value = serde_json::to_value(&self.settings).unwrap();
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|field, _| field != "warnings" && field != "refusedPorts");
        }
        value
    }

    /// As it stands in the file.
    fn told(self, sets: &Value, removed: &BTreeMap<String, String>) -> Value {
        let Self { refused, refused_ports, warnings, settings: _ } = self;
        let mut told = json!({
            "sets": sets, "removed": removed, "refused": refused, "refusedPorts": refused_ports, "warnings": warnings,
        });
        let fields = told.as_object_mut().unwrap();
        fields.retain(|_, value| !matches!(value, Value::Null) && *value != json!([]) && *value != json!({}));
        told
    }
}

#[test]
fn every_key_does_what_its_folder_says() {
    let mut failures = Vec::new();
    for key in Key::ALL {
        let folder = folder(*key);
        let mut results = Map::new();
        for file in FILES {
            let path = folder.join(format!("{file}.yaml"));
            let cases = cases(&path);
            assert!(cases.iter().any(|case| carries(case, *key)), "{}: no Service carries the key", path.display());
            let told: Map<String, Value> = cases
                .iter()
                .map(|case| (case.service.key.name.clone(), told(*key, file, case, &mut failures)))
                .collect();
            assert_eq!(told.len(), cases.len(), "{}: two Services have one name", path.display());
            results.insert(file.to_owned(), Value::Object(told));
        }
        compare(&folder.join("expected.yaml"), &Value::Object(results), &mut failures);
    }
    assert!(failures.is_empty(), "{}\n{UPDATE}", failures.join("\n"));
}

#[test]
fn what_an_annotation_has_set_goes_back_when_it_is_removed_again() {
    let mut failures = Vec::new();
    for key in Key::ALL {
        let folder = folder(*key);
        let mut results = Map::new();
        for file in ["good", "conflict"] {
            let path = folder.join(format!("{file}.yaml"));
            // What exists already is no Service's own.
            let cases = cases(&path).into_iter().filter(|case| case.existing.is_none());
            let told: Map<String, Value> = cases
                .filter_map(|case| {
                    let name = case.service.key.name.clone();
                    let place = format!("{}: {name}", path.display());
                    Some((name, removed::told(&case, &place, &mut failures)?))
                })
                .collect();
            let is_served = matches!(key.entry().standing, Standing::Read | Standing::Deprecated(_));
            assert!(file != "good" || !told.is_empty() || !is_served, "{}: no Service is served", path.display());
            results.insert(file.to_owned(), Value::Object(told));
        }
        compare(&folder.join("removed.yaml"), &Value::Object(results), &mut failures);
    }
    assert!(failures.is_empty(), "{}\n{UPDATE}", failures.join("\n"));
}

#[test]
fn every_folder_is_of_a_key() {
    let known: Vec<PathBuf> = Key::ALL.iter().map(|key| folder(*key)).collect();
    for entry in fs::read_dir(root().join("annotations")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.is_file() || known.contains(&path), "{} is of no key", path.display());
    }
}

#[test]
fn whole_settings_are_as_expected() {
    let mut failures = Vec::new();
    let mut files: Vec<PathBuf> =
        fs::read_dir(root().join("settings")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.to_string_lossy().ends_with(".expected.yaml"));
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        let told: Map<String, Value> = cases(&path)
            .iter()
            .map(|case| {
                let result = run(case, &case.service);
                let settings = result.data();
                (case.service.key.name.clone(), result.told(&settings, &BTreeMap::new()))
            })
            .collect();
        compare(&path.with_extension("expected.yaml"), &Value::Object(told), &mut failures);
    }
    assert!(failures.is_empty(), "{}\n{UPDATE}", failures.join("\n"));
}

/// What a Service came to; what it must not have come to in this file is a failure.
fn told(key: Key, file: &str, case: &Case, failures: &mut Vec<String>) -> Value {
    let result = run(case, &case.service);
    let bare = Service { annotations: BTreeMap::new(), ..case.service.clone() };
    let without = run(case, &bare);
    let sets = if result.settings.is_some() { difference(&without.data(), &result.data()) } else { Map::new() };
    let both = result.settings.as_ref().zip(without.settings.as_ref());
    let removed = both.map(|(before, now)| restored(before, now)).unwrap_or_default();
    let said = result.refused.iter().chain(&result.warnings).any(|line| line.contains(key.entry().name));
    let wrong = match (file, key.entry().standing) {
        ("good", Standing::Read | Standing::Deprecated(_)) => {
            (!result.refused.is_empty()).then_some("what should be taken is refused")
        }
        ("good", Standing::Refused(_) | Standing::Classic(_)) => {
            (!said && !sets.is_empty()).then_some("a key that is refused sets something")
        }
        ("bad", _) => (!said).then_some("what should not be taken is"),
        _ => (!said && sets.is_empty() && result.refused_ports.is_empty()).then_some("nothing comes of it"),
    };
    if let Some(wrong) = wrong {
        failures.push(format!("{}/{file}.yaml: {}: {wrong}", folder(key).display(), case.service.key.name));
    }
    result.told(&Value::Object(sets), &removed)
}

/// What is written when the first settings give way to the second: by place, attributes that are ours no more.
fn restored(before: &Settings, now: &Settings) -> BTreeMap<String, String> {
    let keys = |attributes: &Attributes| -> BTreeSet<String> { attributes.keys().map(ToString::to_string).collect() };
    let mut written = BTreeMap::new();
    let mut note = |place: &str, writes: Attributes, set: &Attributes| {
        let back = writes.into_iter().filter(|(key, _)| !set.contains_key(key));
        written.extend(back.map(|(key, value)| (format!("{place}.{key}"), value)));
    };
    let balancer = &now.balancer;
    note("balancer", balancer.writes(&keys(&before.balancer.attributes)), &balancer.attributes);
    for now in &now.listeners {
        if let Some(before) = before.listeners.iter().find(|before| before.port == now.port) {
            let place = format!("listeners.{}", now.port);
            note(&place, now.writes(&keys(&before.attributes)), &now.attributes);
            let group = &now.group;
            note(&format!("{place}.group"), group.writes(&keys(&before.group.attributes)), &group.attributes);
        }
    }
    written
}

/// The core's half, then ours.
fn run(case: &Case, service: &Service) -> Result {
    let capabilities = examples::capabilities();
    let (mut refused, mut warned) = (Vec::new(), Vec::new());
    let scheme = scheme::scheme(service, &capabilities, &Default::default(), &mut refused, &mut warned);
    let source_ranges = ranges::source_ranges(service, &capabilities, &mut refused);
    let input =
        Input { service, scheme, source_ranges: &source_ranges, existing: case.existing, parameters: &case.parameters };
    let read = Settings::read(&input);
    assert_eq!(read, Settings::read(&input), "the same Service comes to the same");
    if let Ok(settings) = &read {
        let kept: Settings = serde_json::from_value(serde_json::to_value(settings).unwrap()).unwrap();
        let (refused_ports, warnings) = (settings.refused_ports.clone(), settings.warnings.clone());
        assert_eq!(&Settings { refused_ports, warnings, ..kept }, settings, "kept as text and read again");
    }
    let lines = |refused: &[Refused]| -> Vec<String> {
        refused.iter().map(|refused| format!("{}: {refused}", refused.reason)).collect()
    };
    let (mut refusals, mut refused_ports) = (lines(&refused), Vec::new());
    let mut warnings: Vec<String> =
        warned.iter().map(|warning| format!("{}: {}", warning.reason, warning.message)).collect();
    let settings = match read {
        Ok(settings) => {
            warnings.extend(settings.warnings.iter().map(|warning| format!("{:?}: {}", warning.kind, warning.message)));
            refused_ports = lines(&settings.refused_ports);
            Some(settings)
        }
        Err(refusal) => {
            refusals.extend(lines(&refusal.reasons));
            None
        }
    };
    Result { settings: settings.filter(|_| refusals.is_empty()), refused: refusals, refused_ports, warnings }
}

/// What stands in `now` and not in `before`, by its place; what is gone is null. Listeners are known by their port.
fn difference(before: &Value, now: &Value) -> Map<String, Value> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", before, &mut old);
    flatten("", now, &mut new);
    let listener = |place: &str| place.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let mut all = BTreeMap::new();
    for place in old.keys().filter(|place| !new.contains_key(*place)) {
        let whole = listener(place);
        let is_gone = whole.starts_with("listeners.") && !new.keys().any(|other| listener(other) == whole);
        all.insert(if is_gone { whole } else { place.clone() }, Value::Null);
    }
    all.extend(new.into_iter().filter(|(place, value)| old.get(place) != Some(value)));
    all.into_iter().collect()
}

fn flatten(place: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    let below = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                flatten(&below(key), value, into);
            }
        }
        Value::Object(_) | Value::Null => {}
        Value::Array(listeners) if place == "listeners" => {
            for listener in listeners {
                flatten(&below(&listener["port"].to_string()), listener, into);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            into.insert(place.to_owned(), value.clone());
        }
    }
}

fn compare(file: &Path, result: &Value, failures: &mut Vec<String>) {
    let text = serde_yaml::to_string(result).unwrap();
    let expected = fs::read_to_string(file).unwrap_or_default();
    if expected == text {
        return;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, &text).unwrap();
        return;
    }
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let (expected, now) = (lines(&expected), lines(&text));
    let only = |sign: &str, these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    let mut changed = only("-", &expected, &now);
    changed.extend(only("+", &now, &expected));
    failures.push(format!("{}:\n{}", file.display(), changed.join("\n")));
}

fn cases(path: &Path) -> Vec<Case> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documents: Vec<Value> =
        serde_yaml::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut parameters = Parameters::parse(&json!({"clusterName": "prod"})).unwrap();
    let mut existing = None;
    let mut cases = Vec::new();
    for document in documents {
        if let Some(value) = document.get("$parameters") {
            parameters = Parameters::parse(value).unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
        } else if let Some(value) = document.get("$existing") {
            existing = match value.as_str() {
                Some("internal") => Some(Scheme::Internal),
                Some("internet-facing") => Some(Scheme::Public),
                _ => panic!("{}: {value}", path.display()),
            };
        } else {
            let service = manifest::service(&document).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            cases.push(Case { service, parameters: parameters.clone(), existing });
        }
    }
    cases
}

fn carries(case: &Case, key: Key) -> bool {
    case.service.annotations.keys().any(|name| Key::of(name).is_some_and(|(of, _)| of == key))
}

fn folder(key: Key) -> PathBuf {
    let entry = key.entry();
    let open = match entry.form {
        Form::Whole => "",
        Form::OfPort => ".port",
        Form::OfListener => ".protocol-port",
    };
    root().join("annotations").join(format!("{}{open}", entry.name))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/aws")
}
