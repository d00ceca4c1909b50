//! `agents.create`, `agents.update`, `agents.delete`: they change `agents.list` of
//! `openclaw.json`, which is in force when they answer.

use std::path::{Path, PathBuf};

use gateway_schemas::agents::{
    AgentsCreateParams, AgentsCreated, AgentsDeleteParams, AgentsDeleted, AgentsUpdateParams,
    AgentsUpdated,
};
use serde_json::{Map, Value, json};

use crate::config::{Config, env, from_home};
use crate::error::GatewayError;
use crate::files;
use crate::methods::config::refusal;
use crate::methods::{Call, Outcome, Reply};
use crate::workspace;

/// The agent that is always there.
const MAIN: &str = "main";
/// Longest id of an agent, characters.
const ID_CHARS_MAX: usize = 64;

type Tree = Map<String, Value>;

/// `agents.create`
pub async fn create(call: Call) -> Outcome {
    let params: AgentsCreateParams = call.params()?;
    let name = params.name.trim().to_owned();
    let id = slug(&name);
    if id == MAIN {
        return Err(GatewayError::invalid(format!("\"{MAIN}\" is reserved")));
    }
    let config = call.parts.config.current();
    let folder = absolute(&params.workspace)?;
    let taken = format!("agent \"{id}\" already exists");
    if config.agents.exists(&id) {
        return Err(GatewayError::invalid(taken));
    }
    files::folder(&folder).map_err(|e| unusable(&folder, e))?;
    let mut identity = Map::new();
    identity.insert("name".into(), name.clone().into());
    for (key, value) in [("emoji", &params.emoji), ("avatar", &params.avatar)] {
        if let Some(value) = value.as_deref().map(str::trim).filter(|v| !v.is_empty()) {
            identity.insert(key.into(), value.into());
        }
    }
    let about = about(&identity);
    let default = config.agents.default_id().to_owned();
    let (new, path) = (id.clone(), folder.display().to_string());
    let shown = name.clone();
    let change = move |root: &mut Tree| {
        let list = list(root)?;
        if place(list, &new).is_some() {
            return Err(taken);
        }
        // The first of the list is the default one, which so far was there without an entry.
        if list.is_empty() {
            list.push(json!({ "id": default }));
        }
        list.push(json!({ "id": new, "name": shown, "workspace": path, "identity": identity }));
        Ok(())
    };
    call.parts.reload.edit(change).await.map_err(refusal)?;
    let file = workspace::entry(&folder, "IDENTITY.md");
    if file.facts.is_none()
        && let Err(error) = workspace::write(&folder, file.name, &about)
    {
        tracing::warn!(agent = id, ?error, "IDENTITY.md was not written");
    }
    Reply::of(&AgentsCreated {
        ok: true,
        agent_id: id,
        name,
        workspace: folder.display().to_string(),
    })
}

/// `agents.update`
pub async fn update(call: Call) -> Outcome {
    let params: AgentsUpdateParams = call.params()?;
    let id = params.agent_id.trim().to_lowercase();
    let folder = params.workspace.as_deref().map(absolute).transpose()?;
    if let Some(folder) = &folder {
        files::folder(folder).map_err(|e| unusable(folder, e))?;
    }
    let wanted = id.clone();
    let change = move |root: &mut Tree| {
        let list = list(root)?;
        let missing = || format!("agent \"{wanted}\" not found");
        let place = place(list, &wanted).ok_or_else(missing)?;
        let entry = list[place].as_object_mut().ok_or_else(missing)?;
        let texts = [("name", params.name), ("model", params.model)];
        for (key, value) in texts {
            if let Some(value) = value.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()) {
                entry.insert(key.into(), value.into());
            }
        }
        if let Some(folder) = folder {
            entry.insert("workspace".into(), folder.display().to_string().into());
        }
        if let Some(avatar) = params.avatar.map(|v| v.trim().to_owned()) {
            let identity = entry.entry("identity").or_insert_with(|| json!({}));
            let identity = identity
                .as_object_mut()
                .ok_or("agents.list[].identity is not an object")?;
            identity.insert("avatar".into(), avatar.into());
        }
        Ok(())
    };
    call.parts.reload.edit(change).await.map_err(refusal)?;
    Reply::of(&AgentsUpdated {
        ok: true,
        agent_id: id,
    })
}

