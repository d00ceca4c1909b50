//! The `cli` runner: a program of this machine answers, one call for each message.
//!
//! `backend.rs` says how it is called, `output.rs` what it wrote. The program keeps the
//! conversation itself, under an id that the session remembers; a first call of a conversation
//! that is older than the program's part in it tells it what was said. Text only: no tools, no
//! pictures, nothing before the whole answer is there. Dropping the future ends the program and
//! all it started.

pub mod backend;
mod output;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::io::AsyncWriteExt;

use self::backend::{Backend, Invocation, Message};
use self::output::{Said, read};
use super::process::{Program, Start, last_words, read_bounded};
use crate::agent::runner::{Line, Prompt, Runner, RunnerError, Speaker, Step, Steps, Stop};
use crate::limits;

/// The wire's name in transcripts.
pub const API: &str = "cli";

/// One model of one program.
#[derive(Clone, Debug)]
pub struct Cli {
    id: String,
    backend: Arc<Backend>,
    model: String,
    folder: PathBuf,
    fresh_id: String,
}

impl Cli {
    /// A runner for `model` by the backend `id`, in the agent's `folder`. `fresh_id` names the
    /// conversation if this call begins one.
    pub fn new(id: &str, backend: Backend, model: &str, folder: PathBuf, fresh_id: String) -> Cli {
        Cli {
            id: id.to_owned(),
            backend: Arc::new(backend),
            model: model.to_owned(),
            folder,
            fresh_id,
        }
    }

    async fn answer(self, prompt: Arc<Prompt>) -> Result<Steps, RunnerError> {
        let resumed = match prompt.memory.as_deref().filter(|id| backend::is_id(id)) {
            Some(id) => match self.call(&prompt, Some(id)).await {
                Ok(said) => Some(said),
                // The program may have forgotten the conversation: it is told of it once more.
                Err(Failure {
                    silent: true,
                    error,
                }) => {
                    tracing::warn!(backend = self.id, %error, "conversation not taken up: begun anew");
                    None
                }
                Err(Failure { error, .. }) => return Err(error),
            },
            None => None,
        };
        let said = match resumed {
            Some(said) => said,
            None => self.call(&prompt, None).await.map_err(|f| f.error)?,
        };
        let mut steps = Vec::new();
        steps.extend(said.session_id.map(Step::Memory));
        if !said.text.is_empty() {
            steps.push(Step::Text(said.text));
        }
        steps.push(Step::End {
            stop: Stop::Done,
            usage: said.usage,
        });
        Ok(stream::iter(steps.into_iter().map(Ok)).boxed())
    }

    /// Calls the program once.
    async fn call(&self, prompt: &Prompt, resume: Option<&str>) -> Result<Said, Failure> {
        let system: Vec<&str> = prompt
            .lines
            .iter()
            .filter(|line| line.speaker == Speaker::System)
            .map(|line| line.text.as_str())
            .collect();
        let text = match resume {
            Some(_) => newest(prompt),
            None => told_so_far(prompt),
        };
        let message = Message {
            model: &self.model,
            system: &system.join("\n\n"),
            text: &text,
            resume,
            fresh_id: &self.fresh_id,
        };
        let invocation = self.backend.invocation(&message).map_err(Failure::told)?;
        let (output, complaints, status) = self.run(&invocation).await.map_err(Failure::told)?;
        let said = read(invocation.output, &output, &self.backend.session_id_fields);
        let complaint = last_words(&complaints, limits::CLI_LAST_WORDS_MAX);
        match said {
            Some(Said {
                error: Some(why), ..
            }) => Err(Failure {
                silent: resume.is_some() && !status.success(),
                error: RunnerError::new(format!("{}: {why}", self.id)).caused_by(complaint),
            }),
            Some(said) if status.success() => Ok(Said {
                session_id: said.session_id.or(invocation.session_id),
                ..said
            }),
            None if status.success() => Err(Failure::told(
                RunnerError::new(format!("{} wrote what can't be read", self.id))
                    .caused_by(complaint),
            )),
            said => Err(Failure {
                silent: said.is_none_or(|said| said.text.is_empty()),
                error: RunnerError::new(format!("{} failed: {status}", self.id))
                    .caused_by(complaint),
            }),
        }
    }

