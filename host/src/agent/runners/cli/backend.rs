//! How a program is called: `agents.defaults.cliBackends.<id>`, and the built-in ones.
//!
//! Pure: settings and a prompt in, arguments out. Promises that nothing passes through a shell and
//! that no text of a person or program can be read as an option.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::agent::runner::RunnerError;
use crate::agent::runners::process;
use crate::config::Config;
use crate::limits;

/// Stands for the id of the conversation in arguments.
const SESSION_ID: &str = "{sessionId}";
/// Stands for the model's name in arguments.
const MODEL: &str = "{model}";

/// One backend, settings over built-in values.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// The program: a path, or a name in `PATH`.
    pub command: String,
    /// Arguments of a first call.
    #[serde(default)]
    pub args: Vec<String>,
    /// Arguments when a conversation goes on, instead of `args`.
    pub resume_args: Option<Vec<String>>,
    /// What it writes.
    #[serde(default)]
    pub output: Output,
    /// The same when a conversation goes on.
    pub resume_output: Option<Output>,
    /// Where it reads the prompt.
    #[serde(default)]
    pub input: Input,
    /// Longest prompt that is passed as an argument, bytes; longer ones go to its input.
    pub max_prompt_arg_chars: Option<usize>,
    /// Option before the model's name.
    pub model_arg: Option<String>,
    /// The program's own names for models.
    #[serde(default)]
    pub model_aliases: std::collections::BTreeMap<String, String>,
    /// Option before the conversation's id.
    pub session_arg: Option<String>,
    /// More arguments for it.
    #[serde(default)]
    pub session_args: Vec<String>,
    /// Who names a conversation.
    #[serde(default)]
    pub session_mode: SessionMode,
    /// Where its output tells the id.
    #[serde(default = "id_fields")]
    pub session_id_fields: Vec<String>,
    /// Option before the standing instructions; without one they go before the first prompt.
    pub system_prompt_arg: Option<String>,
    /// When it is used.
    #[serde(default)]
    pub system_prompt_when: When,
    /// Variables for the program beside the few that every program gets.
    #[serde(default)]
    pub env: std::collections::BTreeMap<String, crate::config::Secret>,
    /// Variables that it doesn't get.
    #[serde(default)]
    pub clear_env: Vec<String>,
}

/// What a program writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// One JSON value.
    #[default]
    Json,
    /// One JSON value a line.
    Jsonl,
    /// The answer itself.
    Text,
}

/// Where a program reads the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// Its last argument.
    #[default]
    Arg,
    /// Its input.
    Stdin,
}

/// Who names a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionMode {
    /// The gateway, at the first call.
    Always,
    /// The program, in its output.
    #[default]
    Existing,
    /// Nobody: each call stands alone.
    None,
}

/// When standing instructions are passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// At the first call of a conversation.
    #[default]
    First,
    /// At each call.
    Always,
    /// Not at all.
    Never,
}

fn id_fields() -> Vec<String> {
    [
        "session_id",
        "sessionId",
        "conversation_id",
        "conversationId",
        "thread_id",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The built-in settings of a backend.
fn built_in(id: &str) -> Option<Value> {
    // What isn't allowed by the program's own settings is refused, for nobody is there to ask.
    let claude = [
        "-p",
        "--output-format",
        "json",
        "--permission-mode",
        "default",
    ];
    let claude_again = [&claude[..], &["--resume", SESSION_ID]].concat();
    let codex = [
        "--json",
        "--color",
        "never",
        "--sandbox",
        "read-only",
        "--skip-git-repo-check",
    ];
    // Options of `exec` stand before its command.
    let codex = [&["exec", "--model", MODEL][..], &codex].concat();
    let codex_again = [&codex[..], &["resume", SESSION_ID]].concat();
    Some(match id {
        "claude-cli" => json!({
            "command": "claude", "args": claude, "resumeArgs": claude_again, "output": "json",
            "sessionArg": "--session-id", "sessionMode": "always", "modelArg": "--model",
            "systemPromptArg": "--append-system-prompt",
        }),
        "codex-cli" => json!({
            "command": "codex", "args": codex, "resumeArgs": codex_again, "output": "jsonl",
            "sessionIdFields": ["thread_id"], "sessionMode": "existing",
        }),
        _ => return None,
    })
}

/// True for a backend that is built in or configured.
pub fn exists(config: &Config, id: &str) -> bool {
    configured(config, id).is_some() || built_in(id).is_some()
}

fn configured<'a>(config: &'a Config, id: &str) -> Option<&'a Value> {
    config.agents.defaults.cli_backends.get(id)
}

