use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::cli::tests::as_recorded;

/// A folder of its own for a configuration and the state of its mock; gone with the test.
struct Folder {
    path: PathBuf,
    /// With which `plan` has ended.
    code: Cell<ExitCode>,
}

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("portolan-cli-plan-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { path: folder, code: Cell::new(ExitCode::from(99)) }
    }

    /// What `plan` prints for a manifest under a configuration with these lines, and with these parameters of the mock class.
    fn plan(&self, manifest: &Path, lines: &str, parameters: &str) -> String {
        let config = self.path.join("config.yaml");
        let state = self.path.join("state");
        let text = format!(
            "apiVersion: portolan.dev/v1alpha1\nkind: Configuration\n{lines}\nclasses:\n- name: portolan.dev/mock\n  provider: mock\n  \
             parameters: {{state: {}, {parameters}}}\n",
            json!(state)
        );
        fs::write(&config, text).unwrap();
        let arguments = arguments(&config, manifest, None, Format::Text);
        let mut out = Vec::new();
        self.code.set(run(&arguments, &mut out).unwrap());
        String::from_utf8(out).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The lines of a plan that tell internal from public.
fn about_the_scheme(plan: &str) -> String {
    let told = ["  refused ", "  warning ", "  step CreateBalancer: "];
    let is_told = |line: &&str| line.starts_with("default/") || told.iter().any(|start| line.starts_with(start));
    plan.lines().filter(is_told).map(|line| format!("{line}\n")).collect()
}

/// Every `testdata/annotations/internal/*.yaml` against what stands beside it: on a provider with schemes, on one without, and with
/// the clouds' annotations switched off. `UPDATE_GOLDEN=1` writes what would be right now.
#[test]
fn each_internal_annotation_is_planned_as_recorded() {
    let folder = Folder::new("internal");
    as_recorded("testdata/annotations/internal", 14, |file| {
        let mut answer = String::new();
        for (title, lines, parameters) in [
            ("a provider with schemes", "", ""),
            ("a provider without schemes", "", "capabilities: {scheme: false}"),
            ("internalAnnotations: []", "internalAnnotations: []", ""),
        ] {
            let plan = folder.plan(file, lines, parameters);
            answer.push_str(&format!("== {title}\n{}", about_the_scheme(&plan)));
        }
        answer
    });
}

#[test]
fn only_the_clouds_that_the_configuration_lists_are_read() {
    let folder = Folder::new("listed");
    let manifest = Path::new("testdata/annotations/internal/azure.yaml");
    let is_internal = |lines: &str| folder.plan(manifest, lines, "").contains("create internal load balancer");
    assert!(is_internal("internalAnnotations: all"));
    assert!(is_internal("internalAnnotations: [aws, azure]"));
    assert!(!is_internal("internalAnnotations: [aws]"));
}

/// An API server that answers every list so; without our CRD.
fn server(services: Value) -> Client {
    Client::new(
        tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let list =
                |kind: &str, items: Value| json!({"apiVersion": "v1", "kind": kind, "metadata": {}, "items": items});
            let (status, body) = match request.uri().path().rsplit('/').next() {
                Some("services") => (200, services.clone()),
                Some("endpointslices") => (200, list("EndpointSliceList", json!([]))),
                Some("namespaces") => (200, list("NamespaceList", json!([]))),
                Some("nodes") => (200, list("NodeList", json!([{"metadata": {"name": "n"}, "spec": 5}]))),
                _ => (
                    404,
                    json!({"kind": "Status", "status": "Failure", "code": 404, "message": "", "reason": "NotFound"}),
                ),
            };
            let answer = http::Response::builder().status(status);
            let answer = answer.body(kube::client::Body::from(body.to_string().into_bytes())).unwrap();
            std::future::ready(Ok::<_, std::convert::Infallible>(answer))
        }),
        "default",
    )
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out_and_counted_and_no_service_counts_as_gone() {
    let metadata = |name: &str| json!({"namespace": "shop", "name": name});
    let items = json!([{"metadata": metadata("good")}, {"metadata": metadata("bad"), "spec": 5}]);
    let client = server(json!({"apiVersion": "v1", "kind": "ServiceList", "metadata": {}, "items": items}));
    let objects = Objects::from_cluster(&client, false, false, "kube-system").await.unwrap();
    assert_eq!((objects.services.len(), objects.nodes.len(), objects.unreadable), (1, 0, 2));
    assert_eq!(objects.unreadable_services, [ServiceKey::new("shop", "bad")]);
}

