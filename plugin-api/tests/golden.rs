//! Recorded messages of API 1.0, byte for byte. They may never fail again: an old plugin writes
//! exactly these. A change that only adds optional fields leaves them as they are.
#![allow(clippy::unwrap_used)]

use gateway_plugin::manifest::Manifest;
use gateway_plugin::message::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads `text` as a `T` and writes the same bytes back.
fn same<T: Serialize + DeserializeOwned>(text: &str) {
    let read: T = serde_json::from_str(text).expect(text);
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}

#[test]
fn events() {
    for text in [
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
    ] {
        same::<Event>(text);
    }
}

#[test]
fn operations_and_results() {
    for text in [
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
    ] {
        same::<Op>(text);
    }
    for text in [
        r#"{"result":"done"}"#,
        r#"{"result":"sent","messageId":"7","chat":"c","atMs":1,"native":{"a":1}}"#,
        r#"{"result":"sent","messageId":"7","atMs":0}"#,
        r#"{"result":"value","value":3}"#,
        r#"{"result":"media","mime":"image/png","fileName":"a.png"}"#,
        r#"{"result":"directory","entries":[{"id":"c","name":"n","kind":"group"}]}"#,
        r#"{"result":"http","status":200,"headers":[]}"#,
        r#"{"result":"probe","ok":true,"me":{"id":"me"}}"#,
        r#"{"result":"pong","api":"1.0"}"#,
    ] {
        same::<OpResult>(text);
    }
    let error = r#"{"kind":"rate_limited","message":"m","retryAfterMs":5,"providerCode":"429"}"#;
    same::<SurfaceError>(error);
}

#[test]
fn host_calls_and_log_lines() {
    for text in [
        r#"{"op":"kv.get","key":"k"}"#,
        r#"{"op":"kv.put","key":"k"}"#,
        r#"{"op":"kv.del","key":"k"}"#,
        r#"{"op":"kv.list","prefix":"p"}"#,
    ] {
        same::<HostCall>(text);
    }
    for text in [
        r#"{"result":"done"}"#,
        r#"{"result":"value","found":true}"#,
        r#"{"result":"keys","keys":["k"]}"#,
    ] {
        same::<HostReply>(text);
    }
    same::<LogRecord>(r#"{"level":3,"target":"t","message":"m","fields":[["a","b"]]}"#);
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
