//! Our own kinds in the Kubernetes API.

mod address_pool;
mod address_row;
mod l2_advertisement;
mod record;
mod refused;
mod speaker_report;
mod virtual_ip;

pub use address_pool::{AddressPool, AddressPoolSpec, AddressPoolStatus, RebalanceText, ServiceAllocation};
pub use address_row::AddressRow;
pub use l2_advertisement::{L2Advertisement, L2AdvertisementSpec, PreferredNodes};
pub use record::{ClaimedByText, LoadBalancerRecord, LoadBalancerRecordSpec, MemberSpec, StoredRecordError};
pub use speaker_report::{
    FailedHealthCheck, Forwarding, NODE_ADDRESSES, NotAsRanked, NotAsRankedReason, NotProven, NotProvenReason,
    SpeakerReport, SpeakerReportSpec, Witness, WrongSysctl,
};
pub use virtual_ip::{ProtocolText, StoredVipError, VirtualIP, VirtualIPSpec, VirtualIPStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// Every CustomResourceDefinition that a controller or a speaker may need, as `portolan crds` prints them.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut virtual_ip = VirtualIP::crd();
    // Ranks and what is shown of them are written by one request: a VirtualIP has no status of its own, as far as the server knows.
    virtual_ip.spec.versions.iter_mut().for_each(|version| version.subresources = None);
    refused::named_after_an_address(&mut virtual_ip);
    vec![LoadBalancerRecord::crd(), AddressPool::crd(), L2Advertisement::crd(), virtual_ip, SpeakerReport::crd()]
}
