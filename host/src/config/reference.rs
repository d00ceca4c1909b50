//! References in `openclaw.json`: `${NAME}` and secrets that lie elsewhere.
//!
//! A secret is `{source, provider?, id}`: `env` is a variable; `file` is a file named under
//! `secrets.providers`, or a credential that systemd handed to the service (provider `systemd`).
//! Called by `load`. An error names what can't be read and the fix, never what was read.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::load::{ConfigError, invalid};
use super::{Dotenv, env};
use crate::files::{self, Readers};
use crate::limits::CREDENTIAL_FILE_BYTES_MAX;

/// The provider that needs no configuration: `$CREDENTIALS_DIRECTORY`.
const SYSTEMD: &str = "systemd";

/// Replaces `${NAME}` and secret references, everywhere in the file.
pub(super) struct Resolver<'a> {
    path: &'a Path,
    /// `secrets` as written.
    secrets: Value,
    dotenv: Dotenv,
    for_a_client: bool,
    pub(super) unresolved: Vec<String>,
}

impl<'a> Resolver<'a> {
    /// For the file at `path`, which says `root`.
    pub(super) fn new(path: &'a Path, root: &Map<String, Value>, dotenv: Dotenv) -> Self {
        Resolver {
            path,
            secrets: root.get("secrets").cloned().unwrap_or_default(),
            dotenv,
            for_a_client: false,
            unresolved: Vec::new(),
        }
    }

    /// The gateway's own secrets may be out of reach: then there are none.
    pub(super) fn for_a_client(self) -> Self {
        Resolver {
            for_a_client: true,
            ..self
        }
    }

