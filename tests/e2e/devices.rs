//! Device pairing and tokens: requests, decisions, rotation, and what they do to connections.

use serde_json::{Value, json};
use support::{Client, Device, Gateway, Login};

/// A connection that does not count as local, so that it has to be approved.
const FAR: [(&str, &str); 1] = [("x-forwarded-for", "203.0.113.9")];

async fn far(gateway: &Gateway, login: &Login) -> Value {
    let mut client = Client::open_with(gateway.port(), "/", &FAR).await;
    client.try_log_in(login).await
}

/// The id of the request that this refusal made.
fn request_id(answer: &Value, reason: &str) -> String {
    assert_eq!(answer["error"]["details"]["reason"], reason, "{answer}");
    answer["error"]["details"]["requestId"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn entry<'a>(list: &'a Value, kind: &str, device: &Device) -> &'a Value {
    let entries = list[kind].as_array().unwrap();
    let found = entries
        .iter()
        .find(|entry| entry["deviceId"] == device.id.as_str());
    found.unwrap_or_else(|| panic!("{} is not {kind}: {list}", device.id))
}

#[tokio::test]
async fn a_far_device_waits_for_approval_and_then_comes_in() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let mut reader = gateway.operator_with(&["operator.read"]).await;
    let phone = Device::new();
    let login = Login::operator(&phone).scopes(&["operator.read"]);

    let request = request_id(&far(&gateway, &login).await, "not-paired");
    let event = admin.event("device.pair.requested").await;
    assert_eq!(event["payload"]["requestId"], json!(request));
    assert_eq!(event["payload"]["deviceId"], json!(phone.id));
    assert_eq!(event["payload"]["publicKey"], json!(phone.public_key));
    assert_eq!(event["payload"]["silent"], false);
    assert_eq!(event["payload"]["isRepair"], false);

    // Asking again, with more, is the same request, and nobody is told a second time.
    let more = login.clone().scopes(&["operator.write"]);
    assert_eq!(
        request_id(&far(&gateway, &more).await, "not-paired"),
        request
    );
    let list = admin.ok("device.pair.list", json!({})).await;
    let pending = entry(&list, "pending", &phone);
    assert_eq!(
        pending["scopes"],
        json!(["operator.read", "operator.write"])
    );
    let noise = admin.settle().await;
    assert!(
        noise
            .iter()
            .all(|frame| frame["event"] != "device.pair.requested"),
        "{noise:?}"
    );

    let answer = admin
        .ok("device.pair.approve", json!({ "requestId": request }))
        .await;
    assert_eq!(answer["requestId"], json!(request));
    assert_eq!(answer["device"]["deviceId"], json!(phone.id));
    assert!(answer["device"].get("approvedScopes").is_none(), "{answer}");
    let resolved = admin.event("device.pair.resolved").await;
    assert_eq!(resolved["payload"]["decision"], "approved");
    assert_eq!(resolved["payload"]["deviceId"], json!(phone.id));

    let client = far(&gateway, &login).await;
    assert_eq!(client["ok"], true, "{client}");
    let auth = &client["payload"]["auth"];
    assert_eq!(auth["scopes"], json!(["operator.read", "operator.write"]));

    // Who may not pair hears nothing of all this.
    let heard = reader.settle().await;
    let pairing = |frame: &&Value| {
        frame["event"]
            .as_str()
            .is_some_and(|name| name.starts_with("device.pair"))
    };
    assert_eq!(heard.iter().filter(pairing).count(), 0, "{heard:?}");
}

#[tokio::test]
async fn a_rejected_request_is_gone() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let phone = Device::new();
    let login = Login::operator(&phone);
    let request = request_id(&far(&gateway, &login).await, "not-paired");
    let answer = admin
        .ok("device.pair.reject", json!({ "requestId": request }))
        .await;
    assert_eq!(
        answer,
        json!({ "requestId": request, "deviceId": phone.id })
    );
    assert_eq!(
        admin.event("device.pair.resolved").await["payload"]["decision"],
        "rejected"
    );
    for method in ["device.pair.approve", "device.pair.reject"] {
        let error = admin.refused(method, json!({ "requestId": request })).await;
        assert_eq!(
            error,
            json!({ "code": "INVALID_REQUEST", "message": "unknown requestId" })
        );
    }
    let again = request_id(&far(&gateway, &login).await, "not-paired");
    assert_ne!(again, request);
}

