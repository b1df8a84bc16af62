//! Source ranges: who may connect.

use ipnet::{IpNet, Ipv4Net};

use crate::balancer::SourceRanges;
use crate::capabilities::Capabilities;
use crate::reason::Reason;
use crate::refusal::Refused;
use crate::snapshot::Service;

/// Upstream's annotation, which counts only while `spec.loadBalancerSourceRanges` is empty. kube-proxy never reads it.
pub const RANGES_ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// The field, else the annotation: items trimmed, host bits masked, duplicates merged. Blank means everybody. As soon as one
/// range is given, a family without a range is closed.
pub fn source_ranges(service: &Service, capabilities: &Capabilities, refused: &mut Vec<Refused>) -> SourceRanges {
    let annotation = service.annotations.get(RANGES_ANNOTATION).map_or("", |text| text.trim());
    let place = place(service);
    let items: Vec<&str> = if !service.source_ranges.is_empty() {
        service.source_ranges.iter().map(String::as_str).collect()
    } else if !annotation.is_empty() {
        annotation.split(',').collect()
    } else {
        return SourceRanges::All;
    };
    if !capabilities.source_ranges {
        refused.push(Refused::whole(
            Reason::SourceRangesNotSupported,
            format!("{place}: this provider cannot limit who connects; remove it to serve everybody"),
        ));
        return SourceRanges::All;
    }
    let mut ranges: Vec<IpNet> = Vec::new();
    for item in items.into_iter().map(str::trim) {
        match item.parse::<IpNet>() {
            Ok(range) => ranges.push(unmapped(range.trunc())),
            Err(_) => refused.push(Refused::whole(
                Reason::InvalidSourceRange,
                format!("{place}: {item:?} is not a network in CIDR notation, such as 192.0.2.0/24"),
            )),
        }
    }
    ranges.sort();
    ranges.dedup();
    SourceRanges::Only(ranges)
}

/// What of this Service says who may connect, as messages name it.
pub fn place(service: &Service) -> String {
    if service.source_ranges.is_empty() {
        format!("annotation {RANGES_ANNOTATION}")
    } else {
        "spec.loadBalancerSourceRanges".to_owned()
    }
}

/// An IPv4-mapped network is the IPv4 network, as everywhere in Kubernetes (KEP-4858 lets old objects keep such text).
fn unmapped(range: IpNet) -> IpNet {
    let IpNet::V6(mapped) = range else { return range };
    let length = mapped.prefix_len().checked_sub(96);
    let v4 =
        mapped.addr().to_ipv4_mapped().zip(length).and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    v4.map_or(range, IpNet::V4)
}
