//! Starting a double, and the handle to it.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::account::{Account, Arrived, Reply};
use crate::caller::{Caller, Scope, Service};
use crate::certificates;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::inventory::Inventory;
use crate::log::Log;
use crate::permissions::Permissions;
use crate::query::Query;
use crate::refusal::Refusal;
use crate::rules::quotas::Quotas;
use crate::script::Script;
use crate::seed::{self, Seed};
use crate::server::{self, Errand};
use crate::signature::Gate;
use crate::throttle::Buckets;
use crate::timings::Timings;
use crate::upstream::Upstream;
use crate::xml::Element;

/// What the handle, the server and the account share. All of it is cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) log: Log,
    pub(crate) faults: Faults,
    pub(crate) script: Script,
    pub(crate) permissions: Permissions,
    pub(crate) gate: Gate,
    pub(crate) timings: Timings,
    pub(crate) quotas: Quotas,
    pub(crate) buckets: Buckets,
    pub(crate) adopt: bool,
}

/// The access key of [`Double::by_hand`].
pub(crate) const HAND: &str = "HAND";

/// A double that is to be started. Unless said otherwise: a clock moved by hand, nothing takes any time, AWS's quotas, no throttling, an
/// account of its own.
#[derive(Debug)]
pub struct Builder {
    upstream: String,
    listen: SocketAddr,
    account: Option<String>,
    shared: Shared,
}

impl Builder {
    /// How long things take.
    #[must_use]
    pub fn timings(mut self, timings: Timings) -> Self {
        self.shared.timings = timings;
        self
    }

    /// Another clock than one that is moved by hand.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.shared.clock = clock;
        self
    }

    /// Other quotas than AWS's, to reach one cheaply.
    #[must_use]
    pub fn quotas(mut self, quotas: Quotas) -> Self {
        self.shared.quotas = quotas;
        self
    }

    /// Throttling.
    #[must_use]
    pub fn throttle(mut self, buckets: Buckets) -> Self {
        self.shared.buckets = buckets;
        self
    }

    /// Takes over the balancers, groups, listeners and targets that the account holds already, as far as the emulator knows them, when a
    /// region is first asked for: for a double that is started again. (Attributes and draining targets live in a double only.)
    #[must_use]
    pub fn adopt(mut self) -> Self {
        self.shared.adopt = true;
        self
    }

    /// Verifies signatures: from now on only keys that were named here are let in, and only what is signed with their secrets.
    #[must_use]
    pub fn secret(mut self, access_key: &str, secret: &str) -> Self {
        self.shared.gate.know(access_key, secret);
        self
    }

    /// The account in the emulator (twelve digits), instead of one that no other double uses. `None`: whichever the emulator takes from
    /// the caller's credentials.
    #[must_use]
    pub fn account(mut self, account: Option<&str>) -> Self {
        self.account = account.map(str::to_owned);
        self
    }

    /// Allows nothing but these actions, as IAM writes them: `ec2:DescribeVpcs`. See [`Permissions`].
    #[must_use]
    pub fn allow(self, actions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.shared.permissions.allow(actions);
        self
    }

    /// Where to listen, instead of a free port on loopback.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Starts it. It needs a running tokio runtime and ends when the handle is dropped.
    ///
    /// # Errors
    /// If the upstream is not an `http://` address or the port is taken.
    pub async fn start(self) -> std::io::Result<Double> {
        let invalid = |error: http::uri::InvalidUri| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
        let upstream = Upstream::new(self.upstream.parse().map_err(invalid)?, self.account.clone());
        let listener = TcpListener::bind(self.listen).await?;
        let address = listener.local_addr()?;
        let (requests, inbox) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        tasks.spawn(Account::new(upstream.clone(), self.shared.clone()).serve(inbox));
        tasks.spawn(server::serve(listener, self.shared.clone(), requests.clone()));
        Ok(Double { address, account: self.account, upstream, requests, shared: self.shared, _tasks: tasks })
    }
}

/// A running double. It ends with this handle.
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    account: Option<String>,
    upstream: Upstream,
    requests: mpsc::Sender<Errand>,
    shared: Shared,
    _tasks: JoinSet<()>,
}

