//! `plugins test FILE`: the conformance checks of the SDK against a built library, from outside.
//!
//! The library is loaded as a gateway loads it: into a process of its own, or into this one.

use std::process::ExitCode;

use gateway_plugin::conformance::{Check, Checked, Outcome, Setup, run as check};
use serde::Serialize;

use super::trial::{self, Folder};
use crate::cli::args::PluginsTestArgs;
use crate::cli::error::{CliError, CliResult};
use crate::cli::output::{Paint, Screen};
use crate::cli::table::{Cell, Column, Table};
use crate::plugins::TrialStates;
use crate::shutdown::Tasks;

/// What is told under `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    plugin: &'a str,
    version: &'a str,
    api: &'a str,
    ok: bool,
    passed: usize,
    failed: usize,
    skipped: usize,
    checks: &'a [Checked],
}

/// Loads, checks, shows. Exit code 1 when a check failed.
///
/// # Errors
/// A library that no gateway would load, or a wrong command line.
pub fn run(args: &PluginsTestArgs, screen: &Screen) -> CliResult<ExitCode> {
    let checks = wanted(&args.only)?;
    let config = args.config.as_deref().map(trial::config).transpose()?;
    let folder = Folder::new()?;
    let runtime = trial::runtime()?;
    let subject = trial::load(
        &args.file,
        &folder,
        args.isolation,
        TrialStates::default(),
        Tasks::new("plugins test"),
    )?;
    let manifest = subject.plugin().manifest().clone();
    let mut setup = Setup::of(&manifest);
    setup.config = config.unwrap_or(setup.config);
    setup.to.clone_from(&args.to);
    let checked = runtime.block_on(async {
        let mut checked = Vec::new();
        for one in checks {
            checked.push(check(one, &subject, &setup).await);
        }
        checked
    });
    // A plugin that blocks a thread must not hold the process back.
    runtime.shutdown_background();
    let count = |outcome| checked.iter().filter(|c| c.outcome == outcome).count();
    let report = Report {
        plugin: &manifest.id,
        version: &manifest.version,
        api: &manifest.api,
        ok: count(Outcome::Failed) == 0,
        passed: count(Outcome::Passed),
        failed: count(Outcome::Failed),
        skipped: count(Outcome::Skipped),
        checks: &checked,
    };
    if screen.json_wanted() {
        screen.value_json(&report);
    } else {
        screen.write(&table(&checked).render(screen));
        screen.line(summary(&report, screen));
    }
    Ok(ExitCode::from(u8::from(!report.ok)))
}

fn wanted(only: &[String]) -> CliResult<Vec<Check>> {
    if only.is_empty() {
        return Ok(Check::ALL.to_vec());
    }
    let named = |name: &String| {
        Check::named(name).ok_or_else(|| {
            let all: Vec<_> = Check::ALL.iter().map(|one| one.name()).collect();
            CliError::usage(format!("there is no check {name:?}"))
                .fix(format!("name one of {}", all.join(", ")))
        })
    };
    only.iter().map(named).collect()
}

fn summary(report: &Report<'_>, screen: &Screen) -> String {
    let (word, paint) = if report.ok {
        ("conforms to", Paint::Good)
    } else {
        ("does not conform to", Paint::Bad)
    };
    format!(
        "{} {} {} API {}: {} passed, {} failed, {} skipped",
        report.plugin,
        report.version,
        screen.paint(paint, word),
        report.api,
        report.passed,
        report.failed,
        report.skipped,
    )
}

/// A passed check tells why it matters, another one what was found.
fn table(checked: &[Checked]) -> Table {
    let mut table = Table::new([
        Column::id("Check"),
        Column::new("Result").solid(),
        Column::new("Why, or what was found"),
        Column::new("ms").solid().optional(1),
    ]);
    for one in checked {
        let (word, paint) = match one.outcome {
            Outcome::Passed => ("passed", Paint::Good),
            Outcome::Failed => ("failed", Paint::Bad),
            Outcome::Skipped => ("skipped", Paint::Warn),
        };
        table.row([
            one.name.into(),
            Cell::painted(word, paint),
            one.found.as_deref().unwrap_or(one.why).into(),
            one.ms.to_string().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(check: Check, outcome: Outcome, found: Option<&str>) -> Checked {
        Checked {
            name: check.name(),
            why: check.why(),
            outcome,
            found: found.map(str::to_owned),
            ms: 3,
        }
    }

    #[test]
    fn a_failed_check_says_what_was_found() {
        let checked = [
            one(Check::Ping, Outcome::Passed, None),
            one(
                Check::Send,
                Outcome::Failed,
                Some("the receipt of a send has no messageId"),
            ),
            one(
                Check::Panic,
                Outcome::Skipped,
                Some("the plugin offers no action"),
            ),
        ];
        let expected = "\
┌───────┬─────────┬──────────────────────────────────────────────────┬────┐
│ Check │ Result  │ Why, or what was found                           │ ms │
├───────┼─────────┼──────────────────────────────────────────────────┼────┤
│ ping  │ passed  │ a plugin that misses three pings is started anew │ 3  │
│ send  │ failed  │ the receipt of a send has no messageId           │ 3  │
│ panic │ skipped │ the plugin offers no action                      │ 3  │
└───────┴─────────┴──────────────────────────────────────────────────┴────┘
";
        assert_eq!(table(&checked).render(&Screen::plain(Some(80))), expected);
    }

    #[test]
    fn a_check_that_is_not_there_is_told_with_those_that_are() {
        let error = wanted(&["pong".to_owned()]).expect_err("there is no such check");
        assert!(
            error
                .to_text()
                .contains("name one of manifest, config-refused")
        );
        assert_eq!(
            wanted(&["side_by_side".to_owned()]).ok(),
            Some(vec![Check::SideBySide])
        );
    }
}
