//! Least privilege: speakers run as `deploy/` says, no request of controller or speakers is refused, which the runner looks after in each case, and
//! speakers are given nothing in vain. (Of the controller the suite holds that: `tests/suite/privilege.rs`.)

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::arrival::leads_to;
use crate::cluster::Lab;
use crate::harness::{SOON, eventually};
use crate::network::NODES;
use crate::portolan::{SPEAKER, given, security_context};

/// `CAP_NET_RAW` of capabilities(7), as a set.
const NET_RAW: u64 = 1 << 13;

pub(super) fn speakers_are_root_with_net_raw_alone_and_a_root_that_they_cannot_write(lab: &'static Lab) {
    let container = json!({
        "runAsUser": 0, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    assert_eq!(security_context(), container, "the filter of system calls is the container runtime's, and not here");
    let portolan = lab.portolan();
    for node in NODES {
        portolan.await_alive(node);
        let pid = portolan.speaker(node).pid();
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("it runs");
        assert_eq!(read("comm").trim(), "portolan");
        let status = read("status");
        let word = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_else(|| panic!("{status}"));
            line.split_whitespace().next().unwrap_or_default().to_owned()
        };
        let capabilities = |field: &str| u64::from_str_radix(&word(field), 16).expect("a set");
        for field in ["CapPrm:", "CapEff:", "CapBnd:"] {
            assert_eq!(capabilities(field), NET_RAW, "{field} of {status}");
        }
        assert_eq!(capabilities("CapAmb:") & !NET_RAW, 0, "{status}");
        assert_eq!((word("Uid:"), word("NoNewPrivs:")), ("0".to_owned(), "1".to_owned()));
        // What is mounted later on a place hides what was there.
        let text = read("mounts");
        let mounts: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
        let seen: BTreeMap<&str, &str> =
            mounts.iter().filter(|mount| mount[2] != "nsfs").map(|mount| (mount[1], mount[3])).collect();
        assert!(seen.contains_key("/"), "{text}");
        let is_writable = |options: &str| options.split(',').all(|option| option != "ro");
        let writable: Vec<_> = seen.into_iter().filter(|(_, options)| is_writable(options)).collect();
        assert!(writable.is_empty(), "{writable:?}");
        // By root with all capabilities, in its file system.
        for folder in ["/", "/tmp", "/run"] {
            let file = format!("{folder}/written-by-{}", node.name());
            let tried = Command::new("nsenter").args(["-m", "-t", &pid.to_string(), "touch", &file]).output();
            let tried = tried.expect("nsenter of util-linux");
            let said = String::from_utf8_lossy(&tried.stderr);
            assert!(!tried.status.success() && said.contains("Read-only file system"), "{file}: {said}");
        }
    }
    // The lab's own is as it was.
    std::fs::write("/run/written-by-the-lab", "").expect("the lab can write");
}

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
