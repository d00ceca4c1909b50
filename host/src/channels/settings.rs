//! From `channels.<id>` in the configuration to one set of settings per account.
//!
//! Pure, except that a credential may come from a file or the environment, read through the
//! `Sources` given. Called by `build.rs` at start and whenever a plugin changes. A wrong account is an [`AccountPlan`]
//! with a problem, never an error: the other accounts start.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::access::Access;
use super::catalogue;
use crate::config::Dotenv;

/// Account that is meant when none is named.
pub const DEFAULT_ACCOUNT: &str = "default";

/// Where credentials may come from besides the configuration.
pub trait Sources {
    /// The value of an environment variable; blank is absent.
    fn env(&self, name: &str) -> Option<String>;
    /// The text of a regular file, or why it can't be read.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// One channel as configured.
#[derive(Debug)]
pub struct ChannelPlan {
    /// The account meant when none is named.
    pub default_account: String,
    /// By account id.
    pub accounts: BTreeMap<String, AccountPlan>,
}

/// One account as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountPlan {
    /// Name for people.
    pub name: Option<String>,
    /// Whether it should run.
    pub enabled: bool,
    /// What the plugin gets: channel and account keys merged, credentials in place.
    pub config: Value,
    /// Who may write to it.
    pub access: Access,
    /// Put before every reply.
    pub response_prefix: Option<String>,
    /// Where the credential came from: `config`, `tokenFile`, `env` or `none`; absent for
    /// surfaces without one.
    pub token_source: Option<&'static str>,
    /// The dotted path of the account in the configuration, for messages.
    pub path: String,
    /// What is wrong; then the account isn't started.
    pub problem: Option<String>,
}

/// Reads one channel's block. `None` stands for a channel without a block, which starts only when
/// the environment holds its credential.
pub fn plan(
    channel: &str,
    block: Option<&Value>,
    group_policy_default: Option<&str>,
    sources: &dyn Sources,
) -> Option<ChannelPlan> {
    let empty = Map::new();
    let block = match block {
        Some(Value::Object(map)) => map,
        Some(_) => return Some(broken(channel)),
        None => {
            let credential = catalogue::find(channel)?.credential.as_ref()?;
            sources.env(credential.env)?;
            &empty
        }
    };
    let named = match block.get("accounts") {
        Some(Value::Object(accounts)) if !accounts.is_empty() => Some(accounts),
        _ => None,
    };
    let mut accounts = BTreeMap::new();
    match named {
        None => {
            let path = format!("channels.{channel}");
            let own = account(
                channel,
                DEFAULT_ACCOUNT,
                block,
                None,
                path,
                group_policy_default,
                sources,
            );
            accounts.insert(DEFAULT_ACCOUNT.to_owned(), own);
        }
        Some(named) => {
            for (id, over) in named {
                let path = format!("channels.{channel}.accounts.{id}");
                let id = id.trim().to_lowercase();
                let own = account(
                    channel,
                    &id,
                    block,
                    Some(over),
                    path,
                    group_policy_default,
                    sources,
                );
                accounts.insert(id, own);
            }
        }
    }
    let wanted = block
        .get("defaultAccount")
        .and_then(Value::as_str)
        .map(|id| id.trim().to_lowercase());
    let default_account = wanted
        .filter(|id| accounts.contains_key(id))
        .or_else(|| {
            accounts
                .contains_key(DEFAULT_ACCOUNT)
                .then(|| DEFAULT_ACCOUNT.to_owned())
        })
        .or_else(|| accounts.keys().next().cloned())
        .unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned());
    Some(ChannelPlan {
        default_account,
        accounts,
    })
}

fn broken(channel: &str) -> ChannelPlan {
    let path = format!("channels.{channel}");
    let plan = AccountPlan {
        name: None,
        enabled: true,
        config: Value::Object(Map::new()),
        access: Access::closed(),
        response_prefix: None,
        token_source: None,
        problem: Some(format!("{path} must be an object")),
        path,
    };
    ChannelPlan {
        default_account: DEFAULT_ACCOUNT.to_owned(),
        accounts: BTreeMap::from([(DEFAULT_ACCOUNT.to_owned(), plan)]),
    }
}

