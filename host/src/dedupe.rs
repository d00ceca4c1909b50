//! Idempotency keys: the same key gives the same answer, once.
//!
//! A method that has a side effect asks [`Dedupe::begin`] before it. Keys aren't tied to a client
//! or device; answers, failures too, are remembered for five minutes, in memory only (what must
//! survive a crash is the owner's: see the outbox). Bounded: beyond the bound the oldest finished
//! key is forgotten; running ones never are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_schemas::error::ErrorShape;
use serde_json::Value;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::limits::{DEDUPE_KEYS_MAX, DEDUPE_TTL_MS};

/// What a finished call answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The payload of the response.
    pub payload: Option<Value>,
    /// The error of a failed one.
    pub error: Option<ErrorShape>,
}

/// The table of keys. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dedupe {
    clock: Clock,
    keys: Arc<Mutex<HashMap<String, Entry>>>,
}

#[derive(Debug)]
enum Entry {
    Running(watch::Receiver<Progress>),
    Done { answer: Arc<Answer>, at_ms: u64 },
}

#[derive(Clone, Debug, Default)]
struct Progress {
    interim: Option<Value>,
    done: Option<Arc<Answer>>,
}

/// What is known of a key.
#[derive(Debug)]
pub enum Begin {
    /// Nothing: do the work and [`Ticket::finish`] it.
    Fresh(Ticket),
    /// Somebody is at it.
    InFlight(Pending),
    /// It was done: answer again.
    Done(Arc<Answer>),
}

/// The right and duty to finish a key. Dropped unfinished, the key is forgotten.
#[derive(Debug)]
pub struct Ticket {
    dedupe: Dedupe,
    key: String,
    progress: watch::Sender<Progress>,
    finished: bool,
}

/// A call in flight under the same key.
#[derive(Debug)]
pub struct Pending {
    progress: watch::Receiver<Progress>,
}

impl Dedupe {
    /// An empty table.
    pub fn new(clock: Clock) -> Self {
        Dedupe {
            clock,
            keys: Arc::default(),
        }
    }

    /// Looks the key up, or takes it. Keys carry the method: `send:<idempotencyKey>`.
    pub fn begin(&self, key: &str) -> Begin {
        let now = self.clock.now_ms();
        let mut keys = self.lock();
        match keys.get(key) {
            Some(Entry::Running(progress)) => {
                return Begin::InFlight(Pending {
                    progress: progress.clone(),
                });
            }
            Some(Entry::Done { answer, at_ms }) if now.saturating_sub(*at_ms) < DEDUPE_TTL_MS => {
                return Begin::Done(answer.clone());
            }
            _ => {}
        }
        if keys.len() >= DEDUPE_KEYS_MAX {
            forget_oldest(&mut keys);
        }
        let (progress, watched) = watch::channel(Progress::default());
        keys.insert(key.to_owned(), Entry::Running(watched));
        Begin::Fresh(Ticket {
            dedupe: self.clone(),
            key: key.to_owned(),
            progress,
            finished: false,
        })
    }

    /// Forgets what is too old. Called once a minute.
    pub fn sweep(&self) {
        let now = self.clock.now_ms();
        self.lock().retain(|_, entry| match entry {
            Entry::Running(_) => true,
            Entry::Done { at_ms, .. } => now.saturating_sub(*at_ms) < DEDUPE_TTL_MS,
        });
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_oldest(keys: &mut HashMap<String, Entry>) {
    let done = keys.iter().filter_map(|(key, entry)| match entry {
        Entry::Done { at_ms, .. } => Some((*at_ms, key)),
        Entry::Running(_) => None,
    });
    if let Some(oldest) = done.min().map(|(_, key)| key.clone()) {
        keys.remove(&oldest);
    }
}

impl Ticket {
    /// Keeps an interim answer for those who ask while the work runs.
    pub fn note(&self, interim: Value) {
        self.progress.send_modify(|p| p.interim = Some(interim));
    }

    /// Stores the answer and gives it to everybody who waits.
    pub fn finish(mut self, answer: Answer) -> Arc<Answer> {
        let answer = Arc::new(answer);
        let at_ms = self.dedupe.clock.now_ms();
        let entry = Entry::Done {
            answer: answer.clone(),
            at_ms,
        };
        self.dedupe.lock().insert(self.key.clone(), entry);
        self.progress.send_modify(|p| p.done = Some(answer.clone()));
        self.finished = true;
        answer
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.finished {
            self.dedupe.lock().remove(&self.key);
        }
    }
}

impl Pending {
    /// The interim answer, if there is one yet.
    pub fn interim(&self) -> Option<Value> {
        self.progress.borrow().interim.clone()
    }

    /// The answer; `None` when the work was given up without one.
    pub async fn wait(mut self) -> Option<Arc<Answer>> {
        let finished = self.progress.wait_for(|p| p.done.is_some()).await;
        finished.ok().and_then(|p| p.done.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(text: &str) -> Answer {
        Answer {
            payload: Some(json!(text)),
            error: None,
        }
    }

    #[tokio::test]
    async fn waiters_get_the_same_answer() {
        let dedupe = Dedupe::new(Clock::system());
        let Begin::Fresh(ticket) = dedupe.begin("send:1") else {
            panic!("not fresh")
        };
        ticket.note(json!("accepted"));
        let Begin::InFlight(pending) = dedupe.begin("send:1") else {
            panic!("not in flight")
        };
        assert_eq!(pending.interim(), Some(json!("accepted")));
        let (given, got) = tokio::join!(async { ticket.finish(answer("x")) }, pending.wait());
        assert_eq!(got.as_deref(), Some(&*given));
        let Begin::Done(again) = dedupe.begin("send:1") else {
            panic!("not done")
        };
        assert_eq!(again, given);
    }

    #[tokio::test]
    async fn work_given_up_is_forgotten() {
        let dedupe = Dedupe::new(Clock::system());
        let Begin::Fresh(ticket) = dedupe.begin("k") else {
            panic!("not fresh")
        };
        let Begin::InFlight(pending) = dedupe.begin("k") else {
            panic!("not in flight")
        };
        drop(ticket);
        assert_eq!(pending.wait().await, None);
        assert!(matches!(dedupe.begin("k"), Begin::Fresh(_)));
    }

    #[test]
    fn the_oldest_finished_key_makes_room() {
        let dedupe = Dedupe::new(Clock::system());
        let Begin::Fresh(running) = dedupe.begin("running") else {
            panic!("not fresh")
        };
        for i in 0..DEDUPE_KEYS_MAX + 10 {
            let Begin::Fresh(ticket) = dedupe.begin(&format!("k{i}")) else {
                panic!("not fresh")
            };
            ticket.finish(answer("x"));
        }
        assert!(dedupe.len() <= DEDUPE_KEYS_MAX);
        assert!(matches!(dedupe.begin("running"), Begin::InFlight(_)));
        drop(running);
    }
}
