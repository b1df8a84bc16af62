//! Needs: root (network namespaces), iproute2. The kernel on the other end of a wire resolves addresses that no interface here has.

#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "the wire has real time")]

mod filters;
mod interfaces;
mod proofs;
mod vlans;

use std::io;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::num::NonZeroU32;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use portolan_l2::answer::asked;
use portolan_l2::conflict::claimed;
use portolan_l2::{Frame, Input, Mac, Output, Responder, Time, filter};
use portolan_sys::packet::Protocol;
use portolan_sys::{Groups, PacketSocket};

/// Two namespaces with a wire between them: `here`, and `there` with addresses.
struct Wire {
    name: String,
}

impl Wire {
    /// None where namespaces cannot be made, which is said.
    fn lay(name: &str) -> Option<Self> {
        let wire = Self { name: format!("pt-{}-{name}", std::process::id()) };
        let (here, there) = (wire.here(), wire.there());
        if !can_make(&here) {
            eprintln!("SKIPPED: network namespaces need root and ip of iproute2");
            return None;
        }
        ip(&["netns", "add", &there]);
        ip(&["-n", &here, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", &there]);
        for side in [&here, &there] {
            ip(&["-n", side, "link", "set", "wire", "up"]);
        }
        ip(&["-n", &there, "addr", "add", "198.51.100.1/24", "dev", "wire"]);
        ip(&["-n", &there, "addr", "add", "2001:db8:51::1/64", "dev", "wire", "nodad"]);
        Some(wire)
    }

    fn here(&self) -> String {
        format!("{}-here", self.name)
    }

    fn there(&self) -> String {
        format!("{}-there", self.name)
    }

    /// What the kernel there knows of an address: the station, if any.
    fn known(&self, address: IpAddr) -> Option<String> {
        let text = ip(&["-n", &self.there(), "neigh", "show", &address.to_string(), "dev", "wire"]);
        let mut words = text.split_whitespace().skip_while(|word| *word != "lladdr");
        words.nth(1).map(str::to_owned)
    }

    /// Has the kernel there send something to an address.
    fn sends_to(&self, address: IpAddr) {
        within(&self.there(), move || {
            let own: IpAddr = if address.is_ipv4() { "198.51.100.1" } else { "2001:db8:51::1" }.parse().unwrap();
            UdpSocket::bind((own, 0)).unwrap().send_to(b"?", (address, 9)).unwrap();
        });
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for side in [self.here(), self.there()] {
            let _ = Command::new("ip").args(["netns", "del", &side]).status();
        }
    }
}

/// A namespace of this name is there now, unless none can be made here: without root, without iproute2, or in a container without the right.
fn can_make(namespace: &str) -> bool {
    Command::new("ip").args(["netns", "add", namespace]).output().is_ok_and(|output| output.status.success())
}

fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("ip of iproute2");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs it in a namespace, in a thread of its own.
fn within<T: Send + 'static>(namespace: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let file = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
    let thread = std::thread::spawn(move || {
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(kind)).unwrap();
        work()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn index(interface: &str) -> NonZeroU32 {
    let shown = ip(&["-o", "link", "show", interface]);
    shown.split(':').next().unwrap().trim().parse().unwrap()
}

fn mac(interface: &str) -> Mac {
    let shown = ip(&["-o", "link", "show", interface]);
    let text = shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap().to_owned();
    let octets: Vec<u8> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
    Mac(octets.try_into().unwrap())
}

/// Those of a speaker, for ARP and for neighbour discovery, through which from the beginning only comes what concerns these.
fn open(vips: &[IpAddr]) -> [PacketSocket; 2] {
    let program = filter::program(vips.iter().copied(), filter::PREFIXES);
    [Protocol::Arp, Protocol::Ipv6].map(|protocol| PacketSocket::open(index("wire"), protocol, &program).unwrap())
}

/// A speaker with one thread: answers for these until it is told to stop, or has found out as much as is awaited; the frames that the kernel has let through, and what was found out.
fn answers(vips: Vec<IpAddr>, ask: bool, awaited: usize, stop: &mpsc::Receiver<()>) -> (Vec<Frame>, Vec<Output>) {
    answers_at(&open(&vips), vips, ask, awaited, stop)
}

fn answers_at(
    sockets: &[PacketSocket; 2],
    vips: Vec<IpAddr>,
    ask: bool,
    awaited: usize,
    stop: &mpsc::Receiver<()>,
) -> (Vec<Frame>, Vec<Output>) {
    let interface = index("wire");
    let mut groups = Groups::new(interface);
    let mut responder = Responder::new(mac("wire"));
    let start = Instant::now();
    let now = || Time::at(start.elapsed());
    let (mut frames, mut outputs, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for vip in vips {
        responder.step(now(), &Input::Announced { vip, ask }, &mut outputs);
    }
    loop {
        for output in outputs.drain(..) {
            match output {
                Output::Send(frame) => {
                    let [arp, _] = sockets;
                    arp.send(&frame.write()).unwrap();
                }
                Output::Join(group) => groups.join(group).unwrap(),
                Output::Leave(group) => groups.leave(group).unwrap(),
                found_out @ (Output::Answering(_)
                | Output::Taken { .. }
                | Output::Yielded { .. }
                | Output::Silent(_)) => found.push(found_out),
            }
        }
        if stop.try_recv().is_ok() || found.len() >= awaited {
            return (frames, found);
        }
        for socket in sockets {
            let mut room = [0; 256];
            match socket.receive(&mut room) {
                Ok(octets) => {
                    let frame = Frame::read(octets).unwrap();
                    responder.step(now(), &Input::Received(&frame), &mut outputs);
                    frames.push(frame);
                }
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        responder.step(now(), &Input::TimePassed, &mut outputs);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Has a speaker answer for these while something is done.
fn while_answering(wire: &Wire, vips: &[&str], ask: bool, work: impl FnOnce()) -> (Vec<Frame>, Vec<Output>) {
    let vips: Vec<IpAddr> = vips.iter().map(|vip| vip.parse().unwrap()).collect();
    let (tell, told) = mpsc::channel();
    let (say, said) = mpsc::channel();
    let here = wire.here();
    let speaker = std::thread::spawn(move || {
        within(&here, move || {
            let sockets = open(&vips);
            say.send(()).unwrap();
            answers_at(&sockets, vips, ask, usize::MAX, &told)
        })
    });
    // What is asked before does not arrive, and a kernel that asks in vain soon gives up.
    said.recv().unwrap();
    work();
    tell.send(()).unwrap();
    speaker.join().unwrap()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_kernel_resolves_an_address_that_no_interface_has() {
    let Some(wire) = Wire::lay("resolve") else { return };
    let ours = within(&wire.here(), || mac("wire")).to_string();
    let vips = ["198.51.100.10", "2001:db8:51::10"];
    while_answering(&wire, &vips, false, || {
        for vip in vips {
            let vip: IpAddr = vip.parse().unwrap();
            wire.sends_to(vip);
            eventually(&format!("{vip} is known"), || wire.known(vip).as_deref() == Some(&ours));
        }
    });
}

#[test]
fn what_does_not_concern_an_address_does_not_wake_us() {
    let Some(wire) = Wire::lay("quiet") else { return };
    let ours: IpAddr = "198.51.100.10".parse().unwrap();
    let (frames, _) = while_answering(&wire, &["198.51.100.10", "2001:db8:51::10"], false, || {
        for n in 20..40 {
            wire.sends_to(format!("198.51.100.{n}").parse().unwrap());
            wire.sends_to(format!("2001:db8:51::{n}").parse().unwrap());
        }
        wire.sends_to(ours);
        eventually("the last one is known", || wire.known(ours).is_some());
    });
    // A kernel that was kept waiting asks again.
    let about = |frame: &Frame| asked(frame).or(claimed(frame).map(|(address, _)| address));
    let others: Vec<&Frame> = frames.iter().filter(|frame| about(frame) != Some(ours)).collect();
    assert!(!frames.is_empty() && others.is_empty(), "questions for the address, and nothing else: {others:?}");
}

#[test]
fn an_address_that_the_kernel_there_has_is_found_taken() {
    let Some(wire) = Wire::lay("taken") else { return };
    let theirs = within(&wire.there(), || mac("wire"));
    for vip in ["198.51.100.1", "2001:db8:51::1"] {
        let vip: IpAddr = vip.parse().unwrap();
        let (_tell, told) = mpsc::channel();
        let (_, found) = within(&wire.here(), move || answers(vec![vip], true, 1, &told));
        assert_eq!(found, [Output::Taken { vip, by: theirs }]);
    }
}

#[test]
fn ten_thousand_groups_can_be_joined() {
    let Some(wire) = Wire::lay("groups") else { return };
    within(&wire.here(), || {
        let mut groups = Groups::new(index("wire"));
        let group = |n: u16| Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (n >> 8), n << 8 | 7);
        (0..10_000).for_each(|n| groups.join(group(n)).unwrap());
        let joined =
            || ip(&["-6", "maddr", "show", "dev", "wire"]).lines().filter(|line| line.contains("ff02::1:ff")).count();
        assert!(joined() >= 10_000, "{}", joined());
        (0..10_000).for_each(|n| groups.leave(group(n)).unwrap());
        assert!(joined() < 10, "{}", joined());
    });
}

#[test]
fn groups_that_were_refused_and_groups_that_the_kernel_has_forgotten_are_joined_once_it_has_ipv6_there_again() {
    let Some(wire) = Wire::lay("forgotten") else { return };
    within(&wire.here(), || {
        let [early, late] = ["ff02::1:ff00:10", "ff02::1:ff00:11"].map(|text| text.parse::<Ipv6Addr>().unwrap());
        let is_member = |group: Ipv6Addr| {
            ip(&["-6", "maddr", "show", "dev", "wire"]).split_whitespace().any(|word| word == group.to_string())
        };
        let mut groups = Groups::new(index("wire"));
        groups.join(early).unwrap();
        assert!(is_member(early) && !groups.lacks_some());
        // Less than any link of IPv6 has (RFC 8200 section 5): the kernel takes IPv6 away.
        ip(&["link", "set", "wire", "mtu", "1000"]);
        groups.join(late).unwrap_err();
        groups.join_missing().unwrap_err();
        assert!(groups.lacks_some());
        ip(&["link", "set", "wire", "mtu", "1500"]);
        groups.join_missing().unwrap();
        assert_eq!([early, late].map(is_member), [false, true], "it has forgotten what it had");
        groups.join_anew().unwrap();
        assert_eq!([early, late].map(is_member), [true; 2]);
        assert!(!groups.lacks_some());
        groups.leave(early).unwrap();
        assert_eq!([early, late].map(is_member), [false, true], "it is a member once");
    });
}
