//! Frames: a request is read from its text without building a tree; responses and events are
//! written as text.
//!
//! Called by the host's connections for every frame. Promises: what [`read_request`] accepts is
//! exactly what `frames.json#/$defs/RequestFrame` accepts; absent fields are never written
//! (clients silently drop frames with `"error":null` or an unknown field).

use crate::error::ErrorShape;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Longest `traceparent` a request may carry, characters (protocol 4).
const TRACEPARENT_CHARS_MAX: usize = 128;

/// A request of a client, borrowed from the frame's text.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Chosen by the client, returned with every response to this request; never empty.
    pub id: Cow<'a, str>,
    /// The method's name; never empty, not necessarily known.
    pub method: Cow<'a, str>,
    /// The params as sent; `None` when absent or null, which both mean `{}`.
    pub params: Option<&'a RawValue>,
}

impl Request<'_> {
    /// The params as JSON text, `{}` when there are none.
    pub fn params_text(&self) -> &str {
        self.params.map_or("{}", RawValue::get)
    }
}

/// Why a text is not a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// Not JSON at all.
    NotJson,
    /// JSON, but not a request frame.
    Invalid {
        /// The `id` to answer with, as JSON text: the received one whatever its type, or
        /// `"invalid"` (with quotes) when it was absent or null.
        id: String,
        /// What is wrong, in the wire's wording, without the `invalid request frame: ` before it.
        message: String,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("not JSON"),
            Self::Invalid { message, .. } => write!(f, "invalid request frame: {message}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Reads one frame of a client.
///
/// # Errors
/// [`FrameError::NotJson`] when the text is not JSON, [`FrameError::Invalid`] when it is no
/// request frame.
pub fn read_request(text: &str) -> Result<Request<'_>, FrameError> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| FrameError::NotJson)?;
    envelope.request().ok_or_else(|| FrameError::Invalid {
        id: envelope.answer_id(),
        message: crate::validate::request_frame_errors(text),
    })
}

/// The fields of a frame as raw JSON, whatever they hold. A repeated field counts as its last.
#[derive(Default)]
struct Envelope<'a> {
    object: bool,
    foreign: bool,
    kind: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    traceparent: Option<&'a RawValue>,
    profile: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    fn request(&self) -> Option<Request<'a>> {
        if !self.object || self.foreign || string(self.kind?)? != "req" {
            return None;
        }
        if let Some(trace) = self.traceparent
            && string(trace)?.chars().count() > TRACEPARENT_CHARS_MAX
        {
            return None;
        }
        if let Some(profile) = self.profile {
            string(profile)?;
        }
        let id = string(self.id?).filter(|s| !s.is_empty())?;
        let method = string(self.method?).filter(|s| !s.is_empty())?;
        Some(Request {
            id,
            method,
            params: self.params.filter(|p| p.get() != "null"),
        })
    }

    fn answer_id(&self) -> String {
        match self.id.map(RawValue::get) {
            None | Some("null") => r#""invalid""#.to_owned(),
            Some(raw) => raw.to_owned(),
        }
    }
}

/// The text of a JSON string, borrowed when it has no escapes; `None` for any other value.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(raw.get())
            .ok()
            .map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

enum Field {
    Kind,
    Id,
    Method,
    Params,
    Traceparent,
    Profile,
    Other,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Field;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Field, E> {
                Ok(match v {
                    "type" => Field::Kind,
                    "id" => Field::Id,
                    "method" => Field::Method,
                    "params" => Field::Params,
                    "traceparent" => Field::Traceparent,
                    "expectedProfileId" => Field::Profile,
                    _ => Field::Other,
                })
            }
        }
        d.deserialize_identifier(Name)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a frame")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut e = Envelope {
            object: true,
            ..Envelope::default()
        };
        while let Some(field) = map.next_key::<Field>()? {
            let slot = match field {
                Field::Kind => &mut e.kind,
                Field::Id => &mut e.id,
                Field::Method => &mut e.method,
                Field::Params => &mut e.params,
                Field::Traceparent => &mut e.traceparent,
                Field::Profile => &mut e.profile,
                Field::Other => {
                    e.foreign = true;
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *slot = Some(map.next_value()?);
        }
        Ok(e)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Envelope::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Envelope::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Envelope::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Envelope::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Envelope::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Envelope::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Envelope::default())
    }
}

