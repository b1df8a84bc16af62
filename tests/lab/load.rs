//! Requests at a client, one after the other at a steady pace, none waiting for another: what came of each, when, and how long it took.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::harness::{SOON, eventually};
use crate::network::{CLIENT, FAR_CLIENT, Place, WITNESS, forget, inhabit, within};

/// After how long a request counts as unanswered. The kernel repeats a lost SYN after 1 s (RFC 6298), so a connection that lost a single
/// frame is over this, and counts as failed: nothing of an outage is hidden by repetition.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_millis(900);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A connection a request, and an HTTP request on it.
    Tcp,
    /// A socket a request, thus a source port of its own, and one datagram each way.
    Udp,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// When it was sent.
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    /// What was answered, or how it failed.
    pub(crate) outcome: Result<String, Failure>,
}

/// How a request failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// There was no connection, or no answer to the datagram: the client has reached nobody.
    Unreached(String),
    /// There was a connection, and it broke before the answer: what becomes of those under way when an address moves to a node whose
    /// kube-proxy does not know them.
    Broken(String),
}

/// Asks once: `hostname` is answered with the pod's name, `clientip` with the address that the pod saw, and its port.
pub(crate) fn ask(from: Place, protocol: Protocol, vip: IpAddr, question: &str) -> Result<String, String> {
    let (target, question) = (SocketAddr::new(vip, 80), question.to_owned());
    let asked = inhabit(from, move || runtime().block_on(request(protocol, target, question)));
    let outcome = asked.join().expect("a request does not panic").outcome;
    outcome.map_err(|(Failure::Unreached(how) | Failure::Broken(how))| how)
}

/// What was answered, each answer once.
type Heard = Arc<Mutex<BTreeSet<String>>>;

/// Requests under way; a case that fails over them ends them too.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    /// Who has answered so far.
    heard: Heard,
    thread: Option<JoinHandle<Vec<Request>>>,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Load {
    /// Asks for `hostname` at port 80 of an address, once each interval.
    pub(crate) fn start(from: Place, protocol: Protocol, vip: IpAddr, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (heard, target) = (Heard::default(), SocketAddr::new(vip, 80));
        let (stopped, told) = (stop.clone(), heard.clone());
        let thread = inhabit(from, move || runtime().block_on(ask_on(protocol, target, every, &stopped, &told)));
        Self { stop, heard, thread: Some(thread) }
    }

    /// Asks the same over UDP, the next when the last was answered or given up, from a machine that has forgotten who has the address: each
    /// begins with a question on the LAN, and fails if nobody answers that (the kernel repeats it after a second).
    pub(crate) fn start_anew(vip: IpAddr, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let anew = async move {
            let mut requests = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                forget(WITNESS, vip);
                let next = Instant::now() + every;
                requests.push(request(Protocol::Udp, SocketAddr::new(vip, 80), "hostname".to_owned()).await);
                tokio::time::sleep_until(next.into()).await;
            }
            requests
        };
        Self { stop, heard: Heard::default(), thread: Some(inhabit(WITNESS, move || runtime().block_on(anew))) }
    }

    /// Waits until each of these has answered a request of [`start`](Self::start).
    pub(crate) fn await_answers_of(&self, pods: &[&str]) {
        eventually(&format!("each of {pods:?} answers"), SOON, || {
            let heard = self.heard.lock().expect("nobody panics with it");
            if pods.iter().all(|pod| heard.contains(*pod)) { Ok(()) } else { Err(format!("{heard:?}")) }
        });
    }

    /// Sends no more, waits for the last answers.
    pub(crate) fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let requests = self.thread.take().map(JoinHandle::join);
        Tally(requests.expect("stopped once").expect("requests do not panic"))
    }
}

/// What clients of every kind send to some addresses while these move.
pub(crate) struct Loads(Vec<(Stream, Load)>);

