//! `logs`: the gateway's log, asked of the gateway, so that it works from another machine too.

use std::time::Duration;

use gateway_schemas::system::LogsTail;
use serde_json::{Value, json};

use super::args::LogsArgs;
use super::client::{Access, Client, with_gateway};
use super::error::CliResult;
use super::output::{Paint, Screen, complain};
use super::text;

/// How often a followed log is asked for.
const GLANCE: Duration = Duration::from_secs(1);

/// Shows the last lines, and those to come with `--follow`.
///
/// # Errors
/// What the gateway says, or what stood in the way.
pub fn run(args: &LogsArgs, screen: &Screen) -> CliResult<()> {
    // Following has no end, so its patience is only for each answer.
    let access = Access {
        timeout: args.reach.access().timeout.filter(|_| !args.follow),
        ..args.reach.access()
    };
    with_gateway(&access, async |client| {
        let mut tail = ask(client, json!({ "limit": args.limit })).await?;
        loop {
            if tail.reset {
                complain("the log was turned over: some lines may be missing\n");
            }
            if !tail.lines.iter().all(|line| show(line, screen)) || !args.follow {
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
            tail = ask(client, json!({ "cursor": tail.cursor })).await?;
        }
    })
}

async fn ask(client: &mut Client, params: Value) -> CliResult<LogsTail> {
    client.read("logs.tail", &params).await
}

/// Shows one line; false once nobody reads.
fn show(line: &str, screen: &Screen) -> bool {
    match serde_json::from_str::<Value>(line) {
        Ok(_) if screen.json_wanted() => screen.try_line(line),
        Ok(value) => screen.try_line(&worded(&value, screen)),
        // Not a line of the gateway's; under --json only JSON is shown.
        Err(_) => screen.json_wanted() || screen.try_line(&text::clean(line)),
    }
}

fn worded(line: &Value, screen: &Screen) -> String {
    let level = line["_meta"]["logLevelName"].as_str().unwrap_or("INFO");
    let paint = match level {
        "ERROR" => Paint::Bad,
        "WARN" => Paint::Warn,
        "INFO" => Paint::Plain,
        _ => Paint::Faint,
    };
    let context: Value =
        serde_json::from_str(line["0"].as_str().unwrap_or_default()).unwrap_or_default();
    let part = context["subsystem"].as_str().unwrap_or("gateway");
    let time = line["time"].as_str().unwrap_or_default();
    format!(
        "{} {} {part}: {}",
        screen.paint(Paint::Faint, time),
        screen.paint(paint, &format!("{level:<5}")),
        text::clean(line["1"].as_str().unwrap_or_default())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_words() {
        let line = json!({ "0": "{\"subsystem\":\"channels\"}", "1": "slow\u{1b}[31m account=work",
            "_meta": { "logLevelName": "WARN" }, "time": "2026-11-22T19:00:42.007Z" });
        let words = worded(&line, &Screen::plain(None));
        assert!(
            words.starts_with("2026-11-22T19:00:42.007Z WARN  channels: slow"),
            "{words}"
        );
        assert!(!words.contains('\u{1b}'), "{words}");
    }
}
