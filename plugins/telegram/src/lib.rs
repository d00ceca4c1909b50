//! Telegram as a surface of the gateway: a thin client of the Bot API over long polling.
//!
//! The map: `config` is what an account is told, `api` the wire, `inbound` the poll loop with
//! `update` and `mention` making messages of what it gets, `outbound` the sending side with
//! `target` (who), `format` and `rich` (how it looks) and `chunk` (how long it may be).
//! Set-up and limits are in the README beside this crate.

pub mod rich;
pub mod config;
pub mod format;
pub mod chunk;
pub mod api;
pub mod target;
pub mod mention;
pub mod update;
pub mod inbound;
pub mod outbound;

use std::time::Duration;

use gateway_plugin::cx::Cx;
use gateway_plugin::message::{Edit, ErrorKind, Media, OutboundMessage, ProbeReport, SendReceipt};
use gateway_plugin::surface::{Res, Surface};
use serde_json::json;

use crate::api::Api;
use crate::config::Config;
use crate::inbound::Poller;
use crate::outbound::{Outbound, explained};
use crate::update::User;

gateway_plugin::export_plugin!(Telegram, "plugin.json");

/// One Telegram account: a bot.
#[derive(Debug)]
pub struct Telegram {
    api: Api,
    outbound: Outbound,
}

impl Surface for Telegram {
    type Config = Config;

    /// Checks the configuration and begins polling. Whether Telegram accepts the token is told by
    /// a connection event: start itself opens nothing.
    async fn start(config: Config, cx: Cx) -> Res<Self> {
        let timeout = Duration::from_secs(config.timeout_seconds.max(1));
        let api = Api::new(config.api_root()?, config.token()?, timeout);
        let poller = Poller {
            api: api.clone(),
            cx: cx.clone(),
            backoff: config.reconnect.backoff(),
            hold: Duration::from_secs(config.poll_seconds.clamp(1, 50)),
        };
        cx.spawn("poll", poller.run());
        Ok(Telegram {
            outbound: Outbound::new(api.clone(), config),
            api,
        })
    }

    async fn send(&self, message: OutboundMessage, _media: Media) -> Res<SendReceipt> {
        self.outbound.send(message).await
    }

    async fn edit(&self, edit: Edit) -> Res<()> {
        self.outbound.edit(edit).await
    }

    /// Telegram ends the sign by itself, so switching it off does nothing.
    async fn typing(&self, chat: String, thread_id: Option<String>, on: bool) -> Res<()> {
        if on {
            self.outbound.typing(&chat, thread_id.as_deref()).await
        } else {
            Ok(())
        }
    }

    async fn probe(&self) -> Res<ProbeReport> {
        match self.api.call::<User>("getMe", &json!({})).await {
            Ok(me) => Ok(ProbeReport {
                ok: true,
                me: Some(me.peer()),
                error: None,
                native: json!({ "canReadAllGroupMessages": me.can_read_all_group_messages }),
            }),
            Err(error) => {
                let error = explained(error, "");
                if error.kind == ErrorKind::Config {
                    return Err(error);
                }
                Ok(ProbeReport {
                    error: Some(error.message),
                    ..ProbeReport::default()
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gateway_plugin::manifest::Manifest;
    use gateway_plugin::testkit;
    use serde_json::{Value, json};

    fn manifest() -> Manifest {
        testkit::check_manifest::<super::Telegram>(include_str!("../plugin.json")).unwrap()
    }

    #[test]
    fn the_manifest_fits_the_plugin() {
        assert_eq!(manifest().version, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn the_schema_takes_what_the_plugin_reads_and_names_what_it_does_not() {
        let schema = jsonschema::validator_for(&manifest().config_schema).unwrap();
        let good = json!({
            "enabled": true, "botToken": "1:a", "apiRoot": "http://127.0.0.1:1",
            "dmPolicy": "open", "allowFrom": [42, "*"], "groups": { "*": {} },
            "textChunkLimit": 100, "chunkMode": "newline", "timeoutSeconds": 5, "pollSeconds": 1,
            "linkPreview": false,
            "retry": { "attempts": 1, "minDelayMs": 0, "maxDelayMs": 0, "jitter": 0 },
            "reconnect": { "initialMs": 0, "maxMs": 0, "factor": 1, "jitter": 0 }
        });
        assert!(schema.is_valid(&good));
        serde_json::from_value::<super::Config>(good).unwrap();
        let refused = |value: Value| schema.validate(&value).unwrap_err().to_string();
        assert!(refused(json!({ "botTokn": "x" })).contains("botTokn"));
        assert!(refused(json!({ "textChunkLimit": 5000 })).contains("5000"));
        assert!(!schema.is_valid(&json!({ "botToken": 5 })));
    }
}
