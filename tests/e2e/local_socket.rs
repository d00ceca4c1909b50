//! The gateway's own socket: the way in for its user when no paired client and no secret is there.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use serde_json::{Value, json};
use support::cli::run;
use support::gateway::Setup;
use support::{Client, Device, Gateway, Login};

/// The gateway's token; its configuration file holds another, so the command line has none.
const OWN: &str = "a-token-that-only-the-gateway-knows";

async fn locked_out() -> Gateway {
    Setup::new().arguments(&["--token", OWN]).start().await
}

fn login(device: &Device) -> Login {
    Login::operator(device).auth(json!({ "token": OWN }))
}

/// Asks to be paired from elsewhere; the request's id.
async fn ask_from_afar(gateway: &Gateway, device: &Device) -> String {
    let far = [("x-forwarded-for", "203.0.113.9")];
    let mut client = Client::open_with(gateway.port(), "/", &far).await;
    let answer = client.try_log_in(&login(device)).await;
    let id = &answer["error"]["details"]["requestId"];
    id.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn devices(gateway: &Gateway, arguments: &[&str]) -> Value {
    let arguments = [&["devices"], arguments, &["--json", "--timeout", "60s"]].concat();
    let ran = run(gateway.home(), &arguments).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    ran.json()
}

#[tokio::test]
async fn nobody_is_locked_out_of_the_own_host() {
    let mut gateway = locked_out().await;
    let socket = gateway.state_dir().join("gateway.sock");
    let found = std::fs::metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);

    let refused = run(gateway.home(), &["health", "--json"]).await;
    assert_eq!(refused.json()["error"]["code"], "AUTH_TOKEN_MISMATCH");

    let (phone, stranger) = (Device::new(), Device::new());
    let wanted = ask_from_afar(&gateway, &phone).await;
    let unwanted = ask_from_afar(&gateway, &stranger).await;
    let list = devices(&gateway, &["list"]).await;
    assert_eq!(list["pending"].as_array().unwrap().len(), 2, "{list}");
    devices(&gateway, &["reject", &unwanted]).await;
    let approved = devices(&gateway, &["approve", &wanted]).await;
    assert_eq!(approved["device"]["deviceId"], json!(phone.id));
    let mut client = gateway.connect(&login(&phone)).await;

    let role = ["--device", &phone.id, "--role", "operator"];
    let rotated = devices(&gateway, &[&["rotate"], &role[..]].concat()).await;
    let token = login(&phone).auth(json!({ "deviceToken": rotated["token"] }));
    gateway.connect(&token).await;
    devices(&gateway, &[&["revoke"], &role[..]].concat()).await;
    assert_eq!(client.closed().await.code, 1008);

    // What a killed gateway leaves behind is in nobody's way.
    gateway.crash().await;
    assert!(socket.exists());
    gateway.restart().await;
    devices(&gateway, &["remove", &phone.id]).await;
    let list = devices(&gateway, &["list"]).await;
    assert_eq!(list["paired"], json!([]), "{list}");
    gateway.stop().await;
    assert!(!socket.exists());
}

/// Whoever names an address or a secret gets the answer for exactly that.
#[tokio::test]
async fn a_named_address_or_secret_never_leads_to_the_socket() {
    let gateway = locked_out().await;
    let url = format!("ws://127.0.0.1:{}", gateway.port());
    for arguments in [
        &[
            "devices", "list", "--json", "--url", &url, "--token", "wrong",
        ][..],
        &["devices", "list", "--json", "--token", "wrong"],
    ] {
        let ran = run(gateway.home(), arguments).await;
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(
            ran.json()["error"]["code"],
            "AUTH_TOKEN_MISMATCH",
            "{ran:?}"
        );
    }
}