    pub(super) fn resolve(&mut self, value: &mut Value, key: &str) -> Result<(), ConfigError> {
        if let Some(found) = self.secret(value) {
            match found {
                Ok(secret) => *value = Value::String(secret),
                Err(why) if key.starts_with("channels.") => {
                    self.unresolved.push(format!("{key}: {why}"));
                }
                Err(_) if self.for_a_client && key.starts_with("gateway.auth.") => {
                    *value = Value::Null;
                }
                Err(why) => return Err(invalid(self.path, key, why)),
            }
            return Ok(());
        }
        match value {
            Value::String(text) if text.contains("${") => {
                *text = self
                    .substitute(text)
                    .map_err(|why| invalid(self.path, key, why))?;
            }
            Value::Array(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    self.resolve(item, &format!("{key}[{i}]"))?;
                }
            }
            Value::Object(map) => {
                for (name, item) in map {
                    self.resolve(item, &format!("{key}.{name}"))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `{source, provider?, id}` is a reference to a secret; anything else is `None`.
    fn secret(&self, value: &Value) -> Option<Result<String, String>> {
        let map = value.as_object()?;
        let source = map.get("source")?.as_str()?;
        let id = map.get("id")?.as_str()?;
        if !map
            .keys()
            .all(|k| matches!(k.as_str(), "source" | "provider" | "id"))
        {
            return None;
        }
        match source {
            "env" => Some(self.dotenv.var(id).ok_or_else(|| {
                format!("the environment variable {id} is not set: set it before start")
            })),
            "file" => {
                let provider = map.get("provider").and_then(Value::as_str);
                Some(self.of_file(provider, id))
            }
            "exec" => Some(Err(
                "secret references of source exec are not supported: use source env or file".into(),
            )),
            _ => None,
        }
    }

    fn substitute(&self, text: &str) -> Result<String, String> {
        substitute(text, &self.dotenv)
    }

    fn of_file(&self, provider: Option<&str>, id: &str) -> Result<String, String> {
        let by_default = self
            .secrets
            .pointer("/defaults/file")
            .and_then(Value::as_str);
        let name = provider.or(by_default).unwrap_or("default");
        let providers = self.secrets.get("providers");
        let Some(entry) = providers.and_then(|p| p.get(name)) else {
            if name == SYSTEMD {
                return of_systemd(id);
            }
            return Err(format!(
                "there is no secrets.providers.{name}: add it as {{ source: \"file\", path: \"/a/file\" }}"
            ));
        };
        let key = format!("secrets.providers.{name}");
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        if text("source") != Some("file") {
            return Err(format!("{key}.source is not file, as this reference says"));
        }
        let path = text("path").ok_or_else(|| format!("{key}.path is missing: name the file"))?;
        let path = home_expanded(&self.substitute(path)?);
        let held = read(&path, Readers::OwnerAlone)?;
        match text("mode").unwrap_or("json") {
            "singleValue" if id == "value" => Ok(held),
            "singleValue" => Err(format!("{key} holds a single value: use the id \"value\"")),
            "json" => {
                in_json(&held, id).ok_or_else(|| format!("{} has no text at {id}", path.display()))
            }
            other => Err(format!("{key}.mode is {other}: use json or singleValue")),
        }
    }
}

/// A credential of the service, by its name. Its folder is the service's alone, however the
/// file's own mode looks.
fn of_systemd(id: &str) -> Result<String, String> {
    let folder = env::var(env::CREDENTIALS_DIRECTORY).ok_or_else(|| {
        format!(
            "{} is not set: start the gateway as a systemd service with LoadCredential={id}:/a/file",
            env::CREDENTIALS_DIRECTORY
        )
    })?;
    if id.contains('/') || matches!(id, "" | "." | "..") {
        return Err(format!("{id:?} is not the name of a credential"));
    }
    read(&Path::new(&folder).join(id), Readers::AsTheFolder)
}

/// The text of a file, without the white space around it.
fn read(path: &Path, readers: Readers) -> Result<String, String> {
    let text = files::read_secret(path, CREDENTIAL_FILE_BYTES_MAX, readers)?;
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(text.to_owned())
}

/// The text at a JSON pointer; `None` for anything else, so that no error can quote the file.
fn in_json(text: &str, pointer: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let found = value.pointer(pointer)?.as_str()?.trim();
    (!found.is_empty()).then(|| found.to_owned())
}

fn home_expanded(path: &str) -> PathBuf {
    let below = path.strip_prefix("~/");
    let home = below.and_then(|below| Some(env::home()?.join(below)));
    home.unwrap_or_else(|| PathBuf::from(path))
}

/// Replaces `${NAME}`; `$${NAME}` stays as `${NAME}`.
pub(super) fn substitute(text: &str, dotenv: &Dotenv) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let literal = rest[..at].ends_with('$');
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            break;
        };
        let name = &rest[at + 2..at + end];
        if literal {
            out.push('{');
            out.push_str(name);
            out.push('}');
        } else {
            let value = dotenv.var(name).ok_or_else(|| {
                format!("the environment variable {name} is not set: set it or write $${{{name}}} for the plain text")
            })?;
            out.push_str(&value);
        }
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn resolve(secrets: &Value, reference: Value) -> Result<Value, String> {
        let root = json!({ "secrets": secrets });
        let path = Path::new("openclaw.json");
        let mut resolver = Resolver::new(path, root.as_object().unwrap(), Dotenv::default());
        let mut value = reference;
        let done = resolver.resolve(&mut value, "gateway.auth.token");
        done.map(|()| value).map_err(|e| e.to_string())
    }

    #[test]
    fn a_file_holds_one_secret_or_many() {
        let dir = tempfile::tempdir().unwrap();
        let (one, many) = (dir.path().join("one"), dir.path().join("many.json"));
        files::write_private(&one, b"s3cret\n").unwrap();
        files::write_private(&many, br#"{ "gateway": { "a/b": "deep", "n": 5 } }"#).unwrap();
        let secrets = json!({
            "providers": {
                "one": { "source": "file", "path": one, "mode": "singleValue" },
                "many": { "source": "file", "path": many },
                "shell": { "source": "env" },
                "odd": { "source": "file", "path": one, "mode": "yaml" },
                "bare": { "source": "file" },
            },
            "defaults": { "file": "one" },
        });
        let of = |provider: &str, id: &str| {
            let reference = json!({ "source": "file", "provider": provider, "id": id });
            resolve(&secrets, reference)
        };
        assert_eq!(of("one", "value").unwrap(), "s3cret");
        assert_eq!(of("many", "/gateway/a~1b").unwrap(), "deep");
        let by_default = json!({ "source": "file", "id": "value" });
        assert_eq!(resolve(&secrets, by_default).unwrap(), "s3cret");
        for (provider, id, words) in [
            ("one", "/x", "use the id \"value\""),
            ("many", "/gateway/n", "has no text at /gateway/n"),
            ("many", "gateway", "has no text at gateway"),
            (
                "shell",
                "value",
                "secrets.providers.shell.source is not file",
            ),
            ("odd", "value", "use json or singleValue"),
            ("bare", "value", "secrets.providers.bare.path is missing"),
            ("nobody", "value", "there is no secrets.providers.nobody"),
            ("systemd", "token", "CREDENTIALS_DIRECTORY is not set"),
        ] {
            let error = of(provider, id).unwrap_err();
            assert!(error.contains(words), "{error}");
            assert!(error.contains("gateway.auth.token"), "{error}");
            assert!(
                !error.contains("s3cret") && !error.contains("deep"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_client_goes_without_what_only_the_gateway_can_read() {
        let path = Path::new("openclaw.json");
        let mut resolver = Resolver::new(path, &Map::new(), Dotenv::default()).for_a_client();
        let mut value = json!({ "source": "file", "provider": "systemd", "id": "token" });
        resolver.resolve(&mut value, "gateway.auth.token").unwrap();
        assert_eq!(value, Value::Null);
    }

    #[test]
    fn references_are_replaced_and_literals_kept() {
        let path = env::var("PATH").unwrap();
        let substitute = |text: &str| substitute(text, &Dotenv::default());
        assert_eq!(substitute("a ${PATH} b").unwrap(), format!("a {path} b"));
        assert_eq!(substitute("$${PATH}").unwrap(), "${PATH}");
        assert_eq!(substitute("${unfinished").unwrap(), "${unfinished");
    }
}
