//! What is read off a run: requests from the audit log, time and memory from the kernel.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::server::Server;

/// Longer than the server takes to write its log after an answer, and than a pass takes that writes nothing for a while.
const QUIET: Duration = Duration::from_secs(2);

/// The requests of one user, counted as the audit log grows: it is too long to be read anew each time.
pub(crate) struct Tally {
    log: BufReader<File>,
    marker: String,
    line: Vec<u8>,
    /// Requests that write, leases excluded, whatever the answer.
    pub(crate) writes: usize,
    /// Of each kind, watches and lists excluded.
    pub(crate) kinds: BTreeMap<String, usize>,
    /// Writes of each Lease, by its name.
    pub(crate) leases: BTreeMap<String, usize>,
    /// When the server received the first write of each Service's status, by name.
    pub(crate) published: HashMap<String, SystemTime>,
}

impl Tally {
    pub(crate) fn new(server: &Server, user: &str) -> Self {
        let log = File::open(server.folder.join("audit.log")).expect("the server writes an audit log");
        let marker = format!("\"username\":\"{user}\"");
        Self {
            log: BufReader::new(log),
            marker,
            line: Vec::new(),
            writes: 0,
            kinds: BTreeMap::new(),
            leases: BTreeMap::new(),
            published: HashMap::new(),
        }
    }

    /// All requests counted so far.
    pub(crate) fn requests(&self) -> usize {
        self.kinds.values().sum()
    }

    /// Waits until the user has asked for nothing more for a while.
    pub(crate) fn settle(&mut self) {
        loop {
            let before = self.requests();
            std::thread::sleep(QUIET);
            self.read();
            if self.requests() == before {
                return;
            }
        }
    }

    /// What one of so many has cost.
    pub(crate) fn per(&self, number: usize) -> Requests {
        let each = |count: &usize| *count as f64 / number as f64;
        Requests {
            writes: each(&self.writes),
            kinds: self.kinds.iter().map(|(kind, count)| (kind.clone(), each(count))).collect(),
        }
    }

    /// Counts what the log has more by now.
    pub(crate) fn read(&mut self) {
        // A line that is being written is read when it is whole.
        while self.log.read_until(b'\n', &mut self.line).unwrap() > 0 && self.line.ends_with(b"\n") {
            let line = String::from_utf8_lossy(&self.line).into_owned();
            self.line.clear();
            if line.contains(&self.marker) {
                self.count(&serde_json::from_str(&line).unwrap());
            }
        }
    }

    fn count(&mut self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (verb, object) = (text(&event["verb"]), &event["objectRef"]);
        let resource = text(&object["resource"]);
        if resource == "leases" && !["get", "list", "watch"].contains(&verb.as_str()) {
            *self.leases.entry(text(&object["name"])).or_default() += 1;
        }
        if resource.is_empty() || resource == "leases" || ["watch", "list"].contains(&verb.as_str()) {
            return;
        }
        if verb != "get" {
            self.writes += 1;
        }
        if verb != "get" && resource == "services" && object["subresource"] == "status" {
            let received: jiff::Timestamp = text(&event["requestReceivedTimestamp"]).parse().unwrap();
            self.published.entry(text(&object["name"])).or_insert_with(|| received.into());
        }
        let answer = event["responseStatus"]["code"].as_u64().unwrap_or_default();
        let subresource = object["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
        *self.kinds.entry(format!("{verb} {resource}{subresource} {answer}")).or_default() += 1;
    }
}

/// Requests a Service.
#[derive(Default)]
pub(crate) struct Requests {
    pub(crate) writes: f64,
    kinds: Vec<(String, f64)>,
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} writes a Service", self.writes)?;
        self.kinds.iter().try_for_each(|(kind, each)| write!(f, "; {kind}: {each:.2}"))
    }
}

/// Peak resident memory in MB.
pub(crate) fn peak_memory(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// CPU time so far, user and system (clock ticks are 10 ms on Linux).
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