    /// Runs the program to its end.
    async fn run(
        &self,
        invocation: &Invocation,
    ) -> Result<(String, Vec<u8>, std::process::ExitStatus), RunnerError> {
        let command = &self.backend.command;
        let broken = |e: std::io::Error| {
            RunnerError::new(format!("{} can't be run", self.id))
                .caused_by(format!("{command}: {e}"))
        };
        crate::files::folder(&self.folder).map_err(broken)?;
        let mut program = Program::start(&Start {
            command,
            args: &invocation.args,
            folder: &self.folder,
            variables: &self.backend.env,
            without: &self.backend.clear_env,
            has_input: invocation.input.is_some(),
        })
        .map_err(broken)?;
        let pipes = program.child.stdout.take().zip(program.child.stderr.take());
        let Some((mut output, mut complaints)) = pipes else {
            return Err(RunnerError::new(format!("{} has no output", self.id)));
        };
        let stdin = program.child.stdin.take();
        let give = async {
            if let (Some(mut stdin), Some(text)) = (stdin, &invocation.input) {
                // A program that doesn't read may answer all the same; the pipe closes here.
                stdin.write_all(text.as_bytes()).await.ok();
            }
            Ok(())
        };
        let ((), (output, more), (complaints, _)) = tokio::try_join!(
            give,
            read_bounded(&mut output, limits::MODEL_ANSWER_BYTES_MAX),
            read_bounded(&mut complaints, limits::MODEL_ERROR_BYTES_MAX),
        )
        .map_err(broken)?;
        let status = program.wait().await.map_err(broken)?;
        if more {
            return Err(RunnerError::new(format!(
                "{} wrote more than an answer may hold",
                self.id
            )));
        }
        let output = String::from_utf8_lossy(&output).into_owned();
        Ok((output, complaints, status))
    }
}

impl Runner for Cli {
    fn api(&self) -> &'static str {
        API
    }

    fn start(&self, prompt: Arc<Prompt>) -> BoxFuture<'static, Result<Steps, RunnerError>> {
        self.clone().answer(prompt).boxed()
    }

    fn memory_name(&self) -> Option<String> {
        Some(self.id.clone())
    }
}

/// Why a call has no answer.
struct Failure {
    error: RunnerError,
    /// The program said nothing at all: it may be asked again.
    silent: bool,
}

impl Failure {
    fn told(error: RunnerError) -> Failure {
        Failure {
            error,
            silent: false,
        }
    }
}

/// The newest message.
pub(in crate::agent::runners) fn newest(prompt: &Prompt) -> String {
    let newest = prompt
        .lines
        .iter()
        .rfind(|line| line.speaker == Speaker::User);
    newest.map_or(String::new(), |line| line.text.clone())
}

/// The newest message, after what was said before it.
pub(in crate::agent::runners) fn told_so_far(prompt: &Prompt) -> String {
    let newest = newest(prompt);
    let before: Vec<String> = prompt
        .lines
        .iter()
        .rev()
        .skip_while(|line| line.speaker != Speaker::User)
        .skip(1)
        .filter_map(spoken)
        .collect();
    if before.is_empty() {
        return newest;
    }
    let before: Vec<String> = before.into_iter().rev().collect();
    format!(
        "[The conversation so far]\n\n{}\n\n[The newest message]\n\n{newest}",
        before.join("\n\n")
    )
}

fn spoken(line: &Line) -> Option<String> {
    let who = match line.speaker {
        Speaker::User => "Person",
        Speaker::Assistant if !line.text.is_empty() => "You",
        _ => return None,
    };
    Some(format!("{who}: {}", line.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_before_is_told_once() {
        let line = Line::new;
        let mut prompt = Prompt {
            lines: vec![
                line(Speaker::System, "s"),
                line(Speaker::User, "a"),
                line(Speaker::Assistant, "b"),
                line(Speaker::User, "c"),
            ],
            ..Prompt::default()
        };
        let text = "[The conversation so far]\n\nPerson: a\n\nYou: b\n\n[The newest message]\n\nc";
        assert_eq!(told_so_far(&prompt), text);
        prompt.lines.drain(1..3);
        assert_eq!(told_so_far(&prompt), "c");
    }
}
