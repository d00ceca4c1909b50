//! `skills.*`: the folders of instructions that agents have, and their settings.

use gateway_schemas::skills::{
    SkillConfigCheck, SkillNeeds, SkillStatus, SkillsBins, SkillsStatus, SkillsStatusParams,
    SkillsUpdateParams, SkillsUpdated,
};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::config::refusal;
use super::{Call, Outcome, Reply};
use crate::error::GatewayError;
use crate::limits::{SKILL_NEEDS_MAX, SKILL_VALUE_BYTES_MAX};
use crate::skills::{self, Facts, Needs, Skill};

/// What stands for a secret that is not shown.
const HIDDEN: &str = "__OPENCLAW_REDACTED__";

/// `skills.status`
pub async fn status(call: Call) -> Outcome {
    let params: SkillsStatusParams = call.params()?;
    let config = call.parts.config.current();
    let named = params.agent_id.map(|id| id.trim().to_lowercase());
    let agent = named.unwrap_or_else(|| config.agents.default_id().to_owned());
    if !config.agents.exists(&agent) {
        let text = format!("unknown agent id \"{agent}\"");
        return Err(GatewayError::invalid(text));
    }
    let facts = Facts::new(&config);
    let all = skills::all(&config, &agent);
    Reply::of(&SkillsStatus {
        workspace_dir: config.workspace(&agent).display().to_string(),
        managed_skills_dir: skills::shared_folder(&config).display().to_string(),
        skills: all.iter().map(|skill| shown(skill, &facts)).collect(),
    })
}

fn shown(skill: &Skill, facts: &Facts<'_>) -> SkillStatus {
    let standing = facts.standing(skill);
    let checks = standing.checks.into_iter();
    SkillStatus {
        name: skill.name.clone(),
        description: skill.description.clone(),
        source: skill.source.as_str().to_owned(),
        // None comes with the gateway, so no list of those can stand against one.
        bundled: false,
        blocked_by_allowlist: false,
        file_path: skill.file().display().to_string(),
        base_dir: skill.folder.display().to_string(),
        skill_key: skill.key.clone(),
        primary_env: skill.primary_env.clone(),
        emoji: skill.emoji.clone(),
        homepage: skill.homepage.clone(),
        always: skill.always,
        disabled: standing.disabled,
        eligible: standing.eligible,
        requirements: needs(skill.needs.clone()),
        missing: needs(standing.missing),
        config_checks: checks
            .map(|(path, satisfied)| SkillConfigCheck { path, satisfied })
            .collect(),
        // The gateway installs nothing (see `absent.rs`).
        install: Vec::new(),
    }
}

fn needs(needs: Needs) -> SkillNeeds {
    SkillNeeds {
        bins: needs.bins,
        any_bins: needs.any_bins,
        env: needs.env,
        config: needs.config,
        os: needs.os,
    }
}

/// `skills.bins`: for nodes, which look whether they have them.
pub async fn bins(call: Call) -> Outcome {
    let programs = skills::programs(&call.parts.config.current());
    Reply::of(&SkillsBins {
        bins: programs.into_iter().collect(),
    })
}

/// `skills.update`: changes `skills.entries.<key>` of the person's file.
pub async fn update(call: Call) -> Outcome {
    let params: SkillsUpdateParams = call.params()?;
    let key = params.skill_key.trim().to_owned();
    if key.is_empty() {
        return Err(call.invalid("at /skillKey: must NOT have fewer than 1 characters"));
    }
    check(&call, &params)?;
    let (told, entry) = oneshot::channel();
    let place = key.clone();
    let change = move |root: &mut Map<String, Value>| {
        let entries = object(root, "skills").and_then(|skills| object(skills, "entries"))?;
        let entry = object(entries, &place)?;
        write(entry, params)?;
        told.send(entry.clone()).ok();
        Ok(())
    };
    call.parts.reload.edit(change).await.map_err(refusal)?;
    let mut config = entry.await.unwrap_or_default();
    hide(&mut config);
    Reply::of(&SkillsUpdated {
        ok: true,
        skill_key: key,
        config,
    })
}

