//! The cases name keys and texts themselves: the table is not tested against itself.

mod reference;

use super::*;
use crate::examples::{capabilities, service};

/// What became of a Service with these annotations.
#[derive(Debug, PartialEq, Eq)]
struct End {
    scheme: Option<Scheme>,
    refused: Vec<Reason>,
    warned: Vec<Reason>,
    messages: Vec<String>,
}

fn end(service: &Service, capable: bool, honoured: &InternalAnnotations) -> End {
    let capabilities = Capabilities { scheme: capable, ..capabilities() };
    let (mut refused, mut warnings) = (Vec::new(), Vec::new());
    let scheme = scheme(service, &capabilities, honoured, &mut refused, &mut warnings);
    End {
        scheme,
        messages: refused
            .iter()
            .map(|refused| &refused.message)
            .chain(warnings.iter().map(|warning| &warning.message))
            .cloned()
            .collect(),
        refused: refused.iter().map(|refused| refused.reason).collect(),
        warned: warnings.iter().map(|warning| warning.reason).collect(),
    }
}

fn annotated(annotations: &[(&str, &str)]) -> Service {
    let mut service = service("a");
    service.annotations = annotations.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    service
}

fn read(annotations: &[(&str, &str)]) -> End {
    end(&annotated(annotations), true, &InternalAnnotations::All)
}

/// On a provider that does not tell internal from public.
fn read_flat(annotations: &[(&str, &str)]) -> End {
    end(&annotated(annotations), false, &InternalAnnotations::All)
}

/// What one key says, in a word.
fn said(key: &str, text: &str) -> &'static str {
    let End { scheme, refused, warned, .. } = read(&[(key, text)]);
    assert_eq!(refused, [], "{key}: {text:?}");
    match (scheme, warned.as_slice()) {
        (Some(Scheme::Internal), []) => "internal",
        (Some(Scheme::Internal), [Reason::SchemeUnclear]) => "unclear",
        (Some(Scheme::Public), []) => "public",
        (None, []) => "nothing",
        other => panic!("{key}: {text:?} gives {other:?}"),
    }
}

const GCP: &str = "networking.gke.io/load-balancer-type";
const GCP_OLD: &str = "cloud.google.com/load-balancer-type";
const AWS: &str = "service.beta.kubernetes.io/aws-load-balancer-scheme";
const AWS_OLD: &str = "service.beta.kubernetes.io/aws-load-balancer-internal";
const AZURE: &str = "service.beta.kubernetes.io/azure-load-balancer-internal";
const IBM: &str = "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type";
const OPENSTACK: &str = "service.beta.kubernetes.io/openstack-internal-load-balancer";
const BAIDU: &str = "service.beta.kubernetes.io/cce-load-balancer-internal-vpc";
const TENCENT: &str = "service.kubernetes.io/qcloud-loadbalancer-internal-subnetid";
const TENCENT_TYPE: &str = "service.beta.kubernetes.io/tencentcloud-loadbalancer-type";
const TENCENT_SUBNET: &str = "service.beta.kubernetes.io/tencentcloud-loadbalancer-type-internal-subnet-id";
const ALIBABA: &str = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type";
const OCI: &str = "service.beta.kubernetes.io/oci-load-balancer-internal";
const OCI_NLB: &str = "oci-network-load-balancer.oraclecloud.com/internal";

mod each_key_is_read_by_the_rule_of_its_own_cloud {
    use super::*;

