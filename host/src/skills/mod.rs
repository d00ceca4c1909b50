//! Skills: folders with a `SKILL.md` that tells an agent how something is done.
//!
//! Used by the agent's prompt, its tool `skill`, the programs that answer for it, and `skills.*`.
//! They lie in the agent's folder (`skills/`), in the state folder (`skills/`, for all agents) and
//! in `skills.load.extraDirs`; of two with one name the first counts. Nothing in them is trusted:
//! links are never followed, each read has a bound, and nothing in a skill is ever run by the
//! gateway. What can't be used is left out and named in the log.

mod find;
mod front;
mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use find::{Source, all, shared_folder};
pub use standing::{Facts, Standing, is_variable};

use crate::config::{Config, Secret};
use crate::limits;
use crate::workspace;

/// The file that makes a folder a skill.
pub const FILE: &str = "SKILL.md";

/// What a skill needs, or what of it is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Programs in `PATH`, all of them.
    pub bins: Vec<String>,
    /// Programs in `PATH`, one of them.
    pub any_bins: Vec<String>,
    /// Variables.
    pub env: Vec<String>,
    /// Keys of the configuration that must say yes.
    pub config: Vec<String>,
    /// Systems, one of them: `linux`, `darwin`, `win32`.
    pub os: Vec<String>,
}

impl Needs {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Needs::default()
    }
}

/// One skill.
#[derive(Clone, Debug, PartialEq)]
pub struct Skill {
    /// Its name.
    pub name: String,
    /// When it is of use.
    pub description: String,
    /// Where it was found.
    pub source: Source,
    /// Its folder.
    pub folder: PathBuf,
    /// Its key under `skills.entries`.
    pub key: String,
    /// The variable that `skills.entries.<key>.apiKey` stands for.
    pub primary_env: Option<String>,
    /// A picture for it.
    pub emoji: Option<String>,
    /// More about it.
    pub homepage: Option<String>,
    /// What it needs doesn't matter.
    pub always: bool,
    /// Models are told of it.
    pub for_models: bool,
    /// What it needs.
    pub needs: Needs,
}

impl Skill {
    /// Its `SKILL.md`.
    pub fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }
}

/// The skills that an agent may use now.
pub fn usable(config: &Config, agent: &str) -> Vec<Skill> {
    let facts = Facts::new(config);
    let own = config.agents.get(agent).and_then(|a| a.skills.as_deref());
    let named = |skill: &Skill| own.is_none_or(|names| names.contains(&skill.name));
    let mut skills = all(config, agent);
    skills.retain(|skill| skill.for_models && named(skill) && facts.standing(skill).eligible);
    skills
}

/// What a model is told of the agent's skills; empty when there are none.
pub fn instructions(config: &Config, agent: &str) -> String {
    let skills = usable(config, agent);
    if skills.is_empty() {
        return String::new();
    }
    let mut text = "# Skills\n\nEach of these is a folder with instructions. When a task is what \
        one is for, read its SKILL.md first and follow it; what it names lies in its folder.\n"
        .to_owned();
    let mut left = limits::SKILLS_PROMPT_CHARS;
    for (told, skill) in skills.iter().enumerate() {
        let line = format!(
            "\n- {} ({}): {}",
            skill.name,
            skill.file().display(),
            skill.description.replace(['\n', '\r'], " ")
        );
        let chars = line.chars().count();
        if chars > left {
            tracing::warn!(
                agent,
                left_out = skills.len() - told,
                "skills left out of the prompt"
            );
            break;
        }
        left -= chars;
        text.push_str(&line);
    }
    text
}

/// The instructions of a skill that the agent may use.
///
/// # Errors
/// For people and models: there is no such skill, or its file can't be read.
pub fn read(config: &Config, agent: &str, name: &str) -> Result<String, String> {
    let skills = usable(config, agent);
    let skill = skills.iter().find(|skill| skill.name == name);
    let skill = skill.ok_or_else(|| {
        let known: Vec<&str> = skills.iter().map(|skill| skill.name.as_str()).collect();
        format!("there is no such skill; there are: {}", known.join(", "))
    })?;
    let text = text_of(&skill.file()).ok_or("its SKILL.md can't be read")?;
    Ok(text.replace("{baseDir}", &skill.folder.display().to_string()))
}

