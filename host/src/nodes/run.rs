//! The params of `system.run` on their way to a node: only what the node may hear of, and no word
//! that stands for an approval which nobody gave.

use serde_json::{Map, Value, json};

/// What is passed on. The rest, such as `approved`, is the gateway's to say.
const PASSED_ON: [&str; 11] = [
    "command",
    "rawCommand",
    "systemRunPlan",
    "cwd",
    "env",
    "timeoutMs",
    "needsScreenRecording",
    "agentId",
    "sessionKey",
    "runId",
    "suppressNotifyOnExit",
];
/// Programs whose `-c` takes a line for a shell.
const SHELLS: [&str; 6] = ["sh", "bash", "zsh", "dash", "ksh", "fish"];

/// Why a run is refused before any node hears of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// For people.
    pub text: &'static str,
    /// For programs; an object with `code`.
    pub details: Value,
}

/// What the node is told. Params that are no object are passed on: the node says what it thinks.
///
/// # Errors
/// [`Refused`] for an approval that can't be checked, and for a text that says something else
/// than the words that would be run.
pub fn params(params: Option<&Value>) -> Result<Option<Value>, Refused> {
    let Some(Value::Object(given)) = params else {
        return Ok(params.cloned());
    };
    if claims_approval(given) {
        let named = given.get("runId").and_then(Value::as_str);
        return Err(match named.map(str::trim).filter(|id| !id.is_empty()) {
            None => refused("approval override requires params.runId", "MISSING_RUN_ID"),
            Some(_) => refused("exec approvals unavailable", "APPROVALS_UNAVAILABLE"),
        });
    }
    if !agrees(given) {
        return Err(refused(
            "rawCommand does not match command",
            "RAW_COMMAND_MISMATCH",
        ));
    }
    let passed = PASSED_ON
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), given.get(*key)?.clone())));
    Ok(Some(Value::Object(passed.collect())))
}

fn refused(text: &'static str, code: &str) -> Refused {
    let details = json!({ "code": code });
    Refused { text, details }
}

fn claims_approval(given: &Map<String, Value>) -> bool {
    let decision = given.get("approvalDecision").and_then(Value::as_str);
    given.get("approved") == Some(&Value::Bool(true))
        || decision.is_some_and(|word| matches!(word.trim(), "allow-once" | "allow-always"))
}

/// A text for people to approve must be what is run: the words themselves, or the line that a
/// shell is given.
fn agrees(given: &Map<String, Value>) -> bool {
    let raw = given.get("rawCommand").and_then(Value::as_str);
    let Some(raw) = raw.map(str::trim).filter(|raw| !raw.is_empty()) else {
        return true;
    };
    let words = given.get("command").and_then(Value::as_array);
    let words: Option<Vec<&str>> =
        words.and_then(|words| words.iter().map(Value::as_str).collect());
    let Some(words) = words.filter(|words| !words.is_empty()) else {
        return false;
    };
    raw == spelt(&words) || shell_line(&words).is_some_and(|line| raw == line.trim())
}

fn spelt(words: &[&str]) -> String {
    let quoted = words.iter().map(|word| {
        if word.is_empty() {
            "\"\"".to_owned()
        } else if word.contains(|c: char| c.is_whitespace() || c == '"') {
            format!("\"{}\"", word.replace('"', "\\\""))
        } else {
            (*word).to_owned()
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn shell_line<'a>(words: &[&'a str]) -> Option<&'a str> {
    let [program, flag, line] = words else {
        return None;
    };
    let name = program.rsplit('/').next()?;
    (SHELLS.contains(&name) && matches!(*flag, "-c" | "-lc")).then_some(*line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn code(given: Value) -> Option<String> {
        let refused = params(Some(&given)).err()?;
        refused.details["code"].as_str().map(str::to_owned)
    }

    #[test]
    fn only_known_keys_are_passed_on() {
        let given = json!({
            "command": ["ls"], "cwd": "/tmp", "approved": false, "approvalDecision": "deny",
            "internal": true, "rawCommand": "ls",
        });
        let passed = json!({ "command": ["ls"], "cwd": "/tmp", "rawCommand": "ls" });
        assert_eq!(params(Some(&given)), Ok(Some(passed)));
        assert_eq!(params(None), Ok(None));
        assert_eq!(params(Some(&json!("ls"))), Ok(Some(json!("ls"))));
    }

    #[test]
    fn nobody_approves_for_himself() {
        for approval in [
            json!({ "approved": true }),
            json!({ "approvalDecision": "allow-once" }),
            json!({ "approvalDecision": " allow-always " }),
        ] {
            let mut given = json!({ "command": ["ls"], "runId": " " });
            let map = given.as_object_mut();
            map.into_iter()
                .for_each(|map| map.extend(approval.as_object().cloned().unwrap_or_default()));
            assert_eq!(code(given.clone()).as_deref(), Some("MISSING_RUN_ID"));
            given["runId"] = json!("r");
            assert_eq!(code(given).as_deref(), Some("APPROVALS_UNAVAILABLE"));
        }
    }

    #[test]
    fn what_is_shown_is_what_is_run() {
        for (command, raw, fits) in [
            (json!(["ls", "-l"]), "ls -l", true),
            (json!(["echo", "a b", ""]), "echo \"a b\" \"\"", true),
            (json!(["/bin/sh", "-lc", "ls | wc"]), "ls | wc", true),
            (json!(["rm", "-rf", "/"]), "ls", false),
            (json!(["/bin/sh", "-c", "rm x"]), "ls", false),
            (json!(["python", "-c", "x"]), "x", false),
            (json!("ls"), "ls", false),
        ] {
            let refusal = code(json!({ "command": command, "rawCommand": raw }));
            assert_eq!(refusal.is_none(), fits, "{command} {raw}");
        }
    }
}
