use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::cluster::clock::Clock;

const SECOND: Duration = Duration::from_secs(1);

fn seconds(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

fn seen(version: u64, holder: &str, renewed: i64) -> Seen {
    Seen {
        version: ResourceVersion::new(version.to_string()),
        term: Term {
            holder: holder.into(),
            duration: Some(15 * SECOND),
            renewed: Some(jiff::Timestamp::from_second(renewed).unwrap()),
            transitions: 4,
        },
    }
}

fn claim(over: Option<u64>, holder: &str, takes_over: bool, transitions: i32) -> Output {
    let over = over.map(|version| ResourceVersion::new(version.to_string()));
    Output::Write(Claim { over, holder: holder.into(), takes_over, transitions })
}

fn lead(epoch: u64, until: u64) -> Output {
    Output::Lead(Leadership { epoch, until: seconds(until) })
}

struct Bench(Elector);

impl Bench {
    fn new() -> Self {
        Self(Elector::new("a", Timing::default(), 1))
    }

    /// One that has read this at the start.
    fn reading(lease: Option<Seen>) -> (Self, Vec<Output>) {
        let mut bench = Self::new();
        assert_eq!(bench.step(0, Input::Tick), [Output::Read]);
        let outputs = bench.step(0, Input::Read(lease));
        (bench, outputs)
    }

    /// One that leads since the start.
    fn leading() -> Self {
        let (mut bench, _) = Self::reading(None);
        assert_eq!(bench.step(0, Input::Written(seen(1, "a", 0))), [lead(1, 10)]);
        bench
    }

    fn step(&mut self, at: u64, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.0.step(seconds(at), input, &mut outputs);
        outputs
    }
}

#[test]
fn a_lease_that_nobody_holds_is_taken_at_once() {
    assert_eq!(Bench::reading(None).1, [claim(None, "a", true, 0)]);
    assert_eq!(Bench::reading(Some(seen(7, "", 0))).1, [claim(Some(7), "a", true, 5)]);
}

#[test]
fn a_holder_that_restarts_leads_again_at_once() {
    assert_eq!(Bench::reading(Some(seen(7, "a", 0))).1, [claim(Some(7), "a", false, 4)]);
}

#[test]
fn a_lease_of_somebody_else_is_taken_once_it_has_not_changed_for_its_duration_here() {
    let (mut bench, outputs) = Bench::reading(Some(seen(7, "b", 1_000_000)));
    assert_eq!(outputs, [], "its wall clock says nothing");
    for (at, version, renewed) in [(3, 7, 1_000_000), (6, 8, 5), (9, 9, 5), (20, 10, 5)] {
        assert_eq!(bench.step(at, Input::Tick), [Output::Read]);
        assert_eq!(bench.step(at, Input::Read(Some(seen(version, "b", renewed)))), [], "{at}");
    }
    assert_eq!(bench.step(23, Input::Tick), [Output::Read]);
    assert_eq!(
        bench.step(23, Input::Read(Some(seen(11, "b", 5)))),
        [claim(Some(11), "a", true, 5)],
        "renewed at 6, a new version is no renewal"
    );
}

#[test]
fn a_leader_renews_over_the_version_it_knows_and_leads_until_the_deadline_after_it_asked() {
    let mut bench = Bench::leading();
    assert!(bench.0.deadline().unwrap() >= seconds(2) && bench.0.deadline().unwrap() <= seconds(3));
    assert_eq!(bench.step(3, Input::Tick), [claim(Some(1), "a", false, 4)]);
    assert_eq!(bench.step(4, Input::Written(seen(2, "a", 3))), [lead(1, 13)]);
}

#[test]
fn a_leader_that_cannot_renew_stops_at_the_deadline_and_comes_back_in_a_new_epoch() {
    let mut bench = Bench::leading();
    for at in [3, 6] {
        assert_eq!(bench.step(at, Input::Tick), [claim(Some(1), "a", false, 4)]);
        assert_eq!(bench.step(at, Input::Failed), []);
    }
    assert_eq!(bench.step(9, Input::Tick), [claim(Some(1), "a", false, 4)]);
    assert_eq!(bench.0.deadline(), Some(seconds(10)), "even while a request hangs");
    assert_eq!(bench.step(10, Input::Tick), [Output::Follow]);
    assert_eq!(bench.step(11, Input::Written(seen(2, "a", 9))), [lead(2, 19)]);
}

#[test]
fn a_renewal_acknowledged_too_late_is_none() {
    let mut bench = Bench::leading();
    bench.step(3, Input::Tick);
    assert_eq!(bench.step(14, Input::Written(seen(2, "a", 3))), [Output::Follow, Output::Read]);
}

#[test]
fn whoever_is_outrun_looks_again() {
    let mut bench = Bench::leading();
    bench.step(3, Input::Tick);
    assert_eq!(bench.step(3, Input::Outrun), [Output::Read]);
    assert_eq!(bench.step(4, Input::Read(Some(seen(8, "b", 3)))), [Output::Follow]);
    let mut bench = Bench::leading();
    bench.step(3, Input::Tick);
    assert_eq!(bench.step(3, Input::Outrun), [Output::Read]);
    assert_eq!(bench.step(4, Input::Read(Some(seen(8, "a", 3)))), [claim(Some(8), "a", false, 4)], "it was our own");
}

#[test]
fn a_leader_that_resigns_stops_first_and_then_frees_the_lease() {
    let mut bench = Bench::leading();
    assert_eq!(bench.step(1, Input::Resigned), [Output::Follow, claim(Some(1), "", true, 4)]);
    assert_eq!(bench.step(1, Input::Written(seen(2, "", 1))), [Output::Finished]);
    assert_eq!(bench.0.deadline(), None);
    let mut bench = Bench::leading();
    bench.step(3, Input::Tick);
    assert_eq!(bench.step(3, Input::Resigned), [], "the renewal is under way");
    assert_eq!(
        bench.step(3, Input::Written(seen(2, "a", 1))),
        [lead(1, 13), Output::Follow, claim(Some(2), "", true, 4)]
    );
    assert_eq!(bench.step(3, Input::Failed), [Output::Finished]);
}

#[test]
fn a_follower_that_resigns_leaves_the_lease_alone() {
    let (mut bench, _) = Bench::reading(Some(seen(7, "b", 0)));
    assert_eq!(bench.step(1, Input::Resigned), [Output::Finished]);
    let mut bench = Bench::new();
    bench.step(0, Input::Tick);
    assert_eq!(bench.step(1, Input::Resigned), []);
    assert_eq!(bench.step(1, Input::Read(None)), [Output::Finished]);
}

/// Candidates on one simulated server with slow, lost and reordered answers, and crashes: never two lead at once, and somebody does in the end.
#[test]
fn never_two_lead_at_once_whatever_the_network_does() {
    #[derive(Clone)]
    enum Request {
        Read,
        Write(Claim),
    }
    /// When the request reaches the server, when its answer arrives, and the request or, once it was there, the answer.
    type Call = (Time, Time, Result<Request, Input>);
    let mut terms = 0;
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut lease: Option<Seen> = None;
        let mut version = 0;
        let names = ["a", "b", "c"];
        let mut candidates = names.map(|name| Elector::new(name, Timing::default(), random.number()));
        let mut leading = [None::<Leadership>; 3];
        let mut under_way: [Option<Call>; 3] = [None, None, None];
        let mut now = Time::default();
        while now < seconds(200) {
            now = now + Duration::from_millis(100);
            let calm = now > seconds(150);
            for i in 0..3 {
                let mut inputs = vec![];
                if let Some((reaches, arrives, state)) = &mut under_way[i] {
                    if *reaches <= now
                        && let Ok(request) = state.clone()
                    {
                        *state = Err(match request {
                            Request::Read => Input::Read(lease.clone()),
                            Request::Write(claim)
                                if claim.over == lease.as_ref().map(|lease| lease.version.clone()) =>
                            {
                                version += 1;
                                let renewed = jiff::Timestamp::from_millisecond(version).unwrap();
                                let term = Term {
                                    holder: claim.holder,
                                    duration: Some(15 * SECOND),
                                    renewed: Some(renewed),
                                    transitions: claim.transitions,
                                };
                                Input::Written(
                                    lease
                                        .insert(Seen { version: ResourceVersion::new(version.to_string()), term })
                                        .clone(),
                                )
                            }
                            Request::Write(_) => Input::Outrun,
                        });
                        if !calm && random.below(10) == 0 {
                            *state = Err(Input::Failed); // done, but nobody hears of it
                        }
                    }
                    if *arrives <= now
                        && let Err(input) = state.clone()
                    {
                        inputs.push(input);
                        under_way[i] = None;
                    }
                }
                if candidates[i].deadline().is_some_and(|deadline| deadline <= now) {
                    inputs.push(Input::Tick);
                }
                if !calm && random.below(2000) == 0 {
                    // Killed and started again under the same name; what it had asked for never arrives.
                    candidates[i] = Elector::new(names[i], Timing::default(), random.number());
                    leading[i] = None;
                    inputs.clear();
                    under_way[i] = None;
                }
                for input in inputs {
                    let mut outputs = vec![];
                    candidates[i].step(now, input, &mut outputs);
                    for output in outputs {
                        let request = match output {
                            Output::Read => Request::Read,
                            Output::Write(claim) => Request::Write(claim),
                            Output::Lead(leadership) => {
                                terms += u64::from(leading[i].is_none());
                                leading[i] = Some(leadership);
                                continue;
                            }
                            Output::Follow => {
                                leading[i] = None;
                                continue;
                            }
                            Output::Finished => unreachable!("nobody resigns"),
                        };
                        let slow =
                            if calm { 100 } else { [100, 1000, 9000][usize::try_from(random.below(3)).unwrap()] };
                        let reaches = now + Duration::from_millis(random.below(slow));
                        let arrives = reaches + Duration::from_millis(random.below(slow));
                        assert!(under_way[i].is_none(), "one request at a time");
                        under_way[i] = Some((reaches, arrives, Ok(request)));
                    }
                }
            }
            let now_leading = leading.iter().flatten().filter(|leadership| now < leadership.until).count();
            assert!(now_leading <= 1, "seed {seed}: {leading:?} at {now:?}");
        }
        assert_eq!(leading.iter().flatten().count(), 1, "seed {seed}: nobody leads");
    }
    assert!(terms > 600, "the test has seen only {terms} terms");
}

