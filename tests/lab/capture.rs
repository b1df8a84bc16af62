//! Frames at an interface, with the kernel's time of each: tcpdump writes them to a file (which wireshark opens), a case reads it.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::eventually;
use crate::network::{Place, command};
use crate::process::Process;
use crate::sighting::{self, Said, Sighting};

/// A frame and when it passed, since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    pub(crate) at: Duration,
    /// With its Ethernet header.
    pub(crate) octets: Vec<u8>,
}

/// A capture under way; it ends with this.
pub(crate) struct Capture {
    file: PathBuf,
    _tcpdump: Process,
}

impl Capture {
    /// Captures what passes an interface, as far as the filter (`pcap-filter`(7)) lets it; from now on: when this returns, it has begun.
    pub(crate) fn start(place: Place, interface: &str, filter: &str, file: PathBuf) -> Self {
        let said = file.with_extension("log");
        let log = fs::File::create(&said).expect("the lab's folder can be written");
        let mut tcpdump = command(place, "tcpdump");
        tcpdump
            // Each frame is written when it comes; nanoseconds; and as root, for the folder is root's.
            .args(["--immediate-mode", "-U", "-n", "--time-stamp-precision=nano", "-Z", "root", "-i", interface, "-w"])
            .arg(&file)
            .arg(filter)
            .stdout(Stdio::null())
            .stderr(log);
        let tcpdump = Process::spawn(&mut tcpdump).expect("tcpdump starts");
        eventually("tcpdump listens", Duration::from_secs(20), || {
            let text = fs::read_to_string(&said).unwrap_or_default();
            if text.contains("listening on") && file.exists() { Ok(()) } else { Err(text) }
        });
        Self { file, _tcpdump: tcpdump }
    }

    /// What has passed so far.
    pub(crate) fn frames(&self) -> Vec<Captured> {
        read(&fs::read(&self.file).unwrap_or_default())
    }

    /// Waits until something has been said of an address; the first time it was.
    pub(crate) fn await_sighting(&self, said: Said, of: IpAddr) -> Sighting {
        eventually(&format!("{of} is {said:?} on the wire"), Duration::from_secs(20), || {
            let seen = sighting::of(of, &self.frames());
            seen.iter().find(|sighting| sighting.said == said).cloned().ok_or(format!("{seen:?}"))
        })
    }
}

/// A capture file with nanoseconds, of this machine's byte order (draft-ietf-opsawg-pcap); of a record half written nothing.
fn read(file: &[u8]) -> Vec<Captured> {
    let mut frames = Vec::new();
    let Some((header, mut rest)) = file.split_at_checked(24) else { return frames };
    assert_eq!(header[..4], 0xa1b2_3c4d_u32.to_ne_bytes(), "a capture file with nanoseconds");
    while let Some((record, after)) = rest.split_at_checked(16) {
        let word = |at: usize| u32::from_ne_bytes(record[at..at + 4].try_into().expect("four octets"));
        let Some((octets, next)) = after.split_at_checked(word(8) as usize) else { break };
        frames.push(Captured { at: Duration::new(word(0).into(), word(4)), octets: octets.to_vec() });
        rest = next;
    }
    frames
}