#[tokio::test]
async fn a_device_token_stands_in_for_the_shared_secret() {
    let mut gateway = Gateway::start().await;
    let device = Device::new();
    let first = gateway.connect(&Login::operator(&device)).await;
    let token = first.hello["auth"]["deviceToken"]
        .as_str()
        .unwrap()
        .to_owned();
    first.leave().await;
    for auth in [
        json!({ "token": token }),
        json!({ "deviceToken": token }),
        json!({ "token": token, "deviceToken": token }),
        json!({ "token": "stale", "deviceToken": token }),
    ] {
        let client = gateway.connect(&Login::operator(&device).auth(auth)).await;
        assert_eq!(
            client.hello["auth"]["deviceToken"],
            json!(token),
            "a reconnect keeps it"
        );
    }
    // Another device cannot use it, and it opens nothing for more than it was given.
    let login = Login::fresh().auth(json!({ "deviceToken": token }));
    let answer = gateway.open().await.try_log_in(&login).await;
    assert_eq!(
        answer["error"]["details"]["code"],
        "AUTH_DEVICE_TOKEN_MISMATCH"
    );

    gateway.stop().await;
    gateway.restart().await;
    let login = Login::operator(&device).auth(json!({ "token": token }));
    let client = gateway.connect(&login).await;
    assert_eq!(
        client.hello["auth"]["deviceToken"],
        json!(token),
        "it outlives a restart"
    );

    // No file of the state folder holds it.
    for file in files(&gateway.state_dir()) {
        let bytes = std::fs::read(&file).unwrap();
        let holds = bytes
            .windows(token.len())
            .any(|window| window == token.as_bytes());
        assert!(!holds, "{} holds a device token", file.display());
    }
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn asking_for_more_than_a_token_holds_is_a_mismatch() {
    let gateway = Gateway::start().await;
    let device = Device::new();
    let narrow = Login::operator(&device).scopes(&["operator.read"]);
    let client = gateway.connect(&narrow).await;
    let token = client.hello["auth"]["deviceToken"].clone();
    let wide = Login::operator(&device).auth(json!({ "token": token }));
    let answer = gateway.open().await.try_log_in(&wide).await;
    assert_eq!(
        answer["error"]["details"]["code"], "AUTH_TOKEN_MISMATCH",
        "{answer}"
    );
}

/// Wider scopes over loopback are approved at once, and the old token dies.
#[tokio::test]
async fn a_local_device_widens_its_scopes_silently() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let device = Device::new();
    let narrow = Login::operator(&device).scopes(&["operator.read"]);
    let old = gateway.connect(&narrow).await.hello["auth"]["deviceToken"].clone();
    let resolved = admin.event("device.pair.resolved").await;
    assert_eq!(resolved["payload"]["deviceId"], json!(device.id));

    let new = gateway.connect(&Login::operator(&device)).await.hello["auth"].clone();
    assert_ne!(new["deviceToken"], old);
    assert_eq!(new["scopes"].as_array().unwrap().len(), 5);
    let answer = gateway
        .open()
        .await
        .try_log_in(&narrow.auth(json!({ "token": old })))
        .await;
    assert_eq!(
        answer["error"]["details"]["code"], "AUTH_TOKEN_MISMATCH",
        "{answer}"
    );
    let noise = admin.settle().await;
    assert!(
        noise
            .iter()
            .all(|frame| frame["event"] != "device.pair.requested"),
        "{noise:?}"
    );
}

/// Another role or another platform is never approved silently.
#[tokio::test]
async fn upgrades_of_role_and_metadata_need_a_person() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let device = Device::new();
    gateway.connect(&Login::operator(&device)).await;

    let mut elsewhere = Login::operator(&device);
    elsewhere.params["client"]["platform"] = json!("darwin");
    let answer = gateway.open().await.try_log_in(&elsewhere).await;
    let request = request_id(&answer, "metadata-upgrade");
    let answer = gateway
        .open()
        .await
        .try_log_in(&Login::operator(&device).node())
        .await;
    assert_eq!(
        request_id(&answer, "role-upgrade"),
        request,
        "one request for each device"
    );
    let list = admin.ok("device.pair.list", json!({})).await;
    assert_eq!(entry(&list, "pending", &device)["isRepair"], true);

    // Left out is another value too; another spelling is not.
    let mut silent = Login::operator(&device);
    silent.params["client"]
        .as_object_mut()
        .unwrap()
        .remove("deviceFamily");
    let answer = gateway.open().await.try_log_in(&silent).await;
    request_id(&answer, "metadata-upgrade");
    let mut spelled = Login::operator(&device);
    spelled.params["client"]["platform"] = json!("  LINUX ");
    gateway.connect(&spelled).await;

    admin
        .ok("device.pair.approve", json!({ "requestId": request }))
        .await;
    gateway.connect(&Login::operator(&device).node()).await;
}

