//! Asking: the models in order, round after round as long as they call tools.
//!
//! Promises: another model is asked only while nothing of an answer was shown; what a model called
//! is in the transcript before it is done, and what came of it before the model is asked again, so
//! that a crash in between can't do it twice; the number of rounds is bounded.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};

use super::super::Turn;
use super::super::model::{self, ModelName};
use super::super::prompt;
use super::super::runner::{
    Image, Prompt, Runner, RunnerError, Step, Steps, Stop, ToolCall, Usage,
};
use super::super::runners::acp::Permission;
use super::super::toolbox::{ToolOutput, ToolPlace};
use super::close::{thought_row, tokens};
use super::{Answer, STORE_FAILED, Work};
use crate::limits;
use crate::sessions::{AssistantRow, CallRow, ToolRow};
use crate::store::StoreError;
use crate::store::sessions::InputRow;
use crate::{skills, workspace};

impl Work<'_> {
    /// Asks until the model has nothing more to call.
    pub(super) async fn answer(&mut self) -> Result<Answer, RunnerError> {
        let agent = self.agent_id().to_owned();
        let asked = self.turn.model.as_deref();
        let mut names = model::candidates_for(&self.config, &self.row.settings, &agent, asked);
        for round in 0..limits::TOOL_ROUNDS_MAX {
            let steps = self.begin(&mut names).await?;
            let (stop, usage, calls) = self.follow(steps).await?;
            self.usage = sum(self.usage, usage);
            // What was put into this run is answered in its next round, if there is one.
            let last = round + 1 == limits::TOOL_ROUNDS_MAX;
            let steered = if last {
                Vec::new()
            } else {
                self.switch.steered()
            };
            if calls.is_empty() && steered.is_empty() {
                return Ok((stop, usage));
            }
            let kept = self.keep_calls(&calls, usage).await.map_err(lost)?;
            for (number, call) in calls.into_iter().enumerate() {
                let step = format!("{kept}:{number}");
                self.use_tool(call, step).await.map_err(lost)?;
            }
            for turn in steered {
                self.hear(&turn).await.map_err(lost)?;
                self.kept.extend(turn.kept);
            }
        }
        Err(RunnerError::new(format!(
            "the model called tools {} times without an answer",
            limits::TOOL_ROUNDS_MAX
        )))
    }

    fn agent_id(&self) -> &str {
        let own = self.turn.key.agent_id();
        own.unwrap_or(self.config.agents.default_id())
    }

    /// Asks the models in order until one begins to answer. Those that failed are not asked again
    /// in this run.
    async fn begin(&mut self, names: &mut Vec<ModelName>) -> Result<Steps, RunnerError> {
        let mut failed = None;
        while let Some(name) = names.first().cloned() {
            let place = self.place();
            let runner = match model::runner(&self.config, &name, place) {
                Ok(runner) => runner,
                Err(error) => {
                    failed = Some(self.note_failure(&name, error));
                    names.remove(0);
                    continue;
                }
            };
            let prompt = Arc::new(self.prompt(&name, runner.as_ref())?);
            self.asked = Some((name.clone(), runner.api()));
            self.memory = runner.memory_name().map(|name| (name, String::new()));
            match runner.start(prompt).await {
                Ok(steps) => return Ok(steps),
                Err(error) => failed = Some(self.note_failure(&name, error)),
            }
            names.remove(0);
        }
        Err(failed.unwrap_or_else(|| RunnerError::new("no model is configured")))
    }

    /// Where a program that answers works, and whom it may ask.
    fn place(&self) -> model::Place {
        let entry = self.config.agents.get(self.agent_id());
        let named = entry.and_then(|entry| entry.runtime.as_ref()?.folder());
        model::Place {
            folder: named.unwrap_or_else(|| self.config.workspace(self.agent_id())),
            fresh_id: self.inner.clock.uuid(),
            agent: self.agent_id().to_owned(),
            tasks: self.inner.tasks.clone(),
            permission: Permission {
                approvals: self.inner.approvals.get().cloned(),
                config: self.config.clone(),
                agent: self.agent_id().to_owned(),
                key: self.turn.key.clone(),
                words: self.row.settings.words.clone(),
            },
        }
    }

    fn note_failure(&self, name: &ModelName, error: RunnerError) -> RunnerError {
        tracing::warn!(run = self.turn.run_id, model = %name, %error, "model did not answer");
        error
    }

    /// Follows an answer to its end: texts and thoughts become events.
    async fn follow(
        &mut self,
        mut steps: Steps,
    ) -> Result<(Stop, Option<Usage>, Vec<ToolCall>), RunnerError> {
        let mut calls = Vec::new();
        self.thoughts.clear();
        let mut taken = None;
        loop {
            let step = match taken.take() {
                Some(step) => step,
                None => steps.next().await,
            };
            let Some(step) = step else { break };
            match step? {
                Step::Text(mut text) => {
                    // The first words go out at once.
                    if self.events.has_shown_text() {
                        taken = gather(&mut text, &mut steps);
                    }
                    self.events.text(&text);
                }
                Step::Thinking(text) => self.events.thinking(&text),
                Step::Thought(thought) => self.thoughts.push(thought),
                Step::Call(call) => calls.push(call),
                Step::Using(call) => self.events.tool_start(&call),
                Step::Used(call, output) => self.events.tool_result(&call, &output.bounded()),
                Step::Memory(id) => {
                    if let Some((_, kept)) = &mut self.memory {
                        *kept = id;
                    }
                }
                Step::End { stop, usage } => return Ok((stop, usage, calls)),
            }
        }
        Err(RunnerError::new("the model ended the answer in the middle"))
    }

    /// Puts what the model said and called into the transcript, before any of it is done. Gives
    /// the id of that message: a run that is made again after a crash has others.
    async fn keep_calls(
        &mut self,
        calls: &[ToolCall],
        usage: Option<Usage>,
    ) -> Result<String, StoreError> {
        let (name, api) = match &self.asked {
            Some((name, api)) => (Some(name), *api),
            None => (None, ""),
        };
        let call = |call: &ToolCall| CallRow {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        };
        let said = AssistantRow {
            text: self.events.last_part().trim().to_owned(),
            thoughts: self.thoughts.iter().map(thought_row).collect(),
            calls: calls.iter().map(call).collect(),
            api: api.to_owned(),
            provider: name.map_or(String::new(), |name| name.provider.clone()),
            model: name.map_or(String::new(), |name| name.model.clone()),
            tokens: tokens(usage.unwrap_or_default()),
            stop_reason: if calls.is_empty() { "stop" } else { "toolUse" }.to_owned(),
            ..AssistantRow::default()
        };
        self.thoughts.clear();
        let sessions = &self.inner.sessions;
        let appended = sessions.append_assistant(&self.turn.key, None, said, |_| {});
        let appended = appended.await?;
        self.row = appended.row;
        self.events.next_part();
        Ok(appended.message.id)
    }

    /// Takes in a message that was put into this run.
    async fn hear(&mut self, turn: &Turn) -> Result<(), StoreError> {
        let now = self.inner.clock.now_ms();
        let sender_label = turn.sender_label();
        let user = InputRow {
            text: turn.text.clone(),
            prompt: Some(prompt::text_of(turn, &turn.text, &self.config, now, false)),
            sender_label,
            ..InputRow::default()
        };
        let sessions = &self.inner.sessions;
        self.row = sessions.append_user(&turn.key, None, user).await?.row;
        Ok(())
    }

    /// Does one call and keeps what came of it.
    async fn use_tool(&mut self, call: ToolCall, step: String) -> Result<(), StoreError> {
        self.events.tool_start(&call);
        let place = ToolPlace {
            run_id: self.turn.run_id.clone(),
            step,
            key: self.turn.key.clone(),
            agent: self.agent_id().to_owned(),
            config: self.config.clone(),
        };
        let toolbox = self.inner.toolbox.get().cloned();
        let output = match toolbox {
            Some(toolbox) => {
                let longest = toolbox.time_max(&call);
                let work = toolbox.call(place, call.clone());
                let time = tokio::time::timeout(longest, work);
                time.await.unwrap_or_else(|_| {
                    ToolOutput::failed("the tool did not answer in time; it may have done its work")
                })
            }
            None => ToolOutput::failed(&format!("there is no tool \"{}\"", call.name)),
        };
        let output = output.bounded();
        self.events.tool_result(&call, &output);
        let row = ToolRow {
            call_id: call.id,
            name: call.name,
            text: output.text,
            is_error: output.is_error,
        };
        let sessions = &self.inner.sessions;
        self.row = sessions.append_tool(&self.turn.key, None, row).await?.row;
        Ok(())
    }

    fn prompt(&self, name: &ModelName, runner: &dyn Runner) -> Result<Prompt, RunnerError> {
        let sessions = &self.inner.sessions;
        let transcript = sessions
            .history(&self.turn.key, limits::PROMPT_MESSAGES_MAX)
            .map_err(lost)?;
        let images = self.images(name);
        let defaults = &self.config.agents.defaults;
        let folder = self.config.workspace(self.agent_id());
        let files = workspace::instructions(&folder, self.bounds());
        let skills = skills::instructions(&self.config, self.agent_id());
        let texts = [
            defaults.system_prompt.as_deref(),
            Some(files.as_str()),
            Some(skills.as_str()),
            self.turn.extra_system.as_deref(),
        ];
        let system: Vec<&str> = texts.into_iter().flatten().collect();
        let window = name.context_window(&self.config);
        let mut prompt = prompt::build(&system, &transcript, images, window);
        if name.thinks(&self.config) {
            let settings = &self.row.settings;
            prompt.thinking = model::thinking(&self.config, settings, self.turn.thinking);
        }
        let memory = runner.memory_name();
        prompt.memory = memory.and_then(|name| self.row.memories.get(&name).cloned());
        let toolbox = self.inner.toolbox.get();
        prompt.tools = toolbox.map_or_else(Vec::new, |toolbox| {
            toolbox.offered(&self.config, self.agent_id(), &self.turn.key)
        });
        Ok(prompt)
    }

    /// How much of the agent's files goes into the prompt.
    fn bounds(&self) -> workspace::Bounds {
        let defaults = &self.config.agents.defaults;
        let (file, all) = (
            defaults.bootstrap_max_chars,
            defaults.bootstrap_total_max_chars,
        );
        workspace::Bounds {
            file_chars_max: file.unwrap_or(limits::WORKSPACE_FILE_CHARS),
            total_chars_max: all.unwrap_or(limits::WORKSPACE_CHARS),
            private: self.turn.key.kind() != "group",
        }
    }

    fn images(&self, name: &ModelName) -> Vec<Image> {
        let images = &self.turn.images;
        if !images.is_empty() && !name.sees_images(&self.config) {
            let (run, dropped) = (&self.turn.run_id, images.len());
            tracing::warn!(run, model = %name, dropped, "pictures dropped: the model takes none");
            return Vec::new();
        }
        images.clone()
    }
}

/// Adds the texts that are here already: each event repeats the whole answer, so one for each of
/// many words that came together would cost the square of them. Gives what came that is no text.
fn gather(text: &mut String, steps: &mut Steps) -> Option<Option<Result<Step, RunnerError>>> {
    while text.len() < limits::DELTA_GATHERED_BYTES_MAX {
        match steps.next().now_or_never()? {
            Some(Ok(Step::Text(more))) => text.push_str(&more),
            other => return Some(other),
        }
    }
    None
}

fn lost(error: StoreError) -> RunnerError {
    RunnerError::new(STORE_FAILED).caused_by(error)
}

/// Tokens of two rounds together.
fn sum(before: Option<Usage>, round: Option<Usage>) -> Option<Usage> {
    let (Some(a), Some(b)) = (before, round) else {
        return before.or(round);
    };
    Some(Usage {
        input: a.input.saturating_add(b.input),
        output: a.output.saturating_add(b.output),
        cache_read: a.cache_read.saturating_add(b.cache_read),
        cache_write: a.cache_write.saturating_add(b.cache_write),
        total: a.total.saturating_add(b.total),
    })
}