/// The settings of a backend; none when there is no such backend.
///
/// # Errors
/// [`RunnerError`] that names the wrong setting.
pub fn find(config: &Config, id: &str) -> Result<Option<Backend>, RunnerError> {
    let (place, configured) = (("cliBackends", id), configured(config, id));
    process::settings(place, built_in(id), configured, |backend: &Backend| {
        &backend.command
    })
}

/// One call of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Its arguments.
    pub args: Vec<String>,
    /// What it reads; none for nothing.
    pub input: Option<String>,
    /// The id of the conversation, as far as it is known before.
    pub session_id: Option<String>,
    /// How its output is to be read.
    pub output: Output,
}

/// What a program is told.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The model's name, as configured.
    pub model: &'a str,
    /// Standing instructions; may be empty.
    pub system: &'a str,
    /// The newest message.
    pub text: &'a str,
    /// The id of the conversation that goes on.
    pub resume: Option<&'a str>,
    /// What a new conversation would be called.
    pub fresh_id: &'a str,
}

impl Backend {
    /// The call for a message.
    ///
    /// # Errors
    /// [`RunnerError`] when the model's name or the id could be read as an option.
    pub fn invocation(&self, message: &Message<'_>) -> Result<Invocation, RunnerError> {
        let resume = message
            .resume
            .filter(|_| self.session_mode != SessionMode::None);
        let session_id = match (resume, self.session_mode) {
            (Some(id), _) => Some(id.to_owned()),
            (None, SessionMode::Always) => Some(message.fresh_id.to_owned()),
            (None, _) => None,
        };
        let mut args = match (resume, &self.resume_args) {
            (Some(id), Some(args)) => with_id(args, id),
            _ => self.args.clone(),
        };
        // Arguments for going on say the id themselves.
        let told = resume.is_some() && self.resume_args.is_some();
        if let Some(id) = session_id.as_deref().filter(|_| !told) {
            args.extend(
                self.session_arg
                    .iter()
                    .cloned()
                    .flat_map(|arg| [arg, id.to_owned()]),
            );
            args.extend(with_id(&self.session_args, id));
        }
        self.name_model(&mut args, message.model)?;
        let mut text = message.text.to_owned();
        let first = resume.is_none();
        let instruct = match self.system_prompt_when {
            When::First => first,
            When::Always => true,
            When::Never => false,
        };
        match &self.system_prompt_arg {
            _ if !instruct || message.system.is_empty() => {}
            Some(arg) if message.system.len() <= limits::CLI_ARGUMENT_BYTES_MAX => {
                args.extend([arg.clone(), message.system.to_owned()]);
            }
            _ => text = format!("{}\n\n{text}", message.system),
        }
        if text.starts_with('-') {
            text.insert(0, ' ');
        }
        let longest = self.max_prompt_arg_chars.unwrap_or(usize::MAX);
        let longest = longest.min(limits::CLI_ARGUMENT_BYTES_MAX);
        let input = if self.input == Input::Stdin || text.len() > longest {
            Some(text)
        } else {
            args.push(text);
            None
        };
        let output = self.resume_output.filter(|_| resume.is_some());
        Ok(Invocation {
            args,
            input,
            session_id,
            output: output.unwrap_or(self.output),
        })
    }
}