/// One of the streams of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) kind: Kind,
    pub(crate) vip: IpAddr,
    pub(crate) from: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From a machine that knows who has the address.
    Known(Protocol),
    /// From one that asks the LAN each time.
    Anew,
}

impl Loads {
    /// Over both protocols from both subnets, and from a machine that has forgotten who has the address.
    pub(crate) fn start(vips: &[IpAddr], every: Duration) -> Self {
        let mut loads = Vec::new();
        for vip in vips.iter().copied() {
            for from in [CLIENT, FAR_CLIENT] {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    let stream = Stream { kind: Kind::Known(protocol), vip, from };
                    loads.push((stream, Load::start(from, protocol, vip, every)));
                }
            }
            loads.push((Stream { kind: Kind::Anew, vip, from: WITNESS }, Load::start_anew(vip, every)));
        }
        Self(loads)
    }

    /// Ends them all.
    pub(crate) fn stop(self) -> Vec<(Stream, Tally)> {
        self.0.into_iter().map(|(stream, load)| (stream, load.stop())).collect()
    }
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::Known(protocol) => write!(f, "{protocol:?} to {} from {}", self.vip, self.from.0),
            Kind::Anew => write!(f, "questions for {}", self.vip),
        }
    }
}

/// Connections that are kept open over many requests.
pub(crate) struct Kept(Vec<(Place, std::net::TcpStream)>);

impl Kept {
    /// Makes so many to port 80 of an address, and asks once on each.
    pub(crate) fn open(from: Place, vip: IpAddr, many: usize) -> Self {
        let open = |_| {
            let target = SocketAddr::new(vip, 80);
            let stream = within(from.0, || std::net::TcpStream::connect_timeout(&target, ANSWER_WITHIN));
            let stream = stream.unwrap_or_else(|error| panic!("{target} from {}: {error}", from.0));
            stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a socket");
            exchange(&stream).unwrap_or_else(|error| panic!("{target} from {}: {error}", from.0));
            (from, stream)
        };
        Self((0..many).map(open).collect())
    }

    /// Asks once more on each; what came of how many.
    pub(crate) fn ask_again(&self) -> BTreeMap<String, usize> {
        let mut ends = BTreeMap::new();
        for (_, stream) in &self.0 {
            let end = exchange(stream).map_or_else(|error| error.kind().to_string(), |()| "answered".to_owned());
            *ends.entry(end).or_default() += 1;
        }
        ends
    }
}

/// One request on a connection that stays open, and its answer.
fn exchange(mut stream: &std::net::TcpStream) -> io::Result<()> {
    use io::{Read, Write};
    stream.write_all(b"GET /hostname HTTP/1.1\r\nHost: lab\r\n\r\n")?;
    let mut room = [0; 1024];
    // Short enough to come in one piece.
    match stream.read(&mut room)? {
        0 => Err(io::ErrorKind::ConnectionReset.into()),
        _ => Ok(()),
    }
}

/// What came of all, in the order in which they were sent.
pub(crate) struct Tally(pub(crate) Vec<Request>);

impl Tally {
    /// Those that reached nobody: new connections and datagrams.
    pub(crate) fn unreached(&self) -> Vec<&Request> {
        self.0.iter().filter(|request| matches!(request.outcome, Err(Failure::Unreached(_)))).collect()
    }

    /// Connections that broke.
    pub(crate) fn broken(&self) -> Vec<&Request> {
        self.0.iter().filter(|request| matches!(request.outcome, Err(Failure::Broken(_)))).collect()
    }

    /// The longest time without an answer: from the sending of the last request before a failure that was answered to that of the first
    /// one after it. Nothing if none failed; to the end if none was answered any more.
    pub(crate) fn longest_outage(&self) -> Duration {
        let (mut longest, mut good) = (Duration::ZERO, self.0.first().map(|first| first.at));
        let mut failing = false;
        for request in &self.0 {
            failing |= request.outcome.is_err();
            if failing {
                longest = longest.max(good.map_or(Duration::ZERO, |good| request.at - good));
            }
            if request.outcome.is_ok() {
                (good, failing) = (Some(request.at), false);
            }
        }
        longest
    }

