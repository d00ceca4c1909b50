//! The rules in a table, the file on disk, and questions without sockets.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use serde_json::{Value, json};

use super::file::FileRow;
use super::*;

fn approvals(dir: &std::path::Path) -> (Approvals, Hub) {
    let hub = Hub::new();
    let config = crate::config::Config::for_tests(dir);
    let approvals = Approvals::new(Clock::system(), hub.clone(), &config.paths);
    (approvals, hub)
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn command<'a>(argv: &'a [String], shell: bool) -> Command<'a> {
    Command {
        program: std::path::Path::new(&argv[0]),
        argv,
        shell,
        variables: false,
        text: "text",
    }
}

fn written(dir: &std::path::Path, file: &Value) {
    std::fs::write(dir.join("exec-approvals.json"), file.to_string()).unwrap();
}

#[track_caller]
fn check_rules(file: &Value, limits: &[Limit<'_>], want: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (approvals, _) = approvals(dir.path());
    written(dir.path(), file);
    let Rules {
        security,
        ask,
        fallback,
        ..
    } = approvals.rules("main", limits);
    let is = [security.as_str(), ask.as_str(), fallback.as_str()];
    assert_eq!(is.join(" "), want, "{file} {limits:?}");
}

#[test]
fn the_strictest_word_counts() {
    let say = |security, ask, only_narrows| Limit {
        security,
        ask,
        only_narrows,
    };
    let file = |defaults: Value, agents: Value| json!({ "version": 1, "defaults": defaults, "agents": agents });
    let empty = file(json!({}), json!({}));
    let configured = [say(Some("full"), None, false)];
    let of_session = [say(Some("full"), Some("off"), true)];
    check_rules(&empty, &[], "deny on-miss deny");
    check_rules(&empty, &configured, "full on-miss deny");
    check_rules(&empty, &of_session, "deny on-miss deny");
    let words = json!({ "security": "full", "ask": "off", "askFallback": "full" });
    let full = file(words.clone(), json!({}));
    let narrow = [say(Some("allowlist"), Some("always"), true)];
    let denied = [say(Some("deny"), None, false)];
    check_rules(&full, &[], "full off full");
    check_rules(&full, &narrow, "allowlist always allowlist");
    check_rules(&full, &denied, "deny off deny");
    let own = json!({ "main": { "security": "allowlist" }, "*": { "ask": "always" } });
    check_rules(&file(words, own), &[], "allowlist always allowlist");
    let listed = json!({ "*": { "allowlist": [{ "pattern": "/bin/ls" }] } });
    check_rules(&file(json!({}), listed), &[], "allowlist on-miss deny");
}

#[test]
fn what_makes_no_sense_allows_nothing() {
    let of = |defaults: Value| json!({ "version": 1, "defaults": defaults });
    check_rules(&of(json!({ "security": "yes" })), &[], "deny on-miss deny");
    check_rules(&of(json!({ "ask": "maybe" })), &[], "deny always deny");
    check_rules(&of(json!({ "security": 7 })), &[], "deny always deny");
    let newer = json!({ "version": 2, "defaults": { "security": "full" } });
    check_rules(&newer, &[], "deny always deny");
}

#[test]
fn patterns_fit_programs_and_nothing_that_runs_others() {
    let dir = tempfile::tempdir().unwrap();
    let (approvals, _) = approvals(dir.path());
    let sh = ["/bin/sh".to_owned(), "-c".to_owned(), "ls | wc".to_owned()];
    let exact = exact_pattern(&sh);
    let check = |pattern: &str, command: &Command<'_>, fits: bool| {
        let list = json!([{ "pattern": pattern }]);
        let agents =
            json!({ "main": { "security": "allowlist", "ask": "off", "allowlist": list } });
        written(dir.path(), &json!({ "version": 1, "agents": agents }));
        let verdict = approvals.rules("main", &[]).verdict(command);
        let runs = matches!(verdict, Verdict::Run(Some(_)));
        assert_eq!(runs, fits, "{pattern} {command:?}");
    };
    let ls = words("/usr/bin/ls -la");
    for (pattern, fits) in [
        ("/usr/bin/ls", true),
        ("/usr/bin/l?", true),
        ("/usr/bin/*", true),
        ("/usr/*", false),
        ("/usr/**", true),
        ("*", true),
        ("ls", false),
        ("/usr/bin/l", false),
        ("/usr/bin/ls.*", false),
        ("/usr/bin/LS", false),
        (&exact_pattern(&ls), true),
        (&exact, false),
    ] {
        check(pattern, &command(&ls, false), fits);
    }
    let with_variables = Command {
        variables: true,
        ..command(&ls, false)
    };
    check("*", &with_variables, false);
    // A shell's text fits itself alone; a shell must be named to be started.
    check("/bin/sh", &command(&sh, true), false);
    check("/bin/*", &command(&sh, true), false);
    check(&exact, &command(&sh, true), true);
    let bash = words("/bin/bash script");
    check("/bin/*", &command(&bash, false), false);
    check("/bin/bash", &command(&bash, false), true);
    let python = words("/usr/bin/python3.11 x.py");
    check("/usr/bin/*", &command(&python, false), false);
    assert_eq!(pattern_for(&command(&ls, false)), "/usr/bin/ls");
    assert_eq!(pattern_for(&command(&sh, true)), exact);
    assert_eq!(
        pattern_for(&command(&python, false)),
        exact_pattern(&python)
    );
}

