//! Where skills lie: the folders are looked through each time, so what changed counts at once.

use std::path::{Path, PathBuf};

use super::{FILE, Skill, front, text_of};
use crate::config::{Config, from_home};
use crate::limits::SKILLS_MAX;

/// Where a skill was found, in the order in which they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The agent's own folder.
    Workspace,
    /// The state folder, for all agents.
    Managed,
    /// A folder that the configuration names.
    Extra,
}

impl Source {
    /// The wire's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workspace => "openclaw-workspace",
            Self::Managed => "openclaw-managed",
            Self::Extra => "openclaw-extra",
        }
    }
}

/// The folder of the skills that all agents share.
pub fn shared_folder(config: &Config) -> PathBuf {
    config.paths.state_dir.join("skills")
}

/// Every skill that an agent has, usable or not, by name.
pub fn all(config: &Config, agent: &str) -> Vec<Skill> {
    let own = config.workspace(agent).join("skills");
    let places = [
        (Source::Workspace, own),
        (Source::Managed, shared_folder(config)),
    ];
    let extra = config.skills.load.extra_dirs.iter();
    let extra = extra.map(|folder| (Source::Extra, from_home(folder)));
    let mut skills: Vec<Skill> = Vec::new();
    for (source, place) in places.into_iter().chain(extra) {
        for folder in folders(source, &place) {
            let Some(skill) = skill(source, folder) else {
                continue;
            };
            let taken = |known: &Skill| known.name == skill.name;
            if skills.len() < SKILLS_MAX && !skills.iter().any(taken) {
                skills.push(skill);
            }
        }
    }
    skills.sort_by(|a, b| a.name.cmp(&b.name));
    skills
}

/// The folders in a place that may be skills, by name. Only a place that the configuration names
/// may be a link.
fn folders(source: Source, place: &Path) -> Vec<PathBuf> {
    let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    if source != Source::Extra && !is_folder(place) {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(place) else {
        return Vec::new();
    };
    let entries = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries
        .filter(|path| is_folder(path) && path.join(FILE).symlink_metadata().is_ok())
        .take(SKILLS_MAX)
        .collect();
    folders.sort();
    folders
}

fn skill(source: Source, folder: PathBuf) -> Option<Skill> {
    let file = folder.join(FILE);
    let text = text_of(&file)?;
    let front = front::read(&text)
        .inspect_err(|why| tracing::warn!(path = %file.display(), why, "skill left out"))
        .ok()?;
    let name = match front.name {
        Some(name) => name,
        None => folder.file_name()?.to_str()?.to_owned(),
    };
    Some(Skill {
        key: front.key.unwrap_or_else(|| name.clone()),
        name,
        description: front.description,
        source,
        folder,
        primary_env: front.primary_env,
        emoji: front.emoji,
        homepage: front.homepage,
        always: front.always,
        for_models: front.for_models,
        needs: front.needs,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::put;
    use super::*;

    #[test]
    fn links_and_broken_heads_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(dir.path());
        let shared = shared_folder(&config);
        let outside = dir.path().join("outside");
        put(&outside, "far", "description: d");
        put(&shared, "good", "description: d");
        put(&shared, "bad", "no head at all");
        std::os::unix::fs::symlink(outside.join("far"), shared.join("far")).unwrap();
        std::fs::create_dir(shared.join("file")).unwrap();
        std::os::unix::fs::symlink(
            outside.join("far").join(FILE),
            shared.join("file").join(FILE),
        )
        .unwrap();
        std::fs::create_dir_all(config.workspace("main")).unwrap();
        std::os::unix::fs::symlink(&outside, config.workspace("main").join("skills")).unwrap();
        let names = |config: &Config| -> Vec<String> {
            all(config, "main").into_iter().map(|s| s.name).collect()
        };
        assert_eq!(names(&config), ["good"]);
        // What a person names may lie anywhere.
        config.skills.load.extra_dirs = vec![outside.display().to_string()];
        assert_eq!(names(&config), ["far", "good"]);
    }
}