    /// How many requests each answered.
    pub(crate) fn answered_by(&self) -> BTreeMap<&str, usize> {
        let mut by = BTreeMap::new();
        for answer in self.0.iter().filter_map(|request| request.outcome.as_deref().ok()) {
            *by.entry(answer).or_default() += 1;
        }
        by
    }

    /// For a message: how many, how many of them failed and how, and the slowest answer.
    pub(crate) fn summary(&self) -> String {
        let mut kinds: BTreeMap<&Failure, usize> = BTreeMap::new();
        for failure in self.0.iter().filter_map(|request| request.outcome.as_ref().err()) {
            *kinds.entry(failure).or_default() += 1;
        }
        let slowest = self.0.iter().filter(|request| request.outcome.is_ok()).map(|request| request.took).max();
        format!(
            "{} requests, failed: {kinds:?}, longest outage {:?}, slowest answer {slowest:?}",
            self.0.len(),
            self.longest_outage()
        )
    }
}

/// Of one thread, so that every socket is opened in the namespace that the thread is in.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a tokio runtime")
}

async fn ask_on(
    protocol: Protocol,
    target: SocketAddr,
    every: Duration,
    stop: &AtomicBool,
    heard: &Heard,
) -> Vec<Request> {
    let mut pace = tokio::time::interval(every);
    // A thread that was not scheduled does not make up for it by a burst.
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut requests = tokio::task::JoinSet::new();
    while !stop.load(Ordering::Relaxed) {
        pace.tick().await;
        let heard = heard.clone();
        requests.spawn(async move {
            let request = request(protocol, target, "hostname".to_owned()).await;
            if let Ok(answer) = &request.outcome {
                heard.lock().expect("nobody panics with it").insert(answer.clone());
            }
            request
        });
    }
    let mut done = requests.join_all().await;
    done.sort_by_key(|request| request.at);
    done
}

async fn request(protocol: Protocol, target: SocketAddr, question: String) -> Request {
    let at = Instant::now();
    let outcome = match protocol {
        Protocol::Tcp => over_tcp(target, &question).await,
        Protocol::Udp => {
            in_time(at, over_udp(target, &question)).await.map_err(|error| Failure::Unreached(said(&error)))
        }
    };
    Request { at, took: at.elapsed(), outcome }
}

/// What became of it by the time by which a request that began then must be answered.
async fn in_time<T>(began: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let done = tokio::time::timeout_at((began + ANSWER_WITHIN).into(), work).await;
    done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn said(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut { "unanswered".to_owned() } else { error.kind().to_string() }
}

async fn over_tcp(target: SocketAddr, question: &str) -> Result<String, Failure> {
    let began = Instant::now();
    let mut stream = in_time(began, TcpStream::connect(target)).await.map_err(|error| {
        // Who refuses a SYN is told apart by the kernel: this one was answered, and broke before the client's next turn.
        let is_broken = error.kind() == io::ErrorKind::ConnectionReset;
        if is_broken { Failure::Broken(said(&error)) } else { Failure::Unreached(said(&error)) }
    })?;
    let exchange = async {
        stream.write_all(format!("GET /{question} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        body.ok_or_else(|| io::Error::other("no HTTP answer"))
    };
    in_time(began, exchange).await.map_err(|error| Failure::Broken(said(&error)))
}

async fn over_udp(target: SocketAddr, question: &str) -> io::Result<String> {
    let any: SocketAddr = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().expect("an address");
    let socket = UdpSocket::bind(any).await?;
    socket.connect(target).await?;
    socket.send(question.as_bytes()).await?;
    let mut room = [0; 1024];
    let length = socket.recv(&mut room).await?;
    Ok(String::from_utf8_lossy(&room[..length]).into_owned())
}
