//! Whether a skill can be used on this machine, with this configuration, and what is missing.

use std::cell::OnceCell;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Map, Value};

use super::{Needs, Skill};
use crate::config::{Config, Document, SkillEntry, env};

/// The system, as skills call it.
const SYSTEM: &str = if cfg!(target_os = "macos") {
    "darwin"
} else {
    std::env::consts::OS
};

/// How a skill stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Switched off in the configuration.
    pub disabled: bool,
    /// What it needs and there isn't.
    pub missing: Needs,
    /// The keys of the configuration that it looks at, and what they say.
    pub checks: Vec<(String, bool)>,
    /// It can be used.
    pub eligible: bool,
}

/// What skills are measured by.
pub struct Facts<'a> {
    config: &'a Config,
    /// The configuration's file, read when the first skill asks.
    tree: OnceCell<Map<String, Value>>,
}

impl<'a> Facts<'a> {
    /// As things are now.
    pub fn new(config: &'a Config) -> Facts<'a> {
        Facts {
            config,
            tree: OnceCell::new(),
        }
    }

    /// How a skill stands.
    pub fn standing(&self, skill: &Skill) -> Standing {
        let entry = self.config.skills.entries.get(&skill.key);
        let needs = &skill.needs;
        let lacks = |names: &[String], has: &dyn Fn(&str) -> bool| -> Vec<String> {
            names.iter().filter(|name| !has(name)).cloned().collect()
        };
        let one_of = |names: &[String], has: &dyn Fn(&str) -> bool| -> Vec<String> {
            if names.iter().any(|name| has(name)) {
                Vec::new()
            } else {
                names.to_vec()
            }
        };
        let says_yes = |path: &str| self.says_yes(path);
        let missing = Needs {
            bins: lacks(&needs.bins, &is_program),
            any_bins: one_of(&needs.any_bins, &is_program),
            env: lacks(&needs.env, &|name| self.is_set(name, skill, entry)),
            config: lacks(&needs.config, &says_yes),
            os: one_of(&needs.os, &|name| name == SYSTEM),
        };
        let disabled = entry.and_then(|entry| entry.enabled) == Some(false);
        Standing {
            disabled,
            eligible: !disabled && (skill.always || missing.is_empty()),
            checks: needs
                .config
                .iter()
                .map(|path| (path.clone(), says_yes(path)))
                .collect(),
            missing,
        }
    }

    /// The variable is there, or the configuration gives it to the skill.
    fn is_set(&self, name: &str, skill: &Skill, entry: Option<&SkillEntry>) -> bool {
        let filled = |value: &crate::config::Secret| !value.expose().trim().is_empty();
        let given = entry.is_some_and(|entry| {
            let own = entry.env.get(name).is_some_and(filled);
            let is_primary = skill.primary_env.as_deref() == Some(name);
            own || (is_primary && entry.api_key.as_ref().is_some_and(filled))
        });
        given || self.config.dotenv.var(name).is_some()
    }

    fn says_yes(&self, path: &str) -> bool {
        let tree = self.tree.get_or_init(|| {
            let read = Document::read(&self.config.paths.config_file);
            read.map(|document| document.tree).unwrap_or_default()
        });
        let mut steps = path.split('.');
        let first = steps.next().and_then(|step| tree.get(step));
        match steps.try_fold(first, |at, step| at.map(|value| value.get(step))) {
            Some(Some(value)) => truth(value),
            _ => false,
        }
    }
}

/// What counts as yes.
fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// A program of this name lies in `PATH`.
fn is_program(name: &str) -> bool {
    if name.contains('/') {
        return false;
    }
    let path = env::var(env::PATH).unwrap_or_default();
    std::env::split_paths(&path).any(|folder| {
        let meta = folder.join(name).metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}

/// A name that a skill may give a value to: not one that decides which code a program runs.
pub fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let decides = [
        "PATH",
        "HOME",
        "SHELL",
        "IFS",
        "ENV",
        "BASH_ENV",
        "NODE_OPTIONS",
        "PYTHONPATH",
    ];
    !name.is_empty()
        && name.chars().all(plain)
        && !name.starts_with("LD_")
        && !name.starts_with("DYLD_")
        && !name.starts_with("OPENCLAW_")
        && !decides.contains(&name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Source;
    use super::*;
    use crate::config::Secret;

    fn skill(needs: Needs) -> Skill {
        Skill {
            name: "s".into(),
            description: "d".into(),
            source: Source::Managed,
            folder: "/none".into(),
            key: "s".into(),
            primary_env: Some("GW_NEVER_SET".into()),
            emoji: None,
            homepage: None,
            always: false,
            for_models: true,
            needs,
        }
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(dir.path());
        let text = "{ browser: { enabled: true, name: '' }, channels: { irc: {} } }";
        std::fs::write(&config.paths.config_file, text).unwrap();
        let mut skill = skill(Needs {
            bins: list(&["sh", "zzz-none", "bin/sh"]),
            any_bins: list(&["zzz-none", "sh"]),
            env: list(&["GW_NEVER_SET", "GW_OTHER"]),
            config: list(&["browser.enabled", "browser.name", "channels.irc", "x.y"]),
            os: list(&["darwin", "linux"]),
        });
        let standing = Facts::new(&config).standing(&skill);
        assert_eq!(standing.missing.bins, ["zzz-none", "bin/sh"]);
        assert_eq!(standing.missing.any_bins, Vec::<String>::new());
        assert_eq!(standing.missing.env, ["GW_NEVER_SET", "GW_OTHER"]);
        assert_eq!(standing.missing.config, ["browser.name", "x.y"]);
        assert!(standing.missing.os.is_empty() && !standing.eligible);
        assert_eq!(standing.checks[0], ("browser.enabled".to_owned(), true));
        skill.always = true;
        assert!(Facts::new(&config).standing(&skill).eligible);
        let entry = SkillEntry {
            enabled: Some(false),
            api_key: Some(Secret::new("k")),
            ..SkillEntry::default()
        };
        config.skills.entries.insert("s".into(), entry);
        let standing = Facts::new(&config).standing(&skill);
        assert_eq!(standing.missing.env, ["GW_OTHER"]);
        assert!(standing.disabled && !standing.eligible);
    }
}