fn account(
    channel: &str,
    id: &str,
    block: &Map<String, Value>,
    over: Option<&Value>,
    path: String,
    group_policy_default: Option<&str>,
    sources: &dyn Sources,
) -> AccountPlan {
    let mut problem = None;
    let mut config = block.clone();
    for own in ["accounts", "defaultAccount"] {
        config.remove(own);
    }
    match over {
        Some(Value::Object(over)) => config.extend(over.clone()),
        None | Some(Value::Null) => {}
        Some(_) => problem = Some(format!("{path} must be an object")),
    }
    let channel_enabled = block.get("enabled").and_then(Value::as_bool) != Some(false);
    let enabled = channel_enabled && config.get("enabled").and_then(Value::as_bool) != Some(false);
    let token_source = match credential(channel, id, &mut config, &path, sources) {
        Ok(source) => source,
        Err(why) => {
            problem.get_or_insert(why);
            Some("none")
        }
    };
    let access = Access::read(&config, channel, group_policy_default).unwrap_or_else(|why| {
        problem.get_or_insert(format!("{path}.{why}"));
        Access::closed()
    });
    let text = |key: &str| config.get(key).and_then(Value::as_str).map(str::to_owned);
    AccountPlan {
        name: text("name"),
        response_prefix: text("responsePrefix"),
        enabled,
        access,
        token_source,
        path,
        problem,
        config: Value::Object(config),
    }
}

/// Puts the credential under its key: its own value, else the file's, else (default account
/// only) the environment's.
fn credential(
    channel: &str,
    id: &str,
    config: &mut Map<String, Value>,
    path: &str,
    sources: &dyn Sources,
) -> Result<Option<&'static str>, String> {
    let Some(known) = catalogue::find(channel).and_then(|k| k.credential.as_ref()) else {
        return Ok(None);
    };
    let file = config.remove(known.file_key);
    match config.get(known.key) {
        Some(Value::String(token)) if !token.trim().is_empty() => return Ok(Some("config")),
        Some(Value::Object(reference)) => {
            let name = reference.get("id").and_then(Value::as_str).unwrap_or("?");
            return Err(format!(
                "{path}.{}: the secret {name} could not be resolved: set it before start",
                known.key
            ));
        }
        _ => {}
    }
    if let Some(file) = file {
        let file = file
            .as_str()
            .ok_or_else(|| format!("{path}.{} must be text", known.file_key))?;
        let token = sources
            .file(file)
            .map_err(|why| format!("{path}.{}: {why}", known.file_key))?;
        config.insert(known.key.to_owned(), Value::String(token.trim().to_owned()));
        return Ok(Some("tokenFile"));
    }
    if id == DEFAULT_ACCOUNT
        && let Some(token) = sources.env(known.env)
    {
        config.insert(known.key.to_owned(), Value::String(token.trim().to_owned()));
        return Ok(Some("env"));
    }
    let fix = if id == DEFAULT_ACCOUNT {
        format!(" or {}", known.env)
    } else {
        String::new()
    };
    Err(format!(
        "{path}.{} is missing: set it, {}{fix}",
        known.key, known.file_key
    ))
}

/// The process's environment, the `.env` files beside the configuration, and files.
#[derive(Clone, Debug)]
pub struct SystemSources(pub Dotenv);

