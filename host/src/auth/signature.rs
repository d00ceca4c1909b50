//! The signed device identity: what is signed, and whether the signature holds.
//!
//! The daemon verifies, the command line signs; both build the payload here.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::spell::hex;

/// What goes into the signed text, all as received.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `device.id`.
    pub device_id: &'a str,
    /// `client.id`.
    pub client_id: &'a str,
    /// `client.mode`.
    pub client_mode: &'a str,
    /// `role`, `operator` when it was absent.
    pub role: &'a str,
    /// `scopes` in their order.
    pub scopes: &'a [String],
    /// `device.signedAt`, milliseconds.
    pub signed_at_ms: u64,
    /// The first of token, device token, bootstrap token that is present, even if empty.
    pub token: &'a str,
    /// `device.nonce`, trimmed.
    pub nonce: &'a str,
    /// `client.platform`.
    pub platform: &'a str,
    /// `client.deviceFamily`, empty when absent.
    pub device_family: &'a str,
}

impl Signed<'_> {
    /// The older form, without metadata.
    pub fn payload_v2(&self) -> String {
        format!(
            "v2|{}|{}|{}|{}|{}|{}|{}|{}",
            self.device_id,
            self.client_id,
            self.client_mode,
            self.role,
            self.scopes.join(","),
            self.signed_at_ms,
            self.token,
            self.nonce,
        )
    }

    /// The newer form: the older fields, then platform and family, normalised.
    pub fn payload_v3(&self) -> String {
        let fields = &self.payload_v2()[2..];
        let platform = normalise_metadata(self.platform);
        let family = normalise_metadata(self.device_family);
        format!("v3{fields}|{platform}|{family}")
    }

    /// Whether `signature` is this key's over the newer or the older form.
    pub fn verify(&self, key: &PublicKey, signature: &str) -> bool {
        let Some(signature) = decode(signature).and_then(|b| Signature::from_slice(&b).ok()) else {
            return false;
        };
        let Some(key) = &key.verifying else {
            return false;
        };
        key.verify(self.payload_v3().as_bytes(), &signature).is_ok()
            || key.verify(self.payload_v2().as_bytes(), &signature).is_ok()
    }

    /// The signature over the newer form, base64url without padding.
    pub fn sign_v3(&self, key: &SigningKey) -> String {
        encode(&key.sign(self.payload_v3().as_bytes()).to_bytes())
    }
}

/// Trims Unicode white space and lowers A–Z only, as both sides must.
pub fn normalise_metadata(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

/// A device's public key as received: 32 bytes of a point on the curve if it is a real one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    bytes: Vec<u8>,
    /// Unpacked once: that costs a tenth of a verification.
    verifying: Option<VerifyingKey>,
}

impl PublicKey {
    /// Reads base64 in any spelling, or an SPKI PEM. `None` when it is neither.
    pub fn parse(text: &str) -> Option<PublicKey> {
        if text.contains("BEGIN") {
            let body: String = text
                .lines()
                .map(str::trim)
                .filter(|l| !l.starts_with("-----"))
                .collect();
            let der = decode(&body)?;
            return der.strip_prefix(SPKI_PREFIX).map(Self::of_bytes);
        }
        decode(text).map(|bytes| Self::of_bytes(&bytes))
    }

    fn of_bytes(bytes: &[u8]) -> PublicKey {
        let packed: Option<&[u8; 32]> = bytes.try_into().ok();
        PublicKey {
            bytes: bytes.to_vec(),
            verifying: packed.and_then(|packed| VerifyingKey::from_bytes(packed).ok()),
        }
    }

    /// The device id that belongs to it: lower-case hex SHA-256.
    pub fn device_id(&self) -> String {
        hex(&Sha256::digest(&self.bytes))
    }

    /// The stored form, base64url without padding; `None` when it can't be a key.
    pub fn normalised(&self) -> Option<String> {
        self.verifying.map(|_| encode(&self.bytes))
    }
}

/// What stands before the 32 key bytes in an Ed25519 SubjectPublicKeyInfo (RFC 8410).
pub const SPKI_PREFIX: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Base64 in either alphabet, padded or not, white space ignored.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let url_safe: String = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    LENIENT.decode(url_safe).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn example<'a>(scopes: &'a [String], id: &'a str) -> Signed<'a> {
        Signed {
            device_id: id,
            client_id: "cli",
            client_mode: "cli",
            role: "operator",
            scopes,
            signed_at_ms: 1_773_460_000_000,
            token: "t",
            nonce: "n",
            platform: "  iOS 18.4 ",
            device_family: "iPhone",
        }
    }

    #[test]
    fn both_payloads() {
        let scopes = ["a".to_owned(), "b".to_owned()];
        let signed = example(&scopes, "id");
        assert_eq!(
            signed.payload_v2(),
            "v2|id|cli|cli|operator|a,b|1773460000000|t|n"
        );
        assert_eq!(
            signed.payload_v3(),
            "v3|id|cli|cli|operator|a,b|1773460000000|t|n|ios 18.4|iphone"
        );
    }

    #[test]
    fn a_signature_holds_only_for_its_text() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = PublicKey::parse(&encode(key.verifying_key().as_bytes())).unwrap();
        let id = public.device_id();
        let signed = example(&[], &id);
        let signature = signed.sign_v3(&key);
        assert!(signed.verify(&public, &signature));
        assert!(
            !Signed {
                nonce: "m",
                ..signed
            }
            .verify(&public, &signature)
        );
        assert!(!signed.verify(&public, "AAAA"));
    }

    #[test]
    fn short_keys_pass_the_id_and_fail_as_keys() {
        let short = PublicKey::parse("AAAA").unwrap();
        assert_eq!(short.device_id().len(), 64);
        assert!(short.normalised().is_none());
        assert!(PublicKey::parse("not base64 !").is_none());
    }
}
