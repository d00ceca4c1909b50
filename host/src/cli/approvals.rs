//! `approvals …`: who may run what on the gateway's machine, and what waits for a decision.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

use gateway_schemas::approvals::{
    ExecAgent, ExecAllowed, ExecApprovalList, ExecApprovalRequested, ExecApprovals,
    ExecApprovalsFile,
};
use serde_json::{Value, json};

use super::args::{
    AllowlistCommand, ApprovalsCommand, ApprovalsSetArgs, PatternArgs, PendingArgs, Reach,
};
use super::client::{Access, Client, with_gateway};
use super::error::{CliError, CliResult, Kind};
use super::output::{Paint, Screen, complain};
use super::table::{Cell, Column, Table};
use super::text;
use super::when::{ago, duration};
use crate::clock::Clock;
use crate::config::parse_object;
use crate::limits::APPROVALS_FILE_BYTES_MAX;

const GET: &str = "exec.approvals.get";
const SET: &str = "exec.approvals.set";
const LIST: &str = "exec.approval.list";

/// Between two looks at what waits.
const GLANCE: Duration = Duration::from_secs(1);

/// Runs one of the commands.
///
/// # Errors
/// What the gateway says, or what stood in the way.
pub fn run(command: &ApprovalsCommand, screen: &Screen) -> CliResult<()> {
    match command {
        ApprovalsCommand::Get(args) => {
            let now = with_gateway(&args.reach.access(), async |client| {
                client.read(GET, &json!({})).await
            })?;
            show(&now, screen);
            Ok(())
        }
        ApprovalsCommand::Set(args) => set(args, screen),
        ApprovalsCommand::Allowlist(AllowlistCommand::Add(args)) => add(args, screen),
        ApprovalsCommand::Allowlist(AllowlistCommand::Remove(args)) => remove(args, screen),
        ApprovalsCommand::Pending(args) => pending(args, screen),
        ApprovalsCommand::Approve(args) => {
            let decision = if args.always {
                "allow-always"
            } else {
                "allow-once"
            };
            decide(&args.id, decision, &args.reach, screen)
        }
        ApprovalsCommand::Deny(args) => decide(&args.id, "deny", &args.reach, screen),
    }
}

/// Reads the file, changes it, writes it back: what others change meanwhile is never lost.
fn change(
    reach: &Reach,
    work: impl FnOnce(&mut ExecApprovalsFile) -> CliResult<()>,
) -> CliResult<ExecApprovals> {
    with_gateway(&reach.access(), async |client| {
        let mut now: ExecApprovals = client.read(GET, &json!({})).await?;
        work(&mut now.file)?;
        let params = json!({ "file": now.file, "baseHash": now.hash });
        client.read(SET, &params).await
    })
}

fn set(args: &ApprovalsSetArgs, screen: &Screen) -> CliResult<()> {
    let (name, text) = match &args.file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|cause| CliError::file(path, "read", &cause))?;
            (path.display().to_string(), text)
        }
        None => {
            let mut text = String::new();
            let read = std::io::stdin()
                .take(APPROVALS_FILE_BYTES_MAX)
                .read_to_string(&mut text);
            let local =
                |cause| CliError::new(Kind::Local, "FILE", format!("standard input: {cause}"));
            read.map_err(|cause: std::io::Error| local(cause.to_string()))?;
            ("standard input".to_owned(), text)
        }
    };
    let wrong = |why: String| CliError::usage(format!("{name} is no approvals file: {why}"));
    let mut tree = parse_object(&text).map_err(|error| wrong(error.to_string()))?;
    tree.entry("version").or_insert(json!(1));
    let file: ExecApprovalsFile =
        serde_json::from_value(Value::Object(tree)).map_err(|error| wrong(error.to_string()))?;
    let now = change(&args.reach, |own| {
        *own = file;
        Ok(())
    })?;
    show(&now, screen);
    Ok(())
}