/// A server with one lease.
fn server(lease: &Arc<Mutex<Option<Lease>>>) -> Client {
    let lease = Arc::clone(lease);
    let service = tower::service_fn(move |request: Request<Body>| {
        let lease = Arc::clone(&lease);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let mut lease = lease.lock().unwrap();
            let version = |lease: &Lease| lease.metadata.resource_version.clone();
            let failure = |code: StatusCode, reason: &str| {
                let body = json!({"kind": "Status", "code": code.as_u16(), "reason": reason, "details": {"name": "l"}});
                (code, body)
            };
            let new = serde_json::from_slice::<Lease>(&body).ok();
            let (status, body) = match (parts.method, new, &*lease) {
                (Method::GET, _, None) => failure(StatusCode::NOT_FOUND, "NotFound"),
                (Method::GET, _, Some(lease)) => (StatusCode::OK, serde_json::to_value(lease).unwrap()),
                (Method::POST, Some(_), Some(_)) => failure(StatusCode::CONFLICT, "AlreadyExists"),
                (Method::PUT, Some(new), Some(old)) if version(&new) != version(old) => {
                    failure(StatusCode::CONFLICT, "Conflict")
                }
                (_, Some(mut new), old) => {
                    let next = old.as_ref().and_then(version).map_or(1, |version| version.parse::<u64>().unwrap() + 1);
                    new.metadata.resource_version = Some(next.to_string());
                    (StatusCode::OK, serde_json::to_value(lease.insert(new)).unwrap())
                }
                (method, None, _) => panic!("{method} without a lease"),
            };
            let response = Response::builder().status(status).body(Body::from(body.to_string().into_bytes()));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn on_a_cluster_one_leads_and_hands_over_when_it_resigns() {
    let lease = Arc::default();
    let candidate = |name: &str, seed| {
        let (published, leadership) = watch::channel(None);
        let resign = CancellationToken::new();
        let place = Place { namespace: "portolan".into(), name: "l".into() };
        let elector = Elector::new(name, Timing::default(), seed);
        (run(server(&lease), place, elector, Clock::start(), published, resign.clone()), leadership, resign)
    };
    let (a, mut a_leads, a_resigns) = candidate("a", 1);
    let (b, mut b_leads, _) = candidate("b", 2);
    let script = async {
        a_leads.wait_for(Option::is_some).await.unwrap();
        let first = *a_leads.borrow();
        a_leads
            .wait_for(|leadership| leadership.is_some_and(|later| later.until > first.unwrap().until))
            .await
            .unwrap();
        assert_eq!(*b_leads.borrow(), None);
        let spec = lease.lock().unwrap().clone().unwrap().spec.unwrap();
        assert_eq!((spec.holder_identity.as_deref(), spec.lease_duration_seconds), (Some("a"), Some(15)));
        assert!(spec.acquire_time < spec.renew_time && spec.lease_transitions == Some(0));
        a_resigns.cancel();
        b_leads.wait_for(Option::is_some).await.unwrap();
        assert_eq!(*a_leads.borrow(), None);
        let spec = lease.lock().unwrap().clone().unwrap().spec.unwrap();
        assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("b"), Some(1)));
    };
    let clock = Clock::start();
    tokio::select! {
        ((), ()) = async { tokio::join!(async { a.await; std::future::pending::<()>().await }, b) } => panic!("nobody may end"),
        () = script => {}
    }
    assert!(clock.now() < seconds(8), "a lease that is free is not waited for: {:?}", clock.now());
}
