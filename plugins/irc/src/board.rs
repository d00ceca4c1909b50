//! Where the account's operations meet the session of the moment.
//!
//! `link` says whether there is a session, `lib` asks it. A request that reaches no session, or is
//! dropped by one that ends, was not begun.

use std::time::Duration;

use gateway_plugin::message::{ErrorKind, SurfaceError};
use gateway_plugin::surface::Res;
use tokio::sync::{mpsc, oneshot, watch};

use crate::outbox::Say;

/// Requests that wait for the session: as many as the gateway makes at a time.
const ASKS_MAX: usize = 64;

/// What the account asks of its session.
#[derive(Debug)]
pub enum Ask {
    /// Say this.
    Say(Say),
    /// Tell when the server has answered.
    Ping(oneshot::Sender<()>),
    /// Say goodbye; tell when it is said.
    Quit(oneshot::Sender<()>),
}

/// Where operations find the session of the moment.
#[derive(Debug)]
pub struct Board(watch::Sender<Now>);

#[derive(Debug)]
enum Now {
    Connecting,
    Down(String),
    Up(mpsc::Sender<Ask>, String),
}

impl Default for Board {
    fn default() -> Self {
        Board(watch::Sender::new(Now::Connecting))
    }
}

impl Board {
    /// A connection is being made.
    pub fn connecting(&self) {
        self.0.send_replace(Now::Connecting);
    }

    /// There is no session, and none is being made at the moment.
    pub fn down(&self, why: &str) {
        self.0.send_replace(Now::Down(why.to_owned()));
    }

    /// There is one: what it is asked comes out of here.
    pub fn up(&self, nick: &str) -> mpsc::Receiver<Ask> {
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        self.0.send_replace(Now::Up(asks, nick.to_owned()));
        asked
    }

    /// It has another nick now.
    pub fn renamed(&self, nick: &str) {
        self.0.send_modify(|now| {
            if let Now::Up(_, old) = now {
                nick.clone_into(old);
            }
        });
    }

    /// The session and its nick.
    ///
    /// # Errors
    /// `NotConnected`, with the reason.
    pub fn session(&self) -> Res<(mpsc::Sender<Ask>, String)> {
        match &*self.0.borrow() {
            Now::Up(session, nick) => Ok((session.clone(), nick.clone())),
            Now::Down(why) => Err(not_connected(why)),
            Now::Connecting => Err(not_connected("it is being made")),
        }
    }

    /// Asks the session and waits for its answer. While a connection is being made it waits for
    /// that, at most `patience`. A session that ends drops what it was asked, and then nothing was
    /// done.
    ///
    /// # Errors
    /// `NotConnected`.
    pub async fn ask<T>(
        &self,
        patience: Duration,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Res<T> {
        let mut now = self.0.subscribe();
        let made = async {
            // The other end is ours, so it does not go; what came of it is read below.
            now.wait_for(|now| !matches!(now, Now::Connecting))
                .await
                .is_ok()
        };
        tokio::time::timeout(patience, made).await.ok();
        let (session, _) = self.session()?;
        let (reply, answer) = oneshot::channel();
        let gone = || not_connected("it ended");
        session.send(ask(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

fn not_connected(why: &str) -> SurfaceError {
    let text = format!("no connection to the server: {why}");
    SurfaceError::new(ErrorKind::NotConnected, text)
}
