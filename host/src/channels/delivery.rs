//! Takes an account's outbox entries to the provider, each to its end.
//!
//! One task per account: in order inside a conversation, several conversations at a time. Every
//! step is on disk before it is taken (`store/outbox.rs`). An entry is tried again only when it
//! is certain that the provider did not take it; a try without an answer ends as `unknown`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use gateway_plugin::message::{ErrorKind, OutboundMessage, SendReceipt, SurfaceError, TextFormat};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::backoff;
use super::lanes::Lanes;
use crate::clock::Clock;
use crate::limits::{
    OUTBOX_OPEN_MAX, OUTBOX_RETRY_FIRST, OUTBOX_RETRY_MOST, SEND_DEADLINE, SENDS_IN_FLIGHT_MAX,
};
use crate::store::outbox::{self, Entry, OutboxId, Receipt, State};
use crate::store::{Store, StoreError};

/// What delivers: a running plugin instance.
pub(super) trait Outlet: Send + Sync + 'static {
    /// Sends one message and waits for the provider's word, at most until the deadline.
    fn send(
        &self,
        message: OutboundMessage,
        deadline: Duration,
    ) -> impl Future<Output = Result<SendReceipt, SurfaceError>> + Send;
}

/// Room for one more entry; given back when the entry has ended.
pub type Room = OwnedSemaphorePermit;

/// An entry on its way.
#[derive(Debug)]
pub(super) struct Job {
    id: OutboxId,
    conversation: String,
    _room: Room,
}

/// The counter where messages are handed in. Shared by the account's handle and its delivery.
#[derive(Debug)]
pub(super) struct Post {
    room: Arc<Semaphore>,
    jobs: mpsc::Sender<Job>,
    /// `None` once the delivery has ended.
    waiters: Mutex<Option<Waiters>>,
    /// Why the account no longer runs, once it won't by itself.
    given_up: watch::Sender<Option<String>>,
}

type Waiters = HashMap<OutboxId, Vec<oneshot::Sender<State>>>;

impl Post {
    /// A counter and the queue its delivery reads.
    pub(super) fn new() -> (Post, mpsc::Receiver<Job>) {
        // Whoever hands in a job holds room, so the queue can't be full.
        let (jobs, queue) = mpsc::channel(OUTBOX_OPEN_MAX);
        let room = Arc::new(Semaphore::new(OUTBOX_OPEN_MAX));
        (
            Post {
                room,
                jobs,
                waiters: Mutex::new(Some(HashMap::new())),
                given_up: watch::Sender::new(None),
            },
            queue,
        )
    }

    /// Room for one entry, if there is any.
    pub(super) fn try_room(&self) -> Option<Room> {
        self.room.clone().try_acquire_owned().ok()
    }

    /// Waits for room for `count` entries.
    pub(super) async fn room(&self, count: usize) -> Vec<Room> {
        let mut rooms = Vec::with_capacity(count);
        for _ in 0..count {
            let room = self.room.clone().acquire_owned().await;
            rooms.push(room.expect("the semaphore is never closed"));
        }
        rooms
    }

    /// Hands in an entry that is `prepared` on disk.
    pub(super) fn hand_in(&self, id: OutboxId, entry: &Entry, room: Room) {
        let job = Job {
            id,
            conversation: entry.to.clone(),
            _room: room,
        };
        if self.jobs.try_send(job).is_err() {
            // Only while stopping: the entry is on disk and sent after the next start.
            tracing::debug!(%id, "outbox entry stays for the next start");
        }
    }

    /// Told once the entry has ended, or nothing when the delivery ends first. Ask before reading
    /// its state from the store.
    pub(super) fn wait(&self, id: OutboxId) -> oneshot::Receiver<State> {
        let (tell, told) = oneshot::channel();
        if let Some(waiters) = self.waiters().as_mut() {
            waiters.entry(id).or_default().push(tell);
        }
        told
    }

    /// The account doesn't run and won't by itself (`Some`: why), or will again. Messages somebody
    /// waits for fail at once; the others keep their time.
    pub(super) fn give_up(&self, why: Option<String>) {
        self.given_up.send_replace(why);
    }

    fn is_awaited(&self, id: OutboxId) -> bool {
        let waiters = self.waiters();
        let told = waiters.as_ref().and_then(|waiters| waiters.get(&id));
        told.is_some_and(|told| told.iter().any(|one| !one.is_closed()))
    }

    fn waiters(&self) -> MutexGuard<'_, Option<Waiters>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, id: OutboxId, end: &State) {
        let waiting = self
            .waiters()
            .as_mut()
            .and_then(|waiters| waiters.remove(&id));
        for waiter in waiting.unwrap_or_default() {
            // Whoever waited may have left.
            waiter.send(end.clone()).ok();
        }
    }
}

