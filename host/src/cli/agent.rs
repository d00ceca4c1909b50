//! `agent --message`: one turn of the agent, its answer as it comes.

use std::borrow::Cow;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::args::AgentArgs;
use super::client::{read_answer, with_gateway};
use super::error::{CliError, CliResult, Kind};
use super::output::Screen;
use super::text;
use crate::clock::Clock;

/// How long the gateway lets a run take when nobody says otherwise.
const RUN_DEFAULT: Duration = Duration::from_secs(600);
/// What the client waits on top of the run's own limit, for the queue before it.
const QUEUE_GRACE: Duration = Duration::from_secs(30);

/// The final answer; only what is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Finished {
    result: RunResult,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RunResult {
    payloads: Vec<Part>,
    meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Part {
    text: Option<String>,
    media_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    aborted: bool,
    stop_reason: Option<String>,
}

/// Runs one turn; prints the text, or the whole final answer under `--json`.
///
/// # Errors
/// What the gateway says, and a run that was aborted or whose model failed.
pub fn run(args: &AgentArgs, screen: &Screen) -> CliResult<ExitCode> {
    let run_id = args
        .idempotency_key
        .clone()
        .unwrap_or_else(|| Clock::system().uuid());
    let params = params(args, &run_id);
    let access = args.connection.access(patience(args.timeout));
    let mut stream = Stream {
        run_id: &run_id,
        screen,
        shown: String::new(),
    };
    let payload = with_gateway(&access, async |client| {
        client
            .request_final("agent", &params, &mut |event, payload| {
                stream.event(event, payload)
            })
            .await
    });
    stream.end_line();
    let payload = payload?;
    let finished: Finished = read_answer("agent", &payload)?;
    let failure = failure(&finished.result.meta);
    if screen.json_wanted() {
        // One document on standard output: the answer tells of the failure itself.
        screen.raw_json(payload.get());
        let code = failure.map_or(0, |failure| failure.kind().exit_code());
        return Ok(ExitCode::from(code));
    }
    let answer = answer(&finished.result.payloads);
    if answer.trim() != stream.shown.trim() {
        screen.line(&answer);
    }
    failure.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// A run that ended without a real answer is a failure, though the gateway calls it done.
fn failure(meta: &Meta) -> Option<CliError> {
    if meta.aborted {
        let error = CliError::new(
            Kind::Gateway,
            "RUN_ABORTED",
            "the run was stopped before its end",
        );
        return Some(error.fix("give it longer with --timeout, or agents.defaults.timeoutSeconds"));
    }
    (meta.stop_reason.as_deref() == Some("error")).then(|| {
        CliError::new(
            Kind::Gateway,
            "MODEL_FAILED",
            "the model answered with an error",
        )
        .fix("check models.providers in openclaw.json and the gateway's log")
    })
}

fn params(args: &AgentArgs, run_id: &str) -> Value {
    let mut params = Map::new();
    params.insert("message".to_owned(), json!(args.message));
    params.insert("idempotencyKey".to_owned(), json!(run_id));
    if args.deliver {
        params.insert("deliver".to_owned(), json!(true));
    }
    if let Some(limit) = args.timeout {
        params.insert(
            "timeout".to_owned(),
            json!(limit.as_millis().div_ceil(1_000) as u64),
        );
    }
    // An agent alone means its main conversation; nothing at all means the default agent's.
    let session = args.session_key.clone();
    let session = session.or_else(|| args.agent.is_none().then(|| "main".to_owned()));
    let optional = [
        ("sessionKey", &session),
        ("agentId", &args.agent),
        ("thinking", &args.thinking),
        ("channel", &args.channel),
        ("to", &args.to),
        ("accountId", &args.account),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            params.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(params)
}

/// `--timeout 0` waits for ever.
fn patience(limit: Option<Duration>) -> Option<Duration> {
    match limit {
        Some(Duration::ZERO) => None,
        Some(limit) => Some(limit + QUEUE_GRACE),
        None => Some(RUN_DEFAULT + QUEUE_GRACE),
    }
}

fn answer(parts: &[Part]) -> String {
    let lines: Vec<String> = parts
        .iter()
        .flat_map(|part| {
            let media = part
                .media_url
                .as_ref()
                .map(|url| format!("media: {}", text::clean(url)));
            [part.text.as_deref().map(text::clean_lines), media]
        })
        .flatten()
        .collect();
    if lines.is_empty() {
        "(the agent has nothing to say)".to_owned()
    } else {
        lines.join("\n\n")
    }
}

/// Shows the answer while it grows, to a person at a terminal.
struct Stream<'a> {
    run_id: &'a str,
    screen: &'a Screen,
    shown: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentEvent<'a> {
    #[serde(borrow)]
    run_id: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    delta: String,
}

impl Stream<'_> {
    fn event(&mut self, event: &str, payload: &RawValue) {
        if event != "agent" || !self.screen.is_live() {
            return;
        }
        let Ok(event) = serde_json::from_str::<AgentEvent<'_>>(payload.get()) else {
            return;
        };
        if event.run_id != self.run_id || event.stream != "assistant" {
            return;
        }
        if let Ok(Delta { delta }) = serde_json::from_str(event.data.get()) {
            let delta = text::clean_lines(&delta);
            self.screen.write(&delta);
            self.shown.push_str(&delta);
        }
    }

    fn end_line(&self) {
        if !self.shown.is_empty() && !self.shown.ends_with('\n') {
            self.screen.write("\n");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    fn parsed(line: &[&str]) -> AgentArgs {
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            args: AgentArgs,
        }
        Only::try_parse_from([&["x", "-m", "hi"], line].concat())
            .unwrap()
            .args
    }

    #[test]
    fn the_main_conversation_is_meant_when_nothing_else_is_named() {
        let check = |line: &[&str], expected: Value| {
            let mut params = params(&parsed(line), "r");
            params.as_object_mut().unwrap().remove("message");
            params.as_object_mut().unwrap().remove("idempotencyKey");
            assert_eq!(params, expected);
        };
        check(&[], json!({"sessionKey": "main"}));
        check(&["--agent", "b"], json!({"agentId": "b"}));
        check(&["--session-key", "k"], json!({"sessionKey": "k"}));
        check(
            &["--thinking", "high"],
            json!({"sessionKey": "main", "thinking": "high"}),
        );
        check(
            &["--timeout", "1500ms"],
            json!({"sessionKey": "main", "timeout": 2}),
        );
        check(
            &["--deliver", "--channel", "telegram", "--to", "1"],
            json!({"sessionKey": "main", "deliver": true, "channel": "telegram", "to": "1"}),
        );
    }

    #[test]
    fn the_answer_has_every_part() {
        let finished: Finished = serde_json::from_str(
            r#"{"runId":"r","status":"ok","summary":"completed","result":{"payloads":[
                {"text":"one","mediaUrl":null},{"text":"two","mediaUrl":"http://x/y"}],
                "meta":{"aborted":false,"stopReason":"stop"}}}"#,
        )
        .unwrap();
        assert_eq!(
            answer(&finished.result.payloads),
            "one\n\ntwo\n\nmedia: http://x/y"
        );
        assert_eq!(answer(&[]), "(the agent has nothing to say)");
        assert!(failure(&finished.result.meta).is_none());
        let stopped = Meta {
            aborted: true,
            stop_reason: None,
        };
        assert_eq!(failure(&stopped).unwrap().kind().exit_code(), 1);
    }

    #[test]
    fn patience_follows_the_run() {
        assert_eq!(patience(Some(Duration::ZERO)), None);
        assert_eq!(
            patience(Some(Duration::from_secs(5))),
            Some(Duration::from_secs(35))
        );
        assert_eq!(patience(None), Some(Duration::from_secs(630)));
    }
}
