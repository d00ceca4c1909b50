//! Delivery against a fake provider: order, parallelism, retries, ends, crash points.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::path::PathBuf;

use tokio::sync::Notify;

use super::*;
use crate::shutdown::Tasks;
use crate::store::outbox::Prepared;
use crate::store::outbox::tests::entry;

/// A provider that answers as scripted, and notes what it was given.
#[derive(Default)]
struct Provider {
    taken: Mutex<Vec<String>>,
    script: Mutex<VecDeque<Result<SendReceipt, SurfaceError>>>,
    /// Texts that start with `hold` wait for this.
    release: Notify,
    arrived: Notify,
}

impl Provider {
    fn answering(script: impl IntoIterator<Item = Result<SendReceipt, SurfaceError>>) -> Arc<Self> {
        let script = Mutex::new(script.into_iter().collect());
        Arc::new(Provider {
            script,
            ..Provider::default()
        })
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    async fn has_taken(&self, count: usize) {
        loop {
            let arrived = self.arrived.notified();
            if self.taken().len() >= count {
                return;
            }
            arrived.await;
        }
    }
}

impl Outlet for Provider {
    async fn send(&self, m: OutboundMessage, _: Duration) -> Result<SendReceipt, SurfaceError> {
        self.taken.lock().unwrap().push(m.text.clone());
        self.arrived.notify_waiters();
        if m.text.starts_with("hold") {
            self.release.notified().await;
        }
        let scripted = self.script.lock().unwrap().pop_front();
        let message_id = format!("id of {}", m.text);
        scripted.unwrap_or(Ok(SendReceipt {
            message_id,
            ..SendReceipt::default()
        }))
    }
}

#[derive(Default)]
struct Ear(Mutex<Vec<ErrorKind>>);

impl Listener for Ear {
    fn delivered(&self, _: u64) {}
    fn refused(&self, error: &SurfaceError) {
        self.0.lock().unwrap().push(error.kind);
    }
}

struct Rig {
    store: Store,
    post: Arc<Post>,
    outlet: watch::Sender<Option<Arc<Provider>>>,
    ear: Arc<Ear>,
    draining: CancellationToken,
    tasks: Tasks,
    path: PathBuf,
    dir: tempfile::TempDir,
}

impl Rig {
    fn new(provider: Option<Arc<Provider>>) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.redb");
        Rig::on(dir, path, provider)
    }

    fn on(dir: tempfile::TempDir, path: PathBuf, provider: Option<Arc<Provider>>) -> Rig {
        let store = Store::open(&path).unwrap();
        let (post, queue) = Post::new();
        let (outlet, running) = watch::channel(provider);
        let (post, ear, draining) = (
            Arc::new(post),
            Arc::<Ear>::default(),
            CancellationToken::new(),
        );
        let tasks = Tasks::new("test");
        let delivery = Delivery {
            store: store.clone(),
            clock: Clock::system(),
            post: post.clone(),
            listener: ear.clone(),
            outlet: running,
            draining: draining.clone(),
        };
        tasks.spawn("delivery", delivery.run(queue));
        Rig {
            store,
            post,
            outlet,
            ear,
            draining,
            tasks,
            path,
            dir,
        }
    }

    async fn send(&self, key: &str, to: &str, text: &str) -> oneshot::Receiver<State> {
        let now_ms = Clock::system().now_ms();
        self.send_until(key, to, text, now_ms + 3_600_000).await
    }

    async fn send_until(
        &self,
        key: &str,
        to: &str,
        text: &str,
        expires_ms: u64,
    ) -> oneshot::Receiver<State> {
        let entry = Entry {
            to: to.into(),
            text: text.into(),
            expires_ms,
            ..entry(key)
        };
        let room = self.post.try_room().unwrap();
        let stored = entry.clone();
        let prepared = self
            .store
            .write(move |txn| outbox::prepare(txn, &stored))
            .await
            .unwrap();
        let Prepared::New(id) = prepared else {
            panic!("key known")
        };
        let told = self.post.wait(id);
        self.post.hand_in(id, &entry, room);
        told
    }

    /// What `kill -9` leaves: the task is gone without a word, the file is opened anew.
    async fn crash(self) -> (tempfile::TempDir, PathBuf) {
        self.tasks.stop(Duration::ZERO).await;
        self.store.close().await;
        (self.dir, self.path)
    }
}

fn error(kind: ErrorKind) -> Result<SendReceipt, SurfaceError> {
    Err(SurfaceError::new(kind, "as scripted").retry_after(1))
}

#[tokio::test]
async fn a_message_is_delivered_with_its_receipt() {
    let rig = Rig::new(Some(Provider::answering([])));
    let end = rig.send("send:1", "42", "hello").await.await.unwrap();
    let State::Delivered { receipt } = end else {
        panic!("{end:?}")
    };
    assert_eq!(receipt.message_id, "id of hello");
}

#[tokio::test]
async fn order_is_kept_in_a_conversation_and_others_go_on() {
    let provider = Provider::answering([]);
    let rig = Rig::new(Some(provider.clone()));
    let first = rig.send("send:1", "42", "hold 1").await;
    let second = rig.send("send:2", "42", "2").await;
    rig.send("send:3", "43", "3").await.await.unwrap();
    provider.has_taken(2).await;
    assert!(!provider.taken().contains(&"2".to_owned()), "overtook");
    provider.release.notify_one();
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(provider.taken().last().unwrap(), "2");
}