/// Tells those who still wait that nothing more will come, however the delivery ended.
struct LastWord(Arc<Post>);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.0.waiters().take();
    }
}

/// What the account wants to hear of its delivery.
pub(super) trait Listener: Send + Sync + 'static {
    /// A message was delivered.
    fn delivered(&self, now_ms: u64);
    /// The provider refused the account itself: it has to stop.
    fn refused(&self, error: &SurfaceError);
}

/// The task that empties an account's outbox.
pub(super) struct Delivery<O, L> {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) post: Arc<Post>,
    pub(super) listener: Arc<L>,
    /// The running instance; absent while there is none.
    pub(super) outlet: watch::Receiver<Option<Arc<O>>>,
    /// Cancelled when no new send may begin.
    pub(super) draining: CancellationToken,
}

enum Next<O> {
    Send(Arc<O>),
    GivenUp(String),
    Draining,
}

impl<O: Outlet, L: Listener> Delivery<O, L> {
    /// Runs until drained: after `draining` is cancelled, once nothing is in flight.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Job>) {
        let this = &self;
        let _last_word = LastWord(self.post.clone());
        let mut lanes = Lanes::new(SENDS_IN_FLIGHT_MAX);
        let mut running = FuturesUnordered::new();
        loop {
            while !self.draining.is_cancelled() {
                let Some((lane, job)) = lanes.begin() else {
                    break;
                };
                running.push(async move {
                    this.deliver(&job).await;
                    drop(job);
                    lane
                });
            }
            tokio::select! {
                Some(lane) = running.next(), if !running.is_empty() => lanes.done(&lane),
                job = queue.recv(), if !self.draining.is_cancelled() => match job {
                    Some(job) => lanes.push(job.conversation.clone(), job),
                    None => break,
                },
                () = self.draining.cancelled(), if running.is_empty() => break,
            }
        }
    }

    async fn deliver(&self, job: &Job) {
        let mut disk_failures = 0;
        loop {
            match self.attempt(job.id).await {
                Ok(Some(pause)) => self.pause(pause).await,
                Ok(None) => return,
                Err(StoreError::Refused(why)) => {
                    tracing::error!(id = %job.id, %why, "outbox entry left alone");
                    self.post.settle(job.id, &State::Unknown { message: why });
                    return;
                }
                Err(e) => {
                    disk_failures += 1;
                    tracing::error!(id = %job.id, error = %e, "outbox entry waits for the disk");
                    self.pause(self.retry_delay(disk_failures)).await;
                }
            }
            if self.draining.is_cancelled() {
                return;
            }
        }
    }

    /// One try. `Some` is the pause before the next one; `None`: the entry has ended, or stays
    /// for the next start.
    async fn attempt(&self, id: OutboxId) -> Result<Option<Duration>, StoreError> {
        let Some(entry) = self.store.read(|txn| outbox::get(txn, id))? else {
            return Ok(None);
        };
        let outlet = match self.next(id, entry.expires_ms).await {
            Next::Send(outlet) => outlet,
            Next::GivenUp(message) => {
                let invalid = false;
                return self
                    .end(id, &entry, State::Failed { message, invalid })
                    .await;
            }
            Next::Draining => return Ok(None),
        };
        let now_ms = self.clock.now_ms();
        let entry = self
            .store
            .write(move |txn| outbox::begin(txn, id, now_ms))
            .await?;
        let answer = outlet.send(outbound(&entry), SEND_DEADLINE).await;
        // Whoever waits for the outlet's last send must not wait for the disk as well.
        drop(outlet);
        if let Err(e) = &answer
            && e.stops_account()
        {
            self.listener.refused(e);
        }
        match verdict(answer) {
            Verdict::End(end) => self.end(id, &entry, end).await,
            Verdict::Again { after, error } => self.again(id, &entry, after, error).await,
        }
    }

    async fn again(
        &self,
        id: OutboxId,
        entry: &Entry,
        after: Option<Duration>,
        error: String,
    ) -> Result<Option<Duration>, StoreError> {
        let pause = after.unwrap_or_else(|| self.retry_delay(entry.attempts));
        let now_ms = self.clock.now_ms();
        let pause_ms = crate::spell::millis(pause);
        if now_ms.saturating_add(pause_ms) >= entry.expires_ms {
            return self
                .end(
                    id,
                    entry,
                    State::Failed {
                        message: error,
                        invalid: false,
                    },
                )
                .await;
        }
        self.store
            .write(move |txn| outbox::again(txn, id, now_ms))
            .await?;
        tracing::warn!(
            channel = entry.channel, account = entry.account, %id, %error,
            attempt = entry.attempts, pause_ms, "message not taken, it will be sent again"
        );
        Ok(Some(pause))
    }

    /// Records the end and tells whoever waits. The word to them doesn't depend on the disk: what
    /// was delivered stays delivered.
    async fn end(
        &self,
        id: OutboxId,
        entry: &Entry,
        end: State,
    ) -> Result<Option<Duration>, StoreError> {
        let (channel, account) = (&entry.channel, &entry.account);
        match &end {
            State::Delivered { .. } => {
                self.listener.delivered(self.clock.now_ms());
                tracing::debug!(channel, account, %id, "message delivered");
            }
            State::Failed { message, .. } => {
                tracing::warn!(channel, account, %id, error = message, "message failed");
            }
            State::Unknown { message } => {
                tracing::warn!(channel, account, %id, error = message, "delivery unknown");
            }
            State::Prepared | State::Sending => debug_assert!(false, "not an end"),
        }
        let now_ms = self.clock.now_ms();
        let stored = end.clone();
        let written = self
            .store
            .write(move |txn| outbox::finish(txn, id, stored, now_ms))
            .await;
        self.post.settle(id, &end);
        if let Err(e) = written {
            tracing::error!(%id, error = %e, "the end of a delivery could not be recorded");
        }
        Ok(None)
    }

    async fn next(&self, id: OutboxId, expires_ms: u64) -> Next<O> {
        let too_late =
            || Next::GivenUp("the channel was not running, the message was given up".to_owned());
        let now_ms = self.clock.now_ms();
        if now_ms >= expires_ms {
            return too_late();
        }
        let (mut outlet, mut given_up) = (self.outlet.clone(), self.post.given_up.subscribe());
        let running = async {
            match outlet.wait_for(Option::is_some).await {
                Ok(found) => found.clone(),
                Err(_) => None,
            }
        };
        let given_up = async {
            let why = given_up.wait_for(Option::is_some).await;
            why.ok().and_then(|why| why.clone()).unwrap_or_default()
        };
        tokio::select! {
            biased;
            () = self.draining.cancelled() => Next::Draining,
            found = running => found.map_or(Next::Draining, Next::Send),
            why = given_up, if self.post.is_awaited(id) => {
                Next::GivenUp(format!("the channel is not running: {why}"))
            }
            () = tokio::time::sleep(Duration::from_millis(expires_ms - now_ms)) => too_late(),
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.draining.cancelled() => {}
        }
    }

    fn retry_delay(&self, attempt: u32) -> Duration {
        let random = u32::from_le_bytes(self.clock.random());
        backoff::delay(attempt, OUTBOX_RETRY_FIRST, OUTBOX_RETRY_MOST, random)
    }
}

