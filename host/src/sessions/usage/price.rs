//! What tokens cost, by `models.providers.<id>.models[].cost` (per million tokens).

use crate::config::Config;
use crate::sessions::{GATEWAY_PROVIDER, TokensRow};

/// The price of one answer, in the currency of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Of reading.
    pub input: f64,
    /// Of writing.
    pub output: f64,
    /// Of reading from a cache.
    pub cache_read: f64,
    /// Of writing to a cache.
    pub cache_write: f64,
}

impl Price {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.input + self.output + self.cache_read + self.cache_write
    }
}

/// The price of these tokens; none when the configuration has none for the model. Texts of the
/// gateway and answers without tokens are free.
pub fn of(config: &Config, provider: &str, model: &str, tokens: &TokensRow) -> Option<Price> {
    if provider == GATEWAY_PROVIDER || *tokens == TokensRow::default() {
        return Some(Price::default());
    }
    let models = &config.models.providers.get(provider)?.models;
    let cost = models.iter().find(|entry| entry.id == model)?.cost?;
    // In this order, as clients of this family add prices up.
    let price = |per_million: f64, tokens: u64| (per_million / 1_000_000.0) * tokens as f64;
    Some(Price {
        input: price(cost.input, tokens.input),
        output: price(cost.output, tokens.output),
        cache_read: price(cost.cache_read, tokens.cache_read),
        cache_write: price(cost.cache_write, tokens.cache_write),
    })
}
