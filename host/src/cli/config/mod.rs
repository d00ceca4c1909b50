//! `config …`: this machine's configuration, read and changed by paths.
//!
//! A gateway that runs on the state folder is asked through its own socket: it knows its plugins'
//! keys, checks the change with them and puts it in force. Without one the file itself is read and
//! changed in the same way. Secrets are hidden in whatever is shown.

mod path;

use std::process::ExitCode;

use gateway_schemas::config::{ConfigApplied, ConfigIssue, ConfigSchemaAnswer, ConfigSnapshot};
use serde_json::{Map, Value, json};

use super::args::{ConfigCommand, ConfigSetArgs};
use super::client::{Client, paths, with_own_gateway};
use super::error::{CliError, CliResult, Kind};
use super::output::{Paint, Screen, complain};
use crate::clock::Clock;
use crate::config::{Document, FileSchema, LoadOptions, Paths, rewrite};
use crate::files::private_dir;
use crate::http::{LockError, StateLock};
use crate::reload::{self, ReloadError};
use path::Path;

/// Runs one of the commands.
///
/// # Errors
/// What the gateway says, or what is wrong with the file or the path.
pub fn run(command: &ConfigCommand, screen: &Screen) -> CliResult<ExitCode> {
    let paths = paths()?;
    match command {
        ConfigCommand::Get(args) => get(&args.path, &paths, screen)?,
        ConfigCommand::Set(args) => set(args, &paths, screen)?,
        ConfigCommand::Unset(args) => unset(&args.path, &paths, screen)?,
        ConfigCommand::Validate(_) => return validate(&paths, screen),
        ConfigCommand::Schema(args) => schema(args.path.as_deref(), &paths, screen)?,
        ConfigCommand::File(_) => {
            let file = paths.config_file.display().to_string();
            match screen.json_wanted() {
                true => screen.value_json(&json!({ "path": file })),
                false => screen.line(file),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read_path(text: &str) -> CliResult<Path> {
    Path::read(text).map_err(CliError::usage)
}

/// The file as the gateway sees it, or as it is.
fn snapshot(paths: &Paths) -> CliResult<ConfigSnapshot> {
    let asked = with_own_gateway(paths, async |client: &mut Client| {
        client.read("config.get", &json!({})).await
    })?;
    match asked {
        Some(snapshot) => Ok(snapshot),
        None => reload::snapshot(&LoadOptions::default(), &FileSchema::new(&[]))
            .map_err(|cause| CliError::new(Kind::Config, "CONFIG_UNREADABLE", cause.to_string())),
    }
}

fn get(text: &str, paths: &Paths, screen: &Screen) -> CliResult<()> {
    let path = read_path(text)?;
    let found = snapshot(paths)?;
    let value = path.find(&found.config).ok_or_else(|| {
        if found.config.is_empty() && !found.valid {
            return invalid(&found.path, &found.issues);
        }
        not_found(text)
    })?;
    match value {
        Value::String(text) if !screen.json_wanted() => screen.line(super::text::clean(text)),
        value => screen.value_json(value),
    }
    Ok(())
}

fn not_found(path: &str) -> CliError {
    CliError::new(
        Kind::Local,
        "CONFIG_PATH_NOT_FOUND",
        format!("config path not found: {path}"),
    )
}

fn invalid(file: &str, issues: &[ConfigIssue]) -> CliError {
    let why = ReloadError::Invalid(issues.to_vec()).to_string();
    let text = format!("invalid config: {why}");
    CliError::new(Kind::Config, "CONFIG_INVALID", text)
        .fact("file", "path", file)
        .with_details(Some(json!({ "issues": issues })))
}

fn set(args: &ConfigSetArgs, paths: &Paths, screen: &Screen) -> CliResult<()> {
    let path = read_path(&args.path)?;
    let value = value_of(&args.value, args.strict_json || args.json)?;
    change(&args.path, "updated", paths, screen, |tree| {
        path.set(tree, value).map_err(CliError::usage)
    })
}

/// JSON5 where it is some, else the text as it is.
fn value_of(text: &str, strict: bool) -> CliResult<Value> {
    match json5::from_str(text.trim()) {
        Ok(value) => Ok(value),
        Err(_) if !strict => Ok(Value::from(text)),
        Err(why) => Err(CliError::usage(format!("the value is not JSON5: {why}"))
            .fix("put texts in quotes: '\"text\"'")),
    }
}

fn unset(text: &str, paths: &Paths, screen: &Screen) -> CliResult<()> {
    let path = read_path(text)?;
    change(text, "removed", paths, screen, |tree| {
        if path.unset(tree) {
            return Ok(());
        }
        Err(not_found(text).fact(
            "file",
            "path",
            format!("{} (not what it includes)", paths.config_file.display()),
        ))
    })
}

/// What became of a change.
enum Done {
    /// The running gateway has it; what counts after a restart only.
    InForce(Option<String>),
    /// It counts when a gateway starts.
    Written,
}

/// Changes the file's own tree, through the gateway if one runs.
fn change(
    path: &str,
    verb: &str,
    paths: &Paths,
    screen: &Screen,
    alter: impl FnOnce(&mut Map<String, Value>) -> CliResult<()>,
) -> CliResult<()> {
    let file = &paths.config_file;
    let unreadable = |cause: &dyn std::fmt::Display| {
        CliError::new(Kind::Config, "CONFIG_UNREADABLE", cause.to_string())
    };
    let former = Document::read_or_raw(file).map_err(|cause| unreadable(&cause))?;
    if !former.is_readable() {
        let why = Document::read(file).err();
        let why = why.map_or_else(|| "it is no JSON5".to_owned(), |why| why.to_string());
        return Err(unreadable(&why).fix("correct the file by hand"));
    }
    let mut tree = former.own.clone();
    alter(&mut tree)?;
    let text = match tree == former.own {
        true => former.text.clone().unwrap_or_default(),
        false => rewrite(former.text.as_deref(), &former.own, &tree),
    };
    let done = write(paths, &former, text)?;
    if screen.json_wanted() {
        let (running, restart) = match &done {
            Done::InForce(restart) => (true, restart.clone()),
            Done::Written => (false, None),
        };
        let mut told = json!({ "ok": true, "path": file, "key": path, "running": running });
        if let Some(restart) = restart {
            told["restart"] = restart.into();
        }
        screen.value_json(&told);
        return Ok(());
    }
    let told = match done {
        Done::InForce(None) => "the gateway has it".to_owned(),
        Done::InForce(Some(restart)) => restart,
        Done::Written => "it counts when the gateway starts".to_owned(),
    };
    screen.line(format!(
        "{}: {told}",
        screen.paint(Paint::Good, &format!("{verb} {path}"))
    ));
    Ok(())
}

/// Writes the next text, if it may be one.
fn write(paths: &Paths, former: &Document, text: String) -> CliResult<Done> {
    let base = former.text.as_ref().map(|_| former.hash());
    let mut params = json!({ "raw": text });
    if let Some(base) = base {
        params["baseHash"] = base.into();
    }
    let asked = with_own_gateway(paths, async |client: &mut Client| {
        client.read::<ConfigApplied>("config.apply", &params).await
    })?;
    if let Some(applied) = asked {
        return Ok(Done::InForce(applied.restart.map(|restart| restart.reason)));
    }
    let failed = |cause: std::io::Error| CliError::file(&paths.config_file, "write", &cause);
    private_dir(&paths.state_dir).map_err(failed)?;
    // No gateway begins to read while this one writes.
    let _lock =
        StateLock::take(&paths.state_dir, &Clock::system()).map_err(|error| match error {
            LockError::Held { .. } => {
                CliError::new(Kind::Connection, "GATEWAY_UNREACHABLE", error.to_string())
                    .fix("run this as the user whom the gateway runs as")
            }
            LockError::Io(_, cause) => failed(cause),
        })?;
    let now = Document::read_or_raw(&paths.config_file).map(|now| now.text);
    if now.ok().as_ref() != Some(&former.text) {
        let text = "the file changed meanwhile";
        return Err(CliError::new(Kind::Local, "CONFIG_CHANGED", text).retryable(true));
    }
    if former.text.as_deref() == Some(&text) {
        return Ok(Done::Written);
    }
    let schema = FileSchema::new(&[]);
    let options = LoadOptions::default();
    let checked = reload::text::check(&options, &schema, &paths.config_file, text.clone());
    checked.map_err(|error| match error {
        ReloadError::Invalid(issues) => invalid(&paths.config_file.display().to_string(), &issues),
        other => CliError::new(Kind::Config, "CONFIG_INVALID", other.to_string()),
    })?;
    reload::text::write(&paths.config_file, former, &text).map_err(failed)?;
    Ok(Done::Written)
}

fn validate(paths: &Paths, screen: &Screen) -> CliResult<ExitCode> {
    let found = snapshot(paths)?;
    let file = &found.path;
    if screen.json_wanted() {
        let mut told = json!({ "valid": found.valid && found.exists, "path": file });
        if !found.exists {
            told["error"] = "file not found".into();
        } else if !found.valid {
            told["issues"] = json!(found.issues);
        }
        screen.value_json(&told);
    } else if !found.exists {
        complain(&format!("config file not found: {file}\n"));
    } else if found.valid {
        screen.line(screen.paint(Paint::Good, &format!("config valid: {file}")));
        for warning in &found.warnings {
            let text = format!("  {}: {}", warning.path, warning.message);
            screen.line(screen.paint(Paint::Warn, &super::text::clean(&text)));
        }
    } else {
        complain(&format!("config invalid: {file}\n"));
        for issue in &found.issues {
            let key = if issue.path.is_empty() {
                "the file"
            } else {
                &issue.path
            };
            complain(&super::text::clean(&format!("  {key}: {}", issue.message)));
            complain("\n");
        }
    }
    Ok(match (found.exists, found.valid) {
        (true, true) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(Kind::Config.exit_code()),
    })
}

fn schema(path: Option<&str>, paths: &Paths, screen: &Screen) -> CliResult<()> {
    if let Some(path) = path {
        let params = json!({ "path": path });
        let asked = with_own_gateway(paths, async |client: &mut Client| {
            client.request("config.schema.lookup", &params).await
        })?;
        match asked {
            Some(found) => screen.raw_json(found.get()),
            None => {
                let found = FileSchema::new(&[]).lookup(path);
                screen.value_json(&found.ok_or_else(|| not_found(path))?);
            }
        }
        return Ok(());
    }
    let asked = with_own_gateway(paths, async |client: &mut Client| {
        client
            .read::<ConfigSchemaAnswer>("config.schema", &json!({}))
            .await
    })?;
    match asked {
        Some(answer) => screen.value_json(&answer.schema),
        None => screen.value_json(&FileSchema::new(&[]).shown()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_are_json5_or_text() {
        for (text, expected) in [
            ("19001", json!(19001)),
            ("true", json!(true)),
            ("2h", json!("2h")),
            ("'x'", json!("x")),
            ("{a: 1}", json!({"a": 1})),
            ("/usr/bin", json!("/usr/bin")),
        ] {
            assert_eq!(value_of(text, false).unwrap(), expected, "{text}");
        }
        assert!(value_of("2h", true).is_err());
        assert_eq!(value_of("'2h'", true).unwrap(), "2h");
    }
}