impl Backend {
    fn name_model(&self, args: &mut Vec<String>, model: &str) -> Result<(), RunnerError> {
        let model = self.model_aliases.get(model).map_or(model, String::as_str);
        if model.starts_with('-') {
            let text = format!("the model \"{model}\" is no name");
            return Err(RunnerError::new(text));
        }
        if args.iter().any(|arg| arg.contains(MODEL)) {
            args.iter_mut()
                .for_each(|arg| *arg = arg.replace(MODEL, model));
        } else if let Some(arg) = self.model_arg.as_ref().filter(|_| !model.is_empty()) {
            args.extend([arg.clone(), model.to_owned()]);
        }
        Ok(())
    }
}

fn with_id(args: &[String], id: &str) -> Vec<String> {
    args.iter().map(|arg| arg.replace(SESSION_ID, id)).collect()
}

/// True for an id that a program may be given back.
pub fn is_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    !text.is_empty() && text.len() <= 200 && !text.starts_with('-') && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn backend(settings: Value) -> Backend {
        serde_json::from_value(settings).unwrap()
    }

    fn call(backend: &Backend, text: &str, resume: Option<&str>) -> Invocation {
        let message = Message {
            model: "sonnet",
            system: "be kind",
            text,
            resume,
            fresh_id: "new-id",
        };
        backend.invocation(&message).unwrap()
    }

    #[test]
    fn the_built_in_ones_are_called_as_their_programs_want() {
        let claude = backend(built_in("claude-cli").unwrap());
        let options = [
            "-p",
            "--output-format",
            "json",
            "--permission-mode",
            "default",
        ];
        let first = call(&claude, "hi", None);
        let rest = ["--session-id", "new-id", "--model", "sonnet"];
        let system = ["--append-system-prompt", "be kind", "hi"];
        assert_eq!(first.args, [&options[..], &rest, &system].concat());
        assert_eq!(first.session_id.as_deref(), Some("new-id"));
        let next = call(&claude, "hi", Some("old"));
        let rest = ["--resume", "old", "--model", "sonnet", "hi"];
        assert_eq!(next.args, [&options[..], &rest].concat());
        let codex = backend(built_in("codex-cli").unwrap());
        let first = call(&codex, "hi", None);
        assert_eq!(first.args.last().unwrap(), "be kind\n\nhi");
        assert_eq!((first.session_id, first.output), (None, Output::Jsonl));
        let next = call(&codex, "hi", Some("old"));
        assert!(
            next.args
                .starts_with(&["exec".into(), "--model".into(), "sonnet".into()])
        );
        assert!(
            next.args
                .join(" ")
                .ends_with("--skip-git-repo-check resume old hi")
        );
    }

    #[test]
    fn a_text_is_never_an_option() {
        let plain = backend(json!({"command": "x", "systemPromptWhen": "never"}));
        assert_eq!(call(&plain, "--evil", None).args, [" --evil"]);
        let message = Message {
            model: "-evil",
            system: "",
            text: "x",
            resume: None,
            fresh_id: "",
        };
        let with_model = backend(json!({"command": "x", "modelArg": "-m"}));
        assert!(with_model.invocation(&message).is_err());
        for (id, good) in [
            ("0199-ab_c", true),
            ("-x", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(is_id(id), good, "{id}");
        }
    }

    #[test]
    fn long_texts_go_to_the_input() {
        let short = backend(json!({"command": "x", "maxPromptArgChars": 3,
            "systemPromptWhen": "never"}));
        let long = call(&short, "four", None);
        assert_eq!((long.args.len(), long.input.as_deref()), (0, Some("four")));
        let text = "x".repeat(limits::CLI_ARGUMENT_BYTES_MAX + 1);
        let plain = backend(json!({"command": "x", "systemPromptWhen": "never"}));
        assert!(call(&plain, &text, None).input.is_some());
        let stdin = backend(json!({"command": "x", "input": "stdin"}));
        assert_eq!(
            call(&stdin, "hi", None).input.as_deref(),
            Some("be kind\n\nhi")
        );
    }

    #[test]
    fn who_keeps_no_conversations_is_given_no_id() {
        let none = backend(json!({"command": "x", "sessionMode": "none", "sessionArg": "-s"}));
        let called = call(&none, "hi", Some("old"));
        assert_eq!((called.args.len(), called.session_id), (1, None));
    }
}
