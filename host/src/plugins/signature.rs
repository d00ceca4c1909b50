//! Who vouches for a file: Ed25519 signatures over a file's SHA-256, and the keys that make them.
//!
//! What is signed is a text of two lines, the domain's tag and the digest in lower-case
//! hexadecimal, each ended by a line feed:
//!
//! ```text
//! openclaw-plugin-v1
//! 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! ```
//!
//! A registry's index is signed with the tag `openclaw-index-v1`, so that neither signature can
//! stand for the other. A signature file (`LIBRARY.sig`) has one line, the signer's public key and
//! the signature, both base64url without padding: `ed25519:<key> <signature>`. The key in it only
//! says whose it claims to be; what counts are the keys the operator named under `[trust] keys`.
//!
//! `verify` and `registry` check here, `openclaw plugins sign`, `key new` and `index build` sign.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::auth::signature::{decode, encode};

const PUBLIC: &str = "ed25519:";
const SECRET: &str = "ed25519-secret:";

/// What a signature is about. A signature of one domain says nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// A plugin's library.
    Plugin,
    /// A registry's index.
    Index,
}

impl Domain {
    /// The bytes that are signed for a file of this digest.
    pub fn message(self, sha256: &str) -> String {
        let tag = match self {
            Self::Plugin => "openclaw-plugin-v1",
            Self::Index => "openclaw-index-v1",
        };
        format!("{tag}\n{sha256}\n")
    }
}

/// A public key as `plugins.toml` writes it: `ed25519:<base64url>`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads `ed25519:<base64url of 32 bytes>`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<PublicKey, String> {
        let body = text.trim().strip_prefix(PUBLIC).ok_or_else(|| {
            format!("must begin with {PUBLIC:?} and go on with 32 bytes in base64url")
        })?;
        let bytes = decode(body).ok_or("is no base64url")?;
        let length = bytes.len();
        let bytes: [u8; 32] = bytes
            .try_into()
            .map_err(|_| format!("holds {length} bytes, an Ed25519 key has 32"))?;
        let key = PublicKey(bytes);
        let real = key.verifying().is_some_and(|key| !key.is_weak());
        real.then_some(key)
            .ok_or_else(|| "is no Ed25519 public key".to_owned())
    }

    fn verifying(&self) -> Option<VerifyingKey> {
        VerifyingKey::from_bytes(&self.0).ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A signature file's content: whose it claims to be, and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The key that is said to have made it.
    pub key: PublicKey,
    signature: Signature,
}

impl Signed {
    /// Reads the one line of a signature file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Signed, String> {
        let mut words = text.split_whitespace();
        let (Some(key), Some(signature), None) = (words.next(), words.next(), words.next()) else {
            return Err(format!(
                "must be one line `{PUBLIC}<public key> <signature>`"
            ));
        };
        let key = PublicKey::parse(key).map_err(|why| format!("its key {why}"))?;
        let signature = decode(signature)
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .ok_or("its signature is not 64 bytes in base64url")?;
        Ok(Signed { key, signature })
    }

    /// Did `key` make it, for a file of this digest?
    pub fn holds(&self, key: &PublicKey, domain: Domain, sha256: &str) -> bool {
        let message = domain.message(sha256);
        key.verifying().is_some_and(|key| {
            key.verify_strict(message.as_bytes(), &self.signature)
                .is_ok()
        })
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, encode(&self.signature.to_bytes()))
    }
}

/// A publisher's private key. Its file has one line, `ed25519-secret:<base64url of the seed>`.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// The key of a seed.
    pub fn from_seed(seed: [u8; 32]) -> PrivateKey {
        PrivateKey(SigningKey::from_bytes(&seed))
    }

    /// Reads a key file's text.
    ///
    /// # Errors
    /// What is wrong with it; never what it holds.
    pub fn parse(text: &str) -> Result<PrivateKey, String> {
        let body = text.trim().strip_prefix(SECRET).ok_or_else(|| {
            format!("must be one line that begins with {SECRET:?}, as `plugins key new` makes it")
        })?;
        let seed: Option<[u8; 32]> = decode(body).and_then(|bytes| bytes.try_into().ok());
        seed.map(Self::from_seed)
            .ok_or_else(|| "does not hold 32 bytes in base64url".to_owned())
    }

    /// The text of its file.
    pub fn to_text(&self) -> String {
        format!("{SECRET}{}\n", encode(self.0.as_bytes()))
    }

    /// The half that operators are given.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a file of this digest.
    pub fn sign(&self, domain: Domain, sha256: &str) -> Signed {
        Signed {
            key: self.public(),
            signature: self.0.sign(domain.message(sha256).as_bytes()),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.public())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn key(n: u8) -> PrivateKey {
        PrivateKey::from_seed([n; 32])
    }

    /// The bytes are a promise to everybody who signs with other tools.
    #[test]
    fn the_signed_bytes_are_the_documented_ones() {
        assert_eq!(
            Domain::Plugin.message(DIGEST),
            format!("openclaw-plugin-v1\n{DIGEST}\n")
        );
        let signed = key(7).sign(Domain::Plugin, DIGEST);
        assert_eq!(
            signed.to_string(),
            "ed25519:6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw yF25L12UTrS20k251KX46wRtrU9n\
             Y-MASmFXqcTWIhZVVGiGHRky9HX5AKL9ALghYDzuZloUe_kv716ufU8_CA"
        );
    }

    #[test]
    fn a_signature_holds_for_one_key_one_file_one_domain() {
        let signed = Signed::parse(&key(1).sign(Domain::Plugin, DIGEST).to_string()).unwrap();
        let ours = key(1).public();
        assert!(signed.holds(&ours, Domain::Plugin, DIGEST));
        assert!(!signed.holds(&key(2).public(), Domain::Plugin, DIGEST));
        assert!(!signed.holds(&ours, Domain::Index, DIGEST));
        assert!(!signed.holds(&ours, Domain::Plugin, &DIGEST.replace('b', "c")));
    }

    #[test]
    fn texts_are_read_back() {
        let private = PrivateKey::parse(&key(3).to_text()).unwrap();
        assert_eq!(private.public(), key(3).public());
        let public = private.public().to_string();
        assert_eq!(PublicKey::parse(&public).unwrap(), private.public());
        assert!(!format!("{private:?}").contains("secret"));
        for (text, word) in [
            ("rsa:AA", "must begin with"),
            ("ed25519:!!", "no base64url"),
            ("ed25519:AAAA", "holds 3 bytes, an Ed25519 key has 32"),
            (
                "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "is no Ed25519 public key",
            ),
        ] {
            let told = PublicKey::parse(text).unwrap_err();
            assert!(told.contains(word), "{text}: {told}");
        }
        for text in ["", "ed25519:AA", "a b c", &format!("{public} AAAA")] {
            assert!(Signed::parse(text).is_err(), "{text}");
        }
        assert!(PrivateKey::parse(&public).is_err());
    }
}
