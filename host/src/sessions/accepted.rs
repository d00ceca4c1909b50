//! Accepted messages: none is lost by a crash, and none is answered twice.
//!
//! A message of a client is kept when it has to wait, or with its place in the transcript, and
//! forgotten in the transaction that stores its answer. What is found at start was cut off: it is
//! put into its transcript, if it is not there, with a note that it was not answered. So whoever
//! reads the history after a crash sees what became of each.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{AssistantRow, MessageRow, SessionKey, SessionRow, Sessions, gateway_text};
use crate::limits::PROMPT_MESSAGES_MAX;
use crate::sessions::INJECTED_MODEL;
use crate::store::StoreError;
use crate::store::accepted::{self, AcceptedRow};
use crate::store::sessions::{BodyRow, InputRow};

/// What stands under a message that a crash left without an answer.
const CUT_OFF: &str = "The gateway was stopped before this message was answered.";

/// A message that was accepted, and where it is kept until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What [`Sessions::settle`] takes; sorts in order of acceptance.
    pub place: String,
    /// The message.
    pub row: AcceptedRow,
}

impl Sessions {
    /// Takes note of a message; nothing is written yet.
    pub fn accepted(
        &self,
        run_id: &str,
        key: &SessionKey,
        text: &str,
        sender_label: Option<String>,
    ) -> Accepted {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let accepted_at = self.clock.now_ms();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Accepted {
            place: format!("{accepted_at:016x}/{number:016x}"),
            row: AcceptedRow {
                run_id: run_id.to_owned(),
                key: key.to_string(),
                text: text.to_owned(),
                sender_label,
                accepted_at,
            },
        }
    }

    /// Keeps an accepted message that has to wait for its turn.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn keep(&self, accepted: Accepted) -> Result<(), StoreError> {
        accepted::keep(&self.store, accepted.place, accepted.row).await
    }

    /// Forgets accepted messages whose runs are over.
    pub async fn settle(&self, places: Vec<String>) {
        if places.is_empty() {
            return;
        }
        if let Err(error) = accepted::settle(&self.store, places).await {
            tracing::error!(%error, "answered messages are still kept as accepted");
        }
    }

    /// Tells in their transcripts what became of messages that were accepted before `start_ms` and
    /// cut off by a crash. Gives how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails; what was not told is told at the next start.
    pub async fn report_cut_off(&self, start_ms: u64) -> Result<usize, StoreError> {
        let mut told = 0;
        let cut_off = accepted::all(&self.store)?.into_iter();
        for (place, row) in cut_off.filter(|(_, row)| row.accepted_at < start_ms) {
            let key = SessionKey::from_store(&row.key);
            let rows = self.history(&key, PROMPT_MESSAGES_MAX)?;
            if !was_said(&rows, &row) {
                let user = InputRow {
                    text: row.text.clone(),
                    sender_label: row.sender_label.clone(),
                    ..InputRow::default()
                };
                self.append_user(&key, Some(format!("{place}:user")), user)
                    .await?;
            }
            let note = AssistantRow {
                stop_reason: "error".to_owned(),
                error_message: Some(CUT_OFF.to_owned()),
                ..gateway_text("", INJECTED_MODEL)
            };
            let under = Some(format!("{place}:assistant"));
            let cut = |row: &mut SessionRow| row.aborted_last_run = true;
            self.append_answer(&key, under, note, vec![place], cut)
                .await?;
            told += 1;
        }
        Ok(told)
    }
}

/// Whether a message that had to wait came into its transcript, alone or with others.
fn was_said(rows: &[MessageRow], row: &AcceptedRow) -> bool {
    rows.iter().any(|message| match &message.body {
        BodyRow::User(user) => {
            message.timestamp >= row.accepted_at && user.text.contains(row.text.trim())
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(timestamp: u64, text: &str) -> MessageRow {
        let user = InputRow {
            text: text.into(),
            ..InputRow::default()
        };
        MessageRow {
            id: "0".into(),
            key: None,
            timestamp,
            body: BodyRow::User(user),
        }
    }

    #[test]
    fn what_waited_is_found_in_the_transcript() {
        let row = AcceptedRow {
            text: "hi".into(),
            accepted_at: 10,
            ..AcceptedRow::default()
        };
        for (at, text, expected) in [
            (9, "hi", false),
            (10, "hi", true),
            (11, "Queued #1\nhi", true),
            (11, "ho", false),
        ] {
            assert_eq!(was_said(&[user(at, text)], &row), expected, "{at} {text}");
        }
    }
}
