//! From the host to Telegram: messages, edits, typing.
//!
//! Called by `lib`. Telegram knows no idempotency keys, so a message is sent again only when it is
//! certain that the first try did not arrive: the server was not reached, or it said no. What is
//! uncertain is reported as `Timeout` and left to the host, which does not send it again.

use std::time::Duration;

use gateway_plugin::message::{
    Edit, ErrorKind, OutboundMessage, SendReceipt, SurfaceError, TextFormat,
};
use gateway_plugin::surface::Res;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, ApiError};
use crate::chunk;
use crate::config::Config;
use crate::format;
use crate::rich::Rich;
use crate::target::{self, ChatRef, GENERAL_TOPIC};

/// Sends for one account.
#[derive(Debug)]
pub struct Outbound {
    api: Api,
    config: Config,
}

/// What Telegram tells about a message it took.
#[derive(Debug, Deserialize)]
struct Sent {
    message_id: i64,
    #[serde(default)]
    date: u64,
    chat: SentChat,
}

#[derive(Debug, Deserialize)]
struct SentChat {
    id: i64,
}

impl Outbound {
    /// Sends with `api`, as `config` says.
    pub fn new(api: Api, config: Config) -> Outbound {
        Outbound { api, config }
    }

    /// Sends a message, in several parts when it is long. The receipt names the last part: it is
    /// the one an answer will refer to; all of them are in `native.messageIds`.
    ///
    /// # Errors
    /// Kinds as in the module's text. When earlier parts were sent already, the kind is `Other`,
    /// because sending the whole message again would repeat them, and the text says how many.
    pub async fn send(&self, message: OutboundMessage) -> Res<SendReceipt> {
        if !message.attachments.is_empty() || message.poll.is_some() {
            return Err(SurfaceError::unsupported("sending files and polls"));
        }
        let parts = self.parts(&message.text, message.format);
        if parts.is_empty() {
            return Err(SurfaceError::new(
                ErrorKind::InvalidRequest,
                "the message has no text",
            ));
        }
        let target = target::parse(&message.to)?;
        let mut chat = self.chat_id(target.chat).await?;
        let thread = match &message.thread_id {
            Some(thread) => Some(number(thread, "threadId")?),
            None => target.thread,
        };
        let mut params = json!({});
        if let Some(thread) = thread.filter(|thread| *thread != GENERAL_TOPIC) {
            params["message_thread_id"] = json!(thread);
        }
        if let Some(reply) = &message.reply_to {
            let id = number(reply, "replyTo")?;
            // The message may be gone by now; the answer is wanted all the same.
            params["reply_parameters"] =
                json!({ "message_id": id, "allow_sending_without_reply": true });
        }
        if message.silent {
            params["disable_notification"] = json!(true);
        }
        if !self.config.link_preview {
            params["link_preview_options"] = json!({ "is_disabled": true });
        }
        let mut ids = Vec::new();
        let mut at_ms = 0;
        for (index, part) in parts.iter().enumerate() {
            let sent = self
                .send_part(&mut chat, &mut params, part, message.format)
                .await;
            let sent = sent.map_err(|error| partly(error, index, parts.len(), &ids))?;
            ids.push(sent.message_id.to_string());
            at_ms = sent.date.saturating_mul(1000);
            chat = sent.chat.id;
            // Only the first part answers the message.
            if let Some(fields) = params.as_object_mut() {
                fields.remove("reply_parameters");
            }
        }
        Ok(receipt(chat, ids, at_ms))
    }

    fn parts(&self, text: &str, format: TextFormat) -> Vec<Rich> {
        let rich = match format {
            TextFormat::Markdown => format::markdown(text),
            _ => Rich::plain(text),
        };
        chunk::split(&rich, self.config.chunk_units(), self.config.chunk_mode)
    }

    /// Sends one part. Adapts `chat` and `params` to what Telegram says about them, so that the
    /// next part begins with what worked.
    async fn send_part(
        &self,
        chat: &mut i64,
        params: &mut Value,
        part: &Rich,
        format: TextFormat,
    ) -> Res<Sent> {
        let mut markup = format == TextFormat::Markdown;
        let mut attempt = 1;
        loop {
            params["chat_id"] = json!(chat.to_string());
            write_text(params, part, markup);
            let error = match self.api.call::<Sent>("sendMessage", params).await {
                Ok(sent) => return Ok(sent),
                Err(error) => error,
            };
            if markup && error.says("can't parse entities") {
                tracing::warn!("telegram does not take the markup, sending plain text: {error}");
                markup = false;
            } else if error.says("message thread not found") && has_thread(params) {
                tracing::warn!("the thread is gone, sending to the chat itself");
                drop(
                    params
                        .as_object_mut()
                        .and_then(|fields| fields.remove("message_thread_id")),
                );
            } else if let Some(new) = moved(&error).filter(|new| new != chat) {
                tracing::warn!(
                    from = *chat,
                    to = new,
                    "the group has a new id, sending there"
                );
                *chat = new;
            } else if let Some(wait) = self.worth_waiting(&error, attempt) {
                attempt += 1;
                tracing::warn!(attempt, "sending again: {error}");
                tokio::time::sleep(wait).await;
            } else {
                return Err(explained(error, &chat.to_string()));
            }
        }
    }