fn outbound(entry: &Entry) -> OutboundMessage {
    OutboundMessage {
        to: entry.to.clone(),
        thread_id: entry.thread_id.clone(),
        reply_to: entry.reply_to.clone(),
        text: entry.text.clone(),
        format: TextFormat::Markdown,
        idempotency_key: Some(entry.key.clone()),
        ..OutboundMessage::default()
    }
}

#[derive(Debug, PartialEq)]
enum Verdict {
    End(State),
    Again {
        after: Option<Duration>,
        error: String,
    },
}

/// What an answer means for the entry. The kind of an error says whether the provider may have
/// taken the message: only when it certainly did not, it is sent again.
fn verdict(answer: Result<SendReceipt, SurfaceError>) -> Verdict {
    let error = match answer {
        Ok(receipt) => {
            return Verdict::End(State::Delivered {
                receipt: stored(receipt),
            });
        }
        Err(error) => error,
    };
    let message = error.message.clone();
    match error.kind {
        ErrorKind::RateLimited | ErrorKind::NotConnected | ErrorKind::Transient => {
            let after = error.retry_after_ms.map(Duration::from_millis);
            Verdict::Again {
                after,
                error: message,
            }
        }
        ErrorKind::Timeout | ErrorKind::Panic | ErrorKind::Cancelled => {
            Verdict::End(State::Unknown { message })
        }
        ErrorKind::InvalidRequest => Verdict::End(State::Failed {
            message,
            invalid: true,
        }),
        _ => Verdict::End(State::Failed {
            message,
            invalid: false,
        }),
    }
}

fn stored(receipt: SendReceipt) -> Receipt {
    let told = |key: &str| match receipt.native.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    Receipt {
        chat_id: told("chatId").or(receipt.chat.clone()),
        channel_id: told("channelId"),
        to_jid: told("toJid"),
        conversation_id: told("conversationId"),
        message_id: receipt.message_id,
        at_ms: receipt.at_ms,
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
