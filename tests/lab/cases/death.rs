//! A lab in the lab, which dies: whatever the signal, nothing of it is left, neither a process nor a wire.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cluster::Lab;
use crate::enclosure;
use crate::harness::{SOON, eventually};
use crate::network;
use crate::process::Process;

pub(super) fn a_lab_that_is_interrupted_leaves_nothing(lab: &Lab) {
    // As a terminal does: the whole group.
    dies(lab, "interrupted", &|up| {
        let group = format!("-{}", up.pid());
        assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    });
}

pub(super) fn a_lab_that_is_killed_leaves_nothing(lab: &Lab) {
    dies(lab, "killed", &Process::kill);
}

fn dies(lab: &Lab, name: &str, end: &dyn Fn(&Process)) {
    let said = lab.server.folder.join(format!("up-{name}.log"));
    let log = File::create(&said).unwrap();
    let mut up = Command::new(std::env::current_exe().unwrap());
    up.arg("up").env_remove("PORTOLAN_LAB_PID").process_group(0);
    let up = Process::spawn(up.stdout(log.try_clone().unwrap()).stderr(log)).unwrap();
    eventually("the other lab stands", SOON, || {
        let text = fs::read_to_string(&said).unwrap();
        if text.contains("The lab stands") { Ok(()) } else { Err(text) }
    });
    let running = |name: &str| -> Vec<u32> {
        strangers().into_iter().filter(|(_, program)| program == name).map(|(pid, _)| pid).collect()
    };
    let proxies = running("kube-proxy");
    assert_eq!(proxies.len(), 3, "its processes are seen from here: {:?}", strangers());
    assert_eq!(running("portolan").len(), 4, "a controller and three speakers: {:?}", strangers());
    // The kernel ends a namespace with all wires into it when nothing holds it any more, and with a wire its other end, here.
    for (number, pid) in proxies.iter().enumerate() {
        network::ip(None, &format!("link add thread{number} type veth peer name thread netns {pid}"));
    }
    assert_eq!(threads().len(), 3);

    end(&up);
    assert!(up.wait(Duration::from_secs(10)).is_some());
    eventually("no process is left", SOON, || nothing(strangers()));
    eventually("no namespace is left", SOON, || nothing(threads()));
}

fn nothing<T: std::fmt::Debug>(left: Vec<T>) -> Result<(), String> {
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
}

/// The processes in other process namespaces that are seen from here, which are those of labs in the lab, and their programs' names. One that
/// has ended and waits for its parent to hear of it holds nothing any more.
fn strangers() -> Vec<(u32, String)> {
    let own = fs::read_link("/proc/self/ns/pid").unwrap();
    let pids =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let namespace = fs::read_link(format!("/proc/{pid}/ns/pid")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        (namespace != own && !field("State:")?.starts_with('Z')).then_some((pid, field("Name:")?))
    })
    .collect()
}

fn threads() -> Vec<String> {
    let links = fs::read_to_string("/proc/net/dev").unwrap();
    let names = links.lines().filter_map(|line| line.split(':').next()).map(|name| name.trim().to_owned());
    names.filter(|name| name.starts_with("thread")).collect()
}
