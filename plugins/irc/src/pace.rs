//! How fast to talk, so that the server does not throw us out for flooding.
//!
//! Pure, told the time. A bucket: `burst` lines after a silence, then one each `interval`.
//! `outbox` asks before each line; what cannot wait (an answer to a ping) goes into debt.

use std::time::Duration;

use tokio::time::Instant;

/// The bucket of one connection.
#[derive(Debug)]
pub struct Pace {
    burst: f64,
    interval: Duration,
    left: f64,
    at: Instant,
}

impl Pace {
    /// A full bucket.
    pub fn new(burst: u32, interval: Duration, now: Instant) -> Pace {
        let burst = f64::from(burst.max(1));
        Pace {
            burst,
            interval,
            left: burst,
            at: now,
        }
    }

    /// How long until a line may go; zero if one may go now.
    pub fn wait(&mut self, now: Instant) -> Duration {
        self.wait_for(1, now)
    }

    /// How long until so many lines will have gone.
    pub fn wait_for(&mut self, lines: usize, now: Instant) -> Duration {
        self.refill(now);
        #[allow(clippy::cast_precision_loss)] // some dozens of lines
        let missing = lines as f64 - self.left;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        self.interval.mul_f64(missing)
    }

    /// A line goes. The debt is bounded: a server's pings must not silence us for good.
    pub fn spend(&mut self, now: Instant) {
        self.refill(now);
        self.left = (self.left - 1.0).max(-self.burst);
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.at = now;
        self.left = if self.interval.is_zero() {
            self.burst
        } else {
            (self.left + passed.as_secs_f64() / self.interval.as_secs_f64()).min(self.burst)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_then_one_each_interval() {
        let start = Instant::now();
        let mut pace = Pace::new(5, 2 * SECOND, start);
        for _ in 0..5 {
            assert_eq!(pace.wait(start), Duration::ZERO);
            pace.spend(start);
        }
        assert_eq!(pace.wait(start), 2 * SECOND);
        assert_eq!(pace.wait_for(3, start), 6 * SECOND);
        assert_eq!(pace.wait(start + SECOND), SECOND);
        assert_eq!(pace.wait(start + 2 * SECOND), Duration::ZERO);
        pace.spend(start + 2 * SECOND);
        assert_eq!(pace.wait(start + 2 * SECOND), 2 * SECOND);
        let later = start + 100 * SECOND;
        assert_eq!(pace.wait_for(5, later), Duration::ZERO);
        assert_eq!(pace.wait_for(6, later), 2 * SECOND);
    }

    #[test]
    fn debt_is_bounded_and_no_interval_means_no_limit() {
        let start = Instant::now();
        let mut pace = Pace::new(2, SECOND, start);
        (0..100).for_each(|_| pace.spend(start));
        assert_eq!(pace.wait(start), 3 * SECOND);
        let mut free = Pace::new(1, Duration::ZERO, start);
        (0..100).for_each(|_| free.spend(start));
        assert_eq!(free.wait_for(50, start), Duration::ZERO);
    }
}
