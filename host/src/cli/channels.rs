//! `channels status`: each account of each channel, in one table. `health` and `status` use it too.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::args::HealthArgs;
use super::client::{read_answer, with_gateway};
use super::error::CliResult;
use super::output::{Paint, Screen};
use super::table::{Cell, Column, Table};
use super::when::ago;
use crate::clock::Clock;

/// The answer to `channels.status`; only what is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChannelsStatus {
    channel_order: Vec<String>,
    channel_accounts: BTreeMap<String, Vec<Account>>,
}

/// One account, as `channels.status` and `health` tell it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Account {
    account_id: Option<String>,
    enabled: Option<bool>,
    configured: Option<bool>,
    linked: Option<bool>,
    running: Option<bool>,
    connected: Option<bool>,
    last_error: Option<Value>,
    last_inbound_at: Option<u64>,
    last_outbound_at: Option<u64>,
    probe: Option<Probe>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Probe {
    ok: bool,
    error: Option<Value>,
    elapsed_ms: Option<u64>,
}

/// Asks and shows.
///
/// # Errors
/// What stood in the way of the answer.
pub fn run(args: &HealthArgs, screen: &Screen) -> CliResult<()> {
    let params = json!({"probe": args.probe});
    let payload = with_gateway(&args.reach.access(), async |client| {
        client.request("channels.status", &params).await
    })?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    let status: ChannelsStatus = read_answer("channels.status", &payload)?;
    screen.write(&status.table().show(screen, Clock::system().now_ms()));
    Ok(())
}

impl ChannelsStatus {
    /// The accounts, in the gateway's order.
    pub fn table(&self) -> Accounts<'_> {
        let listed = self.channel_order.iter();
        let others = self
            .channel_accounts
            .keys()
            .filter(|id| !self.channel_order.contains(id));
        let rows = listed
            .chain(others)
            .flat_map(|channel| {
                let accounts = self
                    .channel_accounts
                    .get(channel)
                    .map_or(&[][..], Vec::as_slice);
                accounts
                    .iter()
                    .map(|account| (channel.as_str(), account.id(), account))
            })
            .collect();
        Accounts { rows }
    }
}

impl Account {
    fn id(&self) -> &str {
        self.account_id.as_deref().unwrap_or("default")
    }

    /// Its state in one word, the worst first.
    fn state(&self) -> (&'static str, Paint) {
        let is = |flag: Option<bool>, value: bool| flag == Some(value);
        if is(self.configured, false) {
            ("not configured", Paint::Faint)
        } else if is(self.enabled, false) {
            ("disabled", Paint::Faint)
        } else if is(self.linked, false) {
            ("not linked", Paint::Warn)
        } else if is(self.running, false) && self.error().is_some() {
            ("failed", Paint::Bad)
        } else if is(self.running, false) {
            ("stopped", Paint::Warn)
        } else if is(self.connected, false) {
            ("connecting", Paint::Warn)
        } else if is(self.running, true) || is(self.connected, true) {
            ("running", Paint::Good)
        } else {
            ("unknown", Paint::Faint)
        }
    }

    /// What its provider said when it was asked, or nothing.
    fn probe(&self) -> (String, Paint) {
        match &self.probe {
            None => (String::new(), Paint::Plain),
            Some(Probe {
                ok: true,
                elapsed_ms: Some(ms),
                ..
            }) => (format!("ok, {ms}ms"), Paint::Good),
            Some(Probe { ok: true, .. }) => ("ok".to_owned(), Paint::Good),
            Some(probe) => (format!("failed{}", worded(&probe.error)), Paint::Bad),
        }
    }

    fn error(&self) -> Option<String> {
        text_of(self.last_error.as_ref()?)
    }
}

fn worded(error: &Option<Value>) -> String {
    error
        .as_ref()
        .and_then(text_of)
        .map(|text| format!(": {text}"))
        .unwrap_or_default()
}

/// A text, or an object's `message`; `null` and blank count as nothing.
fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Object(map) => map.get("message").and_then(Value::as_str)?.to_owned(),
        other => other.to_string(),
    };
    (!text.trim().is_empty()).then_some(text)
}

/// Rows of channel, account id, account.
pub struct Accounts<'a> {
    rows: Vec<(&'a str, &'a str, &'a Account)>,
}

impl<'a> Accounts<'a> {
    /// From rows in the order they are shown.
    pub fn new(rows: Vec<(&'a str, &'a str, &'a Account)>) -> Self {
        Accounts { rows }
    }

    /// The table, or one line that says how to get a channel.
    pub fn show(&self, screen: &Screen, now_ms: u64) -> String {
        if self.rows.is_empty() {
            return "no channel is configured: add channels.<id> to openclaw.json \
                    (see openclaw plugins list)\n"
                .to_owned();
        }
        let mut columns = vec![
            Column::id("Channel"),
            Column::id("Account"),
            Column::new("State").solid(),
        ];
        let probed = self
            .rows
            .iter()
            .any(|(.., account)| account.probe.is_some());
        if probed {
            columns.push(Column::new("Probe"));
        }
        columns.push(Column::new("Last in").solid().optional(1));
        columns.push(Column::new("Last out").solid().optional(2));
        let failed = self
            .rows
            .iter()
            .any(|(.., account)| account.error().is_some());
        if failed {
            columns.push(Column::new("Last error"));
        }
        let mut table = Table::new(columns);
        for (channel, id, account) in &self.rows {
            let (state, paint) = account.state();
            let mut cells = vec![(*channel).into(), (*id).into(), Cell::painted(state, paint)];
            if probed {
                let (text, paint) = account.probe();
                cells.push(Cell::painted(text, paint));
            }
            cells.push(ago(account.last_inbound_at, now_ms).into());
            cells.push(ago(account.last_outbound_at, now_ms).into());
            if failed {
                cells.push(account.error().unwrap_or_default().into());
            }
            table.row(cells);
        }
        table.render(screen)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn show(text: &str) -> String {
        let status: ChannelsStatus = serde_json::from_str(text).unwrap();
        status.table().show(&Screen::plain(Some(100)), 1_000_000)
    }

    #[test]
    fn accounts_come_in_order_with_their_state() {
        let text = r#"{"ts":1,"channelOrder":["telegram","echo"],"channelAccounts":{
            "echo":[{"accountId":"default","enabled":true,"configured":true,"running":true,
                     "lastInboundAt":940000,"lastOutboundAt":null,"lastError":null}],
            "telegram":[{"accountId":"work","configured":true,"running":false,
                     "lastError":"401: Unauthorized"}]}}"#;
        let expected = "\
┌──────────┬─────────┬─────────┬─────────┬──────────┬───────────────────┐
│ Channel  │ Account │ State   │ Last in │ Last out │ Last error        │
├──────────┼─────────┼─────────┼─────────┼──────────┼───────────────────┤
│ telegram │ work    │ failed  │ –       │ –        │ 401: Unauthorized │
│ echo     │ default │ running │ 1m ago  │ –        │                   │
└──────────┴─────────┴─────────┴─────────┴──────────┴───────────────────┘
";
        assert_eq!(show(text), expected);
    }

    #[test]
    fn a_probe_has_its_own_column() {
        let text = r#"{"channelOrder":["irc"],"channelAccounts":{"irc":[{"running":true,
            "probe":{"ok":false,"error":"timed out"}}]}}"#;
        assert!(show(text).contains("failed: timed out"));
    }

    #[test]
    fn nothing_configured_says_what_to_do() {
        assert!(show("{}").starts_with("no channel is configured: add channels.<id>"));
    }
}
