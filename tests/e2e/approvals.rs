//! Approvals over the wire: who is asked, who decides, what the file holds; `openclaw approvals`.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use support::cli::{Ran, run};
use support::{Client, Gateway, Login};

async fn approver(gateway: &Gateway) -> Client {
    let mut login = Login::fresh().scopes(&["operator.approvals"]);
    login.params["client"]["displayName"] = json!("Approver");
    gateway.connect(&login).await
}

fn question() -> Value {
    json!({ "command": "ls -la", "cwd": "/srv", "host": "gateway", "security": "allowlist",
        "ask": "on-miss", "agentId": "main", "sessionKey": "agent:main:main",
        "timeoutMs": 60_000, "twoPhase": true, "id": "appr-a1" })
}

fn joined(one: &Value, more: &Value) -> Value {
    let mut all = one.as_object().unwrap().clone();
    all.extend(more.as_object().unwrap().clone());
    Value::Object(all)
}

/// The same as approvers see it.
fn shown() -> Value {
    json!({ "command": "ls -la", "systemRunBinding": null, "systemRunPlan": null,
        "cwd": "/srv", "nodeId": null, "host": "gateway", "security": "allowlist",
        "ask": "on-miss", "agentId": "main", "resolvedPath": null,
        "sessionKey": "agent:main:main", "turnSourceChannel": null, "turnSourceTo": null,
        "turnSourceAccountId": null, "turnSourceThreadId": null })
}

#[tokio::test]
async fn a_question_is_asked_decided_and_told_to_those_who_may_see_it() {
    let gateway = Gateway::start().await;
    let mut asker = gateway.operator_with(&["operator.approvals"]).await;
    let mut approver = approver(&gateway).await;
    let mut other = gateway
        .operator_with(&["operator.read", "operator.write", "operator.pairing"])
        .await;
    let id = asker.request("exec.approval.request", question()).await;
    let asked = asker.event("exec.approval.requested").await["payload"].clone();
    let request = shown();
    assert_eq!(
        (&asked["id"], &asked["request"]),
        (&json!("appr-a1"), &request)
    );
    let created = asked["createdAtMs"].as_u64().unwrap();
    assert_eq!(asked["expiresAtMs"], created + 60_000);
    let accepted = asker.response(&id).await;
    let times = json!({ "id": "appr-a1", "createdAtMs": created, "expiresAtMs": created + 60_000 });
    let with = |more: Value| joined(&times, &more);
    assert_eq!(accepted["payload"], with(json!({ "status": "accepted" })));
    // The same id is not asked twice, and a list shows what waits.
    let again = asker.refused("exec.approval.request", question()).await;
    assert_eq!(again["message"], "approval id already pending");
    let list = approver.ok("exec.approval.list", json!({})).await;
    assert_eq!(list, json!([asked]));
    let waiting = asker
        .request("exec.approval.waitDecision", json!({ "id": "appr-a1" }))
        .await;
    approver.event("exec.approval.requested").await;
    let done = approver
        .ok(
            "exec.approval.resolve",
            json!({ "id": "APPR", "decision": "allow-once" }),
        )
        .await;
    assert_eq!(done, json!({ "ok": true }));
    let resolved = asker.event("exec.approval.resolved").await["payload"].clone();
    assert_eq!(
        (
            &resolved["decision"],
            &resolved["resolvedBy"],
            &resolved["request"]
        ),
        (&json!("allow-once"), &json!("Approver"), &request)
    );
    let decided = with(json!({ "decision": "allow-once" }));
    assert_eq!(asker.response(&id).await["payload"], decided);
    assert_eq!(asker.response(&waiting).await["payload"], decided);
    let late = asker
        .ok("exec.approval.waitDecision", json!({ "id": "appr-a1" }))
        .await;
    assert_eq!(late, decided, "asked for afterwards");
    let twice = approver
        .refused(
            "exec.approval.resolve",
            json!({ "id": "appr-a1", "decision": "deny" }),
        )
        .await;
    assert_eq!(twice["message"], "unknown or expired approval id");
    let seen = other.settle().await;
    let seen = seen.iter().filter_map(|frame| frame["event"].as_str());
    assert!(
        !seen
            .collect::<Vec<_>>()
            .iter()
            .any(|e| e.starts_with("exec.")),
        "no scope, no event"
    );
}

