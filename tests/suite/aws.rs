//! Network Load Balancers for Services: the whole of Portolan on an API server on one side, before the strict double of AWS on the other
//! (`localstack/README.md`). The cluster's nodes are instances of the emulator, in a seeded network; beside them are nodes that no cloud
//! knows, in every case. Without the emulators, which `localstack/tools` obtains, a case says SKIPPED.
//!
//! | Module | Holds |
//! |---|---|
//! | [`cloud`] | clusters with instances for nodes; what a case sees at AWS |
//! | [`walk`] | a Service's life as a user leads it: kubectl apply, see, change, delete; and by the very commands of `localstack/README.md` |
//! | [`terminal`] | where those are typed |
//! | [`edits`] | what an edit does to what exists |
//! | [`manifests`] | manifests written for the AWS Load Balancer Controller; what is wrong with one |
//! | [`nodes`] | nodes that come and go |
//! | [`sharing`] | two Services on one balancer |
//! | [`told`] | what the status says: names in lower case, errors without a cut |
//! | [`trouble`] | SIGKILL, restarts, names of others, what somebody has deleted by hand |
//! | [`gates`] | pods that wait until AWS has found them healthy |
//! | [`rivals`] | two controllers at once |
//! | [`plan`] | the dry run |

mod cloud;
mod edits;
mod gates;
mod manifests;
mod nodes;
mod plan;
mod rivals;
mod sharing;
mod terminal;
mod told;
mod trouble;
mod walk;