impl Sources for SystemSources {
    fn env(&self, name: &str) -> Option<String> {
        self.0.var(name)
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let meta =
            std::fs::symlink_metadata(path).map_err(|e| format!("can't read {path}: {e}"))?;
        if !meta.is_file() {
            return Err(format!("{path} is not a regular file"));
        }
        if meta.len() > crate::limits::CREDENTIAL_FILE_BYTES_MAX {
            return Err(format!("{path} is too large to be a credential"));
        }
        std::fs::read_to_string(path).map_err(|e| format!("can't read {path}: {e}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    struct Fixed(&'static [(&'static str, &'static str)]);

    impl Sources for Fixed {
        fn env(&self, name: &str) -> Option<String> {
            self.0
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        }
        fn file(&self, path: &str) -> Result<String, String> {
            self.env(path).ok_or_else(|| format!("can't read {path}"))
        }
    }

    fn of(
        channel: &str,
        block: Value,
        vars: &'static [(&'static str, &'static str)],
    ) -> ChannelPlan {
        plan(channel, Some(&block), None, &Fixed(vars)).unwrap()
    }

    #[test]
    fn accounts_inherit_and_override() {
        let plan = of(
            "echo",
            json!({
                "name": "base", "greeting": "hi", "allowFrom": ["1"], "defaultAccount": "Work",
                "accounts": { "work": { "greeting": "hello" }, "home": { "enabled": false } },
            }),
            &[],
        );
        assert_eq!(plan.default_account, "work");
        let work = &plan.accounts["work"];
        assert_eq!(work.config["greeting"], "hello");
        assert_eq!(work.config["allowFrom"], json!(["1"]));
        assert!(work.config.get("accounts").is_none());
        assert!(work.enabled && work.problem.is_none());
        assert_eq!(work.path, "channels.echo.accounts.work");
        assert!(!plan.accounts["home"].enabled);
        assert_eq!(plan.accounts["home"].config["greeting"], "hi");
    }

    #[test]
    fn the_default_accounts_lists_do_not_leak() {
        let block = json!({ "accounts": { "default": { "allowFrom": ["1"] }, "work": {} } });
        let plan = of("echo", block, &[]);
        assert_eq!(plan.default_account, "default");
        assert!(plan.accounts["work"].config.get("allowFrom").is_none());
    }

    #[test]
    fn a_channel_switched_off_switches_its_accounts_off() {
        let plan = of(
            "echo",
            json!({ "enabled": false, "accounts": { "a": { "enabled": true } } }),
            &[],
        );
        assert!(!plan.accounts["a"].enabled);
        assert_eq!(plan.default_account, "a");
    }

    #[test]
    fn credentials_come_from_config_file_or_environment_in_this_order() {
        const VARS: &[(&str, &str)] = &[
            ("TELEGRAM_BOT_TOKEN", "env-token"),
            ("/run/token", "file-token\n"),
        ];
        let cases = [
            (
                json!({ "botToken": "own", "tokenFile": "/run/token" }),
                "own",
                "config",
            ),
            (
                json!({ "botToken": "", "tokenFile": "/run/token" }),
                "file-token",
                "tokenFile",
            ),
            (json!({}), "env-token", "env"),
        ];
        for (block, token, source) in cases {
            let plan = of("telegram", block, VARS);
            let account = &plan.accounts["default"];
            assert_eq!(account.config["botToken"], token);
            assert_eq!(account.token_source, Some(source));
            assert!(account.config.get("tokenFile").is_none());
            assert!(account.problem.is_none());
        }
    }

    #[test]
    fn the_environment_is_for_the_default_account_only() {
        let vars = &[("TELEGRAM_BOT_TOKEN", "env-token")];
        let plan = of("telegram", json!({ "accounts": { "work": {} } }), vars);
        let problem = plan.accounts["work"].problem.clone().unwrap();
        assert!(
            problem.starts_with("channels.telegram.accounts.work.botToken is missing"),
            "{problem}"
        );
        assert!(super::plan("telegram", None, None, &Fixed(vars)).is_some());
        assert!(super::plan("telegram", None, None, &Fixed(&[])).is_none());
        assert!(super::plan("echo", None, None, &Fixed(vars)).is_none());
    }

    #[test]
    fn problems_name_the_key_and_stop_only_their_account() {
        let plan = of("echo", json!({ "accounts": { "a": 1, "b": {} } }), &[]);
        assert_eq!(
            plan.accounts["a"].problem.as_deref(),
            Some("channels.echo.accounts.a must be an object")
        );
        assert!(plan.accounts["b"].problem.is_none());
        let plan = of("echo", json!("yes"), &[]);
        assert_eq!(
            plan.accounts["default"].problem.as_deref(),
            Some("channels.echo must be an object")
        );
        let plan = of("echo", json!({ "dmPolicy": "maybe" }), &[]);
        let problem = plan.accounts["default"].problem.clone().unwrap();
        assert!(problem.starts_with("channels.echo.dmPolicy"), "{problem}");
        let secret = json!({ "botToken": { "source": "env", "id": "NOPE" } });
        let problem = of("telegram", secret, &[]).accounts["default"]
            .problem
            .clone()
            .unwrap();
        assert!(
            problem.contains("NOPE") && problem.contains("botToken"),
            "{problem}"
        );
    }
}
