//! A report that somebody has edited by hand.

use super::*;

#[test]
fn what_somebody_makes_of_a_report_by_hand_does_not_stay() {
    let Some(lan) = Lan::lay("edited", &["client", "node-a"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let api = Api::start(&lan, &kubeconfig);
    let version = api.rank(1, &["node-a"])[1];
    let _a = Speaker::start(&lan, "node-a", &kubeconfig);
    let report = eventually("node-a reports", || {
        let report = api.report("node-a");
        let is_whole = report["spec"]["appliedVersion"] == version && report["spec"]["witness"].is_object();
        (is_whole && report["spec"]["forwarding"].is_string(), report)
    });
    let path = "/apis/portolan.dev/v1alpha1/speakerreports/node-a";
    let wrong = json!([{"reason": "NoInterface", "addresses": [V4]}]);
    for edit in [
        json!({"appliedVersion": 0, "nodeAddresses": ["198.51.100.77"], "stations": null}),
        json!({"stations": {"lan9": "02:00:00:00:00:99"}, "notAsRanked": wrong, "witness": null}),
        json!({"stations": {"lan0": "nonsense"}}),
    ] {
        api.request("PATCH", path, "application/merge-patch+json", &json!({"spec": edit}));
        eventually("it says what is so again", || {
            let again = api.report("node-a");
            (again["spec"] == report["spec"], (edit.clone(), again))
        });
    }
}
