//! How long a model thinks before it speaks.
//!
//! Chosen for each run: by the request, else the session, else `agents.defaults.thinkingDefault`.
//! Pure. Promises that a word which is no level is refused with the list of levels.

use std::str::FromStr;

/// A level of thinking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thinking {
    /// Not at all.
    #[default]
    Off,
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// Some time.
    Medium,
    /// Long.
    High,
    /// As long as it may.
    XHigh,
    /// As the model likes.
    Adaptive,
}

/// A word that is no level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLevel(pub String);

impl std::fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "unknown thinking level \"{}\" (use off|minimal|low|medium|high|xhigh|adaptive)",
            self.0
        )
    }
}

impl std::error::Error for UnknownLevel {}

impl FromStr for Thinking {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Thinking, UnknownLevel> {
        Ok(match text.trim().to_lowercase().as_str() {
            "off" => Thinking::Off,
            "minimal" => Thinking::Minimal,
            "low" | "on" => Thinking::Low,
            "medium" => Thinking::Medium,
            "high" => Thinking::High,
            "xhigh" => Thinking::XHigh,
            "adaptive" => Thinking::Adaptive,
            _ => return Err(UnknownLevel(text.chars().take(40).collect())),
        })
    }
}

/// The level that a request names; none for an absent, empty or `default` one.
///
/// # Errors
/// [`UnknownLevel`].
pub fn requested(text: Option<&str>) -> Result<Option<Thinking>, UnknownLevel> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) if !text.eq_ignore_ascii_case("default") => text.parse().map(Some),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_other_words_refused() {
        assert_eq!(requested(Some("High")), Ok(Some(Thinking::High)));
        for none in [None, Some(""), Some(" default ")] {
            assert_eq!(requested(none), Ok(None));
        }
        let refused = requested(Some("zzz")).map_err(|e| e.to_string());
        let text =
            "unknown thinking level \"zzz\" (use off|minimal|low|medium|high|xhigh|adaptive)";
        assert_eq!(refused, Err(text.to_owned()));
    }
}
