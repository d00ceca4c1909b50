//! The signature vectors: once against the tests' own signing code, and then each of them over a
//! socket, so that the gateway is checked by texts and keys it did not make.

use serde_json::{Value, json};
use support::device::{Version, normalise, payload};
use support::{Client, Device, Gateway, Login, Setup};

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn identity(all: &Value, name: &str) -> Device {
    let list = all["identities"].as_array().unwrap();
    let entry = list.iter().find(|entry| entry["name"] == name).unwrap();
    Device::from_seed_hex(entry["seedHex"].as_str().unwrap())
}

#[test]
fn the_tests_own_signing_agrees_with_the_vectors() {
    let all = vectors();
    for entry in all["identities"].as_array().unwrap() {
        let device = Device::from_seed_hex(entry["seedHex"].as_str().unwrap());
        assert_eq!(device.id, entry["deviceId"]);
        assert_eq!(device.public_key, entry["publicKey"]);
    }
    for vector in all["vectors"].as_array().unwrap() {
        let device = identity(&all, vector["identity"].as_str().unwrap());
        let input = &vector["input"];
        let signed_at = input["device"]["signedAt"].as_u64().unwrap();
        let nonce = input["device"]["nonce"].as_str().unwrap();
        for (version, name) in [(Version::V2, "v2"), (Version::V3, "v3")] {
            let text = payload(version, &device.id, input, signed_at, nonce);
            assert_eq!(text, vector[name]["payload"], "{}", vector["name"]);
            assert_eq!(
                device.sign(&text),
                vector[name]["signature"],
                "{}",
                vector["name"]
            );
        }
    }
    for pair in all["normalisation"].as_array().unwrap() {
        assert_eq!(normalise(pair["in"].as_str()), pair["out"], "{pair}");
    }
}

/// Each vector's fields, signed for a fresh nonce, must never be refused as a bad signature; the
/// same with one letter of the signature changed must be.
#[tokio::test]
async fn the_gateway_verifies_every_vector() {
    let all = vectors();
    for vector in all["vectors"].as_array().unwrap() {
        for version in [Version::V2, Version::V3] {
            // A gateway of its own: the vectors share keys with other roles and metadata.
            let gateway = Gateway::start().await;
            let device = identity(&all, vector["identity"].as_str().unwrap());
            let login = login(device, version, &vector["input"]);
            let origin = format!("http://127.0.0.1:{}", gateway.port());
            let browser = [("origin", origin.as_str())];
            let ui = login.params["client"]["id"] == "openclaw-control-ui";
            let headers = if ui { &browser[..] } else { &[] };
            let mut client = Client::open_with(gateway.port(), "/", headers).await;
            let answer = client.try_log_in(&login).await;
            let code = answer["error"]["details"]["code"]
                .as_str()
                .unwrap_or("none");
            assert!(
                !code.starts_with("DEVICE_AUTH_"),
                "{}: {answer}",
                vector["name"]
            );

            let mut client = Client::open_with(gateway.port(), "/", headers).await;
            let mut params = login.signed(client.nonce());
            let signature = params["device"]["signature"].as_str().unwrap();
            let first = if signature.starts_with('A') { "B" } else { "A" };
            params["device"]["signature"] = json!(format!("{first}{}", &signature[1..]));
            let answer = client.call("connect", params).await;
            assert_eq!(
                answer["error"]["message"], "device signature invalid",
                "{answer}"
            );
        }
    }
}

fn login(device: Device, version: Version, input: &Value) -> Login {
    let mut login = Login::operator(&device);
    login.version = version;
    login.params["client"] = input["client"].clone();
    login.params["client"]["version"] = json!("vector-1");
    for field in ["role", "scopes", "auth"] {
        match input.get(field) {
            Some(value) => login.params[field] = value.clone(),
            None => _ = login.params.as_object_mut().unwrap().remove(field),
        }
    }
    login
}

#[tokio::test]
async fn every_form_of_key_and_signature_is_read() {
    let all = vectors();
    let gateway = Setup::new().start().await;
    let device = identity(&all, "id1");
    for form in all["publicKeyForms"].as_array().unwrap() {
        let mut client = gateway.open().await;
        let mut params = Login::operator(&device).signed(client.nonce());
        params["device"]["publicKey"] = form["value"].clone();
        let answer = client.call("connect", params).await;
        assert_eq!(answer["ok"], true, "{form}: {answer}");
    }
    for (name, plus, pad) in [
        ("base64url", false, false),
        ("padded", false, true),
        ("standard", true, true),
    ] {
        let mut client = gateway.open().await;
        let mut params = Login::operator(&device).signed(client.nonce());
        let mut text = params["device"]["signature"].as_str().unwrap().to_owned();
        if plus {
            text = text.replace('-', "+").replace('_', "/");
        }
        if pad {
            text.push_str("==");
        }
        params["device"]["signature"] = json!(text);
        let answer = client.call("connect", params).await;
        assert_eq!(answer["ok"], true, "{name}: {answer}");
    }
    // However the key was written, it is stored in one form.
    let mut client = gateway.connect(&Login::operator(&device)).await;
    let list = client.ok("device.pair.list", json!({})).await;
    assert_eq!(list["paired"][0]["publicKey"], json!(device.public_key));
}
