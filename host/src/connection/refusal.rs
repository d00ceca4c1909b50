//! Every way a handshake is refused, worded as the wire words it.

use gateway_schemas::error::{ErrorCode, ErrorShape};
use gateway_schemas::frame;
use serde_json::{Value, json};

use super::link::Link;
use crate::auth::{origin, proxy, secret};
use crate::devices::Reason;
use crate::hub::Closing;

/// A refusal: perhaps a response, then the close.
#[derive(Debug)]
pub(super) struct Refusal {
    response: Option<Box<(String, ErrorShape)>>,
    closing: Closing,
}

impl Refusal {
    /// Closes without a word.
    pub(super) fn silent(code: u16, reason: &str) -> Refusal {
        Refusal {
            response: None,
            closing: Closing {
                code,
                reason: reason.to_owned(),
            },
        }
    }

    /// Answers request `id` with `error`, then closes with its message as the reason.
    fn answered(id: &str, error: ErrorShape, code: u16) -> Refusal {
        let closing = Closing {
            code,
            reason: error.message.clone(),
        };
        Refusal {
            response: Some(Box::new((frame::quote(id), error))),
            closing,
        }
    }

    /// Writes the response, if there is one, then the close frame.
    pub(super) async fn send(self, link: &mut Link) {
        if let Some((id, error)) = self.response.as_deref() {
            tracing::info!(
                code = error.code.as_str(),
                message = error.message,
                "connect refused"
            );
            if !link.send(frame::response_err(id, error, None)).await {
                return;
            }
        }
        link.close(&self.closing).await;
    }
}

/// Refusals of one connect request.
pub(super) struct Refusals<'a> {
    /// The request's id.
    pub(super) id: &'a str,
    /// How to word the hint about the secret.
    pub(super) hint: Hint,
}

/// Which client is told where to put the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    CommandLine,
    Browser,
    Other,
}

impl Hint {
    /// By what the client says it is.
    pub(super) fn of(client_id: &str, client_mode: &str) -> Hint {
        match (client_id, client_mode) {
            ("openclaw-control-ui" | "webchat-ui", _) | (_, "webchat") => Hint::Browser,
            (_, "cli") => Hint::CommandLine,
            _ => Hint::Other,
        }
    }
}

/// What was sent in `auth`, for the advice to the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentAuth {
    pub(super) device: bool,
    pub(super) token: bool,
    pub(super) device_token: bool,
}

