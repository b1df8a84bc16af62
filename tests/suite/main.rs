//! Needs, for the real server: etcd, kube-apiserver, kube-controller-manager, cloud-controller-manager and kubectl in the folder that
//! KUBEBUILDER_ASSETS names (`tests/run` sets it; `tests/tools` obtains them). Without it the cases run on the sandbox, which needs
//! nothing; PORTOLAN_SUITE_SERVER, `real` or `sandbox`, chooses. A case whose needs are not met says `SKIPPED` and is counted so.
//!
//! Black-box cases of the `portolan` binary on two servers, a real API server and `portolan sandbox`. What runs on one of them only
//! stands in `testdata/one-server-only.txt`, and why. One server for almost all cases, each with its own namespace, its own instance
//! of Portolan, its own mock state and its own user in the audit log, so that they run side by side; on the real one beside the
//! controllers of Kubernetes and of a cloud.
//!
//! | Module | Holds |
//! |---|---|
//! | [`server`] | the two servers: start, users, kubeconfigs |
//! | [`honest`] | raw requests that both answer in the same words |
//! | [`harness`] | what a case works with: namespace, controller, kubectl, audit log, comparison |
//! | [`gate`] | a proxy before the API server that counts requests and misbehaves at the chosen one |
//! | [`aws`] | `provider: aws` before the strict double of AWS |
//! | [`rights`] | what a controller may do: `deploy/rbac.yaml`, whole and with a verb taken away |
//! | the others | the cases; a name is a rule |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "this whole crate is tests: they fail by panicking, run on the wall clock, and write JSON where they pass it"
)]

mod api;
mod case;
mod gate;
mod harness;
mod process;
mod rights;
mod server;

mod absence;
mod at_rest;
mod aws;
mod classes;
mod crash;
mod edits;
mod facts;
mod harness_cases;
mod honest;
mod hostile;
mod kubectl;
mod lifecycle;
mod managed;
mod metal;
mod neighbours;
mod privilege;
mod providers;
mod readiness;
mod rivals;
mod scale;
mod schemas;
mod sharing;
mod storm;
mod tables;
