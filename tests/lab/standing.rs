//! The lab that is left standing for a person: with a Service to try, and the commands that try it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use serde_json::json;

use crate::cluster::Lab;
use crate::enclosure::{folder, outside_pid};
use crate::harness::{SOON, eventually};
use crate::load::{Protocol, ask};
use crate::network::{FAR_CLIENT, NODES};
use crate::proxies::Mode;
use crate::server::assets;

/// Builds it, says what to try, and waits for the end. `iptables` among the arguments chooses that mode of kube-proxy.
pub(crate) fn stand(arguments: &[String]) -> ExitCode {
    let lab = Lab::build();
    if arguments.iter().any(|argument| argument == "iptables") {
        lab.proxy_mode(Mode::Iptables);
    }
    let portolan = lab.portolan();
    let namespace = lab.namespace("try");
    lab.web(&namespace, 3);
    portolan.advertise_everything();
    let vips = portolan.serve(&namespace, "web", json!({}));
    let owners = vips.map(|vip| portolan.await_owner(vip, &NODES));
    for vip in vips {
        // What is said below is true from then on.
        eventually("the addresses answer", SOON, || ask(FAR_CLIENT, Protocol::Tcp, vip, "hostname"));
    }
    let enter = write_enter(lab);
    let ([v4, v6], owner) = (vips, owners[0].name());
    println!(
        "\nThe lab stands: nodes node-1, node-2, node-3, with Portolan's controller and speakers; client on their LAN, router, far-client\n\
         beyond it. Ctrl-C ends it and leaves nothing.\n\
         In another terminal, as root; {enter} PLACE COMMAND runs a command there, control is where the API server is:\n\n  \
         E={enter}\n  \
         $E control kubectl get services,virtualips,addresspools,l2advertisements,speakerreports -A\n  \
         $E client curl -s http://{v4}/hostname                 # through {owner} to one of three pods\n  \
         $E far-client curl -s 'http://[{v6}]/clientip'\n  \
         $E client ip neigh show {v4}                    # whose station that is\n  \
         $E lan tcpdump -n -i lan arp or icmp6                  # all that passes on the LAN; see what happens at\n  \
         $E control kubectl annotate node {owner} portolan.dev/drain=true    # its addresses go; portolan.dev/drain- allows them again\n  \
         $E control kubectl -n try expose deployment web --name=second --type=LoadBalancer --port=80 --target-port=8080\n  \
         $E control kubectl -n try get service second           # it has no class, and gets an address of the default one\n  \
         $E control kubectl explain l2advertisement.spec        # where it may be announced; that there is one, for all, is called lan\n  \
         $E control kubectl drain node-2 && $E control kubectl uncordon node-2\n  \
         $E node-1 nft list table ip kube-proxy\n  \
         $E node-1 bash                                         # KUBECONFIG and NODE_NAME are set\n",
        enter = enter.display(),
    );
    // Who waits for this line in a pipe gets it.
    let _ = std::io::stdout().flush();
    loop {
        std::thread::park();
    }
}

/// Says why there can be none here.
pub(crate) fn refuse(reason: &str) -> ExitCode {
    eprintln!("the lab cannot stand here: {reason}");
    ExitCode::FAILURE
}

/// Writes the script that runs a command in the lab from outside.
fn write_enter(lab: &Lab) -> std::path::PathBuf {
    let script = folder().join("enter");
    let kubeconfig = lab.kubeconfig("admin");
    let assets = assets().expect("the lab stands");
    let text = format!(
        "#!/bin/sh\n# PLACE COMMAND...: runs a command in the lab of process {pid}. Needs root.\n\
         place=$1; shift\n\
         inside=$(cat /proc/{pid}/task/{pid}/children) || {{ echo 'this lab is gone' >&2; exit 1; }}\n\
         export KUBECONFIG={kubeconfig} PATH={assets}:$PATH NODE_NAME=\"$place\"\n\
         [ \"$place\" = control ] || set -- ip netns exec \"$place\" \"$@\"\n\
         exec nsenter --target \"${{inside%% *}}\" --mount --net --pid \"$@\"\n",
        pid = outside_pid(),
        kubeconfig = kubeconfig.display(),
        assets = assets.display(),
    );
    fs::write(&script, text).expect("the lab's folder can be written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("its own file");
    script
}