    /// How long to wait before sending again; `None` when it would not be safe or takes too long.
    fn worth_waiting(&self, error: &ApiError, attempt: u32) -> Option<Duration> {
        if attempt >= self.config.retry.attempts {
            return None;
        }
        let backoff = self.config.retry.backoff();
        match error {
            ApiError::Connect(_) => Some(backoff.delay(attempt)),
            ApiError::Refused(no) if no.code == 429 => {
                error.retry_after().filter(|wait| *wait <= backoff.max)
            }
            _ => None,
        }
    }

    /// Gives a sent message another text. Repeating an edit is harmless, so it is tried again
    /// whenever the network fails.
    ///
    /// # Errors
    /// `TooLarge` when the text does not fit one message, else as for [`Outbound::send`].
    pub async fn edit(&self, edit: Edit) -> Res<()> {
        let parts = self.parts(&edit.text, edit.format);
        let [part] = parts.as_slice() else {
            let (kind, reason) = match parts.len() {
                0 => (
                    ErrorKind::InvalidRequest,
                    "the message has no text".to_owned(),
                ),
                count => (
                    ErrorKind::TooLarge,
                    format!("an edited text must fit one message, this needs {count}"),
                ),
            };
            return Err(SurfaceError::new(kind, reason));
        };
        let chat = self.chat_id(target::parse(&edit.chat)?.chat).await?;
        let id = number(&edit.message_id, "messageId")?;
        let mut params = json!({ "chat_id": chat.to_string(), "message_id": id });
        let mut markup = edit.format == TextFormat::Markdown;
        let mut attempt = 1;
        loop {
            write_text(&mut params, part, markup);
            let error = match self.api.call::<Value>("editMessageText", &params).await {
                Ok(_) => return Ok(()),
                Err(error) if error.says("message is not modified") => return Ok(()),
                Err(error) => error,
            };
            let lost = matches!(error, ApiError::Lost(_)) && attempt < self.config.retry.attempts;
            let again = lost.then(|| self.config.retry.backoff().delay(attempt));
            if markup && error.says("can't parse entities") {
                markup = false;
            } else if let Some(wait) = again.or_else(|| self.worth_waiting(&error, attempt)) {
                attempt += 1;
                tokio::time::sleep(wait).await;
            } else {
                return Err(explained(error, &edit.chat));
            }
        }
    }

    /// Shows "typing" for about five seconds. Unlike messages it may name the General topic.
    ///
    /// # Errors
    /// As for [`Outbound::send`]; never tried again, because the next one comes anyway.
    pub async fn typing(&self, chat: &str, thread: Option<&str>) -> Res<()> {
        let target = target::parse(chat)?;
        let id = self.chat_id(target.chat).await?;
        let mut params = json!({ "chat_id": id.to_string(), "action": "typing" });
        let thread = thread
            .map(|thread| number(thread, "threadId"))
            .transpose()?;
        if let Some(thread) = thread.or(target.thread) {
            params["message_thread_id"] = json!(thread);
        }
        let done = self.api.call::<bool>("sendChatAction", &params).await;
        done.map(|_| ()).map_err(|error| explained(error, chat))
    }

    async fn chat_id(&self, chat: ChatRef) -> Res<i64> {
        let name = match chat {
            ChatRef::Id(id) => return Ok(id),
            ChatRef::Name(name) => format!("@{name}"),
        };
        let params = json!({ "chat_id": name });
        let found = self.api.call::<SentChat>("getChat", &params).await;
        found
            .map(|chat| chat.id)
            .map_err(|error| explained(error, &name))
    }
}

fn write_text(params: &mut Value, part: &Rich, markup: bool) {
    if markup {
        params["text"] = json!(part.html());
        params["parse_mode"] = json!("HTML");
    } else {
        params["text"] = json!(part.text);
        drop(
            params
                .as_object_mut()
                .and_then(|fields| fields.remove("parse_mode")),
        );
    }
}

fn has_thread(params: &Value) -> bool {
    params.get("message_thread_id").is_some()
}

fn moved(error: &ApiError) -> Option<i64> {
    match error {
        ApiError::Refused(no) => no.parameters.migrate_to_chat_id,
        _ => None,
    }
}

fn number(text: &str, field: &str) -> Res<i64> {
    text.parse().map_err(|_| {
        let message = format!("{field} {text:?} is not a number, which all telegram ids are");
        SurfaceError::new(ErrorKind::InvalidRequest, message)
    })
}

