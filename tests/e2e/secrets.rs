//! Where the shared secret may lie, and that another one takes over without a restart.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Client, Close, Gateway, Login, Setup};

use crate::config::ends;

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Not in the state folder, which is nobody else's to write in.
fn beside(setup: &Setup, name: &str) -> PathBuf {
    setup.state_dir().with_file_name("given").join(name)
}

fn in_file(setup: Setup, path: &Path) -> Setup {
    let provider = json!({ "source": "file", "path": path, "mode": "singleValue" });
    let reference = json!({ "source": "file", "provider": "mine", "id": "value" });
    setup
        .config("/secrets/providers/mine", provider)
        .config("/gateway/auth/token", reference)
}

fn with(token: &str) -> Login {
    Login::fresh().auth(json!({ "token": token }))
}

async fn refusal(gateway: &Gateway, login: &Login) -> Value {
    let answer = gateway.open().await.try_log_in(login).await;
    answer["error"]["details"]["code"].clone()
}

#[tokio::test]
async fn from_a_file_the_environment_or_systemd() {
    let setup = Setup::new();
    let path = beside(&setup, "secrets/token");
    write(&path, "in a file\n", 0o600);
    let gateway = in_file(setup, &path).start().await;
    gateway.connect(&with("in a file")).await;
    assert_eq!(
        refusal(&gateway, &Login::fresh()).await,
        "AUTH_TOKEN_MISMATCH"
    );

    let variable = json!({ "source": "env", "provider": "default", "id": "MY_SECRET" });
    let gateway = Setup::new()
        .config("/gateway/auth/token", variable)
        .environment("MY_SECRET", "in a variable")
        .start()
        .await;
    gateway.connect(&with("in a variable")).await;

    let setup = Setup::new();
    let folder = beside(&setup, "credentials");
    // As systemd hands them out to a user that isn't root.
    write(&folder.join("gateway-token"), "from systemd", 0o440);
    let credential = json!({ "source": "file", "provider": "systemd", "id": "gateway-token" });
    let gateway = setup
        .config("/gateway/auth/token", credential)
        .environment("CREDENTIALS_DIRECTORY", folder.to_str().unwrap())
        .start()
        .await;
    gateway.connect(&with("from systemd")).await;
    assert!(!gateway.log().has("from systemd"));
}

#[tokio::test]
async fn a_file_that_others_may_read_is_refused() {
    for (text, mode, words) in [
        ("s3cret", 0o644, "chmod 600"),
        ("s3cret", 0o660, "chmod 600"),
        ("", 0o600, "is empty"),
        (&"s3cret".repeat(20_000), 0o600, "too large"),
    ] {
        let setup = Setup::new();
        let path = beside(&setup, "token");
        write(&path, text, mode);
        let mut gateway = in_file(setup, &path).spawn();
        assert_eq!(gateway.exit().await.code(), Some(78));
        for word in ["gateway.auth.token", words] {
            gateway.logged(word).await;
        }
        assert!(!gateway.log().has("s3cret"));
    }
    let setup = Setup::new();
    let path = beside(&setup, "token");
    let words = ["gateway.auth.token", "can't read", "No such file"];
    ends(in_file(setup, &path), 78, &words).await;
    let exec = json!({ "source": "exec", "provider": "vault", "id": "x" });
    let setup = Setup::new().config("/gateway/auth/token", exec);
    ends(
        setup,
        78,
        &["source exec are not supported: use source env or file"],
    )
    .await;
}

/// SIGHUP: the new secret counts at once, who used the old one goes, who has a token of its own
/// stays.
#[tokio::test]
async fn another_secret_without_a_restart() {
    let setup = Setup::new();
    let path = beside(&setup, "token");
    write(&path, "old", 0o600);
    let gateway = in_file(setup, &path).start().await;
    let login = with("old");
    let mut by_secret = gateway.connect(&login).await;
    let own = by_secret.hello["auth"]["deviceToken"].clone();
    let mut by_token = gateway
        .connect(&login.clone().auth(json!({ "token": own })))
        .await;
    let mut bare = gateway
        .connect(&Login::without_device().auth(json!({ "token": "old" })))
        .await;

    // What can't be read changes nothing.
    write(&path, "new", 0o644);
    gateway.signal(Signal::HUP);
    gateway.logged("can't be read again").await;
    by_secret.ok("health", json!({})).await;
    gateway.connect(&login).await;

    write(&path, "new", 0o600);
    gateway.signal(Signal::HUP);
    let gone = Close::new(1008, "gateway secret changed");
    assert_eq!(by_secret.closed().await, gone);
    assert_eq!(bare.closed().await, gone);
    assert_eq!(refusal(&gateway, &with("old")).await, "AUTH_TOKEN_MISMATCH");
    let mut new = gateway.connect(&with("new")).await;
    // A reload that brings nothing new disturbs nobody.
    gateway.signal(Signal::HUP);
    gateway.logged("nothing has changed").await;
    new.ok("health", json!({})).await;
    by_token.ok("health", json!({})).await;
    for secret in ["\"old\"", "\"new\""] {
        assert!(!gateway.log().has(secret));
    }
}

/// Sockets that are between the check and the registration while the secret changes are not
/// forgotten: whoever is connected afterwards came with the new one.
#[tokio::test]
async fn nobody_slips_in_with_the_old_secret() {
    let setup = Setup::new();
    let path = beside(&setup, "token");
    write(&path, "old", 0o600);
    let gateway = in_file(setup, &path).start().await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(gateway.open().await);
    }
    let login = Login::without_device().auth(json!({ "token": "old" }));
    write(&path, "new", 0o600);
    gateway.signal(Signal::HUP);
    let answers = clients
        .iter_mut()
        .map(|client: &mut Client| client.try_log_in(&login));
    let answers = futures_util::future::join_all(answers).await;
    gateway.logged("another shared secret is in force").await;
    for (client, answer) in clients.iter_mut().zip(answers) {
        let closed = client.closed().await;
        assert_eq!(closed.code, 1008, "{answer} {closed:?}");
    }
}
