//! The configuration as clients see it: without secrets, with what is wrong with it.

use gateway_schemas::config::{ConfigIssue, ConfigSnapshot};

use crate::channels::Channels;
use crate::config::{
    ConfigError, Document, FileSchema, LoadOptions, Redaction, check_startable, load_document,
};

/// The schema of the file, with what the plugins that serve say of their accounts.
pub fn schema(channels: &Channels) -> FileSchema {
    FileSchema::new(&channels.schemas())
}

/// The file as it is now. Reads it: not for a thread of the runtime.
///
/// # Errors
/// When it is there and can't be read at all.
pub fn snapshot(options: &LoadOptions, schema: &FileSchema) -> Result<ConfigSnapshot, ConfigError> {
    let file = options.paths()?.config_file;
    let raw = Document::read_or_raw(&file)?;
    let (document, mut wrong) = match Document::read(&file) {
        Ok(document) => (document, Vec::new()),
        Err(error) => (raw.clone(), vec![issue_of(&error)]),
    };
    let redaction = Redaction::new(schema);
    let mut warnings = Vec::new();
    if wrong.is_empty() {
        match load_document(options, document.clone()) {
            Ok(loaded) => {
                warnings = warnings_of(&loaded.unused_keys, &loaded.unresolved);
                let started = check_startable(&loaded.config).err();
                wrong.extend(started.map(|why| issue(String::new(), why)));
            }
            Err(error) => {
                let by_schema = issues(schema.issues(&document.tree));
                wrong = if by_schema.is_empty() {
                    vec![issue_of(&error)]
                } else {
                    by_schema
                };
            }
        }
    }
    let resolved = redaction.tree(&document.tree);
    Ok(ConfigSnapshot {
        path: file.display().to_string(),
        exists: raw.text.is_some(),
        // What can't be read can't be searched for secrets.
        raw: redaction.text(&raw).filter(|_| raw.is_readable()),
        parsed: redaction.tree(&document.own),
        config: resolved.clone(),
        resolved,
        valid: wrong.is_empty(),
        hash: raw.hash(),
        issues: wrong,
        warnings,
        legacy_issues: Vec::new(),
    })
}

fn warnings_of(unused: &[String], unresolved: &[String]) -> Vec<ConfigIssue> {
    let unused = unused
        .iter()
        .map(|key| issue(key.clone(), "this gateway doesn't use it".into()));
    let unresolved = unresolved.iter().filter_map(|text| text.split_once(": "));
    let unresolved = unresolved.map(|(key, why)| issue(key.to_owned(), why.to_owned()));
    unused.chain(unresolved).collect()
}

/// Each as clients read it.
pub(super) fn issues(found: Vec<(String, String)>) -> Vec<ConfigIssue> {
    found
        .into_iter()
        .map(|(path, message)| issue(path, message))
        .collect()
}

fn issue(path: String, message: String) -> ConfigIssue {
    ConfigIssue { path, message }
}

/// What stands in the way of reading it.
pub(super) fn issue_of(error: &ConfigError) -> ConfigIssue {
    match error {
        ConfigError::Invalid { key, problem, .. } => issue(key.clone(), problem.clone()),
        other => issue(String::new(), other.to_string()),
    }
}