fn receipt(chat: i64, mut ids: Vec<String>, at_ms: u64) -> SendReceipt {
    let mut native = json!({ "chatId": chat.to_string() });
    if ids.len() > 1 {
        native["messageIds"] = json!(ids);
    }
    let message_id = ids.pop().unwrap_or_default();
    SendReceipt {
        message_id,
        chat: Some(chat.to_string()),
        at_ms,
        native,
    }
}

/// A failure after some parts have arrived must not look like one that may be repeated.
fn partly(error: SurfaceError, index: usize, count: usize, ids: &[String]) -> SurfaceError {
    let Some(last) = ids.last() else { return error };
    let message = format!(
        "part {} of {count} was not sent, the {index} before it were (last message id {last}): {}",
        index + 1,
        error.message
    );
    SurfaceError {
        kind: ErrorKind::Other,
        message,
        ..error
    }
}

/// The host's kind of error for Telegram's, with what the operator can do.
pub fn explained(error: ApiError, chat: &str) -> SurfaceError {
    let text = error.to_string();
    let auth = error.is_auth();
    let no = match error {
        ApiError::Connect(_) => return SurfaceError::new(ErrorKind::NotConnected, text),
        ApiError::Setup(_) => return SurfaceError::new(ErrorKind::Config, text),
        ApiError::Lost(_) => {
            let message = format!("{text}; it may have happened all the same");
            return SurfaceError::new(ErrorKind::Timeout, message);
        }
        ApiError::Refused(no) => no,
    };
    let says = |words: &str| no.description.to_ascii_lowercase().contains(words);
    let (kind, message) = match no.code {
        _ if auth => (
            ErrorKind::Auth,
            format!("{text}; the bot token is wrong or was revoked"),
        ),
        403 => (ErrorKind::Forbidden, format!("{text} (chat {chat})")),
        409 => (ErrorKind::NotConnected, text),
        429 => (ErrorKind::RateLimited, text),
        500.. => (
            ErrorKind::Timeout,
            format!("{text}; it may have happened all the same"),
        ),
        _ if says("chat not found") => (
            ErrorKind::NotFound,
            format!(
                "chat {chat} not found: the user has not started the bot, the bot was removed, \
                 the group has a new id, or the token belongs to another bot"
            ),
        ),
        _ if says("not found") => (ErrorKind::NotFound, text),
        _ if says("too long") => (ErrorKind::TooLarge, text),
        _ => (ErrorKind::InvalidRequest, text),
    };
    let error = SurfaceError::new(kind, message).code(no.code.to_string());
    match no.parameters.retry_after {
        Some(seconds) => error.retry_after(seconds.saturating_mul(1000)),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Refusal;

    fn kind(code: i64, description: &str) -> ErrorKind {
        let no = Refusal {
            code,
            description: description.into(),
            ..Refusal::default()
        };
        explained(ApiError::Refused(no), "42").kind
    }

    #[test]
    fn refusals_have_the_hosts_kinds() {
        assert_eq!(
            kind(400, "Bad Request: chat not found"),
            ErrorKind::NotFound
        );
        assert_eq!(
            kind(400, "Bad Request: message is too long"),
            ErrorKind::TooLarge
        );
        assert_eq!(
            kind(400, "Bad Request: something"),
            ErrorKind::InvalidRequest
        );
        assert_eq!(kind(401, "Unauthorized"), ErrorKind::Auth);
        assert_eq!(
            kind(403, "Forbidden: bot was blocked by the user"),
            ErrorKind::Forbidden
        );
        assert_eq!(kind(502, "Bad Gateway"), ErrorKind::Timeout);
    }

    #[test]
    fn only_what_certainly_did_not_happen_is_said_to_be_so() {
        let lost = explained(ApiError::Lost("timed out".into()), "42");
        assert!(lost.kind == ErrorKind::Timeout && lost.message.contains("may have happened"));
        let connect = explained(ApiError::Connect("refused".into()), "42");
        assert_eq!(connect.kind, ErrorKind::NotConnected);
    }

    #[test]
    fn a_failure_after_some_parts_cannot_be_repeated() {
        let cause = SurfaceError::new(ErrorKind::RateLimited, "slow down");
        let error = partly(cause.clone(), 1, 3, &["17".to_owned()]);
        assert!(!error.retryable());
        assert!(error.message.contains("part 2 of 3") && error.message.contains("17"));
        assert_eq!(partly(cause.clone(), 0, 3, &[]), cause);
    }

    #[test]
    fn a_receipt_names_the_last_part() {
        let one = receipt(-5, vec!["3".into()], 9);
        assert_eq!(
            (one.message_id.as_str(), one.chat.as_deref()),
            ("3", Some("-5"))
        );
        assert_eq!(one.native, json!({ "chatId": "-5" }));
        let two = receipt(5, vec!["3".into(), "4".into()], 9);
        assert_eq!(
            (two.message_id.as_str(), &two.native["messageIds"]),
            ("4", &json!(["3", "4"]))
        );
    }
}
