//! Least privilege: of what `deploy/rbac-metal.yaml` gives, nothing is too much.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::case::real_without_neighbours;

const REPORTS: &str = "/apis/portolan.dev/v1alpha1/speakerreports";

#[test]
fn every_right_that_pools_need_is_used() {
    real_without_neighbours(|world| {
        let kind = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "portolan.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        // Of a node that is gone, and an address that is there before its Service.
        let report = json!({"appliedVersion": 0, "stations": {}});
        let gone = format!("{}-gone", world.namespace);
        world.api.create(REPORTS, &kind("SpeakerReport", &gone, report));
        let reserved = json!({"reservedFor": {"namespace": world.namespace, "name": "web"}});
        world.api.create(VIPS, &kind("VirtualIP", "10.77.43.1", reserved));
        let pool = Pool::new(world, "", json!({"addresses": ["10.77.43.0/30"]}));
        let setup = setup(world);
        let controller = setup.start();
        create(world, "web", annotated("portolan.dev/load-balancer-ips", "10.77.43.1"));
        has(world, "web", &["10.77.43.1"]);
        create(world, "other", json!({}));
        world.addressed("other");
        world.delete("other");
        world.gone("other");
        pool.becomes("one is assigned", |status| status["assigned"] == 1);
        eventually("its report is gone", SOON, || match world.api.get(&format!("{REPORTS}/{gone}")) {
            None => Ok(()),
            Some(report) => Err(report.to_string()),
        });
        // The log has a watch once that has ended.
        drop(controller);

        let given: BTreeSet<String> =
            rights::pools_roles().iter().flat_map(rights::rights).map(|right| right.to_string()).collect();
        eventually("each is used", SOON, || {
            let used = world.allowed(&setup.user);
            let unused: Vec<&String> = given.difference(&used).collect();
            if unused.is_empty() { Ok(()) } else { Err(format!("{unused:?}")) }
        });
        world.api.delete(&format!("{VIPS}/10.77.43.1"));
    });
}