#[tokio::test]
async fn a_removed_device_is_cut_off_and_forgotten() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let device = Device::new();
    let mut client = gateway.connect(&Login::operator(&device)).await;
    let token = client.hello["auth"]["deviceToken"].clone();
    let params = json!({ "deviceId": format!(" {} ", device.id) });
    let answer = admin.ok("device.pair.remove", params).await;
    assert_eq!(answer, json!({ "deviceId": device.id }));
    assert_eq!(client.closed().await.code, 1008);
    let login = Login::operator(&device).auth(json!({ "deviceToken": token }));
    let answer = gateway.open().await.try_log_in(&login).await;
    assert_eq!(
        answer["error"]["details"]["code"],
        "AUTH_DEVICE_TOKEN_MISMATCH"
    );
    let error = admin
        .refused("device.pair.remove", json!({ "deviceId": device.id }))
        .await;
    assert_eq!(error["message"], "unknown deviceId");
}

#[tokio::test]
async fn rotating_and_revoking_a_token() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let device = Device::new();
    let mut client = gateway.connect(&Login::operator(&device)).await;
    let old = client.hello["auth"]["deviceToken"].clone();

    let params = json!({ "deviceId": device.id, "role": "operator" });
    let rotated = admin.ok("device.token.rotate", params.clone()).await;
    assert_eq!(rotated["deviceId"], json!(device.id));
    assert_eq!(rotated["role"], "operator");
    assert_eq!(rotated["scopes"].as_array().unwrap().len(), 5);
    assert!(rotated["rotatedAtMs"].is_u64());
    assert_ne!(rotated["token"], old);
    let login = |token: &Value| Login::operator(&device).auth(json!({ "deviceToken": token }));
    // For a while the old one works too, and whoever comes with it is given the new one.
    let returned = gateway.connect(&login(&old)).await;
    assert_eq!(returned.hello["auth"]["deviceToken"], rotated["token"]);
    gateway.connect(&login(&rotated["token"])).await;

    let revoked = admin.ok("device.token.revoke", params.clone()).await;
    assert!(revoked["revokedAtMs"].is_u64());
    assert_eq!(
        client.closed().await.code,
        1008,
        "a live connection ends with its token"
    );
    for token in [&rotated["token"], &old] {
        let answer = gateway.open().await.try_log_in(&login(token)).await;
        assert_eq!(answer["ok"], false, "{answer}");
    }
    let list = admin.ok("device.pair.list", json!({})).await;
    let tokens = &entry(&list, "paired", &device)["tokens"];
    assert!(
        tokens[0]["revokedAtMs"].is_u64() && tokens[0].get("token").is_none(),
        "{tokens}"
    );
    // Revoked is not unpaired: the shared secret mints another.
    let again = gateway.connect(&Login::operator(&device)).await;
    assert_ne!(again.hello["auth"]["deviceToken"], rotated["token"]);

    for (method, id, role) in [
        ("device.token.rotate", "nobody", "operator"),
        ("device.token.rotate", device.id.as_str(), "node"),
        ("device.token.revoke", "nobody", "operator"),
        ("device.token.revoke", device.id.as_str(), "node"),
    ] {
        let error = admin
            .refused(method, json!({ "deviceId": id, "role": role }))
            .await;
        assert_eq!(
            error["message"], "unknown deviceId/role",
            "{method} {id} {role}"
        );
    }
}

/// Nobody gives what they do not have.
#[tokio::test]
async fn a_pairing_client_cannot_hand_out_wider_scopes_than_its_own() {
    let gateway = Gateway::start().await;
    let mut clerk = gateway.operator_with(&["operator.pairing"]).await;
    let phone = Device::new();
    let request = request_id(&far(&gateway, &Login::operator(&phone)).await, "not-paired");
    let error = clerk
        .refused("device.pair.approve", json!({ "requestId": request }))
        .await;
    assert_eq!(error["message"], "missing scope: operator.admin");

    let device = Device::new();
    gateway.connect(&Login::operator(&device)).await;
    let params = json!({ "deviceId": device.id, "role": "operator" });
    let error = clerk.refused("device.token.rotate", params).await;
    assert_eq!(error["message"], "missing scope: operator.admin");
}

