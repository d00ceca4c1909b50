//! The `acp` runner: a coding agent of this machine answers, over the Agent Client Protocol.
//!
//! `backend.rs` says how it is started, `wire.rs` carries the messages, `update.rs` reads what it
//! tells, `permission.rs` decides what it may do. One program for each answer: it takes the
//! conversation up where it left it when it can, and is told of it otherwise. It is offered neither
//! files nor terminals of the gateway. Dropping the answer asks it to stop; soon afterwards its
//! whole process group is ended.

pub mod backend;
mod permission;
mod update;
mod wire;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::backend::Backend;
pub use self::permission::Permission;
use self::update::{Update, Updates};
use self::wire::{Failure, Message, Wire};
use super::cli::backend::is_id;
use super::cli::{newest, told_so_far};
use super::process::{Program, Start};
use crate::agent::model::Place;
use crate::agent::runner::{Prompt, Runner, RunnerError, Speaker, Step, Steps, Stop, Usage};
use crate::limits;
use crate::shutdown::Tasks;

/// The wire's name in transcripts.
pub const API: &str = "acp";
/// The model's name that leaves the choice to the program.
pub const DEFAULT_MODEL: &str = "default";
/// The version of the protocol that is spoken.
const PROTOCOL: u64 = 1;

/// One coding agent.
#[derive(Clone, Debug)]
pub struct Acp {
    id: String,
    backend: Arc<Backend>,
    model: String,
    folder: PathBuf,
    tasks: Tasks,
    permission: Permission,
}

impl Acp {
    /// A runner by the backend `id`. `model` is one that the program offers, or
    /// [`DEFAULT_MODEL`].
    pub fn new(id: &str, backend: Backend, model: &str, place: Place) -> Acp {
        Acp {
            id: id.to_owned(),
            backend: Arc::new(backend),
            model: model.to_owned(),
            folder: place.folder,
            tasks: place.tasks,
            permission: place.permission,
        }
    }

    async fn answer(self, prompt: Arc<Prompt>) -> Result<Steps, RunnerError> {
        let mut talk = self.start_program()?;
        let ready = talk.make_ready(&self, &prompt);
        let ready = tokio::time::timeout(limits::ACP_READY_TIMEOUT, ready).await;
        let fresh = ready.map_err(|_| RunnerError::new(format!("{} is not ready", self.id)))??;
        talk.prompt(content(&prompt, fresh, talk.takes_images))
            .await?;
        // A step of the answer itself: before it another model may be asked instead.
        let first = talk.step().await.unwrap_or_else(|| Err(talk.live_error()));
        let first = first?;
        let memory = Step::Memory(talk.session.clone());
        let ended = matches!(first, Step::End { .. });
        let begun = stream::iter([Ok(memory), Ok(first)]);
        if ended {
            return Ok(begun.boxed());
        }
        let rest = stream::unfold(talk, |mut talk| async move {
            let step = talk.step().await?;
            Some((step, talk))
        });
        Ok(begun.chain(rest).boxed())
    }

    fn start_program(&self) -> Result<Talk, RunnerError> {
        let command = &self.backend.command;
        let broken = |e: std::io::Error| {
            RunnerError::new(format!("{} can't be run", self.id))
                .caused_by(format!("{command}: {e}"))
        };
        crate::files::folder(&self.folder).map_err(broken)?;
        let program = Program::start(&Start {
            command,
            args: &self.backend.args,
            folder: &self.folder,
            variables: &self.backend.env,
            without: &self.backend.clear_env,
            has_input: true,
        })
        .map_err(broken)?;
        Ok(Talk {
            wire: Some(Wire::new(&self.id, program)?),
            session: String::new(),
            takes_images: false,
            asked: None,
            updates: Updates::default(),
            steps: VecDeque::new(),
            is_over: false,
            folder: self.folder.clone(),
            tasks: self.tasks.clone(),
            permission: self.permission.clone(),
        })
    }
}

impl Runner for Acp {
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

/// The message for the program: the newest one, or in a new conversation all it has to know.
fn content(prompt: &Prompt, fresh: bool, takes_images: bool) -> Value {
    let text = if fresh {
        let system = prompt.lines.iter().filter(|l| l.speaker == Speaker::System);
        let mut parts: Vec<String> = system.map(|line| line.text.clone()).collect();
        parts.push(told_so_far(prompt));
        parts.join("\n\n")
    } else {
        newest(prompt)
    };
    let mut content = vec![json!({ "type": "text", "text": text })];
    let said = prompt.lines.iter().rfind(|l| l.speaker == Speaker::User);
    let images = said.into_iter().flat_map(|line| &line.images);
    content.extend(images.filter(|_| takes_images).map(
        |image| json!({ "type": "image", "mimeType": image.mime_type, "data": image.base64 }),
    ));
    json!(content)
}

/// A conversation with a running program.
#[derive(Debug)]
struct Talk {
    /// None once it was handed over to be ended.
    wire: Option<Wire>,
    session: String,
    takes_images: bool,
    /// The number of the request whose answer ends the answer.
    asked: Option<u64>,
    updates: Updates,
    steps: VecDeque<Step>,
    is_over: bool,
    folder: PathBuf,
    tasks: Tasks,
    permission: Permission,
}

impl Talk {
    fn wire(&mut self) -> Result<&mut Wire, RunnerError> {
        self.wire
            .as_mut()
            .ok_or_else(|| RunnerError::new("the program is gone"))
    }

