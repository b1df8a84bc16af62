use super::*;

/// A queue, a clock, and what has started.
struct Bench {
    queue: Queue<u32>,
    now: Time,
}

impl Bench {
    fn new(in_flight: usize) -> Self {
        let pace = Pace { in_flight, resync: Duration::from_secs(1000), ..Pace::default() };
        let mut bench = Self { queue: Queue::new(pace, 1), now: Time::default() };
        assert_eq!(bench.step(Input::Paused(false)), NOTHING);
        bench
    }

    fn step(&mut self, input: Input<u32>) -> Vec<u32> {
        let mut outputs = Vec::new();
        self.queue.step(self.now, input, &mut outputs);
        outputs.into_iter().map(|Output::Start(key)| key).collect()
    }

    fn after(&mut self, pause: Duration) -> Vec<u32> {
        self.now = self.now + pause;
        self.step(Input::Tick)
    }

    /// Sleeps until the deadline; how long that was, and what started.
    fn deadline(&mut self) -> (Duration, Vec<u32>) {
        let pause = self.queue.deadline().unwrap().since(self.now);
        (pause, self.after(pause))
    }
}

const NOTHING: [u32; 0] = [];
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn keys_start_in_order_of_arrival_and_at_most_so_many_at_a_time() {
    let mut bench = Bench::new(2);
    let started: Vec<_> = [5, 3, 9, 1].into_iter().flat_map(|key| bench.step(Input::Enqueued(key))).collect();
    assert_eq!(started, [5, 3]);
    assert_eq!(bench.step(Input::Finished(3, Verdict::Done)), [9]);
    assert_eq!(bench.step(Input::Finished(5, Verdict::Done)), [1]);
}

#[test]
fn a_key_that_is_hurried_starts_before_all_that_wait() {
    let mut bench = Bench::new(1);
    for key in [1, 2, 3, 4] {
        bench.step(Input::Enqueued(key));
    }
    assert_eq!(bench.step(Input::Hurried(3)), NOTHING);
    assert_eq!(bench.step(Input::Hurried(9)), NOTHING);
    let started: Vec<_> =
        [1, 9, 3, 2, 4].into_iter().flat_map(|key| bench.step(Input::Finished(key, Verdict::Done))).collect();
    assert_eq!(started, [9, 3, 2, 4]);
    // What sleeps wakes up in front as well.
    bench.step(Input::Enqueued(5));
    bench.step(Input::Enqueued(6));
    bench.step(Input::Hurried(1));
    assert_eq!(bench.step(Input::Finished(5, Verdict::Done)), [1]);
}

#[test]
fn a_key_that_is_hurried_in_flight_starts_again_before_all_that_wait() {
    for verdict in [Verdict::Done, Verdict::Again, Verdict::WaitAtMost(SECOND), Verdict::Forgotten] {
        let mut bench = Bench::new(1);
        for key in [1, 2, 3] {
            bench.step(Input::Enqueued(key));
        }
        bench.step(Input::Hurried(1));
        assert_eq!(bench.step(Input::Finished(1, verdict)), [1], "{verdict:?}");
        bench.step(Input::Enqueued(1));
        assert_eq!(bench.step(Input::Finished(1, verdict)), [2], "{verdict:?}: once");
    }
    // One that has failed is made to wait all the same, and is first by then.
    let mut bench = Bench::new(1);
    for key in [1, 2, 3] {
        bench.step(Input::Enqueued(key));
    }
    bench.step(Input::Hurried(1));
    assert_eq!(bench.step(Input::Finished(1, Verdict::Retry)), [2]);
    assert_eq!(bench.after(SECOND), NOTHING);
    assert_eq!(bench.step(Input::Finished(2, Verdict::Done)), [1]);
}

#[test]
fn a_key_that_has_failed_does_not_come_back_at_the_rate_of_hurried_changes() {
    let mut bench = Bench::new(1);
    bench.step(Input::Enqueued(1));
    bench.step(Input::Finished(1, Verdict::Retry));
    let started: usize = (0..100).map(|_| bench.step(Input::Hurried(1)).len()).sum();
    assert!(started <= 1, "{started}");
}

