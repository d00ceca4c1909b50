//! One account in the hands of a check: it asks, takes what comes in meanwhile, and ends.
//!
//! Used by `checks`. Whatever a check does not look at is acknowledged at once, as a gateway
//! does, so that a surface which waits for its events never hangs.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use serde_json::{Value, json};

use super::subject::{Account, Given, Subject};
use super::{Answer, Setup, Trouble};
use crate::message::{
    ErrorKind, Event, HostInfo, InboundMessage, Media, Op, OpResult, OutboundMessage, SendReceipt,
    StartRequest, StopReason, SurfaceError,
};

/// After so long without an event none is expected any more.
pub(super) const QUIET: Duration = Duration::from_millis(400);

/// An opened account.
pub(super) struct Ready<'a, A> {
    pub(super) account: A,
    pub(super) patience: Duration,
    setup: &'a Setup,
    heard: Mutex<Vec<InboundMessage>>,
}

/// Opens without starting.
pub(super) fn open<'a, S: Subject>(
    subject: &S,
    setup: &'a Setup,
    name: &str,
) -> Result<Ready<'a, S::Account>, Trouble> {
    let account = subject
        .open(name)
        .map_err(|why| Trouble::failed(format!("no instance was opened: {why}")))?;
    Ok(Ready {
        account,
        patience: setup.patience,
        setup,
        heard: Mutex::default(),
    })
}

/// Opens and starts. Nothing is acknowledged before the start has ended: a gateway takes events
/// only from accounts it knows.
pub(super) async fn started<'a, S: Subject>(
    subject: &S,
    setup: &'a Setup,
    name: &str,
) -> Result<Ready<'a, S::Account>, Trouble> {
    let ready = open(subject, setup, name)?;
    match ready.start(setup.config.clone(), name).await {
        Ok(_) => Ok(ready),
        Err(error) if error.kind == ErrorKind::Timeout => Err(Trouble::failed(format!(
            "start did not end within {:?}; it must not wait for the world, nor for an \
             event to be acknowledged: move that into cx.spawn",
            setup.patience
        ))),
        Err(error) => Err(Trouble::failed(format!("start failed: {error}"))),
    }
}

/// A body.
pub(super) fn body(op: &Op) -> Vec<u8> {
    serde_json::to_vec(op).unwrap_or_default()
}