    fn live_error(&self) -> RunnerError {
        let wire = self.wire.as_ref();
        wire.map_or_else(
            || RunnerError::new("the program is gone"),
            |wire| wire.broken("did not answer"),
        )
    }

    /// Introduces itself and opens the conversation; true when the program knows nothing of it.
    async fn make_ready(&mut self, acp: &Acp, prompt: &Prompt) -> Result<bool, RunnerError> {
        let hello = json!({
            "protocolVersion": PROTOCOL,
            "clientCapabilities": { "fs": { "readTextFile": false, "writeTextFile": false }, "terminal": false },
            "clientInfo": { "name": "openclaw-gateway", "version": crate::VERSION },
        });
        let said = self.call("initialize", hello).await?;
        let said = said.map_err(|failure| self.told(&failure))?;
        if said["protocolVersion"].as_u64() != Some(PROTOCOL) {
            let text = format!("{} speaks another version of its protocol", acp.id);
            return Err(RunnerError::new(text).caused_by(said["protocolVersion"].to_string()));
        }
        let able = &said["agentCapabilities"];
        let (loads, sees) = (&able["loadSession"], &able["promptCapabilities"]["image"]);
        self.takes_images = *sees == json!(true);
        let folder = self.folder.display().to_string();
        let known = prompt
            .memory
            .as_deref()
            .filter(|id| is_id(id) && *loads == json!(true));
        if let Some(id) = known {
            let params = json!({ "sessionId": id, "cwd": folder, "mcpServers": [] });
            match self.call("session/load", params).await? {
                Ok(loaded) => {
                    id.clone_into(&mut self.session);
                    self.choose(acp, &loaded).await?;
                    return Ok(false);
                }
                Err(failure) => {
                    let error = self.told(&failure);
                    tracing::warn!(backend = acp.id, %error, "conversation not taken up: begun anew");
                }
            }
        }
        let params = json!({ "cwd": folder, "mcpServers": [] });
        let made = self.call("session/new", params).await?;
        let made = made.map_err(|failure| self.told(&failure))?;
        let id = made["sessionId"].as_str().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| RunnerError::new(format!("{} names no session", acp.id)))?;
        id.clone_into(&mut self.session);
        self.choose(acp, &made).await?;
        Ok(true)
    }

    /// Chooses the model, if one is named.
    async fn choose(&mut self, acp: &Acp, opened: &Value) -> Result<(), RunnerError> {
        if acp.model == DEFAULT_MODEL || acp.model.is_empty() {
            return Ok(());
        }
        // Newer programs have it among their settings.
        let settings = opened["configOptions"].as_array();
        let setting = settings
            .into_iter()
            .flatten()
            .find(|s| s["category"] == "model");
        let (offers, name) = match setting {
            Some(setting) => (&setting["options"], "value"),
            None => (&opened["models"]["availableModels"], "modelId"),
        };
        let offers = offers.as_array().into_iter().flatten();
        let ids: Vec<&str> = offers.filter_map(|m| m[name].as_str()).take(20).collect();
        if !ids.contains(&acp.model.as_str()) {
            let offered = match ids.is_empty() {
                true => DEFAULT_MODEL.to_owned(),
                false => ids.join(", "),
            };
            let text = format!("{} has no model \"{}\": use {offered}", acp.id, acp.model);
            return Err(RunnerError::new(text));
        }
        let session = &self.session;
        let (method, params) = match setting {
            Some(setting) => (
                "session/set_config_option",
                json!({ "sessionId": session, "configId": setting["id"], "value": acp.model }),
            ),
            None => (
                "session/set_model",
                json!({ "sessionId": session, "modelId": acp.model }),
            ),
        };
        let chosen = self.call(method, params).await?;
        chosen.map(drop).map_err(|failure| self.told(&failure))
    }

    async fn prompt(&mut self, content: Value) -> Result<(), RunnerError> {
        let params = json!({ "sessionId": self.session, "prompt": content });
        self.asked = Some(self.wire()?.request("session/prompt", params).await?);
        Ok(())
    }

    /// Asks and waits for the answer. What the program tells meanwhile is of the past: it repeats
    /// a conversation that it takes up.
    async fn call(
        &mut self,
        method: &str,
        params: Value,
    ) -> Result<Result<Value, Failure>, RunnerError> {
        let number = self.wire()?.request(method, params).await?;
        loop {
            let message = self.wire()?.next().await?;
            match hear(number, message) {
                Heard::Answer(answer) => return Ok(answer),
                Heard::Request(id, method, _) => self.wire()?.refuse(&id, &method).await?,
                Heard::Told(..) | Heard::Nothing => {}
            }
        }
    }

