//! How long to wait before the next try.

use std::time::Duration;

/// Doubles from `first` up to `most`, then takes off up to a quarter, so that those who failed
/// together don't come back together. `attempt` counts from 1, `random` is any random number.
pub fn delay(attempt: u32, first: Duration, most: Duration, random: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    let full = first.saturating_mul(1 << doublings).min(most);
    full - full.mul_f64(0.25 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(300);

    #[test]
    fn grows_to_the_bound() {
        let secs = |attempt| delay(attempt, FIRST, MOST, 0).as_secs();
        assert_eq!([1, 2, 3, 9, 10, 11].map(secs), [1, 2, 4, 256, 300, 300]);
        assert_eq!(delay(u32::MAX, FIRST, MOST, 0), MOST);
    }

    #[test]
    fn jitter_takes_off_a_quarter_at_most() {
        let least = delay(2, FIRST, MOST, u32::MAX);
        assert!(least >= Duration::from_millis(1_499) && least <= Duration::from_millis(1_501));
    }
}
