//! `sessions …`: the conversations the agent remembers; looked at, exported, begun anew, forgotten.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{SessionsCommand, SessionsExportArgs, SessionsListArgs, SessionsPreviewArgs};
use super::client::{Access, read_answer, with_gateway};
use super::error::{CliError, CliResult, Kind};
use super::output::{Paint, Screen};
use super::table::{Cell, Column, Table};
use super::when::ago;
use crate::clock::Clock;

const LIST: &str = "sessions.list";
const PREVIEW: &str = "sessions.preview";
const EXPORT: &str = "sessions.export";

/// Runs one of the commands.
///
/// # Errors
/// What the gateway says, or what stood in the way.
pub fn run(command: &SessionsCommand, screen: &Screen) -> CliResult<()> {
    let access = command.reach().0.own_access();
    match command {
        SessionsCommand::List(args) => list(args, &access, screen),
        SessionsCommand::Preview(args) => preview(args, &access, screen),
        SessionsCommand::Export(args) => export(args, &access, screen),
        SessionsCommand::Reset(args) => {
            let params = json!({"key": args.key});
            simple("sessions.reset", &params, &access, screen, |answer| {
                let session = &answer["entry"]["sessionId"];
                format!(
                    "{} begins anew as {}",
                    shown(&answer["key"]),
                    shown(session)
                )
            })
        }
        SessionsCommand::Delete(args) => {
            let params =
                json!({"key": args.session.key, "deleteTranscript": !args.keep_transcript});
            simple("sessions.delete", &params, &access, screen, |answer| {
                let key = shown(&answer["key"]);
                match (&answer["deleted"], answer["archived"].get(0)) {
                    (Value::Bool(true), Some(file)) => {
                        format!("forgot {key}; its transcript is kept in {}", shown(file))
                    }
                    (Value::Bool(true), None) => format!("forgot {key}"),
                    _ => format!("there is no session {key}"),
                }
            })
        }
        SessionsCommand::Compact(args) => {
            let params = json!({"key": args.session.key, "maxLines": args.keep});
            simple("sessions.compact", &params, &access, screen, |answer| {
                let key = shown(&answer["key"]);
                match (&answer["archived"], &answer["kept"]) {
                    (Value::String(file), kept) => {
                        format!("{key} has {kept} messages now; the whole is kept in {file}")
                    }
                    (_, Value::Number(kept)) => format!("{key} is short enough: {kept} messages"),
                    _ => format!("{key} has no messages"),
                }
            })
        }
    }
}

fn shown(value: &Value) -> &str {
    value.as_str().unwrap_or("–")
}

fn simple(
    method: &str,
    params: &Value,
    access: &Access,
    screen: &Screen,
    done: impl FnOnce(&Value) -> String,
) -> CliResult<()> {
    let payload = with_gateway(access, async |client| client.request(method, params).await)?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let answer: Value = read_answer(method, &payload)?;
    screen.line(screen.paint(Paint::Good, &done(&answer)));
    Ok(())
}

