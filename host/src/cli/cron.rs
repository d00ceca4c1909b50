//! `cron`: jobs that run by the clock, from the command line.

use gateway_schemas::cron::{
    CronJob, CronList, CronPayload, CronRan, CronRemoved, CronRunStatus, CronRuns, CronSchedule,
    CronStatus,
};
use serde_json::{Map, Value, json};

use super::args::{
    CronAddArgs, CronCommand, CronEditArgs, CronJobArgs, CronListArgs, CronRunsArgs, CronWhatArgs,
    CronWhenArgs, CronWhereArgs, Reach, wait,
};
use super::client::{read_answer, with_gateway};
use super::error::{CliError, CliResult};
use super::output::{Paint, Screen};
use super::table::{Cell, Column, Table};
use super::when::{ago, duration};
use crate::clock::Clock;
use crate::spell;

/// Asks and shows.
///
/// # Errors
/// What the gateway says, or what stood in the way.
pub fn run(command: &CronCommand, screen: &Screen) -> CliResult<()> {
    match command {
        CronCommand::List(args) => list(args, screen),
        CronCommand::Status(args) => status(&args.reach, screen),
        CronCommand::Add(args) => changed("cron.add", &added(args), &args.reach, "made", screen),
        CronCommand::Edit(args) => {
            let params = json!({ "id": args.id, "patch": edited(args)? });
            changed("cron.update", &params, &args.reach, "changed", screen)
        }
        CronCommand::Enable(args) => switch(args, true, screen),
        CronCommand::Disable(args) => switch(args, false, screen),
        CronCommand::Rm(args) => remove(args, screen),
        CronCommand::Run(args) => {
            let mode = if args.due { "due" } else { "force" };
            let params = json!({ "id": args.id, "mode": mode });
            let payload = ask("cron.run", &params, &args.reach)?;
            show(&payload, screen, || {
                let ran: CronRan = read_answer("cron.run", &payload)?;
                screen.line(match (ran.run_id, ran.reason) {
                    (Some(id), _) => format!("{} {id}", screen.paint(Paint::Good, "runs")),
                    (None, reason) => {
                        let why = json!(reason).as_str().unwrap_or("unknown").to_owned();
                        format!("{} {why}", screen.paint(Paint::Warn, "does not run:"))
                    }
                });
                Ok(())
            })
        }
        CronCommand::Runs(args) => runs(args, screen),
    }
}

type Payload = Box<serde_json::value::RawValue>;

fn ask(method: &str, params: &Value, reach: &Reach) -> CliResult<Payload> {
    let asked = with_gateway(&reach.access(), async |client| {
        client.request(method, params).await
    });
    asked.map_err(|error| match method {
        "cron.update" | "cron.remove" | "cron.run" => {
            error.fix("see the jobs: openclaw cron list --all")
        }
        _ => error,
    })
}

/// The answer as it came under `--json`, else in words.
fn show(
    payload: &Payload,
    screen: &Screen,
    words: impl FnOnce() -> CliResult<()>,
) -> CliResult<()> {
    if screen.json_wanted() {
        screen.raw_json(payload.get());
        return Ok(());
    }
    words()
}

fn changed(
    method: &str,
    params: &Value,
    reach: &Reach,
    word: &str,
    screen: &Screen,
) -> CliResult<()> {
    let payload = ask(method, params, reach)?;
    show(&payload, screen, || {
        let job: CronJob = read_answer(method, &payload)?;
        let word = screen.paint(Paint::Good, word);
        let next = next_run(&job, Clock::system().now_ms());
        screen.line(format!(
            "{word} {} \"{}\": {}, {next}",
            job.id,
            job.name,
            when(&job.schedule)
        ));
        Ok(())
    })
}

fn switch(args: &CronJobArgs, enabled: bool, screen: &Screen) -> CliResult<()> {
    let params = json!({ "id": args.id, "patch": { "enabled": enabled } });
    let word = if enabled { "enabled" } else { "disabled" };
    changed("cron.update", &params, &args.reach, word, screen)
}

