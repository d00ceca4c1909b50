//! One streamed answer over HTTP: the request, its retries, the reading of the stream.
//!
//! Shared by the runners that speak HTTP; what differs is their [`Dialect`] and the body they
//! send. Busy and failing servers are asked again, but only until the first step came; after that
//! a cut is an error and the text so far stands. Dropping the future or the stream closes the
//! HTTP stream.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::fmt::rfc2822;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::dialect::{Dialect, EventError, Heard, http_error};
use super::sse::{SseParser, TooLong};
use crate::agent::runner::{RunnerError, Step, Steps, Stop, Usage};
use crate::clock::{Clock, timestamp};
use crate::limits;

/// Where a model is asked.
#[derive(Clone)]
pub struct Endpoint {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    key: Option<String>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({})", self.url)
    }
}

/// A key as the value of a header that is never logged.
///
/// # Errors
/// [`RunnerError`] when it can't stand in a request.
pub fn key_header(text: &str) -> Result<HeaderValue, RunnerError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| RunnerError::new("the provider's apiKey holds odd characters"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Endpoint {
    /// The endpoint at `url`. `key` stands in `headers` already; it is kept to be blotted out of
    /// what the server says.
    pub fn new(
        client: reqwest::Client,
        url: String,
        mut headers: HeaderMap,
        key: Option<&str>,
    ) -> Endpoint {
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Endpoint {
            client,
            url,
            headers,
            key: key.map(str::to_owned),
        }
    }

    /// Asks until an answer begins or there is no hope. `body` makes the request; it is given the
    /// `options` that the server has not refused yet by name.
    ///
    /// # Errors
    /// [`RunnerError`] when no answer can be begun.
    pub async fn ask<D: Dialect>(
        &self,
        mut options: Vec<&'static str>,
        body: impl Fn(&[&'static str]) -> Vec<u8> + Send + Sync,
        dialect: impl Fn() -> D + Send + Sync,
    ) -> Result<Steps, RunnerError> {
        let mut attempt = 1;
        loop {
            let failed = match self.attempt(body(&options), dialect()).await {
                Ok(steps) => return Ok(steps),
                Err(failed) => failed,
            };
            let known = options.len();
            options.retain(|option| !failed.names.contains(option));
            if options.len() < known {
                tracing::warn!(url = self.url, error = %failed.error, "asked again without it");
                continue;
            }
            let wait = failed.wait.filter(|w| *w <= limits::MODEL_RETRY_WAIT_MAX);
            let (Some(wait), true) = (wait, attempt < limits::MODEL_ATTEMPTS_MAX) else {
                return Err(self.without_key(failed.error));
            };
            let wait = wait.max(limits::MODEL_RETRY_WAIT * 2u32.pow(attempt - 1));
            let error = self.without_key(failed.error);
            tracing::warn!(url = self.url, attempt, ?wait, %error, "model asked again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// One request, up to its first step.
    async fn attempt(&self, body: Vec<u8>, dialect: impl Dialect) -> Result<Steps, Failed> {
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
        let mut reading = Reading::of(response, dialect);
        let first = reading.step().await.map_err(|error| Failed {
            wait: Some(Duration::ZERO),
            names: String::new(),
            error,
        })?;
        let rest = stream::unfold(Some(reading), |reading| async {
            let mut reading = reading?;
            let step = reading.step().await;
            let last = matches!(step, Err(_) | Ok(Step::End { .. }));
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

/// Why one attempt failed, and when another may be made.
struct Failed {
    error: RunnerError,
    wait: Option<Duration>,
    /// What the server said about a request it did not like: it may name options it doesn't know.
    names: String,
}

impl Failed {
    fn again(shown: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Failed {
        let error = RunnerError::new(shown).caused_by(cause);
        Failed {
            error,
            wait: Some(Duration::ZERO),
            names: String::new(),
        }
    }
}

async fn refusal(response: Response) -> Failed {
    let status = response.status().as_u16();
    let after = response.headers().get(RETRY_AFTER);
    let said_at = response.headers().get(DATE);
    let said_at = said_at.and_then(|v| v.to_str().ok());
    let after = after.and_then(|v| v.to_str().ok());
    let after = after.and_then(|text| retry_after(text, said_at));
    let again = matches!(status, 408 | 429) || status >= 500;
    let wait = again.then(|| after.unwrap_or(Duration::ZERO));
    let body = bounded_text(response).await;
    let names = if matches!(status, 400 | 422) {
        body.clone()
    } else {
        String::new()
    };
    Failed {
        error: RunnerError::new(http_error(status, &body)),
        wait,
        names,
    }
}

/// `Retry-After` in seconds, or as a date; fractions are rounded up. A date counts from the
/// server's own clock as far as it told it, for ours may differ.
fn retry_after(text: &str, said_at: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.ceil()).ok();
    }
    let date = |text: &str| {
        rfc2822::parse(text.trim())
            .ok()
            .map(|date| date.timestamp())
    };
    let now = said_at.and_then(date);
    let now = now.unwrap_or_else(|| timestamp(Clock::system().now_ms()));
    // A moment that is over is now.
    let wait = date(text)?.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
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
struct Reading<D> {
    response: Response,
    dialect: D,
    parser: SseParser,
    whole: Option<Vec<u8>>,
    events: VecDeque<String>,
    steps: VecDeque<Step>,
    bytes: usize,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

impl<D: Dialect> Reading<D> {
    fn of(response: Response, dialect: D) -> Reading<D> {
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|v| v.to_str().ok());
        let is_json = kind.is_some_and(|kind| kind.starts_with("application/json"));
        Reading {
            response,
            dialect,
            parser: SseParser::default(),
            whole: is_json.then(Vec::new),
            events: VecDeque::new(),
            steps: VecDeque::new(),
            bytes: 0,
            stop: None,
            usage: None,
        }
    }

    /// The next step; not called again after an end or an error.
    async fn step(&mut self) -> Result<Step, RunnerError> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Ok(step);
            }
            if let Some(event) = self.events.pop_front() {
                if self.take(&event)? {
                    self.end()?;
                }
            } else if !self.more().await? {
                self.end()?;
            }
        }
    }

    /// Reads one event; true when nothing follows it.
    fn take(&mut self, event: &str) -> Result<bool, RunnerError> {
        if event.trim().is_empty() {
            return Ok(false);
        }
        let heard = self.dialect.read(event).map_err(|error| match error {
            EventError::Said(text) => RunnerError::new(text),
            EventError::Unreadable(e) => broken("an event that can't be read").caused_by(e),
            EventError::TooMuch => broken("more text than an answer may hold"),
        })?;
        let mut over = false;
        for heard in heard {
            match heard {
                Heard::Text(text) if text.is_empty() => {}
                Heard::Thinking(text) if text.is_empty() => {}
                Heard::Text(text) => {
                    self.count(text.len())?;
                    self.steps.push_back(Step::Text(text));
                }
                Heard::Thinking(text) => {
                    self.count(text.len())?;
                    self.steps.push_back(Step::Thinking(text));
                }
                Heard::Thought(thought) => self.steps.push_back(Step::Thought(thought)),
                Heard::Stop(stop) => self.stop = Some(stop),
                Heard::Usage(usage) => self.usage = Some(usage),
                Heard::Over => {
                    // Some servers never say why they ended.
                    self.stop.get_or_insert(Stop::Done);
                    over = true;
                }
            }
        }
        Ok(over)
    }

    fn count(&mut self, bytes: usize) -> Result<(), RunnerError> {
        self.bytes += bytes;
        if self.bytes > limits::MODEL_ANSWER_BYTES_MAX {
            return Err(broken("more text than an answer may hold"));
        }
        Ok(())
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
                let events = self.parser.feed(&bytes).map_err(too_long)?;
                self.events.extend(events);
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

    /// The last steps. A stream that is over without having said why was cut.
    fn end(&mut self) -> Result<(), RunnerError> {
        let (thoughts, mut calls) = self.dialect.finish();
        let stop = self.stop.ok_or_else(cut)?;
        if calls.len() > limits::TOOL_CALLS_MAX {
            tracing::warn!(calls = calls.len(), "tool calls beyond the bound left out");
            calls.truncate(limits::TOOL_CALLS_MAX);
        }
        // An answer that was cut may end in the middle of a call's arguments.
        let stop = match stop {
            Stop::Length => {
                calls.clear();
                Stop::Length
            }
            _ if calls.is_empty() => Stop::Done,
            _ => Stop::Tools,
        };
        self.steps.extend(thoughts.into_iter().map(Step::Thought));
        self.steps.extend(calls.into_iter().map(Step::Call));
        let usage = self.usage;
        self.steps.push_back(Step::End { stop, usage });
        Ok(())
    }
}

fn cut() -> RunnerError {
    RunnerError::new("the model provider ended the answer in the middle")
}

fn broken(what: &str) -> RunnerError {
    RunnerError::new(format!("the model provider sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_to_wait_are_read() {
        let at = Some("Wed, 21 Oct 2026 07:28:00 GMT");
        for (text, seconds) in [
            ("3", 3),
            (" 0 ", 0),
            ("1.2", 2),
            ("Wed, 21 Oct 2026 07:28:20 GMT", 20),
            ("Wed, 21 Oct 2026 07:27:00 GMT", 0),
        ] {
            let wait = Some(Duration::from_secs(seconds));
            assert_eq!(retry_after(text, at), wait, "{text}");
        }
        for text in ["-1", "soon", "", "NaN", "Wed, 99 Oct 2026 07:28:00 GMT"] {
            assert_eq!(retry_after(text, at), None, "{text}");
        }
        // Without the server's clock ours counts.
        let past = retry_after("Wed, 21 Oct 2015 07:28:00 GMT", Some("no date"));
        assert_eq!(past, Some(Duration::ZERO));
    }
}
