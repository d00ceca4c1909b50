//! The head of a `SKILL.md`: what a skill says of itself between two lines of `---`.
//!
//! Pure. Reads the part of YAML in which such heads are written: a key and its text on one line,
//! longer texts indented below it or after `|` or `>`, and `metadata` as one object in braces.
//! Anything else is an error that says what is wrong, never a guess: what a skill needs stands
//! there, and a skill that is let in by a misreading would be let in wrongly.

use serde_json::{Map, Value};

use super::Needs;
use crate::config::parse_object;
use crate::limits::{
    SKILL_DESCRIPTION_CHARS_MAX, SKILL_HEAD_LINES_MAX, SKILL_NAME_CHARS_MAX, SKILL_NEEDS_MAX,
};

/// The line before and after the head.
const FENCE: &str = "---";
/// The names under which programs put their part into `metadata`; the first that is there counts.
const OWN_PARTS: [&str; 2] = ["openclaw", "clawdbot"];

/// What a skill says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Front {
    pub name: Option<String>,
    pub description: String,
    pub homepage: Option<String>,
    pub for_models: bool,
    pub key: Option<String>,
    pub primary_env: Option<String>,
    pub emoji: Option<String>,
    pub always: bool,
    pub needs: Needs,
}

/// Reads the head of a text.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(text: &str) -> Result<Front, String> {
    let fields = fields(text)?;
    let get = |key: &str| {
        let found = fields.iter().find(|(name, _)| name == key);
        found
            .map(|(_, lines)| plain(lines))
            .filter(|t| !t.is_empty())
    };
    let description = get("description").ok_or("no description")?;
    let name = get("name");
    let fits = |name: &String| {
        name.chars().count() <= SKILL_NAME_CHARS_MAX && !name.chars().any(char::is_control)
    };
    if name.as_ref().is_some_and(|name| !fits(name)) {
        return Err(format!("its name is longer than {SKILL_NAME_CHARS_MAX}"));
    }
    let metadata = fields.iter().find(|(name, _)| name == "metadata");
    let own = metadata.map_or(Ok(Map::new()), |(_, lines)| own_part(lines))?;
    let text = |key: &str| {
        let text = own.get(key).and_then(Value::as_str).map(str::trim);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let needed = |key: &str| own.get("requires").and_then(|needs| needs.get(key));
    Ok(Front {
        name,
        description: description
            .chars()
            .take(SKILL_DESCRIPTION_CHARS_MAX)
            .collect(),
        homepage: text("homepage").or(get("homepage")),
        for_models: get("disable-model-invocation").as_deref() != Some("true"),
        key: text("skillKey"),
        primary_env: text("primaryEnv"),
        emoji: text("emoji"),
        always: own.get("always") == Some(&Value::Bool(true)),
        needs: Needs {
            bins: names(needed("bins"))?,
            any_bins: names(needed("anyBins"))?,
            env: names(needed("env"))?,
            config: names(needed("config"))?,
            os: names(own.get("os"))?,
        },
    })
}

/// Each key with its lines, the first of them what stands behind the colon.
fn fields(text: &str) -> Result<Vec<(String, Vec<&str>)>, String> {
    let mut lines = text.trim_start_matches('\u{feff}').lines();
    if lines.next().map(str::trim_end) != Some(FENCE) {
        return Err(format!("its first line is not {FENCE}"));
    }
    let mut fields: Vec<(String, Vec<&str>)> = Vec::new();
    for line in lines.take(SKILL_HEAD_LINES_MAX) {
        if line.trim_end() == FENCE {
            return Ok(fields);
        }
        match key_of(line) {
            Some((key, rest)) => fields.push((key.to_owned(), vec![rest])),
            None if line.starts_with('#') => {}
            None => {
                if let Some((_, lines)) = fields.last_mut() {
                    lines.push(line);
                }
            }
        }
    }
    Err("its head does not end".to_owned())
}

/// A key at the beginning of a line, and what follows it.
fn key_of(line: &str) -> Option<(&str, &str)> {
    let (key, rest) = line.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_key = key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(plain);
    (is_key && (rest.is_empty() || rest.starts_with([' ', '\t']))).then_some((key, rest.trim()))
}