/// The answer to `sessions.list`; only what is shown.
#[derive(Debug, Deserialize)]
struct List {
    sessions: Vec<Row>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Row {
    key: String,
    kind: String,
    display_name: Option<String>,
    updated_at: Option<u64>,
    model: Option<String>,
    total_tokens: Option<u64>,
    session_id: Option<String>,
}

fn list(args: &SessionsListArgs, access: &Access, screen: &Screen) -> CliResult<()> {
    let mut params = json!({"includeGlobal": true});
    for (name, value) in [
        ("limit", args.limit.map(Value::from)),
        ("activeMinutes", args.active.map(Value::from)),
        ("search", args.search.clone().map(Value::from)),
        ("agentId", args.agent.clone().map(Value::from)),
    ] {
        if let Some(value) = value {
            params[name] = value;
        }
    }
    let payload = with_gateway(access, async |client| client.request(LIST, &params).await)?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let list: List = read_answer(LIST, &payload)?;
    screen.write(&table(&list.sessions, screen, Clock::system().now_ms()));
    Ok(())
}

fn table(rows: &[Row], screen: &Screen, now_ms: u64) -> String {
    if rows.is_empty() {
        return "no session\n".to_owned();
    }
    let mut table = Table::new([
        Column::id("key"),
        Column::new("kind").optional(3),
        Column::new("name").optional(1),
        Column::new("last used").solid(),
        Column::new("context").optional(2).solid(),
        Column::new("model").optional(4),
        Column::id("session id").optional(5),
    ]);
    for row in rows {
        let tokens = row.total_tokens.filter(|tokens| *tokens > 0);
        table.row([
            Cell::from(&row.key),
            Cell::from(&row.kind),
            Cell::from(row.display_name.as_deref().unwrap_or("")),
            Cell::from(ago(row.updated_at, now_ms)),
            Cell::from(tokens.map_or("–".to_owned(), |tokens| tokens.to_string())),
            Cell::from(row.model.as_deref().unwrap_or("–")),
            Cell::from(row.session_id.as_deref().unwrap_or("–")),
        ]);
    }
    table.render(screen)
}

/// The answer to `sessions.preview`; only what is shown.
#[derive(Debug, Deserialize)]
struct Previews {
    previews: Vec<Preview>,
}

#[derive(Debug, Deserialize)]
struct Preview {
    key: String,
    status: String,
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    role: String,
    text: String,
}

fn preview(args: &SessionsPreviewArgs, access: &Access, screen: &Screen) -> CliResult<()> {
    let mut params = json!({"keys": args.keys});
    if let Some(limit) = args.limit {
        params["limit"] = limit.into();
    }
    let payload = with_gateway(access, async |client| {
        client.request(PREVIEW, &params).await
    })?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let found: Previews = read_answer(PREVIEW, &payload)?;
    for preview in &found.previews {
        screen.line(screen.paint(Paint::Strong, &super::text::clean(&preview.key)));
        if preview.items.is_empty() {
            let status = format!("  {}", preview.status);
            screen.line(screen.paint(Paint::Faint, &status));
        }
        for item in &preview.items {
            let role = screen.paint(Paint::Faint, &item.role);
            screen.line(format!("  {role}  {}", super::text::clean(&item.text)));
        }
    }
    Ok(())
}

/// One page of `sessions.export`.
#[derive(Debug, Deserialize)]
struct Page {
    lines: Vec<Value>,
    next: Option<u64>,
    parent: Option<String>,
}

/// Page by page, so that a long transcript is never in memory at once.
fn export(args: &SessionsExportArgs, access: &Access, screen: &Screen) -> CliResult<()> {
    let mut file = args.output.as_deref().map(new_file).transpose()?;
    let count = with_gateway(access, async |client| {
        let mut params = json!({"key": args.key});
        let mut count = 0_u64;
        loop {
            let page: Page = client.read(EXPORT, &params).await?;
            for line in &page.lines {
                count += u64::from(line["type"] == "message");
                let line = format!("{line}\n");
                match (&mut file, args.output.as_deref()) {
                    (Some(file), Some(path)) => file
                        .write_all(line.as_bytes())
                        .map_err(|e| unwritable(path, &e))?,
                    _ => screen.write(&line),
                }
            }
            match (page.next, page.parent) {
                (Some(next), Some(parent)) => {
                    params = json!({"key": args.key, "from": next, "parent": parent});
                }
                _ => return Ok(count),
            }
        }
    })?;
    let Some((file, path)) = file.zip(args.output.as_deref()) else {
        return Ok(());
    };
    file.sync_all().map_err(|e| unwritable(path, &e))?;
    if screen.json_wanted() {
        screen.value_json(&json!({"ok": true, "file": path, "messages": count}));
    } else {
        let done = format!("wrote {count} messages to {}", path.display());
        screen.line(screen.paint(Paint::Good, &done));
    }
    Ok(())
}

/// A file that nobody else may read, and that was not there before.
fn new_file(path: &Path) -> CliResult<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|e| unwritable(path, &e))
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    let text = format!("can't write {}: {error}", path.display());
    let error_is_old = error.kind() == std::io::ErrorKind::AlreadyExists;
    let fix = if error_is_old {
        "name a file that does not exist yet"
    } else {
        "name another file with --output"
    };
    CliError::new(Kind::Gateway, "FILE_NOT_WRITTEN", text).fix(fix)
}
