use super::*;

fn answered(code: &str, status: u16, message: &str) -> Raw {
    let (code, message) = (Some(code.to_owned()), message.to_owned());
    Raw::Answered(Answer { status, code, message, request_id: Some("r-1".to_owned()), date: None })
}

fn provider(code: &str) -> ProviderError {
    answered(code, 400, "Something.").judged(Action::CreateLoadBalancer).into()
}

const MINUTE: ErrorKind = ErrorKind::Wait(Duration::from_secs(60));
const QUOTA: ErrorKind = ErrorKind::Wait(Duration::from_secs(300));
const SOON: ErrorKind = ErrorKind::Wait(Duration::from_secs(10));
const LATER: ErrorKind = ErrorKind::Wait(Duration::from_secs(20));

#[test]
fn every_code_ends_in_what_the_runtime_does_and_the_reason_that_users_read() {
    use ErrorKind::{Retry, Terminal};
    use Reason::{AccessDenied, NameTaken, ProviderFailed, ProviderRefused, Provisioning, QuotaExceeded};
    for (codes, kind, reason) in [
        (
            "InvalidSubnet SubnetNotFound AllocationIdNotFound AvailabilityZoneNotSupported InvalidScheme",
            Terminal,
            ProviderRefused,
        ),
        ("OperationNotPermitted IncompatibleProtocols ALPNPolicyNotFound", Terminal, ProviderRefused),
        (
            "SSLPolicyNotFound UnsupportedProtocol InvalidTarget ValidationError InvalidParameterValue",
            Terminal,
            ProviderRefused,
        ),
        ("InvalidSubnetID.NotFound InvalidVpcID.NotFound InvalidConfigurationRequest", Terminal, ProviderRefused),
        ("TooManyLoadBalancers TooManyTargetGroups TargetGroupAssociationLimit TooManyListeners", QUOTA, QuotaExceeded),
        ("TooManyTargets TooManyRegistrationsForTargetId TooManyCertificates", QUOTA, QuotaExceeded),
        (
            "RulesPerSecurityGroupLimitExceeded SecurityGroupLimitExceeded TagLimitExceeded TooManyTags",
            QUOTA,
            QuotaExceeded,
        ),
        (
            "DuplicateLoadBalancerName DuplicateTargetGroupName DuplicateListener InvalidGroup.Duplicate",
            MINUTE,
            NameTaken,
        ),
        ("AccessDenied AccessDeniedException UnauthorizedOperation OptInRequired", MINUTE, AccessDenied),
        ("CertificateNotFound UnsupportedCertificate", MINUTE, ProviderRefused),
        ("ResourceInUse DependencyViolation InvalidGroup.InUse", LATER, Provisioning),
        ("OperationInProgress", SOON, Provisioning),
        (
            "LoadBalancerNotFound TargetGroupNotFound ListenerNotFound InvalidGroup.NotFound InvalidSecurityGroup",
            Retry,
            ProviderFailed,
        ),
        ("Throttling ThrottlingException RequestLimitExceeded", Retry, ProviderFailed),
        ("ExpiredToken ExpiredTokenException RequestExpired SignatureDoesNotMatch AuthFailure", Retry, ProviderFailed),
        ("InvalidClientTokenId InternalFailure ServiceUnavailable InternalError", Retry, ProviderFailed),
    ] {
        for code in codes.split(' ') {
            let error = provider(code);
            assert_eq!((error.kind, error.reason), (kind.clone(), reason), "{code}");
        }
    }
}

#[test]
fn who_has_to_act_is_told_by_the_reason() {
    assert_eq!(provider("TooManyLoadBalancers").reason, Reason::QuotaExceeded);
    assert_eq!(provider("AccessDenied").reason, Reason::AccessDenied);
}

#[test]
fn a_code_stands_once_in_the_table_and_without_the_ending_of_the_sdks_unless_it_is_part_of_it() {
    let mut seen = std::collections::BTreeSet::new();
    for (code, ..) in table::CODES {
        assert!(seen.insert(code), "{code} stands twice");
    }
}

