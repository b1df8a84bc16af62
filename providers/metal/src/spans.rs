//! What is said of addresses, of many in a row at once: a node's report is short however many it has.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Words of type `T` about addresses. About one there may be several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans<T> {
    single: BTreeMap<IpAddr, Vec<T>>,
    /// Of each, from which address to which. No two of them meet.
    rows: BTreeMap<T, BTreeMap<IpAddr, IpAddr>>,
}

impl<T> Default for Spans<T> {
    fn default() -> Self {
        Self { single: BTreeMap::new(), rows: BTreeMap::new() }
    }
}

impl<T: Ord> Spans<T> {
    /// Says this of the addresses from one to another.
    pub fn say(&mut self, first: IpAddr, last: IpAddr, word: T) {
        if first == last {
            self.single.entry(first).or_default().push(word);
            return;
        }
        let rows = self.rows.entry(word).or_default();
        let (mut from, mut to) = (first, last);
        if let Some((before, end)) = rows.range(..first).next_back().filter(|(_, end)| **end >= first) {
            (from, to) = (*before, last.max(*end));
        }
        while let Some((within, end)) = rows.range(from..=to).next().map(|(within, end)| (*within, *end)) {
            rows.remove(&within);
            to = to.max(end);
        }
        rows.insert(from, to);
    }

    /// What is said of an address, in an order that does not depend on what is said of others.
    pub fn of(&self, address: IpAddr) -> Vec<&T> {
        let is_in = |row: &BTreeMap<IpAddr, IpAddr>| {
            row.range(..=address).next_back().is_some_and(|(_, last)| *last >= address)
        };
        let rows = self.rows.iter().filter(|(_, row)| is_in(row)).map(|(word, _)| word);
        let mut all: Vec<&T> = self.single.get(&address).into_iter().flatten().chain(rows).collect();
        all.sort_unstable();
        all
    }

    /// All that is said, each with the addresses from which to which.
    pub fn all(&self) -> impl Iterator<Item = (IpAddr, IpAddr, &T)> {
        let single =
            self.single.iter().flat_map(|(address, words)| words.iter().map(move |word| (*address, *address, word)));
        let rows = self.rows.iter().flat_map(|(word, row)| row.iter().map(move |(first, last)| (*first, *last, word)));
        single.chain(rows)
    }
}

impl<T: Ord> FromIterator<(IpAddr, T)> for Spans<T> {
    fn from_iter<I: IntoIterator<Item = (IpAddr, T)>>(all: I) -> Self {
        let mut spans = Self::default();
        all.into_iter().for_each(|(address, word)| spans.say(address, address, word));
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_address_is_said_what_was_of_it_or_of_a_row_with_it_however_the_rows_lie() {
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let rows = [(10, 20), (15, 18), (30, 40), (5, 12), (38, 50), (60, 61), (1, 2), (25, 25), (19, 31)];
        for skipped in 0..rows.len() {
            let told: Vec<(u8, u8)> =
                rows.iter().copied().enumerate().filter(|(n, _)| *n != skipped).map(|(_, row)| row).collect();
            let mut spans = Spans::default();
            told.iter().for_each(|(first, last)| spans.say(address(*first), address(*last), 'x'));
            spans.say(address(16), address(16), 'y');
            for last in 0..70 {
                let said: String = spans.of(address(last)).into_iter().collect();
                let is_told = told.iter().any(|(first, end)| (*first..=*end).contains(&last));
                assert_eq!((said.contains('x'), said.contains('y')), (is_told, last == 16), "{last} without {skipped}");
            }
        }
    }

    #[test]
    fn what_is_said_of_an_address_comes_in_one_order_whatever_is_said_of_its_neighbours() {
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        for rows in ["", "a", "b", "ab"] {
            let mut spans = Spans::default();
            for word in ['b', 'a'] {
                spans.say(one, if rows.contains(word) { other } else { one }, word);
            }
            assert_eq!(spans.of(one), [&'a', &'b'], "{rows}");
        }
    }
}
