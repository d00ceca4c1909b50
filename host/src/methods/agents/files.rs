//! `agents.files.list`, `agents.files.get`, `agents.files.set`: the files that say who an agent is.

use std::path::PathBuf;

use gateway_schemas::agents::{
    AgentFile, AgentsFileGot, AgentsFileParams, AgentsFileSet, AgentsFileSetParams,
    AgentsFilesList, AgentsFilesListParams,
};

use crate::error::GatewayError;
use crate::methods::{Call, Outcome, Reply};
use crate::workspace::{self, Entry, FileError};

/// `agents.files.list`
pub async fn list(call: Call) -> Outcome {
    let params: AgentsFilesListParams = call.params()?;
    let (agent_id, folder) = folder(&call, &params.agent_id)?;
    let entries = workspace::list(&folder);
    Reply::of(&AgentsFilesList {
        agent_id,
        workspace: folder.display().to_string(),
        files: entries
            .into_iter()
            .map(|entry| shown(entry, None))
            .collect(),
    })
}

/// `agents.files.get`
pub async fn get(call: Call) -> Outcome {
    let params: AgentsFileParams = call.params()?;
    let (agent_id, folder) = folder(&call, &params.agent_id)?;
    let name = known(&params.name)?;
    let text = workspace::read(&folder, name).map_err(|e| refused(name, e))?;
    let mut entry = workspace::entry(&folder, name);
    entry.facts = entry.facts.filter(|_| text.is_some());
    Reply::of(&AgentsFileGot {
        agent_id,
        workspace: folder.display().to_string(),
        file: shown(entry, text),
    })
}

/// `agents.files.set`
pub async fn set(call: Call) -> Outcome {
    let params: AgentsFileSetParams = call.params()?;
    let (agent_id, folder) = folder(&call, &params.agent_id)?;
    let name = known(&params.name)?;
    let entry = workspace::write(&folder, name, &params.content);
    let entry = entry.map_err(|e| refused(name, e))?;
    Reply::of(&AgentsFileSet {
        ok: true,
        agent_id,
        workspace: folder.display().to_string(),
        file: shown(entry, Some(params.content)),
    })
}

fn folder(call: &Call, agent_id: &str) -> Result<(String, PathBuf), GatewayError> {
    let config = call.parts.config.current();
    let id = agent_id.trim().to_lowercase();
    if !config.agents.exists(&id) {
        return Err(GatewayError::invalid("unknown agent id"));
    }
    let folder = config.workspace(&id);
    Ok((id, folder))
}

fn known(name: &str) -> Result<&'static str, GatewayError> {
    let refused = || GatewayError::invalid(format!("unsupported file \"{name}\""));
    workspace::known(name.trim()).ok_or_else(refused)
}

fn refused(name: &str, error: FileError) -> GatewayError {
    match error {
        FileError::Unsupported => GatewayError::invalid(format!("unsupported file \"{name}\"")),
        FileError::Unsafe(why) => {
            GatewayError::invalid(format!("unsafe workspace file \"{name}\" ({why})"))
        }
        FileError::Io(e) => {
            let text = format!("Error: the workspace file \"{name}\" can't be used");
            GatewayError::unavailable(text).caused_by(e)
        }
    }
}

fn shown(entry: Entry, content: Option<String>) -> AgentFile {
    AgentFile {
        name: entry.name.to_owned(),
        path: entry.path.display().to_string(),
        missing: entry.facts.is_none(),
        size: entry.facts.map(|(size, _)| size),
        updated_at_ms: entry.facts.map(|(_, at)| at),
        content,
    }
}
