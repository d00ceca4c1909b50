//! A random walk over sockets: devices from afar ask, are approved, rotated, revoked, removed and
//! come again, with kill -9 in between. The longer walks are beside the rules themselves.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{Client, Device, Gateway, Login};

const SEED: u64 = 20_250_314;
const STEPS: usize = 120;
const SCOPES: [&str; 3] = ["operator.read", "operator.write", "operator.approvals"];
const FAR: [(&str, &str); 1] = [("x-forwarded-for", "203.0.113.9")];

#[derive(Clone, Copy, PartialEq)]
enum Life {
    Lives,
    /// Rotated: it works for a while.
    Ends,
    Dead,
}

/// What the walk knows of a device.
struct Known {
    device: Device,
    approved: Option<BTreeSet<&'static str>>,
    asked: BTreeSet<&'static str>,
    request: Option<String>,
    tokens: Vec<(Value, Life)>,
}

struct Walk {
    gateway: Gateway,
    admin: Client,
    /// May pair, and read.
    clerk: Client,
    known: Vec<Known>,
    dice: u64,
}

fn covered(wanted: &BTreeSet<&str>, held: &BTreeSet<&str>) -> bool {
    let covers =
        |w: &&str| held.contains(w) || (*w == "operator.read" && held.contains("operator.write"));
    wanted.iter().all(covers)
}

impl Walk {
    async fn start() -> Walk {
        let gateway = Gateway::start().await;
        let admin = gateway.operator().await;
        let clerk = gateway
            .operator_with(&["operator.pairing", "operator.read"])
            .await;
        let fresh = || Known {
            device: Device::new(),
            approved: None,
            asked: BTreeSet::new(),
            request: None,
            tokens: Vec::new(),
        };
        let known = (0..3).map(|_| fresh()).collect();
        Walk {
            gateway,
            admin,
            clerk,
            known,
            dice: SEED,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice % end as u64).unwrap()
    }

    async fn step(&mut self) {
        let at = self.below(self.known.len());
        match self.below(12) {
            0..=3 => self.connect(at).await,
            4..=6 => self.approve(at).await,
            7 | 8 => self.come_with_a_token(at).await,
            9 => self.rotate(at).await,
            10 => self.revoke(at).await,
            _ => self.remove(at).await,
        }
        self.check_list().await;
    }

    async fn far(&self, login: &Login) -> Value {
        let mut client = Client::open_with(self.gateway.port(), "/", &FAR).await;
        client.try_log_in(login).await
    }

    async fn connect(&mut self, at: usize) {
        let wanted: Vec<&'static str> = (0..self.below(3)).map(|_| SCOPES[self.below(3)]).collect();
        let login = Login::operator(&self.known[at].device).scopes(&wanted);
        let answer = self.far(&login).await;
        let known = &mut self.known[at];
        let wanted: BTreeSet<_> = wanted.into_iter().collect();
        let welcome = known.approved.as_ref().is_some_and(|a| covered(&wanted, a));
        assert_eq!(answer["ok"], welcome, "{answer}");
        if welcome {
            let token = answer["payload"]["auth"]["deviceToken"].clone();
            return known.was_told(token);
        }
        let id = answer["error"]["details"]["requestId"].as_str().unwrap();
        let request = known.request.get_or_insert(id.to_owned());
        assert_eq!(request, id, "one request for each device");
        known.asked.extend(wanted);
    }

    /// By one who may give everything, or by one who may read.
    async fn approve(&mut self, at: usize) {
        let by_admin = self.below(2) == 0;
        let known = &mut self.known[at];
        let Some(id) = known.request.clone() else {
            return;
        };
        let params = json!({ "requestId": id });
        let may = BTreeSet::from(["operator.read", "operator.pairing"]);
        if !by_admin && !covered(&known.asked, &may) {
            let refused = self.clerk.refused("device.pair.approve", params).await;
            let message = refused["message"].as_str().unwrap();
            assert!(message.starts_with("missing scope: "), "{message}");
            return;
        }
        let giver = if by_admin {
            &mut self.admin
        } else {
            &mut self.clerk
        };
        giver.ok("device.pair.approve", params).await;
        known.request = None;
        let asked = std::mem::take(&mut known.asked);
        known.approved.get_or_insert_default().extend(asked);
        known.all_dead();
    }