    fn told(&self, failure: &Failure) -> RunnerError {
        let wire = self.wire.as_ref();
        wire.map_or_else(|| self.live_error(), |wire| wire.told(failure))
    }

    /// The next step of the answer; none after its end.
    async fn step(&mut self) -> Option<Result<Step, RunnerError>> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Some(Ok(step));
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.go_on().await {
                self.is_over = true;
                return Some(Err(error));
            }
        }
    }

    /// Takes one message in.
    async fn go_on(&mut self) -> Result<(), RunnerError> {
        let number = self.asked.unwrap_or_default();
        let message = self.wire()?.next().await?;
        match hear(number, message) {
            Heard::Answer(Ok(result)) => return self.end(&result),
            Heard::Answer(Err(failure)) => return Err(self.told(&failure)),
            Heard::Told(method, params)
                if method == "session/update" && params["sessionId"] == self.session.as_str() =>
            {
                // What can't be read of an update is not shown.
                let update = read::<Update>(&params["update"]).unwrap_or_default();
                self.steps.extend(self.updates.steps(update));
                if self.updates.is_too_long() {
                    return Err(RunnerError::new("the answer is longer than one may be"));
                }
            }
            Heard::Request(id, method, params) if method == "session/request_permission" => {
                let request = read(&params).unwrap_or_default();
                let answer = self.permission.decide(&request, &self.folder).await;
                self.wire()?.answer(&id, answer).await?;
            }
            Heard::Request(id, method, _) => self.wire()?.refuse(&id, &method).await?,
            Heard::Told(..) | Heard::Nothing => {}
        }
        Ok(())
    }

    fn end(&mut self, result: &Value) -> Result<(), RunnerError> {
        self.is_over = true;
        let stop = match result["stopReason"].as_str() {
            Some("max_tokens" | "max_turn_requests") => Stop::Length,
            Some("cancelled") => return Err(self.live("stopped")),
            Some("refusal") if !self.updates.spoke() => return Err(self.live("refused to answer")),
            _ => Stop::Done,
        };
        let usage = usage(&result["usage"]);
        self.steps.push_back(Step::End { stop, usage });
        Ok(())
    }

    fn live(&self, what: &str) -> RunnerError {
        let wire = self.wire.as_ref();
        wire.map_or_else(|| self.live_error(), |wire| wire.broken(what))
    }
}

impl Drop for Talk {
    /// The program may put its things in order, but not for long: after its answer, and when its
    /// answer is not wanted any more. Its group ends with the wire.
    fn drop(&mut self) {
        let Some(mut wire) = self.wire.take() else {
            return;
        };
        if self.is_over {
            let tasks = self.tasks.clone();
            return tasks.spawn("end of a coding agent", wire.finish());
        }
        if self.asked.is_none() {
            return;
        }
        let (session, number) = (self.session.clone(), self.asked.unwrap_or_default());
        self.tasks.spawn("stopping a coding agent", async move {
            let stopping = async {
                let params = json!({ "sessionId": session });
                wire.notify("session/cancel", params).await?;
                loop {
                    let message = wire.next().await?;
                    match hear(number, message) {
                        Heard::Answer(_) => return Ok::<(), RunnerError>(()),
                        // Whatever it still asks for is not given.
                        Heard::Request(id, method, _) => wire.refuse(&id, &method).await?,
                        Heard::Told(..) | Heard::Nothing => {}
                    }
                }
            };
            // A program that doesn't stop by itself is stopped.
            let _ended = tokio::time::timeout(limits::ACP_CANCEL_GRACE, stopping).await;
        });
    }
}

/// A message, looked at by one who waits for an answer.
enum Heard {
    /// The answer.
    Answer(Result<Value, Failure>),
    /// Something else that the program wants to be answered.
    Request(Value, String, Value),
    /// Something that it tells.
    Told(String, Value),
    /// Nothing that anybody waits for.
    Nothing,
}

/// What a message is to one who waits for the answer to the request of this number.
fn hear(number: u64, message: Message) -> Heard {
    match (message.id, message.method) {
        (Some(id), Some(method)) => Heard::Request(id, method, message.params),
        (None, Some(method)) => Heard::Told(method, message.params),
        (Some(id), None) if id == json!(number) => Heard::Answer(match message.error {
            Some(failure) => Err(failure),
            None => Ok(message.result.unwrap_or_default()),
        }),
        _ => Heard::Nothing,
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    let read = serde_json::from_value(value.clone());
    read.map_err(|error| tracing::debug!(%error, "a message of a coding agent can't be read"))
        .ok()
}

/// Tokens, where the program counts them.
fn usage(value: &Value) -> Option<Usage> {
    let count = |name: &str| value[name].as_u64();
    let (input, output) = (count("inputTokens")?, count("outputTokens")?);
    let cache_read = count("cachedReadTokens").unwrap_or(0);
    let cache_write = count("cachedWriteTokens").unwrap_or(0);
    let sum = input.saturating_add(output).saturating_add(cache_read);
    Some(Usage {
        input,
        output,
        cache_read,
        cache_write,
        total: count("totalTokens").unwrap_or(sum.saturating_add(cache_write)),
    })
}
