//! The wire of a coding agent: JSON-RPC 2.0, one object a line, over the program's pipes.
//!
//! Promises: lines are bounded; what is no object is passed over (programs print things); the
//! program's complaints are read along, so that it never waits for somebody to read them.

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use crate::agent::runner::RunnerError;
use crate::agent::runners::process::{Program, last_words};
use crate::limits;

/// One object from the program.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) id: Option<Value>,
    pub(super) method: Option<String>,
    #[serde(default)]
    pub(super) params: Value,
    pub(super) result: Option<Value>,
    pub(super) error: Option<Failure>,
}

/// A refusal of the program.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Failure {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Value,
}

/// The program and its pipes. Dropping it ends the program and all it started.
#[derive(Debug)]
pub(super) struct Wire {
    id: String,
    program: Program,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    complaints: Option<ChildStderr>,
    said: Vec<u8>,
    line: Vec<u8>,
    calls: u64,
}

impl Wire {
    /// Takes over a started program; `id` is its name in errors.
    pub(super) fn new(id: &str, mut program: Program) -> Result<Wire, RunnerError> {
        let child = &mut program.child;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(complaints)) = pipes else {
            return Err(RunnerError::new(format!("{id} has no pipes")));
        };
        Ok(Wire {
            id: id.to_owned(),
            program,
            input,
            output: BufReader::new(output),
            complaints: Some(complaints),
            said: Vec::new(),
            line: Vec::new(),
            calls: 0,
        })
    }

    /// Sends a request and gives its number.
    pub(super) async fn request(
        &mut self,
        method: &str,
        params: Value,
    ) -> Result<u64, RunnerError> {
        self.calls += 1;
        let number = self.calls;
        self.send(&json!({ "jsonrpc": "2.0", "id": number, "method": method, "params": params }))
            .await?;
        Ok(number)
    }

    /// Sends what needs no answer.
    pub(super) async fn notify(&mut self, method: &str, params: Value) -> Result<(), RunnerError> {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
            .await
    }

    /// Answers a request of the program.
    pub(super) async fn answer(&mut self, id: &Value, result: Value) -> Result<(), RunnerError> {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
            .await
    }

    /// Refuses a request of the program: nothing beside permissions is offered.
    pub(super) async fn refuse(&mut self, id: &Value, method: &str) -> Result<(), RunnerError> {
        let text = format!("{method} is not offered");
        let error = json!({ "code": -32601, "message": text });
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "error": error }))
            .await
    }

    async fn send(&mut self, message: &Value) -> Result<(), RunnerError> {
        let line = format!("{message}\n");
        let sent = async {
            self.input.write_all(line.as_bytes()).await?;
            self.input.flush().await
        };
        let sent = sent.await;
        sent.map_err(|e| self.broken("does not listen any more").caused_by(e))
    }

    /// The next object. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Message, RunnerError> {
        loop {
            let line = self.next_line().await?;
            match serde_json::from_slice::<Message>(&line) {
                Ok(message) => return Ok(message),
                Err(error) => {
                    tracing::debug!(backend = self.id, %error, "a line that is no message")
                }
            }
        }
    }

    async fn next_line(&mut self) -> Result<Vec<u8>, RunnerError> {
        let mut bytes = [0; 4096];
        loop {
            let read = {
                let complaints = async {
                    match &mut self.complaints {
                        Some(pipe) => pipe.read(&mut bytes).await.unwrap_or(0),
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    count = complaints => Err(count),
                    read = self.output.fill_buf() => Ok(read.map(<[u8]>::to_vec)),
                }
            };
            match read {
                Err(0) => self.complaints = None,
                Err(count) => self.hear(&bytes[..count]),
                Ok(Ok(chunk)) if chunk.is_empty() => return Err(self.ended().await),
                Ok(Ok(chunk)) => {
                    let end = chunk.iter().position(|byte| *byte == b'\n');
                    let taken = end.map_or(chunk.len(), |end| end + 1);
                    self.output.consume(taken);
                    self.line.extend_from_slice(&chunk[..taken]);
                    if self.line.len() > limits::ACP_LINE_BYTES_MAX {
                        return Err(self.broken("wrote a line that is too long"));
                    }
                    if end.is_some() {
                        return Ok(std::mem::take(&mut self.line));
                    }
                }
                Ok(Err(error)) => return Err(self.broken("can't be read").caused_by(error)),
            }
        }
    }

    /// Nothing more is asked: the program may end by itself, and is ended otherwise.
    pub(super) async fn finish(self) {
        let Wire {
            input, mut program, ..
        } = self;
        drop(input);
        let _ended = tokio::time::timeout(limits::ACP_CANCEL_GRACE, program.wait()).await;
    }

    /// Keeps the last of what the program complains about.
    fn hear(&mut self, bytes: &[u8]) {
        self.said.extend_from_slice(bytes);
        let over = self
            .said
            .len()
            .saturating_sub(limits::MODEL_ERROR_BYTES_MAX);
        self.said.drain(..over);
    }

    async fn ended(&mut self) -> RunnerError {
        if let Some(mut pipe) = self.complaints.take() {
            let mut rest = vec![0; limits::MODEL_ERROR_BYTES_MAX];
            let wait = tokio::time::timeout(limits::ACP_CANCEL_GRACE, pipe.read(&mut rest));
            if let Ok(Ok(count)) = wait.await {
                self.hear(&rest[..count]);
            }
        }
        let status = tokio::time::timeout(limits::ACP_CANCEL_GRACE, self.program.wait()).await;
        let how = match status {
            Ok(Ok(status)) if !status.success() => format!(" ({status})"),
            _ => String::new(),
        };
        self.broken(&format!("ended in the middle{how}"))
    }

    /// An error of this program, with its last words for the log.
    pub(super) fn broken(&self, what: &str) -> RunnerError {
        let words = last_words(&self.said, limits::CLI_LAST_WORDS_MAX);
        let error = RunnerError::new(format!("{} {what}", self.id));
        match words.is_empty() {
            true => error,
            false => error.caused_by(words),
        }
    }

    /// An error that the program told, in one bounded line.
    pub(super) fn told(&self, failure: &Failure) -> RunnerError {
        let words: Vec<&str> = failure.message.split_whitespace().collect();
        let line: String = words.join(" ").chars().take(200).collect();
        let cause = format!("code {}: {}", failure.code, failure.data);
        let cause: String = cause.chars().take(limits::CLI_LAST_WORDS_MAX).collect();
        RunnerError::new(format!("{}: {line}", self.id)).caused_by(cause)
    }
}