/// What a skill is given must be something that can be given.
fn check(call: &Call, params: &SkillsUpdateParams) -> Result<(), GatewayError> {
    let env = params.env.iter().flatten();
    let values = params
        .api_key
        .iter()
        .chain(env.clone().map(|(_, value)| value));
    for value in values {
        if value.len() > SKILL_VALUE_BYTES_MAX || value.contains('\0') {
            let text = format!("a value is no text of at most {SKILL_VALUE_BYTES_MAX} bytes");
            return Err(call.invalid(&text));
        }
    }
    if env.clone().count() > SKILL_NEEDS_MAX {
        return Err(call.invalid(&format!("at /env: at most {SKILL_NEEDS_MAX} variables")));
    }
    for (name, _) in env {
        if !skills::is_variable(name.trim()) {
            let text = format!("at /env: \"{name}\" is no variable that a skill may set");
            return Err(call.invalid(&text));
        }
    }
    Ok(())
}

/// The object under a key, made when it isn't there.
fn object<'a>(
    parent: &'a mut Map<String, Value>,
    key: &str,
) -> Result<&'a mut Map<String, Value>, String> {
    let value = parent.entry(key).or_insert_with(|| json!({}));
    value
        .as_object_mut()
        .ok_or_else(|| format!("{key} is not an object"))
}

fn write(entry: &mut Map<String, Value>, params: SkillsUpdateParams) -> Result<(), String> {
    if let Some(enabled) = params.enabled {
        entry.insert("enabled".into(), enabled.into());
    }
    if let Some(key) = params.api_key {
        put(entry, "apiKey", &key);
    }
    let Some(env) = params.env else {
        return Ok(());
    };
    let variables = object(entry, "env")?;
    for (name, value) in env {
        put(variables, name.trim(), &value);
    }
    if variables.is_empty() {
        entry.remove("env");
    }
    Ok(())
}

/// A blank value removes what is there; a placeholder leaves it.
fn put(to: &mut Map<String, Value>, key: &str, value: &str) {
    match value.trim() {
        "" => {
            to.remove(key);
        }
        HIDDEN => {}
        value => {
            to.insert(key.to_owned(), value.into());
        }
    }
}

fn hide(entry: &mut Map<String, Value>) {
    if let Some(key) = entry.get_mut("apiKey") {
        *key = HIDDEN.into();
    }
    let env = entry.get_mut("env").and_then(Value::as_object_mut);
    for (_, value) in env.into_iter().flatten() {
        *value = HIDDEN.into();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn settings_are_written_and_hidden() {
        let mut entry = json!({ "apiKey": "old", "env": { "A": "1" }, "config": { "x": 1 } });
        let entry = entry.as_object_mut().unwrap();
        let mut change = |params: Value| {
            write(entry, serde_json::from_value(params).unwrap()).unwrap();
            entry.clone()
        };
        let kept = change(json!({ "skillKey": "s", "apiKey": HIDDEN, "enabled": false }));
        assert_eq!(
            (&kept["apiKey"], &kept["enabled"]),
            (&json!("old"), &json!(false))
        );
        let mut new =
            change(json!({ "skillKey": "s", "apiKey": " new ", "env": { "A": "", "B": "2" } }));
        assert_eq!(
            (&new["apiKey"], &new["env"]),
            (&json!("new"), &json!({ "B": "2" }))
        );
        hide(&mut new);
        assert_eq!(
            Value::Object(new),
            json!({ "apiKey": HIDDEN, "env": { "B": HIDDEN }, "config": { "x": 1 }, "enabled": false })
        );
        let none = change(json!({ "skillKey": "s", "apiKey": "", "env": { "B": " " } }));
        assert!(!none.contains_key("apiKey") && !none.contains_key("env"));
    }
}
