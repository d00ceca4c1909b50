//! A conversation that a program sends whole, as one question: the newest message, what was said
//! before it, and the standing instructions. Pure.

use super::content::{Content, File};

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Standing instructions.
    System,
    /// The person.
    Person,
    /// The model.
    Model,
    /// What a tool of the program answered.
    Tool,
}

impl Said {
    /// By the wire's role.
    pub(super) fn of_role(role: &str) -> Option<Said> {
        Some(match role {
            "system" | "developer" => Said::System,
            "user" => Said::Person,
            "assistant" => Said::Model,
            "tool" | "function" => Said::Tool,
            _ => return None,
        })
    }

    fn label(self) -> &'static str {
        match self {
            Said::System => "System",
            Said::Person => "User",
            Said::Model => "Assistant",
            Said::Tool => "Tool result",
        }
    }
}

/// A conversation being read.
#[derive(Debug, Default)]
pub(super) struct Chat {
    lines: Vec<(Said, Content)>,
}

/// What is asked with it.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// The newest message.
    pub(super) text: String,
    /// The same with what was said before it.
    pub(super) prompt: String,
    /// Standing instructions.
    pub(super) system: Option<String>,
    /// Pictures of the newest message.
    pub(super) pictures: Vec<String>,
    /// Files of all messages.
    pub(super) files: Vec<File>,
}

impl Chat {
    /// Adds a line.
    pub(super) fn push(&mut self, said: Said, content: Content) {
        self.lines.push((said, content));
    }

    /// The question; none when nobody asks anything. What stands after the newest message of the
    /// person (or tool) is left out.
    pub(super) fn asking(self) -> Option<Asking> {
        let mut asking = Asking::default();
        let (mut system, mut lines) = (Vec::new(), Vec::new());
        for (said, mut content) in self.lines {
            asking.files.append(&mut content.files);
            content.text = content.text.trim().to_owned();
            match said {
                Said::System => system.push(content.text),
                said => lines.push((said, content)),
            }
        }
        system.retain(|text| !text.is_empty());
        asking.system = (!system.is_empty()).then(|| system.join("\n\n"));
        let asks = |(said, content): &(Said, Content)| {
            let something = !content.text.is_empty() || !content.pictures.is_empty();
            matches!(said, Said::Person | Said::Tool) && something
        };
        let newest = lines.iter().rposition(asks)?;
        lines.truncate(newest + 1);
        let (said, content) = lines.pop()?;
        asking.pictures = content.pictures;
        asking.text = content.text;
        lines.retain(|(_, content)| !content.text.is_empty());
        asking.prompt = if lines.is_empty() && said == Said::Person {
            asking.text.clone()
        } else {
            let told = |(said, text): (Said, &str)| format!("{}: {text}", said.label());
            let before: Vec<String> = lines
                .iter()
                .map(|(said, content)| told((*said, content.text.as_str())))
                .collect();
            format!(
                "[What was said before]\n{}\n\n[The message to answer]\n{}",
                before.join("\n"),
                told((said, &asking.text))
            )
        };
        Some(asking)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn asking(lines: &[(Said, &str)]) -> Option<Asking> {
        let mut chat = Chat::default();
        for (said, text) in lines {
            let text = (*text).to_owned();
            chat.push(
                *said,
                Content {
                    text,
                    ..Content::default()
                },
            );
        }
        chat.asking()
    }

    #[test]
    fn a_single_message_stays_as_it_is() {
        let asked = asking(&[(Said::System, "be kind"), (Said::Person, " hi ")]).unwrap();
        assert_eq!((asked.text.as_str(), asked.prompt.as_str()), ("hi", "hi"));
        assert_eq!(asked.system.as_deref(), Some("be kind"));
    }

    #[test]
    fn a_conversation_is_told_and_its_newest_message_is_answered() {
        let asked = asking(&[
            (Said::Person, "a"),
            (Said::Model, "b"),
            (Said::Person, "c"),
            (Said::Model, "an answer to come"),
        ])
        .unwrap();
        assert_eq!(asked.text, "c");
        assert_eq!(
            asked.prompt,
            "[What was said before]\nUser: a\nAssistant: b\n\n[The message to answer]\nUser: c"
        );
        let asked = asking(&[(Said::Person, "a"), (Said::Tool, "42")]).unwrap();
        assert!(
            asked.prompt.ends_with("Tool result: 42"),
            "{}",
            asked.prompt
        );
    }

    #[test]
    fn nothing_to_answer_is_no_question() {
        assert!(asking(&[]).is_none());
        assert!(asking(&[(Said::System, "x"), (Said::Model, "y")]).is_none());
        assert!(asking(&[(Said::Person, "  ")]).is_none());
    }
}