fn text_of(file: &Path) -> Option<String> {
    let text = workspace::read_text(file, limits::SKILL_FILE_BYTES_MAX);
    text.inspect_err(|error| {
        tracing::warn!(path = %file.display(), ?error, "skill left out");
    })
    .ok()
    .flatten()
}

/// The variables that programs which work for the agent are given for its skills. What is set
/// around the gateway anyway is not given another value.
pub fn variables(config: &Config, agent: &str) -> BTreeMap<String, Secret> {
    let mut variables = BTreeMap::new();
    for skill in usable(config, agent) {
        let Some(entry) = config.skills.entries.get(&skill.key) else {
            continue;
        };
        let key = skill.primary_env.clone().zip(entry.api_key.clone());
        let given = entry.env.iter().map(|(n, v)| (n.clone(), v.clone()));
        for (name, value) in given.chain(key) {
            let is_set = config.dotenv.var(&name).is_some();
            if !is_set && !value.expose().is_empty() && is_variable(&name) {
                variables.entry(name).or_insert(value);
            }
        }
    }
    variables
}

/// The programs that the skills of all agents name, sorted.
pub fn programs(config: &Config) -> BTreeSet<String> {
    let skills = config.agents.ids().into_iter();
    let needs = skills.flat_map(|agent| all(config, agent)).map(|s| s.needs);
    needs
        .flat_map(|needs| needs.bins.into_iter().chain(needs.any_bins))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::SkillEntry;

    pub(super) fn put(folder: &Path, name: &str, head: &str) {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!("---\nname: {name}\n{head}\n---\nRun {{baseDir}}/go.\n");
        std::fs::write(folder.join(FILE), text).unwrap();
    }

    fn names(skills: &[Skill]) -> Vec<&str> {
        skills.iter().map(|skill| skill.name.as_str()).collect()
    }

    #[test]
    fn an_agent_is_told_what_it_can_use() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(dir.path());
        assert_eq!(instructions(&config, "main"), "");
        let (own, shared) = (
            dir.path().join("workspace/skills"),
            dir.path().join("skills"),
        );
        put(&own, "both", "description: the agent's own");
        put(&shared, "both", "description: of all");
        put(
            &shared,
            "needy",
            "description: d\nmetadata: {openclaw: {requires: {bins: ['zzz-none']}}}",
        );
        put(
            &shared,
            "quiet",
            "description: d\ndisable-model-invocation: true",
        );
        put(&shared, "off", "description: d");
        let entry = SkillEntry {
            enabled: Some(false),
            ..SkillEntry::default()
        };
        config.skills.entries.insert("off".to_owned(), entry);
        assert_eq!(
            names(&all(&config, "main")),
            ["both", "needy", "off", "quiet"]
        );
        assert_eq!(names(&usable(&config, "main")), ["both"]);
        let told = instructions(&config, "main");
        assert!(told.ends_with("both/SKILL.md): the agent's own"), "{told}");
        let text = read(&config, "main", "both").unwrap();
        assert!(
            text.contains(&format!("Run {}/go.", own.join("both").display())),
            "{text}"
        );
        assert!(
            read(&config, "main", "off")
                .unwrap_err()
                .contains("there are: both")
        );
        assert!(read(&config, "main", "../both").is_err());
    }

    #[test]
    fn variables_of_what_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(dir.path());
        let head = "description: d\nmetadata: {openclaw: {primaryEnv: 'GW_KEY', requires: {env: ['GW_KEY']}}}";
        put(&dir.path().join("skills"), "keyed", head);
        assert!(usable(&config, "main").is_empty() && variables(&config, "main").is_empty());
        let entry = SkillEntry {
            api_key: Some(Secret::new("k")),
            env: BTreeMap::from([
                ("GW_MORE".to_owned(), Secret::new("m")),
                ("PATH".to_owned(), Secret::new("/evil")),
                ("LD_PRELOAD".to_owned(), Secret::new("x.so")),
            ]),
            ..SkillEntry::default()
        };
        config.skills.entries.insert("keyed".to_owned(), entry);
        let given: Vec<_> = variables(&config, "main").into_keys().collect();
        assert_eq!(given, ["GW_KEY", "GW_MORE"]);
    }
}