#[test]
fn a_key_that_waits_is_there_once() {
    let mut bench = Bench::new(1);
    for key in [1, 2, 2, 2] {
        bench.step(Input::Enqueued(key));
    }
    assert_eq!(bench.step(Input::Finished(1, Verdict::Done)), [2]);
    assert_eq!(bench.step(Input::Finished(2, Verdict::Done)), NOTHING);
}

#[test]
fn a_key_enqueued_in_flight_runs_again_afterwards_and_never_twice_at_once() {
    for verdict in [Verdict::Done, Verdict::Again, Verdict::WaitAtMost(SECOND), Verdict::Forgotten] {
        let mut bench = Bench::new(4);
        assert_eq!(bench.step(Input::Enqueued(1)), [1]);
        assert_eq!(bench.step(Input::Enqueued(1)), NOTHING);
        assert_eq!(bench.step(Input::Enqueued(1)), NOTHING);
        assert_eq!(bench.step(Input::Finished(1, verdict)), [1], "{verdict:?}");
        assert_eq!(bench.step(Input::Finished(1, Verdict::Done)), NOTHING, "{verdict:?}");
    }
}

#[test]
fn a_key_that_is_done_comes_back_after_the_resync_give_or_take_a_tenth() {
    let mut bench = Bench::new(100);
    for key in 0..100 {
        bench.step(Input::Enqueued(key));
        bench.step(Input::Finished(key, Verdict::Done));
    }
    assert_eq!(bench.after(Duration::from_secs(899)), NOTHING);
    let halves = [bench.after(Duration::from_secs(101)).len(), bench.after(Duration::from_secs(101)).len()];
    assert_eq!(halves[0] + halves[1], 100);
    assert!(halves.iter().all(|half| *half > 25), "{halves:?}");
}

#[test]
fn pauses_after_failures_double_up_to_the_cap_with_full_jitter_and_success_resets_them() {
    let mut longest = [Duration::ZERO; 9];
    let mut shortest = [Duration::MAX; 9];
    let mut bench = Bench::new(1);
    for _ in 0..300 {
        bench.step(Input::Enqueued(1));
        for failure in 0..9 {
            assert_eq!(bench.step(Input::Finished(1, Verdict::Retry)), NOTHING);
            let (pause, started) = bench.deadline();
            assert_eq!(started, [1]);
            longest[failure] = longest[failure].max(pause);
            shortest[failure] = shortest[failure].min(pause);
        }
        bench.step(Input::Finished(1, Verdict::Forgotten));
    }
    for (failure, window) in [1, 2, 4, 8, 16, 32, 60, 60, 60].into_iter().enumerate() {
        let window = Duration::from_secs(window);
        assert!(longest[failure] <= window && longest[failure] > window * 9 / 10, "{failure}: {:?}", longest[failure]);
        assert!(shortest[failure] < window / 10, "{failure}: {:?}", shortest[failure]);
    }
    for verdict in [Verdict::Done, Verdict::WaitAtMost(SECOND)] {
        for _ in 0..9 {
            bench.step(Input::Enqueued(2));
            bench.step(Input::Finished(2, Verdict::Retry));
            bench.deadline();
        }
        bench.step(Input::Finished(2, verdict));
        bench.deadline();
        bench.step(Input::Finished(2, Verdict::Retry));
        assert!(bench.deadline().0 <= SECOND, "{verdict:?} resets");
        bench.step(Input::Finished(2, Verdict::Forgotten));
    }
}

#[test]
fn an_outdated_reading_is_tried_again_at_once_but_only_once() {
    let mut bench = Bench::new(1);
    bench.step(Input::Enqueued(1));
    assert_eq!(bench.step(Input::Finished(1, Verdict::Again)), [1]);
    assert_eq!(bench.step(Input::Finished(1, Verdict::Again)), NOTHING);
    assert_eq!(bench.deadline().1, [1]);
}

