//! What an account is configured to do: the keys of `channels.telegram` that this plugin reads.
//!
//! The host checks the block against the schema in `plugin.json` and resolves secrets before
//! `start`. Keys about who may write (`dmPolicy`, `allowFrom`, `groups`, …) are the host's: they
//! are allowed by the schema and not read here.

use std::path::Path;
use std::time::Duration;

use gateway_plugin::message::{ErrorKind, SurfaceError};
use gateway_plugin::surface::Secret;
use serde::Deserialize;

use gateway_plugin::backoff::Backoff;

/// Telegram's own servers.
const API_ROOT: &str = "https://api.telegram.org";
/// Longest text Telegram takes, in UTF-16 units.
const TEXT_UNITS_MAX: usize = 4096;
/// Token files hold one short line.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// Where a long text is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkMode {
    /// As late as possible, at the best place near the limit.
    #[default]
    Length,
    /// At blank lines first, even if the parts become short.
    Newline,
}

/// `retry`: attempts to send when Telegram could not be reached or asked to wait.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// The first delay; each next one is twice as long.
    pub min_delay_ms: u64,
    /// The longest delay. A longer wait asked for by Telegram is left to the host.
    pub max_delay_ms: u64,
    /// Part of a delay that chance adds or takes.
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            attempts: 3,
            min_delay_ms: 400,
            max_delay_ms: 30_000,
            jitter: 0.1,
        }
    }
}

impl Retry {
    /// Delays between attempts.
    pub fn backoff(&self) -> Backoff {
        Backoff {
            initial: Duration::from_millis(self.min_delay_ms),
            max: Duration::from_millis(self.max_delay_ms),
            factor: 2.0,
            jitter: self.jitter,
        }
    }
}

/// `reconnect`: delays between polls after one failed; there is no last attempt.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Reconnect {
    /// The first delay.
    pub initial_ms: u64,
    /// The longest delay.
    pub max_ms: u64,
    /// By how much each delay grows.
    pub factor: f64,
    /// Part of a delay that chance adds or takes.
    pub jitter: f64,
}

impl Default for Reconnect {
    fn default() -> Self {
        Reconnect {
            initial_ms: 2_000,
            max_ms: 30_000,
            factor: 1.8,
            jitter: 0.25,
        }
    }
}

impl Reconnect {
    /// Delays between polls that failed.
    pub fn backoff(&self) -> Backoff {
        Backoff {
            initial: Duration::from_millis(self.initial_ms),
            max: Duration::from_millis(self.max_ms),
            factor: self.factor,
            jitter: self.jitter,
        }
    }
}

/// An account's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    /// The bot's token.
    pub bot_token: Secret,
    /// A file that holds the token, used when `botToken` is absent.
    pub token_file: Option<String>,
    /// Base address of the Bot API.
    pub api_root: String,
    /// Longest part of a message, in UTF-16 units.
    pub text_chunk_limit: usize,
    /// Where a long text is cut.
    pub chunk_mode: ChunkMode,
    /// Longest time for one call, apart from the long poll.
    pub timeout_seconds: u64,
    /// How long Telegram holds a poll when nothing happens.
    pub poll_seconds: u64,
    /// Show previews of links in sent texts.
    pub link_preview: bool,
    /// Attempts to send.
    pub retry: Retry,
    /// Delays between polls that failed.
    pub reconnect: Reconnect,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            bot_token: Secret::default(),
            token_file: None,
            api_root: API_ROOT.to_owned(),
            text_chunk_limit: 4000,
            chunk_mode: ChunkMode::Length,
            timeout_seconds: 60,
            poll_seconds: 30,
            link_preview: true,
            retry: Retry::default(),
            reconnect: Reconnect::default(),
        }
    }
}

fn wrong(message: String) -> SurfaceError {
    SurfaceError::new(ErrorKind::Config, message)
}

