//! The `echo` runner: says back what it was told.
//!
//! The embedded default: a machine without any model or key answers at once, the same text each
//! time. Also what tests use when the model does not matter.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};

use crate::agent::runner::{Prompt, Runner, RunnerError, Step, Steps, Stop, Usage};

/// Provider id of the embedded runner.
pub const PROVIDER: &str = "echo";
/// Model id of the embedded runner.
pub const MODEL: &str = "echo";
/// Pieces an answer is streamed in, at most.
const PIECES: usize = 4;

/// Answers with the text of the newest line, as it was written.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl Runner for Echo {
    fn api(&self) -> &'static str {
        "echo"
    }

    fn start(&self, prompt: Arc<Prompt>) -> BoxFuture<'static, Result<Steps, RunnerError>> {
        let text = prompt.said.as_str();
        let words = |text: &str| u64::try_from(text.split_whitespace().count()).unwrap_or(0);
        let (input, output) = (
            prompt.lines.iter().map(|l| words(&l.text)).sum(),
            words(text),
        );
        let usage = Usage {
            input,
            output,
            total: input + output,
            ..Usage::default()
        };
        let steps = pieces(text).into_iter().map(Step::Text).chain([Step::End {
            stop: Stop::Done,
            usage: Some(usage),
        }]);
        let steps: Vec<_> = steps.map(Ok).collect();
        async move { Ok(stream::iter(steps).boxed()) }.boxed()
    }
}

/// Cuts a text before blanks into at most [`PIECES`] parts of similar length.
fn pieces(text: &str) -> Vec<String> {
    let aim = text.len().div_ceil(PIECES).max(1);
    let mut parts: Vec<String> = Vec::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let full = parts.len() == PIECES;
        match parts.last_mut() {
            Some(last) if full || last.len() < aim => last.push_str(word),
            _ => parts.push(word.to_owned()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::agent::runner::{Line, Speaker};

    fn ask(text: &str) -> Vec<Step> {
        let stamped = format!("[Sun 2026-11-22 13:02 UTC] {text}");
        let prompt = Prompt {
            lines: vec![Line::new(Speaker::User, stamped)],
            said: text.to_owned(),
            ..Prompt::default()
        };
        let steps = Echo
            .start(Arc::new(prompt))
            .now_or_never()
            .unwrap()
            .unwrap();
        let steps: Vec<_> = steps.collect::<Vec<_>>().now_or_never().unwrap();
        steps.into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn it_says_the_newest_line_back_in_a_few_pieces() {
        let text = "one two  three four\nfive six seven eight nine ten";
        let steps = ask(text);
        let said: Vec<&str> = steps
            .iter()
            .filter_map(|s| match s {
                Step::Text(t) => Some(t.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(said.concat(), text);
        assert!((2..=PIECES).contains(&said.len()), "{said:?}");
        assert!(matches!(
            steps.last(),
            Some(Step::End {
                stop: Stop::Done,
                usage: Some(_)
            })
        ));
        assert_eq!(steps, ask(text));
    }

    #[test]
    fn nothing_to_say_ends_at_once() {
        assert_eq!(ask("").len(), 1);
    }
}
