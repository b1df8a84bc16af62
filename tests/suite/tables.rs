//! Tables, as clients that print them ask for them: every kind's columns and cells, their descriptions included, are the real server's.

use std::fs;

use http::Request;
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;
use similar::TextDiff;

use crate::api::{RUNTIME, client};
use crate::case;
use crate::kubectl::{Place, normal, sandbox};
use crate::server::Server;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// What both servers hold.
const SETUP: [&str; 10] = [
    "kubectl create namespace shop",
    "kubectl create -f nodes.yaml",
    "kubectl -n shop create -f services.yaml -f others.yaml -f pods.yaml",
    "kubectl create -f definition.yaml -f record.yaml",
    "until kubectl get widgets -A >/dev/null 2>&1; do sleep 0.1; done",
    "kubectl -n shop create -f widgets.yaml",
    "event web.1 v1 Service shop web",
    "kubectl -n shop patch svc web --subresource=status --type=merge \
     -p '{\"status\": {\"loadBalancer\": {\"ingress\": [{\"hostname\": \"web.example.com\"}, {\"ip\": \"203.0.113.9\"}]}}}'",
    "kubectl -n shop patch pod done --subresource=status -p '{\"status\": {\"phase\": \"Succeeded\"}}'",
    "kubectl -n shop patch widget small --subresource=status --type=merge \
     -p '{\"status\": {\"conditions\": [{\"type\": \"Ready\", \"status\": \"True\"}]}}'",
];

/// What is asked for, and in which form.
fn questions() -> Vec<(String, String)> {
    let kinds = [
        "/api/v1/namespaces/shop/configmaps",
        "/api/v1/namespaces/shop/events",
        "/api/v1/namespaces/shop/pods",
        "/api/v1/namespaces/shop/secrets",
        "/api/v1/namespaces/shop/services",
        "/api/v1/namespaces?fieldSelector=metadata.name%3Dshop",
        "/api/v1/nodes",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/coordination.k8s.io/v1/namespaces/shop/leases",
        "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices",
        "/apis/events.k8s.io/v1/namespaces/shop/events",
        "/apis/example.com/v1/namespaces/shop/widgets",
        "/apis/portolan.dev/v1alpha1/loadbalancerrecords",
    ];
    let (services, web) = ("/api/v1/namespaces/shop/services", "/api/v1/namespaces/shop/services/web");
    let as_kind = |kind: &str| format!("application/json;as={kind};v=v1;g=meta.k8s.io");
    let mut questions: Vec<(String, String)> =
        kinds.iter().map(|path| ((*path).to_owned(), TABLE.to_owned())).collect();
    let more = [
        (web.to_owned(), TABLE.to_owned()),
        (format!("{services}?includeObject=None"), TABLE.to_owned()),
        (format!("{services}?includeObject=Object"), TABLE.to_owned()),
        (format!("{services}?includeObject=Nonsense"), TABLE.to_owned()),
        (format!("{services}?limit=1"), TABLE.to_owned()),
        (format!("{services}?labelSelector=nothing"), TABLE.to_owned()),
        (services.to_owned(), "application/json;as=Table;v=v1beta1;g=meta.k8s.io".to_owned()),
        (services.to_owned(), as_kind("PartialObjectMetadataList")),
        (web.to_owned(), as_kind("PartialObjectMetadata")),
        // The first that there is.
        (web.to_owned(), format!("application/json;as=Table;v=v9;g=meta.k8s.io,{TABLE}")),
        (web.to_owned(), "application/json;as=Nonsense;v=v1;g=meta.k8s.io,application/json".to_owned()),
        (web.to_owned(), format!("application/json,{TABLE}")),
        (web.to_owned(), format!("application/json;q=0.5,{TABLE}")),
        ("/api/v1/namespaces/shop/services/missing".to_owned(), TABLE.to_owned()),
    ];
    questions.extend(more);
    for path in ["/api/v1/namespaces/shop/services", "/apis/example.com/v1/namespaces/shop/widgets"] {
        for include in ["None", "Metadata", "Object"] {
            let begin = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
            let path = format!("{path}?watch=1&timeoutSeconds=2&includeObject={include}&{begin}");
            questions.push((path, TABLE.to_owned()));
        }
        questions.push((format!("{path}?watch=1&timeoutSeconds=2"), as_kind("PartialObjectMetadata")));
    }
    questions
}

#[test]
fn tables_are_the_real_servers_word_for_word() {
    case::real_without_neighbours(|_| {
        let server = &Server::start("tables").expect("it is there: the case runs");
        server.apply_crds();
        let (_sandbox, kubeconfig) = sandbox(&server.folder);
        let on_sandbox: Value = portolan::yaml::documents(&fs::read_to_string(kubeconfig).unwrap()).unwrap().remove(0);
        let answers =
            [("on-real", server.kubeconfig("admin")), ("on-sandbox", on_sandbox)].map(|(name, kubeconfig)| {
                let place = Place::new(server, name, &kubeconfig.to_string());
                for (command, came) in SETUP.iter().zip(place.run(&SETUP)) {
                    assert_eq!(came.code, Some(0), "{name}: {command}: {came:?}");
                }
                let client = client(&kubeconfig);
                questions().into_iter().map(|(path, accept)| ask(&client, &path, &accept)).collect::<Vec<_>>()
            });
        let [real, ours] = &answers;
        let mut wrong = Vec::new();
        for (((path, accept), real), ours) in
            questions().iter().zip(real).zip(ours).filter(|((_, real), ours)| real != ours)
        {
            let diff = TextDiff::from_lines(real, ours);
            wrong.push(format!("{path}\n{accept}\n{}", diff.unified_diff().context_radius(3)));
        }
        assert!(wrong.is_empty(), "-real, +sandbox\n{}", wrong.join("\n"));
    });
}

/// The answer, in words that two servers have in common: its code, and each document in it.
fn ask(client: &kube::Client, path: &str, accept: &str) -> String {
    let request = Request::builder().uri(path).header("Accept", accept).body(Body::empty()).unwrap();
    RUNTIME.block_on(async {
        let answer = client.send(request).await.unwrap();
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let documents = serde_json::Deserializer::from_slice(&body).into_iter::<Value>().map(Result::unwrap);
        let mut documents: Vec<Value> = documents.collect();
        // Objects that are there when a watch begins come in any order.
        documents.sort_by_key(|document| document.pointer("/object/rows/0/cells/0").map(ToString::to_string));
        let headed = documents
            .iter()
            .filter(|document| document.pointer("/object/columnDefinitions").is_some_and(Value::is_array));
        let mut text = format!("{code}, {} with columns named\n", headed.count());
        for document in &mut documents {
            if document["object"]["columnDefinitions"].is_array() {
                document["object"]["columnDefinitions"] = Value::Null; // those of the first, whichever that is
            }
            text.push_str(&normal(&format!("{:#}\n", without_managers(document))));
        }
        text
    })
}

/// Who has written what is another suite's.
fn without_managers(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| *name != "managedFields");
            kept.map(|(name, field)| (name.clone(), without_managers(field))).collect()
        }
        Value::Array(items) => items.iter().map(without_managers).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
