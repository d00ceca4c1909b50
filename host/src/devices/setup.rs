//! Setup codes: a secret for one device, shown as a QR code, instead of the shared one.
//!
//! A code is kept as its hash. It belongs to the first device that shows it and opens the door to
//! it once in each role, until its time is up; it is burnt when hello-ok went out, so that a
//! device that has to wait for its approval can come again. What a device is given by it is
//! decided by the pairing rules; only a node of protocol 4 is paired by the code alone, and then
//! gets no more than the code's maker had.

use sha2::{Digest, Sha256};

use super::request::Book;
use super::task::{Answer, DevicesTask, Job};
use super::{Devices, DevicesError, Giver};
use crate::auth::{scopes, signature};
use crate::limits::{SETUP_CODE_TTL_MS, SETUP_CODES_MAX};
use crate::spell;
use crate::store::devices::{DeviceChanges, SetupCodeRecord};

/// What a device that is paired by its code alone is handed as operator.
const HANDOFF_SCOPES: [&str; 4] = [
    "operator.approvals",
    "operator.read",
    "operator.talk.secrets",
    "operator.write",
];

/// A fresh code. The token is nowhere else.
#[derive(Debug)]
pub struct SetupCode {
    /// What the device shows, 43 characters.
    pub token: String,
    /// When it ends, ms.
    pub expires_at_ms: u64,
}

/// A code that opened the door to a device in a role; burnt at hello-ok.
#[derive(Clone, Debug)]
pub struct CodePass {
    hash: String,
    role: String,
    /// What the device may be handed without an approval.
    pub scopes: Vec<String>,
}

/// What the handle asks about codes.
pub(super) enum CodeJob {
    Make {
        giver: Giver,
        answer: Answer<SetupCode>,
    },
    Bind {
        hash: String,
        device_id: String,
        role: String,
        answer: Answer<Option<CodePass>>,
    },
    Burn {
        pass: CodePass,
        answer: Answer<()>,
    },
}

impl Devices {
    /// Makes a setup code, good for [`SETUP_CODE_TTL_MS`].
    ///
    /// # Errors
    /// [`DevicesError::Store`].
    pub async fn make_code(&self, giver: Giver) -> Result<SetupCode, DevicesError> {
        self.ask(|answer| Job::Code(CodeJob::Make { giver, answer }))
            .await
    }

    /// Whether the code opens the door to this device in this role. Binds it to the device.
    ///
    /// # Errors
    /// [`DevicesError::Store`].
    pub async fn show_code(
        &self,
        token: &str,
        device_id: &str,
        role: &str,
    ) -> Result<Option<CodePass>, DevicesError> {
        let hash = hash(token.trim());
        // Guesses don't reach the task.
        if !self.shared.read().codes.contains_key(&hash) {
            return Ok(None);
        }
        let (device_id, role) = (device_id.to_owned(), role.to_owned());
        self.ask(|answer| {
            Job::Code(CodeJob::Bind {
                hash,
                device_id,
                role,
                answer,
            })
        })
        .await
    }

    /// hello-ok went out: the code opens no more in this role.
    ///
    /// # Errors
    /// [`DevicesError::Store`].
    pub async fn burn_code(&self, pass: CodePass) -> Result<(), DevicesError> {
        self.ask(|answer| Job::Code(CodeJob::Burn { pass, answer }))
            .await
    }
}

/// Codes whose time is up.
pub(super) fn expired(book: &Book, now: u64) -> Vec<String> {
    let late = book.codes.values().filter(|c| c.expires_at_ms <= now);
    late.map(|c| c.hash.clone()).collect()
}

/// Codes that open to this device alone.
pub(super) fn bound_to(book: &Book, device_id: &str) -> Vec<String> {
    let codes = book.codes.values();
    let bound = codes.filter(|c| c.device_id.as_deref() == Some(device_id));
    bound.map(|c| c.hash.clone()).collect()
}

fn opens(code: &SetupCodeRecord, device_id: &str, role: &str, now: u64) -> bool {
    now < code.expires_at_ms
        && code.device_id.as_deref().is_none_or(|d| d == device_id)
        && !code.used.iter().any(|used| used == role)
}

fn hash(token: &str) -> String {
    spell::hex(&Sha256::digest(token.as_bytes()))
}

impl DevicesTask {
    pub(super) async fn serve_code(&self, job: CodeJob) {
        // An asker that left doesn't take its decision back.
        match job {
            CodeJob::Make { giver, answer } => {
                answer.send(self.make_code(&giver).await).ok();
            }
            CodeJob::Bind {
                hash,
                device_id,
                role,
                answer,
            } => {
                let pass = self.bind_code(&hash, device_id, role).await;
                answer.send(pass).ok();
            }
            CodeJob::Burn { pass, answer } => {
                answer.send(self.burn_code(&pass).await).ok();
            }
        }
    }

    async fn make_code(&self, giver: &Giver) -> Result<SetupCode, DevicesError> {
        let token = signature::encode(&self.clock.random::<32>());
        let given = HANDOFF_SCOPES.map(str::to_owned).into_iter();
        let given = given
            .filter(|scope| scopes::allows("operator", std::slice::from_ref(scope), &giver.scopes));
        let code = SetupCodeRecord {
            hash: hash(&token),
            scopes: given.collect(),
            expires_at_ms: self.clock.now_ms().saturating_add(SETUP_CODE_TTL_MS),
            ..SetupCodeRecord::default()
        };
        let made = SetupCode {
            token,
            expires_at_ms: code.expires_at_ms,
        };
        let mut changes = self.purge();
        changes.drop_codes.extend(self.crowded_out());
        changes.put_codes.push(code);
        self.commit(changes).await?;
        Ok(made)
    }

    /// The oldest code, when there is no room for another.
    fn crowded_out(&self) -> Option<String> {
        let book = self.shared.read();
        let oldest = book.codes.values().min_by_key(|c| c.expires_at_ms);
        oldest
            .filter(|_| book.codes.len() >= SETUP_CODES_MAX)
            .map(|c| c.hash.clone())
    }

    async fn bind_code(
        &self,
        hash: &str,
        device_id: String,
        role: String,
    ) -> Result<Option<CodePass>, DevicesError> {
        let now = self.clock.now_ms();
        let code = self.shared.read().codes.get(hash).cloned();
        let Some(mut code) = code.filter(|c| opens(c, &device_id, &role, now)) else {
            return Ok(None);
        };
        let pass = CodePass {
            hash: code.hash.clone(),
            role,
            scopes: code.scopes.clone(),
        };
        if code.device_id.is_none() {
            code.device_id = Some(device_id);
            self.commit(DeviceChanges {
                put_codes: vec![code],
                ..DeviceChanges::default()
            })
            .await?;
        }
        Ok(Some(pass))
    }

    async fn burn_code(&self, pass: &CodePass) -> Result<(), DevicesError> {
        let code = self.shared.read().codes.get(&pass.hash).cloned();
        let Some(mut code) = code else {
            return Ok(());
        };
        code.used.push(pass.role.clone());
        let mut changes = self.purge();
        if !changes.drop_codes.contains(&code.hash) {
            changes.put_codes.push(code);
        }
        self.commit(changes).await
    }
}
