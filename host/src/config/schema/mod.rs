//! The schema of `openclaw.json`, made of the types that read it and of what plugins say of their
//! accounts, with a label and a help text for each key.
//!
//! Told to clients by `config.schema`; also how a text is checked before it is written
//! (`check.rs`) and how secrets are found in it (`redact.rs` beside). The help of a key is the
//! documentation of its field.

mod check;
mod labels;

use std::collections::BTreeMap;

use gateway_schemas::config::{ConfigHint, ConfigSchemaChild, ConfigSchemaLookup};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::secret::SECRET_MARK;
use super::types::{AgentsConfig, ChannelDefaults, LoggingConfig, ModelsConfig, ToolsConfig};
use super::{CronConfig, GatewayConfig, HooksConfig, MessagesConfig, SessionConfig, SkillsConfig};

/// The sections that types read. The rest of the file is `channels`, and what others use.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct Sections {
    gateway: GatewayConfig,
    session: SessionConfig,
    agents: AgentsConfig,
    models: ModelsConfig,
    messages: MessagesConfig,
    tools: ToolsConfig,
    cron: CronConfig,
    hooks: HooksConfig,
    skills: SkillsConfig,
    logging: LoggingConfig,
}

/// What a plugin says of its accounts.
#[derive(Clone, Debug)]
pub struct ChannelSchema {
    /// The channel.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// JSON Schema of one account.
    pub schema: Value,
    /// JSON pointers into an account whose values are secrets.
    pub secrets: Vec<String>,
}

/// The schema of a whole file, and how its keys are shown.
#[derive(Clone, Debug)]
pub struct FileSchema {
    /// JSON Schema, draft 7, secrets marked.
    marked: Value,
    hints: BTreeMap<String, ConfigHint>,
}

impl FileSchema {
    /// With these channels.
    pub fn new(channels: &[ChannelSchema]) -> FileSchema {
        let settings = SchemaSettings::draft07().with(|s| s.inline_subschemas = true);
        let of = |schema: schemars::Schema| normal(schema.to_value());
        let mut root = of(settings
            .clone()
            .into_generator()
            .into_root_schema_for::<Sections>());
        let defaults = settings
            .into_generator()
            .into_root_schema_for::<ChannelDefaults>();
        let mut channel_keys = Map::from_iter([("defaults".to_owned(), of(defaults))]);
        for channel in channels {
            channel_keys.insert(channel.id.clone(), block(channel));
        }
        let open = json!({ "type": "object", "additionalProperties": {} });
        let channel_keys = json!({
            "type": "object",
            "properties": channel_keys,
            "additionalProperties": open.clone(),
        });
        root["properties"]["channels"] = channel_keys;
        for (name, _) in labels::OPEN_SECTIONS {
            root["properties"][*name] = open.clone();
        }
        if let Some(root) = root.as_object_mut() {
            root.remove("required");
            root.insert(
                "$schema".into(),
                "http://json-schema.org/draft-07/schema#".into(),
            );
            root.insert("title".into(), "OpenClawConfig".into());
            root.insert("additionalProperties".into(), false.into());
        }
        let mut hints = BTreeMap::new();
        let names: BTreeMap<_, _> = channels
            .iter()
            .map(|c| (c.id.as_str(), c.label.as_str()))
            .collect();
        labels::collect(&root, "", &names, &mut hints);
        FileSchema {
            marked: root,
            hints,
        }
    }