    /// For each text what it says.
    fn check(key: &str, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(said(key, text), *expected, "{key}: {text:?}");
        }
    }

    #[test]
    fn gcp() {
        for key in [GCP, GCP_OLD] {
            check(key, &[("Internal", "internal"), ("internal", "internal")]);
            check(key, &[("External", "public"), ("external", "public")]);
            check(
                key,
                &[("INTERNAL", "unclear"), ("EXTERNAL", "unclear"), ("junk", "unclear"), (" Internal", "unclear")],
            );
            check(key, &[("", "nothing")]);
        }
    }

    #[test]
    fn aws() {
        check(AWS, &[("internal", "internal"), ("internet-facing", "public")]);
        check(AWS, &[("Internal", "unclear"), ("Internet-Facing", "unclear"), ("junk", "unclear"), ("", "unclear")]);
    }

    #[test]
    fn aws_before_the_scheme_key() {
        for text in ["1", "t", "T", "TRUE", "true", "True", "0.0.0.0/0"] {
            assert_eq!(said(AWS_OLD, text), "internal", "{text}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(said(AWS_OLD, text), "public", "{text}");
        }
        check(
            AWS_OLD,
            &[("tRUE", "unclear"), ("fALSE", "unclear"), ("no", "unclear"), ("junk", "unclear"), ("", "unclear")],
        );
    }

    #[test]
    fn azure() {
        check(AZURE, &[("true", "internal"), ("True", "internal"), ("TRUE", "internal")]);
        check(
            AZURE,
            &[("false", "public"), ("False", "public"), ("junk", "unclear"), ("1", "unclear"), ("", "nothing")],
        );
    }

    #[test]
    fn ibm() {
        check(IBM, &[("private", "internal"), ("public", "public"), ("", "nothing")]);
        check(IBM, &[("Private", "unclear"), ("Public", "unclear"), ("junk", "unclear")]);
    }

    #[test]
    fn openstack_and_baidu() {
        for key in [OPENSTACK, BAIDU] {
            check(key, &[("true", "internal"), ("false", "public"), ("", "nothing")]);
            check(key, &[("True", "unclear"), ("False", "unclear"), ("1", "unclear"), ("junk", "unclear")]);
        }
    }

    #[test]
    fn tencent_by_the_presence_of_a_subnet_id() {
        check(TENCENT, &[("subnet-3ce2fphz", "internal")]);
        check(
            TENCENT,
            &[("Subnet-3ce2fphz", "unclear"), ("subnet-", "unclear"), ("false", "unclear"), ("", "unclear")],
        );
    }

    #[test]
    fn tencents_open_source_controller_manager() {
        check(TENCENT_TYPE, &[("private", "internal"), ("public", "public")]);
        check(TENCENT_TYPE, &[("Private", "unclear"), ("Public", "unclear"), ("junk", "unclear"), ("", "unclear")]);
        check(TENCENT_SUBNET, &[("subnet-1", "internal"), ("junk", "unclear"), ("", "nothing")]);
    }

    #[test]
    fn alibaba() {
        check(ALIBABA, &[("intranet", "internal"), ("Intranet", "internal"), ("internet", "public")]);
        check(ALIBABA, &[("Internet", "unclear"), ("junk", "unclear"), ("", "nothing")]);
    }

    #[test]
    fn oci() {
        for key in [OCI, OCI_NLB] {
            for text in ["1", "t", "T", "TRUE", "true", "True"] {
                assert_eq!(said(key, text), "internal", "{text}");
            }
            for text in ["0", "f", "F", "FALSE", "false", "False"] {
                assert_eq!(said(key, text), "public", "{text}");
            }
            check(key, &[("tRue", "unclear"), ("yes", "unclear"), ("junk", "unclear"), ("", "unclear")]);
        }
    }
}

mod within_one_cloud {
    use super::*;

    #[test]
    fn gcps_first_key_wins_even_if_it_holds_junk() {
        assert_eq!(read(&[(GCP, "External"), (GCP_OLD, "Internal")]).scheme, Some(Scheme::Public));
        assert_eq!(read(&[(GCP, "Internal"), (GCP_OLD, "External")]).scheme, Some(Scheme::Internal));
        let junk = read(&[(GCP, "junk"), (GCP_OLD, "External")]);
        assert_eq!((junk.scheme, junk.warned), (Some(Scheme::Internal), vec![Reason::SchemeUnclear]));
    }

    #[test]
    fn an_empty_first_key_hides_no_wish_to_be_internal() {
        assert_eq!(read(&[(GCP, ""), (GCP_OLD, "Internal")]).scheme, Some(Scheme::Internal));
    }

    #[test]
    fn aws_reads_the_old_key_only_without_the_new_one() {
        assert_eq!(read(&[(AWS, "internet-facing"), (AWS_OLD, "true")]).scheme, Some(Scheme::Public));
        let internal = read(&[(AWS, "internal"), (AWS_OLD, "false")]);
        assert_eq!((internal.scheme, internal.warned), (Some(Scheme::Internal), vec![]));
    }

