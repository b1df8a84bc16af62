//! Every reason is provoked by somebody, and the reference of reasons says what the enum says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use portolan_core::reason::{ConditionType, Reason};
use serde_json::Value;

use crate::yaml;

/// What another node has found on the wire; that it finds it there, the lab's cases `reachable::` hold.
const PROVEN: &str = "providers/metal/src/reach/tests.rs";
const SEEN: &str = "what_was_seen_says_what_a_service_is_told";

/// Reasons that no case can provoke: the file and the name of the test that does.
const ELSEWHERE: [(Reason, &str, &str); 15] = [
    (Reason::NotOurs, "providers/mock/src/provider/tests/files.rs", "what_is_not_ours_is_refused_and_left_alone"),
    (Reason::NameTaken, "providers/aws/tests/aws/conformance/rules.rs", "a_name_that_somebody_else_has_is_refused"),
    (
        Reason::ReplaceNeedsDowntime,
        "providers/aws/tests/aws/conformance/generations.rs",
        "a_fixed_name_stands_against_a_replace_unless_downtime_is_allowed",
    ),
    (Reason::QuotaExceeded, "providers/aws/src/client/error/tests.rs", "who_has_to_act_is_told_by_the_reason"),
    (Reason::AccessDenied, "providers/aws/src/client/error/tests.rs", "who_has_to_act_is_told_by_the_reason"),
    (Reason::NoPool, "tests/suite/metal.rs", "nobody_is_moved_because_a_pool_shrinks_drains_or_goes"),
    (
        Reason::NotAnnounced,
        "tests/suite/metal.rs",
        "an_address_of_a_pool_is_recorded_under_its_name_published_and_given_back",
    ),
    (
        Reason::AddressConflict,
        "tests/suite/metal/placement.rs",
        "what_a_speaker_cannot_announce_is_told_on_the_service",
    ),
    (Reason::LayerTwoOnly, PROVEN, SEEN),
    (Reason::NoAnswer, PROVEN, SEEN),
    (Reason::SeveralAnswers, PROVEN, SEEN),
    (Reason::ForeignAnswer, PROVEN, SEEN),
    (Reason::NoSynAck, PROVEN, SEEN),
    (Reason::ConnectionRefused, PROVEN, SEEN),
    (Reason::RecordFailed, "tests/suite/classes.rs", "a_strange_record_under_our_name_is_named_on_the_service"),
];

#[test]
fn every_reason_is_provoked() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return; // the cases are being written at this moment
    }
    let provoked: BTreeSet<String> = super::cases().iter().flat_map(|folder| reasons_of(folder)).collect();
    for reason in Reason::ALL {
        let by_a_case = provoked.contains(reason.code());
        match ELSEWHERE.iter().find(|(elsewhere, ..)| elsewhere == reason) {
            None => assert!(by_a_case, "nothing provokes {reason}: add a case to testdata/cases"),
            Some((_, file, test)) => {
                assert!(!by_a_case, "a case provokes {reason} by now: take it off the list");
                let text = fs::read_to_string(path(file)).unwrap();
                let (head, body) =
                    text.split_once(&format!("fn {test}(")).unwrap_or_else(|| panic!("{file}: no {test}"));
                let body = body.split("\nfn ").next().unwrap_or_default();
                assert!(
                    head.trim_end().ends_with("#[test]") || head.trim_end().ends_with("async"),
                    "{test} is no test"
                );
                assert!(body.contains(reason.code()), "{test} does not speak of {reason}");
            }
        }
    }
}

#[test]
fn the_reference_of_reasons_is_the_enum() {
    let file = path("docs/reference/reasons.md");
    let expected = reference();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "docs/reference/reasons.md is not what the enum says; {}", super::UPDATE);
}

/// The codes that stand in the plans and conditions of a case.
fn reasons_of(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("expected.yaml")).unwrap_or_default();
    let steps = yaml::documents(&text).unwrap().pop().unwrap_or_default();
    let mut codes = Vec::new();
    for step in steps.as_array().into_iter().flatten() {
        for plan in values(&step["plan"]) {
            // `CODE: message`
            let said = values(&plan["refusals"]).chain(values(&plan["warnings"]));
            codes.extend(said.filter_map(|line| line.as_str()?.split(':').next()).map(str::to_owned));
        }
        for service in values(&step["services"]) {
            // `STATUS CODE: message`
            let conditions = values(&service["conditions"]).filter_map(Value::as_str);
            codes.extend(conditions.filter_map(|line| line.split([' ', ':']).nth(1)).map(str::to_owned));
        }
    }
    codes
}

/// The values of a mapping or list.
fn values(value: &Value) -> impl Iterator<Item = &Value> {
    let fields = value.as_object().into_iter().flat_map(|fields| fields.values());
    fields.chain(value.as_array().into_iter().flatten())
}

/// `docs/reference/reasons.md`.
fn reference() -> String {
    let mut text = "# Reasons\n\n\
        Portolan writes four conditions on each Service that it serves. The first that is not `True` names the hop that fails; its reason \
        is one of these codes. A code never changes its meaning. It stands here under the hop at which it arises; later conditions may repeat it.\n\n\
        This page is generated from the code (`UPDATE_GOLDEN=1 cargo test -p portolan --lib golden`).\n"
        .to_owned();
    for condition in ConditionType::ALL {
        text.push_str(&format!("\n## `{}`\n\n| Reason | Meaning |\n|---|---|\n", condition.name()));
        for reason in Reason::ALL.iter().filter(|reason| reason.hop() == condition) {
            text.push_str(&format!("| `{reason}` | {} |\n", reason.description().trim().replace('|', "\\|")));
        }
    }
    text
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}