#[test]
fn nobodys_answer_is_the_fallback() {
    let ls = words("/usr/bin/ls");
    let of = |fallback: &str| {
        let file = json!({ "version": 1, "defaults": { "security": "full", "ask": "always", "askFallback": fallback } });
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), &file);
        let (approvals, _) = approvals(dir.path());
        let rules = approvals.rules("main", &[]);
        assert_eq!(rules.verdict(&command(&ls, false)), Verdict::Ask);
        rules
    };
    let (deny, full) = (of("deny"), of("full"));
    let command = command(&ls, false);
    assert!(matches!(deny.after(None, &command), Verdict::Deny(_)));
    assert_eq!(full.after(None, &command), Verdict::Run(None));
    assert!(matches!(
        of("allowlist").after(None, &command),
        Verdict::Deny(_)
    ));
    assert!(matches!(
        full.after(Some(Decision::Deny), &command),
        Verdict::Deny(_)
    ));
    assert_eq!(
        deny.after(Some(Decision::AllowOnce), &command),
        Verdict::Run(None)
    );
}

#[test]
fn the_file_keeps_what_others_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let (approvals, _) = approvals(dir.path());
    let file = json!({ "version": 1, "socket": { "path": "/s", "token": "t" }, "later": 1,
        "agents": { "main": { "security": "allowlist", "mood": "good",
            "allowlist": ["/bin/ls", { "pattern": "/bin/cat", "source": "x" }, " "] } } });
    written(dir.path(), &file);
    let ls = words("/bin/id -u");
    approvals.allow_always("main", &command(&ls, false));
    let text = std::fs::read_to_string(dir.path().join("exec-approvals.json")).unwrap();
    let now: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&now["later"], &now["socket"]["token"]),
        (&json!(1), &json!("t"))
    );
    let agent = &now["agents"]["main"];
    assert_eq!(agent["mood"], "good");
    let list = agent["allowlist"].as_array().unwrap();
    let patterns: Vec<_> = list.iter().map(|entry| &entry["pattern"]).collect();
    assert_eq!(patterns, ["/bin/ls", "/bin/cat", "/bin/id"]);
    assert_eq!(list[1]["source"], "x");
    assert_eq!(list[2]["lastUsedCommand"], "text");
    let read: FileRow = serde_json::from_value(now).unwrap();
    assert_eq!(read.version, 1);
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let (approvals, hub) = approvals(dir.path());
    let time = Duration::from_secs(60);
    let mut nobody = approvals
        .ask_held(ExecApprovalQuestion::default(), time)
        .unwrap();
    assert_eq!(nobody.wait.decision().await, None, "nobody is connected");
    let caller = Caller::for_tests(hub.next_id(), "operator", &["operator.approvals"]);
    let _approver = hub.register(Arc::new(caller));
    let held = approvals
        .ask_held(ExecApprovalQuestion::default(), time)
        .unwrap();
    let id = held.wait.asked.id.clone();
    assert_eq!(approvals.list().len(), 1);
    drop(held);
    assert!(approvals.list().is_empty());
    let late = approvals.resolve(&id, Decision::AllowOnce, None);
    assert_eq!(late, Err(ResolveError::Unknown));
    assert_eq!(approvals.asker(&id), Some(None));
}

#[tokio::test]
async fn the_number_of_open_questions_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (approvals, hub) = approvals(dir.path());
    let caller = Caller::for_tests(hub.next_id(), "operator", &["operator.approvals"]);
    let _approver = hub.register(Arc::new(caller));
    let ask = |id: String, command: String| {
        approvals.ask(Question {
            id: Some(id),
            question: ExecApprovalQuestion {
                command,
                ..ExecApprovalQuestion::default()
            },
            time: Duration::from_secs(60),
            by: None,
        })
    };
    let long = "x".repeat(limits::APPROVAL_BYTES_MAX);
    assert_eq!(ask("long".into(), long).err(), Some(AskError::TooLarge));
    for n in 0..limits::APPROVALS_OPEN_MAX {
        ask(format!("a{n}"), "ls".into()).unwrap();
    }
    assert_eq!(
        ask("one more".into(), "ls".into()).err(),
        Some(AskError::Full)
    );
    assert_eq!(ask("a1".into(), "ls".into()).err(), Some(AskError::Known));
    let ambiguous = approvals.resolve("A25", Decision::Deny, None);
    let Err(ResolveError::Ambiguous(ids)) = ambiguous else {
        panic!("{ambiguous:?}");
    };
    assert_eq!(ids.len(), 7, "{ids:?}");
}
