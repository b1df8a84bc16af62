//! What the core asks about annotations: what is to be said of one Service, and what those who share a balancer come to together.

use std::collections::BTreeMap;

use portolan_core::balancer::Scheme;
use portolan_core::desire::Warning;
use portolan_core::dialect::{Asked, Dialect, Judged};
use portolan_core::ids::Uid;
use portolan_core::reason::Reason;
use portolan_core::refusal::Refusal;
use portolan_core::snapshot::{Service, ServicePort};
use serde_json::{Value, json};

use crate::Parameters;
use crate::annotations::Key;
use crate::settings::share::Share;
use crate::settings::{Input, Settings, groups};

impl Dialect for Parameters {
    fn judge(&self, asked: &Asked<'_>, before: &[Asked<'_>]) -> Judged {
        let mut share = shared(before);
        let settings = match read(self, asked, asked.service).and_then(|settings| {
            share.admit(asked.service)?;
            Ok(settings)
        }) {
            Ok(settings) => settings,
            Err(Refusal { reasons }) => return Judged { refused: reasons, ..Judged::default() },
        };
        let told = settings.warnings.into_iter();
        Judged {
            refused: Vec::new(),
            refused_ports: settings.refused_ports,
            warnings: told.map(|told| Warning { reason: Reason::InvalidAnnotation, message: told.message }).collect(),
        }
    }

    fn settings(&self, members: &[Asked<'_>]) -> BTreeMap<Uid, Value> {
        let share = shared(members);
        let of = |asked: &Asked<'_>| {
            // Each was judged before it was admitted, so none is refused here.
            let settings = read(self, asked, &share.member(asked.service)).ok()?;
            let names_balancer = asked.service.annotations.get(&Key::Name.name()).is_some_and(|name| !name.is_empty());
            Some((asked.service.uid.clone(), json!(Settings { names_balancer, ..settings })))
        };
        members.iter().filter_map(of).collect()
    }

    fn wants_pods(&self, service: &Service, port: &ServicePort) -> bool {
        groups::wants_pods(self, service, port)
    }

    fn default_scheme(&self) -> Scheme {
        self.defaults.scheme
    }
}

/// What these say of the balancer, in the order of joining. Those who were admitted contradict nobody.
fn shared(members: &[Asked<'_>]) -> Share {
    let mut share = Share::default();
    for member in members {
        let admitted = share.admit(member.service);
        debug_assert!(admitted.is_ok(), "{admitted:?}");
    }
    share
}

fn read(parameters: &Parameters, asked: &Asked<'_>, service: &Service) -> Result<Settings, Refusal> {
    let Asked { scheme, source_ranges, .. } = *asked;
    Settings::read(&Input { service, scheme, source_ranges, existing: None, parameters })
}

#[cfg(test)]
mod tests {
    use portolan_core::balancer::{Protocol, SourceRanges};
    use portolan_core::examples::{port, service};

    use super::*;
    use crate::settings::groups::Targets;

    const CROSS_ZONE: &str = "service.beta.kubernetes.io/aws-load-balancer-cross-zone-load-balancing-enabled";
    const BACKEND: &str = "service.beta.kubernetes.io/aws-load-balancer-backend-protocol";

    fn annotated(name: &str, annotations: &[(&str, &str)]) -> Service {
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Service { annotations, ..service(name) }
    }

    fn asked(service: &Service) -> Asked<'_> {
        Asked { service, scheme: None, source_ranges: &SourceRanges::All }
    }

    fn parameters() -> Parameters {
        Parameters::parse(&json!({"clusterName": "prod"})).unwrap()
    }

    #[test]
    fn each_port_goes_to_nodes_or_pods_as_its_settings_say() {
        const TARGET_TYPE: &str = "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type";
        const TYPE: &str = "service.beta.kubernetes.io/aws-load-balancer-type";
        for (class, annotations, pods) in [
            (json!({}), &[][..], [false, true]),
            (json!({}), &[(TARGET_TYPE, "ip")], [true, true]),
            (json!({}), &[(TARGET_TYPE, "instance")], [false, true]),
            (json!({}), &[(TYPE, "nlb-ip")], [true, true]),
            (json!({"defaults": {"targetType": "ip"}}), &[], [true, true]),
            (json!({"defaults": {"targetType": "ip"}}), &[(TARGET_TYPE, "instance")], [false, true]),
            (json!({"limits": {"targetTypes": ["instance"]}}), &[], [false, false]),
            (json!({}), &[(TARGET_TYPE, "ip"), (CROSS_ZONE, "perhaps")], [true, true]),
        ] {
            let mut class = class;
            class["clusterName"] = json!("prod");
            let parameters = Parameters::parse(&class).unwrap();
            let mut service = annotated("a", annotations);
            service.ports = vec![
                port("with", 80, Protocol::Tcp, Some(30080)), // a node port
                port("without", 81, Protocol::Tcp, None),
            ];
            let wanted: Vec<bool> = service.ports.iter().map(|port| parameters.wants_pods(&service, port)).collect();
            assert_eq!(wanted, pods, "{class} {annotations:?}");
            if let Ok(settings) = read(&parameters, &asked(&service), &service) {
                for listener in settings.listeners {
                    let at = service.ports.iter().position(|port| port.key.port == listener.port).unwrap();
                    assert_eq!(listener.group.targets == Targets::Ip, pods[at], "{class} {annotations:?} {listener:?}");
                }
            }
        }
    }

    #[test]
    fn nonsense_is_refused_with_every_reason_before_anybody_is_asked() {
        let nonsense =
            annotated("a", &[(CROSS_ZONE, "perhaps"), ("service.beta.kubernetes.io/aws-load-balancer-name", "-")]);
        let judged = parameters().judge(&asked(&nonsense), &[]);
        assert_eq!(judged.refused.len(), 2, "{:?}", judged.refused);
    }

    #[test]
    fn who_contradicts_those_who_were_there_is_refused_and_who_says_nothing_agrees() {
        let (first, silent) = (annotated("a", &[(CROSS_ZONE, "true")]), annotated("b", &[]));
        let contradicts = annotated("c", &[(CROSS_ZONE, "false")]);
        let parameters = parameters();
        let before = [asked(&first), asked(&silent)];
        let judged = parameters.judge(&asked(&contradicts), &before);
        assert_eq!(judged.refused.iter().map(|refused| refused.reason).collect::<Vec<_>>(), [Reason::ShareConflict]);
        let settings = parameters.settings(&before);
        let cross_zone = |service: &Service| settings[&service.uid].pointer("/balancer/attributes").cloned();
        assert!(cross_zone(&first).is_some_and(|attributes| attributes.to_string().contains("cross_zone")));
        assert_eq!(cross_zone(&first), cross_zone(&silent), "what one says of the balancer holds for all");
    }

    #[test]
    fn what_only_warns_is_told() {
        let odd =
            annotated("a", &[(BACKEND, "ssl"), ("service.beta.kubernetes.io/aws-load-balancer-internal", "true")]);
        let judged = parameters().judge(&asked(&odd), &[]);
        assert_eq!(judged.refused, []);
        assert!(!judged.warnings.is_empty());
    }
}
