//! `system` and `wake`: what the gateway's agent is told, its heartbeats, and who is here.

use gateway_schemas::presence::PresenceEntry;
use gateway_schemas::system::{Heartbeat, Woken};
use serde_json::{Value, json};

use super::args::{HeartbeatCommand, Reach, SystemCommand, WakeArgs};
use super::client::{read_answer, with_gateway};
use super::error::{CliError, CliResult};
use super::output::{Paint, Screen};
use super::table::{Cell, Column, Table};
use super::when::{ago, duration};
use crate::clock::Clock;

type Payload = Box<serde_json::value::RawValue>;

/// Asks and shows.
///
/// # Errors
/// What the gateway says, or what stood in the way.
pub fn run(command: &SystemCommand, screen: &Screen) -> CliResult<()> {
    match command {
        SystemCommand::Event(args) => wake(args, screen),
        SystemCommand::Presence(args) => presence(&args.reach, screen),
        SystemCommand::Heartbeat(HeartbeatCommand::Last(args)) => last(&args.reach, screen),
        SystemCommand::Heartbeat(HeartbeatCommand::Enable(args)) => set(&args.reach, true, screen),
        SystemCommand::Heartbeat(HeartbeatCommand::Disable(args)) => {
            set(&args.reach, false, screen)
        }
    }
}

fn ask(method: &str, params: &Value, reach: &Reach) -> CliResult<Payload> {
    with_gateway(&reach.access(), async |client| {
        client.request(method, params).await
    })
}

/// `system event` and `wake`.
///
/// # Errors
/// As [`run`]; a text without words.
pub fn wake(args: &WakeArgs, screen: &Screen) -> CliResult<()> {
    if args.text.trim().is_empty() {
        return Err(CliError::usage("--text is empty").fix("say what the agent is told"));
    }
    let params = json!({ "text": args.text, "mode": args.mode });
    let payload = ask("wake", &params, &args.reach)?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let woken: Woken = read_answer("wake", &payload)?;
    screen.line(match (woken.ok, args.mode.as_str()) {
        (false, _) => "nothing was said".to_owned(),
        (true, "now") => format!("{}: the agent looks now", screen.paint(Paint::Good, "told")),
        (true, _) => format!(
            "{}: it is said next time",
            screen.paint(Paint::Good, "told")
        ),
    });
    Ok(())
}

fn set(reach: &Reach, enabled: bool, screen: &Screen) -> CliResult<()> {
    let payload = ask("set-heartbeats", &json!({ "enabled": enabled }), reach)?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
    } else {
        screen.line(match enabled {
            true => "heartbeats are on",
            false => "heartbeats are off until the gateway ends",
        });
    }
    Ok(())
}

fn last(reach: &Reach, screen: &Screen) -> CliResult<()> {
    let payload = ask("last-heartbeat", &json!({}), reach)?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let last: Option<Heartbeat> = read_answer("last-heartbeat", &payload)?;
    let Some(last) = last else {
        screen.line("no heartbeat yet");
        return Ok(());
    };
    let status = json!(last.status).as_str().unwrap_or_default().to_owned();
    let mut line = format!("{status} {}", ago(Some(last.ts), Clock::system().now_ms()));
    if let Some(reason) = &last.reason {
        line.push_str(&format!(" ({reason})"));
    }
    if let Some(took) = last.duration_ms {
        line.push_str(&format!(", took {}", duration(took)));
    }
    screen.line(line);
    if let Some(preview) = &last.preview {
        screen.line(super::text::clean(preview));
    }
    Ok(())
}

fn presence(reach: &Reach, screen: &Screen) -> CliResult<()> {
    let payload = ask("system-presence", &json!({}), reach)?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let entries: Vec<PresenceEntry> = read_answer("system-presence", &payload)?;
    let mut table = Table::new([
        Column::new("Host"),
        Column::new("Mode").solid(),
        Column::new("Version").solid().optional(1),
        Column::new("Seen").solid(),
        Column::new("Says").optional(2),
    ]);
    let now_ms = Clock::system().now_ms();
    for entry in &entries {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
        let cells: [Cell; 5] = [
            text(&entry.host).into(),
            text(&entry.mode).into(),
            text(&entry.version).into(),
            ago(Some(entry.ts), now_ms).into(),
            text(&entry.text).into(),
        ];
        table.row(cells);
    }
    screen.write(&table.render(screen));
    Ok(())
}
