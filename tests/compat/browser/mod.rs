//! A real browser without a screen, led from a test line by line (`robot.mjs`): its binary comes
//! from the npm registry, what leads it from the reference's own dependencies.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use support::binaries::repository;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::reference::{Reference, packages, skipped};

/// The package of the browser, and the release that was driven.
const PACKAGE: (&str, &str) = ("@sparticuz/chromium", "153.0.0");
/// One order; the robot itself gives up before.
const ORDER_TIME: Duration = Duration::from_secs(60);

/// A page in a browser. Dropping it ends the browser.
pub struct Browser {
    _robot: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// The browser's binary, or nothing and a line that says why.
fn binary(reference: &Reference) -> Option<PathBuf> {
    static UNPACKED: OnceLock<Option<PathBuf>> = OnceLock::new();
    let unpacked = UNPACKED.get_or_init(|| {
        let (name, release) = PACKAGE;
        let wanted = json!({ "private": true, "dependencies": { name: release } });
        let folder = packages(&format!("chromium-{release}"), &wanted.to_string())?;
        let (target, done) = (folder.join("browser"), folder.join("unpacked"));
        if !done.exists() {
            let status = Command::new(reference.node())
                .arg(repository().join("tests/compat/browser/unpack.mjs"))
                .args([&folder, &target])
                .status();
            if !status.is_ok_and(|status| status.success()) {
                skipped("the browser can't be unpacked");
                return None;
            }
            std::fs::write(&done, release).expect("a marker file");
        }
        runs(&target).then_some(target)
    });
    unpacked.clone()
}

/// It needs what every desktop has, and a bare container may not.
fn runs(folder: &Path) -> bool {
    let output = with_libraries(Command::new(folder.join("chromium")), folder)
        .arg("--version")
        .output();
    let runs = output.as_ref().is_ok_and(|output| output.status.success());
    if !runs {
        skipped(&format!("the browser does not run here: {output:?}"));
    }
    runs
}

fn with_libraries(mut command: Command, folder: &Path) -> Command {
    command
        .env("LD_LIBRARY_PATH", folder.join("libraries/lib"))
        .env("FONTCONFIG_FILE", folder.join("fonts.conf"));
    command
}

impl Browser {
    /// A browser with one empty page, or nothing and a line that says why.
    pub fn start(reference: &Reference) -> Option<Browser> {
        let folder = binary(reference)?;
        let robot = repository().join("tests/compat/browser/robot.mjs");
        let command = with_libraries(Command::new(reference.node()), &folder);
        let mut robot = tokio::process::Command::from(command)
            .arg(robot)
            .arg(reference.package("playwright-core"))
            .arg(folder.join("chromium"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the robot can be started");
        let orders = robot.stdin.take().expect("stdin is piped");
        let answers = robot.stdout.take().expect("stdout is piped");
        Some(Browser {
            _robot: robot,
            orders,
            answers: BufReader::new(answers).lines(),
        })
    }

    /// Gives an order and returns what came of it. A failure shows what the page says.
    async fn order(&mut self, order: Value) -> Value {
        let mut answer = self.answer(&order).await;
        if let Some(why) = answer["failed"].as_str() {
            let page = self.answer(&json!({ "do": "texts", "at": "body" })).await;
            let page = page["ok"][0].as_str().unwrap_or_default();
            panic!("{order}: {why}\nthe page says:\n{page}");
        }
        answer["ok"].take()
    }

    async fn answer(&mut self, order: &Value) -> Value {
        let line = format!("{order}\n");
        let told = self.orders.write_all(line.as_bytes()).await;
        told.unwrap_or_else(|e| panic!("the robot is gone ({e}): {order}"));
        let answer = tokio::time::timeout(ORDER_TIME, self.answers.next_line()).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer: {order}"));
        let answer = answer.unwrap();
        let answer = answer.unwrap_or_else(|| panic!("the robot ended: {order}"));
        serde_json::from_str(&answer).unwrap()
    }

    /// Opens an address; the page's storages hold these values.
    pub async fn open(&mut self, url: &str, local: Value, session: Value) {
        let order = json!({ "do": "open", "url": url, "local": local, "session": session });
        self.order(order).await;
    }

    /// Clicks, fills, chooses, presses, or waits until something `shows` or `hides`.
    pub async fn act(&mut self, verb: &str, at: &str, text: &str) {
        self.order(json!({ "do": verb, "at": at, "text": text }))
            .await;
    }

    /// Waits until it can be seen.
    pub async fn shows(&mut self, at: &str) {
        self.act("shows", at, "").await;
    }

    /// Clicks the first such thing.
    pub async fn click(&mut self, at: &str) {
        self.act("click", at, "").await;
    }

    /// Writes into the first such field.
    pub async fn fill(&mut self, at: &str, text: &str) {
        self.act("fill", at, text).await;
    }

    /// What can be read in all such places.
    pub async fn texts(&mut self, at: &str) -> Vec<String> {
        let texts = self.order(json!({ "do": "texts", "at": at })).await;
        serde_json::from_value(texts).unwrap()
    }

    /// What stands in a field.
    pub async fn value(&mut self, at: &str) -> String {
        let value = self.order(json!({ "do": "value", "at": at })).await;
        value.as_str().unwrap_or_default().to_owned()
    }

    /// What the page asked the gateway, what it was refused, and what its console complained of,
    /// since the last time.
    pub async fn heard(&mut self) -> Value {
        self.order(json!({ "do": "heard" })).await
    }
}
