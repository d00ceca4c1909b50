//! Counts failed authentication by address and locks out who tries too often.
//!
//! Two limiters: one for programs, only when the configuration asks for it, and one for web pages
//! (requests with an `Origin`), always. A try is counted when it begins and taken back when it
//! turns out well, so that many at once are no more than many in a row. Bounded: what counts no
//! more goes first, then the oldest that isn't locked.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::RateLimitConfig;
use crate::limits::{
    HOOK_FAILURES_MAX, HOOK_WINDOW_MS, RATE_LIMIT_ADDRESSES_MAX, RATE_LIMIT_ATTEMPTS_MAX,
};

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// The gateway's token or password.
    SharedSecret,
    /// A device's own token.
    DeviceToken,
    /// The secret of those who call hooks.
    Hook,
}

/// Stands for a web page on this host: its address alone would share a key with programs.
const BROWSER_ON_LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 18, 0, 1));

/// Of a full table this part is given up at once, so that the search for it is rare.
const GIVEN_UP_PART: usize = 16;

/// Whose failures are counted together: an address, or nobody knows.
type Key = (Bucket, Option<IpAddr>);

/// Too many failures: nothing is evaluated until the lock is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked;

/// Failures of many addresses.
#[derive(Debug)]
pub struct Limiter {
    config: RateLimitConfig,
    browser: bool,
    tries: Mutex<HashMap<Key, Tries>>,
}

#[derive(Debug, Default)]
struct Tries {
    /// When each began, in order; at most as many as lock.
    failures_ms: VecDeque<u64>,
    locked_until_ms: u64,
}

impl Tries {
    /// Drops what counts no more at `now_ms`.
    fn settle(&mut self, now_ms: u64, window_ms: u64) {
        if self.locked_until_ms > 0 && now_ms >= self.locked_until_ms {
            *self = Tries::default();
        }
        while let Some(first) = self.failures_ms.front()
            && now_ms.saturating_sub(*first) >= window_ms
        {
            self.failures_ms.pop_front();
        }
    }

    fn is_locked(&self, now_ms: u64) -> bool {
        now_ms < self.locked_until_ms
    }

    /// Locked ones are worth most, then the latest.
    fn worth(&self, now_ms: u64) -> (bool, u64) {
        (
            self.is_locked(now_ms),
            self.failures_ms.back().copied().unwrap_or(0),
        )
    }
}

/// One try under way. Dropped, it counts as a failure.
#[derive(Debug)]
pub struct Try<'a> {
    limiter: &'a Limiter,
    /// `None` when nobody counts.
    key: Option<Key>,
    began_ms: u64,
    has_locked: bool,
}