    #[test]
    fn tencents_type_decides_before_its_subnet() {
        assert_eq!(read(&[(TENCENT_TYPE, "public"), (TENCENT_SUBNET, "subnet-1")]).scheme, Some(Scheme::Public));
    }

    #[test]
    fn keys_of_two_products_are_two_voices() {
        let oci = read(&[(OCI, "false"), (OCI_NLB, "true")]);
        assert_eq!((oci.scheme, oci.warned), (Some(Scheme::Internal), vec![Reason::SchemeConflict]));
        let tencent = read(&[(TENCENT, "subnet-1"), (TENCENT_TYPE, "public")]);
        assert_eq!((tencent.scheme, tencent.warned), (Some(Scheme::Internal), vec![Reason::SchemeConflict]));
    }

    #[test]
    fn gkes_own_class_names_as_aliases_say_it_too() {
        let with = |class: &str, annotations| {
            let service = Service { class: Some(class.to_owned()), ..annotated(annotations) };
            end(&service, true, &InternalAnnotations::All)
        };
        let (internal, external) =
            ("networking.gke.io/l4-regional-internal-legacy", "networking.gke.io/l4-regional-external-legacy");
        assert_eq!(with(internal, &[]).scheme, Some(Scheme::Internal));
        assert_eq!(with(external, &[]).scheme, Some(Scheme::Public));
        let both = with(external, &[(GCP, "Internal")]);
        assert_eq!((both.scheme, both.warned), (Some(Scheme::Internal), vec![Reason::SchemeConflict]));
    }
}

mod between_two {
    use super::*;

    #[test]
    fn clouds_in_conflict_the_most_private_wins_with_a_warning_that_names_both() {
        let end = read(&[(AWS, "internet-facing"), (AZURE, "true"), (IBM, "public")]);
        assert_eq!((end.scheme, end.warned), (Some(Scheme::Internal), vec![Reason::SchemeConflict]));
        for key in [AWS, AZURE, IBM] {
            assert!(end.messages[0].contains(key), "{}", end.messages[0]);
        }
    }

    #[test]
    fn our_own_annotation_against_a_cloud_the_most_private_wins_with_a_warning() {
        for (ours, theirs) in [("public", "true"), ("internal", "false")] {
            let end = read(&[(SCHEME_ANNOTATION, ours), (AZURE, theirs)]);
            assert_eq!((end.scheme, end.warned), (Some(Scheme::Internal), vec![Reason::SchemeConflict]), "{ours}");
        }
    }

    #[test]
    fn who_agrees_is_not_warned() {
        let end = read(&[(SCHEME_ANNOTATION, "internal"), (AZURE, "true"), (AWS, "internal"), (IBM, "")]);
        assert_eq!((end.scheme, end.warned), (Some(Scheme::Internal), vec![]));
    }

    #[test]
    fn junk_against_public_is_internal_and_both_are_told() {
        let end = read(&[(SCHEME_ANNOTATION, "public"), (AWS, "junk")]);
        assert_eq!(
            (end.scheme, end.warned),
            (Some(Scheme::Internal), vec![Reason::SchemeUnclear, Reason::SchemeConflict])
        );
    }

    #[test]
    fn a_bogus_value_of_our_own_annotation_is_refused_whatever_the_clouds_say() {
        for text in ["Internal", "", "private", " internal"] {
            let end = read(&[(SCHEME_ANNOTATION, text), (AZURE, "true")]);
            assert_eq!(end.refused, [Reason::InvalidAnnotation], "{text:?}");
        }
    }
}

mod a_dialect_that_is_switched_off {
    use super::*;

    #[test]
    fn is_not_read_while_the_others_are() {
        let service = annotated(&[(AWS, "internal"), (OCI, "false"), (GCP, "junk")]);
        let only = |clouds: &[Cloud]| end(&service, true, &InternalAnnotations::Only(clouds.to_vec()));
        assert_eq!(only(&[Cloud::Oci]).scheme, Some(Scheme::Public));
        assert_eq!(only(&[Cloud::Oci, Cloud::Aws]).warned, [Reason::SchemeConflict]);
        assert_eq!(only(&[]), End { scheme: None, refused: vec![], warned: vec![], messages: vec![] });
    }