#[tokio::test]
async fn what_was_certainly_not_taken_is_sent_again() {
    use ErrorKind::{NotConnected, RateLimited, Transient};
    let provider = Provider::answering([RateLimited, NotConnected, Transient].map(error));
    let rig = Rig::new(Some(provider.clone()));
    let end = rig.send("send:1", "42", "hello").await.await.unwrap();
    assert!(matches!(end, State::Delivered { .. }), "{end:?}");
    assert_eq!(provider.taken().len(), 4);
}

#[tokio::test]
async fn what_may_have_been_taken_is_never_sent_again() {
    for kind in [ErrorKind::Timeout, ErrorKind::Panic, ErrorKind::Cancelled] {
        let provider = Provider::answering([error(kind)]);
        let rig = Rig::new(Some(provider.clone()));
        let end = rig.send("send:1", "42", "hello").await.await.unwrap();
        assert!(matches!(end, State::Unknown { .. }), "{kind:?}: {end:?}");
        // The next message goes out, so nothing of the first is pending.
        rig.send("send:2", "42", "next").await.await.unwrap();
        assert_eq!(provider.taken(), ["hello", "next"]);
    }
}

#[tokio::test]
async fn refusals_end_it_and_say_whose_fault_it_was() {
    let cases = [
        (ErrorKind::InvalidRequest, true),
        (ErrorKind::NotFound, false),
        (ErrorKind::Auth, false),
        (ErrorKind::Other, false),
    ];
    for (kind, expected) in cases {
        let rig = Rig::new(Some(Provider::answering([error(kind)])));
        let end = rig.send("send:1", "42", "hello").await.await.unwrap();
        assert_eq!(
            end,
            State::Failed {
                message: "as scripted".into(),
                invalid: expected
            }
        );
        let heard = rig.ear.0.lock().unwrap().clone();
        assert_eq!(heard.is_empty(), kind != ErrorKind::Auth);
    }
}

#[tokio::test]
async fn it_waits_for_the_plugin_and_gives_up_in_time() {
    let rig = Rig::new(None);
    let waiting = rig.send("send:1", "42", "hello").await;
    let now_ms = Clock::system().now_ms();
    let late = rig
        .send_until("send:2", "43", "late", now_ms + 1)
        .await
        .await
        .unwrap();
    assert!(matches!(late, State::Failed { .. }), "{late:?}");
    let provider = Provider::answering([]);
    rig.outlet.send_replace(Some(provider.clone()));
    assert!(matches!(waiting.await.unwrap(), State::Delivered { .. }));
    assert_eq!(provider.taken(), ["hello"]);
}

#[tokio::test]
async fn an_account_that_gave_up_fails_those_who_wait_and_keeps_the_rest() {
    let rig = Rig::new(None);
    let first = rig.send("send:1", "42", "1").await;
    drop(rig.send("reply:1", "43", "2").await);
    rig.post.give_up(Some("five restarts".to_owned()));
    let State::Failed { message, .. } = first.await.unwrap() else {
        panic!("it can be sent again, for it never left")
    };
    assert_eq!(message, "the channel is not running: five restarts");
    // Somebody put it right: what nobody waited for goes out.
    rig.post.give_up(None);
    let provider = Provider::answering([]);
    rig.outlet.send_replace(Some(provider.clone()));
    provider.has_taken(1).await;
    assert_eq!(provider.taken(), ["2"]);
}

#[tokio::test]
async fn draining_ends_what_is_in_flight_and_leaves_the_rest_prepared() {
    let provider = Provider::answering([]);
    let rig = Rig::new(Some(provider.clone()));
    let in_flight = rig.send("send:1", "42", "hold").await;
    let _later = rig.send("send:2", "42", "later").await;
    provider.has_taken(1).await;
    rig.draining.cancel();
    provider.release.notify_one();
    assert!(matches!(in_flight.await.unwrap(), State::Delivered { .. }));
    assert!(rig.tasks.stop(Duration::from_secs(30)).await);
    let open = rig.store.read(outbox::open).unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].1.text.as_str(), &open[0].1.state),
        ("later", &State::Prepared)
    );
}

#[tokio::test]
async fn a_crash_while_sending_is_unknown_and_the_rest_goes_out_once() {
    let provider = Provider::answering([]);
    let rig = Rig::new(Some(provider.clone()));
    let _sending = rig.send("send:1", "42", "hold").await;
    let _prepared = rig.send("send:2", "42", "later").await;
    provider.has_taken(1).await;
    let (dir, path) = rig.crash().await;

    let provider = Provider::answering([]);
    let rig = Rig::on(dir, path, Some(provider.clone()));
    let lost = rig
        .store
        .write(|txn| outbox::close_interrupted(txn, 9))
        .await
        .unwrap();
    assert_eq!(lost.len(), 1);
    for (id, entry) in rig.store.read(outbox::open).unwrap() {
        let told = rig.post.wait(id);
        let room = rig.post.try_room().unwrap();
        let entry = Entry {
            expires_ms: u64::MAX,
            ..entry
        };
        rig.post.hand_in(id, &entry, room);
        told.await.unwrap();
    }
    assert_eq!(provider.taken(), ["later"]);
    let repeated = rig
        .store
        .write(|txn| outbox::prepare(txn, &entry("send:1")))
        .await
        .unwrap();
    let Prepared::Known(_, found) = repeated else {
        panic!("would be sent twice")
    };
    assert!(matches!(found.state, State::Unknown { .. }));
}
