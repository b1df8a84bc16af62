//! Needs nothing running. What a write to the sandbox costs: a patch of the status of a Service of which three managers own fields, and
//! beside it, as the floor, a read of the same Service. Both over one connection.
//!
//! `cargo bench --bench sandbox -- 2000`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench fails by panicking, and prints"
)]
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SERVICES: &str = "/api/v1/namespaces/default/services";

fn main() {
    let wanted = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let times: u32 = wanted.unwrap_or(2000);
    let sandbox = Sandbox::start();
    let mut client = Client::to(&sandbox.server);
    let service = r#"{"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}"#;
    client.call("POST", SERVICES, service);
    for manager in ["portolan", "kubectl", "helm"] {
        client.patch(manager, 0);
    }
    let read = each(times, |_| client.call("GET", &format!("{SERVICES}/web"), ""));
    let written = each(times, |number| client.patch("portolan", number + 1));
    println!("a status write {written:?}, a read {read:?}, each of {times}");
}

/// How long one takes.
fn each(times: u32, mut call: impl FnMut(u32)) -> Duration {
    let started = Instant::now();
    (0..times).for_each(&mut call);
    started.elapsed() / times
}

/// A sandbox without a controller. It goes with the bench.
struct Sandbox {
    child: Child,
    server: String,
}

impl Sandbox {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portolan"));
        let command = command.args(["sandbox", "--empty", "--no-controller"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
        let server = first.split("http://").nth(1).and_then(|rest| rest.split(',').next()).expect("its address");
        Self { server: server.to_owned(), child }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection, a request at a time.
struct Client {
    host: String,
    socket: BufReader<TcpStream>,
}

impl Client {
    fn to(server: &str) -> Self {
        let socket = TcpStream::connect(server).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { host: server.to_owned(), socket: BufReader::new(socket) }
    }

    fn patch(&mut self, manager: &str, number: u32) {
        let address = format!("192.0.2.{}", number % 250);
        let ingress =
            format!(r#"[{{"ip": "{address}", "ipMode": "VIP", "ports": [{{"port": 80, "protocol": "TCP"}}]}}]"#);
        let body = format!(r#"{{"status": {{"loadBalancer": {{"ingress": {ingress}}}}}}}"#);
        self.call("PATCH", &format!("{SERVICES}/web/status?fieldManager={manager}"), &body);
    }

    fn call(&mut self, method: &str, path: &str, body: &str) {
        let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.socket.get_mut().write_all(request.as_bytes()).unwrap();
        let mut status = self.line();
        assert!(status.starts_with("HTTP/1.1 20"), "{method} {path}: {status}");
        let mut length = 0;
        while !status.is_empty() {
            status = self.line();
            if let Some((name, value)) = status.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        std::io::copy(&mut self.socket.by_ref().take(length), &mut std::io::sink()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.socket.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}
