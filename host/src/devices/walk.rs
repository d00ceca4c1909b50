//! Random walks over everything that can happen to devices, beside a small model of what may.
//!
//! The clock stands still but for the walk's own steps and all choices come from the seed, so a
//! walk that fails fails again: the seed and the step stand in front of the message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::tests::{Rig, visitor};
use super::walk_model::*;
use super::*;
use crate::hub::Client;
use crate::limits::{PAIRING_TTL_MS, TOKEN_OVERLAP_MS};

struct Walk {
    rig: Option<Rig>,
    dice: Dice,
    model: BTreeMap<&'static str, Known>,
    /// Every token that was ever told: device, role, text.
    told: Vec<(&'static str, &'static str, String)>,
    live: Vec<(&'static str, &'static str, Arc<Client>)>,
    /// How often each kind of thing happened: a walk that avoids something proves nothing.
    seen: BTreeMap<&'static str, usize>,
}

impl Walk {
    fn new(seed: u64) -> Walk {
        Walk {
            rig: Some(Rig::new()),
            dice: Dice(seed),
            model: DEVICES.iter().map(|d| (*d, Known::default())).collect(),
            told: Vec::new(),
            live: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    fn rig(&self) -> &Rig {
        self.rig.as_ref().expect("there between two steps")
    }

    fn now(&self) -> u64 {
        self.rig().clock.now_ms()
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn known(&mut self, device: &str) -> &mut Known {
        self.model.get_mut(device).expect("a device of the walk")
    }

    async fn step(&mut self) {
        let now = self.now();
        for known in self.model.values_mut() {
            let late = |p: &Pending| now.saturating_sub(p.ts) > PAIRING_TTL_MS;
            known.pending = known.pending.take().filter(|p| !late(p));
        }
        match self.dice.below(20) {
            0..=5 => self.connect().await,
            6..=8 => self.come_with_a_token().await,
            9..=11 => self.approve().await,
            12 => self.reject().await,
            13 | 14 => self.rotate().await,
            15 | 16 => self.revoke().await,
            17 => self.remove().await,
            18 => {
                let ms = self.dice.below(100_000) as u64;
                self.rig().clock.advance(ms);
            }
            _ => self.restart().await,
        }
        self.check_tokens();
        // Listing tidies up: what is late must not count without it either.
        if self.dice.below(3) == 0 {
            self.check_list().await;
        }
    }

    /// With the shared secret, from here or from afar.
    async fn connect(&mut self) {
        let device = self.dice.one(&DEVICES);
        let role = self.dice.one(&ROLES);
        let wanted = self.dice.some_scopes();
        let mut visitor = visitor(device, role, &wanted);
        visitor.about.platform = Some(self.dice.one(&["linux", "linux", "linux", "mac"]).into());
        visitor.silent = self.dice.below(2) == 0;
        self.admit(device, role, visitor).await;
    }

    async fn admit(&mut self, device: &'static str, role: &'static str, visitor: Visitor) {
        let came_with = visitor.came_with;
        let admission = self.rig().devices.admit(visitor.clone(), false).await;
        match admission.expect("an answer") {
            Admission::Admitted { grant, .. } => {
                self.came_in(device, role, &visitor);
                let grant = grant.expect("what is admitted is entitled");
                self.was_told(device, role, &visitor.scopes, grant);
                if let Some(generation) = came_with {
                    let client = self.rig().connected(device, role, generation);
                    self.live.push((device, role, client));
                }
                self.saw("admitted");
            }
            Admission::Pending { request_id, .. } => self.waits(device, &visitor, request_id),
        }
    }

    /// Whether nothing stands between the visitor and its place.
    fn is_welcome(&self, device: &str, visitor: &Visitor) -> bool {
        let paired = self.model[device].paired.as_ref();
        paired.is_some_and(|p| {
            visitor.about.platform.as_ref() == Some(&p.platform)
                && p.roles.contains(&visitor.role)
                && covers(&visitor.role, &visitor.scopes, &p.approved)
        })
    }

    fn came_in(&mut self, device: &'static str, role: &'static str, visitor: &Visitor) {
        if self.is_welcome(device, visitor) {
            return;
        }
        // Then it was approved silently, and that was right.
        assert!(visitor.silent, "a stranger came in");
        let known = self.known(device);
        assert!(known.pending.as_ref().is_none_or(|p| p.silent));
        let platform = visitor.about.platform.clone().unwrap_or_default();
        let paired = known.paired.get_or_insert_with(|| Paired {
            platform: platform.clone(),
            roles: BTreeSet::from([role.to_owned()]),
            approved: BTreeSet::new(),
            tokens: BTreeMap::new(),
        });
        assert!(paired.roles.contains(role), "another role is never silent");
        assert_eq!(
            paired.platform, platform,
            "another platform is never silent"
        );
        paired.approved.extend(visitor.scopes.iter().cloned());
        paired.tokens.remove(role);
        known.pending = None;
        self.saw("silent");
    }

    /// A token in hello-ok: the one that serves, else a new one.
    fn was_told(
        &mut self,
        device: &'static str,
        role: &'static str,
        wanted: &[String],
        grant: Grant,
    ) {
        let paired = self.known(device).paired.as_mut().expect("it was admitted");
        let scopes = set(&grant.scopes);
        assert!(covers(role, &grant.scopes, &paired.approved), "{grant:?}");
        assert!(covers(role, wanted, &scopes), "{grant:?}");
        let served = |t: &&mut Token| !t.revoked && covers(role, wanted, &t.scopes);
        match paired.tokens.get_mut(role).filter(served) {
            Some(own) => {
                assert_eq!(own.scopes, scopes);
                assert_eq!(own.text.get_or_insert(grant.token.clone()), &grant.token);
            }
            None => {
                let token = Token {
                    text: Some(grant.token.clone()),
                    scopes,
                    revoked: false,
                    previous: None,
                };
                paired.tokens.insert(role.to_owned(), token);
            }
        }
        self.told.push((device, role, grant.token));
    }

    fn waits(&mut self, device: &'static str, visitor: &Visitor, id: String) {
        assert!(
            !self.is_welcome(device, visitor),
            "nothing stood in its way"
        );
        let now = self.now();
        let platform = visitor.about.platform.clone().unwrap_or_default();
        let known = self.known(device);
        let fresh = Pending {
            id: id.clone(),
            platform: platform.clone(),
            role: visitor.role.clone(),
            roles: BTreeSet::new(),
            scopes: BTreeSet::new(),
            silent: false,
            ts: now,
        };
        let request = known.pending.get_or_insert(fresh);
        assert_eq!(request.id, id, "a device has one request");
        request.roles.insert(visitor.role.clone());
        request.scopes.extend(visitor.scopes.iter().cloned());
        (request.platform, request.ts, request.silent) = (platform, now, false);
        self.saw("waits");
    }

    /// With a token that was told at some time; something may be taken while it is at the door.
    async fn come_with_a_token(&mut self) {
        if self.told.is_empty() {
            return;
        }
        let at = self.dice.below(self.told.len());
        let (device, role, text) = self.told[at].clone();
        let wanted = match self.dice.below(2) {
            0 => Vec::new(),
            _ => self.dice.some_scopes(),
        };
        let generation = self.rig().devices.check_token(device, role, &wanted, &text);
        assert!(generation.is_none() || self.works(device, role, &text, &wanted));
        let Some(generation) = generation else {
            self.saw("a dead token");
            return;
        };
        match self.dice.below(4) {
            0 => self.revoke_of(device, role).await,
            1 => self.remove_of(device).await,
            _ => {}
        }
        let mut visitor = visitor(device, role, &wanted);
        let paired = self.model[device].paired.as_ref();
        visitor.about.platform = paired.map(|p| p.platform.clone());
        visitor.came_with = Some(generation);
        if self.works(device, role, &text, &[]) {
            self.saw("a live token");
            self.admit(device, role, visitor).await;
        } else {
            let refused = self.rig().devices.admit(visitor, false).await;
            assert!(
                matches!(refused, Err(DevicesError::TokenGone)),
                "{refused:?}"
            );
            self.saw("taken at the door");
        }
    }

    /// Whether a token opens the door for these scopes.
    fn works(&self, device: &str, role: &str, text: &str, wanted: &[String]) -> bool {
        let paired = self.model[device].paired.as_ref();
        let Some(token) = paired.and_then(|p| p.tokens.get(role)) else {
            return false;
        };
        let own = token.text.as_deref() == Some(text);
        let before = token.previous.as_ref().is_some_and(|(old, scopes, until)| {
            old.as_deref() == Some(text) && self.now() < *until && covers(role, wanted, scopes)
        });
        !token.revoked && (own || before) && covers(role, wanted, &token.scopes)
    }

    async fn approve(&mut self) {
        let Some((device, id)) = self.some_request() else {
            return;
        };
        let giver = self.giver();
        let held = set(&giver.scopes);
        let answer = self.rig().devices.approve(&id, giver).await;
        let known = self.known(device);
        let Some(request) = known.pending.take_if(|p| p.id == id) else {
            assert!(matches!(answer, Err(DevicesError::UnknownRequest)));
            return;
        };
        let asked: Vec<String> = request.scopes.iter().cloned().collect();
        if !covers("operator", &asked, &held) {
            assert!(
                matches!(answer, Err(DevicesError::MissingScope(_))),
                "{answer:?}"
            );
            known.pending = Some(request);
            return self.saw("an approval beyond the approver");
        }
        let shown = answer.expect("approved");
        let paired = known.paired.get_or_insert_with(|| Paired {
            platform: String::new(),
            roles: BTreeSet::new(),
            approved: BTreeSet::new(),
            tokens: BTreeMap::new(),
        });
        paired.platform = request.platform;
        paired.roles.extend(request.roles);
        paired.approved.extend(request.scopes);
        let told = shown.tokens.unwrap_or_default();
        let told = told
            .into_iter()
            .find(|t| t.role == request.role)
            .expect("its token");
        assert!(covers(&request.role, &told.scopes, &paired.approved));
        let token = Token {
            text: None,
            scopes: set(&told.scopes),
            revoked: false,
            previous: None,
        };
        paired.tokens.insert(request.role, token);
        self.saw("approved");
    }

    async fn reject(&mut self) {
        let Some((device, id)) = self.some_request() else {
            return;
        };
        let answer = self.rig().devices.reject(&id).await;
        let waited = self.known(device).pending.take_if(|p| p.id == id);
        assert_eq!(answer.is_ok(), waited.is_some(), "{answer:?}");
        self.saw("rejected");
    }

    fn some_request(&mut self) -> Option<(&'static str, String)> {
        let waiting = self.model.iter();
        let waiting = waiting.filter_map(|(d, k)| Some((*d, k.pending.as_ref()?.id.clone())));
        let waiting: Vec<_> = waiting.collect();
        (!waiting.is_empty()).then(|| waiting[self.dice.below(waiting.len())].clone())
    }

    fn giver(&mut self) -> Giver {
        Giver {
            scopes: match self.dice.below(3) {
                0 => vec!["operator.admin".into(), "else.where".into()],
                _ => self.dice.some_scopes(),
            },
        }
    }

    async fn rotate(&mut self) {
        let (device, role) = (self.dice.one(&DEVICES), self.dice.one(&ROLES));
        let wanted = (self.dice.below(2) == 0).then(|| self.dice.some_scopes());
        let giver = self.giver();
        let held = set(&giver.scopes);
        let rotated = (self.rig().devices)
            .rotate(device, role, wanted.clone(), giver)
            .await;
        let until = self.now() + TOKEN_OVERLAP_MS;
        let paired = self.known(device).paired.as_mut();
        let grant = match (rotated, paired) {
            (Ok(grant), Some(paired)) => {
                assert!(paired.roles.contains(role), "a role it never had");
                assert!(
                    covers(role, &grant.scopes, &held),
                    "beyond the giver: {grant:?}"
                );
                assert!(covers(role, &grant.scopes, &paired.approved), "{grant:?}");
                let old = paired.tokens.remove(role).filter(|t| !t.revoked);
                let token = Token {
                    text: Some(grant.token.clone()),
                    scopes: set(&grant.scopes),
                    revoked: false,
                    previous: old.map(|t| (t.text, t.scopes, until)),
                };
                paired.tokens.insert(role.to_owned(), token);
                grant
            }
            (Ok(_), None) => panic!("an unknown device has no token"),
            (Err(error), paired) => {
                let entitled = paired.is_some_and(|p| {
                    let wanted = wanted.as_deref().unwrap_or_default();
                    p.roles.contains(role)
                        && covers(role, wanted, &held)
                        && covers(role, wanted, &p.approved)
                });
                assert!(!entitled || wanted.is_none(), "{error}");
                return self.saw("a rotation refused");
            }
        };
        self.told.push((device, role, grant.token));
        self.saw("rotated");
    }

    async fn revoke(&mut self) {
        let (device, role) = (self.dice.one(&DEVICES), self.dice.one(&ROLES));
        self.revoke_of(device, role).await;
    }

    async fn revoke_of(&mut self, device: &'static str, role: &'static str) {
        let answer = self.rig().devices.revoke(device, role).await;
        let paired = self.known(device).paired.as_mut();
        let token = paired.and_then(|p| p.tokens.get_mut(role));
        assert_eq!(answer.is_ok(), token.is_some(), "{answer:?}");
        if let Some(token) = token {
            (token.revoked, token.previous) = (true, None);
            self.all_closed(|d, r| d == device && r == role);
            self.saw("revoked");
        }
    }

    async fn remove(&mut self) {
        let device = self.dice.one(&DEVICES);
        self.remove_of(device).await;
    }

    async fn remove_of(&mut self, device: &'static str) {
        let answer = self.rig().devices.remove(device).await;
        let paired = self.known(device).paired.take();
        assert_eq!(answer.is_ok(), paired.is_some(), "{answer:?}");
        if paired.is_some() {
            self.all_closed(|d, _| d == device);
            self.saw("removed");
        }
    }

    /// What was taken took its connections along.
    fn all_closed(&mut self, taken: impl Fn(&str, &str) -> bool) {
        for (_, _, client) in self.live.iter().filter(|(d, r, _)| taken(d, r)) {
            assert!(
                client.queue.closing().is_some(),
                "a connection outlived its token"
            );
        }
        self.live.retain(|(d, r, _)| !taken(d, r));
    }

    async fn restart(&mut self) {
        let rig = self.rig.take().expect("there between two steps");
        self.rig = Some(rig.restart().await);
        self.live.clear();
        self.saw("restarted");
    }

    /// Each token that was told lately works exactly when the model says so.
    fn check_tokens(&self) {
        for (device, role, text) in self.told.iter().rev().take(40) {
            let got = self.rig().devices.check_token(device, role, &[], text);
            let works = self.works(device, role, text, &[]);
            assert_eq!(got.is_some(), works, "a token of {device} as {role}");
            for other in DEVICES.iter().filter(|d| *d != device) {
                let got = self.rig().devices.check_token(other, role, &[], text);
                assert_eq!(got, None, "the token of {device} opens to {other}");
            }
        }
    }

    async fn check_list(&self) {
        let list = self.rig().devices.list().await.unwrap();
        let waiting: Vec<_> = list.pending.iter().map(|p| &p.device_id).collect();
        let distinct: BTreeSet<_> = waiting.iter().collect();
        assert_eq!(distinct.len(), waiting.len(), "two requests of one device");
        for (device, known) in &self.model {
            let shown = list.pending.iter().find(|p| p.device_id == *device);
            let id = shown.map(|p| &p.request_id);
            assert_eq!(id, known.pending.as_ref().map(|p| &p.id));
            if let (Some(shown), Some(known)) = (shown, &known.pending) {
                assert_eq!(
                    set(shown.scopes.as_deref().unwrap_or_default()),
                    known.scopes
                );
                assert_eq!(
                    shown.role.as_ref(),
                    Some(&known.role),
                    "the first role stays"
                );
            }
            let paired = list.paired.iter().find(|p| p.device_id == *device);
            assert_eq!(paired.is_some(), known.paired.is_some());
        }
    }
}

#[tokio::test]
async fn no_walk_gives_more_than_was_approved() {
    const STEPS: usize = 700;
    let mut seen = BTreeMap::<&str, usize>::new();
    for seed in 1..=5 {
        let mut walk = Walk::new(seed);
        for step in 0..STEPS {
            let at = Where { seed, step };
            walk.step().await;
            drop(at);
        }
        for (what, count) in walk.seen {
            *seen.entry(what).or_default() += count;
        }
    }
    let enough = seen.len() == 14 && seen.values().all(|count| *count >= 5);
    assert!(enough, "the walks missed something: {seen:?}");
}

/// Tells which walk failed at which step.
struct Where {
    seed: u64,
    step: usize,
}

impl Drop for Where {
    #[allow(clippy::print_stderr, reason = "what a failing test is found again by")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the walk of seed {} failed at step {}",
                self.seed, self.step
            );
        }
    }
}