impl Double {
    /// A double in front of this emulator (`http://host:port`), to be started.
    pub fn at(upstream: &str) -> Builder {
        Builder {
            upstream: upstream.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            account: Some(account_of_its_own()),
            shared: Shared {
                clock: Clock::by_hand(),
                log: Log::default(),
                faults: Faults::default(),
                script: Script::default(),
                permissions: Permissions::default(),
                gate: Gate::default(),
                timings: Timings::none(),
                quotas: Quotas::default(),
                buckets: Buckets::none(),
                adopt: false,
            },
        }
    }

    /// A double in front of this emulator with everything as [`Double::at`] has it.
    ///
    /// # Errors
    /// See [`Builder::start`].
    pub async fn start(upstream: &str) -> std::io::Result<Self> {
        Self::at(upstream).start().await
    }

    /// Where it listens: for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The account in the emulator; a program that talks to the emulator itself gives moto the header `x-moto-account-id`, or LocalStack an
    /// access key id, of this value.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Plants a network in the emulator, or finds the one of that cluster; see [`crate::seed`].
    ///
    /// # Errors
    /// What the emulator refused.
    pub async fn seed(&self, region: &str, cluster: &str) -> Result<Seed, Refusal> {
        seed::plant(&self.upstream, region, cluster).await
    }

    /// Plants a server certificate in IAM, into which nobody here looks. Its ARN.
    ///
    /// # Errors
    /// What the emulator refused.
    pub async fn certificate(&self, name: &str) -> Result<String, Refusal> {
        certificates::plant(&self.upstream, name).await
    }

    /// What is there in a region, without a call: for "nothing is left".
    pub async fn inventory(&self, region: &str) -> Inventory {
        let (reply, replied) = oneshot::channel();
        // The account lives as long as this handle.
        let _ = self.requests.send(Errand::Look(region.to_owned(), reply)).await;
        replied.await.unwrap_or_default()
    }

    /// Somebody else's hand: a call as any other, with the rules, the log and the faults, of the access key `HAND`, which may do everything.
    ///
    /// # Errors
    /// What the double refused; [`Refusal::code`] is empty if a fault swallowed the answer.
    pub async fn by_hand(
        &self,
        service: Service,
        region: &str,
        action: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Element, Refusal> {
        let version = if service == Service::Ec2 { "2016-11-15" } else { "2015-12-01" };
        let query = Query::of([("Action", action), ("Version", version)].into_iter().chain(pairs.iter().copied()));
        let caller = Caller { access_key: HAND.to_owned(), case: None };
        let arrived = Arrived {
            effects: self.shared.faults.befall(action, &caller),
            scope: Scope { caller, region: region.to_owned(), service },
            action: action.to_owned(),
            query,
            turned_away: None,
            method: http::Method::POST,
            path: "/".to_owned(),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        let (reply, replied) = oneshot::channel();
        let _ = self.requests.send(Errand::Request(Box::new(arrived), reply)).await;
        let silence = || Refusal::with_status("", 0, "no answer");
        let Ok(Reply::Answer { status, body, .. }) = replied.await else { return Err(silence()) };
        let document = Element::parse(&String::from_utf8_lossy(&body)).map_err(|_| silence())?;
        if status == 200 { Ok(document) } else { Err(Refusal::read(&document, status).unwrap_or_else(silence)) }
    }

    /// What was called.
    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// Sets the double's time of day ahead of the machine's, or behind it: what the `Date` of its answers says, and what the time in a
    /// signature is held against (`RequestExpired` beyond fifteen minutes). It has nothing to do with [`Double::clock`].
    pub fn skew(&self, by: jiff::SignedDuration) {
        self.shared.gate.set_skew(by);
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The trouble that is armed.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What is allowed.
    pub fn permissions(&self) -> &Permissions {
        &self.shared.permissions
    }

    /// What the world behind the API does.
    pub fn script(&self) -> &Script {
        &self.shared.script
    }
}

/// Twelve digits that no other double has: of this process by a counter, of others by the time and the process.
fn account_of_its_own() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = jiff::Timestamp::now().as_millisecond().unsigned_abs();
    let number = now
        .wrapping_mul(1009)
        .wrapping_add(u64::from(std::process::id()))
        .wrapping_add(NEXT.fetch_add(7919, Ordering::Relaxed));
    format!("{:012}", 100_000_000_000 + number % 899_999_999_999)
}
