use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Mutex;

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// What the server answers next.
enum Answer {
    /// A list or an error, with this status.
    Json(u16, Value),
    /// The lines of a watch, which then ends.
    Lines(Vec<String>),
    /// Nothing, ever.
    Silence,
}

/// An API server that gives these answers in order, then only silence; and what it was asked.
fn server(answers: Vec<Answer>) -> (Client, Arc<Mutex<Vec<&'static str>>>) {
    let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        log.lock().unwrap().push(if watch { "watch" } else { "list" });
        let answer = answers.lock().unwrap().pop_front().unwrap_or(Answer::Silence);
        async move {
            Ok::<_, Infallible>(match answer {
                Answer::Json(status, body) => {
                    Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap()
                }
                Answer::Lines(lines) => Response::new(Body::from((lines.join("\n") + "\n").into_bytes())),
                Answer::Silence => std::future::pending().await,
            })
        }
    });
    (Client::new(service, "default"), asked)
}

fn list(items: &[Value]) -> Answer {
    let body = json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": items});
    Answer::Json(200, body)
}

fn error(code: u16, reason: &str) -> Answer {
    Answer::Json(
        code,
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "because"}),
    )
}

fn line(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string()
}

fn web(version: &str, port: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": port}]},
        "metadata": {"namespace": "shop", "name": "web", "uid": "u1", "resourceVersion": version},
    })
}

/// An event in short.
fn short(observed: Observed) -> String {
    fn of<T: Object>(event: Event<T>) -> String {
        match event {
            Event::Init => "Init".into(),
            Event::InitApply(object) => format!("InitApply {:?}", object.name()),
            Event::InitDone => "InitDone".into(),
            Event::Apply(object) => format!("Apply {:?}", object.name()),
            Event::Delete(name, version) => format!("Delete {name:?} at {version}"),
            Event::Unreadable(name) => format!("Unreadable {name:?}"),
        }
        .replace("ServiceKey { namespace: \"shop\", name: \"web\" }", "web")
        .replace("SliceName { namespace: \"shop\", name: \"web\" }", "web")
    }
    match observed {
        Observed::Service(event) => of(event),
        Observed::Slice(event) => of(event),
        Observed::Node(event) => of(event),
        Observed::Record(event) => of(event),
        Observed::Namespace(event) => of(event),
        Observed::Pod(event) => of(event),
    }
}

