//! What an approval for a node is bound to: program, arguments, folder, agent, session and a
//! fingerprint of the variables. Pure.

use std::collections::BTreeMap;

use gateway_schemas::approvals::{SystemRunBinding, SystemRunPlan};
use sha2::{Digest, Sha256};

use crate::spell;

/// The binding of a plan, and the names of the variables in it, sorted.
pub fn bind(
    plan: &SystemRunPlan,
    variables: Option<&BTreeMap<String, String>>,
) -> (SystemRunBinding, Vec<String>) {
    let portable = |name: &str| {
        let mut chars = name.chars();
        let first = chars.next();
        first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let entries = variables.into_iter().flatten();
    let entries: Vec<(&str, &str)> = entries
        .map(|(name, value)| (name.trim(), value.as_str()))
        .filter(|(name, _)| portable(name))
        .collect();
    let env_hash = (!entries.is_empty()).then(|| {
        let text = serde_json::to_string(&entries).unwrap_or_default();
        spell::hex(&Sha256::digest(text.as_bytes()))
    });
    let names = entries.iter().map(|(name, _)| (*name).to_owned()).collect();
    let binding = SystemRunBinding {
        argv: plan.argv.clone(),
        cwd: plan.cwd.clone(),
        agent_id: plan.agent_id.clone(),
        session_key: plan.session_key.clone(),
        env_hash,
    };
    (binding, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_bound_by_name_and_value() {
        let plan = SystemRunPlan {
            argv: vec!["/bin/ls".to_owned()],
            cwd: None,
            command_text: "ls".to_owned(),
            command_preview: None,
            agent_id: None,
            session_key: None,
            mutable_file_operand: None,
        };
        let bound = |pairs: &[(&str, &str)]| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            bind(&plan, Some(&pairs.iter().map(own).collect()))
        };
        assert_eq!(bind(&plan, None).0.env_hash, None);
        assert_eq!(bound(&[("bad name", "1")]).1, Vec::<String>::new());
        let (one, names) = bound(&[("B", "2"), ("A", "1")]);
        assert_eq!(names, ["A", "B"]);
        assert_ne!(one.env_hash, bound(&[("A", "1"), ("B", "3")]).0.env_hash);
    }
}