/// `text` as a JSON string, with quotes.
pub fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a string always serialises")
}

/// A successful response to request `id` with `payload` as JSON text.
pub fn response_ok(id: &str, payload: &str) -> String {
    let mut out = String::with_capacity(id.len() + payload.len() + 48);
    out.push_str(r#"{"type":"res","id":"#);
    push_quoted(&mut out, id);
    out.push_str(r#","ok":true,"payload":"#);
    out.push_str(payload);
    out.push('}');
    out
}

/// A failed response. `id_json` is JSON text (see [`FrameError::Invalid`] and [`quote`]), because
/// a bad frame is answered with its own id whatever its type. `payload` is JSON text; agent and
/// chat errors carry one.
pub fn response_err(id_json: &str, error: &ErrorShape, payload: Option<&str>) -> String {
    let error = serde_json::to_string(error).expect("an error shape has only string keys");
    let mut out = String::with_capacity(id_json.len() + error.len() + 64);
    out.push_str(r#"{"type":"res","id":"#);
    out.push_str(id_json);
    out.push_str(r#","ok":false"#);
    if let Some(payload) = payload {
        out.push_str(r#","payload":"#);
        out.push_str(payload);
    }
    out.push_str(r#","error":"#);
    out.push_str(&error);
    out.push('}');
    out
}

fn push_quoted(out: &mut String, text: &str) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&quote(text));
    }
}

/// The versions a `presence` or `health` broadcast carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StateVersion {
    /// Version of the presence list.
    pub presence: u64,
    /// Version of the health snapshot.
    pub health: u64,
}

/// An event encoded once for all its receivers: a long shared text and a short end of its own
/// for each receiver, which holds the receiver's `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventText {
    shared: String,
}

impl EventText {
    /// Encodes event `name`; `payload` is JSON text.
    pub fn new(name: &str, payload: Option<&str>, versions: Option<StateVersion>) -> Self {
        let payload_len = payload.map_or(0, str::len);
        let mut shared = String::with_capacity(payload_len + name.len() + 112);
        shared.push_str(r#"{"type":"event","event":"#);
        push_quoted(&mut shared, name);
        if let Some(payload) = payload {
            shared.push_str(r#","payload":"#);
            shared.push_str(payload);
        }
        if let Some(v) = versions {
            let (presence, health) = (v.presence, v.health);
            write!(
                shared,
                r#","stateVersion":{{"presence":{presence},"health":{health}}}"#
            )
            .expect("writing to a string does not fail");
        }
        Self { shared }
    }

    /// The part all receivers share; a whole frame is this followed by [`event_tail`].
    pub fn shared(&self) -> &str {
        &self.shared
    }

    /// The shared part, given away.
    pub fn into_shared(self) -> String {
        self.shared
    }

    /// The whole frame as one text, for a broadcast.
    pub fn with_seq(&self, seq: u64) -> String {
        [&self.shared, event_tail(Some(seq)).as_str()].concat()
    }

    /// The whole frame as one text, for a frame meant for one receiver.
    pub fn without_seq(&self) -> String {
        [&self.shared, "}"].concat()
    }
}

/// The end of an event frame, to be sent after [`EventText::shared`].
pub fn event_tail(seq: Option<u64>) -> String {
    seq.map_or_else(|| "}".to_owned(), |seq| format!(r#","seq":{seq}}}"#))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refusal(text: &str) -> (String, String) {
        match read_request(text) {
            Err(FrameError::Invalid { id, message }) => (id, message),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn reads_what_is_needed_without_copying() {
        let r = read_request(r#"{"type":"req","id":"a","method":"health","params":{"x": 1}}"#);
        let r = r.unwrap();
        assert!(matches!(
            (&r.id, &r.method),
            (Cow::Borrowed("a"), Cow::Borrowed("health"))
        ));
        assert_eq!(r.params_text(), r#"{"x": 1}"#);
    }

    #[test]
    fn null_and_absent_params_are_none() {
        for text in [
            r#"{"type":"req","id":"a","method":"m","params":null}"#,
            r#"{"id":"a","method":"m","type":"req"}"#,
        ] {
            assert!(read_request(text).unwrap().params.is_none());
        }
    }

    #[test]
    fn escapes_are_read_and_the_last_of_a_repeated_field_counts() {
        let r = read_request(r#"{"type":"req","id":7,"id":"\u0041\n","method":"m"}"#).unwrap();
        assert_eq!(r.id, "A\n");
    }

    #[test]
    fn protocol_4_fields_are_accepted() {
        let text =
            r#"{"type":"req","id":"1","method":"m","traceparent":"00-a","expectedProfileId":"p"}"#;
        assert!(read_request(text).is_ok());
        let long = format!(
            r#"{{"type":"req","id":"1","method":"m","traceparent":"{}"}}"#,
            "x".repeat(129)
        );
        assert_eq!(
            refusal(&long).1,
            "at /traceparent: must NOT have more than 128 characters"
        );
    }

    #[test]
    fn what_is_not_json_is_told_apart() {
        for text in ["", "garbage", "{", r#"{"type":"req"} x"#, "{\"a\":}"] {
            assert_eq!(
                read_request(text).unwrap_err(),
                FrameError::NotJson,
                "{text}"
            );
        }
    }

    #[test]
    fn refusals_are_worded_as_recorded() {
        let cases = [
            (
                r#"{"type":"req","id":7,"method":"health"}"#,
                "7",
                "at /id: must be string",
            ),
            (
                r#"{"type":"req","id":"x","method":"health","foo":1}"#,
                "\"x\"",
                "at root: unexpected property 'foo'",
            ),
            (
                r#"{"type":"event","event":"x"}"#,
                "\"invalid\"",
                "must have required property 'id'; must have required property 'method'; at root: \
                 unexpected property 'event'; at /type: must be equal to constant",
            ),
            ("null", "\"invalid\"", "must be object"),
            ("[1]", "\"invalid\"", "must be object"),
            ("1.5", "\"invalid\"", "must be object"),
            (
                r#"{"type":"req","id":"","method":"m"}"#,
                "\"\"",
                "at /id: must NOT have fewer than 1 characters",
            ),
            (
                r#"{"type":"req","id":null,"method":"m"}"#,
                "\"invalid\"",
                "at /id: must be string",
            ),
        ];
        for (text, id, message) in cases {
            assert_eq!(refusal(text), (id.to_owned(), message.to_owned()), "{text}");
        }
    }

    #[test]
    fn responses_omit_what_is_absent() {
        assert_eq!(
            response_ok("a\"b", "null"),
            r#"{"type":"res","id":"a\"b","ok":true,"payload":null}"#
        );
        let error = ErrorShape::new(crate::error::ErrorCode::Unavailable, "later");
        assert_eq!(
            response_err("7", &error, None),
            r#"{"type":"res","id":7,"ok":false,"error":{"code":"UNAVAILABLE","message":"later"}}"#
        );
        let with = response_err(&quote("x"), &error, Some(r#"{"runId":"r"}"#));
        assert!(with.contains(r#""ok":false,"payload":{"runId":"r"},"error":{"#));
    }

    #[test]
    fn events_share_all_but_their_end() {
        let versions = StateVersion {
            presence: 1,
            health: 2,
        };
        let event = EventText::new("health", Some("{}"), Some(versions));
        assert_eq!(
            event.with_seq(5),
            r#"{"type":"event","event":"health","payload":{},"stateVersion":{"presence":1,"health":2},"seq":5}"#
        );
        assert_eq!(
            EventText::new("tick", Some("{}"), None).without_seq(),
            r#"{"type":"event","event":"tick","payload":{}}"#
        );
    }
}
