use std::cell::RefCell;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use super::*;
use crate::client::error::Answer;
use crate::clock::SystemClock;

const PATIENCE: Patience =
    Patience { attempts: 4, attempt: Duration::from_secs(10), pause: Duration::from_millis(100) };

fn caller(clock: &Arc<dyn Clock>) -> Caller {
    let time = AwsTime::new(Arc::clone(clock));
    let keys = SharedCredentialsProvider::new(Credentials::new("id", "secret", None, None, "test"));
    let keys = Keys::new(keys, time.clone());
    Caller::new(&Limits::default(), Arc::clone(clock), time, keys, PATIENCE, 7)
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::start())
}

fn answered(status: u16, code: &str) -> Raw {
    Raw::Answered(Answer { status, code: Some(code.to_owned()), ..Answer::default() })
}

/// When each attempt was made, in milliseconds.
async fn attempts(action: Action, raw: Raw) -> Vec<u64> {
    let clock = clock();
    let times = RefCell::new(Vec::new());
    let attempt = || {
        times.borrow_mut().push(clock.now().as_nanos() / 1_000_000);
        std::future::ready(Err::<(), _>(raw.clone()))
    };
    caller(&clock).call(action, Lane::Endpoints, attempt).await.unwrap_err();
    times.into_inner()
}

#[tokio::test(start_paused = true)]
async fn pauses_double_and_a_random_half_is_left_out() {
    let times = attempts(Action::DescribeTags, answered(500, "InternalFailure")).await;
    let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses.len(), 3);
    for (pause, whole) in pauses.iter().zip([100, 200, 400]) {
        assert!((whole / 2..=whole + 1).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_throttled_waits_for_the_bucket_too() {
    let throttled = attempts(Action::DescribeTags, answered(400, "Throttling")).await;
    let broken = attempts(Action::DescribeTags, answered(500, "InternalFailure")).await;
    assert_eq!(throttled.len(), 4);
    // The bucket is empty after each answer and gets half of its ten tokens a second back.
    assert!(throttled.windows(2).all(|pair| pair[1] - pair[0] >= 200), "{throttled:?}");
    assert!(throttled[3] > broken[3]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_awaited_for_so_long_and_so_often() {
    let clock = clock();
    let caller = caller(&clock);
    let call = caller.call(Action::DescribeTags, Lane::Audit, std::future::pending::<Result<(), Raw>>);
    assert_eq!(call.await.unwrap_err().problem, Problem::Unanswered);
    let took = clock.now().since(portolan_core::time::Time::default());
    assert!((Duration::from_secs(40)..Duration::from_secs(41)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_would_not_go_better_is_tried_once_and_a_remedy_is_tried_once() {
    assert_eq!(attempts(Action::CreateListener, answered(400, "TooManyListeners")).await.len(), 1);
    assert_eq!(attempts(Action::CreateListener, answered(403, "ExpiredToken")).await.len(), 2);
    assert_eq!(attempts(Action::CreateSecurityGroup, Raw::Unanswered(String::new())).await.len(), 1);
    assert_eq!(attempts(Action::CreateSecurityGroup, Raw::Unreachable(String::new())).await.len(), 4);
}
