//! Randomness from a seed, for jitter: equal seeds give equal runs.

use std::time::Duration;

/// The SplitMix64 generator (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that always gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `limit`, which is not reached; 0 if `limit` is 0. The bias of the remainder is far below what jitter needs.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number().checked_rem(limit).unwrap_or(0)
    }

    /// From `low` to `high`, both included; `low` if they are the wrong way round.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let width = u64::try_from(high.saturating_sub(low).as_nanos()).unwrap_or(u64::MAX);
        low.saturating_add(Duration::from_nanos(self.below(width.saturating_add(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_within_their_bounds_and_repeat_with_the_seed() {
        let (low, high) = (Duration::from_secs(9), Duration::from_secs(11));
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..1000).map(|_| random.between(low, high)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|d| (low..=high).contains(d)));
        assert!(draw(7).iter().min().unwrap().as_millis() < 9050 && draw(7).iter().max().unwrap().as_millis() > 10950);
        assert_eq!(Random::new(1).below(0), 0);
        assert_eq!(Random::new(1).between(high, low), high);
    }
}
