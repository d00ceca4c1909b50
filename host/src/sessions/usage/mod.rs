//! What sessions used: tokens, cost, messages, tools and how long answers took.
//!
//! Called by the usage methods, on a thread that may block. Reads transcripts and prices what the
//! configuration has a price for. Promises that what has no price is counted as missing, never as
//! free.

mod days;
pub mod price;
mod tally;

pub use days::Days;
pub use tally::Tally;

use std::collections::HashSet;

use super::{GATEWAY_PROVIDER, MessageRow, SessionRow, Sessions, TokensRow};
use crate::config::Config;
use crate::store::StoreError;
use crate::store::sessions::BodyRow;
use crate::store::transcripts;
use price::Price;

/// One message, as far as usage goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When it was said, ms.
    pub at: u64,
    /// Who said it.
    pub by: By,
}

/// Who said something, and what it used.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// A person or client.
    User,
    /// The agent.
    Assistant(Answer),
    /// A tool.
    Tool {
        /// It could not do what it was asked.
        failed: bool,
    },
}

/// What one answer used.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its provider; none for texts of the gateway.
    pub model: Option<(String, String)>,
    /// Its tokens.
    pub tokens: TokensRow,
    /// Its price, if the configuration tells one.
    pub price: Option<Price>,
    /// It failed or was cut.
    pub failed: bool,
    /// The tools it called.
    pub tools: Vec<String>,
}

impl Entry {
    /// What a stored message used, at the prices of `config`.
    pub fn of(config: &Config, row: &MessageRow) -> Entry {
        let by = match &row.body {
            BodyRow::User(_) => By::User,
            BodyRow::Assistant(said) => {
                let own = said.provider == GATEWAY_PROVIDER;
                let model = (!own).then(|| (said.provider.clone(), said.model.clone()));
                By::Assistant(Answer {
                    model,
                    tokens: said.tokens,
                    price: price::of(config, &said.provider, &said.model, &said.tokens),
                    failed: matches!(said.stop_reason.as_str(), "error" | "aborted"),
                    tools: said.calls.iter().map(|call| call.name.clone()).collect(),
                })
            }
            BodyRow::Tool(result) => By::Tool {
                failed: result.is_error,
            },
        };
        Entry {
            at: row.timestamp,
            by,
        }
    }
}

impl Sessions {
    /// What was said in a session from `from_ms` to `to_ms`, both included, oldest first; also
    /// before it was reset. Transcripts that are in `counted` are left out, and those that were
    /// read are added to it: some belong to two sessions.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails or a message is damaged.
    pub fn entries(
        &self,
        row: &SessionRow,
        (from_ms, to_ms): (u64, u64),
        counted: &mut HashSet<String>,
    ) -> Result<Vec<Entry>, StoreError> {
        let config = self.config.current();
        let mut entries = Vec::new();
        let newest_first = std::iter::once(&row.session_id).chain(row.earlier.iter().rev());
        for transcript in newest_first {
            if !counted.insert(transcript.clone()) {
                continue;
            }
            transcripts::back_to(&self.store, transcript, from_ms, |message| {
                if message.timestamp <= to_ms {
                    entries.push(Entry::of(&config, &message));
                }
            })?;
        }
        entries.reverse();
        Ok(entries)
    }
}
