//! The shared secret of the gateway: configured mode against what a client sent.

use subtle::ConstantTimeEq;

use crate::config::{AuthConfig, AuthMode, Secret};

/// What a client sent to prove itself. Absent and empty differ for the signature, not here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// `auth.token`.
    pub token: Option<&'a str>,
    /// `auth.password`.
    pub password: Option<&'a str>,
}

/// Why the shared secret didn't admit a client; the wire's `authReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The gateway has no token.
    TokenNotConfigured,
    /// No token was sent.
    TokenMissing,
    /// A wrong token was sent.
    TokenMismatch,
    /// The gateway has no password.
    PasswordNotConfigured,
    /// No password was sent.
    PasswordMissing,
    /// A wrong password was sent.
    PasswordMismatch,
}

impl Refused {
    /// Whether the gateway has nothing to compare with.
    pub fn is_not_configured(self) -> bool {
        matches!(self, Self::TokenNotConfigured | Self::PasswordNotConfigured)
    }

    /// The wire's name of the reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TokenNotConfigured => "token_missing_config",
            Self::TokenMissing => "token_missing",
            Self::TokenMismatch => "token_mismatch",
            Self::PasswordNotConfigured => "password_missing_config",
            Self::PasswordMissing => "password_missing",
            Self::PasswordMismatch => "password_mismatch",
        }
    }
}

/// Checks the shared secret. The secret counts in either field, as protocol 4 has it: a person
/// who pastes a password into the token box is let in, one who knows neither is not.
///
/// # Errors
/// [`Refused`], by the configured mode and what was sent.
pub fn check(config: &AuthConfig, sent: Credentials<'_>) -> Result<(), Refused> {
    match config.mode.unwrap_or(AuthMode::Token) {
        AuthMode::None => Ok(()),
        AuthMode::Password => match &config.password {
            None => Err(Refused::PasswordNotConfigured),
            Some(secret) => compare(secret, sent.password, sent.token).map_err(|wrong| {
                if wrong {
                    Refused::PasswordMismatch
                } else {
                    Refused::PasswordMissing
                }
            }),
        },
        // Behind a trusted proxy no secret counts.
        AuthMode::TrustedProxy => Err(Refused::TokenNotConfigured),
        AuthMode::Token => match &config.token {
            None => Err(Refused::TokenNotConfigured),
            Some(secret) => compare(secret, sent.token, sent.password).map_err(|wrong| {
                if wrong {
                    Refused::TokenMismatch
                } else {
                    Refused::TokenMissing
                }
            }),
        },
    }
}

/// `Err(true)`: the field that should hold it was wrong; `Err(false)`: it was blank.
fn compare(secret: &Secret, own: Option<&str>, other: Option<&str>) -> Result<(), bool> {
    if [own, other]
        .into_iter()
        .flatten()
        .any(|sent| equal(secret.expose(), sent.trim()))
    {
        return Ok(());
    }
    Err(own.is_some_and(|sent| !sent.trim().is_empty()))
}

/// Constant-time comparison; only the length shows.
pub fn equal(secret: &str, sent: &str) -> bool {
    secret.as_bytes().ct_eq(sent.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(mode: AuthMode) -> AuthConfig {
        AuthConfig {
            mode: Some(mode),
            token: Some(Secret::new("right")),
            password: Some(Secret::new("pass")),
            ..AuthConfig::default()
        }
    }

    #[track_caller]
    fn check_case(
        mode: AuthMode,
        token: Option<&str>,
        password: Option<&str>,
        expected: Result<(), Refused>,
    ) {
        assert_eq!(
            check(&config(mode), Credentials { token, password }),
            expected
        );
    }

    #[test]
    fn each_mode_and_field() {
        use AuthMode::{None as Open, Password, Token};
        check_case(Token, Some(" right "), None, Ok(()));
        check_case(Token, None, Some("right"), Ok(()));
        check_case(Token, None, None, Err(Refused::TokenMissing));
        check_case(Token, Some(" "), None, Err(Refused::TokenMissing));
        check_case(Token, Some("wrong"), None, Err(Refused::TokenMismatch));
        check_case(Token, None, Some("pass"), Err(Refused::TokenMissing));
        check_case(Password, None, Some("pass"), Ok(()));
        check_case(Password, Some("pass"), None, Ok(()));
        check_case(Password, None, Some("x"), Err(Refused::PasswordMismatch));
        check_case(Password, Some("x"), None, Err(Refused::PasswordMissing));
        check_case(Open, Some("x"), None, Ok(()));
        let none = AuthConfig {
            mode: Some(Token),
            ..AuthConfig::default()
        };
        assert_eq!(
            check(&none, Credentials::default()),
            Err(Refused::TokenNotConfigured)
        );
    }
}