    /// As clients are told.
    pub fn shown(&self) -> Map<String, Value> {
        let mut shown = self.marked.clone();
        unmark(&mut shown);
        match shown {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// How each key is shown.
    pub fn hints(&self) -> &BTreeMap<String, ConfigHint> {
        &self.hints
    }

    /// What the schema has against a tree: dotted path and reason. Keys that it doesn't know are
    /// no reason.
    pub fn issues(&self, tree: &Map<String, Value>) -> Vec<(String, String)> {
        check::issues(&self.marked, tree)
    }

    /// Whether the value at these keys is a secret by its schema. Numbers stand for items.
    pub(super) fn is_secret(&self, path: &[&str]) -> bool {
        let steps = path.iter().copied();
        descend(&self.marked, steps).is_some_and(|schema| schema.get(SECRET_MARK).is_some())
    }

    /// One key and what lies below it; `None` for a key that doesn't exist.
    pub fn lookup(&self, path: &str) -> Option<ConfigSchemaLookup> {
        let steps = steps_of(path);
        let schema = descend(&self.marked, steps.iter().map(String::as_str))?;
        let path = steps.join(".");
        let required = |key: &str| {
            let required = schema.get("required").and_then(Value::as_array);
            required.is_some_and(|all| all.iter().any(|one| one == key))
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let known = properties.into_iter().flatten();
        let any = schema
            .get("additionalProperties")
            .filter(|any| any.is_object());
        let any = any.into_iter().map(|any| ("*", any));
        let items = schema.get("items").into_iter().map(|items| ("[]", items));
        let below = known
            .map(|(key, one)| (key.as_str(), one))
            .chain(any)
            .chain(items);
        let children = below.map(|(key, one)| {
            let place = if key == "[]" {
                format!("{path}[]")
            } else {
                format!("{path}.{key}")
            };
            let hint = self.hint(&place);
            ConfigSchemaChild {
                key: key.to_owned(),
                kind: one.get("type").and_then(Value::as_str).map(str::to_owned),
                required: required(key),
                has_children: has_children(one),
                hint_path: hint.as_ref().map(|(at, _)| at.clone()),
                hint: hint.map(|(_, hint)| hint),
                path: place,
            }
        });
        let children = children.collect();
        let hint = self.hint(&path);
        let mut own = schema.clone();
        unmark(&mut own);
        let mut own = own.as_object().cloned().unwrap_or_default();
        let below = [
            "properties",
            "items",
            "required",
            "anyOf",
            "oneOf",
            "description",
        ];
        own.retain(|key, value| {
            let shape = key == "additionalProperties" && value.is_object();
            !below.contains(&key.as_str()) && !shape
        });
        Some(ConfigSchemaLookup {
            schema: own,
            hint_path: hint.as_ref().map(|(at, _)| at.clone()),
            hint: hint.map(|(_, hint)| hint),
            children,
            path,
        })
    }

    fn hint(&self, path: &str) -> Option<(String, ConfigHint)> {
        if let Some(hint) = self.hints.get(path) {
            return Some((path.to_owned(), hint.clone()));
        }
        let fits = |pattern: &str| {
            let (a, b) = (pattern.split('.'), path.split('.'));
            a.clone().count() == b.clone().count() && a.zip(b).all(|(a, b)| a == "*" || a == b)
        };
        let found = self.hints.iter().find(|(pattern, _)| fits(pattern));
        found.map(|(at, hint)| (at.clone(), hint.clone()))
    }
}

/// A channel's block: one account's keys, and more accounts of the same.
fn block(channel: &ChannelSchema) -> Value {
    let mut account = channel.schema.clone();
    for pointer in &channel.secrets {
        let place: String = pointer.trim_start_matches('/').replace('/', "/properties/");
        if let Some(Value::Object(schema)) = account.pointer_mut(&format!("/properties/{place}")) {
            schema.insert(SECRET_MARK.into(), true.into());
        }
    }
    let mut account = normal(account);
    if let Some(map) = account.as_object_mut() {
        map.remove("required");
        map.remove("anyOf");
        map.remove("allOf");
    }
    let mut block = account.clone();
    let remove = |schema: &mut Value, key: &str| {
        if let Some(map) = schema["properties"].as_object_mut() {
            map.remove(key);
        }
    };
    remove(&mut account, "accounts");
    remove(&mut account, "defaultAccount");
    block["properties"]["accounts"] = json!({ "type": "object", "additionalProperties": account });
    block
}

/// Without names of types, formats and nulls: as clients render it.
fn normal(mut schema: Value) -> Value {
    normalise(&mut schema);
    schema
}

fn normalise(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    for key in [
        "$schema",
        "title",
        "format",
        "default",
        "examples",
        "writeOnly",
    ] {
        map.remove(key);
    }
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|one| one != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            map.insert("type".into(), one);
        }
    }
    for union in ["anyOf", "oneOf"] {
        let Some(Value::Array(ways)) = map.get_mut(union) else {
            continue;
        };
        ways.retain(|way| way.get("type").is_none_or(|kind| kind != "null"));
        ways.iter_mut().for_each(normalise);
        let words: Option<Vec<Value>> = ways.iter().map(word).collect();
        if let Some(words) = words.map(|w| w.concat_words()) {
            map.remove(union);
            map.insert("type".into(), "string".into());
            map.insert("enum".into(), words);
        } else if let [Value::Object(only)] = ways.as_slice() {
            let only = only.clone();
            map.remove(union);
            for (key, value) in only {
                map.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(normalise);
        if !map
            .get("additionalProperties")
            .is_some_and(Value::is_object)
        {
            map.insert("additionalProperties".into(), false.into());
        }
    }
    for key in ["items", "additionalProperties"] {
        match map.get_mut(key) {
            Some(inner @ Value::Object(_)) => normalise(inner),
            Some(Value::Bool(true)) => _ = map.insert(key.into(), json!({})),
            _ => {}
        }
    }
    // Words of several fields that only say what may be there together are for the plugin.
    for key in [
        "if",
        "then",
        "else",
        "not",
        "dependentRequired",
        "$defs",
        "definitions",
    ] {
        map.remove(key);
    }
}

/// The words that a way of a union allows, if it allows nothing else.
fn word(way: &Value) -> Option<Value> {
    match (way.get("const"), way.get("enum")) {
        (Some(Value::String(one)), _) => Some(json!([one])),
        (_, Some(Value::Array(all))) if all.iter().all(Value::is_string) => Some(json!(all)),
        _ => None,
    }
}

trait Words {
    fn concat_words(self) -> Value;
}

impl Words for Vec<Value> {
    fn concat_words(self) -> Value {
        let all = self.into_iter().filter_map(|one| match one {
            Value::Array(words) => Some(words),
            _ => None,
        });
        Value::Array(all.flatten().collect())
    }
}

fn unmark(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.remove(SECRET_MARK);
            map.values_mut().for_each(unmark);
        }
        Value::Array(items) => items.iter_mut().for_each(unmark),
        _ => {}
    }
}

/// `a.b[0].c`, `a/b/0/c` → `a`, `b`, `0`, `c`.
fn steps_of(path: &str) -> Vec<String> {
    let path = path.replace("[]", ".*").replace('[', ".").replace(']', "");
    let steps = path.split(['.', '/']).filter(|step| !step.is_empty());
    steps.map(str::to_owned).collect()
}

fn descend<'a, 's>(schema: &'a Value, steps: impl Iterator<Item = &'s str>) -> Option<&'a Value> {
    let mut here = schema;
    for step in steps {
        let known = here.get("properties").and_then(|p| p.get(step));
        let any = here
            .get("additionalProperties")
            .filter(|any| any.is_object());
        let is_item = step == "*" || step.bytes().all(|b| b.is_ascii_digit());
        let item = here.get("items").filter(|_| is_item);
        here = known.or(item).or(any)?;
    }
    Some(here)
}

