//! A third-party plugin, from its source to a conversation: `plugins/irc` built outside the
//! workspace, given to a gateway, and talked to by people on a real IRC server.

use std::path::PathBuf;

use serde_json::{Value, json};
use support::ngircd::{self, Ngircd, Person};
use support::{Gateway, Setup, binaries, cli, stranger};

use crate::plugins::live;

const ROOM: &str = "#bench";

/// A server, and a gateway whose agent is on it as `claw`, in a channel.
struct House {
    server: Ngircd,
    gateway: Gateway,
}

impl House {
    async fn start(account: Value) -> Option<House> {
        let server = Ngircd::start(&ngircd::program()?, None).await;
        let gateway = gateway(&server, account).await;
        Some(House { server, gateway })
    }

    async fn person(&self, nick: &str) -> Person {
        let mut person = Person::come(self.server.port(), nick).await;
        person.join(ROOM).await;
        person.meets("claw", ROOM).await;
        person
    }
}

fn configured(server: &Ngircd, more: Value) -> Value {
    let mut account = json!({
        "host": "127.0.0.1", "port": server.port(), "tls": false, "nick": "claw",
        "channels": [ROOM], "groupPolicy": "open", "dmPolicy": "open", "allowFrom": ["*"],
        "flood": { "burst": 20, "intervalMs": 100 },
        "reconnect": { "initialMs": 50, "maxMs": 200 },
    });
    let all = account.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    account
}

async fn library() -> PathBuf {
    let built = tokio::task::spawn_blocking(stranger::irc).await;
    built.unwrap().to_owned()
}

async fn gateway(server: &Ngircd, more: Value) -> Gateway {
    Setup::new()
        .plugin_files(&[("echo", echo()), ("irc", library().await)])
        .config("/channels/irc", configured(server, more))
        .start()
        .await
}

fn echo() -> PathBuf {
    binaries::library("gateway-plugin-echo")
}

fn to(target: &str, text: &str) -> Value {
    json!({ "channel": "irc", "to": target, "message": text, "idempotencyKey": text })
}

#[tokio::test]
async fn people_are_answered_in_a_channel_and_directly() {
    let Some(house) = House::start(json!({})).await else {
        return;
    };
    let mut ann = house.person("ann").await;
    ann.say(ROOM, "just talking").await;
    // A notice is never answered, whatever it says.
    ann.write("NOTICE claw :claw: answer me").await;
    ann.say(ROOM, "claw: hello \u{2}there\u{2}").await;
    let answer = ann.told("claw", ROOM).await;
    assert!(answer.contains("claw: hello there"), "{answer}");
    assert!(!answer.contains("just talking"), "{answer}");

    ann.say("claw", "in private").await;
    let answer = ann.told("claw", "ann").await;
    assert!(answer.contains("in private"), "{answer}");
    ann.say("claw", "\u{1}ACTION waves\u{1}").await;
    let answer = ann.told("claw", "ann").await;
    assert!(answer.contains("* ann waves"), "{answer}");
    let told = ann
        .heard()
        .iter()
        .filter(|line| line.starts_with(":claw!"))
        .count();
    assert_eq!(
        told,
        4,
        "three answers and nothing else: {:#?}",
        ann.heard()
    );

    let mut client = house.gateway.operator().await;
    let list = client.ok("sessions.list", json!({})).await.to_string();
    assert!(list.contains("\"agent:main:irc:group:#bench\""), "{list}");
    let said = client
        .ok("chat.history", json!({ "sessionKey": "main" }))
        .await
        .to_string();
    assert!(
        said.contains("in private") && !said.contains("just talking"),
        "{said}"
    );
}