#[test]
fn a_change_wakes_a_key_that_waits_or_is_done_at_once() {
    for verdict in [Verdict::Done, Verdict::WaitAtMost(SECOND * 50)] {
        let mut bench = Bench::new(1);
        bench.step(Input::Enqueued(1));
        assert_eq!(bench.step(Input::Finished(1, verdict)), NOTHING);
        assert_eq!(bench.step(Input::Enqueued(1)), [1]);
        bench.step(Input::Finished(1, Verdict::Forgotten));
        assert_eq!(bench.queue.deadline(), None, "the old time is forgotten");
    }
}

#[test]
fn a_wait_ends_by_itself() {
    let mut bench = Bench::new(1);
    bench.step(Input::Enqueued(1));
    bench.step(Input::Finished(1, Verdict::WaitAtMost(SECOND * 50)));
    assert_eq!(bench.deadline(), (SECOND * 50, vec![1]));
}

#[test]
fn a_change_shortens_a_pause_after_failures_to_the_base_and_keeps_the_failures_counted() {
    for in_flight in [false, true] {
        let mut bench = Bench::new(1);
        bench.step(Input::Enqueued(1));
        let mut longest = Duration::ZERO;
        for _ in 0..100 {
            if in_flight {
                bench.step(Input::Enqueued(1));
            }
            assert_eq!(bench.step(Input::Finished(1, Verdict::Retry)), NOTHING);
            if !in_flight {
                assert_eq!(bench.step(Input::Enqueued(1)), NOTHING, "a change does not undo the pause");
            }
            let (pause, started) = bench.deadline();
            assert_eq!(started, [1]);
            assert!(pause <= SECOND);
            longest = longest.max(pause);
        }
        assert_eq!(longest, SECOND);
        bench.step(Input::Finished(1, Verdict::Retry));
        let pauses: Vec<_> = std::iter::repeat_with(|| {
            let (pause, _) = bench.deadline();
            bench.step(Input::Finished(1, Verdict::Retry));
            pause
        })
        .take(20)
        .collect();
        assert!(pauses.iter().any(|pause| *pause > SECOND * 10), "{pauses:?}");
    }
}

#[test]
fn while_paused_nothing_starts_and_nothing_is_lost() {
    let mut bench = Bench::new(4);
    bench.step(Input::Enqueued(1));
    bench.step(Input::Enqueued(2));
    bench.step(Input::Finished(2, Verdict::WaitAtMost(SECOND)));
    assert_eq!(bench.step(Input::Paused(true)), NOTHING);
    assert_eq!(bench.step(Input::Enqueued(3)), NOTHING);
    assert_eq!(bench.step(Input::Enqueued(1)), NOTHING);
    assert_eq!(bench.step(Input::Finished(1, Verdict::Done)), NOTHING);
    assert_eq!(bench.after(SECOND), NOTHING);
    assert_eq!(bench.step(Input::Paused(false)), [3, 1, 2]);
}

#[test]
fn a_forgotten_key_leaves_nothing_behind() {
    let mut bench = Bench::new(4);
    bench.step(Input::Enqueued(1));
    bench.step(Input::Finished(1, Verdict::Forgotten));
    assert!(bench.queue.keys.is_empty() && bench.queue.ready.is_empty() && bench.queue.asleep.is_empty());
    assert_eq!((bench.queue.deadline(), bench.queue.in_flight()), (None, 0));
}

#[test]
fn the_end_of_a_pass_that_never_began_is_ignored() {
    let mut bench = Bench::new(1);
    bench.step(Input::Finished(1, Verdict::Retry));
    bench.step(Input::Enqueued(1));
    bench.step(Input::Finished(1, Verdict::Done));
    assert_eq!(bench.step(Input::Finished(1, Verdict::Done)), NOTHING);
    assert_eq!(bench.queue.in_flight(), 0);
    assert_eq!(bench.step(Input::Enqueued(2)), [2], "the slot is free, and free once");
}
