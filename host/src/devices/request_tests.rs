//! Tests of the pairing rules.

use super::*;

fn visitor(role: &str, wanted: &[&str]) -> Visitor {
    Visitor {
        device_id: "d1".into(),
        public_key: "k1".into(),
        about: About {
            platform: Some("linux".into()),
            ..About::default()
        },
        role: role.into(),
        scopes: wanted.iter().map(|s| (*s).to_owned()).collect(),
        silent: true,
        came_with: None,
        handoff: None,
    }
}

fn paired(visitor: &Visitor) -> DeviceRecord {
    let asked = ask(
        &Book::default(),
        visitor,
        Reason::NotPaired,
        10,
        "r1".into(),
    );
    approve(None, &asked.request, 20, 1)
}

#[test]
fn the_order_of_obstacles() {
    let first = visitor("operator", &["operator.read"]);
    assert_eq!(obstacle(None, &first), Some(Reason::NotPaired));
    let device = paired(&first);
    assert_eq!(obstacle(Some(&device), &first), None);
    let other_key = Visitor {
        public_key: "k2".into(),
        ..first.clone()
    };
    assert_eq!(obstacle(Some(&device), &other_key), Some(Reason::NotPaired));
    let mut elsewhere = visitor("node", &["operator.admin"]);
    elsewhere.about.platform = None;
    assert_eq!(
        obstacle(Some(&device), &elsewhere),
        Some(Reason::MetadataUpgrade)
    );
    assert_eq!(
        obstacle(Some(&device), &visitor("node", &[])),
        Some(Reason::RoleUpgrade)
    );
    let more = visitor("operator", &["operator.write"]);
    assert_eq!(obstacle(Some(&device), &more), Some(Reason::ScopeUpgrade));
    assert_eq!(obstacle(Some(&device), &visitor("operator", &[])), None);
}

#[test]
fn a_phone_may_update_its_system() {
    let on = |platform: &str, client: &str| {
        let mut v = visitor("node", &[]);
        v.about.platform = Some(platform.into());
        v.about.client_id = Some(client.into());
        v
    };
    let device = paired(&on("iOS 18.3.1", "openclaw-ios"));
    assert_eq!(
        obstacle(Some(&device), &on("ios 19.0", "openclaw-ios")),
        None
    );
    let android = on("Android 15", "openclaw-ios");
    assert_eq!(
        obstacle(Some(&device), &android),
        Some(Reason::MetadataUpgrade)
    );
    let other_program = on("iOS 19.0", "node-host");
    assert_eq!(
        obstacle(Some(&device), &other_program),
        Some(Reason::MetadataUpgrade)
    );
}

#[test]
fn requests_of_one_device_merge() {
    let mut book = Book::default();
    let mut remote = visitor("node", &[]);
    remote.silent = false;
    let first = ask(&book, &remote, Reason::NotPaired, 1, "r1".into());
    assert!(first.created && !first.silent);
    book.pending.insert("r1".into(), first.request);
    let local = visitor("operator", &["operator.read", "operator.read"]);
    let merged = ask(&book, &local, Reason::NotPaired, 2, "r2".into());
    assert!(
        !merged.created && !merged.silent,
        "an unsilent request stays unsilent"
    );
    let request = merged.request;
    assert_eq!(
        (request.request_id.as_str(), request.role.as_str()),
        ("r1", "node")
    );
    assert_eq!(request.roles, ["node", "operator"]);
    assert_eq!(request.scopes, ["operator.read"]);
    assert_eq!(request.ts, 2);
}

#[test]
fn role_and_metadata_are_never_silent() {
    for reason in [Reason::RoleUpgrade, Reason::MetadataUpgrade] {
        let asked = ask(
            &Book::default(),
            &visitor("node", &[]),
            reason,
            1,
            "r".into(),
        );
        assert!(!asked.silent);
    }
}

#[test]
fn approval_unites_and_replaces_the_token() {
    let device = paired(&visitor("operator", &["operator.write", "operator.admin"]));
    assert_eq!(
        device.tokens["operator"].scopes,
        ["operator.admin", "operator.write"]
    );
    assert_eq!(device.approved_scopes, ["operator.write", "operator.admin"]);
    let node = ask(
        &Book::default(),
        &visitor("node", &[]),
        Reason::RoleUpgrade,
        30,
        "r2".into(),
    );
    let both = approve(Some(&device), &node.request, 40, 2);
    assert_eq!(both.roles, ["operator", "node"]);
    assert_eq!((both.created_at_ms, both.approved_at_ms), (20, 40));
    assert_eq!(both.tokens["operator"].generation, 1);
    assert_eq!(both.tokens["node"].scopes, both.approved_scopes);
    let again = ask(
        &Book::default(),
        &visitor("operator", &["operator.read"]),
        Reason::ScopeUpgrade,
        50,
        "r3".into(),
    );
    let third = approve(Some(&both), &again.request, 60, 3);
    assert_eq!(third.tokens["operator"].rotated_at_ms, Some(60));
    assert_eq!(third.tokens["operator"].generation, 3);
}

