//! The prompt: the conversation so far, as far as it fits.
//!
//! Called when a run asks a model. Pure: stored messages in, lines out. Promises the newest line
//! is always there, whatever its size.

use super::envelope::{stamped, with_facts};
use super::runner::{Image, Line, Prompt, Speaker};
use super::{Origin, Turn, envelope::Facts};
use crate::config::Config;
use crate::limits;
use crate::sessions::MessageRow;
use crate::store::sessions::BodyRow;

/// What a model is told before the first message after an aborted run.
const ABORTED_NOTE: &str = "Note: The previous agent run was aborted by the user. Resume \
    carefully or ask for clarification.";

/// A text of this turn's sender as the model reads it, with its envelope.
pub fn text_of(turn: &Turn, text: &str, config: &Config, now_ms: u64, after_abort: bool) -> String {
    let zone = config.agents.defaults.user_timezone.as_deref();
    let text = match &turn.origin {
        Origin::Chat {
            label,
            id,
            display_name,
            ..
        } => {
            let sender = Facts::sender(label, id, display_name.as_deref());
            with_facts(&[sender], &stamped(text, now_ms, zone))
        }
        Origin::Agent => stamped(text, now_ms, zone),
        Origin::Channel { facts, .. } => with_facts(facts, text),
        Origin::Heartbeat { .. } => text.to_owned(),
        Origin::Cron { prompt } => prompt.clone(),
    };
    if after_abort {
        format!("{ABORTED_NOTE}\n\n{text}")
    } else {
        text
    }
}

/// The prompt for one model: standing instructions, then as much of the transcript (oldest first,
/// the turn's own message last) as fits, then the pictures of the newest message.
pub fn build(
    system: &[&str],
    transcript: &[MessageRow],
    images: Vec<Image>,
    context_window: Option<u64>,
) -> Prompt {
    let mut left = chars_max(context_window);
    let said = transcript
        .last()
        .map_or(String::new(), |message| match &message.body {
            BodyRow::User(user) => user.text.clone(),
            BodyRow::Assistant(said) => said.text.clone(),
        });
    let mut lines = Vec::new();
    for line in transcript.iter().rev().filter_map(line) {
        let chars = line.text.chars().count();
        if chars > left && !lines.is_empty() {
            break;
        }
        left = left.saturating_sub(chars);
        lines.push(line);
    }
    if let Some(newest) = lines.first_mut() {
        newest.images = images;
    }
    let system = system.iter().filter(|text| !text.trim().is_empty());
    let system: Vec<&str> = system.copied().collect();
    if !system.is_empty() {
        let text = system.join("\n\n");
        lines.push(Line {
            speaker: Speaker::System,
            text,
            images: vec![],
        });
    }
    lines.reverse();
    Prompt { lines, said }
}

fn line(message: &MessageRow) -> Option<Line> {
    let (speaker, text) = match &message.body {
        BodyRow::User(user) => (Speaker::User, user.prompt.as_ref().unwrap_or(&user.text)),
        BodyRow::Assistant(said) if said.text.is_empty() => return None,
        BodyRow::Assistant(said) => (Speaker::Assistant, &said.text),
    };
    Some(Line {
        speaker,
        text: text.clone(),
        images: vec![],
    })
}

/// Characters of history for a context window: about three make a token, and a quarter of the
/// window stays free for the answer.
fn chars_max(context_window: Option<u64>) -> usize {
    let most = limits::PROMPT_CHARS_MAX;
    let tokens = context_window.and_then(|tokens| usize::try_from(tokens).ok());
    tokens.map_or(most, |tokens| (tokens / 4).saturating_mul(9).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::{AssistantRow, INJECTED_MODEL, gateway_text};
    use crate::store::sessions::InputRow;

    fn said(speaker: Speaker, text: &str) -> MessageRow {
        let body = match speaker {
            Speaker::User => BodyRow::User(InputRow {
                text: "plain".into(),
                prompt: Some(text.into()),
                ..InputRow::default()
            }),
            _ => BodyRow::Assistant(AssistantRow {
                ..gateway_text(text, INJECTED_MODEL)
            }),
        };
        MessageRow {
            id: "0".into(),
            key: None,
            timestamp: 0,
            body,
        }
    }

    fn texts(prompt: &Prompt) -> Vec<&str> {
        prompt.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn it_holds_what_the_model_saw_and_said() {
        let rows = [
            said(Speaker::User, "[Sun] a"),
            said(Speaker::Assistant, "b"),
            said(Speaker::Assistant, ""),
            said(Speaker::User, "c"),
        ];
        let prompt = build(&["be kind", " "], &rows, vec![], None);
        assert_eq!(texts(&prompt), ["be kind", "[Sun] a", "b", "c"]);
        assert_eq!(prompt.lines[0].speaker, Speaker::System);
    }

    #[test]
    fn the_oldest_messages_give_way_and_the_newest_never() {
        let long = "x".repeat(90);
        let rows = [
            said(Speaker::User, "old"),
            said(Speaker::Assistant, &long),
            said(Speaker::User, &long),
            said(Speaker::User, &long),
        ];
        assert_eq!(texts(&build(&[], &rows, vec![], Some(80))), [&long, &long]);
        assert_eq!(texts(&build(&[], &rows, vec![], Some(1))), [&long]);
    }
}
