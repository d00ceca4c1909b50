//! Device tokens: derived when needed, never stored.
//!
//! `token = base64url(HMAC-SHA256(gateway key, "device-token" | device | role | generation))`.
//! So a reconnect gets the same token, while the store and its backups hold none.

use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::auth::{secret, signature};
use crate::clock::Clock;

/// The gateway's key for deriving tokens.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey(***)")
    }
}

impl TokenKey {
    /// Reads the key, or makes one (0600) on the first start.
    ///
    /// # Errors
    /// The system's, or `InvalidData` when the file isn't 32 bytes: a new key would silently
    /// void every device token, so a person has to decide.
    pub fn load_or_create(path: &Path, clock: &Clock) -> io::Result<TokenKey> {
        match std::fs::read(path) {
            Ok(bytes) => bytes.as_slice().try_into().map(TokenKey).map_err(|_| {
                let text = format!(
                    "{} holds {} bytes instead of 32: restore it, or delete it and every device \
                     gets a new token",
                    path.display(),
                    bytes.len()
                );
                io::Error::new(io::ErrorKind::InvalidData, text)
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let key = clock.random::<32>();
                if let Some(folder) = path.parent() {
                    crate::files::private_dir(folder)?;
                }
                crate::files::write_private(path, &key)?;
                Ok(TokenKey(key))
            }
            Err(e) => Err(e),
        }
    }

    /// The token of a device and role in one generation, 43 characters.
    pub fn derive(&self, device_id: &str, role: &str, generation: u64) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any size");
        // Lengths keep the fields apart whatever they hold.
        for field in ["device-token", device_id, role] {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field.as_bytes());
        }
        mac.update(&generation.to_be_bytes());
        signature::encode(&mac.finalize().into_bytes())
    }

    /// Whether `sent` is that token; constant time.
    pub fn matches(&self, device_id: &str, role: &str, generation: u64, sent: &str) -> bool {
        secret::equal(&self.derive(device_id, role, generation), sent)
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> TokenKey {
        TokenKey([7; 32])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_same_for_the_same_and_other_for_others() {
        let key = TokenKey::for_tests();
        let token = key.derive("dev", "operator", 1);
        assert_eq!(token.len(), 43);
        assert_eq!(token, key.derive("dev", "operator", 1));
        assert!(key.matches("dev", "operator", 1, &token));
        for other in [
            key.derive("dev", "operator", 2),
            key.derive("dev", "node", 1),
            key.derive("devo", "perator", 1),
        ] {
            assert_ne!(token, other);
        }
    }

    #[test]
    fn the_key_survives_and_a_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway/token.key");
        let clock = Clock::system();
        let first = TokenKey::load_or_create(&path, &clock).unwrap();
        let again = TokenKey::load_or_create(&path, &clock).unwrap();
        assert_eq!(first.derive("d", "r", 1), again.derive("d", "r", 1));
        std::fs::write(&path, b"short").unwrap();
        let refused = TokenKey::load_or_create(&path, &clock).unwrap_err();
        assert!(refused.to_string().contains("5 bytes"), "{refused}");
    }
}
