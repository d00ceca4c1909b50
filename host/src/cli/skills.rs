//! `skills …`: the folders of instructions that agents have.

use gateway_schemas::skills::{SkillNeeds, SkillStatus, SkillsStatus};
use serde_json::{Value, json};

use super::args::{SkillsCommand, SkillsListArgs};
use super::client::{read_answer, with_gateway};
use super::error::{CliError, CliResult, Kind};
use super::output::{Paint, Screen};
use super::table::{Cell, Column, Table};
use super::text::clean;

const STATUS: &str = "skills.status";

/// Runs one of the commands.
///
/// # Errors
/// What the gateway says, or what stood in the way; for `check`, that something is missing.
pub fn run(command: &SkillsCommand, screen: &Screen) -> CliResult<()> {
    let access = command.reach().0.own_access();
    let params = match command.agent() {
        Some(agent) => json!({ "agentId": agent }),
        None => json!({}),
    };
    let payload = with_gateway(&access, async |client| {
        client.request(STATUS, &params).await
    })?;
    let status: SkillsStatus = read_answer(STATUS, &payload)?;
    match command {
        SkillsCommand::List(args) => list(args, status, screen),
        SkillsCommand::Info(args) => return info(&args.name, &status, screen),
        SkillsCommand::Check(_) => return check(&status, screen),
    }
    Ok(())
}

/// One word about a skill.
fn standing(skill: &SkillStatus) -> (&'static str, Paint) {
    match skill {
        skill if skill.eligible => ("usable", Paint::Good),
        skill if skill.disabled => ("switched off", Paint::Faint),
        _ => ("something is missing", Paint::Warn),
    }
}

fn list(args: &SkillsListArgs, mut status: SkillsStatus, screen: &Screen) {
    status.skills.retain(|skill| skill.eligible || !args.usable);
    if screen.json_wanted() {
        screen.value_json(&status);
        return;
    }
    if status.skills.is_empty() {
        screen.line("no skill");
        let places = [
            format!("{}/skills", status.workspace_dir),
            status.managed_skills_dir,
        ];
        let hint = format!(
            "skills are folders with a SKILL.md in {}",
            places.join(" or ")
        );
        screen.line(screen.paint(Paint::Faint, &clean(&hint)));
        return;
    }
    let mut table = Table::new([
        Column::id("name"),
        Column::new("standing").solid(),
        Column::new("missing").optional(1),
        Column::new("what for").optional(2),
    ]);
    for skill in &status.skills {
        let (word, paint) = standing(skill);
        table.row([
            Cell::from(&skill.name),
            Cell::painted(word, paint),
            Cell::from(missing(&skill.missing).join(", ")),
            Cell::from(&skill.description),
        ]);
    }
    screen.write(&table.render(screen));
}

/// What is missing, in words.
fn missing(needs: &SkillNeeds) -> Vec<String> {
    let each = |kind: &str, names: &[String]| -> Vec<String> {
        names.iter().map(|name| format!("{kind} {name}")).collect()
    };
    let one_of = |kind: &str, names: &[String]| -> Vec<String> {
        let any = (!names.is_empty()).then(|| format!("{kind} {}", names.join(" or ")));
        any.into_iter().collect()
    };
    [
        each("program", &needs.bins),
        one_of("program", &needs.any_bins),
        each("variable", &needs.env),
        each("setting", &needs.config),
        one_of("system", &needs.os),
    ]
    .concat()
}

fn info(name: &str, status: &SkillsStatus, screen: &Screen) -> CliResult<()> {
    let skill = status.skills.iter().find(|skill| skill.name == name);
    let skill = skill.ok_or_else(|| {
        CliError::new(
            Kind::Gateway,
            "NO_SUCH_SKILL",
            format!("there is no skill {name}"),
        )
        .fix("openclaw skills list")
    })?;
    if screen.json_wanted() {
        screen.value_json(skill);
        return Ok(());
    }
    let (word, paint) = standing(skill);
    let title = format!("{}: {}", clean(&skill.name), screen.paint(paint, word));
    screen.line(title);
    screen.line(clean(&skill.description));
    let needed = missing(&skill.requirements).join(", ");
    let lacking = missing(&skill.missing).join(", ");
    let key = format!("skills.entries.{}", skill.skill_key);
    let lines = [
        ("file", Some(skill.file_path.as_str())),
        ("settings", Some(key.as_str())),
        ("needs", Some(needed.as_str())),
        ("missing", Some(lacking.as_str())),
        ("key goes into", skill.primary_env.as_deref()),
        ("more", skill.homepage.as_deref()),
    ];
    for (label, text) in lines {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            screen.line(format!("  {label:<14}{}", clean(text)));
        }
    }
    Ok(())
}

fn check(status: &SkillsStatus, screen: &Screen) -> CliResult<()> {
    let usable = status.skills.iter().filter(|skill| skill.eligible).count();
    let lacking: Vec<&SkillStatus> = status
        .skills
        .iter()
        .filter(|skill| !skill.eligible && !skill.disabled)
        .collect();
    if screen.json_wanted() && lacking.is_empty() {
        screen.value_json(&json!({ "usable": usable, "missing": {} }));
    }
    if !screen.json_wanted() {
        screen.line(format!(
            "{usable} of {} skills are usable",
            status.skills.len()
        ));
        for skill in &lacking {
            let missing = missing(&skill.missing).join(", ");
            screen.line(clean(&format!("  {}: {missing}", skill.name)));
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let missing: Value = lacking
        .iter()
        .map(|skill| (skill.name.clone(), json!(missing(&skill.missing))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let text = format!("{} skills can't be used", lacking.len());
    Err(CliError::new(Kind::Gateway, "SKILLS_LACK", text)
        .fact("missing", "missing", missing.to_string())
        .fix("openclaw skills info NAME"))
}
