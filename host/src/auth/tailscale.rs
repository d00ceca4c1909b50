//! Tailscale Serve in front: it says who comes, and `tailscale whois` says whether that is so.
//!
//! Only a request from loopback with all the headers that Serve sends is looked at. Answers are
//! remembered for a minute, failures for some seconds; both are bounded, and so is the number of
//! questions at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderName;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::local::{Origin, TrustedProxies};
use crate::config::env;
use crate::limits::{
    WHOIS_AT_ONCE_MAX, WHOIS_BYTES_MAX, WHOIS_FAILURE_KEPT_MS, WHOIS_KEPT_MAX, WHOIS_KEPT_MS,
    WHOIS_TIMEOUT,
};

const LOGIN: HeaderName = HeaderName::from_static("tailscale-user-login");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The headers of Serve beside those of every proxy.
pub const ASKED: [HeaderName; 2] = [LOGIN, PROTO];

/// Who is who in the tailnet.
#[derive(Debug)]
pub struct Tailscale {
    program: String,
    loopback: TrustedProxies,
    asking: Semaphore,
    known: Mutex<HashMap<IpAddr, Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    /// `None` when the question failed.
    login: Option<String>,
    until_ms: u64,
}

/// What Serve claims in a request.
#[derive(Debug, PartialEq, Eq)]
struct Claim<'a> {
    address: IpAddr,
    login: &'a str,
}

impl Tailscale {
    /// Asks `program`, else `tailscale` on the search path.
    pub fn new(program: Option<String>) -> Tailscale {
        Tailscale {
            program: program.unwrap_or_else(|| "tailscale".into()),
            loopback: TrustedProxies::new(&["127.0.0.0/8".into(), "::1".into()], false),
            asking: Semaphore::new(WHOIS_AT_ONCE_MAX),
            known: Mutex::default(),
        }
    }

    /// Whether the request comes through Serve from the user that it names. Asks the program at
    /// most once for each address and minute. Safe to cancel: the program is killed.
    pub async fn vouches_for(&self, origin: &Origin, now_ms: u64) -> bool {
        let Some(claim) = self.claim(origin) else {
            return false;
        };
        let login = match self.remembered(claim.address, now_ms) {
            Some(login) => login,
            None => self.ask(claim.address, now_ms).await,
        };
        login.is_some_and(|login| login.to_lowercase() == claim.login.to_lowercase())
    }

