//! A list is believed only if it is a list of what was asked for. kube reads any object with `items` as a list of anything, and an
//! empty list of Services means that every load balancer may go: a proxy that answers with something else must not cause that.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use kube::client::{Body, DynBody};
use serde::Deserialize;
use tower::{BoxError, Service};

/// The kinds of list that decisions rest on, by the end of their path.
const LISTS: [(&str, &str); 4] = [
    ("/services", "ServiceList"),
    ("/endpointslices", "EndpointSliceList"),
    ("/nodes", "NodeList"),
    ("/loadbalancerrecords", "LoadBalancerRecordList"),
];

type Answer = Response<Box<DynBody>>;

/// Hands on all answers but lists of another kind.
#[derive(Clone, Debug)]
pub(crate) struct Checked<S>(pub S);

/// Why a list is not believed.
#[derive(Debug, thiserror::Error)]
#[error("the answer is a {answer:?}, not a {wanted}; is there a proxy before the API server?")]
struct WrongKind {
    answer: String,
    wanted: &'static str,
}

#[derive(Deserialize)]
struct KindOnly {
    #[serde(default)]
    kind: String,
}

impl<S> Service<Request<Body>> for Checked<S>
where
    S: Service<Request<Body>, Response = Answer, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let wanted = list_wanted(&request);
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            match wanted {
                Some(wanted) if answer.status().is_success() => check(answer, wanted).await,
                Some(_) | None => Ok(answer),
            }
        })
    }
}

/// The kind of list that is asked for; none where anything else is.
fn list_wanted(request: &Request<Body>) -> Option<&'static str> {
    let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    let (_, kind) = LISTS.iter().find(|(path, _)| request.uri().path().ends_with(path))?;
    (request.method() == Method::GET && !watches).then_some(kind)
}

/// kube holds the whole answer in memory, too, before it reads it.
async fn check(answer: Answer, wanted: &'static str) -> Result<Answer, BoxError> {
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await?.to_bytes();
    // What is no JSON is for kube to report.
    if let Ok(KindOnly { kind: answer }) = serde_json::from_slice(&bytes)
        && answer != wanted
    {
        return Err(WrongKind { answer, wanted }.into());
    }
    let body: Box<DynBody> = Box::new(Full::new(bytes).map_err(|never| match never {}));
    Ok(Response::from_parts(head, body))
}

#[cfg(test)]
mod tests {
    use kube::Api;
    use kube::api::ListParams;
    use serde_json::{Value, json};

    use super::*;

    async fn list(body: Value) -> Result<usize, String> {
        let server = tower::service_fn(move |_: Request<Body>| {
            let body: Box<DynBody> =
                Box::new(Full::new(body.to_string().into_bytes().into()).map_err(|never| match never {}));
            std::future::ready(Ok::<_, BoxError>(Response::new(body)))
        });
        let services = Api::<k8s_openapi::api::core::v1::Service>::all(kube::Client::new(Checked(server), "default"));
        let listed = services.list(&ListParams::default()).await;
        listed.map(|list| list.items.len()).map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    #[tokio::test]
    async fn only_a_list_of_the_kind_that_was_asked_for_is_believed() {
        let good = json!({"apiVersion": "v1", "kind": "ServiceList", "metadata": {}, "items": [{"metadata": {}}]});
        assert_eq!(list(good).await, Ok(1));
        for wrong in [json!({"kind": "PodList", "apiVersion": "v1", "items": null}), json!({"items": []})] {
            let error = list(wrong).await.unwrap_err();
            assert!(error.contains("not a ServiceList"), "{error}");
        }
    }

    #[test]
    fn watches_and_single_objects_are_left_alone() {
        for (path, wanted) in [
            ("/api/v1/services?limit=500", Some("ServiceList")),
            ("/api/v1/services?&watch=true", None),
            ("/api/v1/namespaces/shop/services/web", None),
            ("/apis/portolan.dev/v1alpha1/loadbalancerrecords", Some("LoadBalancerRecordList")),
        ] {
            assert_eq!(list_wanted(&Request::get(path).body(Body::empty()).unwrap()), wanted, "{path}");
        }
    }
}
