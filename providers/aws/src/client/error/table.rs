//! AWS's error codes, sorted.
//!
//! Sources: the "Errors" of each action in the Elastic Load Balancing API reference (2015-12-01) and its "Common errors"; "Error codes for
//! the Amazon EC2 API" (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>). On the wire a code of ELB stands
//! without the ending `Exception` that it has in SDKs; here neither has it. The quotas' names are those of the pages
//! "Quotas for your Network Load Balancers" and "Amazon VPC quotas".

use crate::client::error::Problem::{
    self, Awaited, BadTarget, Busy, Denied, Exists, Expired, Gone, InUse, NotFound, Quota, Refused, Skewed, Throttled,
    Unavailable, Unknown,
};

/// A code, what it means, and what to do if that is more than the problem says.
pub(crate) type Row = (&'static str, Problem, &'static str);

pub(crate) const CODES: &[Row] = &[
    // ELB: CreateLoadBalancer, Set*.
    (
        "DuplicateLoadBalancerName",
        Exists,
        "another load balancer of the account has this name and other settings: choose another name, or delete it",
    ),
    (
        "TooManyLoadBalancers",
        Quota,
        "the quota \"Network Load Balancers per Region\" is used up: have it raised in Service Quotas",
    ),
    ("TooManyTags", Quota, "at most 50 tags: ask for fewer"),
    (
        "InvalidSubnet",
        Refused,
        "the subnet cannot be used: choose one with at least 8 free addresses in an Availability Zone of its own",
    ),
    ("SubnetNotFound", NotFound, "name a subnet that exists in this region"),
    ("AllocationIdNotFound", NotFound, "name an elastic address that this account has in this region"),
    ("AvailabilityZoneNotSupported", Refused, "choose subnets in other zones: this one takes no Network Load Balancer"),
    ("InvalidScheme", Refused, "the scheme does not go with these subnets or addresses"),
    (
        "InvalidSecurityGroup",
        Gone,
        "name a security group of the VPC of the subnets; one that was just made takes a while to be seen",
    ),
    (
        "OperationNotPermitted",
        Refused,
        "AWS forbids it for this object: turn deletion protection off, or see AWS's message",
    ),
    ("ResourceInUse", InUse, "something still uses it: it is tried again until nothing does"),
    ("LoadBalancerNotFound", Gone, ""),
    ("InvalidConfigurationRequest", Refused, "the combination of settings is not possible: see AWS's message"),
    ("InvalidLoadBalancerAction", Refused, ""),
    ("UnsupportedProtocol", Refused, "use TCP, UDP, TCP_UDP or TLS"),
    ("CapacityUnitsLimitExceeded", Quota, ""),
    // ELB: CreateTargetGroup.
    (
        "DuplicateTargetGroupName",
        Exists,
        "another target group of the account has this name and other settings: it is left alone",
    ),
    (
        "TooManyTargetGroups",
        Quota,
        "the quota \"Target Groups per Region\" is used up: have it raised in Service Quotas",
    ),
    ("TooManyUniqueTargetGroupsPerLoadBalancer", Quota, ""),
    ("TargetGroupNotFound", Gone, ""),
    ("HealthUnavailable", Unavailable, ""),
    // ELB: CreateListener, ModifyListener.
    ("DuplicateListener", Exists, "the load balancer has a listener on this port already"),
    ("IncompatibleProtocols", Refused, "the protocols of listener and target group do not go together"),
    (
        "TargetGroupAssociationLimit",
        Quota,
        "the target group serves another load balancer already: a group belongs to one",
    ),
    (
        "TooManyListeners",
        Quota,
        "the quota \"Listeners per Network Load Balancer\" cannot be raised: use fewer ports on one load balancer",
    ),
    ("TooManyActions", Quota, ""),
    (
        "TooManyCertificates",
        Quota,
        "the quota \"Certificates per Network Load Balancer\" is used up: have it raised in Service Quotas",
    ),
    (
        "CertificateNotFound",
        Awaited,
        "name a certificate that exists in this region and is issued; it is looked for every minute",
    ),
    (
        "UnsupportedCertificate",
        Awaited,
        "the certificate must be issued, name a domain, and have a key and signature that AWS supports; it is looked at every minute",
    ),
    ("SSLPolicyNotFound", NotFound, "name a security policy of AWS's for Network Load Balancers"),
    ("ALPNPolicyNotFound", Refused, "use None, HTTP1Only, HTTP2Only, HTTP2Optional or HTTP2Preferred"),
    ("ListenerNotFound", Gone, ""),
    ("RuleNotFound", Gone, ""),
    ("TrustStoreNotFound", NotFound, ""),
    ("TrustStoreNotReady", Busy, ""),
    ("CapacityReservationPending", Busy, ""),
    ("DuplicateTagKeys", Refused, "each key of a tag may stand once"),
    // ELB: targets.
    (
        "InvalidTarget",
        BadTarget,
        "the target is not in the VPC, stopped or gone, or its address is not of a kind that a group takes",
    ),
    (
        "TooManyTargets",
        Quota,
        "the quota \"Targets per Network Load Balancer\" or \"Targets per Target Group\" is used up: have it raised in Service Quotas, or use fewer nodes",
    ),
    ("TooManyRegistrationsForTargetId", Quota, "the target is in too many target groups: use fewer ports on its nodes"),
    // Both: what is sent cannot be.
    ("ValidationError", Refused, ""),
    ("InvalidParameterValue", Refused, ""),
    ("InvalidParameterCombination", Refused, ""),
    ("InvalidParameter", Refused, ""),
    ("MissingParameter", Refused, ""),
    ("UnknownParameter", Refused, ""),
    ("MalformedQueryString", Refused, ""),
    ("InvalidAction", Refused, "this endpoint does not know the action: check the region and AWS_ENDPOINT_URL"),
    ("InvalidInput", Refused, ""),
    ("UnsupportedOperation", Refused, ""),
    ("Unsupported", Refused, ""),
    // EC2.
    ("InvalidGroup.NotFound", Gone, ""),
    ("InvalidGroupId.Malformed", Refused, ""),
    ("InvalidSecurityGroupID.NotFound", Gone, ""),
    ("InvalidGroup.Duplicate", Exists, "the VPC has a security group of this name already"),
    ("InvalidGroup.InUse", InUse, ""),
    ("InvalidGroup.Reserved", Refused, ""),
    (
        "DependencyViolation",
        InUse,
        "a network interface or a rule still uses it: AWS lets go of them some time after a load balancer is deleted",
    ),
    ("CannotDelete", Refused, ""),
    ("InvalidPermission.Duplicate", Exists, "the rule is there already"),
    ("InvalidPermission.NotFound", Gone, ""),
    ("InvalidPermission.Malformed", Refused, ""),
    (
        "RulesPerSecurityGroupLimitExceeded",
        Quota,
        "the quota \"Inbound or outbound rules per security group\" is used up: have it raised in Service Quotas, or use fewer source ranges and ports",
    ),
    (
        "SecurityGroupLimitExceeded",
        Quota,
        "the quota \"VPC security groups per Region\" is used up: have it raised in Service Quotas",
    ),
    (
        "SecurityGroupsPerInterfaceLimitExceeded",
        Quota,
        "the quota \"Security groups per network interface\" is used up: have it raised in Service Quotas",
    ),
    ("ResourceLimitExceeded", Quota, ""),
    ("TagLimitExceeded", Quota, "at most 50 tags: ask for fewer"),
    ("InvalidSubnetID.NotFound", NotFound, "name a subnet that exists in this region"),
    ("InvalidSubnetId.NotFound", NotFound, "name a subnet that exists in this region"),
    ("InvalidVpcID.NotFound", NotFound, "name a VPC that exists in this region"),
    ("InvalidVpcId.NotFound", NotFound, "name a VPC that exists in this region"),
    ("InvalidInstanceID.NotFound", Gone, ""),
    ("InvalidInstanceID.Malformed", Refused, ""),
    ("InvalidNetworkInterfaceID.NotFound", Gone, ""),
    ("InvalidPrefixListID.NotFound", NotFound, "name a prefix list that exists in this region"),
    ("InvalidPrefixListId.NotFound", NotFound, "name a prefix list that exists in this region"),
    ("InvalidAllocationID.NotFound", NotFound, "name an elastic address that this account has in this region"),
    ("InvalidRouteTableID.NotFound", Gone, ""),
    ("InvalidID", Gone, ""),
    ("InvalidPaginationToken", Unavailable, ""),
    ("ConcurrentTagAccess", Busy, ""),
    ("IncorrectState", Busy, ""),
    ("IncorrectInstanceState", BadTarget, ""),
    ("OperationInProgress", Busy, ""),
    ("PriorRequestNotComplete", Busy, ""),
    // Rights and credentials.
    ("AccessDenied", Denied, ""),
    ("UnauthorizedOperation", Denied, ""),
    ("UnauthorizedAccess", Denied, ""),
    ("NotAuthorized", Denied, ""),
    ("Blocked", Denied, "AWS has blocked the account: ask AWS Support"),
    ("OptInRequired", Denied, "the account has not enabled this region or service"),
    ("PendingVerification", Denied, "AWS verifies the account: wait, or ask AWS Support"),
    ("AuthFailure", Unknown, ""),
    ("InvalidClientTokenId", Unknown, ""),
    ("UnrecognizedClient", Unknown, ""),
    ("InvalidAccessKeyId", Unknown, ""),
    ("MissingAuthenticationToken", Unknown, ""),
    ("IncompleteSignature", Unknown, ""),
    ("SignatureDoesNotMatch", Unknown, "the secret key does not go with the access key: correct the credentials"),
    ("InvalidSignature", Unknown, "the secret key does not go with the access key: correct the credentials"),
    ("ExpiredToken", Expired, ""),
    ("TokenRefreshRequired", Expired, ""),
    // Clocks.
    ("RequestExpired", Skewed, "the credentials are fetched anew; if it lasts, set the machine's clock"),
    ("RequestTimeTooSkewed", Skewed, ""),
    ("RequestInTheFuture", Skewed, ""),
    // Too much, too fast.
    ("Throttling", Throttled, ""),
    ("ThrottledException", Throttled, ""),
    ("RequestThrottled", Throttled, ""),
    ("RequestLimitExceeded", Throttled, ""),
    ("RequestThrottledException", Throttled, ""),
    ("TooManyRequests", Throttled, ""),
    ("SlowDown", Throttled, ""),
    ("EC2ThrottledException", Throttled, ""),
    ("BandwidthLimitExceeded", Throttled, ""),
    // AWS's own.
    ("InternalFailure", Unavailable, ""),
    ("InternalError", Unavailable, ""),
    ("InternalServerError", Unavailable, ""),
    ("ServiceUnavailable", Unavailable, ""),
    ("Unavailable", Unavailable, ""),
    ("RequestTimeout", Unavailable, ""),
];

fn row(code: &str) -> Option<&'static Row> {
    let bare = code.strip_suffix("Exception").unwrap_or(code);
    CODES.iter().find(|(known, ..)| *known == code || *known == bare)
}

/// What a code means. Where one code stands for a wrong key and for a wrong clock, AWS's message tells them apart: "Signature expired:
/// ... is now earlier than ...", "Signature not yet current: ... is still later than ...".
pub(crate) fn problem(code: &str, message: &str) -> Option<Problem> {
    let clock = message.contains("Signature expired") || message.contains("Signature not yet current");
    match row(code)? {
        (_, Unknown, _) if clock => Some(Skewed),
        (_, problem, _) => Some(*problem),
    }
}

/// What to do about a code, where that is more than what its problem says.
pub(crate) fn advice(code: &str) -> Option<&'static str> {
    row(code).map(|(_, _, advice)| *advice).filter(|advice| !advice.is_empty())
}
