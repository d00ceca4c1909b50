//! Recorded messages of API 1.0, byte for byte. They may never fail again: an old plugin writes
//! exactly these. A change that only adds optional fields leaves them as they are.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use gateway_plugin::manifest::{API_MINOR, Manifest};
use gateway_plugin::message::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What plugins emit.
const EVENTS: &[&str] = &[
    r#"{"type":"message","id":"7","chat":{"id":"c","kind":"group","title":"T","threadId":"9"},"sender":{"id":"s","name":"N","handle":"h","isBot":false},"atMs":1790000000000,"text":"hi","attachments":[{"mime":"image/png","fileName":"a.png","size":3,"inline":[0,3]},{"mime":"video/mp4","size":0,"remoteRef":"r"}],"replyTo":"6","mentions":["m"],"mentionsMe":true,"editedMs":1,"forwardedFrom":{"id":"f"},"native":{"k":1}}"#,
    r#"{"type":"message","id":"7","chat":{"id":"c","kind":"direct"},"sender":{"id":"s"},"atMs":0,"text":"","mentionsMe":false}"#,
    r#"{"type":"edited","id":"7","chat":{"id":"c","kind":"channel"},"sender":{"id":"s"},"atMs":0,"text":"x","mentionsMe":false}"#,
    r#"{"type":"deleted","chat":"c","messageId":"7"}"#,
    r#"{"type":"reaction","chat":"c","messageId":"7","sender":{"id":"s"},"emoji":"👍","removed":true}"#,
    r#"{"type":"receipt","chat":"c","messageId":"7","state":"delivered","atMs":5}"#,
    r#"{"type":"typing","chat":"c","sender":{"id":"s"},"on":true}"#,
    r#"{"type":"presence","peer":{"id":"s"},"online":false}"#,
    r#"{"type":"poll","chat":"c","messageId":"7","poll":{"question":"q","options":["a","b"],"maxChoices":1}}"#,
    r#"{"type":"poll_vote","chat":"c","messageId":"7","voter":{"id":"s"},"options":[1]}"#,
    r#"{"type":"membership","chat":{"id":"c","kind":"thread"},"peer":{"id":"s"},"change":"joined"}"#,
    r#"{"type":"connection","state":"logged_out","detail":"d","statusCode":401,"reconnectAttempt":2,"loggedOut":true}"#,
    r#"{"type":"login","step":"qr","data":"d","expiresMs":20000}"#,
    r#"{"type":"login","step":"prompt","field":"code","label":"Code","secret":true}"#,
    r#"{"type":"login","step":"done","account":{"id":"me"}}"#,
    r#"{"type":"account","me":{"id":"me","isBot":true}}"#,
    r#"{"type":"receipt","chat":"c","messageId":"7","state":"sent","atMs":0}"#,
    r#"{"type":"receipt","chat":"c","messageId":"7","state":"read","atMs":0}"#,
    r#"{"type":"receipt","chat":"c","messageId":"7","state":"failed","atMs":0}"#,
    r#"{"type":"membership","chat":{"id":"c","kind":"group"},"peer":{"id":"s"},"change":"left"}"#,
    r#"{"type":"membership","chat":{"id":"c","kind":"group"},"peer":{"id":"s"},"change":"removed"}"#,
    r#"{"type":"membership","chat":{"id":"c","kind":"group"},"peer":{"id":"s"},"change":"role"}"#,
    r#"{"type":"poll","chat":"c","messageId":"7","poll":{"question":"q","options":[],"maxChoices":2,"openMs":9}}"#,
    r#"{"type":"connection","state":"connecting"}"#,
    r#"{"type":"connection","state":"connected"}"#,
    r#"{"type":"connection","state":"degraded"}"#,
    r#"{"type":"connection","state":"stopped"}"#,
    r#"{"type":"login","step":"pairing_code","code":"AB-12"}"#,
    r#"{"type":"login","step":"failed","reason":"r"}"#,
    r#"{"type":"account","me":{"id":"me"},"native":{"a":1}}"#,
];

