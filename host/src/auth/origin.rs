//! Which web pages may open the socket.

use url::Url;

use crate::config::ControlUiConfig;

/// Why a page's origin is refused; the wire's `details.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The header is absent, `null` or no URL.
    MissingOrInvalid,
    /// A real origin that nobody allowed.
    NotAllowed,
}

impl Refused {
    /// The wire's text.
    pub fn reason(self) -> &'static str {
        match self {
            Self::MissingOrInvalid => "origin missing or invalid",
            Self::NotAllowed => "origin not allowed",
        }
    }
}

/// Checks the `Origin` header. `host` is the Host header, `local` whether the request is local.
///
/// # Errors
/// [`Refused`].
pub fn check(
    origin: Option<&str>,
    host: Option<&str>,
    local: bool,
    config: &ControlUiConfig,
) -> Result<(), Refused> {
    let text = origin
        .map(str::trim)
        .filter(|o| !o.is_empty() && *o != "null");
    let url = text.and_then(|o| Url::parse(o).ok()).filter(Url::has_host);
    let Some(url) = url else {
        return Err(Refused::MissingOrInvalid);
    };
    let origin = url.origin().ascii_serialization();
    let listed = |o: &String| {
        let o = o.trim().to_ascii_lowercase();
        o == "*" || o.trim_end_matches('/') == origin
    };
    if config.allowed_origins.iter().any(listed) {
        return Ok(());
    }
    let name = url.host_str().unwrap_or_default();
    let with_port = url
        .port()
        .map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    let same_host = host.is_some_and(|h| h.trim().eq_ignore_ascii_case(&with_port));
    if config.dangerously_allow_host_header_origin_fallback && same_host {
        return Ok(());
    }
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(a)) => a.is_loopback(),
        Some(url::Host::Ipv6(a)) => a.to_canonical().is_loopback(),
        None => false,
    };
    if local && loopback {
        Ok(())
    } else {
        Err(Refused::NotAllowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn case(origin: Option<&str>, local: bool, allowed: &[&str], expected: Result<(), Refused>) {
        let config = ControlUiConfig {
            allowed_origins: allowed.iter().map(|o| (*o).to_owned()).collect(),
            ..ControlUiConfig::default()
        };
        assert_eq!(
            check(origin, Some("gw.example:1"), local, &config),
            expected,
            "{origin:?}"
        );
    }

    #[test]
    fn who_may_come() {
        case(None, true, &[], Err(Refused::MissingOrInvalid));
        case(Some("null"), true, &["*"], Err(Refused::MissingOrInvalid));
        case(Some("not a url"), true, &[], Err(Refused::MissingOrInvalid));
        case(Some("http://localhost:5173"), true, &[], Ok(()));
        case(Some("http://[::1]:5173"), true, &[], Ok(()));
        case(
            Some("http://localhost:5173"),
            false,
            &[],
            Err(Refused::NotAllowed),
        );
        case(
            Some("https://evil.example"),
            true,
            &[],
            Err(Refused::NotAllowed),
        );
        case(
            Some("https://UI.example"),
            false,
            &["https://ui.example"],
            Ok(()),
        );
        case(
            Some("https://ui.example:8443"),
            false,
            &["https://ui.example"],
            Err(Refused::NotAllowed),
        );
        case(Some("https://any.example"), false, &["*"], Ok(()));
    }

    #[test]
    fn the_host_header_counts_only_when_told() {
        let config = ControlUiConfig {
            dangerously_allow_host_header_origin_fallback: true,
            ..ControlUiConfig::default()
        };
        assert_eq!(
            check(
                Some("http://gw.example:1"),
                Some("GW.example:1"),
                false,
                &config
            ),
            Ok(())
        );
        let other = check(
            Some("http://gw.example:2"),
            Some("gw.example:1"),
            false,
            &config,
        );
        assert_eq!(other, Err(Refused::NotAllowed));
    }
}
