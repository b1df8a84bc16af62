//! Least privilege: no request of controller or speakers is refused, which the runner looks after in each case, and speakers are given
//! nothing in vain. (Of the controller the suite holds that: `tests/suite/privilege.rs`.)

use std::time::Duration;

use serde_json::json;

use crate::arrival::leads_to;
use crate::cluster::Lab;
use crate::harness::{SOON, eventually};
use crate::network::NODES;
use crate::portolan::{SPEAKER, given};

pub(super) fn speakers_have_no_right_that_they_do_not_use(lab: &'static Lab) {
    let portolan = lab.portolan();
    let namespace = lab.namespace("privilege");
    lab.web(&namespace, 1);
    let vips = portolan.serve(&namespace, "web", json!({}));
    portolan.advertise(&namespace, &[NODES[0]]);
    vips.iter().for_each(|vip| leads_to(*vip, NODES[0]));
    portolan.await_applied(NODES[0], &vips);
    // A watch is in the audit log when it has ended.
    let speaker = portolan.speaker(NODES[0]);
    speaker.signal("TERM");
    assert!(speaker.wait(Duration::from_secs(10)).is_some_and(|status| status.success()));
    let mut given = given("rbac-speaker.yaml");
    // What the server asks of who applies an object that is not there yet; the log has the verb of the request.
    assert!(given.remove("create speakerreports"));
    eventually("every right was used", SOON, || {
        let used = portolan.allowed(SPEAKER);
        if used == given { Ok(()) } else { Err(format!("given {given:?}\nused {used:?}")) }
    });
}