fn remove(args: &CronJobArgs, screen: &Screen) -> CliResult<()> {
    let payload = ask("cron.remove", &json!({ "id": args.id }), &args.reach)?;
    show(&payload, screen, || {
        let answer: CronRemoved = read_answer("cron.remove", &payload)?;
        screen.line(match answer.removed {
            true => format!("{} {}", screen.paint(Paint::Good, "removed"), args.id),
            false => format!("there is no job {}: nothing was done", args.id),
        });
        Ok(())
    })
}

fn status(reach: &Reach, screen: &Screen) -> CliResult<()> {
    let payload = ask("cron.status", &json!({}), reach)?;
    show(&payload, screen, || {
        let status: CronStatus = read_answer("cron.status", &payload)?;
        let state = match status.enabled {
            true => screen.paint(Paint::Good, "on"),
            false => screen.paint(Paint::Warn, "off: cron.enabled is false"),
        };
        let now_ms = Clock::system().now_ms();
        let next = status
            .next_wake_at_ms
            .map_or("none".to_owned(), |at| until(at, now_ms));
        screen.line(format!("cron {state} · {} jobs · next {next}", status.jobs));
        Ok(())
    })
}

fn list(args: &CronListArgs, screen: &Screen) -> CliResult<()> {
    let payload = ask(
        "cron.list",
        &json!({ "includeDisabled": args.all }),
        &args.reach,
    )?;
    show(&payload, screen, || {
        let list: CronList = read_answer("cron.list", &payload)?;
        screen.write(&job_table(&list.jobs, Clock::system().now_ms(), screen));
        if list.has_more {
            screen.line(format!("{} of {} jobs", list.jobs.len(), list.total));
        }
        Ok(())
    })
}

fn job_table(jobs: &[CronJob], now_ms: u64, screen: &Screen) -> String {
    if jobs.is_empty() {
        return "no job: make one with openclaw cron add\n".to_owned();
    }
    let mut table = Table::new([
        Column::id("Job"),
        Column::new("Name"),
        Column::new("When"),
        Column::new("Next").solid(),
        Column::new("Last").solid().optional(1),
        Column::new("Does").optional(2),
    ]);
    for job in jobs {
        let state = &job.state;
        let (end, paint) = match state.last_run_status {
            None => (String::new(), Paint::Faint),
            Some(CronRunStatus::Ok) => ("ok".to_owned(), Paint::Good),
            Some(CronRunStatus::Skipped) => ("skipped".to_owned(), Paint::Warn),
            Some(CronRunStatus::Error) => ("failed".to_owned(), Paint::Bad),
        };
        let last = match state.last_run_at_ms {
            None => "–".to_owned(),
            at => format!("{end} {}", ago(at, now_ms)),
        };
        let does = match &job.payload {
            CronPayload::SystemEvent { text } => format!("tells: {text}"),
            CronPayload::AgentTurn(turn) => format!("asks: {}", turn.message),
        };
        let does: String = does.chars().take(60).collect();
        let cells: [Cell; 6] = [
            (&job.id).into(),
            (&job.name).into(),
            when(&job.schedule).into(),
            next_run(job, now_ms).into(),
            Cell::painted(last, paint),
            does.into(),
        ];
        table.row(cells);
    }
    table.render(screen)
}

