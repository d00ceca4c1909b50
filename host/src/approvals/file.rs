//! The approvals file on disk: `exec-approvals.json` in the state folder, 0600.
//!
//! In the form that clients of the reference know, so that an existing one goes on; what this
//! gateway doesn't know in it is kept by its own changes. A file that can't be read is told, never
//! replaced, and allows nothing. Reading and writing block for a moment: they are small.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_schemas::approvals::{
    ExecAgent, ExecAllowed, ExecApprovals, ExecApprovalsFile, ExecDefaults, ExecSocket,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Approvals;
use crate::files::{self, Readers};
use crate::{limits, spell};

/// Why the file is not read or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// A change must name what it changes.
    BaseNeeded,
    /// Somebody else changed it since.
    Changed,
    /// It can't be read, or makes no sense.
    Unreadable(String),
    /// It can't be written.
    Unwritable(String),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = "re-run exec.approvals.get and retry";
        match self {
            FileError::BaseNeeded => write!(f, "exec approvals base hash required; {again}"),
            FileError::Changed => write!(f, "exec approvals changed since last load; {again}"),
            FileError::Unreadable(why) => write!(f, "exec approvals file can't be read: {why}"),
            FileError::Unwritable(why) => write!(f, "exec approvals file can't be written: {why}"),
        }
    }
}

impl std::error::Error for FileError {}

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct FileRow {
    pub(super) version: u64,
    #[serde(default)]
    socket: SocketRow,
    #[serde(default)]
    pub(super) defaults: PolicyRow,
    #[serde(default)]
    pub(super) agents: BTreeMap<String, AgentRow>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct SocketRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// The words of the file, or of one agent in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PolicyRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) security: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ask: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ask_fallback: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_allow_skills: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AgentRow {
    #[serde(flatten)]
    pub(super) policy: PolicyRow,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "patterns")]
    pub(super) allowlist: Vec<AllowedRow>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// One pattern.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AllowedRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    pub(super) pattern: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_resolved_path: Option<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Old files hold plain texts; entries without a pattern say nothing.
fn patterns<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<AllowedRow>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Entry {
        Text(String),
        Row(AllowedRow),
    }
    let entries = Option::<Vec<Entry>>::deserialize(d)?.unwrap_or_default();
    let rows = entries.into_iter().map(|entry| match entry {
        Entry::Text(pattern) => AllowedRow {
            pattern,
            ..AllowedRow::default()
        },
        Entry::Row(row) => row,
    });
    Ok(rows.filter(|row| !row.pattern.trim().is_empty()).collect())
}

/// The command that used a pattern.
pub(super) struct Use<'a> {
    pub(super) pattern: &'a str,
    pub(super) command: &'a str,
    pub(super) program: &'a str,
}

