//! Golden cases: manifests in; plan, writes, status, conditions, events and the provider's state out.
//!
//! A case is a folder `testdata/cases/RULE/CASE/`: `config.yaml` if it needs one, steps `1-*.yaml`, `2-*.yaml`, ... and
//! `expected.yaml`, which is what every step came to. The controller sees the objects as all documents of a step leave them; then it runs
//! until nothing moves any more. Each document is a manifest (Service, EndpointSlice, Node, LoadBalancerRecord), which is
//! created, or one of these:
//!
//! ```yaml
//! $include: nodes.yaml              # of `testdata/cases`
//! ---
//! $patch: Service/web               # or KIND/NAMESPACE/NAME; a merge patch (RFC 7386)
//! spec: {externalTrafficPolicy: Local}
//! ---
//! $patchStatus: Service/web         # the same, of the status
//! status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}
//! ---
//! $delete: Service/web
//! ---
//! $restart: config-2.yaml           # the controller is down during this step, then starts with this configuration
//! ---
//! $seen: true                       # the controller is told of the objects as they are here, before those after it
//! ---
//! $waitMinutes: 1000                # the step lasts longer than it takes to settle
//! ---
//! $fault: stuck                     # a fault of the mock, as `portolan mock fault add` arms it
//! on: AssignAddress
//! effect: retry
//! ---
//! $endFault: stuck
//! ```
//!
//! The real dispatcher, index, queue and passes run here, in virtual time, on the mock provider in memory. Only the API server is a
//! stand-in: it knows the few requests that a pass makes and those rules of the server that decide what a pass sees next. It was written
//! for these cases and proves nothing about Kubernetes: the judge of that is the suite on the real server (`tests/suite`), which is asked
//! the same facts as the stand-in (`testdata/server-facts.yaml`).
//!
//! `UPDATE_GOLDEN=1` rewrites the expected files, `GOLDEN=word` runs only cases whose path contains the word.

mod allocated;
mod case;
mod edits;
pub(crate) mod facts;
mod journal;
mod lab;
mod owners;
mod reasons;
mod report;
mod server;
mod stand_in;

use std::fs;
use std::path::{Path, PathBuf};

use case::Case;
use similar::TextDiff;

/// What to do about a difference.
const UPDATE: &str =
    "if the new result is right, run `UPDATE_GOLDEN=1 cargo test -p portolan --lib golden` and review the diff";

#[test]
fn every_case_goes_as_expected() {
    let only = std::env::var("GOLDEN").unwrap_or_default();
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let (mut ran, mut failures) = (0, Vec::new());
    for folder in cases() {
        let name = folder.strip_prefix(root()).unwrap().display().to_string();
        if !name.contains(&only) {
            continue;
        }
        ran += 1;
        let result = lab::run(&Case::read(&folder));
        let file = folder.join("expected.yaml");
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if update && expected != result.text {
            fs::write(&file, &result.text).unwrap();
        } else if expected != result.text {
            let diff = TextDiff::from_lines(&expected, &result.text);
            let diff = diff.unified_diff().context_radius(4).header("expected", "now").to_string();
            failures.push(format!("{name}:\n{diff}{UPDATE}"));
        }
        failures.extend(result.violations.iter().map(|violation| format!("{name}: {violation}")));
    }
    println!("{ran} golden cases");
    assert!(ran > 0, "no case matches {only:?}");
    assert!(failures.is_empty(), "{} of {ran} golden cases differ\n{}", failures.len(), failures.join("\n\n"));
}

/// The folders of all cases, sorted.
fn cases() -> Vec<PathBuf> {
    folders(&root()).iter().flat_map(|rule| folders(rule)).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases")
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
