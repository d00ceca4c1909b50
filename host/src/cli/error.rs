//! What a command says when it fails: one shape for people, one for programs.
//!
//! Every command returns `Result<_, CliError>`; only `mod.rs` prints one. An error names the
//! cause, where the failing value came from, and the next command. Secrets never enter it.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What kind of thing went wrong; decides the exit code and the `type` of the JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line itself is wrong.
    Usage,
    /// A configuration file or value is wrong.
    Config,
    /// No connection, or it was lost.
    Connection,
    /// The deadline passed.
    Timeout,
    /// The gateway refused the connection: secret, device, pairing.
    Auth,
    /// The gateway answered a request with an error.
    Gateway,
    /// The other side does not speak the protocol.
    Protocol,
    /// A file or terminal of this machine.
    Local,
}

impl Kind {
    /// The `type` of the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Usage => "usage",
            Kind::Config => "config",
            Kind::Connection => "connection",
            Kind::Timeout => "timeout",
            Kind::Auth => "auth",
            Kind::Gateway => "gateway",
            Kind::Protocol => "protocol",
            Kind::Local => "local",
        }
    }

    /// The process exit code: 2 usage, 78 configuration, 1 everything else.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Usage => 2,
            Kind::Config => 78,
            _ => 1,
        }
    }
}

/// A failed command.
#[derive(Clone, Debug)]
pub struct CliError(Box<Story>);

#[derive(Clone, Debug)]
struct Story {
    kind: Kind,
    code: String,
    message: String,
    details: Map<String, Value>,
    facts: Vec<(&'static str, String)>,
    fixes: Vec<String>,
    retryable: bool,
}

#[derive(Serialize)]
struct Refusal {
    ok: bool,
    error: Told,
}

#[derive(Serialize)]
struct Told {
    #[serde(rename = "type")]
    kind: &'static str,
    code: String,
    message: String,
    details: Map<String, Value>,
    retryable: bool,
}

/// What every command returns.
pub type CliResult<T> = Result<T, CliError>;

impl CliError {
    /// An error of `kind`; `code` is for programs (`GATEWAY_UNREACHABLE`), `message` for people.
    pub fn new(kind: Kind, code: impl Into<String>, message: impl Into<String>) -> Self {
        CliError(Box::new(Story {
            kind,
            code: code.into(),
            message: message.into(),
            details: Map::new(),
            facts: Vec::new(),
            fixes: Vec::new(),
            retryable: false,
        }))
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, "USAGE", message)
    }

    /// A failed read or write of a file of this machine.
    pub fn file(path: &std::path::Path, what: &str, cause: &std::io::Error) -> Self {
        Self::new(
            Kind::Local,
            "FILE",
            format!("cannot {what} {}: {cause}", path.display()),
        )
    }

    /// Adds a line `label  value` under the message, and `key: value` to the details.
    pub fn fact(mut self, label: &'static str, key: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.0
            .details
            .insert(key.to_owned(), Value::String(value.clone()));
        self.0.facts.push((label, value));
        self
    }

    /// Adds one thing to do about it, best first.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.0.fixes.push(fix.into());
        self
    }

    /// Adds what the gateway told in `details`; an object is merged, anything else is kept whole.
    pub fn with_details(mut self, details: Option<Value>) -> Self {
        match details {
            Some(Value::Object(map)) => self.0.details.extend(map),
            Some(other) => {
                self.0.details.insert("details".to_owned(), other);
            }
            None => {}
        }
        self
    }

    /// Says whether the same command may succeed later without any change.
    pub fn retryable(mut self, yes: bool) -> Self {
        self.0.retryable = yes;
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The code for programs.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The message for people, without facts and fixes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The JSON form: `{"ok":false,"error":{type,code,message,details,retryable}}`.
    pub fn to_json(&self) -> impl Serialize + use<> {
        let mut details = self.0.details.clone();
        if !self.0.fixes.is_empty() {
            details.insert("fix".to_owned(), json!(self.0.fixes));
        }
        Refusal {
            ok: false,
            error: Told {
                kind: self.0.kind.name(),
                code: self.0.code.clone(),
                message: self.0.message.clone(),
                details,
                retryable: self.0.retryable,
            },
        }
    }

    /// The lines for people: the message first, then facts, then what to do.
    pub fn to_text(&self) -> String {
        let mut text = format!("error: {}\n", self.0.message);
        for (label, value) in &self.0.facts {
            text.push_str(&format!("  {:<9} {value}\n", format!("{label}:")));
        }
        for (index, fix) in self.0.fixes.iter().enumerate() {
            let label = if index == 0 { "to fix:" } else { "or:" };
            text.push_str(&format!("  {label:<9} {fix}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> CliError {
        CliError::new(
            Kind::Connection,
            "GATEWAY_UNREACHABLE",
            "no gateway answers",
        )
        .fact("url", "url", "ws://127.0.0.1:1")
        .fact("url from", "urlSource", "--url")
        .fix("start it: openclaw gateway")
        .fix("name another one with --url")
        .retryable(true)
    }

    #[test]
    fn text_names_cause_source_and_next_command() {
        assert_eq!(
            sample().to_text(),
            "error: no gateway answers\n  url:      ws://127.0.0.1:1\n  url from: --url\n  \
             to fix:   start it: openclaw gateway\n  or:       name another one with --url\n"
        );
    }

    #[test]
    fn json_has_the_five_fields() {
        let value = serde_json::to_value(sample().to_json()).unwrap();
        assert_eq!(value["ok"], false);
        let error = value["error"].as_object().unwrap();
        let mut keys: Vec<_> = error.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["code", "details", "message", "retryable", "type"]);
        assert_eq!(error["details"]["urlSource"], "--url");
        assert_eq!(error["details"]["fix"][0], "start it: openclaw gateway");
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        assert_eq!(Kind::Usage.exit_code(), 2);
        assert_eq!(Kind::Config.exit_code(), 78);
        for kind in [
            Kind::Connection,
            Kind::Timeout,
            Kind::Auth,
            Kind::Gateway,
            Kind::Local,
        ] {
            assert_eq!(kind.exit_code(), 1);
        }
    }
}