    fn claim<'a>(&self, origin: &'a Origin) -> Option<Claim<'a>> {
        let filled = |text: Option<&'a str>| text.map(str::trim).filter(|t| !t.is_empty());
        filled(origin.asked(PROTO.as_str()))?;
        filled(origin.forwarded_for.as_deref())?;
        let from_serve = origin.comes_from(&self.loopback) && origin.forwarded_host;
        let login = filled(origin.asked(LOGIN.as_str())).filter(|_| from_serve)?;
        let address = origin.client_address(&self.loopback)?;
        Some(Claim { address, login })
    }

    fn remembered(&self, address: IpAddr, now_ms: u64) -> Option<Option<String>> {
        let known = self.lock().get(&address).cloned()?;
        (now_ms < known.until_ms).then_some(known.login)
    }

    async fn ask(&self, address: IpAddr, now_ms: u64) -> Option<String> {
        let _place = self.asking.acquire().await.ok()?;
        if let Some(login) = self.remembered(address, now_ms) {
            return login;
        }
        let answer = tokio::time::timeout(WHOIS_TIMEOUT, self.whois(address)).await;
        let login = match answer {
            Ok(Ok(login)) => Some(login),
            Ok(Err(why)) => {
                tracing::warn!(%address, why, "tailscale whois failed");
                None
            }
            Err(_) => {
                tracing::warn!(%address, "tailscale whois took too long");
                None
            }
        };
        let kept_ms = if login.is_some() {
            WHOIS_KEPT_MS
        } else {
            WHOIS_FAILURE_KEPT_MS
        };
        let known = Known {
            login: login.clone(),
            until_ms: now_ms.saturating_add(kept_ms),
        };
        self.remember(address, known, now_ms);
        login
    }

    fn remember(&self, address: IpAddr, answer: Known, now_ms: u64) {
        let mut known = self.lock();
        if known.len() >= WHOIS_KEPT_MAX {
            known.retain(|_, k| now_ms < k.until_ms);
        }
        if known.len() >= WHOIS_KEPT_MAX {
            let first = known
                .iter()
                .min_by_key(|(_, k)| k.until_ms)
                .map(|(a, _)| *a);
            first.map(|address| known.remove(&address));
        }
        known.insert(address, answer);
    }

    /// `tailscale whois --json ADDRESS`: the login of whose device has the address.
    async fn whois(&self, address: IpAddr) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        // Our own secrets may be in the environment: it gets none of it.
        command.env_clear();
        command.envs(env::var(env::PATH).map(|path| (env::PATH, path)));
        command
            .args(["whois", "--json", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let program = &self.program;
        let mut child = command
            .spawn()
            .map_err(|e| format!("can't run {program}: {e}"))?;
        let mut text = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let mut bounded = stdout.take(WHOIS_BYTES_MAX);
            let read = bounded.read_to_end(&mut text).await;
            read.map_err(|e| format!("can't read what {program} says: {e}"))?;
        }
        let status = child.wait().await;
        let status = status.map_err(|e| format!("can't wait for {program}: {e}"))?;
        if !status.success() {
            return Err(format!("{program} ended with {status}"));
        }
        login_in(&text).ok_or_else(|| format!("{program} named no login"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The login in the program's answer.
fn login_in(text: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        user_profile: Profile,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Profile {
        login_name: String,
    }
    let answer: Answer = serde_json::from_slice(text).ok()?;
    let login = answer.user_profile.login_name.trim();
    (!login.is_empty()).then(|| login.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_serve() -> Origin {
        let asked = [(LOGIN, "ada@example.com"), (PROTO, "https")];
        Origin {
            peer: "127.0.0.1".parse().ok(),
            forwarded_for: Some("9.9.9.9, 100.101.102.103".into()),
            forwarded_host: true,
            asked: asked.map(|(name, value)| (name, value.to_owned())).into(),
            ..Origin::default()
        }
    }

    #[test]
    fn only_all_of_serves_headers_from_loopback_are_a_claim() {
        let tailscale = Tailscale::new(None);
        let whole = from_serve();
        let claim = Claim {
            address: IpAddr::from([100, 101, 102, 103]),
            login: "ada@example.com",
        };
        assert_eq!(tailscale.claim(&whole), Some(claim));
        let without = |change: &dyn Fn(&mut Origin)| {
            let mut origin = from_serve();
            change(&mut origin);
            assert_eq!(tailscale.claim(&origin), None, "{origin:?}");
        };
        without(&|o| o.peer = "100.101.102.103".parse().ok());
        without(&|o| o.peer = None);
        without(&|o| o.forwarded_for = None);
        without(&|o| o.forwarded_for = Some("127.0.0.1".into()));
        without(&|o| o.forwarded_for = Some("100.101.102.103, junk".into()));
        without(&|o| o.forwarded_host = false);
        without(&|o| o.asked.truncate(1));
        without(&|o| drop(o.asked.remove(0)));
        without(&|o| o.asked[0].1 = " ".into());
    }

    #[test]
    fn the_answers_kept_are_bounded_and_end() {
        let tailscale = Tailscale::new(None);
        for i in 0..2 * WHOIS_KEPT_MAX as u32 {
            let known = Known {
                login: Some("a".into()),
                until_ms: 10,
            };
            tailscale.remember(IpAddr::from(i.to_be_bytes()), known, 1);
        }
        assert_eq!(tailscale.lock().len(), WHOIS_KEPT_MAX);
        let last = IpAddr::from((2 * WHOIS_KEPT_MAX as u32 - 1).to_be_bytes());
        assert_eq!(tailscale.remembered(last, 9), Some(Some("a".into())));
        assert_eq!(tailscale.remembered(last, 10), None);
    }

    #[test]
    fn answers_without_a_login_name_nobody() {
        let whole = br#"{"Node":{"ID":1},"UserProfile":{"ID":2,"LoginName":" ada@example.com "}}"#;
        assert_eq!(login_in(whole).as_deref(), Some("ada@example.com"));
        for text in [
            "",
            "{}",
            "[]",
            r#"{"UserProfile":{"LoginName":""}}"#,
            "nonsense",
        ] {
            assert_eq!(login_in(text.as_bytes()), None, "{text}");
        }
    }
}
