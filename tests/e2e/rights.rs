//! Every method against every kind of caller: the tables of the wire's document on roles and
//! scopes, written down once more and independently of `schemas/methods.json`.

use serde_json::{Value, json};
use support::{Client, Gateway, Login};

/// What only a node may call; scopes play no part.
const NODE: &str = "node.invoke.result node.event node.pending.drain node.pending.pull \
    node.pending.ack node.canvas.capability.refresh skills.bins";

const APPROVALS: &str = "exec.approval.request exec.approval.waitDecision exec.approval.resolve \
    exec.approval.list";

const PAIRING: &str = "node.pair.request node.pair.list node.pair.approve node.pair.reject \
    node.pair.verify device.pair.list device.pair.approve device.pair.reject device.pair.remove \
    device.token.rotate device.token.revoke device.pair.setupCode \
    node.rename";

const READ: &str = "status doctor.memory.status logs.tail channels.status usage.status usage.cost \
    tts.status tts.providers models.list tools.catalog agents.list agent.identity.get \
    agents.files.list agents.files.get skills.status voicewake.get sessions.list sessions.get \
    sessions.preview sessions.resolve sessions.export sessions.usage \
    sessions.usage.timeseries sessions.usage.logs cron.list cron.status cron.runs gateway.identity.get system-presence \
    last-heartbeat node.list node.describe chat.history config.get config.schema.lookup \
    talk.config";

const WRITE: &str = "send poll agent agent.wait wake talk.mode tts.enable tts.disable tts.convert \
    tts.setProvider voicewake.set node.invoke node.pending.enqueue chat.send chat.abort \
    browser.request push.test";

/// The last four lines are listed nowhere: plugins' methods, typing errors and what the four
/// prefixes cover.
const ADMIN: &str = "channels.logout agents.create agents.update agents.delete agents.files.set \
    skills.install skills.update secrets.reload secrets.resolve cron.add cron.update cron.remove \
    cron.run sessions.patch sessions.reset sessions.delete sessions.compact connect chat.inject \
    web.login.start web.login.wait set-heartbeats system-event config.set config.apply \
    config.patch config.schema config.openFile exec.approvals.get exec.approvals.set \
    exec.approvals.node.get exec.approvals.node.set wizard.start wizard.next wizard.cancel \
    wizard.status update.run \
    exec.approvals.anything config.anything wizard.anything update.anything \
    bogus bogus.method Health health.x sessions. .list";

/// The scopes a caller may have one of; the last is none of the gateway's.
const SCOPES: [&str; 7] = [
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.pairing",
    "operator.talk.secrets",
    "acme.read",
];

/// Every method with the scope it needs; `None` is one for nodes.
fn methods() -> Vec<(&'static str, Option<&'static str>)> {
    let of = |list: &'static str, scope| list.split_whitespace().map(move |name| (name, scope));
    of(NODE, None)
        .chain(of(APPROVALS, Some("operator.approvals")))
        .chain(of(PAIRING, Some("operator.pairing")))
        .chain(of(READ, Some("operator.read")))
        .chain(of(WRITE, Some("operator.write")))
        .chain(of(ADMIN, Some("operator.admin")))
        .collect()
}

/// What keeps a caller with one scope from a method.
fn hindrance(needs: Option<&str>, has: &str) -> Option<String> {
    let Some(needs) = needs else {
        return Some("unauthorized role: operator".into());
    };
    let enough = has == needs
        || has == "operator.admin"
        || (needs == "operator.read" && has == "operator.write");
    (!enough).then(|| format!("missing scope: {needs}"))
}

/// What the gateway says against the caller's rights, if it does. The params are none of any
/// method, so what is allowed does nothing.
async fn said(client: &mut Client, method: &str) -> Option<String> {
    let answer = client.call(method, json!(["no method takes these"])).await;
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    let about_rights = message.starts_with("missing scope") || message.starts_with("unauthorized");
    if about_rights {
        assert_eq!(
            answer["error"]["code"], "INVALID_REQUEST",
            "{method}: {answer}"
        );
        assert_eq!(answer["error"].get("details"), None, "{method}: {answer}");
    }
    about_rights.then(|| message.to_owned())
}

#[tokio::test]
async fn one_scope_opens_what_it_names_and_nothing_else() {
    let gateway = Gateway::start().await;
    for scope in SCOPES {
        let mut client = gateway.operator_with(&[scope]).await;
        for (method, needs) in methods() {
            let answer = said(&mut client, method).await;
            assert_eq!(answer, hindrance(needs, scope), "{method} with {scope}");
            // Allowed to everybody; and ends the row of refusals that would close the socket.
            client.ok("health", Value::Null).await;
        }
    }
}

#[tokio::test]
async fn without_a_scope_nothing_but_health_is_open() {
    let gateway = Gateway::start().await;
    for login in [Login::fresh().scopes(&[]), Login::without_device()] {
        let mut client = gateway.connect(&login).await;
        for (method, needs) in methods() {
            let answer = said(&mut client, method).await;
            assert_eq!(answer, hindrance(needs, ""), "{method}");
            client.ok("health", Value::Null).await;
        }
    }
}

/// Whatever scopes it says it has.
#[tokio::test]
async fn a_node_has_its_methods_alone() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.operator().await;
    let login = Login::fresh().node().scopes(&["operator.admin"]);
    let mut node = gateway.open().await;
    let answer = node.try_log_in(&login).await;
    if answer["ok"] != true {
        let request = answer["error"]["details"]["requestId"].clone();
        admin
            .ok("device.pair.approve", json!({ "requestId": request }))
            .await;
        node = gateway.connect(&login).await;
    }
    for (method, needs) in methods() {
        let expected = needs.map(|_| "unauthorized role: node".to_owned());
        assert_eq!(said(&mut node, method).await, expected, "{method}");
        node.ok("health", Value::Null).await;
    }
}

/// Before `connect` there is no method at all.
#[tokio::test]
async fn without_a_handshake_nothing_is_open() {
    let gateway = Gateway::start().await;
    for (method, _) in methods() {
        if method == "connect" {
            continue;
        }
        let mut client = gateway.open().await;
        let error = client.refused(method, json!({})).await;
        assert_eq!(error["code"], "INVALID_REQUEST", "{method}: {error}");
        assert_eq!(
            error["message"], "invalid handshake: first request must be connect",
            "{method}"
        );
        assert_eq!(client.closed().await.code, 1008, "{method}");
    }
}

/// The catalogue names no method that this file forgot.
#[test]
fn the_table_is_complete() {
    let text = include_str!("../../schemas/methods.json");
    let catalogue: Value = serde_json::from_str(text).unwrap();
    let ours = [
        "health",
        "plugins.list",
        "plugins.reload",
        "plugins.restart",
    ];
    let missing: Vec<_> = catalogue["methods"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| !ours.contains(&name.as_str()))
        .filter(|name| !methods().iter().any(|(method, _)| method == name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