fn runs(args: &CronRunsArgs, screen: &Screen) -> CliResult<()> {
    let mut params = json!({ "limit": args.limit });
    if let Some(id) = &args.id {
        params["id"] = json!(id);
    } else {
        params["scope"] = json!("all");
    }
    let payload = ask("cron.runs", &params, &args.reach)?;
    show(&payload, screen, || {
        let runs: CronRuns = read_answer("cron.runs", &payload)?;
        if runs.entries.is_empty() {
            screen.line("no run yet");
            return Ok(());
        }
        let mut table = Table::new([
            Column::new("When").solid(),
            Column::new("Job"),
            Column::new("End").solid(),
            Column::new("Took").solid().optional(1),
            Column::new("Said").optional(2),
        ]);
        for entry in &runs.entries {
            let run = &entry.event;
            let (end, paint) = match run.status {
                Some(CronRunStatus::Ok) | None => ("ok", Paint::Good),
                Some(CronRunStatus::Skipped) => ("skipped", Paint::Warn),
                Some(CronRunStatus::Error) => ("failed", Paint::Bad),
            };
            let said = run.error.as_ref().or(run.summary.as_ref());
            let said: String = said.map_or("", String::as_str).chars().take(80).collect();
            let cells: [Cell; 5] = [
                spell::moment(run.run_at_ms.unwrap_or(entry.ts)).into(),
                entry.job_name.as_ref().unwrap_or(&run.job_id).into(),
                Cell::painted(end, paint),
                duration(run.duration_ms.unwrap_or(0)).into(),
                said.into(),
            ];
            table.row(cells);
        }
        screen.write(&table.render(screen));
        Ok(())
    })
}

fn when(schedule: &CronSchedule) -> String {
    match schedule {
        CronSchedule::At { at } => format!("at {at}"),
        CronSchedule::Every { every_ms, .. } => format!("every {}", duration(*every_ms)),
        CronSchedule::Cron { expr, tz, .. } => match tz {
            Some(tz) => format!("{expr} ({tz})"),
            None => expr.clone(),
        },
    }
}

fn next_run(job: &CronJob, now_ms: u64) -> String {
    match (
        job.state.running_at_ms,
        job.enabled,
        job.state.next_run_at_ms,
    ) {
        (Some(_), ..) => "runs now".to_owned(),
        (None, false, _) => "off".to_owned(),
        (None, true, None) => "never".to_owned(),
        (None, true, Some(at)) => until(at, now_ms),
    }
}

fn until(at_ms: u64, now_ms: u64) -> String {
    match at_ms.saturating_sub(now_ms) / 1_000 {
        0 => "now".to_owned(),
        seconds => format!("in {}", duration(seconds * 1_000)),
    }
}

fn put(map: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        map.insert(name.to_owned(), value.into());
    }
}

fn added(args: &CronAddArgs) -> Value {
    let mut job = parts(&args.when, &args.what, &args.answer);
    put(&mut job, "name", args.name.clone());
    put(&mut job, "description", args.description.clone());
    put(&mut job, "enabled", args.disabled.then_some(false));
    put(
        &mut job,
        "deleteAfterRun",
        args.keep_after_run.then_some(false),
    );
    Value::Object(job)
}

fn edited(args: &CronEditArgs) -> CliResult<Value> {
    let mut patch = parts(&args.when, &args.what, &args.answer);
    put(&mut patch, "name", args.name.clone());
    put(&mut patch, "description", args.description.clone());
    if patch.is_empty() {
        let error = CliError::usage("nothing to change was named");
        return Err(error.fix("see what can be changed: openclaw cron edit --help"));
    }
    Ok(Value::Object(patch))
}

/// What both a new job and a change may name.
fn parts(when: &CronWhenArgs, what: &CronWhatArgs, answer: &CronWhereArgs) -> Map<String, Value> {
    let mut job = Map::new();
    put(&mut job, "schedule", schedule(when));
    put(&mut job, "payload", payload(what));
    if job.contains_key("payload") {
        let target = if what.system_event.is_some() {
            "main"
        } else {
            "isolated"
        };
        job.insert("sessionTarget".into(), target.into());
    }
    put(&mut job, "agentId", what.agent.clone());
    put(&mut job, "wakeMode", what.wake.clone());
    put(&mut job, "delivery", delivery(answer));
    job
}

fn schedule(when: &CronWhenArgs) -> Option<Value> {
    if let Some(at) = &when.at {
        let wait = wait(at).map(spell::millis);
        let moment = wait.map(|ms| spell::moment(Clock::system().now_ms().saturating_add(ms)));
        return Some(json!({ "kind": "at", "at": moment.as_ref().unwrap_or(at) }));
    }
    if let Some(every) = when.every {
        return Some(json!({ "kind": "every", "everyMs": spell::millis(every) }));
    }
    let mut schedule = json!({ "kind": "cron", "expr": when.cron.as_ref()? });
    if let Some(tz) = &when.tz {
        schedule["tz"] = json!(tz);
    }
    if when.exact {
        schedule["staggerMs"] = json!(0);
    }
    Some(schedule)
}

