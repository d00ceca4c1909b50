//! Device identities: keys from seeds and the two signature payloads, written from the wire
//! document and not shared with the daemon, so that a mistake there cannot hide here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// One device: an Ed25519 key and the id that follows from it.
#[derive(Clone)]
pub struct Device {
    key: SigningKey,
    /// Lower-case hex SHA-256 of the raw public key.
    pub id: String,
    /// Raw public key, base64url without padding.
    pub public_key: String,
}

/// Which of the two signed texts to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// Without platform and family.
    V2,
    /// With them.
    V3,
}

impl Device {
    /// A device nobody has seen before.
    ///
    /// # Panics
    /// When the system has no randomness.
    #[must_use]
    pub fn new() -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the system has randomness");
        Self::from_seed(seed)
    }

    /// The device of a known seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        let public = key.verifying_key().to_bytes();
        Self {
            key,
            id: hex(&Sha256::digest(public)),
            public_key: URL_SAFE_NO_PAD.encode(public),
        }
    }

    /// The device of a seed written in hex, as `vectors.json` has them.
    ///
    /// # Panics
    /// When the text is not 64 hex digits.
    #[must_use]
    pub fn from_seed_hex(text: &str) -> Self {
        let mut seed = [0; 32];
        for (index, byte) in seed.iter_mut().enumerate() {
            let digits = text.get(index * 2..index * 2 + 2).expect("64 hex digits");
            *byte = u8::from_str_radix(digits, 16).expect("hex digits");
        }
        Self::from_seed(seed)
    }

    /// The raw public key.
    #[must_use]
    pub fn public_bytes(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Signature of a text, base64url without padding.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()).to_bytes())
    }
}

impl Default for Device {
    fn default() -> Self {
        Self::new()
    }
}

/// The text a device signs for these connect params.
#[must_use]
pub fn payload(
    version: Version,
    device_id: &str,
    params: &Value,
    signed_at: u64,
    nonce: &str,
) -> String {
    let client = &params["client"];
    let role = params["role"].as_str().unwrap_or("operator");
    let scopes: Vec<&str> = params["scopes"]
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let auth = &params["auth"];
    let token = ["token", "deviceToken", "bootstrapToken"]
        .iter()
        .find_map(|field| auth[field].as_str())
        .unwrap_or_default();
    let name = if version == Version::V2 { "v2" } else { "v3" };
    let mut text = format!(
        "{name}|{device_id}|{}|{}|{role}|{}|{signed_at}|{token}|{nonce}",
        client["id"].as_str().unwrap_or_default(),
        client["mode"].as_str().unwrap_or_default(),
        scopes.join(","),
    );
    if version == Version::V3 {
        text.push('|');
        text.push_str(&normalise(client["platform"].as_str()));
        text.push('|');
        text.push_str(&normalise(client["deviceFamily"].as_str()));
    }
    text
}

/// Trimmed, then ASCII letters in lower case; nothing for an absent field.
#[must_use]
pub fn normalise(text: Option<&str>) -> String {
    text.unwrap_or_default().trim().to_ascii_lowercase()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
