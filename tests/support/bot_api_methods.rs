//! The methods of the fake Bot API: what a call with these parameters does to the state and what
//! it answers. `getUpdates` is in `bot_api`, because it waits.
//!
//! Refusals carry Telegram's own descriptions, because plugins decide by them.

use serde_json::{Value, json};

use crate::bot_api_html::{self, Parsed};
use crate::bot_api_state::BotState;

/// Most UTF-16 units of a text after its markup was taken out.
const TEXT_UNITS_MAX: usize = 4096;
/// Most commands a bot may set.
const COMMANDS_MAX: usize = 100;

/// A refusal: `ok: false`.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// HTTP status and `error_code`.
    pub code: u16,
    /// The `description` field.
    pub description: String,
}

/// A refusal with Telegram's `Bad Request: ` in front.
fn bad(reason: &str) -> Refusal {
    Refusal {
        code: 400,
        description: format!("Bad Request: {reason}"),
    }
}

/// Runs `method` for `bot`.
pub fn run(bot: &mut BotState, method: &str, params: &Value) -> Result<Value, Refusal> {
    match method.to_ascii_lowercase().as_str() {
        "getme" => Ok(bot.me.clone()),
        "deletewebhook" => delete_webhook(bot, params),
        "setwebhook" => set_webhook(bot, params),
        "getwebhookinfo" => Ok(webhook_info(bot)),
        "setmycommands" => set_commands(bot, params),
        "deletemycommands" => {
            bot.commands = json!([]);
            Ok(json!(true))
        }
        "getmycommands" => Ok(bot.commands.clone()),
        "getchat" => {
            let id = chat_id(bot, params)?;
            Ok(bot.chats[&id].info.clone())
        }
        "sendmessage" => send_message(bot, params),
        "editmessagetext" => edit_message(bot, params),
        "deletemessage" => delete_message(bot, params),
        "sendchataction" => chat_action(bot, params),
        _ => Err(Refusal {
            code: 404,
            description: "Not Found: method not found".into(),
        }),
    }
}

fn webhook_info(bot: &BotState) -> Value {
    json!({
        "url": bot.webhook, "has_custom_certificate": false,
        "pending_update_count": bot.updates.len()
    })
}

fn set_webhook(bot: &mut BotState, params: &Value) -> Result<Value, Refusal> {
    let url = params["url"].as_str().unwrap_or_default();
    if !url.is_empty() && !url.starts_with("https://") {
        return Err(bad(
            "bad webhook: An HTTPS URL must be provided for webhook",
        ));
    }
    bot.webhook = url.to_owned();
    Ok(json!(true))
}

fn delete_webhook(bot: &mut BotState, params: &Value) -> Result<Value, Refusal> {
    bot.webhook.clear();
    if params["drop_pending_updates"].as_bool() == Some(true) {
        bot.updates.clear();
    }
    Ok(json!(true))
}

fn set_commands(bot: &mut BotState, params: &Value) -> Result<Value, Refusal> {
    let commands = params["commands"]
        .as_array()
        .ok_or_else(|| bad("can't parse commands"))?;
    if commands.len() > COMMANDS_MAX {
        return Err(bad("BOT_COMMANDS_TOO_MUCH"));
    }
    let valid = |name: &str| {
        (1..=32).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if !commands
        .iter()
        .all(|command| command["command"].as_str().is_some_and(valid))
    {
        return Err(bad("BOT_COMMAND_INVALID"));
    }
    bot.commands = params["commands"].clone();
    Ok(json!(true))
}

/// The chat a call names: a number, a number as text, or `@name` of a public chat.
fn chat_id(bot: &BotState, params: &Value) -> Result<i64, Refusal> {
    let named = &params["chat_id"];
    let text = named.as_str().unwrap_or_default();
    if named.is_null() || (named.is_string() && text.is_empty()) {
        return Err(bad("chat_id is empty"));
    }
    let by_name = || {
        let name = text.strip_prefix('@')?;
        let found = bot.chats.iter().find(|(_, chat)| {
            chat.info["username"]
                .as_str()
                .is_some_and(|known| known.eq_ignore_ascii_case(name))
        });
        found.map(|(id, _)| *id)
    };
    named
        .as_i64()
        .or_else(|| text.parse().ok())
        .or_else(by_name)
        .filter(|id| bot.chats.contains_key(id))
        .ok_or_else(|| bad("chat not found"))
}

/// A number that may be written as text; `None` when it is absent.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn text_of(params: &Value) -> Result<Parsed, Refusal> {
    let raw = params["text"].as_str().unwrap_or_default();
    let parsed = match params["parse_mode"].as_str() {
        None | Some("") => Parsed::plain(raw),
        Some(mode) if mode.eq_ignore_ascii_case("html") => bot_api_html::parse(raw)
            .map_err(|reason| bad(&format!("can't parse entities: {reason}")))?,
        Some(_) => return Err(bad("unsupported parse_mode")),
    };
    if parsed.text.is_empty() {
        return Err(bad("message text is empty"));
    }
    if parsed.units() > TEXT_UNITS_MAX {
        return Err(bad("message is too long"));
    }
    Ok(parsed)
}