impl Config {
    /// The token, from `botToken` or from `tokenFile`.
    ///
    /// # Errors
    /// Of kind `Config` when there is none or it does not look like one. The text never shows it.
    pub fn token(&self) -> Result<Secret, SurfaceError> {
        let (token, from) = match &self.token_file {
            _ if !self.bot_token.is_empty() => (self.bot_token.expose().to_owned(), "botToken"),
            Some(file) => (read_token(Path::new(file))?, "tokenFile"),
            None => {
                return Err(wrong(
                    "no bot token: set botToken or tokenFile to the token @BotFather gave you"
                        .to_owned(),
                ));
            }
        };
        let token = token.trim();
        let well_formed = token.split_once(':').is_some_and(|(id, secret)| {
            let id_fits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
            id_fits && !secret.is_empty() && secret.bytes().all(plain)
        });
        if !well_formed {
            return Err(wrong(format!(
                "{from} does not look like a bot token: it must be <digits>:<letters>, as \
                 @BotFather shows it"
            )));
        }
        Ok(Secret::new(token))
    }

    /// Base address without a slash at its end.
    ///
    /// # Errors
    /// Of kind `Config` when it is not an http or https address.
    pub fn api_root(&self) -> Result<String, SurfaceError> {
        let root = self.api_root.trim_end_matches('/');
        let url = reqwest::Url::parse(root)
            .map_err(|e| wrong(format!("apiRoot {root:?} is not an address: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(format!(
                "apiRoot {root:?} must begin with https:// or http://"
            )));
        }
        Ok(root.to_owned())
    }

    /// Longest part of a message, never more than Telegram takes.
    pub fn chunk_units(&self) -> usize {
        self.text_chunk_limit.clamp(1, TEXT_UNITS_MAX)
    }
}

fn read_token(file: &Path) -> Result<String, SurfaceError> {
    let shown = file.display();
    let meta = std::fs::symlink_metadata(file)
        .map_err(|e| wrong(format!("tokenFile {shown} cannot be read: {e}")))?;
    if !meta.is_file() {
        return Err(wrong(format!(
            "tokenFile {shown} must be a regular file, not a link or folder"
        )));
    }
    if meta.len() > TOKEN_FILE_BYTES_MAX {
        return Err(wrong(format!(
            "tokenFile {shown} is too large to hold just a token"
        )));
    }
    std::fs::read_to_string(file)
        .map_err(|e| wrong(format!("tokenFile {shown} cannot be read: {e}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn config(value: serde_json::Value) -> Config {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = config(json!({ "botToken": "1:a", "allowFrom": [5] }));
        assert_eq!(config.api_root().unwrap(), "https://api.telegram.org");
        assert_eq!((config.chunk_units(), config.poll_seconds), (4000, 30));
        assert_eq!(config.reconnect.backoff().max, Duration::from_secs(30));
        assert_eq!(config.token().unwrap().expose(), "1:a");
    }

    #[test]
    fn a_missing_or_odd_token_is_a_config_error_that_does_not_show_it() {
        let none = config(json!({})).token().unwrap_err();
        assert!(none.stops_account() && none.message.contains("botToken"));
        let odd = config(json!({ "botToken": "abc/../x" }))
            .token()
            .unwrap_err();
        assert!(odd.stops_account() && !odd.message.contains("abc"));
    }

    #[test]
    fn the_token_may_be_in_a_regular_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "1:from_file\n").unwrap();
        let read = |path: &Path| config(json!({ "tokenFile": path })).token();
        assert_eq!(read(&file).unwrap().expose(), "1:from_file");
        assert!(
            read(folder.path())
                .unwrap_err()
                .message
                .contains("regular file")
        );
        assert!(
            read(&folder.path().join("none"))
                .unwrap_err()
                .message
                .contains("none")
        );
    }

    #[test]
    fn the_root_must_be_a_web_address() {
        let root = |root: &str| config(json!({ "apiRoot": root })).api_root();
        assert_eq!(root("http://127.0.0.1:9/").unwrap(), "http://127.0.0.1:9");
        assert!(root("ftp://x").unwrap_err().message.contains("ftp://x"));
        assert!(root("nowhere").is_err());
    }
}
