//! Addresses in a row, as reports name them.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One address, or the addresses of one family from one to another, written with a `-` between these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRow {
    /// The lowest.
    pub first: IpAddr,
    /// The highest.
    pub last: IpAddr,
}

impl From<IpAddr> for AddressRow {
    fn from(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }
}

impl fmt::Display for AddressRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last { first.fmt(f) } else { write!(f, "{first}-{last}") }
    }
}

impl From<AddressRow> for String {
    fn from(row: AddressRow) -> Self {
        row.to_string()
    }
}

impl TryFrom<String> for AddressRow {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = |part: &str| part.parse::<IpAddr>().ok();
        let row = match text.split_once('-') {
            None => address(&text).map(Self::from),
            Some((first, last)) => address(first).zip(address(last)).map(|(first, last)| Self { first, last }),
        };
        let is_row = |row: &Self| row.first.is_ipv4() == row.last.is_ipv4() && row.first <= row.last;
        row.filter(is_row).ok_or_else(|| format!("{text:?} is no address, and none to another with a - between them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_is_written_and_what_is_none_is_refused() {
        for text in ["192.0.2.1", "192.0.2.1-192.0.2.9", "2001:db8::1-2001:db8::f"] {
            assert_eq!(AddressRow::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["", "-", "192.0.2.9-192.0.2.1", "192.0.2.1-2001:db8::1", "192.0.2.0/24", "192.0.2.1 - 192.0.2.9"] {
            assert!(AddressRow::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
