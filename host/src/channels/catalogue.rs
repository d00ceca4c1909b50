//! How the known surfaces are called: labels and symbols for clients, aliases, order, and where
//! their credentials may come from besides the configuration.
//!
//! A surface that isn't listed works all the same, under the name its plugin gives itself.

/// What is known about a surface before its plugin says anything.
#[derive(Debug)]
pub struct Known {
    /// Channel id.
    pub id: &'static str,
    /// Name for people.
    pub label: &'static str,
    /// Longer name.
    pub detail_label: &'static str,
    /// Symbol that Apple clients draw.
    pub system_image: &'static str,
    /// How the provider's id of a sender is called in the reply to a stranger.
    pub sender_id_label: &'static str,
    /// Topics of a group are rooms of their own, not threads in it.
    pub topics_are_rooms: bool,
    /// A credential that has more sources than its key.
    pub credential: Option<Credential>,
}

/// Where a surface's credential may come from, besides its own key.
#[derive(Debug)]
pub struct Credential {
    /// The key that holds it.
    pub key: &'static str,
    /// The key that names a file which holds it.
    pub file_key: &'static str,
    /// The environment variable, for the default account only.
    pub env: &'static str,
}

const fn known(
    id: &'static str,
    label: &'static str,
    detail_label: &'static str,
    system_image: &'static str,
    sender_id_label: &'static str,
) -> Known {
    Known {
        id,
        label,
        detail_label,
        system_image,
        sender_id_label,
        topics_are_rooms: false,
        credential: None,
    }
}

/// The known surfaces in the order clients show them.
pub const KNOWN: &[Known] = &[
    Known {
        topics_are_rooms: true,
        credential: Some(Credential {
            key: "botToken",
            file_key: "tokenFile",
            env: "TELEGRAM_BOT_TOKEN",
        }),
        ..known(
            "telegram",
            "Telegram",
            "Telegram Bot",
            "paperplane",
            "Telegram user id",
        )
    },
    known(
        "whatsapp",
        "WhatsApp",
        "WhatsApp Web",
        "message",
        "WhatsApp phone number",
    ),
    known(
        "discord",
        "Discord",
        "Discord Bot",
        "bubble.left.and.bubble.right",
        "Discord user id",
    ),
    known("irc", "IRC", "IRC", "network", "IRC nick"),
    known(
        "googlechat",
        "Google Chat",
        "Google Chat",
        "message.badge",
        "Google Chat user id",
    ),
    known("slack", "Slack", "Slack Bot", "number", "Slack user id"),
    known(
        "signal",
        "Signal",
        "Signal REST",
        "antenna.radiowaves.left.and.right",
        "Signal sender id",
    ),
    known(
        "imessage",
        "iMessage",
        "iMessage",
        "message.fill",
        "iMessage sender id",
    ),
    known("line", "LINE", "LINE Bot", "message", "LINE user id"),
];

/// What is known about `id`.
pub fn find(id: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|k| k.id == id)
}

/// Sorts ids for display: known ones in their order, then the others by name.
pub fn rank(id: &str) -> (usize, String) {
    (
        KNOWN.iter().position(|k| k.id == id).unwrap_or(KNOWN.len()),
        id.to_owned(),
    )
}

/// The id that a client's spelling means: lower case, trimmed, aliases resolved.
pub fn canonical(text: &str) -> String {
    let id = text.trim().to_lowercase();
    match id.as_str() {
        "tg" => "telegram".to_owned(),
        "imsg" => "imessage".to_owned(),
        "google-chat" | "gchat" => "googlechat".to_owned(),
        "internet-relay-chat" => "irc".to_owned(),
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_and_order() {
        assert_eq!(canonical(" TG "), "telegram");
        assert_eq!(canonical("Echo"), "echo");
        let mut ids = ["zeta", "slack", "alpha", "telegram"];
        ids.sort_by_key(|id| rank(id));
        assert_eq!(ids, ["telegram", "slack", "alpha", "zeta"]);
    }
}
