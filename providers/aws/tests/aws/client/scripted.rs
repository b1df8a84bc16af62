//! A server that answers from a script, one connection a request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portolan_aws::client::budget::Limit;
use portolan_aws::client::{Aws, Limits, Options, Patience};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::emulated::{connect, options};

/// A request, as it came in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) form: BTreeMap<String, String>,
}

impl Request {
    pub(crate) fn action(&self) -> &str {
        self.form.get("Action").map_or("", String::as_str)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What the server does about a request.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// A status and a document.
    Xml(u16, String),
    /// The same, with this in the header `Date`.
    At(String, u16, String),
    /// A token of the instance's metadata service, version 2.
    Token(String),
    /// Nothing, and the connection stays open.
    Nothing,
    /// Nothing, and the connection ends.
    HangUp,
    /// Half of a document.
    Half(String),
}

/// An answer of EC2's that it was done.
pub(crate) fn done(action: &str) -> Say {
    ec2(action, "<return>true</return>")
}

/// An answer of EC2's with this in it.
pub(crate) fn ec2(action: &str, result: &str) -> Say {
    Say::Xml(200, format!("<{action}Response><requestId>r-ok</requestId>{result}</{action}Response>"))
}

/// An answer of ELB's with this in it.
pub(crate) fn elb(action: &str, result: &str) -> Say {
    let metadata = "<ResponseMetadata><RequestId>r-ok</RequestId></ResponseMetadata>";
    Say::Xml(200, format!("<{action}Response><{action}Result>{result}</{action}Result>{metadata}</{action}Response>"))
}

pub(crate) fn elb_error(status: u16, code: &str, message: &str) -> Say {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    Say::Xml(status, format!("<ErrorResponse>{error}<RequestId>r-elb</RequestId></ErrorResponse>"))
}

pub(crate) fn ec2_error(status: u16, code: &str, message: &str) -> Say {
    let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Say::Xml(status, format!("<Response><Errors>{error}</Errors><RequestID>r-ec2</RequestID></Response>"))
}

/// The server.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Scripted {
    /// The script gets each request and how many came before it.
    pub(crate) async fn start(script: impl Fn(&Request, usize) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (all, script) = (Arc::clone(&seen), Arc::new(script));
        spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (all, script) = (Arc::clone(&all), Arc::clone(&script));
                spawn(async move {
                    let mut stream = stream;
                    let Some(request) = read(&mut stream).await else { return };
                    let say = {
                        let mut all = all.lock().unwrap();
                        all.push(request.clone());
                        script(&request, all.len() - 1)
                    };
                    answer(stream, say).await;
                });
            }
        });
        Self { endpoint, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn actions(&self) -> Vec<String> {
        self.seen().iter().map(|request| request.action().to_owned()).collect()
    }

    /// A client that does not pause, and waits long for an answer: the machine may be busy.
    pub(crate) async fn client(&self) -> Aws {
        connect(&self.options()).await
    }

    pub(crate) fn options(&self) -> Options {
        let patience = Patience { attempts: 3, attempt: Duration::from_secs(30), pause: Duration::from_millis(1) };
        let plenty = Limit { capacity: 1000.0, rate: 1000.0 };
        let limits =
            Limits { describe: plenty, change: plenty, register: plenty, ec2_describe: plenty, ec2_change: plenty };
        Options { patience, limits, ..options(&self.endpoint) }
    }
}

#[expect(clippy::disallowed_methods, reason = "a server of a test")]
fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let path = lines.next()?.split(' ').nth(1)?.to_owned();
            let headers: BTreeMap<String, String> = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect();
            let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                let form = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
                return Some(Request { path, headers, form });
            }
        }
        match stream.read(&mut buffer).await.ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

async fn answer(mut stream: TcpStream, say: Say) {
    let (date, status, body, length) = match say {
        Say::Xml(status, body) => (String::new(), status, body.clone(), body.len()),
        Say::At(date, status, body) => (format!("Date: {date}\r\n"), status, body.clone(), body.len()),
        Say::Token(token) => {
            ("X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600\r\n".to_owned(), 200, token.clone(), token.len())
        }
        Say::Half(body) => (String::new(), 200, body[..body.len() / 2].to_owned(), body.len()),
        Say::HangUp => return,
        Say::Nothing => return std::future::pending().await,
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\n{date}Content-Type: text/xml\r\nContent-Length: {length}\r\nX-Amzn-RequestId: r-header\r\nConnection: close\r\n\r\n"
    );
    let _ = stream.write_all((head + &body).as_bytes()).await;
}