/// The text of a key, on one line.
fn plain(lines: &[&str]) -> String {
    let first = lines.first().copied().unwrap_or_default();
    let is_block = matches!(first, "|" | ">" | "|-" | ">-" | "|+" | ">+");
    let lines = if is_block { &lines[1..] } else { lines };
    let lines = lines
        .iter()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join(" ");
    let quoted = |quote: char| {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(inner.to_owned())
    };
    match quoted('"') {
        Some(inner) => serde_json::from_str(&text).unwrap_or(inner),
        None => match quoted('\'') {
            Some(inner) => inner.replace("''", "'"),
            None if is_block => text,
            None => text
                .split_once(" #")
                .map_or(text.as_str(), |(text, _)| text)
                .trim()
                .to_owned(),
        },
    }
}

/// The part of `metadata` that is meant for gateways.
fn own_part(lines: &[&str]) -> Result<Map<String, Value>, String> {
    let text = lines.join("\n");
    let text = text.trim();
    if !text.starts_with('{') {
        let named = OWN_PARTS
            .iter()
            .any(|part| text.contains(&format!("{part}:")));
        return match named {
            true => Err("its metadata is not one object in braces".to_owned()),
            // Words of others.
            false => Ok(Map::new()),
        };
    }
    let mut all = parse_object(text).map_err(|why| format!("its metadata: {why}"))?;
    let own = OWN_PARTS.iter().find_map(|part| all.remove(*part));
    match own {
        None => Ok(Map::new()),
        Some(Value::Object(own)) => Ok(own),
        Some(_) => Err("its metadata holds no object".to_owned()),
    }
}

/// A list of names; none where there is nothing.
fn names(value: Option<&Value>) -> Result<Vec<String>, String> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let list = value
        .as_array()
        .filter(|list| list.len() <= SKILL_NEEDS_MAX);
    let list = list.ok_or("its metadata: what is required is no list of names, or too long")?;
    let names = list.iter().map(|name| {
        let name = name.as_str().map(str::trim).filter(|n| !n.is_empty());
        name.map(str::to_owned)
            .ok_or_else(|| "its metadata: what is required is no name".to_owned())
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn heads_as_people_write_them() {
        let front = read(
            "---\nname: nano\ndescription: \"Pictures: \\\"made\\\"\"  \nhomepage: https://a.example # site\n\
             metadata:\n  {\n    \"openclaw\":\n      {\n        \"emoji\": \"🍌\", \
             \"requires\": { \"bins\": [\"uv\"], \"env\": [\"KEY\"] },\n        \
             \"primaryEnv\": \"KEY\", \"os\": [\"linux\"],\n      },\n  }\n---\n# Text\n---\n",
        )
        .unwrap();
        assert_eq!(front.name.as_deref(), Some("nano"));
        assert_eq!(front.description, "Pictures: \"made\"");
        assert_eq!(front.homepage.as_deref(), Some("https://a.example"));
        assert_eq!(front.emoji.as_deref(), Some("🍌"));
        assert_eq!(front.needs.bins, ["uv"]);
        assert_eq!(
            (front.needs.env, front.needs.os),
            (vec!["KEY".into()], vec!["linux".into()])
        );
        assert!(front.for_models && !front.always);
    }

    #[test]
    fn longer_texts_and_words_of_others() {
        let front = read(
            "---\nname: 'it''s'\ndescription: >-\n  two\n  lines: here\nlicense: MIT\n\
             metadata:\n  author: someone\n  version: \"1.0\"\ndisable-model-invocation: true\n---\n",
        )
        .unwrap();
        assert_eq!(front.name.as_deref(), Some("it's"));
        assert_eq!(front.description, "two lines: here");
        assert!(!front.for_models);
        assert_eq!(front.needs, Needs::default());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, why) in [
            ("", "first line"),
            ("# Skill\n", "first line"),
            ("---\nname: a\n", "does not end"),
            ("---\nname: a\n---\n", "no description"),
            ("---\ndescription: d\nmetadata: {\n---\n", "metadata"),
            (
                "---\ndescription: d\nmetadata:\n  openclaw:\n    os: [linux]\n---\n",
                "braces",
            ),
            (
                "---\ndescription: d\nmetadata: {openclaw: 5}\n---\n",
                "no object",
            ),
            (
                "---\ndescription: d\nmetadata: {openclaw: {os: 'linux'}}\n---\n",
                "no list",
            ),
            (
                "---\ndescription: d\nmetadata: {openclaw: {requires: {bins: ['']}}}\n---\n",
                "no name",
            ),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
        let long = format!("---\nname: {}\ndescription: d\n---\n", "x".repeat(65));
        assert!(read(&long).is_err());
    }
}