#[tokio::test]
async fn without_an_answer_there_is_no_decision() {
    let gateway = Gateway::start().await;
    let mut asker = gateway.operator_with(&["operator.approvals"]).await;
    let short = json!({ "command": "ls", "timeoutMs": 300, "id": "appr-a2" });
    let ended = asker.ok("exec.approval.request", short).await;
    assert_eq!(
        (&ended["id"], &ended["decision"]),
        (&json!("appr-a2"), &Value::Null)
    );
    let late = asker
        .ok("exec.approval.waitDecision", json!({ "id": "appr-a2" }))
        .await;
    assert_eq!(late, ended);
    let refused = [
        (
            "exec.approval.waitDecision",
            json!({ "id": "none" }),
            "approval expired or not found",
        ),
        (
            "exec.approval.waitDecision",
            json!({ "id": 7 }),
            "id is required",
        ),
        (
            "exec.approval.resolve",
            json!({ "id": "appr-a2", "decision": "deny" }),
            "unknown or expired approval id",
        ),
        (
            "exec.approval.resolve",
            json!({ "id": "zz", "decision": "maybe" }),
            "invalid decision",
        ),
        ("exec.approval.request", json!({}), "command is required"),
        (
            "exec.approval.request",
            json!({ "command": "ls", "host": "node" }),
            "nodeId is required for host=node",
        ),
        (
            "exec.approval.request",
            json!({ "command": "ls", "host": "node", "nodeId": "n" }),
            "systemRunPlan is required for host=node",
        ),
        (
            "exec.approval.request",
            json!({ "command": "ls", "zzz": 1 }),
            "invalid exec.approval.request params: at root: unexpected property 'zzz'",
        ),
    ];
    for (method, params, expected) in refused {
        let error = asker.refused(method, params).await;
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!("INVALID_REQUEST"), &json!(expected))
        );
    }
    for id in ["same-1", "same-2"] {
        let params = json!({ "command": "ls", "id": id });
        asker.request("exec.approval.request", params).await;
        asker
            .event_where("exec.approval.requested", |p| p["id"] == id)
            .await;
    }
    let both = json!({ "id": "same", "decision": "deny" });
    let both = asker.refused("exec.approval.resolve", both).await;
    let text = "ambiguous approval id prefix; matches: same-1, same-2. Use the full id.";
    assert_eq!(both["message"], text);
}

/// What is approved for a node is its plan, and nothing else of the request.
#[tokio::test]
async fn a_plan_for_a_node_is_bound() {
    let gateway = Gateway::start().await;
    let mut asker = gateway.operator_with(&["operator.approvals"]).await;
    let plan = json!({ "argv": ["/bin/ls", "-la"], "cwd": "/srv", "commandText": "/bin/ls -la",
        "agentId": "main", "sessionKey": null });
    let params = json!({ "id": "n1", "host": "node", "nodeId": "node-1", "command": "harmless",
        "cwd": "/elsewhere", "systemRunPlan": plan, "env": { "LANG": "C" }, "twoPhase": true });
    asker.request("exec.approval.request", params).await;
    let asked = asker.event("exec.approval.requested").await["payload"]["request"].clone();
    assert_eq!(asked["command"], "/bin/ls -la");
    assert_eq!(
        (&asked["cwd"], &asked["nodeId"]),
        (&json!("/srv"), &json!("node-1"))
    );
    assert_eq!(asked["envKeys"], json!(["LANG"]));
    let binding = &asked["systemRunBinding"];
    assert_eq!(
        (&binding["argv"], &binding["cwd"]),
        (&plan["argv"], &plan["cwd"])
    );
    assert_eq!(binding["envHash"].as_str().map(str::len), Some(64));
    assert_eq!(asked.get("commandArgv"), None);
    assert_eq!(asked["systemRunPlan"]["commandPreview"], "harmless");
}

#[tokio::test]
async fn the_file_is_made_kept_and_changed_by_its_hash() {
    let mut gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let fresh = client.ok("exec.approvals.get", json!({})).await;
    let path = gateway.state_dir().join("exec-approvals.json");
    let socket = gateway.state_dir().join("exec-approvals.sock");
    assert_eq!(fresh["path"], path.display().to_string());
    assert_eq!(fresh["exists"], true);
    let file = json!({ "version": 1, "socket": { "path": socket.display().to_string() },
        "defaults": {}, "agents": {} });
    assert_eq!(fresh["file"], file);
    let on_disk =
        || -> Value { serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap() };
    let token = on_disk()["socket"]["token"].clone();
    assert_eq!(token.as_str().map(str::len), Some(32));
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    let mut changed = file.clone();
    changed["defaults"] = json!({ "security": "allowlist", "ask": "on-miss" });
    changed["agents"] = json!({ "main": { "allowlist": [{ "pattern": "/usr/bin/uptime" }] } });
    let set = |base: Value| {
        let mut params = json!({ "file": changed });
        if !base.is_null() {
            params["baseHash"] = base;
        }
        params
    };
    let again = "re-run exec.approvals.get and retry";
    let none = client.refused("exec.approvals.set", set(Value::Null)).await;
    assert_eq!(
        none["message"],
        format!("exec approvals base hash required; {again}")
    );
    let old = client.refused("exec.approvals.set", set(json!("00"))).await;
    assert_eq!(
        old["message"],
        format!("exec approvals changed since last load; {again}")
    );
    let wrong = json!({ "file": { "version": 2 }, "baseHash": fresh["hash"] });
    let wrong = client.refused("exec.approvals.set", wrong).await;
    assert_eq!(
        wrong["message"],
        "invalid exec.approvals.set params: at /file/version: must be equal to constant"
    );
    let now = client
        .ok("exec.approvals.set", set(fresh["hash"].clone()))
        .await;
    assert_ne!(now["hash"], fresh["hash"]);
    let listed = &now["file"]["agents"]["main"]["allowlist"][0];
    assert_eq!(listed["pattern"], "/usr/bin/uptime");
    assert!(listed["id"].is_string(), "{listed}");
    assert_eq!(on_disk()["socket"]["token"], token, "the secret stays");
    assert!(
        !now.to_string().contains(token.as_str().unwrap()),
        "and is not told"
    );
    gateway.stop().await;
    gateway.restart().await;
    let mut client = gateway.operator().await;
    assert_eq!(client.ok("exec.approvals.get", json!({})).await, now);
    assert_eq!(mode(), 0o600);
}