fn has_children(schema: &Value) -> bool {
    let named = schema.get("properties").and_then(Value::as_object);
    named.is_some_and(|named| !named.is_empty())
        || schema
            .get("additionalProperties")
            .is_some_and(Value::is_object)
        || schema.get("items").is_some_and(has_children)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn schema() -> FileSchema {
        FileSchema::new(&[ChannelSchema {
            id: "talk".into(),
            label: "Talk".into(),
            schema: json!({
                "type": "object",
                "required": ["botToken"],
                "properties": {
                    "botToken": { "type": "string", "description": "From the provider." },
                    "accounts": { "type": "object" },
                    "mode": { "enum": ["a", "b"] },
                },
            }),
            secrets: vec!["/botToken".into()],
        }])
    }

    #[test]
    fn secrets_are_found_and_the_mark_is_not_told() {
        let schema = schema();
        for path in [
            "gateway.auth.token",
            "gateway.auth.password",
            "models.providers.any.apiKey",
            "models.providers.any.headers.x",
            "channels.talk.botToken",
            "channels.talk.accounts.work.botToken",
        ] {
            let steps: Vec<&str> = path.split('.').collect();
            assert!(schema.is_secret(&steps), "{path}");
            let hint = schema.hint(path).unwrap().1;
            assert_eq!(hint.sensitive, Some(true), "{path}");
        }
        assert!(!schema.is_secret(&["gateway", "port"]));
        assert!(
            !Value::Object(schema.shown())
                .to_string()
                .contains(SECRET_MARK)
        );
    }

    #[test]
    fn the_shape_is_what_clients_render() {
        let shown = Value::Object(schema().shown());
        let at = |pointer: &str| shown.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(at("/properties/gateway/properties/port/type"), "integer");
        assert_eq!(at("/properties/gateway/additionalProperties"), false);
        let bind = at("/properties/gateway/properties/bind");
        assert_eq!(
            bind["enum"],
            json!(["loopback", "lan", "auto", "tailnet", "custom"])
        );
        let text = shown.to_string();
        for word in ["\"null\"", "\"format\"", "$ref", "definitions"] {
            assert!(!text.contains(word), "{word}");
        }
        assert_eq!(at("/title"), "OpenClawConfig");
    }

    #[test]
    fn every_key_has_a_label_and_most_a_help() {
        let schema = schema();
        let of = |path: &str| schema.hints()[path].clone();
        assert_eq!(of("gateway").label.as_deref(), Some("Gateway"));
        assert_eq!(
            of("gateway.auth.token").label.as_deref(),
            Some("Gateway Auth Token")
        );
        assert!(
            of("gateway.auth.token")
                .help
                .unwrap()
                .contains("shared token")
        );
        assert_eq!(
            of("channels.talk.botToken").label.as_deref(),
            Some("Talk Bot Token")
        );
        assert!(schema.hints().values().all(|hint| hint.label.is_some()));
    }

    #[test]
    fn a_key_is_looked_up_with_its_children() {
        let schema = schema();
        let auth = schema.lookup("gateway.auth").unwrap();
        assert_eq!(
            json!(auth.schema),
            json!({ "type": "object", "additionalProperties": false })
        );
        let limit = auth.children.iter().find(|c| c.key == "rateLimit").unwrap();
        assert!(limit.has_children && limit.path == "gateway.auth.rateLimit");
        assert!(schema.lookup("nope.x").is_none());
        assert!(schema.lookup("agents.list[0].id").is_some());
        assert!(
            schema
                .lookup("channels.talk.accounts.work.botToken")
                .is_some()
        );
    }
}
