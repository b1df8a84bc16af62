use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Cluster, String> {
    let mut reading = Reading::default();
    reading.text("a.yaml", text);
    reading.cluster().map_err(|errors| errors.to_string())
}

fn names(cluster: &Cluster) -> Vec<String> {
    cluster.manifests.iter().map(|one| format!("{} {}/{}", one.kind.name, one.namespace, one.name)).collect()
}

#[test]
fn the_binary_carries_every_file_of_the_folders() {
    let carried = [
        ("testdata/sandbox", standard::FILES, Cluster::standard()),
        ("testdata/aws/sandbox", standard::AWS, Cluster::standard_at_aws()),
        ("testdata/metal/sandbox", standard::METAL, Cluster::standard_of_metal()),
    ];
    for (folder, files, cluster) in carried {
        let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
        let on_disk: BTreeSet<String> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let carried = files.iter().map(|(name, _)| name.rsplit('/').next().unwrap().to_owned());
        assert_eq!(carried.collect::<BTreeSet<_>>(), on_disk);
        let mut read = Cluster::read(&[folder.into()]).unwrap();
        let cluster = cluster.unwrap();
        for (read, carried) in read.manifests.iter_mut().zip(&cluster.manifests) {
            read.place.clone_from(&carried.place);
        }
        assert_eq!(read, cluster);
    }
}

#[test]
fn nodes_are_added_to_a_cluster_that_brings_none() {
    let node = |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    let without = read("{apiVersion: v1, kind: Service, metadata: {name: a}}").unwrap();
    let with = without.or_with_nodes("AWS", vec![node("x")]).unwrap();
    assert_eq!(names(&with), ["Node /x", "Service default/a"]);
    assert_eq!(with.clone().or_with_nodes("AWS", vec![node("y")]).unwrap(), with);
}

#[test]
fn what_others_refer_to_comes_first_and_within_a_kind_the_order_of_the_file() {
    let cluster = read(
        "{apiVersion: v1, kind: Service, metadata: {name: b}}\n---\n\
         {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Service, metadata: {name: a, namespace: north}}, \
          {apiVersion: v1, kind: Namespace, metadata: {name: north}}]}\n---\n\
         {apiVersion: v1, kind: Node, metadata: {name: x}}",
    );
    assert_eq!(names(&cluster.unwrap()), ["Namespace /north", "Node /x", "Service default/b", "Service north/a"]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_names_the_object() {
    let error = read(
        "{apiVersion: v1, kind: Service, metadata: {name: a, annotations: {sandbox.portolan.dev/expect: 'condition: []'}}}\n---\n\
         {apiVersion: v1, kind: Service, metadata: {name: b, annotations: {sandbox.portolan.dev/expect: {conditions: []}}}}\n---\n\
         {apiVersion: v1, kind: Node, metadata: {name: c, annotations: {sandbox.portolan.dev/expect: '{}'}}}\n---\n\
         {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}\n---\n\
         {apiVersion: v1, kind: Service, metadata: {}}\n---\n\
         {kind: Service, metadata: {name: e}}\n---\n\
         {apiVersion: v1, kind: Service, metadata: {name: f}}\n---\n\
         {apiVersion: v1, kind: Service, metadata: {name: f, namespace: default}}\n---\n\
         {apiVersion: [}\n",
    )
    .unwrap_err();
    let lines: Vec<&str> = error.lines().collect();
    for (line, said) in [
        (0, "a.yaml: Service default/a: annotation sandbox.portolan.dev/expect cannot be read: "),
        (1, "a.yaml: Service default/b: annotation sandbox.portolan.dev/expect is no text"),
        (2, "a.yaml: Node c: annotation sandbox.portolan.dev/expect means something on a Service only"),
        (3, "a.yaml: Deployment d: the sandbox has no Deployment of apps/v1; it has Namespace, "),
        (4, "a.yaml: Service without metadata.name"),
        (5, "a.yaml: a document without kind or apiVersion"),
        (6, "a.yaml:17:"),
        (7, "a.yaml: Service default/f stands twice"),
    ] {
        assert!(lines[line].starts_with(said), "{line}: {error}");
    }
}

#[test]
fn a_dump_of_another_cluster_loses_what_only_its_server_may_say() {
    let dumped = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "uid": "1", "resourceVersion": "7", "generation": 2, "managedFields": [],
            "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"}},
        "spec": {"clusterIP": "172.20.0.9", "clusterIPs": ["172.20.0.9"], "ports": [{"port": 80, "nodePort": 30001}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]},
            "conditions": [{"type": "portolan.dev/Programmed", "status": "True"}, {"type": "example.com/Green", "status": "True"}]},
    });
    let cluster = read(&dumped.to_string()).unwrap();
    let kept = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "b"}},
        "spec": {"ports": [{"port": 80, "nodePort": 30001}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}, "conditions": [{"type": "example.com/Green", "status": "True"}]},
    });
    assert_eq!(cluster.manifests[0].object, kept);

    let written = read("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.0.0.9}}").unwrap();
    assert_eq!(written.manifests[0].object["spec"]["clusterIP"], "10.0.0.9");
    let headless = dumped.to_string().replace("172.20.0.9", "None");
    assert_eq!(read(&headless).unwrap().manifests[0].object["spec"]["clusterIP"], "None");
}

#[test]
fn nothing_to_load_is_an_error() {
    assert!(read("").unwrap_err().contains("the files hold no manifest"));
    let error = Cluster::read(&["/nowhere/at-all".into()]).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /nowhere/at-all: "), "{error}");
}

#[test]
fn the_example_is_a_plain_service_of_the_class() {
    let standard = Cluster::standard().unwrap();
    assert_eq!(standard.example("portolan.dev/mock"), Some(("shop", "web")));
    assert_eq!(standard.example("portolan.dev/other"), None);
}

#[test]
fn every_kind_that_the_api_serves_can_stand_in_a_file() {
    let all = crate::sandbox::kinds::Kinds::default();
    for served in all.all().filter(|served| !served.is_new_event()) {
        let kind = Kind::of(&served.api_version(), &served.kind).unwrap_or_else(|| panic!("no {}", served.kind));
        let namespaced = kind.scope == Scope::Namespaced;
        assert_eq!(namespaced, served.namespaced, "{}", served.kind);
        assert!(kind.path("shop").ends_with(&format!("/{}", served.plural)), "{}", kind.path("shop"));
    }
}
