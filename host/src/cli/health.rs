//! `health`: is the gateway well? Channels, agents and sessions at a glance.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::args::HealthArgs;
use super::channels::{Account, Accounts};
use super::client::{read_answer, with_gateway};
use super::error::CliResult;
use super::output::{Paint, Screen};
use super::when::duration;
use crate::clock::Clock;

/// The answer to `health`; only what is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Health {
    channels: BTreeMap<String, Channel>,
    channel_order: Vec<String>,
    agents: Vec<Agent>,
    sessions: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Channel {
    accounts: BTreeMap<String, Account>,
    #[serde(flatten)]
    itself: Account,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Agent {
    agent_id: String,
    is_default: bool,
    heartbeat: Heartbeat,
    sessions: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Heartbeat {
    enabled: bool,
    every: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Count {
    count: u64,
}

/// Asks and shows.
///
/// # Errors
/// What stood in the way of the answer: a gateway that does not answer is not well.
pub fn run(args: &HealthArgs, screen: &Screen) -> CliResult<()> {
    let params = if args.probe {
        json!({"probe": true})
    } else {
        json!({})
    };
    let (payload, head) = with_gateway(&args.reach.access(), async |client| {
        let payload = client.request("health", &params).await?;
        let hello = &client.hello;
        let up = duration(hello.snapshot.uptime_ms);
        let head = format!(
            "{} · version {} · up {up}",
            client.target.url, hello.server.version
        );
        Ok((payload, head))
    })?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let health: Health = read_answer("health", &payload)?;
    screen.line(format!("{} · {head}", screen.paint(Paint::Good, "ok")));
    screen.write(&health.accounts().show(screen, Clock::system().now_ms()));
    for agent in &health.agents {
        screen.line(agent.line());
    }
    screen.line(format!("sessions: {}", health.sessions.count));
    Ok(())
}

impl Health {
    fn accounts(&self) -> Accounts<'_> {
        let mut rows = Vec::new();
        for id in &self.channel_order {
            let Some(channel) = self.channels.get(id) else {
                continue;
            };
            if channel.accounts.is_empty() {
                rows.push((id.as_str(), "default", &channel.itself));
            }
            let accounts = channel.accounts.iter();
            rows.extend(accounts.map(|(account, state)| (id.as_str(), account.as_str(), state)));
        }
        Accounts::new(rows)
    }
}

impl Agent {
    fn line(&self) -> String {
        let default = if self.is_default { " (default)" } else { "" };
        let heartbeat = match &self.heartbeat {
            Heartbeat {
                enabled: true,
                every: Some(every),
            } => format!("every {every}"),
            _ => "off".to_owned(),
        };
        let count = self.sessions.count;
        format!(
            "agent {}{default}: heartbeat {heartbeat}, {count} sessions",
            self.agent_id
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_recorded_answer_is_read() {
        let health: Health = serde_json::from_str(
            r#"{"ok":true,"ts":1,"durationMs":0,"channels":{"telegram":{"configured":true,
            "running":true,"lastError":null,"accountId":"default","accounts":{"default":
            {"configured":true,"running":true,"lastError":null,"accountId":"default"}}}},
            "channelOrder":["telegram"],"channelLabels":{"telegram":"Telegram"},
            "heartbeatSeconds":1800,"defaultAgentId":"main","agents":[{"agentId":"main",
            "isDefault":true,"heartbeat":{"enabled":true,"every":"30m","everyMs":1800000,
            "prompt":"p","target":"none","ackMaxChars":300},"sessions":{"path":"p","count":2,
            "recent":[]}}],"sessions":{"path":"p","count":2,"recent":[]}}"#,
        )
        .unwrap();
        assert_eq!(
            health.agents[0].line(),
            "agent main (default): heartbeat every 30m, 2 sessions"
        );
        let table = health.accounts().show(&Screen::plain(None), 0);
        assert!(
            table.contains("│ telegram │ default │ running │"),
            "{table}"
        );
    }
}