    #[test]
    fn is_switched_off_with_its_class_names() {
        let service = Service {
            class: Some("networking.gke.io/l4-regional-internal-legacy".to_owned()),
            ..annotated(&[(SCHEME_ANNOTATION, "public")])
        };
        assert_eq!(end(&service, true, &InternalAnnotations::Only(vec![])).scheme, Some(Scheme::Public));
    }

    #[test]
    fn refuses_nothing_on_a_provider_without_schemes() {
        let service = annotated(&[(AWS, "internal")]);
        assert_eq!(end(&service, false, &InternalAnnotations::Only(vec![Cloud::Gcp])).refused, []);
    }
}

mod a_provider_without_schemes {
    use super::*;

    #[test]
    fn refuses_every_key_that_asks_for_internal_by_its_name() {
        for (key, text) in [
            (GCP, "Internal"),
            (GCP_OLD, "internal"),
            (AWS, "internal"),
            (AWS_OLD, "true"),
            (AZURE, "true"),
            (IBM, "private"),
            (OPENSTACK, "true"),
            (BAIDU, "true"),
            (TENCENT, "subnet-1"),
            (TENCENT_TYPE, "private"),
            (ALIBABA, "intranet"),
            (OCI, "true"),
            (OCI_NLB, "true"),
            (SCHEME_ANNOTATION, "internal"),
        ] {
            let end = read_flat(&[(key, text)]);
            assert_eq!((end.scheme, end.refused), (None, vec![Reason::SchemeNotSupported]), "{key}");
            assert!(end.messages[0].contains(key), "{}", end.messages[0]);
        }
        assert_eq!(read_flat(&[(AWS, "internal"), (OCI, "1")]).refused, [Reason::SchemeNotSupported; 2]);
    }

    #[test]
    fn refuses_junk_because_it_may_have_meant_internal() {
        let end = read_flat(&[(AWS, "interal")]);
        assert_eq!(end.refused, [Reason::SchemeNotSupported]);
        assert!(end.messages[0].contains("\"interal\" is read as internal"), "{}", end.messages[0]);
    }

    #[test]
    fn serves_a_service_whose_clouds_only_say_their_default() {
        let end = read_flat(&[(GCP, "External"), (AWS, "internet-facing"), (AZURE, "false"), (IBM, "")]);
        assert_eq!(end, End { scheme: None, refused: vec![], warned: vec![], messages: vec![] });
    }

    #[test]
    fn refuses_our_own_annotation_whatever_it_says() {
        assert_eq!(read_flat(&[(SCHEME_ANNOTATION, "public")]).refused, [Reason::SchemeNotSupported]);
    }
}

#[test]
fn annotations_that_merely_look_like_it_say_nothing() {
    let end = read(&[
        ("service.beta.kubernetes.io/azure-load-balancer-internal-subnet", "apps"),
        ("service.beta.kubernetes.io/AWS-load-balancer-internal", "true"),
        ("portolan.dev/pool", "internal"),
    ]);
    assert_eq!(end, End { scheme: None, refused: vec![], warned: vec![], messages: vec![] });
}

#[test]
fn a_hostile_text_fits_into_a_message() {
    for key in [SCHEME_ANNOTATION, AWS, TENCENT] {
        let end = read(&[(key, &"\u{1b}ä".repeat(100_000))]);
        assert!(end.messages[0].chars().count() < 800, "{key}");
        assert!(!end.messages[0].contains('\u{1b}'), "{key}");
    }
}

#[test]
fn every_cloud_has_a_dialect_and_no_key_stands_twice() {
    for cloud in Cloud::ALL {
        assert!(DIALECTS.iter().any(|dialect| dialect.cloud == cloud), "{}", cloud.name());
    }
    assert!(DIALECTS.is_sorted_by_key(|dialect| dialect.cloud), "in the order of the documentation");
    let mut names: Vec<&str> = DIALECTS.iter().flat_map(|dialect| dialect.keys).map(|key| key.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn no_key_takes_a_text_for_internal_and_public() {
    for key in DIALECTS.iter().flat_map(|dialect| dialect.keys) {
        if let Words::Exactly(public) | Words::AnyCase(public) = &key.public {
            for text in *public {
                assert_eq!(key.read(text), Reading::Says(Scheme::Public), "{}: {text}", key.name);
            }
        }
    }
}
