//! Builds that differ, side by side in one process: the frozen plugin of API 1.0 (for size, LTO,
//! stripped), the same surface as this test builds it (debug), and echo.

use gateway_plugin::conformance::{Account, Subject};

use super::*;
use crate::plugins::file::Isolation;

/// Sends to a target that gives back, and takes what comes.
async fn exchange(trial: &Trial) {
    let account = trial.open("beside").unwrap();
    let start = json!({ "op": "start", "account": "beside", "config": {} }).to_string();
    let asked = account.request(start.as_bytes(), Bytes::new(), PATIENCE);
    asked.await.unwrap();
    let send = json!({ "op": "send", "to": "echo:ann", "text": "hi" }).to_string();
    let file = Bytes::from_static(b"its own memory");
    let back = async {
        loop {
            let given = account.event().await.unwrap();
            let media = given.media.clone();
            if let Event::Message(message) = given.take() {
                return (message.text, media);
            }
        }
    };
    let sent = account.request(send.as_bytes(), file.clone(), PATIENCE);
    let (sent, back) = tokio::join!(sent, back);
    assert!(matches!(sent.unwrap(), OpResult::Sent(_)));
    assert_eq!(back, ("hi".to_owned(), file));
    account.close().await.unwrap();
}

#[tokio::test]
async fn builds_that_differ_work_beside_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/compat/plugins/1.0/x86_64-unknown-linux-gnu/conformance.so");
    let debug = LIBRARIES.join("libgateway_conformance_plugin.so");
    let mut files = vec![debug, echo_library()];
    if cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
        files.push(frozen);
    }
    let tasks = Tasks::new("test");
    let trials: Vec<Trial> = files
        .iter()
        .map(|file| {
            let states = TrialStates::default();
            let store = dir.path().join("store");
            Trial::of_file(file, &store, Isolation::InProcess, states, tasks.clone()).unwrap()
        })
        .collect();
    for _ in 0..3 {
        for trial in &trials {
            exchange(trial).await;
        }
    }
}