impl Approvals {
    /// The file as clients see it; made when there is none.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn file(&self) -> Result<ExecApprovals, FileError> {
        let _one_at_a_time = self.inner.changing.lock();
        let (text, row) = self.ensured()?;
        Ok(self.shown(&text, row))
    }

    /// Replaces what the file says. `base` is the hash of the text that was changed. The socket's
    /// secret stays, since clients don't see it.
    ///
    /// # Errors
    /// [`FileError`]; the file is as it was then.
    pub fn set_file(
        &self,
        file: ExecApprovalsFile,
        base: Option<&str>,
    ) -> Result<ExecApprovals, FileError> {
        let _one_at_a_time = self.inner.changing.lock();
        let (text, current) = self.ensured()?;
        match base.map(str::trim).filter(|base| !base.is_empty()) {
            None => return Err(FileError::BaseNeeded),
            Some(base) if base != hash(&text) => return Err(FileError::Changed),
            Some(_) => {}
        }
        let row = self.merged(file, current);
        let text = self.write(&row)?;
        tracing::info!("approvals file changed by a client");
        Ok(self.shown(&text, row))
    }

    /// What the file says now; nothing when there is none.
    pub(super) fn row(&self) -> Result<FileRow, FileError> {
        Ok(self.read()?.map(|(_, row)| row).unwrap_or_default())
    }

    /// Allows a pattern for an agent from now on.
    pub(super) fn add(&self, agent: &str, used: &Use<'_>) -> Result<(), FileError> {
        let now = self.inner.clock.now_ms();
        self.change(|row| {
            let list = &mut row.agents.entry(agent.to_owned()).or_default().allowlist;
            if !list.iter().any(|entry| entry.pattern == used.pattern) {
                list.push(AllowedRow {
                    id: Some(self.inner.clock.uuid()),
                    pattern: used.pattern.to_owned(),
                    ..AllowedRow::default()
                });
            }
            note(list, used, now);
            true
        })
    }

    /// Notes that a pattern was used, unless that was noted a moment ago.
    pub(super) fn note_use(&self, agent: &str, used: &Use<'_>) -> Result<(), FileError> {
        let now = self.inner.clock.now_ms();
        self.change(|row| {
            let mut changed = false;
            for agent in [agent, "*"] {
                if let Some(agent) = row.agents.get_mut(agent) {
                    changed |= note(&mut agent.allowlist, used, now);
                }
            }
            changed
        })
    }

    fn change(&self, change: impl FnOnce(&mut FileRow) -> bool) -> Result<(), FileError> {
        let changing = self.inner.changing.lock();
        let _one_at_a_time = changing.unwrap_or_else(PoisonError::into_inner);
        let (_, mut row) = self.ensured()?;
        if change(&mut row) {
            self.write(&row)?;
        }
        Ok(())
    }

    fn read(&self) -> Result<Option<(String, FileRow)>, FileError> {
        let path = &self.inner.path;
        match path.try_exists() {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(error) => return Err(FileError::Unreadable(error.to_string())),
        }
        let most = limits::APPROVALS_FILE_BYTES_MAX;
        let text = files::read_secret(path, most, Readers::AsTheFolder);
        let text = text.map_err(FileError::Unreadable)?;
        let mut json = serde_json::Deserializer::from_str(&text);
        let row: FileRow = serde_path_to_error::deserialize(&mut json)
            .map_err(|e| FileError::Unreadable(format!("{} at {}", e.inner(), e.path())))?;
        if row.version != 1 {
            let version = row.version;
            return Err(FileError::Unreadable(format!("version {version}, not 1")));
        }
        Ok(Some((text, row)))
    }

    fn ensured(&self) -> Result<(String, FileRow), FileError> {
        if let Some(found) = self.read()? {
            return Ok(found);
        }
        let row = FileRow {
            version: 1,
            socket: SocketRow {
                path: Some(self.inner.socket.display().to_string()),
                token: Some(URL_SAFE_NO_PAD.encode(self.inner.clock.random::<24>())),
            },
            ..FileRow::default()
        };
        let text = self.write(&row)?;
        Ok((text, row))
    }

    fn write(&self, row: &FileRow) -> Result<String, FileError> {
        let failed = |why: String| FileError::Unwritable(why);
        let mut text = serde_json::to_string_pretty(row).map_err(|e| failed(e.to_string()))?;
        text.push('\n');
        if text.len() as u64 > limits::APPROVALS_FILE_BYTES_MAX {
            let most = limits::APPROVALS_FILE_BYTES_MAX;
            return Err(failed(format!("it would be larger than {most} bytes")));
        }
        let written = files::write_private(&self.inner.path, text.as_bytes());
        written.map_err(|e| failed(e.to_string()))?;
        Ok(text)
    }

    /// What a client sent, with what it doesn't see.
    fn merged(&self, file: ExecApprovalsFile, current: FileRow) -> FileRow {
        let ExecSocket { path, token } = file.socket.unwrap_or_default();
        let some = |text: Option<String>| {
            let text = text.map(|text| text.trim().to_owned());
            text.filter(|text| !text.is_empty())
        };
        let own_path = || self.inner.socket.display().to_string();
        let defaults = file.defaults.unwrap_or_default();
        let agents = file.agents.unwrap_or_default().into_iter();
        FileRow {
            version: 1,
            socket: SocketRow {
                path: some(path)
                    .or(current.socket.path)
                    .or_else(|| Some(own_path())),
                token: some(token).or(current.socket.token),
            },
            defaults: PolicyRow {
                security: defaults.security,
                ask: defaults.ask,
                ask_fallback: defaults.ask_fallback,
                auto_allow_skills: defaults.auto_allow_skills,
            },
            agents: agents
                .map(|(id, agent)| (id, self.agent_row(agent)))
                .collect(),
            other: current.other,
        }
    }

    fn agent_row(&self, agent: ExecAgent) -> AgentRow {
        let row = |allowed: ExecAllowed| AllowedRow {
            id: allowed.id.or_else(|| Some(self.inner.clock.uuid())),
            pattern: allowed.pattern,
            last_used_at: allowed.last_used_at,
            last_used_command: allowed.last_used_command,
            last_resolved_path: allowed.last_resolved_path,
            other: Map::new(),
        };
        let list = agent.allowlist.unwrap_or_default().into_iter();
        AgentRow {
            policy: PolicyRow {
                security: agent.security,
                ask: agent.ask,
                ask_fallback: agent.ask_fallback,
                auto_allow_skills: agent.auto_allow_skills,
            },
            allowlist: list
                .filter(|allowed| !allowed.pattern.trim().is_empty())
                .map(row)
                .collect(),
            other: Map::new(),
        }
    }

    fn shown(&self, text: &str, row: FileRow) -> ExecApprovals {
        let allowed = |row: AllowedRow| ExecAllowed {
            id: row.id,
            pattern: row.pattern,
            last_used_at: row.last_used_at,
            last_used_command: row.last_used_command,
            last_resolved_path: row.last_resolved_path,
        };
        let agent = |row: AgentRow| ExecAgent {
            security: row.policy.security,
            ask: row.policy.ask,
            ask_fallback: row.policy.ask_fallback,
            auto_allow_skills: row.policy.auto_allow_skills,
            allowlist: (!row.allowlist.is_empty())
                .then(|| row.allowlist.into_iter().map(allowed).collect()),
        };
        let agents = row.agents.into_iter().map(|(id, row)| (id, agent(row)));
        let file = ExecApprovalsFile {
            version: 1,
            socket: row.socket.path.map(|path| ExecSocket {
                path: Some(path),
                token: None,
            }),
            defaults: Some(ExecDefaults {
                security: row.defaults.security,
                ask: row.defaults.ask,
                ask_fallback: row.defaults.ask_fallback,
                auto_allow_skills: row.defaults.auto_allow_skills,
            }),
            agents: Some(agents.collect()),
        };
        ExecApprovals {
            path: self.inner.path.display().to_string(),
            exists: true,
            hash: hash(text),
            file,
        }
    }
}

fn note(list: &mut [AllowedRow], used: &Use<'_>, now: u64) -> bool {
    let mut changed = false;
    for entry in list.iter_mut().filter(|e| e.pattern == used.pattern) {
        let last = entry.last_used_at.unwrap_or(0);
        if now.saturating_sub(last) < limits::APPROVAL_USE_NOTED_MS {
            continue;
        }
        let command = used.command.chars().take(limits::APPROVAL_USE_CHARS_MAX);
        entry.last_used_at = Some(now);
        entry.last_used_command = Some(command.collect());
        entry.last_resolved_path = Some(used.program.to_owned());
        changed = true;
    }
    changed
}

fn hash(text: &str) -> String {
    spell::hex(&Sha256::digest(text.as_bytes()))
}