fn add(args: &PatternArgs, screen: &Screen) -> CliResult<()> {
    let pattern = pattern(args)?;
    if !pattern.contains('/') && !pattern.starts_with(['~', '=']) && pattern != "*" {
        complain(&format!(
            "warning: {pattern} fits nothing: name the program's whole path, such as \
             /usr/bin/{pattern}\n"
        ));
    }
    let now = change(&args.reach, |file| {
        let agent = agent(file, &args.agent).allowlist.get_or_insert_default();
        if !agent.iter().any(|allowed| allowed.pattern == pattern) {
            agent.push(ExecAllowed {
                pattern: pattern.clone(),
                ..ExecAllowed::default()
            });
        }
        Ok(())
    })?;
    show(&now, screen);
    Ok(())
}

fn remove(args: &PatternArgs, screen: &Screen) -> CliResult<()> {
    let pattern = pattern(args)?;
    let now = change(&args.reach, |file| {
        let list = agent(file, &args.agent).allowlist.get_or_insert_default();
        let before = list.len();
        list.retain(|allowed| allowed.pattern.trim() != pattern);
        if list.len() == before {
            let text = format!("{pattern} is not on the allowlist of {}", args.agent);
            return Err(CliError::new(Kind::Gateway, "NOT_FOUND", text)
                .fix("see what is: openclaw approvals get"));
        }
        Ok(())
    })?;
    show(&now, screen);
    Ok(())
}

fn pattern(args: &PatternArgs) -> CliResult<String> {
    let pattern = args.pattern.trim();
    if pattern.is_empty() {
        return Err(CliError::usage("the pattern is empty").fix("name a program by its whole path"));
    }
    Ok(pattern.to_owned())
}

fn agent<'a>(file: &'a mut ExecApprovalsFile, id: &str) -> &'a mut ExecAgent {
    let agents = file.agents.get_or_insert_default();
    agents.entry(id.trim().to_owned()).or_default()
}

fn show(now: &ExecApprovals, screen: &Screen) {
    if screen.json_wanted() {
        screen.value_json(now);
        return;
    }
    let file = &now.file;
    let words = |words: [(&str, &Option<String>); 3]| {
        let said = words
            .iter()
            .filter_map(|(name, word)| Some(format!("{name} {}", word.as_ref()?)));
        let said: Vec<String> = said.collect();
        match said.is_empty() {
            true => "–".to_owned(),
            false => text::clean(&said.join(", ")),
        }
    };
    let defaults = file.defaults.clone().unwrap_or_default();
    let all = [
        ("security", &defaults.security),
        ("ask", &defaults.ask),
        ("unanswered", &defaults.ask_fallback),
    ];
    screen.line(format!("file      {}", text::clean(&now.path)));
    screen.line(format!("hash      {}", now.hash));
    screen.line(format!("defaults  {}", words(all)));
    let agents = file.agents.clone().unwrap_or_default();
    for (id, agent) in &agents {
        let own = [
            ("security", &agent.security),
            ("ask", &agent.ask),
            ("unanswered", &agent.ask_fallback),
        ];
        screen.line(format!("agent     {}: {}", text::clean(id), words(own)));
    }
    let mut table = Table::new([
        Column::new("Agent").solid(),
        Column::new("Pattern").solid(),
        Column::new("Used").solid(),
        Column::new("Last command").optional(1),
    ]);
    let now_ms = Clock::system().now_ms();
    for (id, agent) in &agents {
        for allowed in agent.allowlist.iter().flatten() {
            let cells: [Cell; 4] = [
                id.clone().into(),
                allowed.pattern.clone().into(),
                ago(allowed.last_used_at, now_ms).into(),
                allowed.last_used_command.clone().unwrap_or_default().into(),
            ];
            table.row(cells);
        }
    }
    if table.is_empty() {
        screen.line("no patterns: add one with openclaw approvals allowlist add PATTERN");
    } else {
        screen.write(&table.render(screen));
    }
}