/// `agents.delete`: the entry and its bindings go; the folder goes to the trash of the state
/// folder, unless something else may need it. Conversations stay.
pub async fn delete(call: Call) -> Outcome {
    let params: AgentsDeleteParams = call.params()?;
    let id = params.agent_id.trim().to_lowercase();
    if id == MAIN {
        return Err(GatewayError::invalid(format!(
            "\"{MAIN}\" cannot be deleted"
        )));
    }
    let before = call.parts.config.current();
    let (told, removed) = tokio::sync::oneshot::channel();
    let wanted = id.clone();
    let change = move |root: &mut Tree| {
        let list = list(root)?;
        let place = place(list, &wanted).ok_or(format!("agent \"{wanted}\" not found"))?;
        list.remove(place);
        let bindings = root.get_mut("bindings").and_then(Value::as_array_mut);
        let count = bindings.map_or(0, |bindings| {
            let all = bindings.len();
            bindings.retain(|binding| !names(binding.get("agentId"), &wanted));
            all - bindings.len()
        });
        told.send(count).ok();
        Ok(())
    };
    call.parts.reload.edit(change).await.map_err(refusal)?;
    if params.delete_files != Some(false) {
        discard(
            &before,
            &call.parts.config.current(),
            &id,
            call.parts.clock.now_ms(),
        );
    }
    Reply::of(&AgentsDeleted {
        ok: true,
        agent_id: id,
        removed_bindings: removed.await.unwrap_or(0) as u64,
    })
}

/// Moves the folder of an agent that is gone to the trash.
fn discard(before: &Config, now: &Config, id: &str, now_ms: u64) {
    let folder = before.workspace(id);
    let state = &before.paths.state_dir;
    let home = env::home();
    let needed = |other: &Path| other.starts_with(&folder);
    let others = now
        .agents
        .ids()
        .into_iter()
        .map(|other| now.workspace(other));
    let keep = needed(state)
        || home.as_deref().is_some_and(needed)
        || others.into_iter().any(|other| other.starts_with(&folder));
    if keep {
        tracing::warn!(agent = id, folder = %folder.display(), "folder kept: others need it");
        return;
    }
    let trash = state.join("trash");
    let moved = files::folder(&trash)
        .and_then(|()| std::fs::rename(&folder, trash.join(format!("{id}-{now_ms}"))));
    match moved {
        Ok(()) => tracing::info!(agent = id, trash = %trash.display(), "folder moved to the trash"),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(agent = id, %error, "folder not moved to the trash"),
    }
}

/// `agents.list` of the file, made when it isn't there.
fn list(root: &mut Tree) -> Result<&mut Vec<Value>, String> {
    let agents = root.entry("agents").or_insert_with(|| json!({}));
    let agents = agents.as_object_mut().ok_or("agents is not an object")?;
    let list = agents.entry("list").or_insert_with(|| json!([]));
    list.as_array_mut()
        .ok_or_else(|| "agents.list is not a list".to_owned())
}

fn place(list: &[Value], id: &str) -> Option<usize> {
    list.iter().position(|entry| names(entry.get("id"), id))
}

fn names(value: Option<&Value>, id: &str) -> bool {
    let text = value.and_then(Value::as_str);
    text.is_some_and(|text| text.trim().eq_ignore_ascii_case(id))
}

/// The id of a name: lower case, everything odd becomes one dash.
fn slug(name: &str) -> String {
    let mut id = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '_' => id.push(c),
            _ if !id.is_empty() && !id.ends_with('-') => id.push('-'),
            _ => {}
        }
    }
    id.truncate(ID_CHARS_MAX);
    let id = id.trim_matches('-');
    if id.is_empty() { MAIN } else { id }.to_owned()
}

fn absolute(path: &str) -> Result<PathBuf, GatewayError> {
    std::path::absolute(from_home(path.trim()))
        .map_err(|e| GatewayError::invalid(format!("the workspace is no path: {e}")))
}

fn unusable(folder: &Path, error: std::io::Error) -> GatewayError {
    let shown = folder.display();
    GatewayError::unavailable(format!("Error: the folder {shown} can't be made")).caused_by(error)
}

/// What the agent reads of itself.
fn about(identity: &Map<String, Value>) -> String {
    let line = |key: &str, label: &str| {
        let value = identity.get(key).and_then(Value::as_str);
        value.map(|value| format!("- {label}: {}\n", value.replace(['\n', '\r'], " ")))
    };
    let lines = [("name", "Name"), ("emoji", "Emoji"), ("avatar", "Avatar")];
    let lines = lines
        .into_iter()
        .filter_map(|(key, label)| line(key, label));
    format!("# Identity\n\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_ids() {
        for (name, id) in [
            ("Ops Bot", "ops-bot"),
            ("  Ops -- Bot!! ", "ops-bot"),
            ("Üben_2", "ben_2"),
            ("Main", "main"),
            ("!!!", "main"),
        ] {
            assert_eq!(slug(name), id, "{name}");
        }
        assert_eq!(slug(&"x".repeat(100)).len(), ID_CHARS_MAX);
    }
}