/// What the host asks.
const OPS: &[&str] = &[
    r#"{"op":"start","account":"main","config":{"a":1},"host":{"version":"0.1.0","api":"1.0","logLevel":"info"}}"#,
    r#"{"op":"send","to":"c","threadId":"9","replyTo":"7","text":"hi","format":"markdown","silent":true,"idempotencyKey":"k"}"#,
    r#"{"op":"send","to":"c","text":"hi","format":"plain"}"#,
    r#"{"op":"edit","chat":"c","messageId":"7","text":"x","format":"plain"}"#,
    r#"{"op":"unsend","chat":"c","messageId":"7"}"#,
    r#"{"op":"react","chat":"c","messageId":"7","emoji":"x","remove":false}"#,
    r#"{"op":"poll","to":"c","poll":{"question":"q","options":["a"],"maxChoices":1,"openMs":9}}"#,
    r#"{"op":"typing","chat":"c","on":true}"#,
    r#"{"op":"mark_read","chat":"c","messageId":"7"}"#,
    r#"{"op":"action","name":"pin","args":{"a":1}}"#,
    r#"{"op":"fetch_media","remoteRef":"r"}"#,
    r#"{"op":"directory","query":"q"}"#,
    r#"{"op":"login","method":"qr","force":false}"#,
    r#"{"op":"login_input","field":"code","value":"1"}"#,
    r#"{"op":"logout"}"#,
    r#"{"op":"http","method":"POST","path":"/h","headers":[["a","b"]]}"#,
    r#"{"op":"probe"}"#,
    r#"{"op":"ping"}"#,
    r#"{"op":"stop","why":"reload"}"#,
    r#"{"op":"start","account":"main","config":null,"host":{"version":"","api":"1.0","logLevel":"","webhookBase":"https://h/p"}}"#,
    r#"{"op":"send","to":"c","text":"","format":"plain","attachments":[{"mime":"image/png","fileName":"a.png","size":3,"inline":[0,3]},{"mime":"video/mp4","size":0,"remoteRef":"r"}],"poll":{"question":"q","options":["a"],"maxChoices":1,"openMs":9},"effect":"e"}"#,
    r#"{"op":"typing","chat":"c","threadId":"9","on":false}"#,
    r#"{"op":"stop","why":"shutdown"}"#,
    r#"{"op":"stop","why":"disabled"}"#,
    r#"{"op":"stop","why":"restart"}"#,
];

/// What plugins answer.
const RESULTS: &[&str] = &[
    r#"{"result":"done"}"#,
    r#"{"result":"sent","messageId":"7","chat":"c","atMs":1,"native":{"a":1}}"#,
    r#"{"result":"sent","messageId":"7","atMs":0}"#,
    r#"{"result":"value","value":3}"#,
    r#"{"result":"media","mime":"image/png","fileName":"a.png"}"#,
    r#"{"result":"directory","entries":[{"id":"c","name":"n","kind":"group"}]}"#,
    r#"{"result":"http","status":200,"headers":[]}"#,
    r#"{"result":"probe","ok":true,"me":{"id":"me"}}"#,
    r#"{"result":"pong","api":"1.0"}"#,
    r#"{"result":"media","mime":"image/png"}"#,
    r#"{"result":"probe","ok":false,"error":"e","native":{"a":1}}"#,
    r#"{"result":"http","status":200,"headers":[["a","b"]]}"#,
];

/// How either side fails.
const ERRORS: &[&str] = &[
    r#"{"kind":"rate_limited","message":"m","retryAfterMs":5,"providerCode":"429"}"#,
    r#"{"kind":"unsupported","message":"m"}"#,
    r#"{"kind":"invalid_request","message":"m"}"#,
    r#"{"kind":"config","message":"m"}"#,
    r#"{"kind":"auth","message":"m"}"#,
    r#"{"kind":"not_connected","message":"m"}"#,
    r#"{"kind":"rate_limited","message":"m"}"#,
    r#"{"kind":"not_found","message":"m"}"#,
    r#"{"kind":"too_large","message":"m"}"#,
    r#"{"kind":"forbidden","message":"m"}"#,
    r#"{"kind":"timeout","message":"m"}"#,
    r#"{"kind":"transient","message":"m"}"#,
    r#"{"kind":"panic","message":"m"}"#,
    r#"{"kind":"cancelled","message":"m"}"#,
    r#"{"kind":"other","message":"m"}"#,
];

