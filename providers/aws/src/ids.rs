//! Names of things at AWS. Each is a type of its own, and what is of the type has the form that AWS documents.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An identifier that AWS gives: a fixed beginning and a part that AWS makes up.
pub trait Id: Sized {
    /// What every one begins with.
    const PREFIX: &'static str;

    /// None if the text is no such identifier. AWS makes up 8 or 17 hexadecimal digits and promises neither
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html>), so any letters and digits will do.
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
            #[serde(transparent)]
            pub struct $name(String);

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    let why = || D::Error::custom(format!("{text:?} is no identifier {}...", $prefix));
                    <Self as Id>::parse(&text).ok_or_else(why)
                }
            }

            impl Id for $name {
                const PREFIX: &'static str = $prefix;

                fn parse(text: &str) -> Option<Self> {
                    let made_up = text.strip_prefix($prefix)?;
                    let is_id = !made_up.is_empty() && made_up.chars().all(|c| c.is_ascii_alphanumeric());
                    is_id.then(|| Self(text.to_owned()))
                }
            }

            impl $name {
                /// The text.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }
        )+
    };
}

ids! {
    /// A subnet.
    SubnetId = "subnet-";
    /// A security group.
    SecurityGroupId = "sg-";
    /// An elastic address that the account has allocated.
    AllocationId = "eipalloc-";
    /// A list of networks that somebody keeps under one name.
    PrefixListId = "pl-";
    /// A virtual private cloud.
    VpcId = "vpc-";
}

/// What a user may name in two ways.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference<I> {
    /// By its identifier.
    Id(I),
    /// By its tag `Name`, which only AWS can resolve.
    Name(String),
}

/// A subnet, as users name it.
pub type SubnetRef = Reference<SubnetId>;
/// A security group, as users name it.
pub type SecurityGroupRef = Reference<SecurityGroupId>;

impl<I: Id> Reference<I> {
    /// A text that begins like an identifier is one, or nothing; every other is a name. A tag's value has at most 256 characters
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html>).
    pub fn parse(text: &str) -> Result<Self, String> {
        match I::parse(text) {
            Some(id) => Ok(Self::Id(id)),
            None if text.starts_with(I::PREFIX) => {
                Err(format!("begins with {} and is no identifier: letters and digits follow", I::PREFIX))
            }
            None if text.is_empty() => Err("is empty".to_owned()),
            None if text.chars().count() > 256 => Err("is longer than the 256 characters of a tag".to_owned()),
            None => Ok(Self::Name(text.to_owned())),
        }
    }
}

impl<I: fmt::Display> fmt::Display for Reference<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl<'de, I: Id> Deserialize<'de> for Reference<I> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|why| D::Error::custom(format!("{text:?} {why}")))
    }
}

impl<I: fmt::Display> Serialize for Reference<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $check:path;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
            #[serde(transparent)]
            pub struct $name(String);

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    Self::parse(&text).map_err(|why| D::Error::custom(format!("{text:?} {why}")))
                }
            }

            impl $name {
                /// The text as one of these, or what is wrong with it, to follow the text in a message.
                pub fn parse(text: &str) -> Result<Self, String> {
                    $check(text).map(|()| Self(text.to_owned()))
                }

                /// The text.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }
        )+
    };
}

texts! {
    /// The name of a load balancer: at most 32 letters, digits and hyphens, no hyphen at either end, not beginning with `internal-`
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html>).
    BalancerName: balancer_name;
    /// The ARN of a certificate in ACM or IAM.
    CertificateArn: certificate_arn;
    /// The name of a security policy for TLS: an NLB takes only AWS's own
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/describe-ssl-policies.html>).
    SslPolicy: ssl_policy;
    /// A region, such as `eu-central-1`.
    Region: region;
    /// The name under which this cluster's objects are marked (`elbv2.k8s.aws/cluster`).
    ClusterName: cluster_name;
}

impl CertificateArn {
    /// The region; none for a certificate in IAM, which is everywhere.
    pub fn region(&self) -> Option<&str> {
        self.0.split(':').nth(3).filter(|region| !region.is_empty())
    }
}

impl Default for SslPolicy {
    /// What AWS takes where nobody says.
    fn default() -> Self {
        Self("ELBSecurityPolicy-2016-08".to_owned())
    }
}

fn balancer_name(text: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if text.is_empty() || text.len() > 32 {
        Err("must have 1 to 32 characters".to_owned())
    } else if !text.chars().all(legal) {
        Err("may hold only letters, digits and hyphens".to_owned())
    } else if text.starts_with('-') || text.ends_with('-') {
        Err("must neither begin nor end with a hyphen".to_owned())
    } else if text.starts_with("internal-") {
        Err("must not begin with internal-".to_owned())
    } else {
        Ok(())
    }
}

