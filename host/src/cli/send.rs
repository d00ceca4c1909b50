//! `send`: one message through a channel, exactly once for each key.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::args::SendArgs;
use super::client::{read_answer, with_gateway};
use super::error::CliResult;
use super::output::{Paint, Screen};
use crate::clock::Clock;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    message_id: String,
    channel: String,
}

/// Sends and prints the receipt.
///
/// # Errors
/// What the gateway or the channel's provider says. The key to repeat the call with is part of
/// the error: the message may have left before the answer got lost.
pub fn run(args: &SendArgs, screen: &Screen) -> CliResult<()> {
    let key = args
        .idempotency_key
        .clone()
        .unwrap_or_else(|| Clock::system().uuid());
    let params = params(args, &key);
    let access = args.connection.access(Some(args.timeout));
    let payload = with_gateway(&access, async |client| {
        client.request("send", &params).await
    })
    .map_err(|error| match error.code() {
        // The message may have left before the answer got lost.
        "TIMEOUT" | "CONNECTION_LOST" | "CONNECTION_CLOSED" => {
            error.fact("key", "idempotencyKey", &key).fix(format!(
                "repeat it with --idempotency-key {key}: one key is sent once"
            ))
        }
        _ => error,
    })?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let sent = read_answer::<Sent>("send", &payload)?;
    let word = screen.paint(Paint::Good, "sent");
    screen.line(format!(
        "{word} to {} on {}: message {}",
        args.to, sent.channel, sent.message_id
    ));
    Ok(())
}

fn params(args: &SendArgs, key: &str) -> Value {
    let mut params = Map::new();
    params.insert("to".to_owned(), json!(args.to));
    params.insert("message".to_owned(), json!(args.message));
    params.insert("idempotencyKey".to_owned(), json!(key));
    let optional = [
        ("channel", &args.channel),
        ("accountId", &args.account),
        ("threadId", &args.thread),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            params.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(params)
}
