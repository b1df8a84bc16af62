//! Which addresses of some ranges are free: found, taken and given back in a time that grows with the logarithm of how many pieces they are
//! in, however large the ranges are.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portolan_core::balancer::Family;

use crate::range::{Range, address, bits};

/// Free addresses, in pieces that do not touch each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// First to last, both included.
    pieces: BTreeMap<(Family, u128), u128>,
}

impl Free {
    /// All of these.
    pub fn of<'a>(ranges: impl IntoIterator<Item = &'a Range>) -> Self {
        let mut free = Self::default();
        ranges.into_iter().for_each(|range| free.give(range));
        free
    }

    /// The lowest one of a family.
    pub fn first(&self, family: Family) -> Option<IpAddr> {
        let (&(_, first), _) = self.pieces.range((family, 0)..=(family, u128::MAX)).next()?;
        Some(address(family, first))
    }

    /// It is free.
    pub fn has(&self, of: IpAddr) -> bool {
        self.piece(Family::of(of), bits(of)).is_some()
    }

    /// None of these are free any more.
    pub fn take(&mut self, range: &Range) {
        let (family, (first, last)) = (range.family(), range.bits());
        let touched = self.pieces.range((family, 0)..=(family, last)).rev();
        let touched: Vec<(u128, u128)> =
            touched.map(|(&(_, start), &end)| (start, end)).take_while(|(_, end)| *end >= first).collect();
        for (start, end) in touched {
            self.pieces.remove(&(family, start));
            if let Some(before) = first.checked_sub(1).filter(|before| start <= *before) {
                self.pieces.insert((family, start), before);
            }
            if let Some(after) = last.checked_add(1).filter(|after| *after <= end) {
                self.pieces.insert((family, after), end);
            }
        }
    }

    /// All of these are free.
    pub fn give(&mut self, range: &Range) {
        let (family, (mut first, mut last)) = (range.family(), range.bits());
        // What it touches or overlaps becomes one piece with it.
        let reach = last.saturating_add(1);
        let touched = self.pieces.range((family, 0)..=(family, reach)).rev();
        let touched: Vec<(u128, u128)> = touched
            .map(|(&(_, start), &end)| (start, end))
            .take_while(|(_, end)| end.saturating_add(1) >= first)
            .collect();
        for (start, end) in touched {
            self.pieces.remove(&(family, start));
            (first, last) = (first.min(start), last.max(end));
        }
        self.pieces.insert((family, first), last);
    }

    /// How many there are of a family; `u128::MAX` stands for more.
    pub fn count(&self, family: Family) -> u128 {
        let pieces = self.pieces.range((family, 0)..=(family, u128::MAX));
        pieces.fold(0, |count, (&(_, first), &last)| count.saturating_add((last - first).saturating_add(1)))
    }

    fn piece(&self, family: Family, of: u128) -> Option<(u128, u128)> {
        let (&(_, first), &last) = self.pieces.range((family, 0)..=(family, of)).next_back()?;
        (of <= last).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range(first: u8, length: u8) -> Range {
        let last = first.saturating_add(length % 16);
        Range::parse(&format!("192.0.2.{first}-192.0.2.{last}")).unwrap()
    }

    proptest! {
        #[test]
        fn it_is_the_set_that_was_given_and_not_taken(edits in proptest::collection::vec((any::<bool>(), any::<u8>(), any::<u8>()), 0..60)) {
            let (mut free, mut naive) = (Free::default(), BTreeSet::new());
            for (gives, first, length) in edits {
                let range = range(first, length);
                let (IpAddr::V4(first), IpAddr::V4(last)) = (range.first(), range.last()) else { unreachable!() };
                for address in first.to_bits()..=last.to_bits() {
                    if gives { naive.insert(address); } else { naive.remove(&address); }
                }
                if gives { free.give(&range) } else { free.take(&range) }
                prop_assert_eq!(free.count(Family::V4), naive.len() as u128);
                prop_assert_eq!(free.first(Family::V4).map(bits), naive.first().map(|bits| u128::from(*bits)));
                for n in 0..=255_u8 {
                    let address = IpAddr::from([192, 0, 2, n]);
                    prop_assert_eq!(free.has(address), naive.contains(&u32::from_be_bytes([192, 0, 2, n])));
                }
                // No two pieces touch, so that equal sets are equal.
                let pieces: Vec<(u128, u128)> = free.pieces.iter().map(|(&(_, first), &last)| (first, last)).collect();
                prop_assert!(pieces.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{pieces:?}");
            }
        }
    }

    #[test]
    fn the_largest_ranges_are_one_piece() {
        let all = [Range::parse("10.0.0.0/8").unwrap(), Range::parse("2001:db8::/64").unwrap()];
        let mut free = Free::of(&all);
        assert_eq!(free.pieces.len(), 2);
        assert_eq!((free.count(Family::V4), free.count(Family::V6)), (1 << 24, 1 << 64));
        let taken = Range::parse("2001:db8::").unwrap();
        free.take(&taken);
        assert_eq!(free.first(Family::V6), Some("2001:db8::1".parse().unwrap()));
        free.give(&taken);
        assert_eq!(free.pieces.len(), 2);
    }
}
