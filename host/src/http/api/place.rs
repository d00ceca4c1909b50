//! Which agent and which session a program means: by header, by the model's name, by `user`.

use axum::http::HeaderMap;

use super::text;
use crate::clock::Clock;
use crate::config::Config;
use crate::sessions::SessionKey;

const AGENT: &str = "x-openclaw-agent-id";
const SESSION: &str = "x-openclaw-session-key";

/// The agent; the default one when nobody is named.
///
/// # Errors
/// The words for the asker.
pub(super) fn agent(
    config: &Config,
    headers: &HeaderMap,
    model: Option<&str>,
) -> Result<String, String> {
    let named = text(headers, AGENT).or_else(|| of_model(model?.trim()));
    let Some(named) = named else {
        return Ok(config.agents.default_id().to_owned());
    };
    let id = named.trim().to_lowercase();
    match config.agents.exists(&id) {
        true => Ok(id),
        false => Err(format!("unknown agent id \"{}\"", id.escape_debug())),
    }
}

/// `openclaw:<id>`, `openclaw/<id>` or `agent:<id>`.
fn of_model(model: &str) -> Option<&str> {
    let lower = model.to_ascii_lowercase();
    let prefixes = ["openclaw:", "openclaw/", "agent:"];
    let prefix = prefixes.iter().find(|prefix| lower.starts_with(**prefix))?;
    let id = model[prefix.len()..].trim();
    (!id.is_empty()).then_some(id)
}

/// The session: the one named, the one of `user`, or a new one. `kind` is the interface's part of
/// the key.
///
/// # Errors
/// The words for the asker.
pub(super) fn session(
    config: &Config,
    headers: &HeaderMap,
    agent: &str,
    kind: &str,
    user: Option<&str>,
    clock: &Clock,
) -> Result<SessionKey, String> {
    let user = user.map(str::trim).filter(|user| !user.is_empty());
    let key = match (text(headers, SESSION), user) {
        (Some(key), _) => key.to_owned(),
        (None, Some(user)) => format!("agent:{agent}:{kind}-user:{user}"),
        (None, None) => format!("agent:{agent}:{kind}:{}", clock.uuid()),
    };
    SessionKey::resolve(&key, config).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn config() -> Config {
        let mut config = Config::for_tests(std::path::Path::new("/tmp"));
        config.agents = serde_json::from_value(json!({
            "list": [{ "id": "main", "default": true }, { "id": "beta" }],
        }))
        .unwrap();
        config
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let list = list.iter().map(|(name, value)| {
            let name = axum::http::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        list.collect()
    }

    #[test]
    fn the_header_counts_before_the_model() {
        let check = |list: &[(&'static str, &str)], model: Option<&str>, expected: &str| {
            let found = agent(&config(), &headers(list), model);
            assert_eq!(
                found.unwrap_or_else(|why| why),
                expected,
                "{list:?} {model:?}"
            );
        };
        check(&[], None, "main");
        check(&[], Some("openclaw"), "main");
        check(&[], Some("gpt-4o"), "main");
        check(&[], Some("openclaw:beta"), "beta");
        check(&[], Some("OpenClaw/Beta"), "beta");
        check(&[], Some("agent:beta"), "beta");
        check(&[(AGENT, "beta")], Some("openclaw:main"), "beta");
        check(&[], Some("agent:zzz"), "unknown agent id \"zzz\"");
    }

    #[test]
    fn a_session_is_named_sticky_or_new() {
        let clock = Clock::system();
        let key = |list: &[(&'static str, &str)], user: Option<&str>| {
            let found = session(&config(), &headers(list), "beta", "openai", user, &clock);
            found.map(|key| key.to_string())
        };
        assert_eq!(
            key(&[(SESSION, "main")], Some("x")).unwrap(),
            "agent:main:main"
        );
        assert_eq!(
            key(&[], Some(" Ann ")).unwrap(),
            "agent:beta:openai-user:ann"
        );
        let fresh = key(&[], Some(" ")).unwrap();
        assert!(fresh.starts_with("agent:beta:openai:"), "{fresh}");
        assert_ne!(fresh, key(&[], None).unwrap());
        assert!(key(&[(SESSION, "agent:x")], None).is_err());
    }
}
