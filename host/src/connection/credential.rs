//! How a visitor proves itself before its device is looked at: the proxy's word or the shared
//! secret, in the wire's order, as far as its address may still try.

use super::door::Door;
use super::refusal::{Refusal, Refusals, SentAuth};
use crate::auth::rate::{Bucket, Locked, Try};
use crate::auth::{proxy, secret};
use crate::config::AuthMode;
use crate::methods::Parts;

/// What let a visitor in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It came over the gateway's own socket, from its own user.
    OwnUser,
    /// Nothing is asked for (mode none).
    NothingAsked,
    /// The shared token or password.
    Secret,
    /// A trusted proxy named an allowed user.
    TrustedProxy,
}

impl Proof {
    /// Whether an operator may come with it and without a device.
    pub(super) fn stands_for_a_device(self) -> bool {
        matches!(self, Self::Secret | Self::TrustedProxy)
    }
}

/// Why nothing of it opened the door.
#[derive(Clone, Debug)]
pub(super) enum Shut {
    /// Too many failures from this address.
    Locked,
    /// The shared secret is missing or wrong.
    Secret(secret::Refused),
    /// The proxy's word doesn't count.
    Proxy(proxy::Refused),
}

impl Shut {
    pub(super) fn refusal(self, refusals: &Refusals<'_>, sent: SentAuth) -> Refusal {
        match self {
            Shut::Locked => refusals.rate_limited(),
            Shut::Secret(refused) => refusals.secret(refused, sent),
            Shut::Proxy(refused) => refusals.proxy(&refused),
        }
    }
}

impl Door<'_> {
    /// Proxy, nothing, limiter, secret: the first that applies decides.
    pub(super) async fn prove(&mut self, parts: &Parts) -> Result<Proof, Shut> {
        if self.arrival.own_user {
            return Ok(Proof::OwnUser);
        }
        let auth = &self.config.gateway.auth;
        match auth.mode {
            Some(AuthMode::TrustedProxy) => {
                let arrival = self.arrival;
                let config = auth.trusted_proxy.as_ref();
                return proxy::check(&arrival.origin, &arrival.proxies, config)
                    .map(|_| Proof::TrustedProxy)
                    .map_err(Shut::Proxy);
            }
            Some(AuthMode::None) => return Ok(Proof::NothingAsked),
            Some(AuthMode::Token | AuthMode::Password) | None => {}
        }
        self.check_secret(parts.clock.now_ms())
    }

    /// A wrong secret counts, in whichever field it came, unless it turns out to be the device's
    /// own token; nothing at all is no try.
    fn check_secret(&mut self, now_ms: u64) -> Result<Proof, Shut> {
        let (limiter, address) = (self.limiter(), self.address());
        if limiter.is_some_and(|l| l.is_locked(Bucket::SharedSecret, address, now_ms)) {
            return Err(Shut::Locked);
        }
        let limiter = limiter.filter(|_| self.sent_secret());
        let tried = limiter.map(|l| l.begin(Bucket::SharedSecret, address, now_ms));
        let tried = tried.transpose().map_err(|Locked| Shut::Locked)?;
        match secret::check(&self.config.gateway.auth, self.credentials()) {
            Ok(()) => {
                tried.into_iter().for_each(Try::succeeded);
                Ok(Proof::Secret)
            }
            Err(refused) => {
                if refused.is_not_configured() {
                    tried.into_iter().for_each(Try::take_back);
                } else {
                    self.tried = tried;
                }
                Err(Shut::Secret(refused))
            }
        }
    }
}
