//! An account's life: one session after the other, with pauses that grow while none holds.
//!
//! [`run`] is the account's lasting task, [`forward`] the one that hands its events to the
//! gateway. The operations of `lib` reach the session of the moment through the `board`.

use std::sync::Arc;
use std::time::Duration;

use gateway_plugin::cx::Cx;
use gateway_plugin::message::{ConnectionState, ErrorKind, Event, Link};
use gateway_plugin::surface::Res;
use gateway_plugin::tracing;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::board::Board;
use crate::config::Config;
use crate::inbound::Ids;
use crate::session::{End, Session};
use crate::wire;
use gateway_plugin::backoff::Backoff;

/// Events that wait for the gateway before the server has to: some minutes of a busy channel.
pub const EVENTS_MAX: usize = 256;
/// A session that held this long was a good one: the next pause is short again.
const GOOD_AFTER: Duration = Duration::from_secs(60);
/// Under which key it is kept that the nick was registered.
const REGISTERED: &str = "nickserv-registered";

/// Connects and serves until the account stops or only a person can help.
pub async fn run(
    config: Arc<Config>,
    cx: Cx,
    board: Arc<Board>,
    told: mpsc::Sender<Event>,
    mut ids: Ids,
) {
    let backoff = config.backoff();
    let mut attempt: u32 = 0;
    let tell = async |state: ConnectionState| told.send(Event::Connection(state)).await.ok();
    tell(ConnectionState::of(Link::Connecting)).await;
    loop {
        let began = Instant::now();
        board.connecting();
        let end = session(&config, &cx, &board, &told, &mut ids).await;
        if began.elapsed() >= GOOD_AFTER {
            attempt = 0;
        }
        attempt = attempt.saturating_add(1);
        match end {
            End::Quit => {
                board.down("the account is stopping");
                return;
            }
            End::Refused(why) => {
                tracing::error!(why, "not before somebody changes something");
                board.down(&why);
                let refused = ConnectionState::of(Link::LoggedOut).because(why);
                tell(ConnectionState {
                    logged_out: Some(true),
                    ..refused
                })
                .await;
                return;
            }
            End::Lost(why) => {
                let pause = backoff.delay(attempt);
                tracing::warn!(
                    attempt,
                    why,
                    pause_ms = pause.as_millis(),
                    "connecting again"
                );
                board.down(&why);
                tell(ConnectionState {
                    reconnect_attempt: Some(attempt),
                    ..ConnectionState::of(Link::Connecting).because(why)
                })
                .await;
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn session(
    config: &Config,
    cx: &Cx,
    board: &Board,
    told: &mpsc::Sender<Event>,
    ids: &mut Ids,
) -> End {
    let stream = match wire::connect(config).await {
        Ok(stream) => stream,
        Err(why) => return End::Lost(why),
    };
    let mut session = Session::new(config, board, stream, told, ids);
    if let Err(end) = session.register().await {
        return end;
    }
    let register_nick = match first_time(config, cx).await {
        Ok(first) => first,
        Err(error) => return End::Lost(format!("the gateway keeps no state: {error}")),
    };
    session.serve(register_nick).await
}

/// Is the nick to be registered now? Noted before it is done: twice would be worse than never.
async fn first_time(config: &Config, cx: &Cx) -> Res<bool> {
    if !config.nickserv.register || cx.kv_get(REGISTERED).await?.is_some() {
        return Ok(false);
    }
    cx.kv_put(REGISTERED, "yes").await?;
    Ok(true)
}

/// Hands events to the gateway in order, each until it is taken.
pub async fn forward(cx: Cx, mut events: mpsc::Receiver<Event>, backoff: Backoff) {
    while let Some(event) = events.recv().await {
        let mut attempt = 0;
        loop {
            let Err(error) = cx.emit(event.clone()).await else {
                break;
            };
            match error.kind {
                ErrorKind::Cancelled => return,
                // It would be refused for ever and hold up everything behind it.
                ErrorKind::InvalidRequest | ErrorKind::TooLarge | ErrorKind::Unsupported => {
                    tracing::error!(%error, "the gateway refuses an event, it is left out");
                    break;
                }
                _ => {}
            }
            attempt += 1;
            tracing::warn!(attempt, %error, "the gateway did not take an event");
            tokio::time::sleep(backoff.delay(attempt)).await;
        }
    }
}