#[tokio::test]
async fn where_pods_cannot_be_listed_the_rest_is_planned() {
    let services =
        json!({"apiVersion": "v1", "kind": "ServiceList", "metadata": {}, "items": [{"metadata": {"name": "a"}}]});
    let objects = Objects::from_cluster(&server(services), true, false, "kube-system").await.unwrap();
    assert_eq!((objects.services.len(), objects.pods.len()), (1, 0));
}

#[tokio::test]
async fn a_list_of_another_kind_is_an_error_and_no_empty_list() {
    let error = Objects::from_cluster(
        &server(json!({"apiVersion": "v1", "kind": "PodList", "items": null})),
        false,
        false,
        "kube-system",
    )
    .await
    .unwrap_err();
    assert!(format!("{error:#}").contains("\"PodList\", not a ServiceList"), "{error:#}");
}

#[test]
fn a_document_that_cannot_be_read_is_left_out_and_the_others_are_planned() {
    let folder = Folder::new("undecodable");
    let manifest = folder.path.join("manifest.yaml");
    let service = |name: &str, ports: &str| {
        format!(
            "kind: Service\nmetadata: {{name: {name}, uid: {name}}}\n\
             spec: {{type: LoadBalancer, loadBalancerClass: portolan.dev/mock, ports: {ports}}}\n"
        )
    };
    let record = "kind: LoadBalancerRecord\nmetadata: {name: bad, uid: r, resourceVersion: \"1\"}\n\
                  spec: {class: portolan.dev/mock, provider: mock, members: [{claimedBy: Class, uid: bad, namespace: default, name: bad}]}\n";
    let documents = [
        service("first", "[{port: 80}]"),
        service("bad", "80"),
        "kind: Service\nmetadata: [\n".to_owned(),
        "just a text\n".to_owned(),
        "kind: List\nitems: [{apiVersion: v1, kind: Node, spec: 5}, {apiVersion: v1, kind: Node, metadata: {name: node-a}}]\n".to_owned(),
        record.to_owned(),
        service("last", "[{port: 80}]"),
    ];
    fs::write(&manifest, documents.join("---\n")).unwrap();
    let plan = folder.plan(&manifest, "", "");
    assert!(plan.contains("default/first: Claimed") && plan.contains("default/last: Claimed"), "{plan}");
    assert!(plan.contains("default/bad: Unreadable"), "what is there is not gone: {plan}");
    assert!(!plan.contains("delete record"), "{plan}");
    assert!(!plan.contains("nothing to do"), "where there are steps there is: {plan}");
    assert_eq!(folder.code.get(), ExitCode::FAILURE);

    let objects = Objects::from_files(&[manifest]).unwrap();
    assert_eq!((objects.unreadable, objects.services.len(), objects.nodes.len()), (4, 2, 1));

    let good = folder.path.join("good.yaml");
    fs::write(&good, service("first", "[{port: 80}]")).unwrap();
    folder.plan(&good, "", "");
    assert_eq!(folder.code.get(), ExitCode::SUCCESS);
}

