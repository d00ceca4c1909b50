//! Who this command line is: the Ed25519 key in `<state>/identity/device.json`.
//!
//! The file has the reference's own form, so that both command lines on one machine are the same
//! device. It is made at the first connect, readable by its owner alone, and never overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::auth::signature::{self, PublicKey, SPKI_PREFIX, Signed};
use crate::cli::error::{CliError, CliResult, Kind};
use crate::clock::Clock;

/// DER in front of the 32 seed bytes of an Ed25519 key (PKCS#8 version 1).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// A device: its key and the names derived from it.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
    /// Lower-case hex SHA-256 of the public key.
    pub device_id: String,
    /// The raw public key, base64url without padding.
    pub public_key: String,
}

/// The file's form; written by this crate and by the reference.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentityFile {
    version: u32,
    device_id: String,
    public_key_pem: String,
    private_key_pem: String,
    created_at_ms: u64,
}

impl Identity {
    /// The identity made from these 32 bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public_key = signature::encode(&key.verifying_key().to_bytes());
        let public = PublicKey::parse(&public_key).expect("it was encoded a line above");
        Identity {
            key,
            device_id: public.device_id(),
            public_key,
        }
    }

    /// Reads the identity of this state folder, or makes one.
    ///
    /// # Errors
    /// When the file cannot be read, written, or does not hold an Ed25519 key.
    pub fn load_or_create(state_dir: &Path, clock: &Clock) -> CliResult<Self> {
        let path = file(state_dir);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                Self::create(state_dir, &path, clock)
            }
            Err(cause) => Err(CliError::file(&path, "read the device identity", &cause)
                .fix("make it readable for this user, or choose another OPENCLAW_STATE_DIR")),
        }
    }

    /// Signs the newer form of what a connect claims; base64url without padding.
    pub fn sign(&self, claims: &Signed<'_>) -> String {
        claims.sign_v3(&self.key)
    }

    fn parse(path: &Path, text: &str) -> CliResult<Self> {
        let broken = |what: &str| {
            CliError::new(
                Kind::Local,
                "IDENTITY_INVALID",
                format!("{} is not a device identity: {what}", path.display()),
            )
            .fix("move the file away: the next call makes a new device, which must be paired again")
        };
        let file: IdentityFile =
            serde_json::from_str(text).map_err(|cause| broken(&cause.to_string()))?;
        if file.version != 1 {
            return Err(broken(&format!("version {} is not 1", file.version)));
        }
        let seed = seed_from_pem(&file.private_key_pem)
            .ok_or_else(|| broken("privateKeyPem is not an Ed25519 key in PKCS#8 form"))?;
        Ok(Self::from_seed(&seed))
    }

    fn create(state_dir: &Path, path: &Path, clock: &Clock) -> CliResult<Self> {
        let seed: [u8; 32] = clock.random();
        let made = Self::from_seed(&seed);
        let text = serde_json::to_string_pretty(&made.to_file(&seed, clock.now_ms()))
            .expect("plain strings always serialise");
        make_private_dir(state_dir)?;
        let temporary = path.with_extension(clock.uuid());
        crate::files::write_private(&temporary, format!("{text}\n").as_bytes())
            .map_err(|cause| CliError::file(path, "write the device identity", &cause))?;
        // A link fails when another call was first: then that one's identity is ours too.
        let linked = fs::hard_link(&temporary, path);
        fs::remove_file(&temporary)
            .map_err(|cause| CliError::file(&temporary, "remove", &cause))?;
        match linked {
            Ok(()) => Ok(made),
            Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {
                let text = fs::read_to_string(path)
                    .map_err(|cause| CliError::file(path, "read the device identity", &cause))?;
                Self::parse(path, &text)
            }
            Err(cause) => Err(CliError::file(path, "write the device identity", &cause)),
        }
    }

    fn to_file(&self, seed: &[u8; 32], created_at_ms: u64) -> IdentityFile {
        let public = self.key.verifying_key().to_bytes();
        IdentityFile {
            version: 1,
            device_id: self.device_id.clone(),
            public_key_pem: pem("PUBLIC KEY", SPKI_PREFIX, &public),
            private_key_pem: pem("PRIVATE KEY", &PKCS8_PREFIX, seed),
            created_at_ms,
        }
    }
}

/// The identity file of a state folder.
pub fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("identity").join("device.json")
}

/// Makes `<state>/identity` (and the state folder) for this user alone, if missing.
fn make_private_dir(state_dir: &Path) -> CliResult<()> {
    let dir = state_dir.join("identity");
    crate::files::private_dir(&dir).map_err(|cause| {
        CliError::file(&dir, "create", &cause)
            .fix("choose a writable state folder with OPENCLAW_STATE_DIR")
    })
}

fn pem(label: &str, prefix: &[u8], key: &[u8; 32]) -> String {
    // Both forms are at most 48 bytes: one line of base64.
    let body = STANDARD.encode([prefix, key].concat());
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn seed_from_pem(pem: &str) -> Option<[u8; 32]> {
    let body = pem.trim().strip_prefix("-----BEGIN PRIVATE KEY-----")?;
    let body = body.strip_suffix("-----END PRIVATE KEY-----")?;
    let text: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(text).ok()?;
    der.strip_prefix(&PKCS8_PREFIX)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const SEED: [u8; 32] = {
        let mut seed = [0; 32];
        let mut at = 0;
        while at < 32 {
            seed[at] = at as u8;
            at += 1;
        }
        seed
    };

    #[test]
    fn names_and_pem_are_the_recorded_ones() {
        let identity = Identity::from_seed(&SEED);
        assert_eq!(
            identity.device_id,
            "56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c"
        );
        assert_eq!(
            identity.public_key,
            "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
        );
        let file = identity.to_file(&SEED, 1);
        assert_eq!(
            file.public_key_pem,
            "-----BEGIN PUBLIC KEY-----\n\
             MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n\
             -----END PUBLIC KEY-----\n"
        );
        assert_eq!(seed_from_pem(&file.private_key_pem), Some(SEED));
    }

    #[test]
    fn the_file_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let clock = Clock::system();
        let first = Identity::load_or_create(&state, &clock).unwrap();
        let again = Identity::load_or_create(&state, &clock).unwrap();
        assert_eq!(first.device_id, again.device_id);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file(&state)), 0o600);
        assert_eq!(mode(&state.join("identity")), 0o700);
        assert_eq!(fs::read_dir(state.join("identity")).unwrap().count(), 1);
        let json: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(file(&state)).unwrap()).unwrap();
        let mut keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "createdAtMs",
                "deviceId",
                "privateKeyPem",
                "publicKeyPem",
                "version"
            ]
        );
    }

    #[test]
    fn calls_that_start_together_agree_on_one_identity() {
        let dir = tempfile::tempdir().unwrap();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let calls: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let made = Identity::load_or_create(dir.path(), &Clock::system());
                        made.unwrap().device_id
                    })
                })
                .collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn a_broken_file_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        make_private_dir(dir.path()).unwrap();
        fs::write(file(dir.path()), "{\"version\":1}").unwrap();
        let error = Identity::load_or_create(dir.path(), &Clock::system())
            .err()
            .unwrap();
        assert!(
            error
                .message()
                .contains("identity/device.json is not a device identity")
        );
        assert_eq!(
            fs::read_to_string(file(dir.path())).unwrap(),
            "{\"version\":1}"
        );
    }
}
