//! `agents/<id>/sessions/sessions.json` and the transcripts beside it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Import, ImportError, Report, text_of, transcript};
use crate::limits::IMPORT_BATCH_MESSAGES;
use crate::sessions::key::is_session_id;
use crate::sessions::{
    ChatFacts, MessageRow, RouteRow, SessionKey, SessionRow, SettingsRow, TokensRow,
};
use crate::store::transcripts::{self, Imported};
use crate::store::{Store, StoreError, sessions};

/// Settings that the store keeps by their names on the wire.
const WORDS: [&str; 14] = [
    "thinkingLevel",
    "verboseLevel",
    "reasoningLevel",
    "elevatedLevel",
    "responseUsage",
    "sendPolicy",
    "groupActivation",
    "execHost",
    "execSecurity",
    "execAsk",
    "execNode",
    "spawnedBy",
    "spawnedWorkspaceDir",
    "subagentRole",
];

/// Takes in every agent's conversations; false when there are none.
pub(super) async fn run(import: &Import<'_>, report: &mut Report) -> Result<bool, ImportError> {
    let mut found = false;
    let mut work = Work {
        import,
        report,
        seen: HashSet::new(),
        batch: Vec::new(),
    };
    for (agent, folder) in agents(import.folder) {
        let file = folder.join("sessions.json");
        let Some(text) = text_of(&file, work.report) else {
            continue;
        };
        found = true;
        let entries = match serde_json::from_str::<BTreeMap<String, &RawValue>>(&text) {
            Ok(entries) => entries,
            Err(error) => {
                let path = file.display().to_string();
                work.report.skip("file", path, error.to_string());
                continue;
            }
        };
        let mut named = HashSet::new();
        for (key, entry) in entries {
            if let Some(file) = work.one(&agent, &folder, &key, entry.get()).await? {
                named.insert(file);
            }
        }
        note_others(&folder, &named, work.report);
    }
    work.write().await?;
    Ok(found)
}

/// What goes on while conversations are taken in.
struct Work<'a> {
    import: &'a Import<'a>,
    report: &'a mut Report,
    /// Transcripts of this time: two sessions may share one.
    seen: HashSet<String>,
    /// What is written next: a commit for each would cost more than all the rest.
    batch: Vec<Imported>,
}

/// The agents of a state folder and where their sessions lie, by id.
fn agents(folder: &Path) -> Vec<(String, PathBuf)> {
    let listed = std::fs::read_dir(folder.join("agents"));
    let mut found: Vec<_> = listed
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|agent| {
            let id = agent.file_name().into_string().ok()?;
            Some((id, agent.path().join("sessions")))
        })
        .collect();
    found.sort();
    found
}

/// Transcripts that no session names: those before a reset, and of sessions that are gone.
fn note_others(folder: &Path, named: &HashSet<PathBuf>, report: &mut Report) {
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut others: Vec<PathBuf> = listed
        .map(|file| file.path())
        .filter(|path| path.to_string_lossy().contains(".jsonl") && !named.contains(path))
        .collect();
    others.sort();
    for path in others {
        let reason = "no session names it: it is from before a reset, or of a deleted session";
        report.skip("transcript", path.display().to_string(), reason);
    }
}

impl Work<'_> {
    /// Takes in one conversation; the transcript that belongs to it.
    async fn one(
        &mut self,
        agent: &str,
        folder: &Path,
        key: &str,
        entry: &str,
    ) -> Result<Option<PathBuf>, ImportError> {
        let (key, entry) = match read(self.import, agent, key, entry) {
            Ok(read) => read,
            Err(reason) => {
                self.report.skip("session", key, reason);
                return Ok(None);
            }
        };
        // Only its name counts: the folder may have come from another machine.
        let named = entry.session_file.as_deref().map(Path::new);
        let path = match named.and_then(Path::file_name) {
            Some(name) => folder.join(name),
            None => folder.join(format!("{}.jsonl", entry.session_id)),
        };
        let said = transcript::read(&text_of(&path, self.report).unwrap_or_default());
        let row = entry.row();
        let again = !self.seen.insert(row.session_id.clone());
        if !again {
            for (what, count) in &said.left_out {
                let reason = format!("{count} {what}");
                let path = path.display().to_string();
                self.report.skip("transcript", path, reason);
            }
        }
        let mut messages = said.messages;
        match standing(self.import.store, &key, &row.session_id, &messages, again)? {
            Standing::Conflict(reason) => self.report.skip("session", key.as_str(), reason),
            Standing::Here { is_new, known } => {
                let fresh = messages.split_off(known);
                self.report.messages.unchanged += known as u64;
                self.report.messages.imported += fresh.len() as u64;
                if !is_new && fresh.is_empty() {
                    self.report.sessions.unchanged += 1;
                    return Ok(Some(path));
                }
                self.report.sessions.imported += 1;
                self.batch.push(Imported {
                    key: key.to_string(),
                    row,
                    messages: fresh,
                });
                let waiting: usize = self.batch.iter().map(|one| one.messages.len() + 1).sum();
                if waiting >= IMPORT_BATCH_MESSAGES {
                    self.write().await?;
                }
            }
        }
        Ok(Some(path))
    }

    async fn write(&mut self) -> Result<(), ImportError> {
        let batch = std::mem::take(&mut self.batch);
        match self.import.store {
            Some(store) if !self.import.dry_run && !batch.is_empty() => {
                Ok(transcripts::import(store, batch).await?)
            }
            _ => Ok(()),
        }
    }
}

