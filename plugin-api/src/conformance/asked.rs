//! Checks of what the host asks: operations, their answers, and what must not be answered.

use serde_json::{Value, json};

use super::ready::{Ready, all, body, open, receipt, refused, started};
use super::subject::{Account, Subject};
use super::{Setup, Trouble, Verdict};
use crate::manifest::{Manifest, parse_api};
use crate::message::{
    Edit, ErrorKind, HttpRequest, LoginRequest, Media, Op, OpResult, Poll, React,
};

/// The action a plugin may offer for its own conformance: it panics.
pub(super) const PANIC_ACTION: &str = "conformance.panic";

/// How many sends are under way at a time.
const SIDE_BY_SIDE: usize = 16;

/// The manifest, or a failure with all that is wrong.
pub(super) fn manifest_of<S: Subject>(subject: &S) -> Result<Manifest, Trouble> {
    let problems = |all: Vec<String>| Trouble::failed(all.join("; "));
    subject.manifest().map_err(problems)
}

pub(super) fn manifest<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let manifest = manifest_of(subject)?;
    let examples = manifest.config_schema.get("examples");
    let examples = examples.and_then(Value::as_array).cloned();
    for example in examples.into_iter().flatten() {
        let wrong = |all: Vec<String>| {
            Trouble::failed(format!(
                "the example {example} of configSchema breaks it: {}",
                all.join("; ")
            ))
        };
        subject.check_config(&example).map_err(wrong)?;
    }
    subject.check_config(&setup.config).map_err(|all| {
        Trouble::failed(format!(
            "the configuration of this test breaks configSchema: {}",
            all.join("; ")
        ))
    })
}

pub(super) async fn config_refused<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let manifest = manifest_of(subject)?;
    if manifest.config_schema.get("type") != Some(&json!("object")) {
        return Err(Trouble::skipped("configSchema does not say type: object"));
    }
    for wrong in [json!("conformance"), json!([1, 2])] {
        let ready = open(subject, setup, "config-refused")?;
        let answer = ready.start(wrong.clone(), "config-refused").await;
        let what = format!("a start with the configuration {wrong}");
        refused(answer, &what, &[ErrorKind::Config])?;
        ready.closed().await?;
    }
    Ok(())
}

pub(super) async fn ping<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let ready = started(subject, setup, "ping").await?;
    match ready.ask(Op::Ping).await {
        Ok(OpResult::Pong { api }) if parse_api(&api).is_some_and(|(major, _)| major == 1) => {}
        other => {
            return Err(Trouble::failed(format!(
                "a ping was answered with {other:?}, wanted a pong with api \"1.N\""
            )));
        }
    }
    ready.end().await
}

pub(super) async fn send<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let ready = started(subject, setup, "send").await?;
    let first = ready.send("conformance 1").await?;
    let second = ready.send("conformance 2").await?;
    if first.message_id == second.message_id {
        return Err(Trouble::failed(format!(
            "two messages have the same messageId {:?}",
            first.message_id
        )));
    }
    ready.end().await
}

pub(super) async fn side_by_side<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let ready = started(subject, setup, "side-by-side").await?;
    let asked: Vec<Vec<u8>> = (0..SIDE_BY_SIDE)
        .map(|n| body(&ready.message(&format!("side by side {n}"))))
        .chain([body(&Op::Ping)])
        .collect();
    let account = &ready.account;
    let work: Vec<_> = asked
        .iter()
        .map(|one| Box::pin(account.request(one, Media::new(), ready.patience)) as _)
        .collect();
    let mut answers = ready.while_acking(all(work)).await;
    let pong = answers.pop();
    if !matches!(pong, Some(Ok(OpResult::Pong { .. }))) {
        return Err(Trouble::failed(format!(
            "a ping between {SIDE_BY_SIDE} sends was answered with {pong:?}"
        )));
    }
    let mut ids = Vec::new();
    for answer in answers {
        ids.push(receipt(answer, &setup.to)?.message_id);
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.len() < SIDE_BY_SIDE {
        return Err(Trouble::failed(format!(
            "{SIDE_BY_SIDE} sends at a time have only {} different messageIds",
            ids.len()
        )));
    }
    ready.end().await
}

/// Every operation that needs an ability, with arguments that do no harm.
fn optional(to: &str, message_id: &str, manifest: &Manifest) -> Vec<Op> {
    let (chat, message_id) = (to.to_owned(), message_id.to_owned());
    let edit = Edit {
        chat: chat.clone(),
        message_id: message_id.clone(),
        text: "conformance edited".to_owned(),
        ..Edit::default()
    };
    let react = React {
        chat: chat.clone(),
        message_id: message_id.clone(),
        emoji: "👍".to_owned(),
        remove: false,
    };
    let poll = Poll {
        question: "conformance?".to_owned(),
        options: vec!["yes".to_owned(), "no".to_owned()],
        max_choices: 1,
        open_ms: None,
    };
    let typing = |on| Op::Typing {
        chat: chat.clone(),
        thread_id: None,
        on,
    };
    let path = manifest.http.first().cloned().unwrap_or_default();
    let mut ops = vec![
        Op::Edit(edit),
        Op::React(react),
        typing(true),
        typing(false),
        Op::MarkRead {
            chat: chat.clone(),
            message_id: message_id.clone(),
        },
        Op::Poll {
            to: chat.clone(),
            poll,
        },
        Op::Directory {
            query: "conformance".to_owned(),
        },
        Op::FetchMedia {
            remote_ref: "conformance:nothing".to_owned(),
        },
        Op::Http(HttpRequest {
            method: "GET".to_owned(),
            path,
            headers: Vec::new(),
        }),
        Op::Unsend { chat, message_id },
    ];
    let named = manifest.capabilities.iter();
    let actions = named.filter_map(|c| c.strip_prefix("actions:"));
    ops.extend(
        actions
            .chain(["conformance.unheard-of"])
            .filter(|name| *name != PANIC_ACTION)
            .map(|name| Op::Action {
                name: name.to_owned(),
                args: Value::Null,
            }),
    );
    ops
}