/// What plugins ask of the host.
const CALLS: &[&str] = &[
    r#"{"op":"kv.get","key":"k"}"#,
    r#"{"op":"kv.put","key":"k"}"#,
    r#"{"op":"kv.del","key":"k"}"#,
    r#"{"op":"kv.list","prefix":"p"}"#,
];

/// What the host answers.
const REPLIES: &[&str] = &[
    r#"{"result":"done"}"#,
    r#"{"result":"value","found":true}"#,
    r#"{"result":"keys","keys":["k"]}"#,
];

/// What plugins log.
const LOGS: &[&str] = &[
    r#"{"level":3,"target":"t","message":"m","fields":[["a","b"]]}"#,
    r#"{"level":1,"target":"t","message":"m"}"#,
];

/// Reads each as a `T` and writes the same bytes back.
fn same<T: Serialize + DeserializeOwned>(frames: &[&str]) {
    for text in frames {
        let read: T = serde_json::from_str(text).expect(text);
        assert_eq!(serde_json::to_string(&read).unwrap(), *text);
    }
}

#[test]
fn recorded_messages_read_and_write_back_unchanged() {
    same::<Event>(EVENTS);
    same::<Op>(OPS);
    same::<OpResult>(RESULTS);
    same::<SurfaceError>(ERRORS);
    same::<HostCall>(CALLS);
    same::<HostReply>(REPLIES);
    same::<LogRecord>(LOGS);
}

/// Every place of a value with the JSON type found there: `chat.id: string`.
fn places(value: &Value, at: &str, out: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = if at.is_empty() {
                    name.clone()
                } else {
                    format!("{at}.{name}")
                };
                // What only the surface, or only the operator, knows is of any shape.
                if matches!(name.as_str(), "native" | "config" | "args" | "value") {
                    out.insert(format!("{at}: any"));
                } else {
                    places(value, &at, out);
                }
            }
            "object"
        }
        Value::Array(items) => {
            for item in items {
                places(item, &format!("{at}[]"), out);
            }
            "array"
        }
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
    };
    if !at.is_empty() {
        out.insert(format!("{at}: {kind}"));
    }
}

/// All messages as `kind → place`, of what the types of today write.
fn described() -> BTreeMap<String, BTreeSet<String>> {
    fn add<T: Serialize + DeserializeOwned>(
        all: &mut BTreeMap<String, BTreeSet<String>>,
        name: &str,
        tags: &[&str],
        frames: &[&str],
    ) {
        for text in frames {
            let read: T = serde_json::from_str(text).expect(text);
            let value = serde_json::to_value(read).unwrap();
            let tag = tags.iter().filter_map(|tag| value.get(tag)?.as_str());
            let name = [name].into_iter().chain(tag).collect::<Vec<_>>().join(" ");
            places(&value, "", all.entry(name).or_default());
        }
    }
    let mut all = BTreeMap::new();
    add::<Event>(&mut all, "event", &["type", "step"], EVENTS);
    add::<Op>(&mut all, "op", &["op"], OPS);
    add::<OpResult>(&mut all, "result", &["result"], RESULTS);
    add::<SurfaceError>(&mut all, "error", &[], ERRORS);
    add::<HostCall>(&mut all, "call", &["op"], CALLS);
    add::<HostReply>(&mut all, "reply", &["result"], REPLIES);
    add::<LogRecord>(&mut all, "log", &[], LOGS);
    all
}

