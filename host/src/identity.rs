//! Device identity files: an Ed25519 key in the form that existing clients use for theirs.
//!
//! The gateway has one (`gateway.identity.get`), the command line has one. `{version, deviceId,
//! publicKeyPem, privateKeyPem, createdAtMs}`, mode 0600.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use gateway_schemas::system::GatewayIdentity;
use serde::{Deserialize, Serialize};

use crate::auth::signature::{PublicKey, SPKI_PREFIX, decode, encode};
use crate::clock::Clock;
use crate::files::{private_dir, write_private};

/// What stands before the 32 seed bytes in an Ed25519 PKCS#8 private key (RFC 8410).
const PKCS8_PREFIX: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A device's key pair and id.
#[derive(Clone)]
pub struct Identity {
    /// Signs for the device.
    pub key: SigningKey,
    /// Hex SHA-256 of the public key.
    pub device_id: String,
    /// Base64url of the public key.
    pub public_key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.device_id)
    }
}

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityFile {
    version: u32,
    device_id: String,
    public_key_pem: String,
    private_key_pem: String,
    created_at_ms: u64,
}

/// The gateway's public half.
///
/// # Errors
/// As [`Identity::load_or_create`].
pub fn load_or_create(path: &Path, clock: &Clock) -> io::Result<GatewayIdentity> {
    let identity = Identity::load_or_create(path, clock)?;
    Ok(GatewayIdentity {
        device_id: identity.device_id,
        public_key: identity.public_key,
    })
}

impl Identity {
    /// Reads the file, or makes a new key on the first start.
    ///
    /// # Errors
    /// The system's; `InvalidData` for a damaged file, which is never overwritten.
    pub fn load_or_create(path: &Path, clock: &Clock) -> io::Result<Identity> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).ok_or_else(|| {
                let fix = "restore it, or delete it to get a new identity";
                let text = format!("{} is not a device identity file: {fix}", path.display());
                io::Error::new(io::ErrorKind::InvalidData, text)
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::create(path, clock),
            Err(e) => Err(e),
        }
    }

    /// Makes the file. Processes that start together agree on the one that was first.
    fn create(path: &Path, clock: &Clock) -> io::Result<Identity> {
        let identity = Self::from_seed(clock.random());
        if let Some(folder) = path.parent() {
            private_dir(folder)?;
        }
        let draft = path.with_extension(clock.uuid());
        write_private(&draft, identity.to_file(clock.now_ms()).as_bytes())?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        match linked {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Self::load_or_create(path, clock),
            linked => linked.map(|()| identity),
        }
    }

    /// The identity of a 32-byte seed.
    pub fn from_seed(seed: [u8; 32]) -> Identity {
        let key = SigningKey::from_bytes(&seed);
        let public_key = encode(key.verifying_key().as_bytes());
        let device_id = PublicKey::parse(&public_key)
            .map(|k| k.device_id())
            .expect("a key just encoded parses");
        Identity {
            key,
            device_id,
            public_key,
        }
    }

    fn parse(text: &str) -> Option<Identity> {
        let file: IdentityFile = serde_json::from_str(text).ok()?;
        let body: String = file
            .private_key_pem
            .lines()
            .filter(|l| !l.starts_with("-----"))
            .collect();
        let der = decode(&body)?;
        let seed: [u8; 32] = der.strip_prefix(PKCS8_PREFIX)?.try_into().ok()?;
        Some(Self::from_seed(seed)).filter(|identity| identity.device_id == file.device_id)
    }

    fn to_file(&self, now_ms: u64) -> String {
        let pem = |label: &str, prefix: &[u8], bytes: &[u8]| {
            let body = STANDARD.encode([prefix, bytes].concat());
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        let file = IdentityFile {
            version: 1,
            device_id: self.device_id.clone(),
            public_key_pem: pem(
                "PUBLIC KEY",
                SPKI_PREFIX,
                self.key.verifying_key().as_bytes(),
            ),
            private_key_pem: pem("PRIVATE KEY", PKCS8_PREFIX, self.key.as_bytes()),
            created_at_ms: now_ms,
        };
        let mut text = serde_json::to_string_pretty(&file).expect("plain text fields");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_file_keeps_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity/device.json");
        let first = Identity::load_or_create(&path, &Clock::system()).unwrap();
        let again = Identity::load_or_create(&path, &Clock::system()).unwrap();
        assert_eq!(first.device_id, again.device_id);
        std::fs::write(&path, "{}").unwrap();
        let refused = Identity::load_or_create(&path, &Clock::system()).unwrap_err();
        assert!(refused.to_string().contains("device.json"), "{refused}");
    }

    #[test]
    fn processes_that_start_together_agree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity/device.json");
        let ids: Vec<String> = std::thread::scope(|scope| {
            let make = || Identity::load_or_create(&path, &Clock::system()).unwrap();
            let calls: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            calls
                .into_iter()
                .map(|call| call.join().unwrap().device_id)
                .collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
    }

    #[test]
    fn the_public_form_is_the_known_one() {
        let seed = std::array::from_fn(|i| i as u8);
        let identity = Identity::from_seed(seed);
        assert_eq!(
            identity.public_key,
            "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
        );
        assert!(identity.to_file(1).contains(
            "-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\\n"
        ));
    }
}
