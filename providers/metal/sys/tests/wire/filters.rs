//! Filters for scattered addresses, where the kernel has little memory for them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc;

use portolan_l2::filter::{self, PREFIXES};
use portolan_sys::PacketSocket;

use super::{Wire, answers_at, eventually, ip, mac, open, within};

/// What a kernel has by itself since Linux 6.8, before, and a fifth of that, in octets.
const ROOM: [usize; 3] = [131_072, 20_480, 4_096];

/// Far from the one before and the one after, in all words of an address.
fn scattered(n: u32) -> [IpAddr; 2] {
    let bits = n.wrapping_mul(2_654_435_761);
    let v6 = 0xfd00 << 112 | u128::from(bits) << 80 | u128::from(bits.rotate_left(16)) << 24 | u128::from(n);
    [Ipv4Addr::from_bits(0x0a00_0000 | bits >> 8).into(), Ipv6Addr::from_bits(v6).into()]
}

/// Within a namespace of its own, where this is a setting of each; false where it is the machine's.
fn has_room(octets: usize) -> bool {
    std::fs::write("/proc/sys/net/core/optmem_max", octets.to_string()).is_ok()
}

/// What concerns these comes through, in so many prefixes of each family.
fn narrow(sockets: &mut [PacketSocket; 2], vips: &[IpAddr]) -> [usize; 2] {
    let mut is_v4 = [true, false].into_iter();
    sockets.each_mut().map(|socket| {
        let family = is_v4.next();
        let of_family = || vips.iter().copied().filter(|vip| Some(vip.is_ipv4()) == family);
        socket.narrow(|most| filter::program(of_family(), most)).unwrap()
    })
}

#[test]
fn three_hundred_scattered_addresses_of_each_family_are_answered_for_also_after_a_change_however_little_room_there_is()
{
    let Some(wire) = Wire::lay("tight") else { return };
    ip(&["-n", &wire.there(), "route", "add", "10.0.0.0/8", "dev", "wire"]);
    ip(&["-n", &wire.there(), "route", "add", "fd00::/16", "dev", "wire"]);
    let station = within(&wire.here(), || mac("wire")).to_string();
    for (room, from) in ROOM.into_iter().zip([1, 1001, 2001]) {
        let (tell, told) = mpsc::channel();
        let (say, said) = mpsc::channel();
        let here = wire.here();
        let speaker = std::thread::spawn(move || {
            within(&here, move || {
                let addresses = |from: u32| (from..from + 300).flat_map(scattered).collect::<Vec<IpAddr>>();
                let is_set = has_room(room);
                let mut sockets = open(&[]);
                let fitted = narrow(&mut sockets, &addresses(from));
                // All but one are others, and then once more.
                let replaced = narrow(&mut sockets, &addresses(from + 299));
                let again = narrow(&mut sockets, &addresses(from + 1));
                say.send((is_set, fitted, replaced, again)).unwrap();
                // It is taken from groups that are joined, too.
                has_room(ROOM[0]);
                answers_at(&sockets, addresses(from + 1), false, usize::MAX, &told)
            })
        });
        let (is_set, fitted, replaced, again) = said.recv().unwrap();
        if is_set {
            let least = match room {
                131_072 => PREFIXES,
                20_480 => PREFIXES / 2,
                _ => 1,
            };
            assert!(fitted.iter().all(|prefixes| *prefixes >= least), "{fitted:?} in {room}");
            assert_eq!((replaced, again), (fitted, fitted), "in {room}: none was refused because of the one before");
        } else {
            eprintln!("the room is the machine's here, and left as it is");
        }
        for vip in [from + 1, from + 150, from + 300].into_iter().flat_map(scattered) {
            wire.sends_to(vip);
            eventually(&format!("{vip} is known"), || wire.known(vip).as_deref() == Some(&station));
        }
        tell.send(()).unwrap();
        speaker.join().unwrap();
    }
}