/// What was acknowledged of tokens holds after kill -9: a rotation with its overlap, a revocation,
/// a removal, a rejection.
#[tokio::test]
async fn what_was_taken_stays_taken_after_a_crash() {
    let mut gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let (turned, revoked, removed) = (Device::new(), Device::new(), Device::new());
    let mut tokens = Vec::new();
    for device in [&turned, &revoked, &removed] {
        let client = gateway.connect(&Login::operator(device)).await;
        tokens.push(client.hello["auth"]["deviceToken"].clone());
    }
    let rejected = Device::new();
    let login = Login::operator(&rejected);
    let request = request_id(&far(&gateway, &login).await, "not-paired");
    let of = |device: &Device| json!({ "deviceId": device.id, "role": "operator" });
    let new = admin.ok("device.token.rotate", of(&turned)).await["token"].clone();
    admin.ok("device.token.revoke", of(&revoked)).await;
    let params = json!({ "deviceId": removed.id });
    admin.ok("device.pair.remove", params).await;
    let params = json!({ "requestId": request });
    admin.ok("device.pair.reject", params).await;
    gateway.crash().await;
    gateway.restart().await;

    let login = |device: &Device, token: &Value| {
        Login::operator(device).auth(json!({ "deviceToken": token }))
    };
    for token in [&tokens[0], &new] {
        let client = gateway.connect(&login(&turned, token)).await;
        assert_eq!(client.hello["auth"]["deviceToken"], new);
    }
    for (device, token) in [(&revoked, &tokens[1]), (&removed, &tokens[2])] {
        let answer = gateway.open().await.try_log_in(&login(device, token)).await;
        let code = &answer["error"]["details"]["code"];
        assert_eq!(code, "AUTH_DEVICE_TOKEN_MISMATCH", "{answer}");
    }
    let mut admin = gateway.operator().await;
    let list = admin.ok("device.pair.list", json!({})).await;
    assert_eq!(list["pending"], json!([]));
}

/// A device may say and ask for a lot, but not without end.
#[tokio::test]
async fn what_a_device_says_of_itself_is_bounded() {
    let gateway = Gateway::start().await;
    let device = Device::new();
    let mut talker = Login::operator(&device);
    talker.params["client"]["displayName"] = json!("x".repeat(10_000));
    let answer = gateway.open().await.try_log_in(&talker).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("invalid connect params: at /client/displayName: must NOT"),
        "{message}"
    );
    let many: Vec<String> = (0..100).map(|i| format!("operator.{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let answer = far(&gateway, &Login::operator(&device).scopes(&many)).await;
    assert_eq!(answer["error"]["code"], "INVALID_REQUEST", "{answer}");
    // In pieces neither.
    let mut codes = Vec::new();
    for piece in many.chunks(40) {
        let answer = far(&gateway, &Login::operator(&device).scopes(piece)).await;
        codes.push(answer["error"]["code"].clone());
    }
    assert_eq!(codes, ["NOT_PAIRED", "INVALID_REQUEST", "NOT_PAIRED"]);
}

/// The list: newest first, tokens without their values, and it is still there after a crash.
#[tokio::test]
async fn pairing_survives_a_crash() {
    let mut gateway = Gateway::start().await;
    let (first, second) = (Device::new(), Device::new());
    gateway.connect(&Login::operator(&first)).await;
    gateway
        .connect(&Login::operator(&second).scopes(&["operator.read"]))
        .await;
    gateway.crash().await;
    gateway.restart().await;
    let mut admin = gateway.connect(&Login::operator(&first)).await;
    let list = admin.ok("device.pair.list", json!({})).await;
    let ids: Vec<_> = list["paired"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| &d["deviceId"])
        .collect();
    assert_eq!(ids, [&json!(second.id), &json!(first.id)]);
    assert_eq!(list["pending"], json!([]));
    let record = entry(&list, "paired", &second);
    assert_eq!(record["roles"], json!(["operator"]));
    assert_eq!(record["tokens"][0]["scopes"], json!(["operator.read"]));
    assert_eq!(record["clientId"], "cli");
}

#[tokio::test]
async fn the_gateways_own_identity_is_stable() {
    let mut gateway = Gateway::start().await;
    let before = gateway
        .operator()
        .await
        .ok("gateway.identity.get", json!({}))
        .await;
    assert_eq!(before["deviceId"].as_str().unwrap().len(), 64);
    assert_eq!(before["publicKey"].as_str().unwrap().len(), 43);
    gateway.stop().await;
    gateway.restart().await;
    let after = gateway
        .operator()
        .await
        .ok("gateway.identity.get", json!({}))
        .await;
    assert_eq!(before, after);
}
