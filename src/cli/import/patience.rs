//! Calls that are made again when the server asks for it: it answers 429 as long as it makes room for a kind that was defined a moment ago, and
//! ours are defined right before.

use std::future::Future;

use crate::cluster::error::{CallError, Failure, call};

/// How often a call is made at most.
const TIMES: u32 = 20;

/// Makes a call, and again as often as the server says when.
pub(super) async fn patiently<T, F>(action: &str, request: impl Fn() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, kube::Error>>,
{
    let mut made = 1;
    loop {
        match call(action, request()).await {
            Err(CallError { failure: Failure::Retry { after: Some(pause) }, .. }) if made < TIMES => {
                made += 1;
                tokio::time::sleep(pause).await;
            }
            result => return result,
        }
    }
}