impl Refusals<'_> {
    fn plain(&self, code: ErrorCode, message: &str, details: Option<Value>) -> Refusal {
        let mut error = ErrorShape::new(code, message);
        error.details = details;
        Refusal::answered(self.id, error, 1008)
    }

    fn invalid(&self, message: &str, details: Option<Value>) -> Refusal {
        self.plain(ErrorCode::InvalidRequest, message, details)
    }

    pub(super) fn not_connect(&self) -> Refusal {
        self.invalid("invalid handshake: first request must be connect", None)
    }

    pub(super) fn params(&self, errors: &str) -> Refusal {
        self.invalid(&format!("invalid connect params: {errors}"), None)
    }

    pub(super) fn protocol(&self, expected: u32) -> Refusal {
        let mut error = ErrorShape::new(ErrorCode::InvalidRequest, "protocol mismatch");
        error.details = Some(json!({ "code": "PROTOCOL_MISMATCH", "expectedProtocol": expected }));
        Refusal::answered(self.id, error, 1002)
    }

    pub(super) fn role(&self) -> Refusal {
        self.invalid("invalid role", None)
    }

    pub(super) fn origin(&self, refused: origin::Refused) -> Refusal {
        let message = "origin not allowed (open the Control UI from the gateway host or allow it \
                       in gateway.controlUi.allowedOrigins)";
        let details =
            json!({ "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED", "reason": refused.reason() });
        self.invalid(message, Some(details))
    }

    pub(super) fn control_ui_device(&self) -> Refusal {
        let message = "control ui requires device identity (use HTTPS or localhost secure context)";
        self.invalid(
            message,
            Some(json!({ "code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED" })),
        )
    }

    pub(super) fn device_required(&self) -> Refusal {
        let details = json!({ "code": "DEVICE_IDENTITY_REQUIRED" });
        self.plain(
            ErrorCode::NotPaired,
            "device identity required",
            Some(details),
        )
    }

    pub(super) fn device(&self, wrong: DeviceProof) -> Refusal {
        let (message, code, reason) = wrong.words();
        self.invalid(message, Some(json!({ "code": code, "reason": reason })))
    }

    pub(super) fn pairing(&self, request_id: &str, reason: Reason) -> Refusal {
        let details = json!({
            "code": "PAIRING_REQUIRED", "requestId": request_id, "reason": reason.as_str(),
        });
        self.plain(ErrorCode::NotPaired, "pairing required", Some(details))
    }

    pub(super) fn unavailable(&self, message: &str) -> Refusal {
        self.plain(ErrorCode::Unavailable, message, None)
    }

    pub(super) fn bootstrap_token(&self) -> Refusal {
        self.unauthorized(
            "unauthorized: bootstrap token invalid or expired (scan a fresh setup code)",
            "AUTH_BOOTSTRAP_TOKEN_INVALID",
            "bootstrap_token_invalid",
            "review_auth_configuration",
        )
    }

    pub(super) fn rate_limited(&self) -> Refusal {
        self.unauthorized(
            "unauthorized: too many failed authentication attempts (retry later)",
            "AUTH_RATE_LIMITED",
            "rate_limited",
            "wait_then_retry",
        )
    }

    pub(super) fn proxy(&self, refused: &proxy::Refused) -> Refusal {
        self.unauthorized(
            "unauthorized",
            "AUTH_UNAUTHORIZED",
            &refused.reason(),
            "review_auth_configuration",
        )
    }

    pub(super) fn device_token(&self) -> Refusal {
        self.unauthorized(
            "unauthorized: device token mismatch (rotate/reissue device token)",
            "AUTH_DEVICE_TOKEN_MISMATCH",
            "device_token_mismatch",
            "update_auth_credentials",
        )
    }

    fn unauthorized(&self, message: &str, code: &str, reason: &str, next: &str) -> Refusal {
        let details = json!({
            "code": code,
            "authReason": reason,
            "canRetryWithDeviceToken": next == "retry_with_device_token",
            "recommendedNextStep": next,
        });
        self.invalid(message, Some(details))
    }

    pub(super) fn secret(&self, refused: secret::Refused, sent: SentAuth) -> Refusal {
        use secret::Refused::{
            PasswordMismatch, PasswordMissing, PasswordNotConfigured, TokenMismatch, TokenMissing,
            TokenNotConfigured,
        };
        let (text, code) = match refused {
            TokenMissing => ("gateway token missing", "AUTH_TOKEN_MISSING"),
            TokenMismatch => ("gateway token mismatch", "AUTH_TOKEN_MISMATCH"),
            TokenNotConfigured => (
                "gateway token not configured on gateway",
                "AUTH_TOKEN_NOT_CONFIGURED",
            ),
            PasswordMissing => ("gateway password missing", "AUTH_PASSWORD_MISSING"),
            PasswordMismatch => ("gateway password mismatch", "AUTH_PASSWORD_MISMATCH"),
            PasswordNotConfigured => (
                "gateway password not configured on gateway",
                "AUTH_PASSWORD_NOT_CONFIGURED",
            ),
        };
        let hint = match refused {
            TokenNotConfigured => "set gateway.auth.token",
            PasswordNotConfigured => "set gateway.auth.password",
            TokenMissing | TokenMismatch => match self.hint {
                Hint::CommandLine => "set gateway.remote.token to match gateway.auth.token",
                Hint::Browser => {
                    "open the dashboard URL and paste the token in Control UI settings"
                }
                Hint::Other => "provide gateway auth token",
            },
            PasswordMissing | PasswordMismatch => match self.hint {
                Hint::CommandLine => "set gateway.remote.password to match gateway.auth.password",
                Hint::Browser => "enter the password in Control UI settings",
                Hint::Other => "provide gateway auth password",
            },
        };
        let next = match refused {
            TokenMismatch if sent.device && sent.token && !sent.device_token => {
                "retry_with_device_token"
            }
            TokenMismatch | PasswordMismatch => "update_auth_credentials",
            _ => "update_auth_configuration",
        };
        self.unauthorized(
            &format!("unauthorized: {text} ({hint})"),
            code,
            refused.reason(),
            next,
        )
    }
}

/// What is wrong with the device's proof, in the order it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeviceProof {
    IdMismatch,
    Expired,
    NonceMissing,
    NonceMismatch,
    Signature,
    PublicKey,
}

impl DeviceProof {
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::IdMismatch => (
                "device identity mismatch",
                "DEVICE_AUTH_DEVICE_ID_MISMATCH",
                "device-id-mismatch",
            ),
            Self::Expired => (
                "device signature expired",
                "DEVICE_AUTH_SIGNATURE_EXPIRED",
                "device-signature-stale",
            ),
            Self::NonceMissing => (
                "device nonce required",
                "DEVICE_AUTH_NONCE_REQUIRED",
                "device-nonce-missing",
            ),
            Self::NonceMismatch => (
                "device nonce mismatch",
                "DEVICE_AUTH_NONCE_MISMATCH",
                "device-nonce-mismatch",
            ),
            Self::Signature => (
                "device signature invalid",
                "DEVICE_AUTH_SIGNATURE_INVALID",
                "device-signature",
            ),
            Self::PublicKey => (
                "device public key invalid",
                "DEVICE_AUTH_PUBLIC_KEY_INVALID",
                "device-public-key",
            ),
        }
    }
}