pub(super) async fn undeclared<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let manifest = manifest_of(subject)?;
    let ready = started(subject, setup, "undeclared").await?;
    let receipt = ready.send("conformance").await?;
    let mut ops = optional(&setup.to, &receipt.message_id, &manifest);
    ops.push(Op::Login(LoginRequest {
        method: "conformance.unheard-of".to_owned(),
        force: false,
    }));
    ops.push(Op::Logout);
    for op in ops {
        let Some(lacking) = manifest.lacks(&op) else {
            continue;
        };
        let what = format!("{lacking}, which the manifest does not declare,");
        // A surface that knows the operation may say that this argument of it makes no sense.
        let kinds: &[ErrorKind] = match op {
            Op::Login(_) | Op::Action { .. } => {
                &[ErrorKind::Unsupported, ErrorKind::InvalidRequest]
            }
            _ => &[ErrorKind::Unsupported],
        };
        refused(ready.ask(op).await, &what, kinds)?;
    }
    ready.end().await
}

pub(super) async fn declared<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let manifest = manifest_of(subject)?;
    let ready = started(subject, setup, "declared").await?;
    let receipt = ready.send("conformance").await?;
    let ops = optional(&setup.to, &receipt.message_id, &manifest);
    for op in ops.into_iter().filter(|op| manifest.lacks(op).is_none()) {
        let what = serde_json::to_string(&op).unwrap_or_default();
        match ready.ask(op).await {
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::Unsupported | ErrorKind::Panic | ErrorKind::Timeout
                ) =>
            {
                return Err(Trouble::failed(format!(
                    "{what} is declared in the manifest and was answered with {error}"
                )));
            }
            // Whether the provider takes it is between the two of them.
            Ok(_) | Err(_) => {}
        }
    }
    ready.end().await
}

pub(super) async fn newer_gateway<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let ready = started(subject, setup, "newer-gateway").await?;
    let unknown = br#"{"op":"teleport","to":"moon","by":{"ship":[1,2,3]}}"#;
    let what = "an operation of a newer gateway";
    refused(
        ready.ask_body(unknown).await,
        what,
        &[ErrorKind::Unsupported],
    )?;
    let mut more = json!(ready.message("conformance"));
    for field in ["colour", "urgency"] {
        more[field] = json!({ "a": [1, null, "x"] });
    }
    more["format"] = json!("hologram");
    let answer = ready.ask_body(more.to_string().as_bytes()).await;
    receipt(answer, &setup.to).map_err(|trouble| trouble.after("adding fields it cannot know"))?;
    for garbage in [&b"{"[..], b"", b"\xff\xfe", b"[]", br#"{"op":7}"#] {
        let what = format!("the body {:?}", String::from_utf8_lossy(garbage));
        let kinds = [ErrorKind::InvalidRequest, ErrorKind::Unsupported];
        refused(ready.ask_body(garbage).await, &what, &kinds)?;
    }
    ready.still_works("bodies that make no sense").await?;
    ready.end().await
}

/// Polls an operation once and drops it.
async fn given_up<A: Account>(ready: &Ready<'_, A>, op: &Op) {
    let asked = body(op);
    let work = ready.account.request(&asked, Media::new(), ready.patience);
    let moment = std::time::Duration::from_millis(1);
    // Most are dropped before they are done; one that was quicker is as good.
    tokio::time::timeout(moment, work).await.ok();
}

pub(super) async fn cancel<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let ready = started(subject, setup, "cancel").await?;
    for n in 0..8 {
        given_up(&ready, &ready.message(&format!("given up {n}"))).await;
    }
    ready.settle().await;
    ready
        .still_works("8 operations that were cancelled")
        .await?;
    ready.end().await
}

pub(super) async fn panic<S: Subject>(subject: &S, setup: &Setup) -> Verdict {
    let manifest = manifest_of(subject)?;
    if !manifest.has(&format!("actions:{PANIC_ACTION}")) {
        return Err(Trouble::skipped(format!(
            "the plugin offers no action {PANIC_ACTION:?} to be asked for"
        )));
    }
    let ready = started(subject, setup, "panic").await?;
    let op = Op::Action {
        name: PANIC_ACTION.to_owned(),
        args: Value::Null,
    };
    refused(
        ready.ask(op).await,
        "the action that panics",
        &[ErrorKind::Panic],
    )?;
    ready.still_works("a panic").await?;
    ready.say_stop().await?;
    ready.closed().await
}
