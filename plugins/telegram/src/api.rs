//! A thin client of the Bot API: one method, JSON in, JSON out, errors that say what is certain.
//!
//! The token is part of every address, so no address ever leaves this file: errors of the HTTP
//! library lose theirs, and texts are searched for the token before they are handed on.
//! The HTTP client is built on first use, away from the runtime's threads, because reading the
//! system's certificates takes a while.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateway_plugin::surface::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::OnceCell;

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that nobody uses are closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read: a hundred updates of the largest size fit several times.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiError {
    /// The server was not reached: the call certainly did not happen.
    Connect(String),
    /// The request left, no usable answer came: the call may have happened.
    Lost(String),
    /// Telegram said no.
    Refused(Refusal),
    /// The HTTP client cannot be built on this machine.
    Setup(String),
}

/// Telegram's answer when it says no.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Refusal {
    /// As the HTTP status.
    #[serde(default, rename = "error_code")]
    pub code: i64,
    /// Telegram's reason.
    #[serde(default)]
    pub description: String,
    /// What to do about it.
    #[serde(default)]
    pub parameters: Parameters,
}

/// What Telegram suggests.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Parameters {
    /// Seconds to wait.
    pub retry_after: Option<u64>,
    /// The group is a supergroup now and has this id.
    pub migrate_to_chat_id: Option<i64>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApiError::Connect(reason) => write!(f, "telegram cannot be reached: {reason}"),
            ApiError::Lost(reason) => write!(f, "no answer from telegram: {reason}"),
            ApiError::Refused(no) => write!(f, "telegram answered {}: {}", no.code, no.description),
            ApiError::Setup(reason) => write!(f, "the HTTP client cannot be set up: {reason}"),
        }
    }
}

impl ApiError {
    /// Does Telegram's reason contain this, in any case of letters?
    pub fn says(&self, words: &str) -> bool {
        matches!(self, ApiError::Refused(no)
            if no.description.to_ascii_lowercase().contains(&words.to_ascii_lowercase()))
    }

    /// Telegram's code, if it answered.
    pub fn code(&self) -> Option<i64> {
        match self {
            ApiError::Refused(no) => Some(no.code),
            _ => None,
        }
    }

    /// Is the token itself not accepted? 404 and nothing else is what a malformed one gets.
    pub fn is_auth(&self) -> bool {
        match self {
            ApiError::Refused(no) => {
                no.code == 401 || (no.code == 404 && no.description == "Not Found")
            }
            _ => false,
        }
    }

    /// How long Telegram asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ApiError::Refused(no) => no.parameters.retry_after.map(Duration::from_secs),
            _ => None,
        }
    }
}

/// The Bot API with one token. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    root: String,
    token: Secret,
    timeout: Duration,
    http: OnceCell<reqwest::Client>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("root", &self.0.root)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    result: Value,
    #[serde(flatten)]
    refusal: Refusal,
}

impl Api {
    /// A client for this token; `timeout` bounds every call but the long poll. Nothing is opened.
    pub fn new(root: String, token: Secret, timeout: Duration) -> Api {
        Api(Arc::new(Inner {
            root,
            token,
            timeout,
            http: OnceCell::new(),
        }))
    }