/// Checks the thread a message is sent to. General (1) may not be named.
fn thread_of(bot: &BotState, chat: i64, params: &Value) -> Result<Option<i64>, Refusal> {
    let Some(thread) = number(&params["message_thread_id"]) else {
        return Ok(None);
    };
    if bot.chats[&chat].topics.contains(&thread) {
        Ok(Some(thread))
    } else {
        Err(bad("message thread not found"))
    }
}

fn send_message(bot: &mut BotState, params: &Value) -> Result<Value, Refusal> {
    let chat = chat_id(bot, params)?;
    let text = text_of(params)?;
    let thread = thread_of(bot, chat, params)?;
    let reply = number(&params["reply_parameters"]["message_id"])
        .or_else(|| number(&params["reply_to_message_id"]));
    let mut message = json!({ "from": bot.me, "text": text.text });
    if let Some(reply) = reply {
        match bot.chats[&chat].messages.get(&reply) {
            Some(original) => message["reply_to_message"] = original.clone(),
            None if params["allow_sending_without_reply"].as_bool() == Some(true)
                || params["reply_parameters"]["allow_sending_without_reply"].as_bool()
                    == Some(true) => {}
            None => return Err(bad("message to be replied not found")),
        }
    }
    if !text.entities.is_empty() {
        message["entities"] = json!(text.entities);
    }
    if let Some(thread) = thread {
        message["message_thread_id"] = json!(thread);
        message["is_topic_message"] = json!(true);
    }
    Ok(bot.put_message(chat, message))
}

fn edit_message(bot: &mut BotState, params: &Value) -> Result<Value, Refusal> {
    let chat = chat_id(bot, params)?;
    let text = text_of(params)?;
    let (entities, me) = (json!(text.entities), bot.me["id"].clone());
    let message = number(&params["message_id"])
        .and_then(|id| bot.chats.get_mut(&chat)?.messages.get_mut(&id))
        .ok_or_else(|| bad("message to edit not found"))?;
    if message["from"]["id"] != me {
        return Err(bad("message can't be edited"));
    }
    let before = message
        .get("entities")
        .cloned()
        .unwrap_or_else(|| json!([]));
    if message["text"] == json!(text.text) && before == entities {
        return Err(bad(
            "message is not modified: specified new message content and reply markup are exactly \
             the same as a current content and reply markup of the message",
        ));
    }
    message["text"] = json!(text.text);
    message["entities"] = entities;
    message["edit_date"] = message["date"].clone();
    Ok(message.clone())
}

fn delete_message(bot: &mut BotState, params: &Value) -> Result<Value, Refusal> {
    let chat = chat_id(bot, params)?;
    number(&params["message_id"])
        .and_then(|id| bot.chats.get_mut(&chat)?.messages.remove(&id))
        .map(|_| json!(true))
        .ok_or_else(|| bad("message to delete not found"))
}