#[test]
fn old_requests_go() {
    let mut book = Book::default();
    for i in 0..3u64 {
        let mut request = ask(
            &book,
            &visitor("node", &[]),
            Reason::NotPaired,
            i,
            i.to_string(),
        )
        .request;
        request.request_id = i.to_string();
        book.pending.insert(i.to_string(), request);
    }
    assert!(expired(&book, PAIRING_TTL_MS).is_empty());
    assert_eq!(expired(&book, PAIRING_TTL_MS + 2), ["0", "1"]);
}

#[test]
fn the_oldest_requests_make_room_and_only_for_new_ones() {
    let mut book = Book::default();
    let request = |i: usize| PendingRecord {
        request_id: format!("r{i:03}"),
        device_id: format!("d{i}"),
        ts: i as u64,
        ..PendingRecord::default()
    };
    for i in 0..PAIRING_PENDING_MAX {
        let request = request(i);
        book.pending.insert(request.request_id.clone(), request);
    }
    let mut changes = DeviceChanges::default();
    assert!(crowded_out(&book, &changes).is_empty());
    changes.put_pending = vec![request(0)];
    assert!(
        crowded_out(&book, &changes).is_empty(),
        "a merge needs no room"
    );
    changes.put_pending.push(request(900));
    assert_eq!(crowded_out(&book, &changes), ["r001"]);
    changes.drop_pending.push("r007".into());
    assert!(crowded_out(&book, &changes).is_empty());
}

#[test]
fn what_is_stored_of_a_visitor_is_bounded() {
    assert_eq!(visitor("operator", &["operator.read"]).excess(), None);
    let mut talker = visitor("node", &[]);
    talker.about.display_name = Some("x".repeat(DEVICE_TEXT_BYTES_MAX + 1));
    assert!(talker.excess().is_some_and(|e| e.contains("displayName")));
    let many: Vec<String> = (0..=DEVICE_SCOPES_MAX)
        .map(|i| format!("operator.{i}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(visitor("operator", &many).excess().is_some());
    // An admin may ask for any operator scope: what is kept of that has an end.
    let mut device = paired(&visitor("operator", &["operator.admin"]));
    for scope in &many {
        device = touched(&device, &visitor("operator", &[scope]));
    }
    assert_eq!(device.scopes.len(), DEVICE_SCOPES_MAX);
}

#[test]
fn a_rotated_token_has_an_end() {
    let device = paired(&visitor("operator", &["operator.read"]));
    let old = &device.tokens["operator"];
    let new = rotated_token(Some(old), old.scopes.clone(), 100, 2);
    let end = 100 + TOKEN_OVERLAP_MS;
    assert_eq!(live_previous(&new, end - 1).map(|p| p.generation), Some(1));
    assert_eq!(live_previous(&new, end), None);
    let mut rotated = device.clone();
    rotated.tokens.insert("operator".into(), new.clone());
    assert_eq!(without_ended(&rotated, end - 1), None);
    let after = without_ended(&rotated, end);
    assert!(after.is_some_and(|d| d.tokens["operator"].previous.is_none()));
    let revoked = TokenRecord {
        revoked_at_ms: Some(101),
        ..new
    };
    assert_eq!(live_previous(&revoked, 102), None);
    assert!(
        rotated_token(Some(&revoked), vec![], 103, 3)
            .previous
            .is_none()
    );
}

#[test]
fn a_token_serves_only_what_it_covers() {
    let mut device = paired(&visitor("operator", &["operator.read"]));
    let own = |s: &str| vec![s.to_owned()];
    assert!(token_serves(&device, "operator", &own("operator.read")));
    assert!(!token_serves(&device, "operator", &own("operator.write")));
    assert!(!token_serves(&device, "node", &[]));
    if let Some(token) = device.tokens.get_mut("operator") {
        token.revoked_at_ms = Some(1);
    }
    assert!(!token_serves(&device, "operator", &[]));
}