    /// Calls a method.
    ///
    /// # Errors
    /// See [`ApiError`]; dropping the future leaves open whether the call happened.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &Value,
    ) -> Result<T, ApiError> {
        self.call_within(method, params, self.0.timeout).await
    }

    /// Calls a method that may take this long.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn call_within<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &Value,
        timeout: Duration,
    ) -> Result<T, ApiError> {
        let http = self.0.http.get_or_try_init(|| build(&self.0.root)).await?;
        let address = format!("{}/bot{}/{method}", self.0.root, self.0.token.expose());
        let request = http.post(address).json(params).timeout(timeout);
        let mut response = request.send().await.map_err(|e| self.failure(e))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.failure(e))? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(ApiError::Lost(format!(
                    "its answer to {method} is too large"
                )));
            }
            body.extend_from_slice(&piece);
        }
        self.read(method, status, &body)
    }

    fn read<T: DeserializeOwned>(
        &self,
        method: &str,
        status: u16,
        body: &[u8],
    ) -> Result<T, ApiError> {
        let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
            return Err(not_the_bot_api(method, status));
        };
        if !answer.ok {
            let mut refusal = answer.refusal;
            refusal.description = self.clean(&refusal.description);
            if refusal.code == 0 {
                refusal.code = status.into();
            }
            return Err(ApiError::Refused(refusal));
        }
        serde_json::from_value(answer.result)
            .map_err(|e| ApiError::Lost(format!("its answer to {method} is not as expected: {e}")))
    }

    fn failure(&self, error: reqwest::Error) -> ApiError {
        let (connect, timeout) = (error.is_connect(), error.is_timeout());
        let error = error.without_url();
        // The innermost cause is what an operator can act on; what wraps it says only "failed".
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = cause.to_string();
            source = cause.source();
        }
        if timeout {
            text = "timed out".to_owned();
        }
        let text = self.clean(&text);
        if connect {
            ApiError::Connect(text)
        } else {
            ApiError::Lost(text)
        }
    }

    /// Whatever the text is, the token is not in it afterwards.
    fn clean(&self, text: &str) -> String {
        let token = self.0.token.expose();
        let secret = token.split_once(':').map_or(token, |(_, secret)| secret);
        text.replace(token, "***").replace(secret, "***")
    }
}

/// An answer that is not JSON: one cut short, or a page of something in between.
fn not_the_bot_api(method: &str, status: u16) -> ApiError {
    match status {
        200..300 => ApiError::Lost(format!("its answer to {method} cannot be read")),
        500.. => ApiError::Refused(Refusal {
            code: status.into(),
            description: format!("HTTP status without a readable answer to {method}"),
            ..Refusal::default()
        }),
        _ => ApiError::Connect(format!(
            "something that is not the Bot API answered with HTTP status {status}; check apiRoot"
        )),
    }
}

async fn build(root: &str) -> Result<reqwest::Client, ApiError> {
    let url = reqwest::Url::parse(root).map_err(|e| ApiError::Setup(e.to_string()))?;
    let build = move || {
        // Statics are per library: this one brings its own provider. An error means it is there.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("openclaw-telegram/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if url.scheme() == "http" {
            // No certificate is ever looked at, so none is read.
            builder = builder.tls_certs_only([]);
        }
        if url
            .host_str()
            .is_some_and(|host| host == "localhost" || host.starts_with("127."))
        {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|e| ApiError::Setup(e.to_string()))
    };
    tokio::task::spawn_blocking(build)
        .await
        .unwrap_or_else(|e| Err(ApiError::Setup(e.to_string())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn api() -> Api {
        Api::new(
            "http://127.0.0.1:1".into(),
            Secret::new("7:hidden"),
            Duration::from_secs(5),
        )
    }

    fn read(status: u16, body: &str) -> Result<Value, ApiError> {
        api().read("getMe", status, body.as_bytes())
    }

    #[test]
    fn answers_are_results_or_refusals() {
        assert_eq!(
            read(200, r#"{"ok":true,"result":{"id":7}}"#),
            Ok(json!({ "id": 7 }))
        );
        let no = read(
            429,
            r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 3",
                "parameters":{"retry_after":3}}"#,
        )
        .unwrap_err();
        assert_eq!(no.retry_after(), Some(Duration::from_secs(3)));
        assert!(no.says("TOO MANY") && !no.is_auth());
        assert!(
            read(
                401,
                r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#
            )
            .unwrap_err()
            .is_auth()
        );
    }

    #[test]
    fn what_cannot_be_read_may_have_happened_if_the_status_is_good() {
        assert!(matches!(read(200, "{\"ok\":tr"), Err(ApiError::Lost(_))));
        assert_eq!(read(502, "<html>").unwrap_err().code(), Some(502));
        let stranger = read(404, "<html>").unwrap_err();
        assert!(matches!(stranger, ApiError::Connect(_)) && !stranger.is_auth());
    }

    #[tokio::test]
    async fn errors_do_not_show_the_token() {
        let error = api().call::<Value>("getMe", &json!({})).await.unwrap_err();
        assert!(matches!(error, ApiError::Connect(_)), "{error:?}");
        let texts = format!("{error} {error:?} {:?}", api());
        assert!(
            !texts.contains("hidden") && !texts.contains("7:"),
            "{texts}"
        );
        assert_eq!(api().clean("x/bot7:hidden/y hidden"), "x/bot***/y ***");
    }
}