fn payload(what: &CronWhatArgs) -> Option<Value> {
    if let Some(text) = &what.system_event {
        return Some(json!({ "kind": "systemEvent", "text": text }));
    }
    let mut turn = Map::new();
    put(&mut turn, "message", what.message.clone());
    put(&mut turn, "model", what.model.clone());
    put(&mut turn, "thinking", what.thinking.clone());
    put(
        &mut turn,
        "timeoutSeconds",
        what.timeout_run.map(|time| time.as_secs()),
    );
    if turn.is_empty() {
        return None;
    }
    turn.insert("kind".into(), "agentTurn".into());
    Some(Value::Object(turn))
}

fn delivery(answer: &CronWhereArgs) -> Option<Value> {
    let mode = match answer {
        _ if answer.no_deliver => "none",
        _ if answer.webhook.is_some() => "webhook",
        CronWhereArgs { announce: true, .. }
        | CronWhereArgs {
            channel: Some(_), ..
        }
        | CronWhereArgs { to: Some(_), .. } => "announce",
        _ => return None,
    };
    let mut delivery = Map::from_iter([("mode".to_owned(), json!(mode))]);
    put(&mut delivery, "channel", answer.channel.clone());
    put(
        &mut delivery,
        "to",
        answer.webhook.clone().or(answer.to.clone()),
    );
    put(&mut delivery, "accountId", answer.account.clone());
    put(
        &mut delivery,
        "bestEffort",
        answer.best_effort.then_some(true),
    );
    Some(Value::Object(delivery))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    use super::super::args::{Cli, Command};

    fn sent(line: &[&str]) -> Value {
        let words = ["openclaw", "cron", "add"].iter().chain(line);
        let cli = Cli::try_parse_from(words).unwrap();
        match cli.command {
            Command::Cron(CronCommand::Add(args)) => added(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_become_a_job() {
        assert_eq!(
            sent(&[
                "--every",
                "10m",
                "--system-event",
                "tea",
                "--name",
                "n",
                "--disabled"
            ]),
            json!({ "schedule": { "kind": "every", "everyMs": 600_000 },
                "payload": { "kind": "systemEvent", "text": "tea" }, "sessionTarget": "main",
                "name": "n", "enabled": false })
        );
        assert_eq!(
            sent(&[
                "--cron",
                "0 * * * *",
                "--tz",
                "UTC",
                "--exact",
                "--message",
                "x",
                "--to",
                "42",
                "--channel",
                "telegram",
                "--timeout-run",
                "30"
            ]),
            json!({ "schedule": { "kind": "cron", "expr": "0 * * * *", "tz": "UTC", "staggerMs": 0 },
                "payload": { "kind": "agentTurn", "message": "x", "timeoutSeconds": 30 },
                "sessionTarget": "isolated",
                "delivery": { "mode": "announce", "channel": "telegram", "to": "42" } })
        );
    }

    #[test]
    fn jobs_are_listed() {
        let job: CronJob = serde_json::from_value(json!({ "id": "j1", "name": "Tea",
            "enabled": true, "createdAtMs": 1, "updatedAtMs": 1,
            "schedule": { "kind": "every", "everyMs": 600_000 }, "sessionTarget": "main",
            "wakeMode": "now", "payload": { "kind": "systemEvent", "text": "tea" },
            "state": { "nextRunAtMs": 90_000, "lastRunAtMs": 10_000, "lastRunStatus": "ok" } }))
        .unwrap();
        let table = job_table(&[job], 70_000, &Screen::plain(None));
        assert!(
            table.contains("│ j1  │ Tea  │ every 10m │ in 20s │ ok 1m ago │ tells: tea │"),
            "{table}"
        );
        assert!(job_table(&[], 0, &Screen::plain(None)).contains("openclaw cron add"));
    }
}
