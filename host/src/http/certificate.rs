//! The gateway's own certificate: made with a key of its own, read, told by its fingerprint.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use crate::files;
use crate::limits::CERTIFICATE_LIFE;

/// The common name of certificates that a gateway makes.
const NAME: &str = "openclaw-gateway";

/// Why there is no certificate to serve with. Names the file and the fix.
#[derive(Debug)]
pub struct TlsError(pub(super) String);

impl TlsError {
    pub(super) fn of(path: &Path, what: impl std::fmt::Display) -> TlsError {
        TlsError(format!("gateway.tls: {}: {what}", path.display()))
    }
}

impl std::fmt::Display for TlsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// Where the certificate and its key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// PEM, the gateway's certificate first.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// The certificates of a PEM file, the gateway's own first.
///
/// # Errors
/// When the file can't be read or holds none.
pub fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| TlsError::of(path, format!("can't read the certificate: {e}")))?;
    if chain.is_empty() {
        return Err(TlsError::of(path, "holds no certificate"));
    }
    Ok(chain)
}

pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|e| TlsError::of(path, format!("can't read the private key: {e}")))
}

/// SHA-256 of a certificate, lower-case hex without separators.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    crate::spell::hex(&Sha256::digest(certificate.as_ref()))
}

/// Makes a certificate for the key in `key_path`, or for a new key when there is none.
pub(super) fn make(certificate: &Path, key_path: &Path, now_ms: u64) -> Result<(), TlsError> {
    let failed =
        |e: &dyn std::fmt::Display| TlsError::of(certificate, format!("can't be made: {e}"));
    for path in [certificate, key_path] {
        let folder = path.parent().unwrap_or(Path::new("."));
        files::private_dir(folder).map_err(|e| failed(&e))?;
    }
    let key = if key_path.exists() {
        KeyPair::try_from(&read_key(key_path)?).map_err(|e| TlsError::of(key_path, e))?
    } else {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| failed(&e))?;
        write(key_path, "PRIVATE KEY", &key.serialize_der()).map_err(|e| failed(&e))?;
        key
    };
    let made = params(now_ms).self_signed(&key).map_err(|e| failed(&e))?;
    write(certificate, "CERTIFICATE", made.der()).map_err(|e| failed(&e))
}

fn params(now_ms: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    let name = Ia5String::try_from("localhost").expect("ASCII");
    params.subject_alt_names = vec![
        SanType::DnsName(name),
        SanType::IpAddress([127, 0, 0, 1].into()),
        SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
    ];
    // The type of a day is the library's own business: it is not named here.
    let day = |days: i64| {
        let seconds = (now_ms / 1000).cast_signed() + days * 86_400;
        let date = jiff::Timestamp::from_second(seconds)
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .to_zoned(TimeZone::UTC)
            .date();
        let number = |n: i8| u8::try_from(n).unwrap_or(1);
        rcgen::date_time_ymd(
            i32::from(date.year()),
            number(date.month()),
            number(date.day()),
        )
    };
    // A day of grace for clients whose clock is behind.
    params.not_before = day(-1);
    params.not_after = day(CERTIFICATE_LIFE.as_secs().cast_signed() / 86_400);
    params
}

fn write(path: &Path, label: &str, der: &[u8]) -> io::Result<()> {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    files::write_private(path, pem.as_bytes())
}

/// When a certificate ends, milliseconds; `None` when it isn't read as one.
pub(super) fn not_after_ms(certificate: &[u8]) -> Option<u64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    // The version may be absent; then serial, algorithm, issuer.
    if fields.first() == Some(&0xa0) {
        fields = element(fields)?.2;
    }
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields)?;
    let (_, _, end) = element(validity)?;
    let (kind, end, _) = element(end)?;
    let text = std::str::from_utf8(end).ok()?.strip_suffix('Z')?;
    let text = match (kind, text.get(..2)?) {
        (0x17, year) if year >= "50" => format!("19{text}"),
        (0x17, _) => format!("20{text}"),
        (0x18, _) => text.to_owned(),
        _ => return None,
    };
    let end = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    let end = end.to_zoned(TimeZone::UTC).ok()?.timestamp();
    u64::try_from(end.as_millisecond()).ok()
}

/// Whether the gateway made it: alone, and with its name.
pub(super) fn is_own(chain: &[CertificateDer<'_>]) -> bool {
    let name = NAME.as_bytes();
    chain.len() == 1 && chain[0].windows(name.len()).any(|part| part == name)
}

/// One element of DER: its tag, what it holds, what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let more = usize::from(first & 0x7f);
        if more > 4 {
            return None;
        }
        let (digits, after) = rest.split_at_checked(more)?;
        length = digits.iter().fold(0, |sum, d| sum << 8 | usize::from(*d));
        rest = after;
    }
    let (inner, after) = rest.split_at_checked(length)?;
    Some((tag, inner, after))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW_MS: u64 = 1_800_000_000_000;

    #[test]
    fn a_made_certificate_is_private_and_ends_when_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("tls/c.pem"), dir.path().join("tls/k.pem"));
        make(&certificate, &key, NOW_MS).unwrap();
        for path in [&certificate, &key] {
            let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600);
        }
        let chain = read_chain(&certificate).unwrap();
        let life = not_after_ms(&chain[0]).unwrap() - NOW_MS;
        let promised = crate::spell::millis(CERTIFICATE_LIFE);
        assert!(life <= promised && promised - life <= 86_400_000, "{life}");
        let first = fingerprint(&chain[0]);
        assert!(first.len() == 64 && first.chars().all(|c| c.is_ascii_hexdigit()));
        let kept = std::fs::read(&key).unwrap();
        make(&certificate, &key, NOW_MS + 86_400_000).unwrap();
        assert_eq!(std::fs::read(&key).unwrap(), kept, "the key is kept");
        assert_ne!(fingerprint(&read_chain(&certificate).unwrap()[0]), first);
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        make(&certificate, &key, NOW_MS).unwrap();
        let der = read_chain(&certificate).unwrap()[0].to_vec();
        // The validity lies before the key: half of it is enough, less is read without a fault.
        for length in 0..der.len() / 3 {
            assert_eq!(not_after_ms(&der[..length]), None, "{length}");
        }
        assert_eq!(not_after_ms(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        std::fs::write(&certificate, "nothing").unwrap();
        assert!(read_chain(&certificate).is_err());
    }
}
