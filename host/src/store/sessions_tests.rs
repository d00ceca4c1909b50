//! Sessions on disk: order, once-only appends, labels, damage.

#![allow(clippy::unwrap_used)]
use super::super::put_json;
use super::super::transcripts::{Appended, append, by_key, cut_before, extent, head, tail};
use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
    (dir, store)
}

fn row(session_id: &str) -> SessionRow {
    SessionRow {
        session_id: session_id.into(),
        ..SessionRow::default()
    }
}

fn message(text: &str, key: Option<&str>) -> MessageRow {
    let user = InputRow {
        text: text.into(),
        ..InputRow::default()
    };
    MessageRow {
        id: "00000000".into(),
        key: key.map(str::to_owned),
        timestamp: 1,
        body: BodyRow::User(user),
    }
}

async fn say(store: &Store, text: &str, key: Option<&str>) -> Appended {
    let touch = |old: Option<SessionRow>| Ok(old.unwrap_or(row("s1")));
    append(store, "agent:main:main", message(text, key), touch)
        .await
        .unwrap()
}

fn texts(rows: &[MessageRow]) -> Vec<String> {
    let text = |row: &MessageRow| match &row.body {
        BodyRow::User(user) => user.text.clone(),
        BodyRow::Assistant(said) => said.text.clone(),
        BodyRow::Tool(result) => result.text.clone(),
    };
    rows.iter().map(text).collect()
}

#[tokio::test]
async fn messages_keep_their_order_and_their_session() {
    let (_dir, store) = store();
    for n in 0..40 {
        say(&store, &n.to_string(), None).await;
    }
    // A session id that sorts right behind must not mix in.
    let other = |_| Ok(row("s10"));
    append(&store, "agent:main:other", message("x", None), other)
        .await
        .unwrap();
    assert_eq!(texts(&tail(&store, "s1", 3).unwrap()), ["37", "38", "39"]);
    assert_eq!(texts(&head(&store, "s1", 2).unwrap()), ["0", "1"]);
    assert_eq!(texts(&tail(&store, "s10", 9).unwrap()), ["x"]);
    assert_eq!(tail(&store, "s1", 100).unwrap().len(), 40);
}

#[tokio::test]
async fn an_append_under_a_key_happens_once() {
    let (_dir, store) = store();
    assert!(say(&store, "first", Some("run:user")).await.fresh);
    say(&store, "between", None).await;
    let again = say(&store, "second", Some("run:user")).await;
    assert!(!again.fresh);
    assert_eq!(texts(&[again.message]), ["first"]);
    assert_eq!(texts(&tail(&store, "s1", 9).unwrap()), ["first", "between"]);
    assert!(by_key(&store, "s1", "run:user").unwrap().is_some());
    assert!(by_key(&store, "s1", "run:assistant").unwrap().is_none());
}

#[tokio::test]
async fn labels_are_unique_and_a_refusal_changes_nothing() {
    let (_dir, store) = store();
    let labelled = |_: Option<SessionRow>, others: &Others<'_>| {
        if others.use_label("Demo")? {
            return Err(StoreError::Refused("label already in use: Demo".into()));
        }
        let mut row = row("s1");
        row.settings.label = Some("Demo".into());
        Ok(row)
    };
    update(&store, "one", labelled).await.unwrap();
    update(&store, "one", labelled).await.unwrap();
    assert!(matches!(
        update(&store, "two", labelled).await,
        Err(StoreError::Refused(_))
    ));
    assert_eq!(all(&store).unwrap().len(), 1);
}

#[tokio::test]
async fn a_damaged_session_does_not_hide_the_others() {
    let (_dir, store) = store();
    say(&store, "x", None).await;
    store
        .write(|txn| put_json(txn, SESSIONS, "bad", &7))
        .await
        .unwrap();
    assert_eq!(all(&store).unwrap().len(), 1);
    assert!(matches!(
        get(&store, "bad"),
        Err(StoreError::Damaged { .. })
    ));
}

#[tokio::test]
async fn a_session_goes_with_its_transcript_unless_it_grew() {
    let (_dir, store) = store();
    let key = "agent:main:main";
    say(&store, "one", Some("k")).await;
    let seen = extent(&store, "s1").unwrap();
    say(&store, "two", None).await;
    let gone = delete(&store, key, seen, true).await.unwrap();
    assert_eq!(gone, Deleted::Changed);
    let seen = extent(&store, "s1").unwrap();
    assert_eq!((seen.first, seen.count()), (0, 2));
    let gone = delete(&store, key, seen.clone(), true).await.unwrap();
    assert_eq!(gone, Deleted::Gone);
    assert!(tail(&store, "s1", 9).unwrap().is_empty());
    assert!(by_key(&store, "s1", "k").unwrap().is_none());
    let gone = delete(&store, key, seen, true).await.unwrap();
    assert_eq!(gone, Deleted::Unknown);
}

#[tokio::test]
async fn what_is_cut_off_is_gone_and_the_numbers_go_on() {
    let (_dir, store) = store();
    let key = "agent:main:main";
    for n in 0..5 {
        say(&store, &n.to_string(), Some(&format!("k{n}"))).await;
    }
    let seen = extent(&store, "s1").unwrap();
    let clear = |row: &mut SessionRow| row.updated_at = 77;
    assert!(
        cut_before(&store, key, seen.clone(), 3, clear)
            .await
            .unwrap()
    );
    assert!(!cut_before(&store, key, seen, 4, clear).await.unwrap());
    assert_eq!(get(&store, key).unwrap().unwrap().updated_at, 77);
    assert_eq!(texts(&tail(&store, "s1", 9).unwrap()), ["3", "4"]);
    assert!(by_key(&store, "s1", "k1").unwrap().is_none());
    assert!(by_key(&store, "s1", "k4").unwrap().is_some());
    say(&store, "5", None).await;
    assert_eq!(texts(&head(&store, "s1", 9).unwrap()), ["3", "4", "5"]);
    assert_eq!(extent(&store, "s1").unwrap().count(), 3);
}
