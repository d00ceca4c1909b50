//! The `openai-completions` runner: any server that speaks streaming chat completions.
//!
//! One request for each answer: `POST <baseUrl>/chat/completions` with `stream:true`. Busy and
//! failing servers are asked again, but only until the first text came; after that a cut is an
//! error and the text so far stands. Dropping the future or the stream closes the HTTP stream.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::openai_chunk::{Chunk, ChunkError, http_error, read_chunk};
use super::sse::{SseParser, TooLong};
use crate::agent::runner::{Line, Prompt, Runner, RunnerError, Speaker, Step, Steps, Stop, Usage};
use crate::limits;

/// The wire's name in transcripts and in `models.providers.<id>.api`.
pub const API: &str = "openai-completions";

/// One model of one server.
#[derive(Clone)]
pub struct OpenAiCompat {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    model: String,
    key: Option<String>,
}

impl std::fmt::Debug for OpenAiCompat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenAiCompat({} at {})", self.model, self.url)
    }
}

impl OpenAiCompat {
    /// A runner for `model` at `base_url` (without `/chat/completions`). `key` becomes the bearer
    /// token unless `headers` hold an `Authorization` of their own.
    ///
    /// # Errors
    /// [`RunnerError`] when the key or a header can't stand in a request.
    pub fn new(
        client: reqwest::Client,
        base_url: &str,
        model: &str,
        key: Option<&str>,
        mut headers: HeaderMap,
    ) -> Result<OpenAiCompat, RunnerError> {
        if let Some(key) = key.filter(|_| !headers.contains_key(AUTHORIZATION)) {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| RunnerError::new("the provider's apiKey holds odd characters"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let url = format!("{}/chat/completions", base_url.trim_end_matches('/'));
        let (model, key) = (model.to_owned(), key.map(str::to_owned));
        Ok(OpenAiCompat {
            client,
            url,
            headers,
            model,
            key,
        })
    }

    async fn answer(self, prompt: Arc<Prompt>) -> Result<Steps, RunnerError> {
        let mut ask_usage = true;
        let mut attempt = 1;
        loop {
            let failed = match self.attempt(&prompt, ask_usage).await {
                Ok(steps) => return Ok(steps),
                Err(failed) => failed,
            };
            if failed.unknown_option && ask_usage {
                ask_usage = false;
                continue;
            }
            let wait = failed.wait.filter(|w| *w <= limits::MODEL_RETRY_WAIT_MAX);
            let (Some(wait), true) = (wait, attempt < limits::MODEL_ATTEMPTS_MAX) else {
                return Err(self.without_key(failed.error));
            };
            let wait = wait.max(limits::MODEL_RETRY_WAIT * 2u32.pow(attempt - 1));
            tracing::warn!(model = self.model, attempt, ?wait, error = %failed.error, "model asked again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// One request, up to its first step.
    async fn attempt(&self, prompt: &Prompt, ask_usage: bool) -> Result<Steps, Failed> {
        let body = request_body(&self.model, prompt, ask_usage);
        let request = self
            .client
            .post(&self.url)
            .headers(self.headers.clone())
            .body(body);
        let waiting = tokio::time::timeout(limits::MODEL_FIRST_BYTE_TIMEOUT, request.send());
        let response = match waiting.await {
            Ok(Ok(response)) => response,
            Ok(Err(e)) => return Err(Failed::again("the model provider can't be reached", e)),
            Err(e) => return Err(Failed::again("the model provider does not answer", e)),
        };
        if response.status() != StatusCode::OK {
            return Err(refusal(response).await);
        }
        let mut reading = Reading::of(response);
        let first = reading.step().await.map_err(|error| Failed {
            wait: Some(Duration::ZERO),
            unknown_option: false,
            error,
        })?;
        let rest = stream::unfold(Some(reading), |reading| async {
            let mut reading = reading?;
            let step = reading.step().await;
            let last = !matches!(step, Ok(Step::Text(_)));
            Some((step, (!last).then_some(reading)))
        });
        let ended = matches!(first, Step::End { .. });
        let first = stream::iter([Ok(first)]);
        Ok(if ended {
            first.boxed()
        } else {
            first.chain(rest).boxed()
        })
    }

    /// A server may quote the key in its error; nobody else shall read it.
    fn without_key(&self, error: RunnerError) -> RunnerError {
        match &self.key {
            Some(key) if key.len() >= 6 && error.shown().contains(key.as_str()) => {
                RunnerError::new(error.shown().replace(key.as_str(), "***"))
            }
            _ => error,
        }
    }
}

impl Runner for OpenAiCompat {
    fn api(&self) -> &'static str {
        API
    }

    fn start(&self, prompt: Arc<Prompt>) -> BoxFuture<'static, Result<Steps, RunnerError>> {
        self.clone().answer(prompt).boxed()
    }
}

/// Why one attempt failed, and when another may be made.
struct Failed {
    error: RunnerError,
    wait: Option<Duration>,
    unknown_option: bool,
}

impl Failed {
    fn again(shown: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Failed {
        let error = RunnerError::new(shown).caused_by(cause);
        Failed {
            error,
            wait: Some(Duration::ZERO),
            unknown_option: false,
        }
    }
}

async fn refusal(response: Response) -> Failed {
    let status = response.status().as_u16();
    let after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|v| v.to_str().ok());
    let after = after
        .and_then(|v| v.trim().parse().ok())
        .map(Duration::from_secs);
    let again = matches!(status, 408 | 429) || status >= 500;
    let wait = again.then(|| after.unwrap_or(Duration::ZERO));
    let body = bounded_text(response).await;
    let unknown_option = matches!(status, 400 | 422) && body.contains("stream_options");
    Failed {
        error: RunnerError::new(http_error(status, &body)),
        wait,
        unknown_option,
    }
}

async fn bounded_text(mut response: Response) -> String {
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(bytes)) = response.chunk().await {
            body.extend_from_slice(&bytes);
            if body.len() >= limits::MODEL_ERROR_BYTES_MAX {
                body.truncate(limits::MODEL_ERROR_BYTES_MAX);
                break;
            }
        }
    };
    // A body that does not come leaves what there is.
    let _late = tokio::time::timeout(limits::MODEL_TAIL_TIMEOUT, read).await;
    String::from_utf8_lossy(&body).into_owned()
}

/// A response being read.
struct Reading {
    response: Response,
    parser: SseParser,
    whole: Option<Vec<u8>>,
    events: std::collections::VecDeque<String>,
    text_bytes: usize,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

impl Reading {
    fn of(response: Response) -> Reading {
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok());
        let is_json = kind.is_some_and(|kind| kind.starts_with("application/json"));
        Reading {
            response,
            parser: SseParser::default(),
            whole: is_json.then(Vec::new),
            events: std::collections::VecDeque::new(),
            text_bytes: 0,
            stop: None,
            usage: None,
        }
    }