#[tokio::test]
async fn a_clients_message_arrives_whole_and_a_refusal_is_told() {
    let Some(house) = House::start(json!({})).await else {
        return;
    };
    let mut ann = house.person("ann").await;
    let mut client = house.gateway.operator().await;
    let text = "Ein längerer Text über 😀 und anderes. ".repeat(40);
    let sent = client.ok("send", to("#Bench", &text)).await;
    assert_eq!(sent["chatId"], "#Bench", "{sent}");
    assert!(
        sent["messageId"].as_str().is_some_and(|id| !id.is_empty()),
        "{sent}"
    );
    let mut heard = String::new();
    while heard.len() < text.trim().len() {
        heard.push_str(&ann.told("claw", ROOM).await);
        heard.push(' ');
    }
    assert_eq!(heard.trim(), text.trim());

    client.ok("send", to("irc:ann", "one\r\nQUIT :two")).await;
    assert_eq!(ann.told("claw", "ann").await, "one QUIT :two");
    for (target, word) in [
        ("nobody", "nobody has this nick"),
        ("#elsewhere", "no such channel"),
    ] {
        let error = client.refused("send", to(target, target)).await;
        assert_eq!(error["code"], "UNAVAILABLE", "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let error = client.refused("send", to("ann,bob", "x")).await;
    assert!(
        error.to_string().contains("holds a space, comma"),
        "{error}"
    );
}

#[tokio::test]
async fn a_taken_nick_is_taken_back_once_it_is_free() {
    let Some(program) = ngircd::program() else {
        return;
    };
    let server = Ngircd::start(&program, None).await;
    let thief = Person::come(server.port(), "claw").await;
    let mut ann = Person::come(server.port(), "ann").await;
    ann.join(ROOM).await;
    let house = House {
        gateway: gateway(&server, json!({ "pingSeconds": 5 })).await,
        server,
    };
    ann.meets("claw_", ROOM).await;
    ann.say(ROOM, "claw_: hello").await;
    let answer = ann.told("claw_", ROOM).await;
    assert!(answer.contains("claw_: hello"), "{answer}");
    drop(thief);
    ann.hears("the nick come home", |line| {
        line.starts_with(":claw_!") && line.contains(" NICK ")
    })
    .await;
    ann.say(ROOM, "claw: and now").await;
    let answer = ann.told("claw", ROOM).await;
    assert!(answer.contains("claw: and now"), "{answer}");
    drop(house);
}

#[tokio::test]
async fn a_server_that_comes_back_finds_everything_as_it_was() {
    let Some(mut house) = House::start(json!({})).await else {
        return;
    };
    let mut ann = house.person("ann").await;
    ann.say(ROOM, "claw: before").await;
    ann.told("claw", ROOM).await;
    house.server.kill();
    let away = house
        .gateway
        .account(
            "irc",
            "the account to say that the server is away",
            |account| account["connected"] == false,
        )
        .await;
    assert_eq!(away["running"], true, "{away}");
    // What is sent meanwhile waits for the connection.
    let mut client = house.gateway.operator().await;
    let waiting = client.request("send", to(ROOM, "sent in between")).await;
    house.server.launch().await;
    let mut ann = house.person("ann").await;
    ann.say(ROOM, "claw: after").await;
    let mut told = ann.told("claw", ROOM).await;
    // The waiting one may come before or after ann does.
    if !told.contains("claw: after") {
        told = ann.told("claw", ROOM).await;
    }
    assert!(told.contains("claw: after"), "{told}");
    let sent = client.response(&waiting).await;
    assert_eq!(sent["ok"], true, "{sent}");
    house
        .gateway
        .account("irc", "connected", |account| account["connected"] == true)
        .await;
}

#[tokio::test]
async fn a_wrong_password_stops_the_account_and_is_not_shown() {
    let Some(program) = ngircd::program() else {
        return;
    };
    let server = Ngircd::start(&program, Some("open sesame")).await;
    let secret = "sEcReT-of-claw";
    let gateway = gateway(&server, json!({ "password": secret })).await;
    let stopped = gateway
        .account("irc", "the account to stop", |account| {
            account["lastError"].is_string() && account["running"] == false
        })
        .await;
    let why = stopped["lastError"].as_str().unwrap();
    assert!(why.contains("does not accept the password"), "{why}");
    let mut client = gateway.operator().await;
    let error = client.refused("send", to(ROOM, "hi")).await;
    assert_eq!(error["code"], "UNAVAILABLE", "{error}");
    let status = client
        .ok("channels.status", json!({ "probe": true }))
        .await
        .to_string();
    for (place, text) in [("status", status), ("log", gateway.log().text())] {
        assert!(!text.contains(secret), "the {place} holds a secret");
    }
}

#[tokio::test]
async fn the_right_password_lets_in_those_whose_masks_are_listed() {
    let Some(program) = ngircd::program() else {
        return;
    };
    let server = Ngircd::start(&program, None).await;
    let listed = json!({
        "dmPolicy": "allowlist", "allowFrom": ["Ann!~ann@127.0.0.1"], "groupPolicy": "allowlist",
        "groups": { "#BENCH": { "requireMention": false } },
    });
    let gateway = gateway(&server, listed).await;
    let house = House { server, gateway };
    let mut bob = house.person("bob").await;
    let mut ann = house.person("ann").await;
    bob.say("claw", "from bob").await;
    bob.say(ROOM, "claw: from bob").await;
    ann.say("claw", "from ann").await;
    let answer = ann.told("claw", "ann").await;
    assert!(answer.contains("from ann"), "{answer}");
    ann.say(ROOM, "no name needed").await;
    let answer = bob.told("claw", ROOM).await;
    assert!(
        answer.contains("no name needed") && !answer.contains("from bob"),
        "{answer}"
    );
}

/// An operator's way: the commands, on a gateway that serves. Whoever is connected stays, and the
/// stranger's code, signed by nobody, runs in a process of its own.
#[tokio::test]
async fn a_running_gateway_takes_it_in_and_lets_it_go() {
    let Some(program) = ngircd::program() else {
        return;
    };
    let server = Ngircd::start(&program, None).await;
    let library = library().await;
    let gateway = Setup::new()
        .plugins_text(Some("schema = 1\n\n[trust]\nallow_unsigned = [\"irc\"]\n"))
        .config("/channels/irc", configured(&server, json!({})))
        .start()
        .await;
    let plugins = async |words: &[&str]| {
        let ran = cli::run(gateway.home(), &[&["plugins"], words].concat()).await;
        assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
        ran.out
    };
    let mut client = gateway.operator().await;
    let mut ann = Person::come(server.port(), "ann").await;
    ann.join(ROOM).await;
    plugins(&["install", library.to_str().unwrap(), "--yes"]).await;
    for again in ["disable", "remove"] {
        ann.meets("claw", ROOM).await;
        ann.say(ROOM, "claw: are you there").await;
        let answer = ann.told("claw", ROOM).await;
        assert!(answer.contains("are you there"), "{answer}");
        let runs = live::listed(&mut client, "irc").await;
        assert_eq!(
            (&runs["state"], &runs["isolation"]),
            (&json!("running"), &json!("process"))
        );
        plugins(&[again, "irc"]).await;
        ann.hears("the goodbye", |line| {
            line.starts_with(":claw!") && line.contains("QUIT") && line.contains("until later")
        })
        .await;
        if again == "disable" {
            plugins(&["enable", "irc"]).await;
        }
    }
    client.ok("health", json!({})).await;
}

/// What every surface must do, asked of the built library on a real server.
#[tokio::test]
async fn it_conforms() {
    let Some(program) = ngircd::program() else {
        return;
    };
    let server = Ngircd::start(&program, None).await;
    let (home, library) = (tempfile::tempdir().unwrap(), library().await);
    let config = configured(
        &server,
        json!({ "flood": { "burst": 100, "intervalMs": 0 } }),
    );
    let mut ann = Person::come(server.port(), "ann").await;
    ann.join(ROOM).await;
    let (library, config) = (library.to_str().unwrap(), config.to_string());
    let words = [
        "plugins", "test", library, "--config", &config, "--to", "ann", "--json",
    ];
    let ran = cli::run(home.path(), &words).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["ok"], true, "{ran:?}");
}
