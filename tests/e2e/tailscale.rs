//! Tailscale Serve in front: who it says comes is asked of the `tailscale` program, here one that
//! a test wrote.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Client, Gateway, Login, Setup};

const FROM_SERVE: [(&str, &str); 4] = [
    ("tailscale-user-login", "Ada@Example.com"),
    ("x-forwarded-for", "100.101.102.103"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "gw.tail.ts.net"),
];

/// Knows one address; writes down what it is asked; says nothing at all of another one.
const PROGRAM: &str = r#"#!/bin/sh
echo "$* ${OPENCLAW_GATEWAY_PASSWORD-}" >> "${0%/*}/asked"
case "$3" in
100.101.102.103) echo '{"Node":{"ID":7},"UserProfile":{"ID":1,"LoginName":"ada@example.com"}}' ;;
100.101.102.104) exec sleep 60 ;;
*) echo 'peer not found' >&2; exit 1 ;;
esac
"#;

fn serve(setup: Setup) -> (Setup, PathBuf) {
    let folder = setup.state_dir().with_file_name("programs");
    std::fs::create_dir_all(&folder).unwrap();
    let program = folder.join("tailscale");
    std::fs::write(&program, PROGRAM).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let setup = setup
        .environment("OPENCLAW_TAILSCALE", program.to_str().unwrap())
        .environment("OPENCLAW_GATEWAY_PASSWORD", "not for others");
    (setup, folder.join("asked"))
}

async fn answer(gateway: &Gateway, headers: &[(&str, &str)]) -> Value {
    let login = Login::fresh().auth(json!({}));
    let mut client = Client::open_with(gateway.port(), "/", headers).await;
    client.try_log_in(&login).await["error"]["details"].clone()
}

fn questions(asked: &PathBuf) -> Vec<String> {
    let text = std::fs::read_to_string(asked).unwrap_or_default();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[tokio::test]
async fn a_user_of_the_tailnet_needs_no_secret_but_a_paired_device() {
    let setup = Setup::new().config("/gateway/tailscale/mode", json!("serve"));
    let (setup, asked) = serve(setup);
    let gateway = setup.start().await;
    let login = Login::fresh().auth(json!({}));
    let mut client = Client::open_with(gateway.port(), "/", &FROM_SERVE).await;
    let answer = client.try_log_in(&login).await;
    let details = &answer["error"]["details"];
    assert_eq!(details["code"], "PAIRING_REQUIRED", "{answer}");
    let mut operator = gateway.operator().await;
    let request = json!({ "requestId": details["requestId"] });
    operator.ok("device.pair.approve", request).await;
    let mut client = Client::open_with(gateway.port(), "/", &FROM_SERVE).await;
    client.log_in(&login).await;
    client.ok("health", json!({})).await;
    // Asked once for both, and without what is in the gateway's environment.
    assert_eq!(questions(&asked), ["whois --json 100.101.102.103"]);
}

#[tokio::test]
async fn only_what_serve_sends_is_asked_about() {
    let setup = Setup::new().config("/gateway/auth/allowTailscale", json!(true));
    let (setup, asked) = serve(setup);
    let gateway = setup.start().await;
    // Any header less, and the program isn't even asked.
    for left_out in 0..FROM_SERVE.len() {
        let mut headers = FROM_SERVE.to_vec();
        headers.remove(left_out);
        let details = answer(&gateway, &headers).await;
        assert_eq!(details["authReason"], "token_missing", "{headers:?}");
    }
    assert_eq!(questions(&asked), [""; 0]);
    let mut other = FROM_SERVE;
    other[0].1 = "eve@example.com";
    assert_eq!(
        answer(&gateway, &other).await["authReason"],
        "token_missing"
    );
    let mut unknown = FROM_SERVE;
    unknown[1].1 = "100.101.102.105";
    for _ in 0..3 {
        assert_eq!(
            answer(&gateway, &unknown).await["authReason"],
            "token_missing"
        );
    }
    assert_eq!(
        questions(&asked),
        [
            "whois --json 100.101.102.103",
            "whois --json 100.101.102.105"
        ]
    );
    // The secret still opens.
    let mut client = Client::open_with(gateway.port(), "/", &unknown).await;
    client.log_in(&Login::without_device()).await;
}

/// A program that hangs costs its connection some seconds and nobody else anything.
#[tokio::test]
async fn a_program_that_hangs_is_given_up() {
    let setup = Setup::new().config("/gateway/auth/allowTailscale", json!(true));
    let gateway = serve(setup).0.start().await;
    let mut hanging = FROM_SERVE;
    hanging[1].1 = "100.101.102.104";
    let (details, _) = tokio::join!(answer(&gateway, &hanging), gateway.operator());
    assert_eq!(details["authReason"], "token_missing");
    assert!(gateway.log().has("tailscale whois took too long"));
}

#[tokio::test]
async fn it_is_off_unless_asked_for() {
    for setup in [
        Setup::new(),
        Setup::new()
            .config("/gateway/tailscale/mode", json!("serve"))
            .config("/gateway/auth/allowTailscale", json!(false)),
    ] {
        let (setup, asked) = serve(setup);
        let gateway = setup.start().await;
        assert_eq!(
            answer(&gateway, &FROM_SERVE).await["authReason"],
            "token_missing"
        );
        assert_eq!(questions(&asked), [""; 0]);
    }
}
