//! How a visitor proves itself before its device is looked at: the word of a proxy or of
//! Tailscale, or the shared secret, in the wire's order, as far as its address may still try.

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
    /// Tailscale Serve named a user of the tailnet.
    Tailscale,
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
    /// Proxy, nothing, limiter, Tailscale, secret: the first that applies decides.
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
        let now_ms = parts.clock.now_ms();
        let (limiter, address) = (self.limiter(), self.address());
        if limiter.is_some_and(|l| l.is_locked(Bucket::SharedSecret, address, now_ms)) {
            return Err(Shut::Locked);
        }
        let tailscale = self.arrival.tailscale.as_deref().filter(|_| !self.is_local);
        if let Some(tailscale) = tailscale
            && tailscale.vouches_for(&self.arrival.origin, now_ms).await
        {
            limiter.inspect(|l| l.forget(Bucket::SharedSecret, address));
            return Ok(Proof::Tailscale);
        }
        self.check_secret(now_ms)
    }

    /// A wrong secret counts, in whichever field it came, unless it turns out to be the device's
    /// own token; nothing at all is no try.
    fn check_secret(&mut self, now_ms: u64) -> Result<Proof, Shut> {
        let address = self.address();
        let limiter = self.limiter().filter(|_| self.sent_secret());
        let tried = limiter.map(|l| l.begin(Bucket::SharedSecret, address, now_ms));
        let tried = tried.transpose().map_err(|Locked| Shut::Locked)?;
        match secret::check(&self.config.gateway.auth, self.credentials()) {
            Ok(()) => {
                tried.into_iter().for_each(Try::succeeded);
                self.secret_generation = Some(self.config.gateway.auth.generation);
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
