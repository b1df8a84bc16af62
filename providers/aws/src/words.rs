//! Words of AWS that a setting can be, each spelled as AWS spells it.

use std::fmt;

use portolan_core::balancer::Scheme;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum $name {
                $($(#[$word_doc])* $word,)+
            }

            impl $name {
                /// All of them, as AWS spells them.
                pub const WORDS: &'static [&'static str] = &[$($text,)+];

                /// The one that is spelled so, to the letter.
                pub fn parse(text: &str) -> Option<Self> {
                    match text {
                        $($text => Some(Self::$word),)+
                        _ => None,
                    }
                }

                /// As AWS spells it.
                pub fn as_str(self) -> &'static str {
                    match self {
                        $(Self::$word => $text,)+
                    }
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(self.as_str())
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    Self::parse(&text).ok_or_else(|| D::Error::unknown_variant(&text, Self::WORDS))
                }
            }
        )+
    };
}

words! {
    /// What a target group sends to.
    TargetType {
        /// Nodes, by their node ports.
        Instance = "instance",
        /// Pods, by their addresses.
        Ip = "ip",
    }
    /// The families of a balancer's addresses.
    IpAddressType {
        /// IPv4 alone.
        Ipv4 = "ipv4",
        /// Both.
        Dualstack = "dualstack",
    }
    /// Which application protocols a TLS listener offers
    /// (<https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html#alpn-policies>).
    AlpnPolicy {
        /// `h1` alone.
        Http1Only = "HTTP1Only",
        /// `h2` alone.
        Http2Only = "HTTP2Only",
        /// Both, the older first.
        Http2Optional = "HTTP2Optional",
        /// Both, the newer first.
        Http2Preferred = "HTTP2Preferred",
        /// Nothing is negotiated.
        None = "None",
    }
    /// A switch.
    Switch {
        /// On.
        On = "on",
        /// Off.
        Off = "off",
    }
}

/// What a scheme is called at AWS.
pub fn scheme_word(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Internal => "internal",
        Scheme::Public => "internet-facing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written_and_in_no_other_case() {
        for word in AlpnPolicy::WORDS {
            assert_eq!(AlpnPolicy::parse(word).unwrap().as_str(), *word);
            assert_eq!(AlpnPolicy::parse(&word.to_lowercase()), None);
        }
    }
}
