//! Messages that are answered together: how many there may be, and what the agent is told of them.
//!
//! Used for messages of clients by the queue of a session, and for those of channels by the router.
//! Pure.

use crate::config::QueueDrop;

/// How much of a message that was too many the agent is told, characters.
const LINE_CHARS_MAX: usize = 140;

/// How many messages may wait for one answer, and what becomes of more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// So many.
    pub most: usize,
    /// The rest.
    pub drop: QueueDrop,
}

/// What was said beyond the cap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overflow {
    lines: Vec<String>,
}

impl Overflow {
    /// Notes a message that is not answered.
    pub fn note(&mut self, text: &str) {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.lines
            .push(match line.char_indices().nth(LINE_CHARS_MAX) {
                Some((end, _)) => format!("{}…", &line[..end]),
                None => line,
            });
    }
}

/// One message stays as it is; several are listed, behind what was too many.
pub fn joined(mut texts: Vec<String>, overflow: &Overflow) -> String {
    let lost = &overflow.lines;
    if texts.len() == 1 && lost.is_empty() {
        return texts.swap_remove(0);
    }
    let mut parts = vec!["[Queued messages while agent was busy]".to_owned()];
    if !lost.is_empty() {
        let messages = if lost.len() == 1 {
            "message"
        } else {
            "messages"
        };
        let lines: Vec<String> = lost.iter().map(|line| format!("- {line}")).collect();
        parts.push(format!(
            "[Queue overflow] Dropped {} {messages} due to cap.\nSummary:\n{}",
            lost.len(),
            lines.join("\n")
        ));
    }
    let texts = texts.iter().enumerate();
    parts.extend(texts.map(|(i, text)| format!("---\nQueued #{}\n{text}", i + 1)));
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stays_and_several_are_listed() {
        let mut overflow = Overflow::default();
        let texts = |texts: &[&str]| texts.iter().map(|&t| t.to_owned()).collect::<Vec<_>>();
        assert_eq!(joined(texts(&["a"]), &overflow), "a");
        let list =
            "[Queued messages while agent was busy]\n\n---\nQueued #1\na\n\n---\nQueued #2\nb";
        assert_eq!(joined(texts(&["a", "b"]), &overflow), list);
        overflow.note(&format!("too\nmany {}", "x".repeat(200)));
        let told = joined(texts(&["a"]), &overflow);
        let head = "[Queued messages while agent was busy]\n\n[Queue overflow] Dropped 1 message due to cap.\nSummary:\n- too many xxx";
        assert!(told.starts_with(head), "{told}");
        assert!(told.ends_with("x…\n\n---\nQueued #1\na"), "{told}");
    }
}