/// The description of each released API is law: later ones may only add. The newest one is exact,
/// so that an addition is written down, with a new minor.
#[test]
fn messages_only_ever_gain() {
    let today = described();
    for minor in 0..=API_MINOR {
        let file = format!("{}/messages-1.{minor}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&file).expect(&file);
        let then: BTreeMap<String, BTreeSet<String>> = serde_json::from_str(&text).expect(&file);
        for (name, places) in &then {
            let gone: Vec<_> = match today.get(name) {
                Some(today) => places.difference(today).collect(),
                None => places.iter().collect(),
            };
            assert!(gone.is_empty(), "API 1.{minor} had in {name}: {gone:?}");
        }
        if minor == API_MINOR && then != today {
            let wanted = serde_json::to_string_pretty(&today).unwrap();
            let new = format!("{}/messages.json", env!("CARGO_TARGET_TMPDIR"));
            std::fs::write(&new, wanted + "\n").unwrap();
            panic!(
                "messages gained something: raise API_MINOR and keep {new} as messages-1.N.json"
            );
        }
    }
}

/// What a newer side may say, and what we make of it.
fn becomes<T: DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str, expected: T) {
    assert_eq!(serde_json::from_str::<T>(text).expect(text), expected);
}

#[test]
fn what_is_unknown_falls_to_unknown_and_never_breaks() {
    becomes(r#"{"type":"hologram","x":{"y":[1]}}"#, Event::Unknown);
    becomes(r#"{"op":"teleport","to":"c"}"#, Op::Unknown);
    becomes(r#"{"result":"novel","a":1}"#, OpResult::Unknown);
    becomes(r#"{"op":"kv.batch","puts":[]}"#, HostCall::Unknown);
    becomes(r#"{"step":"telepathy"}"#, LoginUpdate::Unknown);
    becomes(r#""floating""#, Link::Unknown);
    becomes(r#""forum""#, ChatKind::Unknown);
    becomes(
        r#"{"kind":"quantum","message":"m"}"#,
        SurfaceError::new(ErrorKind::Other, "m"),
    );
    let later = r#"{"id":"c","kind":"group","colour":"red"}"#;
    becomes(
        later,
        Chat {
            id: "c".to_owned(),
            kind: ChatKind::Group,
            ..Chat::default()
        },
    );
    becomes(r#"{}"#, InboundMessage::default());
}

#[test]
fn a_manifest_is_judged_by_its_rules() {
    let check = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = Manifest {
            id: "a-b2".to_owned(),
            name: "A".to_owned(),
            version: "1".to_owned(),
            api: "1.0".to_owned(),
            capabilities: vec!["direct".to_owned(), "actions:pin".to_owned()],
            config_schema: serde_json::json!({}),
            ..Manifest::default()
        };
        change(&mut manifest);
        manifest.problems().join("; ")
    };
    assert_eq!(check(&|_| ()), "");
    assert!(check(&|m| m.id = "Tele gram".to_owned()).starts_with("id \"Tele gram\" must be"));
    assert_eq!(check(&|m| m.name.clear()), "name is missing");
    assert_eq!(
        check(&|m| m.api = "2.0".to_owned()),
        "api \"2.0\" is of another major than 1"
    );
    assert_eq!(
        check(&|m| m.api = "one".to_owned()),
        "api \"one\" must read like \"1.0\""
    );
    let typo = |m: &mut Manifest| m.capabilities.push("typping".to_owned());
    assert_eq!(check(&typo), "capability \"typping\" is unknown");
    let newer = |m: &mut Manifest| {
        m.api = "1.99".to_owned();
        m.capabilities.push("holograms".to_owned());
    };
    assert_eq!(check(&newer), "", "a newer plugin may know more");
    assert!(check(&|m| m.secrets.push("token".to_owned())).contains("must be a JSON pointer"));
    assert!(check(&|m| m.config_schema = true.into()).contains("must be a JSON Schema object"));
}

#[test]
fn an_attachment_never_reaches_past_its_blob() {
    let blob = Media::from_static(b"0123456789");
    let at = |inline| {
        Attachment {
            inline,
            ..Attachment::default()
        }
        .bytes(&blob)
    };
    assert_eq!(at(Some((2, 3))).unwrap(), &b"234"[..]);
    assert_eq!(at(Some((8, 3))), None);
    assert_eq!(at(Some((u64::MAX, 2))), None);
    assert_eq!(at(None), None);
}
