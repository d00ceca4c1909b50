//! Tests of reading the configuration.
#![allow(clippy::unwrap_used)]

use super::*;

fn read(text: &str) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("openclaw.json"), text).unwrap();
    load(&LoadOptions {
        state_dir: Some(dir.path().to_path_buf()),
        ..LoadOptions::default()
    })
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = read(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert!(error.contains("openclaw.json"), "{error}");
}

#[test]
fn the_keys_of_a_typical_file() {
    let loaded = read(
        r#"{ // a comment
            gateway: { port: 19000, bind: "lan", auth: { token: "t" } },
            session: { dmScope: "per-channel-peer", identityLinks: { ada: ["telegram:7"] } },
            agents: { list: [{ id: "Work", default: true }], defaults: { model: "local/small" } },
            models: { providers: { local: { baseUrl: "http://127.0.0.1:1", apiKey: "k" } } },
            channels: { telegram: { botToken: "1:x" }, defaults: { groupPolicy: "open" } },
            acme: {}, logging: { level: "debug", redactSensitive: "off" },
        }"#,
    )
    .unwrap();
    let config = loaded.config;
    assert_eq!(config.gateway.port(), 19_000);
    assert_eq!(config.gateway.bind, Bind::Lan);
    assert_eq!(config.gateway.auth.mode, Some(AuthMode::Token));
    assert_eq!(config.agents.default_id(), "work");
    assert_eq!(
        config.agents.defaults.model.unwrap().candidates(),
        ["local/small"]
    );
    assert_eq!(config.channels.keys().collect::<Vec<_>>(), ["telegram"]);
    assert_eq!(
        config.channel_defaults.group_policy.as_deref(),
        Some("open")
    );
    assert_eq!(loaded.unused_keys, ["acme", "logging.redactSensitive"]);
}

#[test]
fn a_missing_file_is_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let options = LoadOptions {
        state_dir: Some(dir.path().to_path_buf()),
        ..LoadOptions::default()
    };
    let loaded = load(&options).unwrap();
    assert!(loaded.document.text.is_none());
    assert_eq!(loaded.config.agents.default_id(), "main");
    assert_eq!(loaded.config.agents.defaults.timeout_seconds, 600);
}

#[test]
fn refusals_name_file_key_and_fix() {
    refused("{ gateway: ", "not valid JSON5");
    refused(r#"{ gateway: { port: "x" } }"#, "gateway.port");
    refused(r#"{ gateway: { bind: "moon" } }"#, "gateway.bind");
    refused(r#"{ gateway: { mode: "both" } }"#, "use local");
    refused(
        r#"{ channels: [] }"#,
        "channels: expected an object, found a list",
    );
    refused(
        r#"{ gateway: { auth: { token: "a", password: "b" } } }"#,
        "gateway.auth.mode",
    );
    refused(
        r#"{ logging: { file: "${NO_SUCH_VARIABLE_HERE}" } }"#,
        "NO_SUCH_VARIABLE_HERE",
    );
    refused(r#"{ session: { $include: "x.json" } }"#, "$include");
    refused(
        r#"{ gateway: { auth: { token: { source: "exec", provider: "p", id: "x" } } } }"#,
        "gateway.auth.token: secret references of source exec",
    );
}

#[test]
fn an_unresolved_channel_secret_stops_only_its_account() {
    let loaded = read(
        r#"{ channels: { telegram: { botToken: { source: "env", provider: "d", id: "NO_SUCH_VARIABLE_HERE" } } } }"#,
    )
    .unwrap();
    assert_eq!(loaded.unresolved.len(), 1);
    assert!(loaded.unresolved[0].starts_with("channels.telegram.botToken: "));
}

#[test]
fn flags_win_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("openclaw.json"),
        r#"{gateway:{port:1,auth:{password:"p"}}}"#,
    )
    .unwrap();
    let options = LoadOptions {
        state_dir: Some(dir.path().to_path_buf()),
        port: Some(2),
        token: Some("t".into()),
        ..LoadOptions::default()
    };
    let gateway = load(&options).unwrap().config.gateway;
    assert_eq!(gateway.port(), 2);
    assert_eq!(gateway.auth.mode, Some(AuthMode::Token));
    assert_eq!(gateway.auth.token.unwrap().expose(), "t");
}

#[test]
fn a_generated_token_is_saved_and_found_again() {
    for text in [
        "",
        "{}",
        "{ // mine\n  gateway: { port: 5 }, }",
        "{gateway:{auth:{mode:'token'}}}",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("openclaw.json");
        if !text.is_empty() {
            std::fs::write(&file, text).unwrap();
        }
        save_generated_token(&file, &Clock::system()).unwrap();
        let options = LoadOptions {
            state_dir: Some(dir.path().to_path_buf()),
            ..LoadOptions::default()
        };
        let loaded = load(&options).unwrap();
        let token = loaded.config.gateway.auth.token.unwrap();
        assert_eq!(token.expose().len(), 48, "{text}");
        if text.contains("mine") {
            assert!(std::fs::read_to_string(&file).unwrap().contains("// mine"));
        }
    }
}

#[test]
fn a_flag_then_the_key_then_a_password_then_a_token_decide_the_mode() {
    let mode = |text: &str, options: LoadOptions| {
        let mut auth: AuthConfig = json5::from_str(text).unwrap();
        resolve_auth(
            &mut auth,
            &options,
            Path::new("openclaw.json"),
            &Dotenv::default(),
        )
        .map(|()| auth.mode.unwrap())
    };
    let by = |text: &str| mode(text, LoadOptions::default()).unwrap();
    assert_eq!(by("{}"), AuthMode::Token);
    assert_eq!(by("{ token: 't' }"), AuthMode::Token);
    assert_eq!(by("{ password: 'p', token: ' ' }"), AuthMode::Password);
    assert_eq!(by("{ mode: 'token', password: 'p' }"), AuthMode::Token);
    assert_eq!(
        by("{ mode: 'none', password: 'p', token: 't' }"),
        AuthMode::None
    );
    let flag = |auth: &str| LoadOptions {
        auth: Some(auth.into()),
        token: Some("t".into()),
        ..LoadOptions::default()
    };
    let both = "{ mode: 'password', password: 'p' }";
    assert_eq!(mode(both, flag("none")).unwrap(), AuthMode::None);
    assert_eq!(
        mode(both, flag("trusted-proxy")).unwrap(),
        AuthMode::TrustedProxy
    );
    assert!(
        mode(both, flag("maybe"))
            .unwrap_err()
            .to_string()
            .contains("--auth")
    );
}
