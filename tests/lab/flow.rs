//! Datagrams that a client sends from one socket, over and over: one port of its own, and so one flow for whoever tracks connections.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::load::{ANSWER_WITHIN, Failure, Request, Tally};
use crate::network::{Place, inhabit};

/// Requests under way; a case that fails over them ends them too.
pub(crate) struct Flow {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Request>>>,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Flow {
    /// Asks port 80 of an address once each interval to say a number, which tells the answers apart.
    pub(crate) fn start(from: Place, vip: IpAddr, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = inhabit(from, move || ask_on(SocketAddr::new(vip, 80), every, &stopped));
        Self { stop, thread: Some(thread) }
    }

    /// Sends no more, waits for the last answers.
    pub(crate) fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let requests = self.thread.take().map(JoinHandle::join);
        Tally(requests.expect("stopped once").expect("requests do not panic"))
    }
}

fn ask_on(target: SocketAddr, every: Duration, stop: &AtomicBool) -> Vec<Request> {
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).expect("a socket");
    socket.connect(target).expect("a route");
    let mut requests: Vec<Request> = Vec::new();
    let mut next = Instant::now();
    let mut end = None;
    loop {
        let now = Instant::now();
        if end.is_none() && stop.load(Ordering::Relaxed) {
            end = Some(now + ANSWER_WITHIN);
        }
        let all_answered = requests.iter().all(|request| request.outcome.is_ok());
        if end.is_some_and(|end| now >= end || all_answered) {
            return requests;
        }
        if end.is_none() && now >= next {
            requests.push(sent(&socket, requests.len()));
            next = now + every;
        }
        let wait = end.unwrap_or(next).saturating_duration_since(Instant::now());
        socket.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).expect("a socket");
        let mut room = [0; 64];
        // An error is the answer of a machine to one of the datagrams before, which stays unanswered.
        let Ok(length) = socket.recv(&mut room) else { continue };
        let said = String::from_utf8_lossy(&room[..length]).trim().to_owned();
        let number: usize = said.parse().unwrap_or_else(|_| panic!("{said:?} was not asked for"));
        let request = &mut requests[number];
        let took = request.at.elapsed();
        if took <= ANSWER_WITHIN && request.outcome.is_err() {
            (request.took, request.outcome) = (took, Ok(said));
        }
    }
}

fn sent(socket: &UdpSocket, number: usize) -> Request {
    let at = Instant::now();
    let how = match socket.send(format!("echo {number}").as_bytes()) {
        Ok(_) => "unanswered".to_owned(),
        Err(error) => error.kind().to_string(),
    };
    Request { at, took: ANSWER_WITHIN, outcome: Err(Failure::Unreached(how)) }
}
