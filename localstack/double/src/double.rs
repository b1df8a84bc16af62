//! Starting a double, and the handle to it.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::account::Account;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::log::Log;
use crate::refusal::Refusal;
use crate::rules::quotas::Quotas;
use crate::script::Script;
use crate::seed::{self, Seed};
use crate::server;
use crate::signature::Gate;
use crate::throttle::Buckets;
use crate::timings::Timings;
use crate::upstream::Upstream;

/// What the handle, the server and the account share. All of it is cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) log: Log,
    pub(crate) faults: Faults,
    pub(crate) script: Script,
    pub(crate) gate: Gate,
    pub(crate) timings: Timings,
    pub(crate) quotas: Quotas,
    pub(crate) buckets: Buckets,
}

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
        tasks.spawn(server::serve(listener, self.shared.clone(), requests));
        Ok(Double { address, account: self.account, upstream, shared: self.shared, _tasks: tasks })
    }
}

/// A running double. It ends with this handle.
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    account: Option<String>,
    upstream: Upstream,
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
                gate: Gate::default(),
                timings: Timings::none(),
                quotas: Quotas::default(),
                buckets: Buckets::none(),
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
