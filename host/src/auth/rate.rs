//! Counts failed authentication by address and locks out who tries too often.
//!
//! Two limiters: one for programs, only when the configuration asks for it, and one for web pages
//! (requests with an `Origin`), always. Keys are `<bucket>:<address>`; a success forgets the
//! bucket's failures. Bounded: the oldest address goes first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::RateLimitConfig;
use crate::limits::RATE_LIMIT_ADDRESSES_MAX;

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// The gateway's token or password.
    SharedSecret,
    /// A device's own token.
    DeviceToken,
}

/// Stands for a web page on this host: its address alone would share a key with programs.
const BROWSER_ON_LOOPBACK: &str = "198.18.0.1";

/// Failures of many addresses.
#[derive(Debug)]
pub struct Limiter {
    config: RateLimitConfig,
    browser: bool,
    tries: Mutex<HashMap<(Bucket, String), Tries>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    first_ms: u64,
    failures: u32,
    locked_until_ms: u64,
}

impl Limiter {
    /// For programs.
    pub fn new(config: RateLimitConfig) -> Limiter {
        Limiter {
            config,
            browser: false,
            tries: Mutex::default(),
        }
    }

    /// For web pages; loopback is not exempt.
    pub fn for_browsers() -> Limiter {
        let config = RateLimitConfig {
            exempt_loopback: false,
            ..RateLimitConfig::default()
        };
        Limiter {
            config,
            browser: true,
            tries: Mutex::default(),
        }
    }

    /// Whether the address may try at all.
    pub fn is_locked(&self, bucket: Bucket, address: Option<IpAddr>, now_ms: u64) -> bool {
        let Some(key) = self.key(address) else {
            return false;
        };
        let tries = self.lock();
        tries
            .get(&(bucket, key))
            .is_some_and(|t| now_ms < t.locked_until_ms)
    }

    /// Counts a failure; the last one allowed in the window locks.
    pub fn failed(&self, bucket: Bucket, address: Option<IpAddr>, now_ms: u64) {
        let Some(key) = self.key(address) else { return };
        let mut tries = self.lock();
        if tries.len() >= RATE_LIMIT_ADDRESSES_MAX && !tries.contains_key(&(bucket, key.clone())) {
            let oldest = tries
                .iter()
                .min_by_key(|(_, t)| t.first_ms)
                .map(|(key, _)| key.clone());
            oldest.map(|key| tries.remove(&key));
        }
        let entry = tries.entry((bucket, key)).or_default();
        if now_ms.saturating_sub(entry.first_ms) >= self.config.window_ms {
            *entry = Tries {
                first_ms: now_ms,
                ..Tries::default()
            };
        }
        entry.failures += 1;
        if entry.failures >= self.config.max_attempts {
            entry.locked_until_ms = now_ms.saturating_add(self.config.lockout_ms);
        }
    }

    /// Forgets the failures of an address that proved itself.
    pub fn succeeded(&self, bucket: Bucket, address: Option<IpAddr>) {
        if let Some(key) = self.key(address) {
            self.lock().remove(&(bucket, key));
        }
    }

    /// `None` for an address that isn't limited.
    fn key(&self, address: Option<IpAddr>) -> Option<String> {
        match address {
            Some(a) if a.is_loopback() && self.config.exempt_loopback => None,
            Some(a) if a.is_loopback() && self.browser => Some(BROWSER_ON_LOOPBACK.into()),
            Some(a) => Some(a.to_canonical().to_string()),
            None => Some("unknown".into()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Bucket, String), Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9)));

    fn limiter(max_attempts: u32) -> Limiter {
        Limiter::new(RateLimitConfig {
            max_attempts,
            ..RateLimitConfig::default()
        })
    }

    #[test]
    fn the_last_failure_locks_for_a_while() {
        let limiter = limiter(2);
        limiter.failed(Bucket::SharedSecret, THERE, 1);
        assert!(!limiter.is_locked(Bucket::SharedSecret, THERE, 2));
        limiter.failed(Bucket::SharedSecret, THERE, 2);
        assert!(limiter.is_locked(Bucket::SharedSecret, THERE, 3));
        assert!(!limiter.is_locked(Bucket::DeviceToken, THERE, 3));
        assert!(!limiter.is_locked(Bucket::SharedSecret, None, 3));
        assert!(!limiter.is_locked(Bucket::SharedSecret, THERE, 300_002));
    }

    #[test]
    fn old_failures_and_successes_count_no_more() {
        let limiter = limiter(2);
        limiter.failed(Bucket::SharedSecret, THERE, 1);
        limiter.failed(Bucket::SharedSecret, THERE, 70_000);
        assert!(!limiter.is_locked(Bucket::SharedSecret, THERE, 70_001));
        limiter.succeeded(Bucket::SharedSecret, THERE);
        limiter.failed(Bucket::SharedSecret, THERE, 70_002);
        assert!(!limiter.is_locked(Bucket::SharedSecret, THERE, 70_003));
    }

    #[test]
    fn programs_on_this_host_are_exempt_and_pages_are_not() {
        let programs = limiter(1);
        programs.failed(Bucket::SharedSecret, HERE, 1);
        assert!(!programs.is_locked(Bucket::SharedSecret, HERE, 2));
        let pages = Limiter::for_browsers();
        for _ in 0..10 {
            pages.failed(Bucket::SharedSecret, HERE, 1);
        }
        assert!(pages.is_locked(Bucket::SharedSecret, HERE, 2));
    }
}
