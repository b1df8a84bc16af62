//! Attributes: what AWS lets be set on an object that exists, as keys and values. [`table`] says which there are, what may stand in
//! them, and what AWS takes where nobody says, so that a key that a Service sets no more goes back to that.

pub mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use portolan_core::balancer::Scheme;
use portolan_core::go;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::protocol::Protocol;
use crate::words::TargetType;

pub use table::{LISTENER, LOAD_BALANCER, TARGET_GROUP};

/// One attribute. There is one of each, in the table.
#[derive(Debug)]
pub struct Attribute {
    /// Its key at AWS.
    pub key: &'static str,
    /// What may stand in it.
    pub values: Values,
    /// What AWS takes where nobody says.
    pub default: AwsDefault,
    /// What it does.
    pub does: &'static str,
}

/// What may stand in an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int {
        /// The least that AWS takes.
        min: u32,
        /// The most that AWS takes.
        max: u32,
        /// What is counted.
        unit: &'static str,
    },
    /// `off`, or a whole number of at least 1.
    OffOr {
        /// The most that AWS takes.
        max: u32,
        /// What is counted.
        unit: &'static str,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some text.
    Text,
}

/// What AWS takes where nobody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsDefault {
    /// Always the same.
    Always(&'static str),
    /// By the balancer's scheme.
    ByScheme {
        /// Of an internal one.
        internal: &'static str,
        /// Of an internet-facing one.
        internet_facing: &'static str,
    },
    /// `true` for UDP and TCP_UDP, else `false`.
    ForUdp,
    /// `false` where TCP or TLS is sent to pods, else `true`.
    ButForPods,
    /// `false` for UDP and TCP_UDP, else `true`.
    ButForUdp,
    /// This at first; whatever is set stays, because AWS does not take it back, or because it means nothing alone.
    Stays(&'static str),
}

/// What an attribute's default rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A load balancer of this scheme.
    LoadBalancer(Scheme),
    /// A target group.
    TargetGroup {
        /// Its protocol.
        protocol: Protocol,
        /// What it sends to.
        targets: TargetType,
    },
    /// A listener.
    Listener,
}

impl Attribute {
    /// What AWS takes for this owner where nobody says; none if nothing can be taken back.
    pub fn default(&self, owner: Owner) -> Option<&'static str> {
        let (scheme, protocol, targets) = match owner {
            Owner::LoadBalancer(scheme) => (Some(scheme), None, None),
            Owner::TargetGroup { protocol, targets } => (None, Some(protocol), Some(targets)),
            Owner::Listener => (None, None, None),
        };
        let has_udp = protocol.is_some_and(Protocol::has_udp);
        let word = |is: bool| if is { "true" } else { "false" };
        match self.default {
            AwsDefault::Always(value) => Some(value),
            AwsDefault::ByScheme { internal, internet_facing } => match scheme {
                Some(Scheme::Internal) => Some(internal),
                Some(Scheme::Public) | None => Some(internet_facing),
            },
            AwsDefault::ForUdp => Some(word(has_udp)),
            AwsDefault::ButForPods => Some(word(has_udp || targets == Some(TargetType::Instance))),
            AwsDefault::ButForUdp => Some(word(!has_udp)),
            AwsDefault::Stays(_) => None,
        }
    }
}

impl Attribute {
    /// What stands there at birth.
    pub fn at_birth(&self, owner: Owner) -> &'static str {
        match self.default {
            AwsDefault::Stays(value) => value,
            AwsDefault::Always(_)
            | AwsDefault::ByScheme { .. }
            | AwsDefault::ForUdp
            | AwsDefault::ButForPods
            | AwsDefault::ButForUdp => self.default(owner).unwrap_or_default(),
        }
    }
}

