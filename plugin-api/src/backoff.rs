//! How long to wait before trying again.
//!
//! Pure but for one random number. All its numbers come from an account's configuration.

use std::time::Duration;

/// Delays that grow from `initial` by `factor` up to `max`, each moved by up to `jitter` of it, so
/// that accounts which lost the same server do not come back at once.
///
/// ```
/// use std::time::Duration;
/// use gateway_plugin::backoff::Backoff;
///
/// let backoff = Backoff {
///     initial: Duration::from_secs(1),
///     max: Duration::from_secs(30),
///     factor: 2.0,
///     jitter: 0.25,
/// };
/// assert!(backoff.delay(1) <= Duration::from_millis(1250));
/// assert!(backoff.delay(9) >= Duration::from_millis(22_500));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    /// The first delay.
    pub initial: Duration,
    /// The longest delay, before jitter.
    pub max: Duration,
    /// By how much each delay grows.
    pub factor: f64,
    /// Largest part of a delay that chance adds or takes, 0 to 1.
    pub jitter: f64,
}

impl Backoff {
    /// The delay before attempt `attempt`, counted from 1.
    pub fn delay(&self, attempt: u32) -> Duration {
        self.with_chance(attempt, chance())
    }

    fn with_chance(&self, attempt: u32, chance: f64) -> Duration {
        let power = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown = self.initial.as_secs_f64() * self.factor.max(1.0).powi(power);
        let plain = grown.min(self.max.as_secs_f64());
        let moved = plain * (1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * chance - 1.0));
        Duration::try_from_secs_f64(moved).unwrap_or(self.max)
    }
}

/// A number from 0 to 1. Without a source of randomness all clients would come back at once,
/// which is unpleasant but no reason to fail.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_maximum_and_jitter_moves_them() {
        let backoff = Backoff {
            initial: Duration::from_secs(2),
            max: Duration::from_secs(30),
            factor: 1.8,
            jitter: 0.25,
        };
        let seconds = |attempt, chance| backoff.with_chance(attempt, chance).as_secs_f64();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
        near(seconds(1, 0.5), 2.0);
        near(seconds(2, 0.5), 3.6);
        near(seconds(6, 0.5), 30.0);
        near(seconds(u32::MAX, 0.5), 30.0);
        near(seconds(1, 0.0), 1.5);
        near(seconds(1, 1.0), 2.5);
    }
}