/// The session's own key and what is known of it.
fn read(
    import: &Import<'_>,
    agent: &str,
    key: &str,
    entry: &str,
) -> Result<(SessionKey, Entry), String> {
    let entry: Entry = serde_json::from_str(entry).map_err(|e| e.to_string())?;
    if !is_session_id(&entry.session_id) {
        return Err("its sessionId is not one".to_owned());
    }
    let whole = match key {
        "global" | "unknown" => key.to_owned(),
        _ if key.starts_with("agent:") => key.to_owned(),
        _ => format!("agent:{agent}:{key}"),
    };
    let key = SessionKey::resolve(&whole, import.config).map_err(|e| e.to_string())?;
    Ok((key, entry))
}

/// How a conversation stands here already.
enum Standing {
    /// The first `known` of its messages are here.
    Here { is_new: bool, known: usize },
    /// Something of our own is in its place.
    Conflict(&'static str),
}

fn standing(
    store: Option<&Store>,
    key: &SessionKey,
    session_id: &str,
    messages: &[MessageRow],
    again: bool,
) -> Result<Standing, StoreError> {
    let nothing = Standing::Here {
        is_new: true,
        known: if again { messages.len() } else { 0 },
    };
    let Some(store) = store else {
        return Ok(nothing);
    };
    let old = sessions::get(store, key.as_str())?;
    if old.as_ref().is_some_and(|old| old.session_id != session_id) {
        let reason = "a conversation of this gateway has its place: reset or delete that first";
        return Ok(Standing::Conflict(reason));
    }
    if again {
        return Ok(Standing::Here {
            is_new: old.is_none(),
            known: messages.len(),
        });
    }
    let last = transcripts::tail(store, session_id, 1)?.pop();
    let Some(last) = last else {
        return Ok(Standing::Here {
            is_new: old.is_none(),
            known: 0,
        });
    };
    let keys: Vec<&str> = messages.iter().filter_map(|m| m.key.as_deref()).collect();
    let here = transcripts::known(store, session_id, &keys)?;
    let known = here.iter().take_while(|here| **here).count();
    if here[known..].contains(&true) || (known == 0 && !here.is_empty()) {
        return Ok(Standing::Conflict(
            "its transcript was changed here since it was imported",
        ));
    }
    let ours = !last.key.is_some_and(|key| key.starts_with(transcript::KEY));
    if known < messages.len() && ours {
        return Ok(Standing::Conflict(
            "it went on both there and here since it was imported",
        ));
    }
    Ok(Standing::Here {
        is_new: old.is_none(),
        known,
    })
}

/// One session as the reference keeps it; what this gateway has no use for is not read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    session_id: String,
    updated_at: f64,
    session_file: Option<String>,
    label: Option<String>,
    display_name: Option<String>,
    channel: Option<String>,
    chat_type: Option<String>,
    subject: Option<String>,
    origin: Option<Origin>,
    delivery_context: Option<Place>,
    last_channel: Option<String>,
    last_to: Option<String>,
    last_account_id: Option<String>,
    last_thread_id: Option<Value>,
    system_sent: Option<bool>,
    aborted_last_run: Option<bool>,
    fast_mode: Option<bool>,
    provider_override: Option<String>,
    model_override: Option<String>,
    spawn_depth: Option<u64>,
    model_provider: Option<String>,
    model: Option<String>,
    context_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    /// The rest, of which [`WORDS`] are used.
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Origin {
    label: Option<String>,
    provider: Option<String>,
    from: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Place {
    channel: Option<String>,
    to: Option<String>,
    account_id: Option<String>,
    thread_id: Option<Value>,
}

impl Entry {
    fn row(self) -> SessionRow {
        let words = WORDS.iter().filter_map(|name| {
            let word = self.other.get(*name)?.as_str()?;
            Some(((*name).to_owned(), word.to_owned()))
        });
        let words = words.collect();
        let origin = self.origin.unwrap_or_default();
        let last = Place {
            channel: self.last_channel,
            to: self.last_to,
            account_id: self.last_account_id,
            thread_id: self.last_thread_id,
        };
        let place = self
            .delivery_context
            .filter(|place| place.channel.is_some());
        let tokens = TokensRow {
            input: self.input_tokens.unwrap_or(0),
            output: self.output_tokens.unwrap_or(0),
            cache_read: self.cache_read.unwrap_or(0),
            cache_write: self.cache_write.unwrap_or(0),
            total: 0,
        };
        let total = [
            tokens.input,
            tokens.output,
            tokens.cache_read,
            tokens.cache_write,
        ];
        let total = total.into_iter().fold(0, u64::saturating_add);
        SessionRow {
            session_id: self.session_id,
            earlier: Vec::new(),
            updated_at: self.updated_at as u64,
            chat: ChatFacts {
                chat_type: self.chat_type,
                channel: self.channel.or(origin.provider),
                label: self.display_name.or(origin.label),
                subject: self.subject,
                from: origin.from,
            },
            route: route(place.unwrap_or(last)),
            settings: SettingsRow {
                label: self.label,
                fast_mode: self.fast_mode,
                provider_override: self.provider_override,
                model_override: self.model_override,
                spawn_depth: self.spawn_depth,
                words,
            },
            system_sent: self.system_sent.unwrap_or(false),
            aborted_last_run: self.aborted_last_run.unwrap_or(false),
            model_provider: self.model_provider,
            model: self.model,
            context_tokens: self.context_tokens,
            tokens: (total > 0).then_some(TokensRow { total, ..tokens }),
            memories: BTreeMap::new(),
        }
    }
}

fn route(place: Place) -> Option<RouteRow> {
    Some(RouteRow {
        channel: place.channel?,
        to: place.to,
        account_id: place.account_id,
        thread_id: place.thread_id.and_then(|id| match id {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }),
    })
}
