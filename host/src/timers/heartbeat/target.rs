//! Where a heartbeat's words go: `target` of its settings, and who may see what.
//!
//! Called by the look-around. Pure but for the session's last route.

use serde_json::Value;

use super::settings::Settings;
use crate::channels::catalogue;
use crate::config::Config;
use crate::router::place::Place;
use crate::sessions::RouteRow;
use crate::store::journal::ChatKind;

/// Where a heartbeat's words go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Channel id.
    pub channel: String,
    /// The provider's target.
    pub to: String,
    /// Account; the channel's default one when absent.
    pub account: Option<String>,
    /// Thread or topic there.
    pub thread_id: Option<String>,
}

/// The target, or the word for why there is none.
pub fn of(settings: &Settings, last: Option<RouteRow>) -> Result<Target, &'static str> {
    let named = settings.target();
    if named.is_empty() || named == "none" {
        return Err("target-none");
    }
    let channel = catalogue::canonical(named);
    let last = last.filter(|last| named == "last" || last.channel == channel);
    let last = last.filter(|last| last.channel != "webchat");
    let channel = match (named, &last) {
        ("last", Some(last)) => last.channel.clone(),
        ("last", None) => return Err("no-target"),
        _ => channel,
    };
    let (last_to, last_account, thread_id) = last.map_or((None, None, None), |last| {
        (last.to, last.account_id, last.thread_id)
    });
    let own = settings.to().map(str::to_owned);
    let thread_id = thread_id.filter(|_| own.is_none());
    let to = own.or(last_to).filter(|to| !to.is_empty());
    let target = Target {
        to: to.ok_or("no-target")?,
        account: settings.account_id().map(str::to_owned).or(last_account),
        channel,
        thread_id,
    };
    let place = Place::of_target(&target.channel, &target.to, None);
    if place.kind == ChatKind::Direct && !settings.direct_allowed() {
        return Err("dm-blocked");
    }
    Ok(target)
}

/// What a channel's `heartbeat` block, else `channels.defaults.heartbeat`, says of one sign.
pub fn shows(config: &Config, channel: &str, sign: &str, otherwise: bool) -> bool {
    let own = config
        .channels
        .get(channel)
        .and_then(|c| c.get("heartbeat"));
    let shared = config.channel_defaults.other.get("heartbeat");
    let said = |block: Option<&Value>| block?.get(sign)?.as_bool();
    said(own).or_else(|| said(shared)).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::settings;
    use super::*;
    use serde_json::json;

    fn target(heartbeat: Value, last: Option<RouteRow>) -> Result<Target, &'static str> {
        let mut config = Config::for_tests(std::path::Path::new("/nowhere"));
        let agents = json!({ "defaults": { "heartbeat": heartbeat } });
        config.agents = serde_json::from_value(agents).unwrap();
        of(&settings::of(&config, "main").unwrap(), last)
    }

    fn route(channel: &str, to: &str) -> Option<RouteRow> {
        Some(RouteRow {
            channel: channel.into(),
            to: Some(to.into()),
            account_id: Some("work".into()),
            thread_id: Some("7".into()),
        })
    }

    #[test]
    fn last_and_named_targets() {
        assert_eq!(target(json!({}), route("irc", "alice")), Err("target-none"));
        let last = json!({ "target": "last" });
        assert_eq!(target(last.clone(), None), Err("no-target"));
        assert_eq!(
            target(last.clone(), route("webchat", "x")),
            Err("no-target")
        );
        let found = target(last, route("irc", "alice")).unwrap();
        assert_eq!(
            (found.to.as_str(), found.account.as_deref()),
            ("alice", Some("work"))
        );
        assert_eq!(found.thread_id.as_deref(), Some("7"));
        let named = json!({ "target": "tg", "to": "-100", "directPolicy": "block" });
        let found = target(named, route("irc", "alice")).unwrap();
        assert_eq!(
            (found.channel.as_str(), found.to.as_str()),
            ("telegram", "-100")
        );
        assert_eq!((found.account, found.thread_id), (None, None));
        let direct = json!({ "target": "telegram", "to": "42", "directPolicy": "block" });
        assert_eq!(target(direct, None), Err("dm-blocked"));
        assert_eq!(target(json!({ "target": "irc" }), None), Err("no-target"));
    }

    #[test]
    fn a_channel_says_what_it_shows() {
        let mut config = Config::for_tests(std::path::Path::new("/nowhere"));
        assert!(shows(&config, "irc", "showAlerts", true));
        config.channels.insert(
            "irc".into(),
            json!({ "heartbeat": { "showAlerts": false } }),
        );
        assert!(!shows(&config, "irc", "showAlerts", true));
    }
}
