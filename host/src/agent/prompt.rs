//! The prompt: the conversation so far, as far as it fits.
//!
//! Called when a run asks a model. Pure: stored messages in, lines out. Promises the newest line
//! is always there, whatever its size.

use std::collections::VecDeque;

use super::envelope::{stamped, with_facts};
use super::runner::{Image, Line, Prompt, Speaker, Thought, ToolCall};
use super::{Origin, Turn, envelope::Facts};
use crate::config::Config;
use crate::limits;
use crate::sessions::{CallRow, MessageRow, ThoughtRow};
use crate::store::sessions::BodyRow;

/// What a model is told before the first message after an aborted run.
const ABORTED_NOTE: &str = "Note: The previous agent run was aborted by the user. Resume \
    carefully or ask for clarification.";

/// What a model is told of a call that was cut off.
const CUT_OFF: &str = "Error: the call was cut off before its answer was known; it may or may not \
    have taken effect.";

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
        Origin::Cron { prompt } | Origin::Outside { prompt } => prompt.clone(),
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
            BodyRow::Tool(result) => result.text.clone(),
        });
    let mut lines: Vec<Line> = Vec::new();
    for line in transcript.iter().rev().filter_map(line) {
        let chars = chars_of(&line);
        if chars > left && !lines.is_empty() {
            break;
        }
        left = left.saturating_sub(chars);
        lines.push(line);
    }
    if let Some(newest) = lines.iter_mut().find(|line| line.speaker == Speaker::User) {
        newest.images = images;
    }
    lines.reverse();
    let mut lines = answered(lines);
    let system = system.iter().filter(|text| !text.trim().is_empty());
    let system: Vec<&str> = system.copied().collect();
    if !system.is_empty() {
        lines.insert(0, Line::new(Speaker::System, system.join("\n\n")));
    }
    Prompt {
        lines,
        said,
        ..Prompt::default()
    }
}

fn line(message: &MessageRow) -> Option<Line> {
    Some(match &message.body {
        BodyRow::User(user) => Line::new(Speaker::User, user.prompt.as_ref().unwrap_or(&user.text)),
        BodyRow::Assistant(said) if said.text.is_empty() && said.calls.is_empty() => return None,
        BodyRow::Assistant(said) => Line {
            thoughts: said.thoughts.iter().map(thought).collect(),
            calls: said.calls.iter().map(call).collect(),
            ..Line::new(Speaker::Assistant, &said.text)
        },
        BodyRow::Tool(result) => Line {
            answers: Some((result.call_id.clone(), result.is_error)),
            ..Line::new(Speaker::Tool, &result.text)
        },
    })
}

fn thought(row: &ThoughtRow) -> Thought {
    Thought {
        text: row.text.clone(),
        seal: row.seal.clone(),
        hidden: row.hidden,
    }
}

fn call(row: &CallRow) -> ToolCall {
    ToolCall {
        id: row.id.clone(),
        name: row.name.clone(),
        arguments: row.arguments.clone(),
    }
}

fn chars_of(line: &Line) -> usize {
    let calls = line
        .calls
        .iter()
        .map(|call| call.arguments.to_string().len());
    line.text.chars().count() + calls.sum::<usize>()
}

/// Providers want each call answered at once: its answers follow it, a call that was cut off is
/// told so, and an answer whose call lies too far back is left out.
fn answered(lines: Vec<Line>) -> Vec<Line> {
    let mut left: VecDeque<Line> = lines.into();
    let mut done = Vec::with_capacity(left.len());
    while let Some(line) = left.pop_front() {
        if line.speaker == Speaker::Tool {
            continue;
        }
        let calls: Vec<String> = line.calls.iter().map(|call| call.id.clone()).collect();
        done.push(line);
        for id in calls {
            let before_others = left.iter().take_while(|line| line.calls.is_empty());
            let place = before_others
                .enumerate()
                .find(|(_, line)| line.answers.as_ref().is_some_and(|(of, _)| *of == id));
            let answer = place.map(|(place, _)| place).and_then(|at| left.remove(at));
            done.push(answer.unwrap_or_else(|| Line {
                answers: Some((id, true)),
                ..Line::new(Speaker::Tool, CUT_OFF)
            }));
        }
    }
    done
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
    fn each_call_is_answered_at_once() {
        let called = |ids: &[&str]| {
            let calls = ids.iter().map(|id| CallRow {
                id: (*id).into(),
                ..CallRow::default()
            });
            let mut row = said(Speaker::Assistant, "");
            row.body = BodyRow::Assistant(AssistantRow {
                calls: calls.collect(),
                ..AssistantRow::default()
            });
            row
        };
        let result = |id: &str, text: &str| {
            let mut row = said(Speaker::User, "");
            row.body = BodyRow::Tool(crate::sessions::ToolRow {
                call_id: id.into(),
                text: text.into(),
                ..Default::default()
            });
            row
        };
        let rows = [
            result("lost", "of a call that is not here"),
            said(Speaker::User, "a"),
            called(&["1", "2", "3"]),
            said(Speaker::Assistant, "mirrored"),
            result("2", "two"),
            result("1", "one"),
            called(&["1"]),
            result("1", "one of the second round"),
            said(Speaker::User, "b"),
        ];
        let prompt = build(&[], &rows, vec![], None);
        let want = [
            "a",
            "",
            "one",
            "two",
            CUT_OFF,
            "mirrored",
            "",
            "one of the second round",
            "b",
        ];
        assert_eq!(texts(&prompt), want);
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