fn chat_action(bot: &mut BotState, params: &Value) -> Result<Value, Refusal> {
    let chat = chat_id(bot, params)?;
    let thread = number(&params["message_thread_id"]);
    let action = params["action"].as_str().unwrap_or_default();
    let known = [
        "typing",
        "upload_photo",
        "record_video",
        "upload_video",
        "record_voice",
        "upload_voice",
        "upload_document",
        "choose_sticker",
        "find_location",
        "record_video_note",
        "upload_video_note",
    ];
    if !known.contains(&action) {
        return Err(bad("wrong parameter action in request"));
    }
    // Unlike messages, actions accept the General topic.
    if thread.is_some_and(|id| id != 1 && !bot.chats[&chat].topics.contains(&id)) {
        return Err(bad("message thread not found"));
    }
    bot.actions.push((chat, thread, action.to_owned()));
    Ok(json!(true))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bot() -> BotState {
        let mut bot = BotState::new(7, "seven_bot");
        bot.chat_or_new(42);
        bot.chat_or_new(-100).topics.insert(7);
        bot
    }

    fn send(bot: &mut BotState, params: Value) -> Result<Value, String> {
        run(bot, "sendMessage", &params).map_err(|refusal| refusal.description)
    }

    #[test]
    fn a_message_is_stored_with_its_entities() {
        let mut bot = bot();
        let sent = send(
            &mut bot,
            json!({ "chat_id": "42", "text": "a <b>b</b>", "parse_mode": "HTML" }),
        )
        .unwrap();
        assert_eq!(sent["text"], "a b");
        assert_eq!(sent["entities"][0]["type"], "bold");
        assert_eq!(sent["chat"]["id"], 42);
        let id = sent["message_id"].as_i64().unwrap();
        assert_eq!(bot.chats[&42].messages[&id], sent);
    }

    #[test]
    fn refusals_of_texts_and_chats() {
        let mut bot = bot();
        let mut refused = |params| send(&mut bot, params).unwrap_err();
        assert_eq!(
            refused(json!({ "chat_id": 9, "text": "x" })),
            "Bad Request: chat not found"
        );
        assert_eq!(
            refused(json!({ "chat_id": 42, "text": " \n" })),
            "Bad Request: message text is empty"
        );
        let edge = "😀".repeat(2048);
        assert_eq!(
            refused(json!({ "chat_id": 42, "text": format!("{edge}x") })),
            "Bad Request: message is too long"
        );
        assert!(
            refused(json!({ "chat_id": 42, "text": "<b>x", "parse_mode": "HTML" }))
                .starts_with("Bad Request: can't parse entities: ")
        );
        let tagged = format!("<b>{edge}</b>");
        send(
            &mut bot,
            json!({ "chat_id": 42, "text": tagged, "parse_mode": "HTML" }),
        )
        .unwrap();
    }

    #[test]
    fn threads_and_replies_must_exist() {
        let mut bot = bot();
        let thread = |id: i64| json!({ "chat_id": -100, "text": "x", "message_thread_id": id });
        assert_eq!(
            send(&mut bot, thread(1)).unwrap_err(),
            "Bad Request: message thread not found"
        );
        assert_eq!(send(&mut bot, thread(7)).unwrap()["message_thread_id"], 7);
        let action = json!({ "chat_id": -100, "action": "typing", "message_thread_id": 1 });
        run(&mut bot, "sendChatAction", &action).unwrap();
        let reply = json!({ "chat_id": 42, "text": "x", "reply_parameters": { "message_id": 99 } });
        assert_eq!(
            send(&mut bot, reply).unwrap_err(),
            "Bad Request: message to be replied not found"
        );
    }

    #[test]
    fn edits_tell_when_nothing_changed() {
        let mut bot = bot();
        let sent = send(&mut bot, json!({ "chat_id": 42, "text": "one" })).unwrap();
        let mut edit = |text: &str| {
            let params = json!({
                "chat_id": 42, "message_id": sent["message_id"], "text": text
            });
            run(&mut bot, "editMessageText", &params)
        };
        assert!(
            edit("one")
                .unwrap_err()
                .description
                .contains("message is not modified")
        );
        assert_eq!(edit("two").unwrap()["text"], "two");
    }

    #[test]
    fn unknown_methods_are_404() {
        assert_eq!(
            run(&mut bot(), "sendPigeon", &Value::Null)
                .unwrap_err()
                .code,
            404
        );
    }
}