impl Try<'_> {
    /// It was right: the address's failures are forgotten.
    pub fn succeeded(self) {
        if let Some(key) = self.key {
            self.limiter.lock().remove(&key);
        }
    }

    /// It was wrong: it stays counted, as one that is only dropped.
    pub fn failed(self) {}

    /// It was neither right nor wrong.
    pub fn take_back(self) {
        let Some(key) = self.key else { return };
        let mut table = self.limiter.lock();
        let Some(tries) = table.get_mut(&key) else {
            return;
        };
        let mine = tries.failures_ms.iter().rposition(|t| *t == self.began_ms);
        mine.map(|at| tries.failures_ms.remove(at));
        if self.has_locked {
            tries.locked_until_ms = 0;
        }
        if tries.failures_ms.is_empty() && tries.locked_until_ms == 0 {
            table.remove(&key);
        }
    }
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

    /// For hooks; loopback is not exempt.
    pub fn for_hooks() -> Limiter {
        Limiter::new(RateLimitConfig {
            max_attempts: HOOK_FAILURES_MAX,
            window_ms: HOOK_WINDOW_MS,
            lockout_ms: HOOK_WINDOW_MS,
            exempt_loopback: false,
        })
    }

    /// For web pages; loopback is not exempt.
    pub fn for_browsers() -> Limiter {
        let config = RateLimitConfig {
            exempt_loopback: false,
            ..RateLimitConfig::default()
        };
        Limiter {
            browser: true,
            ..Limiter::new(config)
        }
    }

    /// Whether the address may try at all.
    pub fn is_locked(&self, bucket: Bucket, address: Option<IpAddr>, now_ms: u64) -> bool {
        let Some(key) = self.key(bucket, address) else {
            return false;
        };
        self.lock().get(&key).is_some_and(|t| t.is_locked(now_ms))
    }

    /// How long the address has to wait until it may try again, milliseconds; 0 when it may.
    pub fn locked_ms(&self, bucket: Bucket, address: Option<IpAddr>, now_ms: u64) -> u64 {
        let key = self.key(bucket, address);
        let table = self.lock();
        let tries = key.and_then(|key| table.get(&key));
        tries.map_or(0, |tries| tries.locked_until_ms.saturating_sub(now_ms))
    }

    /// Begins a try and counts it; the last one allowed in the window locks.
    ///
    /// # Errors
    /// [`Locked`]: it must not be evaluated.
    pub fn begin(
        &self,
        bucket: Bucket,
        address: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Try<'_>, Locked> {
        let key = self.key(bucket, address);
        let mut began = Try {
            limiter: self,
            key,
            began_ms: now_ms,
            has_locked: false,
        };
        let Some(key) = key else { return Ok(began) };
        let most = self.config.max_attempts.clamp(1, RATE_LIMIT_ATTEMPTS_MAX) as usize;
        let mut table = self.lock();
        if table.len() >= RATE_LIMIT_ADDRESSES_MAX && !table.contains_key(&key) {
            self.make_room(&mut table, now_ms);
        }
        let tries = table.entry(key).or_default();
        tries.settle(now_ms, self.config.window_ms);
        if tries.is_locked(now_ms) {
            return Err(Locked);
        }
        tries.failures_ms.push_back(now_ms);
        if tries.failures_ms.len() >= most {
            tries.locked_until_ms = now_ms.saturating_add(self.config.lockout_ms);
            began.has_locked = true;
        }
        Ok(began)
    }

    /// Forgets the failures of an address that proved itself otherwise.
    pub fn forget(&self, bucket: Bucket, address: Option<IpAddr>) {
        if let Some(key) = self.key(bucket, address) {
            self.lock().remove(&key);
        }
    }

    fn make_room(&self, table: &mut HashMap<Key, Tries>, now_ms: u64) {
        table.retain(|_, tries| {
            tries.settle(now_ms, self.config.window_ms);
            tries.is_locked(now_ms) || !tries.failures_ms.is_empty()
        });
        let room = RATE_LIMIT_ADDRESSES_MAX / GIVEN_UP_PART;
        let too_many = (table.len() + room).saturating_sub(RATE_LIMIT_ADDRESSES_MAX);
        let mut by_worth: Vec<_> = table.iter().map(|(k, t)| (t.worth(now_ms), *k)).collect();
        by_worth.sort_unstable_by_key(|(worth, _)| *worth);
        for (_, key) in by_worth.into_iter().take(too_many) {
            table.remove(&key);
        }
    }

    /// `None` for an address that isn't limited.
    fn key(&self, bucket: Bucket, address: Option<IpAddr>) -> Option<Key> {
        let address = address.map(|a| a.to_canonical());
        let counted = match address {
            Some(a) if a.is_loopback() && self.config.exempt_loopback => return None,
            Some(a) if a.is_loopback() && self.browser => Some(BROWSER_ON_LOOPBACK),
            other => other,
        };
        Some((bucket, counted))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)));
    const SECRET: Bucket = Bucket::SharedSecret;

    fn limiter(max_attempts: u32) -> Limiter {
        Limiter::new(RateLimitConfig {
            max_attempts,
            ..RateLimitConfig::default()
        })
    }

    #[track_caller]
    fn fails(limiter: &Limiter, address: Option<IpAddr>, now_ms: u64) {
        limiter
            .begin(SECRET, address, now_ms)
            .expect("it may try")
            .failed();
    }

    #[test]
    fn the_last_failure_locks_for_a_while() {
        let limiter = limiter(2);
        fails(&limiter, THERE, 1);
        assert!(!limiter.is_locked(SECRET, THERE, 2));
        fails(&limiter, THERE, 2);
        assert!(limiter.is_locked(SECRET, THERE, 3));
        assert_eq!(limiter.begin(SECRET, THERE, 3).err(), Some(Locked));
        assert!(!limiter.is_locked(Bucket::DeviceToken, THERE, 3));
        assert!(!limiter.is_locked(SECRET, None, 3));
        assert!(!limiter.is_locked(SECRET, THERE, 300_002));
        // After the lock the count starts anew.
        fails(&limiter, THERE, 300_002);
        assert!(!limiter.is_locked(SECRET, THERE, 300_003));
    }

    #[test]
    fn the_window_slides() {
        let limiter = limiter(3);
        for now in [1, 59_000, 61_000] {
            fails(&limiter, THERE, now);
        }
        assert!(!limiter.is_locked(SECRET, THERE, 61_001));
        fails(&limiter, THERE, 61_002);
        assert!(limiter.is_locked(SECRET, THERE, 61_003));
    }

    #[test]
    fn successes_forget_and_what_was_no_try_counts_not() {
        let limiter = limiter(2);
        fails(&limiter, THERE, 1);
        limiter
            .begin(SECRET, THERE, 2)
            .expect("one is left")
            .succeeded();
        fails(&limiter, THERE, 3);
        limiter
            .begin(SECRET, THERE, 4)
            .expect("one is left")
            .take_back();
        assert!(!limiter.is_locked(SECRET, THERE, 5));
        fails(&limiter, THERE, 5);
        assert!(limiter.is_locked(SECRET, THERE, 6));
        limiter.forget(SECRET, THERE);
        assert!(limiter.lock().is_empty());
    }

    #[test]
    fn programs_on_this_host_are_exempt_and_pages_are_not() {
        let programs = limiter(1);
        fails(&programs, HERE, 1);
        fails(&programs, HERE, 1);
        let pages = Limiter::for_browsers();
        for _ in 0..10 {
            fails(&pages, HERE, 1);
        }
        assert!(pages.is_locked(SECRET, HERE, 2));
        assert!(pages.is_locked(SECRET, "::1".parse().ok(), 2));
        assert!(pages.is_locked(SECRET, "198.18.0.1".parse().ok(), 2));
    }

    #[test]
    fn one_address_has_one_count_however_it_is_written() {
        let limiter = limiter(2);
        fails(&limiter, THERE, 1);
        fails(&limiter, "::ffff:10.0.0.9".parse().ok(), 1);
        assert!(limiter.is_locked(SECRET, THERE, 2));
    }

    #[test]
    fn of_many_at_once_no_more_are_evaluated_than_may_fail() {
        let (limiter, evaluated) = (limiter(7), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    if let Ok(tried) = limiter.begin(SECRET, THERE, 1) {
                        evaluated.fetch_add(1, Ordering::Relaxed);
                        std::thread::yield_now();
                        tried.failed();
                    }
                });
            }
        });
        assert_eq!(evaluated.into_inner(), 7);
    }

    #[test]
    fn a_crowd_of_addresses_neither_fills_memory_nor_frees_the_locked() {
        let limiter = limiter(2);
        fails(&limiter, THERE, 1);
        fails(&limiter, THERE, 1);
        for i in 0..3 * RATE_LIMIT_ADDRESSES_MAX as u32 {
            fails(
                &limiter,
                Some(Ipv4Addr::from_bits(0x0b00_0000 + i).into()),
                2,
            );
        }
        assert!(limiter.lock().len() <= RATE_LIMIT_ADDRESSES_MAX);
        assert!(limiter.is_locked(SECRET, THERE, 3));
    }
}