    /// The next step; not called again after an end or an error.
    async fn step(&mut self) -> Result<Step, RunnerError> {
        loop {
            while let Some(event) = self.events.pop_front() {
                if event.trim() == "[DONE]" {
                    self.stop.get_or_insert(Stop::Done);
                    return self.end();
                }
                if let Some(step) = self.take(&event)? {
                    return Ok(step);
                }
            }
            if !self.more().await? {
                return self.end();
            }
        }
    }

    fn take(&mut self, event: &str) -> Result<Option<Step>, RunnerError> {
        if event.trim().is_empty() {
            return Ok(None);
        }
        let Chunk { text, stop, usage } = read_chunk(event).map_err(|error| match error {
            ChunkError::Said(text) => RunnerError::new(text),
            ChunkError::Unreadable(e) => broken("an event that can't be read").caused_by(e),
        })?;
        self.stop = stop.or(self.stop);
        self.usage = usage.or(self.usage);
        self.text_bytes += text.len();
        if self.text_bytes > limits::MODEL_ANSWER_BYTES_MAX {
            return Err(broken("more text than an answer may hold"));
        }
        Ok((!text.is_empty()).then_some(Step::Text(text)))
    }

    /// Reads more of the body; false at its end.
    async fn more(&mut self) -> Result<bool, RunnerError> {
        let chunk = if self.stop.is_some() {
            // The answer is complete; a server that neither counts nor hangs up is left alone.
            let tail = tokio::time::timeout(limits::MODEL_TAIL_TIMEOUT, self.response.chunk());
            tail.await.unwrap_or(Ok(None))
        } else {
            self.response.chunk().await
        };
        let too_long = |_: TooLong| broken("an event longer than any may be");
        match (chunk, &mut self.whole) {
            (Ok(Some(bytes)), Some(whole)) => {
                if whole.len() + bytes.len() > limits::MODEL_ANSWER_BYTES_MAX {
                    return Err(broken("more text than an answer may hold"));
                }
                whole.extend_from_slice(&bytes);
                Ok(true)
            }
            (Ok(Some(bytes)), None) => {
                self.events
                    .extend(self.parser.feed(&bytes).map_err(too_long)?);
                Ok(true)
            }
            (Ok(None), Some(whole)) if !whole.is_empty() => {
                let whole = std::mem::take(whole);
                self.events
                    .push_back(String::from_utf8_lossy(&whole).into_owned());
                Ok(true)
            }
            (Ok(None), _) => {
                let last = self.parser.finish().map_err(too_long)?;
                let more = last.is_some();
                self.events.extend(last);
                Ok(more)
            }
            (Err(_), _) if self.stop.is_some() => Ok(false),
            (Err(e), _) => Err(cut().caused_by(e)),
        }
    }

    fn end(&mut self) -> Result<Step, RunnerError> {
        match self.stop {
            Some(stop) => Ok(Step::End {
                stop,
                usage: self.usage,
            }),
            None => Err(cut()),
        }
    }
}

fn cut() -> RunnerError {
    RunnerError::new("the model provider ended the answer in the middle")
}

fn broken(what: &str) -> RunnerError {
    RunnerError::new(format!("the model provider sent {what}"))
}

fn request_body(model: &str, prompt: &Prompt, ask_usage: bool) -> Vec<u8> {
    let messages: Vec<Value> = prompt.lines.iter().map(message).collect();
    let mut body = json!({ "model": model, "messages": messages, "stream": true });
    if ask_usage {
        body["stream_options"] = json!({ "include_usage": true });
    }
    body.to_string().into_bytes()
}

fn message(line: &Line) -> Value {
    let role = match line.speaker {
        Speaker::System => "system",
        Speaker::User => "user",
        Speaker::Assistant => "assistant",
    };
    if line.images.is_empty() {
        return json!({ "role": role, "content": line.text });
    }
    let text = json!({ "type": "text", "text": line.text });
    let images = line.images.iter().map(|image| {
        let url = format!("data:{};base64,{}", image.mime_type, image.base64);
        json!({ "type": "image_url", "image_url": { "url": url } })
    });
    let content: Vec<Value> = std::iter::once(text).chain(images).collect();
    json!({ "role": role, "content": content })
}