impl Values {
    /// The value as AWS wants it, or what is wrong with it, to follow the text in a message.
    pub fn check(self, text: &str) -> Result<String, String> {
        match self {
            Self::Bool if go::TRUE.contains(&text) => Ok("true".to_owned()),
            Self::Bool if go::FALSE.contains(&text) => Ok("false".to_owned()),
            Self::Bool => Err("is neither true nor false".to_owned()),
            Self::Int { min, max, unit } => {
                number(text, min, max).ok_or_else(|| format!("is not between {min} and {max} {unit}"))
            }
            Self::OffOr { max: _, unit: _ } if text == "off" => Ok(text.to_owned()),
            Self::OffOr { max, unit } => {
                number(text, 1, max).ok_or_else(|| format!("is neither off nor between 1 and {max} {unit}"))
            }
            Self::Word(words) if words.contains(&text) => Ok(text.to_owned()),
            Self::Word(words) => Err(format!("is none of {}", words.join(", "))),
            Self::Text => Ok(text.to_owned()),
        }
    }
}

fn number(text: &str, min: u32, max: u32) -> Option<String> {
    let number = text.parse::<u32>().ok().filter(|number| (min..=max).contains(number))?;
    Some(number.to_string())
}

/// The key of an attribute that is in the table.
#[derive(Clone, Copy)]
pub struct AttributeKey(&'static Attribute);

impl AttributeKey {
    /// Finds a key among the attributes of one kind of object; else says why there is none.
    pub fn parse(table: &'static [Attribute], key: &str) -> Result<Self, String> {
        match table.iter().find(|attribute| attribute.key == key) {
            Some(attribute) => Ok(Self(attribute)),
            None if table::OF_OTHERS.contains(&key) => Err("belongs to another kind of load balancer".to_owned()),
            None => {
                let known: Vec<&str> = table.iter().map(|attribute| attribute.key).collect();
                Err(format!("is no attribute here; those are {}", known.join(", ")))
            }
        }
    }

    /// What is to know about it.
    pub fn attribute(self) -> &'static Attribute {
        self.0
    }

    /// Its key at AWS.
    pub fn as_str(self) -> &'static str {
        self.0.key
    }
}

impl fmt::Debug for AttributeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for AttributeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for AttributeKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for AttributeKey {}

impl PartialOrd for AttributeKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AttributeKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Serialize for AttributeKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Attributes that are set. These keys are ours from then on: who writes them must remember them.
pub type Attributes = BTreeMap<AttributeKey, String>;

/// Attributes of a balancer, as they were serialized.
pub(crate) fn of_load_balancer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Attributes, D::Error> {
    of(LOAD_BALANCER, deserializer)
}

/// Attributes of a target group, as they were serialized.
pub(crate) fn of_target_group<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Attributes, D::Error> {
    of(TARGET_GROUP, deserializer)
}

/// Attributes of a listener, as they were serialized.
pub(crate) fn of_listener<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Attributes, D::Error> {
    of(LISTENER, deserializer)
}

fn of<'de, D: Deserializer<'de>>(table: &'static [Attribute], deserializer: D) -> Result<Attributes, D::Error> {
    let pairs = BTreeMap::<String, String>::deserialize(deserializer)?;
    let known = |(key, value): (String, String)| Ok((AttributeKey::parse(table, &key)?, value));
    pairs.into_iter().map(known).collect::<Result<_, String>>().map_err(D::Error::custom)
}

/// What has to stand at AWS: what is set now, and AWS's default in every key that was set before and is no more. A key that is in no
/// table any more, or that stays, is left as it is.
pub fn restored(
    table: &'static [Attribute],
    owned_before: &BTreeSet<String>,
    now: &Attributes,
    owner: Owner,
) -> Attributes {
    let gone = owned_before.iter().filter_map(|key| AttributeKey::parse(table, key).ok());
    let back = gone.filter_map(|key| Some((key, key.attribute().default(owner)?.to_owned())));
    let mut all: Attributes = back.collect();
    all.extend(now.iter().map(|(key, value)| (*key, value.clone())));
    all
}

#[cfg(test)]
mod tests;