/// `arn:PARTITION:acm:REGION:ACCOUNT:certificate/ID` or `arn:PARTITION:iam::ACCOUNT:server-certificate/PATH`.
fn certificate_arn(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    // An account has twelve digits; manifests in documentation say `xxxxx`, and whose it is only AWS knows.
    let is_account = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    let follows = |text: &str, kind: &str| text.strip_prefix(kind).is_some_and(|rest| !rest.is_empty());
    let is_arn = match parts.as_slice() {
        ["arn", partition, "acm", region, account, resource] => {
            !partition.is_empty() && !region.is_empty() && is_account(account) && follows(resource, "certificate/")
        }
        ["arn", partition, "iam", "", account, resource] => {
            !partition.is_empty() && is_account(account) && follows(resource, "server-certificate/")
        }
        _ => false,
    };
    if is_arn && !text.contains(char::is_whitespace) {
        Ok(())
    } else {
        Err("is no ARN of a certificate, such as arn:aws:acm:REGION:ACCOUNT:certificate/ID or \
             arn:aws:iam::ACCOUNT:server-certificate/NAME"
            .to_owned())
    }
}

fn ssl_policy(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("ELBSecurityPolicy-").unwrap_or_default();
    if !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        Ok(())
    } else {
        Err("is no security policy of AWS, such as ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned())
    }
}

fn region(text: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.contains('-') && text.chars().all(legal) && text.starts_with(|c: char| c.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err("is no region, such as eu-central-1".to_owned())
    }
}

/// EKS's own rule, 1 to 100 characters (<https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html>), and the dots that
/// other installers use.
fn cluster_name(text: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=100).contains(&text.len()) && text.chars().all(legal) {
        Ok(())
    } else {
        Err("must have 1 to 100 letters, digits, '-', '_' and '.'".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_an_identifier_is_one_or_nothing() {
        assert_eq!(SubnetRef::parse("subnet-0a1b2c3d").unwrap(), Reference::Id(SubnetId("subnet-0a1b2c3d".to_owned())));
        assert_eq!(SubnetRef::parse("my subnet").unwrap(), Reference::Name("my subnet".to_owned()));
        for bad in ["", "subnet-", "subnet-a b", "subnet-a_b", &"x".repeat(257)] {
            assert!(SubnetRef::parse(bad).is_err(), "{bad:?}");
        }
        assert!(SecurityGroupRef::parse("subnet-0a").is_ok(), "a name, as far as security groups go");
    }

    #[test]
    fn the_name_of_a_load_balancer_is_as_aws_allows() {
        for good in ["a", "my-lb", "Internal-x", "internal", &"x".repeat(32)] {
            assert!(BalancerName::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", "-a", "a-", "a_b", "a.b", "internal-a", "ä", &"x".repeat(33)] {
            assert!(BalancerName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_certificate_is_in_acm_or_in_iam() {
        let acm = CertificateArn::parse("arn:aws-cn:acm:cn-north-1:123456789012:certificate/1-2").unwrap();
        assert_eq!(acm.region(), Some("cn-north-1"));
        let iam = CertificateArn::parse("arn:aws:iam::123456789012:server-certificate/path/of/it").unwrap();
        assert_eq!(iam.region(), None);
        for bad in [
            "",
            "arn",
            "certificate/1",
            "arn:aws:acm::123456789012:certificate/1",
            "arn:aws:acm:eu-west-1:123456789012:certificate/",
            "arn:aws:acm:eu-west-1::certificate/1",
            "arn:aws:iam:eu-west-1:123456789012:server-certificate/x",
            "arn:aws:s3:::bucket",
            "arn:aws:acm:eu-west-1:123456789012:certificate/1 2",
        ] {
            assert!(CertificateArn::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn policies_regions_and_clusters_have_their_form() {
        assert!(SslPolicy::parse("ELBSecurityPolicy-TLS13-1-2-Res-FIPS-2023-04").is_ok());
        assert!(SslPolicy::parse(SslPolicy::default().as_str()).is_ok());
        for bad in ["", "ELBSecurityPolicy-", "ELBSecurityPolicy-a b", "TLS-1-2"] {
            assert!(SslPolicy::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Region::parse("us-gov-west-1").is_ok());
        for bad in ["", "europe", "EU-west-1", "1-a", "eu west-1"] {
            assert!(Region::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ClusterName::parse("prod.example_1").is_ok());
        for bad in ["", "a b", "a/b", &"x".repeat(101)] {
            assert!(ClusterName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
