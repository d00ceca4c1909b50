//! Waiting for a state. Used by everything in this crate instead of sleeping for a guess.

use std::future::Future;
use std::time::Duration;

/// Seconds to wait instead of the usual patience, for one who waits for a failure.
const PATIENCE: &str = "GATEWAY_TESTS_PATIENCE";

/// The longest any single wait may take before the test fails. Far above what a slow, shared
/// two-core machine needs, so that only a gateway that does not answer reaches it.
#[must_use]
pub fn patience() -> Duration {
    let seconds = std::env::var(PATIENCE)
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// How often a state that cannot announce itself (a file, a process) is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// Waits for `work`, or panics naming what was awaited.
///
/// # Panics
/// After [`patience`].
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let patience = patience();
    match tokio::time::timeout(patience, work).await {
        Ok(value) => value,
        Err(_) => panic!("gave up after {patience:?} waiting for {what}"),
    }
}

/// Asks `look` again and again until it returns something.
///
/// # Panics
/// After [`patience`].
pub async fn until<T, F, Fut>(what: &str, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    within(what, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(GLANCE).await;
        }
    })
    .await
}

/// The wall clock in milliseconds, as `signedAt` wants it.
#[must_use]
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock stands after 1970");
    u64::try_from(since.as_millis()).expect("milliseconds fit for some hundred million years")
}
