//! The tool `skill`: the instructions of a skill that the agent may use.

use serde::Deserialize;
use serde_json::{Value, json};

use super::arguments;
use crate::agent::toolbox::{ToolOutput, ToolPlace};
use crate::skills;

/// What models are told of the arguments.
pub(super) fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "description": "The skill's name" },
        },
        "required": ["name"],
        "additionalProperties": false,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    name: String,
}

/// `skill`
pub(super) fn read(place: &ToolPlace, given: Value) -> Result<ToolOutput, String> {
    let wanted: Arguments = arguments(given)?;
    let text = skills::read(&place.config, &place.agent, wanted.name.trim())?;
    Ok(ToolOutput::ok(text))
}