#[test]
fn who_waits_for_an_address_has_a_place_in_line_in_the_order_of_creation() {
    let folder = Folder::new("line");
    let [config, all] = ["config.yaml", "all.yaml"].map(|file| folder.path.join(file));
    fs::write(&config, METAL).unwrap();
    let mut text =
        "apiVersion: portolan.dev/v1alpha1\nkind: AddressPool\nmetadata: {name: lan, uid: p, resourceVersion: \"1\"}\n\
                    spec: {addresses: [192.0.2.1/32]}\n"
            .to_owned();
    // By name they would come in another order.
    for (minute, name) in [(3, "a"), (1, "b"), (2, "c")] {
        text.push_str(&format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default, uid: {name}, resourceVersion: \"1\", \
             creationTimestamp: \"2026-01-01T00:0{minute}:00Z\"}}\n\
             spec: {{type: LoadBalancer, loadBalancerClass: portolan.dev/metal, ports: [{{port: 80}}], ipFamilies: [IPv4], \
             ipFamilyPolicy: SingleStack, clusterIPs: [10.0.0.{minute}]}}\n"
        ));
    }
    fs::write(&all, text).unwrap();
    let plan = |output| {
        let mut out = Vec::new();
        run(&arguments(&config, &all, None, output), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let text = plan(Format::Text);
    let told: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("default/") || line.contains("waits") || line.contains("ClaimAddress"))
        .collect();
    assert_eq!(
        told,
        [
            "default/a: Claimed (class portolan.dev/metal)",
            "  waits: pool lan, place 2 of 2",
            "default/b: Claimed (class portolan.dev/metal)",
            "  then, when the pools have answered: ClaimAddress: create VirtualIP 192.0.2.1 for Service default/b out of pool lan",
            "default/c: Claimed (class portolan.dev/metal)",
            "  waits: pool lan, place 1 of 2",
        ],
        "{text}"
    );
    let all: Value = serde_json::from_str(&plan(Format::Json)).unwrap();
    let waits: Vec<&Value> = all.as_array().unwrap().iter().map(|one| &one["waits"]).collect();
    let place = |place: usize| json!([{"pool": "lan", "place": place, "of": 2}]);
    assert_eq!(waits, [&place(2), &Value::Null, &place(1)]);
}

/// A configuration with pools.
const METAL: &str =
    "apiVersion: portolan.dev/v1alpha1\nkind: Configuration\nclasses:\n- {name: portolan.dev/metal, provider: metal}\n";

fn arguments(config: &Path, files: &Path, edits: Option<&Path>, output: Format) -> PlanArguments {
    PlanArguments {
        files: vec![files.to_owned()],
        edits: edits.map(Path::to_owned).into_iter().collect(),
        lease_namespace: "kube-system".to_owned(),
        cluster: connect::ClusterArguments { kubeconfig: None, context: None },
        config: Some(config.to_owned()),
        output,
    }
}

/// Two nodes with a speaker each, an address on either.
fn site() -> String {
    let mut text = fs::read_to_string("testdata/metal/plan/site.yaml").unwrap();
    for (number, node, heir) in [(1, "node-a", "node-b"), (2, "node-b", "node-a")] {
        let each = fs::read_to_string("testdata/metal/plan/each.yaml").unwrap();
        text.push_str(&each.replace("NUMBER", &number.to_string()).replace("NODE", node).replace("HEIR", heir));
    }
    text
}

/// What is planned of it with this edit.
fn edited(name: &str, site: &str, edit: &str) -> Result<String, String> {
    let folder = Folder::new(name);
    let [config, all, with] = ["config.yaml", "all.yaml", "with.yaml"].map(|file| folder.path.join(file));
    fs::write(&config, METAL).unwrap();
    fs::write(&all, site).unwrap();
    fs::write(&with, edit).unwrap();
    let arguments = arguments(&config, &all, (!edit.is_empty()).then_some(with.as_path()), Format::Text);
    let mut out = Vec::new();
    run(&arguments, &mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

/// What would become of the addresses.
fn moves(name: &str, edit: &str) -> Result<Vec<String>, String> {
    Ok(moves_of(&edited(name, &site(), edit)?))
}

fn moves_of(plan: &str) -> Vec<String> {
    plan.lines().filter(|line| line.starts_with("moves ")).map(str::to_owned).collect()
}

#[test]
fn what_an_edit_would_move_is_told_with_the_reason() {
    assert_eq!(moves("moves-none", ""), Ok(Vec::new()), "all is where it is to be");
    let drained = "apiVersion: v1\nkind: Node\nmetadata: {name: node-b, annotations: {portolan.dev/drain: \"true\"}}\n";
    assert_eq!(
        moves("moves-drain", drained),
        Ok(vec![
            "moves 198.51.100.2: node-b -> node-a, because node-b is drained (annotation portolan.dev/drain)"
                .to_owned()
        ])
    );
    let elsewhere =
        "apiVersion: portolan.dev/v1alpha1\nkind: L2Advertisement\nmetadata: {name: lan}\nspec: {interfaces: [lan9]}\n";
    let nobody = moves("moves-nobody", elsewhere).unwrap();
    assert_eq!(nobody.len(), 2, "{nobody:?}");
    assert!(nobody.iter().all(|line| line.contains("-> nobody") && line.contains("interfaces")), "{nobody:?}");
    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: web-1}\nspec: {type: LoadBalancer, ports: [{port: 80}]}\n";
    assert!(moves("moves-service", service).unwrap_err().contains("--with takes"));
}

fn pool(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: AddressPool\nmetadata: {{name: lan{metadata}}}\nspec: {{{spec}}}\n"
    )
}