#[tokio::test]
async fn a_file_that_makes_no_sense_is_told_and_stays() {
    let gateway = Gateway::start().await;
    let mut client = gateway.operator().await;
    let path = gateway.state_dir().join("exec-approvals.json");
    gateway.allow(&json!({}));
    std::fs::write(&path, "{ not json").unwrap();
    let broken = client.refused("exec.approvals.get", json!({})).await;
    assert_eq!(broken["code"], "UNAVAILABLE");
    assert_eq!(broken["message"], "exec approvals file can't be read");
    let file = json!({ "file": { "version": 1 }, "baseHash": "00" });
    let set = client.refused("exec.approvals.set", file).await;
    assert_eq!(set["code"], "UNAVAILABLE");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ not json");
}

async fn said(gateway: &Gateway, arguments: &[&str]) -> Ran {
    let ran = run(gateway.home(), &[arguments, &["--timeout", "60s"]].concat()).await;
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    ran
}

#[tokio::test]
async fn the_command_line_shows_and_changes() {
    let gateway = Gateway::start().await;
    let none = said(&gateway, &["approvals", "get"]).await;
    assert!(none.out.contains("allowlist add"), "{none:?}");
    let add = [
        "approvals",
        "allowlist",
        "add",
        "/usr/bin/uptime",
        "--agent",
        "main",
        "--json",
    ];
    let added = said(&gateway, &add).await.json();
    let list = &added["file"]["agents"]["main"]["allowlist"];
    assert_eq!(list[0]["pattern"], "/usr/bin/uptime");
    assert_eq!(
        said(&gateway, &["approvals", "get", "--gateway", "--json"])
            .await
            .json(),
        added
    );
    let shown = said(&gateway, &["exec-approvals", "get"]).await;
    assert!(shown.out.contains("/usr/bin/uptime"), "{shown:?}");
    let remove = [
        "approvals",
        "allowlist",
        "remove",
        "/usr/bin/uptime",
        "--agent",
        "main",
    ];
    said(&gateway, &remove).await;
    let gone = run(gateway.home(), &remove).await;
    assert_eq!(gone.code, Some(1), "{gone:?}");
    assert!(gone.err.contains("openclaw approvals get"), "{gone:?}");
    let file = gateway.home().join("approvals.json5");
    std::fs::write(&file, "{ defaults: { security: 'allowlist' } }").unwrap();
    let set = said(
        &gateway,
        &[
            "approvals",
            "set",
            "--file",
            file.to_str().unwrap(),
            "--json",
        ],
    )
    .await;
    assert_eq!(set.json()["file"]["defaults"]["security"], "allowlist");
}

#[tokio::test]
async fn the_command_line_decides() {
    let gateway = Gateway::start().await;
    let mut asker = gateway.operator_with(&["operator.approvals"]).await;
    assert!(
        said(&gateway, &["approvals", "pending"])
            .await
            .out
            .contains("nothing waits")
    );
    for (id, words) in [
        ("one", &["approve", "one", "--always"][..]),
        ("two", &["deny", "tw"]),
    ] {
        let params = json!({ "id": id, "command": "ls | wc\nid", "cwd": "/srv" });
        let request = asker.request("exec.approval.request", params).await;
        asker
            .event_where("exec.approval.requested", |p| p["id"] == id)
            .await;
        let pending = said(&gateway, &["approvals", "pending"]).await;
        assert!(pending.out.contains("    ls | wc\n    id\n"), "{pending:?}");
        let arguments: Vec<&str> = std::iter::once("approvals")
            .chain(words.iter().copied())
            .collect();
        said(&gateway, &arguments).await;
        let expected = if id == "one" { "allow-always" } else { "deny" };
        assert_eq!(
            asker.response(&request).await["payload"]["decision"],
            expected
        );
    }
    let unknown = run(gateway.home(), &["approvals", "approve", "nope"]).await;
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.err.contains("unknown or expired approval id"),
        "{unknown:?}"
    );
}
