//! Needs: what `localstack/tools` builds (moto). What Network Load Balancers cost: calls by action, beside the budget; the time from a Service
//! to its hostname, beside the floor; a large estate.
//!
//! `cargo bench --bench aws -- [cases] [time] [estate] [--services 500]`
//!
//! The binary, a sandbox as its cluster, and as AWS the strict double (`localstack/README.md`) on the machine's clock; nothing was run against real
//! AWS. Each call takes 20 ms longer. What is counted is checked and fails the bench; times are of one run on one machine, and mostly those of
//! the call budget (`providers/aws/src/client/budget.rs`), which is AWS's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench fails by panicking, and prints"
)]
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

/// What the figures are made of.
#[path = "aws"]
mod parts {
    pub(crate) mod cases;
    pub(crate) mod estate;
    pub(crate) mod stand;
}
use parts::{cases, estate, stand};

use portolan_aws_double::emulator::{self, Which};
use stand::Stand;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let services = words.iter().position(|word| word == "--services").and_then(|at| words.get(at + 1)?.parse().ok());
    let named = ["cases", "time", "estate"].iter().any(|part| words.iter().any(|word| word == part));
    let wanted = |part: &str| !named || words.iter().any(|word| word == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let over = runtime.block_on(async {
        let Some(upstream) = emulator::endpoint(Which::Moto).await.unwrap() else {
            emulator::say_skipped(Which::Moto, "benches/aws.rs");
            return Vec::new();
        };
        let mut over = Vec::new();
        if wanted("cases") {
            let lines = cases::measure(&Stand::new(&upstream).await).await;
            over.extend(lines.iter().filter_map(cases::Line::excess));
        }
        if wanted("time") {
            cases::time(&Stand::new(&upstream).await).await;
        }
        if wanted("estate") {
            over.extend(estate::measure(&Stand::new(&upstream).await, services.unwrap_or(500)).await);
        }
        over
    });
    assert!(over.is_empty(), "over the budget of calls:\n{}", over.join("\n"));
}
