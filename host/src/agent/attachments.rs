//! Attachments of `chat.send` and `agent`: base64 in, pictures out.
//!
//! Called by the methods. Pure. What is no picture by its bytes is dropped with a log line, as
//! clients are used to; what is broken or too large is refused in the wire's wording.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::runner::Image;
use crate::limits::ATTACHMENT_BYTES_MAX;

/// The pictures among the attachments. Entries without text `content` are ignored.
///
/// # Errors
/// The refusal for the client, naming the attachment.
pub fn pictures(attachments: &[Value]) -> Result<Vec<Image>, String> {
    let mut pictures = Vec::new();
    for entry in attachments {
        let Some(content) = entry.get("content").and_then(Value::as_str) else {
            continue;
        };
        let text = |field: &str| entry.get(field).and_then(Value::as_str).map(str::trim);
        let named = [text("fileName"), text("type")]
            .into_iter()
            .flatten()
            .find(|n| !n.is_empty());
        let name = named.unwrap_or("attachment");
        let base64 = without_prefix(content);
        let bytes = decoded_len(base64);
        if bytes > ATTACHMENT_BYTES_MAX {
            let most = ATTACHMENT_BYTES_MAX;
            return Err(format!(
                "attachment {name}: exceeds size limit ({bytes} > {most} bytes)"
            ));
        }
        let decoded = STANDARD.decode(base64);
        let decoded = decoded.ok().filter(|decoded| !decoded.is_empty());
        let decoded =
            decoded.ok_or_else(|| format!("attachment {name}: invalid base64 content"))?;
        match sniff(&decoded) {
            Some(mime_type) => {
                let base64 = base64.to_owned();
                pictures.push(Image {
                    mime_type,
                    base64,
                    bytes: decoded.len(),
                });
            }
            None => tracing::warn!(name, "attachment dropped: no picture that models take"),
        }
    }
    Ok(pictures)
}

/// How many attachments would be looked at.
pub fn usable(attachments: &[Value]) -> usize {
    attachments
        .iter()
        .filter(|a| a.get("content").is_some_and(Value::is_string))
        .count()
}

fn without_prefix(content: &str) -> &str {
    let content = content.trim();
    let data = content
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"));
    data.map_or(content, |(_, base64)| base64)
}

/// The number of bytes a base64 text stands for, without decoding it.
fn decoded_len(base64: &str) -> usize {
    let padding = base64
        .bytes()
        .rev()
        .take(2)
        .take_while(|byte| *byte == b'=')
        .count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}

fn sniff(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

    #[test]
    fn pictures_are_known_by_their_bytes() {
        let png = STANDARD.encode(PNG);
        let list = [
            json!({"type": "image", "mimeType": "text/plain", "content": png}),
            json!({"content": format!("data:image/png;base64,{png}")}),
            json!({"fileName": "a.txt", "mimeType": "image/png", "content": STANDARD.encode("text")}),
            json!({"fileName": "no content"}),
            json!("not even an object"),
        ];
        let found = pictures(&list).unwrap();
        assert_eq!(found.len(), 2);
        assert!(
            found
                .iter()
                .all(|p| p.mime_type == "image/png" && p.bytes == PNG.len())
        );
        assert_eq!(usable(&list), 3);
    }

    #[test]
    fn refusals_name_the_attachment() {
        let bad = |entry: Value| pictures(&[entry]).unwrap_err();
        assert_eq!(
            bad(json!({"type": "image", "content": "@@@"})),
            "attachment image: invalid base64 content"
        );
        assert_eq!(
            bad(json!({"fileName": "p.png", "content": ""})),
            "attachment p.png: invalid base64 content"
        );
        let large = STANDARD.encode(vec![0; ATTACHMENT_BYTES_MAX + 1]);
        assert_eq!(
            bad(json!({"fileName": "p.png", "content": large})),
            "attachment p.png: exceeds size limit (5000001 > 5000000 bytes)"
        );
    }
}