fn pending(args: &PendingArgs, screen: &Screen) -> CliResult<()> {
    if !args.follow {
        let list = with_gateway(&args.reach.access(), waiting)?;
        if screen.json_wanted() {
            screen.value_json(&list);
        } else if list.is_empty() {
            screen.line("nothing waits for a decision");
        }
        for asked in list.iter().filter(|_| !screen.json_wanted()) {
            screen.write(&worded(asked, screen));
        }
        return Ok(());
    }
    let access = Access {
        timeout: None,
        ..args.reach.access()
    };
    with_gateway(&access, async |client| {
        let mut shown = BTreeSet::new();
        loop {
            let list = waiting(client).await?;
            for asked in list.iter().filter(|asked| !shown.contains(&asked.id)) {
                let text = match screen.json_wanted() {
                    true => serde_json::to_string(asked).unwrap_or_default(),
                    false => worded(asked, screen).trim_end().to_owned(),
                };
                if !screen.try_line(&text) {
                    return Ok(());
                }
            }
            shown = list.into_iter().map(|asked| asked.id).collect();
            tokio::time::sleep(GLANCE).await;
        }
    })
}

async fn waiting(client: &mut Client) -> CliResult<ExecApprovalList> {
    client.read(LIST, &json!({})).await
}

/// A question in lines. All of the command is shown: it is what will run.
fn worded(asked: &ExecApprovalRequested, screen: &Screen) -> String {
    let question = &asked.request;
    let now_ms = Clock::system().now_ms();
    let left = duration(asked.expires_at_ms.saturating_sub(now_ms));
    let id = text::clean(&asked.id);
    let mut lines = vec![format!("{}  {left} left", screen.paint(Paint::Strong, &id))];
    lines.extend(
        text::clean_lines(&question.command)
            .lines()
            .map(|l| format!("    {l}")),
    );
    let facts = [
        ("in", &question.cwd),
        ("on", &question.host),
        ("node", &question.node_id),
        ("agent", &question.agent_id),
        ("session", &question.session_key),
        ("asked on", &question.turn_source_channel),
    ];
    for (name, value) in facts {
        lines.extend(value.iter().map(|v| format!("  {name} {}", text::clean(v))));
    }
    if let Some(names) = &question.env_keys {
        lines.push(format!("  sets {}", text::clean(&names.join(", "))));
    }
    lines.push(format!(
        "  openclaw approvals approve {id}   or   deny {id}"
    ));
    lines.join("\n") + "\n"
}

fn decide(id: &str, decision: &str, reach: &Reach, screen: &Screen) -> CliResult<()> {
    let params = json!({ "id": id, "decision": decision });
    let payload = with_gateway(&reach.access(), async |client| {
        client.request("exec.approval.resolve", &params).await
    })
    .map_err(|error| match error.kind() {
        Kind::Gateway => error.fix("see what waits: openclaw approvals pending"),
        _ => error,
    })?;
    if screen.json_wanted() {
        screen.raw_json(payload.get());
    } else if decision == "deny" {
        screen.line(screen.paint(Paint::Warn, "denied"));
    } else {
        screen.line(screen.paint(Paint::Good, "approved"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_schemas::approvals::ExecApprovalQuestion;

    #[test]
    fn a_question_shows_all_that_would_run() {
        let asked = ExecApprovalRequested {
            id: "6f1c".to_owned(),
            request: ExecApprovalQuestion {
                command: "ls |\nwc \u{1b}[2J".to_owned(),
                cwd: Some("/srv".to_owned()),
                ..ExecApprovalQuestion::default()
            },
            created_at_ms: 1,
            expires_at_ms: 2,
        };
        let words = worded(&asked, &Screen::plain(None));
        assert!(words.contains("    ls |\n    wc "), "{words}");
        assert!(!words.contains('\u{1b}'), "{words}");
        assert!(
            words.contains("in /srv") && words.contains("approve 6f1c"),
            "{words}"
        );
    }
}
