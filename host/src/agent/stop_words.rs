//! Stop words: whole messages that mean "stop what you are doing".
//!
//! Called by `chat.send` and by the router before a message becomes a run. Pure.

/// Whole messages (trimmed, lower case, without trailing punctuation) that stop the session's run.
const STOP_WORDS: &[&str] = &[
    "/stop",
    "stop",
    "esc",
    "abort",
    "wait",
    "exit",
    "interrupt",
    "halt",
    "please stop",
    "stop please",
    "stop openclaw",
    "openclaw stop",
    "stop action",
    "stop current action",
    "stop run",
    "stop current run",
    "stop agent",
    "stop the agent",
    "stop don't do anything",
    "stop dont do anything",
    "stop do not do anything",
    "stop doing anything",
    "do not do that",
    // German
    "stopp",
    "anhalten",
    "aufhören",
    "hör auf",
    // French
    "arrête",
    "arrete",
    // Spanish, Italian, Portuguese
    "detente",
    "deten",
    "detén",
    "pare",
    // Russian
    "стоп",
    "остановись",
    "останови",
    "остановить",
    "прекрати",
    // Japanese, Chinese
    "停止",
    "やめて",
    "止めて",
    "停",
    // Hindi, Arabic
    "रुको",
    "रुकें",
    "توقف",
    "قف",
];

/// True when the whole message asks to stop.
pub fn is_stop_word(message: &str) -> bool {
    let text = message
        .trim()
        .to_lowercase()
        .replace(['\u{2019}', '\u{2018}'], "'");
    let text =
        text.trim_end_matches(|c: char| c.is_whitespace() || ".!?…,;:'\")]}。！？،؟।".contains(c));
    let words: Vec<&str> = text.split_whitespace().collect();
    STOP_WORDS.contains(&words.join(" ").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_stop() {
        let stops = [
            "stop",
            "  STOP!!",
            "/stop",
            "Please  stop.",
            "Halt…",
            "停止。",
            "СТОП!",
        ];
        for text in stops
            .iter()
            .chain(&["Stop don’t do anything", "arrête !", "توقف؟"])
        {
            assert!(is_stop_word(text), "{text}");
        }
    }

    #[test]
    fn other_messages_do_not() {
        for text in [
            "",
            "stop the music",
            "don't stop",
            "/stopwatch",
            "!!",
            "waiting",
        ] {
            assert!(!is_stop_word(text), "{text}");
        }
    }
}