    async fn come_with_a_token(&mut self, at: usize) {
        if self.known[at].tokens.is_empty() {
            return;
        }
        let which = self.below(self.known[at].tokens.len());
        let (token, life) = self.known[at].tokens[which].clone();
        let login = Login::operator(&self.known[at].device).scopes(&[]);
        let answer = self.far(&login.auth(json!({ "deviceToken": token }))).await;
        match life {
            Life::Lives => assert_eq!(answer["ok"], true, "{answer}"),
            Life::Dead => {
                let code = &answer["error"]["details"]["code"];
                assert_eq!(code, "AUTH_DEVICE_TOKEN_MISMATCH", "a dead token: {answer}");
            }
            Life::Ends => {}
        }
    }

    async fn rotate(&mut self, at: usize) {
        let known = &mut self.known[at];
        let params = json!({ "deviceId": known.device.id, "role": "operator" });
        if known.approved.is_none() {
            self.admin.refused("device.token.rotate", params).await;
            return;
        }
        let rotated = self.admin.ok("device.token.rotate", params).await;
        for (_, life) in &mut known.tokens {
            *life = match *life {
                Life::Lives => Life::Ends,
                _ => Life::Dead,
            };
        }
        known.tokens.push((rotated["token"].clone(), Life::Lives));
    }

    async fn revoke(&mut self, at: usize) {
        let known = &mut self.known[at];
        let params = json!({ "deviceId": known.device.id, "role": "operator" });
        if known.approved.is_some() {
            self.admin.ok("device.token.revoke", params).await;
            known.all_dead();
        } else {
            self.admin.refused("device.token.revoke", params).await;
        }
    }

    async fn remove(&mut self, at: usize) {
        let known = &mut self.known[at];
        let params = json!({ "deviceId": known.device.id });
        if known.approved.take().is_some() {
            self.admin.ok("device.pair.remove", params).await;
            known.all_dead();
        } else {
            self.admin.refused("device.pair.remove", params).await;
        }
    }

    async fn crash(&mut self) {
        self.gateway.crash().await;
        self.gateway.restart().await;
        self.admin = self.gateway.operator().await;
        self.clerk = self
            .gateway
            .operator_with(&["operator.pairing", "operator.read"])
            .await;
    }

    async fn check_list(&mut self) {
        let list = self.admin.ok("device.pair.list", json!({})).await;
        for known in &self.known {
            let id = known.device.id.as_str();
            let waiting = list["pending"].as_array().unwrap();
            let waiting: Vec<_> = waiting.iter().filter(|p| p["deviceId"] == id).collect();
            assert_eq!(
                waiting.len(),
                usize::from(known.request.is_some()),
                "{list}"
            );
            let paired = list["paired"].as_array().unwrap();
            let found = paired.iter().any(|p| p["deviceId"] == id);
            assert_eq!(found, known.approved.is_some(), "{list}");
        }
    }
}

impl Known {
    fn all_dead(&mut self) {
        self.tokens
            .iter_mut()
            .for_each(|(_, life)| *life = Life::Dead);
    }

    /// The token of hello-ok: the one it has, one that was made at its approval, or a wider one.
    fn was_told(&mut self, token: Value) {
        let known = self.tokens.iter().find(|(text, _)| *text == token);
        if let Some((_, life)) = known {
            assert!(*life == Life::Lives, "a dead token was given again");
            return;
        }
        self.all_dead();
        self.tokens.push((token, Life::Lives));
    }
}

#[tokio::test]
async fn a_walk_over_sockets_gives_no_more_than_was_approved() {
    let mut walk = Walk::start().await;
    for step in 0..STEPS {
        if step % 50 == 49 {
            walk.crash().await;
        }
        walk.step().await;
    }
}