#[test]
fn a_code_that_nobody_knows_goes_by_its_status() {
    assert_eq!(answered("Newfangled", 400, "").problem(), Problem::Refused);
    assert_eq!(answered("Newfangled", 429, "").problem(), Problem::Throttled);
    assert_eq!(answered("Newfangled", 503, "").problem(), Problem::Unavailable);
    let without_code = |status| Raw::Answered(Answer { status, ..Answer::default() }).problem();
    assert_eq!(without_code(502), Problem::Unavailable);
    assert_eq!(without_code(404), Problem::Unreadable, "a proxy's page, not AWS's");
}

#[test]
fn one_code_for_a_wrong_key_and_a_wrong_clock_is_told_apart_by_the_message() {
    let said = "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z (20260101T011500Z - 15 min.)";
    assert_eq!(answered("SignatureDoesNotMatch", 403, said).problem(), Problem::Skewed);
    assert_eq!(answered("InvalidSignatureException", 403, "Signature not yet current: x").problem(), Problem::Skewed);
    assert_eq!(
        answered("SignatureDoesNotMatch", 403, "The request signature we calculated").problem(),
        Problem::Unknown
    );
}

#[test]
fn a_condition_gets_the_action_the_code_aws_words_and_what_to_do_but_nothing_that_differs_each_time() {
    let raw = answered("TooManyLoadBalancers", 400, "The maximum number of load balancers has been reached.");
    let error = raw.judged(Action::CreateLoadBalancer);
    assert_eq!(
        error.stable(),
        "elasticloadbalancing:CreateLoadBalancer: TooManyLoadBalancers: The maximum number of load balancers has been reached; the quota \
         \"Network Load Balancers per Region\" is used up: have it raised in Service Quotas"
    );
    assert_eq!(error.to_string(), format!("{} (request r-1)", error.stable()), "the log has the request");
    assert!(!ProviderError::from(error).message.contains("r-1"));

    let said = "You are not authorized to perform this operation. Encoded authorization failure message: 4rL2x8";
    let denied = answered("UnauthorizedOperation", 403, said).judged(Action::CreateSecurityGroup).stable();
    assert_eq!(
        denied,
        "ec2:CreateSecurityGroup: UnauthorizedOperation: You are not authorized to perform this operation; allow the action in the IAM \
         policy of the controller's role"
    );
}

#[test]
fn what_may_have_had_its_effect_is_never_called_without_effect() {
    for raw in [
        Raw::Unanswered("timed out".to_owned()),
        Raw::Unreadable("no XML".to_owned()),
        answered("InternalFailure", 500, ""),
        Raw::Answered(Answer { status: 504, ..Answer::default() }),
    ] {
        assert!(!raw.problem().without_effect(), "{raw:?}");
    }
    assert!(Raw::Unreachable("refused".to_owned()).problem().without_effect());
    assert!(answered("Throttling", 400, "").problem().without_effect());
}

/// The codes that the model of ELBv2 in `aws-sdk-elasticloadbalancingv2` 1.134 has for the actions that we call, as they are on the wire.
#[test]
fn every_code_of_elb_s_model_is_in_the_table() {
    let model = "ALPNPolicyNotFound AllocationIdNotFound AvailabilityZoneNotSupported CapacityReservationPending CertificateNotFound \
        DuplicateListener DuplicateLoadBalancerName DuplicateTagKeys DuplicateTargetGroupName HealthUnavailable \
        IncompatibleProtocols InvalidConfigurationRequest InvalidLoadBalancerAction InvalidScheme InvalidSecurityGroup \
        InvalidSubnet InvalidTarget ListenerNotFound LoadBalancerNotFound OperationNotPermitted ResourceInUse RuleNotFound \
        SSLPolicyNotFound SubnetNotFound TargetGroupAssociationLimit TargetGroupNotFound TooManyActions TooManyCertificates \
        TooManyListeners TooManyLoadBalancers TooManyRegistrationsForTargetId TooManyTags TooManyTargetGroups TooManyTargets \
        TooManyUniqueTargetGroupsPerLoadBalancer TrustStoreNotFound TrustStoreNotReady UnsupportedProtocol";
    let missing: Vec<&str> = model.split(' ').filter(|code| table::problem(code, "").is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
