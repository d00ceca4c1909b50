//! `status`: one page about the gateway. What this device may not read is said, not guessed.

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::args::StatusArgs;
use super::channels::ChannelsStatus;
use super::client::{Client, Hello, Target, read_answer, with_gateway};
use super::devices::DeviceList;
use super::error::{CliError, CliResult, Kind};
use super::output::{Paint, Screen};
use super::table::{Column, Table, pad};
use super::when::{ago, duration};
use crate::clock::Clock;

/// Methods asked one after the other on one connection.
const PARTS: [&str; 3] = ["status", "channels.status", "device.pair.list"];

/// The JSON form of the whole page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    ok: bool,
    gateway: Reached<'a>,
    status: Option<&'a RawValue>,
    channels: Option<&'a RawValue>,
    devices: Option<&'a RawValue>,
    unreadable: Vec<Unreadable>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reached<'a> {
    url: &'a str,
    url_source: &'a str,
    version: &'a str,
    uptime_ms: u64,
    auth_mode: &'a str,
    config_path: &'a str,
    state_dir: &'a str,
    connected_clients: usize,
    methods: &'a [String],
}

#[derive(Serialize)]
struct Unreadable {
    method: &'static str,
    code: String,
    message: String,
}

/// The answer to `status`; only what is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    heartbeat: Heartbeats,
    sessions: Sessions,
    queued_system_events: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Heartbeats {
    default_agent_id: String,
    agents: Vec<Heartbeat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Heartbeat {
    agent_id: String,
    enabled: bool,
    every: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sessions {
    count: u64,
    recent: Vec<Session>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Session {
    key: String,
    kind: Option<String>,
    updated_at: Option<u64>,
    model: Option<String>,
    total_tokens: Option<u64>,
    percent_used: Option<u64>,
}

/// Everything that was learned on one connection.
struct Learned {
    target: Target,
    hello: Hello,
    parts: Vec<Result<Box<RawValue>, CliError>>,
}

/// Asks and shows.
///
/// # Errors
/// Only when the gateway cannot be reached; what it refuses to tell is part of the page.
pub fn run(args: &StatusArgs, screen: &Screen) -> CliResult<()> {
    let learned = with_gateway(&args.reach.access(), learn)?;
    if screen.json_wanted() {
        learned.print_json(screen);
        return Ok(());
    }
    learned.print(args.all, screen, Clock::system().now_ms())
}

async fn learn(client: &mut Client) -> CliResult<Learned> {
    let mut parts = Vec::new();
    for method in PARTS {
        match client.request(method, &json!({})).await {
            Err(error) if error.kind() != Kind::Gateway => return Err(error),
            part => parts.push(part),
        }
    }
    Ok(Learned {
        target: client.target.clone(),
        hello: client.hello.clone(),
        parts,
    })
}

impl Learned {
    fn raw(&self, part: usize) -> Option<&RawValue> {
        self.parts[part].as_ref().ok().map(AsRef::as_ref)
    }

    fn print_json(&self, screen: &Screen) {
        let snapshot = &self.hello.snapshot;
        let unreadable = PARTS.iter().zip(&self.parts).filter_map(|(method, part)| {
            let error = part.as_ref().err()?;
            let (code, message) = (error.code().to_owned(), error.message().to_owned());
            Some(Unreadable {
                method,
                code,
                message,
            })
        });
        screen.value_json(&Page {
            ok: true,
            gateway: Reached {
                url: &self.target.url,
                url_source: &self.target.source_text,
                version: &self.hello.server.version,
                uptime_ms: snapshot.uptime_ms,
                auth_mode: &snapshot.auth_mode,
                config_path: &snapshot.config_path,
                state_dir: &snapshot.state_dir,
                connected_clients: snapshot.presence.len(),
                methods: &self.hello.features.methods,
            },
            status: self.raw(0),
            channels: self.raw(1),
            devices: self.raw(2),
            unreadable: unreadable.collect(),
        });
    }

    fn print(&self, all: bool, screen: &Screen, now_ms: u64) -> CliResult<()> {
        let mut facts = self.facts();
        let status: Option<Status> = self
            .raw(0)
            .map(|raw| read_answer(PARTS[0], raw))
            .transpose()?;
        let devices: Option<DeviceList> = self
            .raw(2)
            .map(|raw| read_answer(PARTS[2], raw))
            .transpose()?;
        facts.extend(status.iter().flat_map(|status| status.facts(now_ms)));
        facts.extend(devices.iter().map(|list| ("Devices", devices_line(list))));
        for (method, part) in PARTS.iter().zip(&self.parts) {
            if let Err(error) = part {
                facts.push(("Hidden", format!("{method}: {}", error.message())));
            }
        }
        for (label, value) in facts {
            let label = screen.paint(Paint::Strong, &pad(label, 9));
            screen.line(format!("{label} {}", super::text::clean(&value)));
        }
        if let Some(raw) = self.raw(1) {
            let channels: ChannelsStatus = read_answer(PARTS[1], raw)?;
            screen.write(&format!("\n{}", channels.table().show(screen, now_ms)));
        }
        if all {
            let sessions = status
                .map(|status| status.sessions.table(now_ms))
                .unwrap_or_default();
            screen.write(&sessions.map_or(String::new(), |t| format!("\n{}", t.render(screen))));
            screen.line(format!(
                "\nMethods   {}",
                self.hello.features.methods.join(" ")
            ));
        }
        Ok(())
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let snapshot = &self.hello.snapshot;
        let (url, from) = (&self.target.url, &self.target.source_text);
        let (version, up) = (&self.hello.server.version, duration(snapshot.uptime_ms));
        vec![
            (
                "Gateway",
                format!("reachable · version {version} · up {up}"),
            ),
            ("URL", format!("{url} ({from})")),
            ("Auth", snapshot.auth_mode.clone()),
            ("Config", snapshot.config_path.clone()),
            ("State", snapshot.state_dir.clone()),
            ("Present", snapshot.presence.len().to_string()),
        ]
    }
}

fn devices_line(list: &DeviceList) -> String {
    let paired = format!("{} paired", list.paired.len());
    match list.pending.len() {
        0 => paired,
        waiting => format!("{paired}, {waiting} waiting for approval: openclaw devices list"),
    }
}

impl Status {
    fn facts(&self, now_ms: u64) -> Vec<(&'static str, String)> {
        let agent = |beat: &Heartbeat| {
            let default = self.heartbeat.default_agent_id == beat.agent_id;
            let default = if default { " (default)" } else { "" };
            let every = beat.every.as_deref().filter(|_| beat.enabled);
            let every = every.map_or("off".to_owned(), |every| format!("every {every}"));
            (
                "Agent",
                format!("{}{default} · heartbeat {every}", beat.agent_id),
            )
        };
        let mut facts: Vec<_> = self.heartbeat.agents.iter().map(agent).collect();
        let last = self.sessions.recent.first().map(|session| {
            format!(
                " · last {}, {}",
                session.key,
                ago(session.updated_at, now_ms)
            )
        });
        let count = self.sessions.count;
        facts.push(("Sessions", format!("{count}{}", last.unwrap_or_default())));
        if !self.queued_system_events.is_empty() {
            facts.push((
                "Queued",
                format!("{} system events", self.queued_system_events.len()),
            ));
        }
        facts
    }
}

impl Sessions {
    fn table(&self, now_ms: u64) -> Option<Table> {
        let mut table = Table::new([
            Column::id("Session"),
            Column::new("Updated").solid(),
            Column::new("Model"),
            Column::new("Tokens").solid().optional(1),
            Column::new("Kind").optional(2),
        ]);
        for session in &self.recent {
            let used = session
                .percent_used
                .map(|p| format!(" ({p}%)"))
                .unwrap_or_default();
            let tokens = session.total_tokens.map(|tokens| format!("{tokens}{used}"));
            table.row([
                session.key.as_str().into(),
                ago(session.updated_at, now_ms).into(),
                session.model.as_deref().unwrap_or("").into(),
                tokens.unwrap_or_default().into(),
                session.kind.as_deref().unwrap_or("").into(),
            ]);
        }
        (!table.is_empty()).then_some(table)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_recorded_answer_is_summed_up() {
        let status: Status = serde_json::from_str(
            r#"{"runtimeVersion":"1","heartbeat":{"defaultAgentId":"main","agents":[
            {"agentId":"main","enabled":true,"every":"30m","everyMs":1800000},
            {"agentId":"b","enabled":false,"every":"disabled","everyMs":null}]},
            "channelSummary":[],"queuedSystemEvents":[],"sessions":{"paths":[],"count":2,
            "defaults":{"model":null,"contextTokens":null},"recent":[{"agentId":"main",
            "key":"agent:main:main","kind":"direct","updatedAt":940000,"age":1,
            "totalTokens":null,"percentUsed":null,"model":"echo-1","flags":[]}],"byAgent":[]}}"#,
        )
        .unwrap();
        let facts: Vec<_> = status
            .facts(1_000_000)
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(
            facts,
            [
                "main (default) · heartbeat every 30m",
                "b · heartbeat off",
                "2 · last agent:main:main, 1m ago"
            ]
        );
        let table = status
            .sessions
            .table(1_000_000)
            .unwrap()
            .render(&Screen::plain(None));
        assert!(
            table.contains("│ agent:main:main │ 1m ago  │ echo-1 │"),
            "{table}"
        );
    }
}