impl<A: Account> Ready<'_, A> {
    /// Asks to be started.
    pub(super) async fn start(&self, config: Value, name: &str) -> Answer {
        let host = HostInfo {
            version: "0.0.0".to_owned(),
            api: format!(
                "{}.{}",
                crate::manifest::API_MAJOR,
                crate::manifest::API_MINOR
            ),
            log_level: "info".to_owned(),
            webhook_base: None,
        };
        let op = Op::Start(StartRequest {
            account: name.to_owned(),
            config,
            host,
        });
        self.account
            .request(&body(&op), Media::new(), self.patience)
            .await
    }

    /// Asks for an operation, acknowledging what comes in meanwhile.
    pub(super) async fn ask(&self, op: Op) -> Answer {
        self.ask_body(&body(&op)).await
    }

    /// The same with a body as it is.
    pub(super) async fn ask_body(&self, body: &[u8]) -> Answer {
        let work = self.account.request(body, Media::new(), self.patience);
        self.while_acking(work).await
    }

    /// Acknowledges events until `work` has ended.
    pub(super) async fn while_acking<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                given = self.account.event() => match given {
                    Some(given) => self.hear(given.take()),
                    None => return work.await,
                },
            }
        }
    }

    /// Takes note of a message.
    pub(super) fn hear(&self, event: Event) {
        if let Event::Message(message) = event {
            self.heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(message);
        }
    }

    /// The messages that came in since the last time.
    pub(super) fn heard(&self) -> Vec<InboundMessage> {
        std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next event within a time, not acknowledged.
    pub(super) async fn next(&self, within: Duration) -> Option<Given> {
        tokio::time::timeout(within, self.account.event())
            .await
            .ok()?
    }

    /// The next message within a time, not acknowledged; other events are.
    pub(super) async fn next_message(&self, within: Duration) -> Option<(InboundMessage, Given)> {
        let search = async {
            loop {
                let given = self.account.event().await?;
                match &given.event {
                    Event::Message(message) => return Some((message.clone(), given)),
                    _ => drop(given.take()),
                }
            }
        };
        tokio::time::timeout(within, search).await.ok()?
    }

    /// Acknowledges until nothing has come in for a while.
    pub(super) async fn settle(&self) {
        while let Some(given) = self.next(QUIET).await {
            self.hear(given.take());
        }
    }

    /// A message to the set-up's target.
    pub(super) fn message(&self, text: &str) -> Op {
        Op::Send(OutboundMessage {
            to: self.setup.to.clone(),
            text: text.to_owned(),
            idempotency_key: Some(format!("conformance {text}")),
            ..OutboundMessage::default()
        })
    }

    /// Sends a message and wants its receipt.
    pub(super) async fn send(&self, text: &str) -> Result<SendReceipt, Trouble> {
        receipt(self.ask(self.message(text)).await, &self.setup.to)
    }

    /// Makes one message come in: by the set-up's own means, or by sending it to a target that
    /// gives it back. Ends when the means has ended; what comes in is for the caller.
    pub(super) async fn provoke(&self, text: &str) -> Result<(), Trouble> {
        match &self.setup.inbound {
            Some(inbound) => {
                inbound(text.to_owned()).await;
                Ok(())
            }
            None => {
                let op = body(&self.message(text));
                let answer = self.account.request(&op, Media::new(), self.patience).await;
                receipt(answer, &self.setup.to).map(|_| ())
            }
        }
    }

    /// The plugin still does its work.
    pub(super) async fn still_works(&self, after: &str) -> Result<(), Trouble> {
        let ping = self.ask(Op::Ping).await;
        if let Err(error) = ping {
            return Err(Trouble::failed(format!("no pong after {after}: {error}")));
        }
        self.send(&format!("after {after}"))
            .await
            .map(|_| ())
            .map_err(|trouble| trouble.after(after))
    }

    /// Stops, closes, and wants nothing left behind nor held against the plugin.
    pub(super) async fn end(self) -> Result<(), Trouble> {
        self.say_stop().await?;
        let complaints = self.account.complaints();
        self.closed().await?;
        match complaints.first() {
            None => Ok(()),
            Some(first) => Err(Trouble::failed(format!(
                "the host holds {} things against it, the first: {first}",
                complaints.len()
            ))),
        }
    }

    /// Asks to be stopped.
    pub(super) async fn say_stop(&self) -> Result<(), Trouble> {
        let why = StopReason::Shutdown;
        let asked = body(&Op::Stop { why });
        let work = self.account.request(&asked, Media::new(), self.patience);
        match self.while_acking(work).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind == ErrorKind::Timeout => Err(Trouble::failed(format!(
                "stop did not end within {:?}: the gateway closes it all the same, and what \
                 it wanted to finish is lost",
                self.patience
            ))),
            Err(error) => Err(Trouble::failed(format!("stop failed: {error}"))),
        }
    }

    /// Closes without a word and wants nothing left behind.
    pub(super) async fn closed(self) -> Result<(), Trouble> {
        self.account.close().await.map_err(Trouble::failed)
    }
}

/// A receipt with an id, or what is wrong.
pub(super) fn receipt(answer: Answer, to: &str) -> Result<SendReceipt, Trouble> {
    match answer {
        Ok(OpResult::Sent(receipt)) if receipt.message_id.is_empty() => {
            Err(Trouble::failed("the receipt of a send has no messageId"))
        }
        Ok(OpResult::Sent(receipt)) => Ok(receipt),
        Ok(other) => Err(Trouble::failed(format!(
            "a send was answered with {} instead of a receipt",
            json!(other)
        ))),
        Err(error) => Err(Trouble::failed(format!("a send to {to:?} failed: {error}"))),
    }
}

/// Wants an error of one of these kinds.
pub(super) fn refused(answer: Answer, what: &str, kinds: &[ErrorKind]) -> Result<(), Trouble> {
    let wanted = json!(kinds);
    match answer {
        Err(SurfaceError { kind, .. }) if kinds.contains(&kind) => Ok(()),
        Err(error) => Err(Trouble::failed(format!(
            "{what} was answered with {error:?}, wanted an error of kind {wanted}"
        ))),
        Ok(result) => Err(Trouble::failed(format!(
            "{what} was answered with {}, wanted an error of kind {wanted}",
            json!(result)
        ))),
    }
}

/// Something under way.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs all of these side by side, in this task.
pub(super) async fn all<T>(work: Vec<Work<'_, T>>) -> Vec<T> {
    let mut running: Vec<_> = work.into_iter().map(|one| (one, None)).collect();
    std::future::poll_fn(|cx| {
        let mut left = false;
        for (one, done) in running.iter_mut().filter(|(_, done)| done.is_none()) {
            match one.as_mut().poll(cx) {
                Poll::Ready(value) => *done = Some(value),
                Poll::Pending => left = true,
            }
        }
        if left { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}