#[test]
fn a_pool_that_would_shrink_or_drain_moves_nobody_and_gives_no_more() {
    let late = "---\napiVersion: v1\nkind: Service\nmetadata: {name: late, namespace: default, uid: late}\n\
                spec: {type: LoadBalancer, loadBalancerClass: portolan.dev/metal, clusterIPs: [10.96.0.9], ipFamilies: [IPv4], \
                ports: [{port: 80}]}\n";
    let site = site() + late;
    let claims =
        |address: &str| format!("ClaimAddress: create VirtualIP {address} for Service default/late out of pool lan");
    for (name, spec, given, waits) in [
        ("same", "addresses: [198.51.100.0/28]", Some("198.51.100.0"), false),
        ("renumbered", "addresses: [203.0.113.0/28]", Some("203.0.113.0"), false),
        ("shrunk", "addresses: [198.51.100.1/32]", None, true),
        ("draining", "addresses: [198.51.100.0/28], draining: true", None, false),
    ] {
        let plan = edited(&format!("pool-{name}"), &site, &pool("", spec)).unwrap();
        assert_eq!(moves_of(&plan), Vec::<String>::new(), "{name}: {plan}");
        assert!(given.is_none_or(|address| plan.contains(&claims(address))), "{name}: {plan}");
        let claimed = usize::from(given.is_some());
        assert_eq!(
            plan.matches("Address: ").count(),
            claimed,
            "of nobody else anything is asked or given back: {plan}"
        );
        assert_eq!(plan.contains("waits: pool lan, place 1 of 1"), waits, "{name}: {plan}");
    }
}

#[test]
fn a_pool_whose_labels_would_change_moves_to_where_the_advertisements_of_its_new_labels_allow() {
    let north = "ipAddressPoolSelectors: [{matchLabels: {site: north}}]";
    let south = "---\napiVersion: portolan.dev/v1alpha1\nkind: L2Advertisement\nmetadata: {name: south}\n\
                 spec: {ipAddressPoolSelectors: [{matchLabels: {site: south}}], nodeSelectors: [{matchLabels: {rack: r1}}]}\n";
    let site = site()
        .replace("spec: {}", &format!("spec: {{{north}}}"))
        .replace(
            "metadata: {name: lan}\nspec: {addresses",
            "metadata: {name: lan, labels: {site: north}}\nspec: {addresses",
        )
        .replace("kind: Node\nmetadata: {name: node-a}", "kind: Node\nmetadata: {name: node-a, labels: {rack: r1}}")
        + south;
    let moves = |name: &str, metadata: &str| {
        moves_of(&edited(name, &site, &pool(metadata, "addresses: [198.51.100.0/28]")).unwrap())
    };
    assert_eq!(moves("labels-same", ", labels: {site: north}"), Vec::<String>::new());
    let why = |node: &str| format!("because {node} is not selected by an L2Advertisement of this pool and Service");
    assert_eq!(
        moves("labels-south", ", labels: {site: south}"),
        [format!("moves 198.51.100.2: node-b -> node-a, {}", why("node-b"))]
    );
    let nobody = [(1, "node-a"), (2, "node-b")]
        .map(|(number, node)| format!("moves 198.51.100.{number}: {node} -> nobody, {}", why(node)));
    assert_eq!(moves("labels-none", ""), nobody);
}
