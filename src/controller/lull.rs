//! When news of nodes is acted on: not node by node. An autoscaler adds and removes them by the dozen, each one changes several times
//! until it is as it stays (made, addressed, labelled, freed of taints), and each change of the set concerns every load balancer of the
//! cluster. So all that comes before a lull is one change, and one call for each group of targets. Endpoints never wait for it. A plain state
//! machine without clock or tasks.

use std::time::Duration;

use portolan_core::time::Time;

/// So long nothing must come. A node alone waits no longer, which is nothing beside what it took to come, and beside the minutes in which
/// a load balancer finds it healthy.
pub(crate) const LULL: Duration = Duration::from_secs(1);

/// So long after its first change a batch is closed in any case: who goes on adding nodes must not keep those that are there from traffic.
pub(crate) const AT_MOST: Duration = Duration::from_secs(5);

/// What has come since the last lull.
#[derive(Debug, Default)]
pub(crate) struct Lull {
    batch: Option<Batch>,
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    first: Time,
    last: Time,
}

impl Lull {
    /// There is news.
    pub(crate) fn heard(&mut self, now: Time) {
        let first = self.batch.map_or(now, |batch| batch.first);
        self.batch = Some(Batch { first, last: now });
    }

    /// When to act on what was heard, if anything was.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.batch.map(|Batch { first, last }| (last + LULL).min(first + AT_MOST))
    }

    /// All that was heard is acted on now.
    pub(crate) fn ends(&mut self) {
        self.batch = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::default() + Duration::from_millis(milliseconds)
    }

    /// When a batch of news at these times is acted on.
    fn acted_on(news: &[u64]) -> Option<Time> {
        let mut lull = Lull::default();
        for now in news {
            assert!(lull.deadline().is_none_or(|deadline| at(*now) < deadline), "{news:?} are no batch");
            lull.heard(at(*now));
        }
        lull.deadline()
    }

    #[test]
    fn there_is_nothing_to_wait_for_without_news() {
        assert_eq!(acted_on(&[]), None);
        let mut lull = Lull::default();
        lull.heard(at(0));
        lull.ends();
        assert_eq!(lull.deadline(), None);
    }

    #[test]
    fn one_alone_waits_a_second() {
        assert_eq!(acted_on(&[7_000]), Some(at(8_000)));
    }

    #[test]
    fn those_that_follow_one_another_within_a_second_are_one_batch() {
        assert_eq!(acted_on(&[0, 500, 1_400, 2_000]), Some(at(3_000)));
    }

    #[test]
    fn a_batch_ends_five_seconds_after_its_first_whatever_comes() {
        assert_eq!(acted_on(&[0, 900, 1_800, 2_700, 3_600, 4_500, 4_900]), Some(at(5_000)));
    }

    #[test]
    fn the_next_batch_has_its_own_five_seconds() {
        let mut lull = Lull::default();
        lull.heard(at(0));
        lull.ends();
        lull.heard(at(4_500));
        assert_eq!(lull.deadline(), Some(at(5_500)));
    }
}