async fn take(stream: impl Stream<Item = Observed>, count: usize) -> Vec<String> {
    stream.take(count).map(short).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_list_and_a_watch_become_events_and_what_cannot_be_decoded_is_named() {
    let (client, _) = server(vec![
        list(&[web("7", &json!(80)), web("8", &json!("eighty"))]),
        Answer::Lines(vec![
            line("MODIFIED", &web("10", &json!(81))),
            line("MODIFIED", &web("11", &json!(99_999_999_999_u64))),
            line("DELETED", &web("12", &json!("even so"))),
        ]),
    ]);
    assert_eq!(
        take(services(client, 1), 7).await,
        ["Init", "InitApply web", "Unreadable web", "InitDone", "Apply web", "Unreadable web", "Delete web at 12"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_slice_that_no_longer_belongs_to_a_service_is_gone() {
    let slice = |version: &str, labels: Value| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": null,
            "metadata": {"namespace": "shop", "name": "web", "resourceVersion": version, "labels": labels},
        })
    };
    let ours = json!({"kubernetes.io/service-name": "web"});
    let (client, _) = server(vec![
        list(&[slice("7", json!({}))]),
        Answer::Lines(vec![line("MODIFIED", &slice("10", ours)), line("MODIFIED", &slice("11", json!({})))]),
    ]);
    assert_eq!(take(slices(client, 1), 4).await, ["Init", "InitDone", "Apply web", "Delete web at 11"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_nobody_wrote_is_unreadable() {
    let record = |instance: &str| {
        json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "LoadBalancerRecord",
            "metadata": {"name": instance, "resourceVersion": "7"},
            "spec": {"instance": instance, "class": "c", "claimedBy": "Class", "provider": "mock"},
        })
    };
    let (client, _) = server(vec![list(&[record("blue"), record("Not legal")])]);
    let events = take(records(client, 1), 4).await;
    assert_eq!(
        events,
        ["Init", "InitApply LoadBalancerId(\"blue\")", "Unreadable LoadBalancerId(\"Not legal\")", "InitDone"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_would_lose_something_begins_with_a_new_list() {
    let expired =
        json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"});
    let too_large = json!({
        "kind": "Status", "status": "Failure", "code": 504, "reason": "Timeout", "message": "Too large resource version",
        "details": {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]},
    });
    for lossy in [
        error(410, "Expired"),
        Answer::Json(504, too_large),
        Answer::Lines(vec![line("ERROR", &expired)]),
        Answer::Lines(vec![expired.to_string()]),
        Answer::Lines(vec!["{\"type\": \"ADDED\", \"object\": 5}".into(), line("ADDED", &web("11", &json!(80)))]),
    ] {
        let (client, asked) = server(vec![list(&[]), lossy, list(&[])]);
        assert_eq!(take(services(client, 1), 4).await, ["Init", "InitDone", "Init", "InitDone"]);
        assert_eq!(*asked.lock().unwrap(), ["list", "watch", "list"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_merely_refused_goes_on_without_a_new_list() {
    let changed = Answer::Lines(vec![line("MODIFIED", &web("10", &json!(81)))]);
    let (client, asked) = server(vec![list(&[]), error(403, "Forbidden"), error(500, ""), changed]);
    assert_eq!(take(services(client, 1), 3).await, ["Init", "InitDone", "Apply web"]);
    assert_eq!(*asked.lock().unwrap(), ["list", "watch", "watch", "watch"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_or_hangs_is_tried_again_for_ever_with_pauses_of_at_most_half_a_minute() {
    let mut answers: Vec<_> = (0..40).map(|_| error(403, "Forbidden")).collect();
    answers.extend([Answer::Silence, Answer::Json(200, json!("garbage")), list(&[])]);
    let (client, asked) = server(answers);
    let clock = Clock::start();
    let events = take(
        services(client, 1).filter(|event| {
            std::future::ready(!short(event.clone()).starts_with("Init") || short(event.clone()) == "InitDone")
        }),
        1,
    );
    assert_eq!(events.await, ["InitDone"]);
    assert_eq!(asked.lock().unwrap().len(), 43);
    let waited = clock.now().since(Time::default());
    assert!(waited > Duration::from_secs(300) && waited < Duration::from_secs(42 * 30 + 60), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_go_wrote_without_a_time_makes_no_service_unreadable() {
    let mut odd = web("7", &json!(80));
    odd["status"]["conditions"] =
        json!([{"type": "other/T", "status": "Weird", "reason": "", "message": "", "lastTransitionTime": null}]);
    let (client, _) = server(vec![list(&[odd.clone()]), Answer::Lines(vec![line("MODIFIED", &odd)])]);
    let services: Vec<_> = services(client, 1)
        .filter_map(|observed| async {
            match observed {
                Observed::Service(Event::InitApply(service) | Event::Apply(service)) => Some(service),
                Observed::Service(_)
                | Observed::Slice(_)
                | Observed::Node(_)
                | Observed::Record(_)
                | Observed::Namespace(_)
                | Observed::Pod(_) => None,
            }
        })
        .take(2)
        .collect()
        .await;
    for service in services {
        assert_eq!(json!(service.object.conditions), odd["status"]["conditions"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_version_is_an_error_and_no_empty_list() {
    let (client, asked) = server(vec![Answer::Json(200, json!({"kind": "PodList", "items": null})), list(&[])]);
    assert_eq!(take(services(client, 1), 3).await, ["Init", "Init", "InitDone"]);
    assert_eq!(*asked.lock().unwrap(), ["list", "list"]);
}

fn gated(version: &str, gate: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "spec": {"readinessGates": [{"conditionType": gate}]},
        "metadata": {"namespace": "shop", "name": "web-1", "uid": "u1", "resourceVersion": version},
    })
}

#[tokio::test(start_paused = true)]
async fn pods_that_wait_for_nobody_of_ours_are_not_kept() {
    let (client, _) = server(vec![
        list(&[gated("7", "target-health.portolan.dev/web"), gated("8", "example.com/other")]),
        Answer::Lines(vec![line("MODIFIED", &gated("10", "target-health.portolan.dev/web"))]),
    ]);
    let kept = "PodName { namespace: \"shop\", name: \"web-1\" }";
    assert_eq!(
        take(pods(client, 1), 4).await,
        ["Init".to_owned(), format!("InitApply {kept}"), "InitDone".to_owned(), format!("Apply {kept}")]
    );
}

#[tokio::test(start_paused = true)]
async fn work_begins_without_pods_where_they_are_not_served_or_may_not_be_seen_and_with_them_once_they_may() {
    for refusal in [error(404, "NotFound"), error(403, "Forbidden")] {
        let again = error(403, "Forbidden");
        let answers = vec![refusal, again, list(&[gated("7", "target-health.portolan.dev/web")])];
        let (client, asked) = server(answers);
        assert_eq!(
            take(pods(client, 1), 6).await,
            [
                "Init",
                "InitDone",
                "Init",
                "Init",
                "InitApply PodName { namespace: \"shop\", name: \"web-1\" }",
                "InitDone"
            ],
            "an empty list is said once, and never after a true one"
        );
        assert_eq!(*asked.lock().unwrap(), ["list", "list", "list"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_a_server_does_not_serve_is_as_if_there_were_none_and_is_followed_once_it_does() {
    let (client, asked) = server(vec![error(404, "NotFound"), error(404, "NotFound"), list(&[web("7", &json!(80))])]);
    let project = |object| Projected::Object(project::service(object));
    let events = events_if_served::<StoredService, _>(client, 1, "Services", "", project::service_key, project);
    let mut events = Box::pin(events.map(Observed::Service));
    let clock = Clock::start();
    let begun = clock.now();
    assert_eq!(take(&mut events, 2).await, ["Init", "InitDone"]);
    assert_eq!(clock.now().since(begun), Duration::ZERO, "nobody waits for what is not there");
    assert_eq!(take(events, 4).await, ["Init", "Init", "InitApply web", "InitDone"]);
    assert_eq!(*asked.lock().unwrap(), ["list", "list", "list"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_to_list_pods_is_waited_for() {
    let (client, asked) = server(vec![error(500, ""), list(&[])]);
    assert_eq!(take(pods(client, 1), 3).await, ["Init", "Init", "InitDone"]);
    assert_eq!(*asked.lock().unwrap(), ["list", "list"]);
}
