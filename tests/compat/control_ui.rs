//! The reference's browser UI, unmodified, in a real browser against our gateway: every tab, and
//! what a person does on it. Its files are served as any web server would.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use support::llm::{Door, Llm, Reply};
use support::{Gateway, Setup};
use tokio::net::TcpListener;

use crate::browser::Browser;
use crate::reference::reference;

/// Every tab behind the first, as its address says it.
const TABS: &str = "overview channels instances sessions usage cron agents skills nodes config \
    communications appearance automation infrastructure ai-agents debug logs";
/// Where a person writes to the agent.
const COMPOSER: &str = "textarea";
/// What is asked on a tab and still to come.
const TO_COME: &str = "is not built into this gateway yet";

/// Serves the UI; unknown paths are its own routes.
async fn serve(root: PathBuf) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(file).with_state(Arc::new(root));
    tokio::spawn(async move { axum::serve(listener, app).await });
    origin
}

async fn file(State(root): State<Arc<PathBuf>>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if path == "__openclaw/control-ui-config.json" || path.starts_with("avatar/") {
        // It asks, and does without.
        return StatusCode::NO_CONTENT.into_response();
    }
    let kind = match path.rsplit('.').next() {
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "text/html",
    };
    let path = if kind == "text/html" {
        "index.html"
    } else {
        path
    };
    match tokio::fs::read(root.join(path)).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The page, and the gateway behind it.
struct House {
    gateway: Gateway,
    llm: Llm,
    page: Browser,
}

impl House {
    /// Everything on its way, the page open on its first tab; or nothing, and a line why.
    async fn open() -> Option<House> {
        let reference = reference()?;
        let mut page = Browser::start(reference)?;
        let origin = serve(reference.control_ui()).await;
        let llm = Llm::start().await;
        let setup = Setup::new()
            .config("/gateway/controlUi/allowedOrigins", json!([origin]))
            .config("/models/providers/fake", llm.provider("m1"))
            .config(
                "/agents/defaults",
                json!({ "model": "fake/m1", "heartbeat": { "every": "0m" } }),
            )
            .state_file(
                "skills/sky/SKILL.md",
                "---\nname: sky\ndescription: Look up\n---\nLook.\n",
            );
        let gateway = setup.start().await;
        let url = format!("ws://127.0.0.1:{}", gateway.port());
        let settings = json!({ "gatewayUrl": url }).to_string();
        let local = json!({ "openclaw.control.settings.v1": settings });
        let token = format!("openclaw.control.token.v1:{url}");
        let session = json!({ token: support::gateway::TOKEN });
        page.open(&format!("{origin}/chat"), local, session).await;
        page.shows(COMPOSER).await;
        Some(House { gateway, llm, page })
    }

    async fn tab(&mut self, name: &str) {
        self.page
            .click(&format!("a.nav-item[href='/{name}']"))
            .await;
        let active = format!("a.nav-item--active[href='/{name}']");
        self.page.shows(&active).await;
    }

    /// Nothing was refused since the last time, no error stands on the page, the console is quiet.
    /// Says what was asked.
    async fn is_well(&mut self, place: &str) -> Vec<String> {
        let heard = self.page.heard().await;
        let refused = heard["refused"].as_array().unwrap();
        let wrong: Vec<&Value> = refused
            .iter()
            .filter(|text| !text.as_str().unwrap().ends_with(TO_COME))
            .collect();
        assert!(wrong.is_empty(), "{place}: {wrong:?}");
        assert_eq!(heard["console"], json!([]), "{place}");
        let errors = self.page.texts(".callout.danger").await;
        let errors: Vec<_> = errors
            .iter()
            .filter(|text| !text.ends_with(TO_COME))
            .collect();
        assert!(errors.is_empty(), "{place}: {errors:?}");
        serde_json::from_value(heard["asked"].clone()).unwrap()
    }

    async fn say(&mut self, text: &str) {
        self.page.fill(COMPOSER, text).await;
        self.page.act("press", COMPOSER, "Enter").await;
    }

    async fn chat(&mut self) {
        let door = Door::default();
        let rest = vec!["are **large**.".to_owned()];
        self.llm
            .push(Reply::Held(vec!["Whales ".to_owned()], door.clone(), rest));
        self.say("tell me about whales").await;
        // As it streams, and then the whole.
        self.page.shows(".chat-thread :text('Whales')").await;
        self.page.shows(".chat-send-btn--stop").await;
        door.open();
        self.page.shows(".chat-thread strong:text('large')").await;
        self.page.act("hides", ".chat-send-btn--stop", "").await;

        self.llm.push(Reply::Hang(vec!["Once upon a".to_owned()]));
        self.say("now a story").await;
        self.page.shows(".chat-thread :text('Once upon a')").await;
        self.page.click(".chat-send-btn--stop").await;
        self.page.act("hides", ".chat-send-btn--stop", "").await;
        let asked = self.is_well("chat").await;
        assert!(
            asked.iter().any(|method| method == "chat.abort"),
            "{asked:?}"
        );
        let mut client = self.gateway.operator().await;
        let history = client
            .ok("chat.history", json!({ "sessionKey": "main" }))
            .await;
        let last = history["messages"].as_array().unwrap().last().unwrap();
        assert_eq!(last["content"][0]["text"], "Once upon a", "{history}");
        assert_eq!(last["stopReason"], "aborted", "{history}");

        self.llm.push(Reply::text("A fresh start."));
        self.page.click("button[title='New session']").await;
        self.page
            .shows(".chat-thread :text('A fresh start.')")
            .await;
        let history = client
            .ok("chat.history", json!({ "sessionKey": "main" }))
            .await;
        let texts = history["messages"].to_string();
        assert!(!texts.contains("whales"), "{texts}");
    }

    async fn cron(&mut self) {
        self.tab("cron").await;
        self.page.fill("#cron-name", "Morning").await;
        self.page
            .act("choose", "#cron-schedule-kind", "every")
            .await;
        self.page.fill("#cron-every-amount", "30").await;
        self.page
            .fill("#cron-payload-text", "Say good morning")
            .await;
        self.page.act("choose", "#cron-delivery-mode", "none").await;
        self.page.click("button.btn.primary:text('Add job')").await;
        self.page.shows(".cron-job:has-text('Morning')").await;
        self.llm.push(Reply::text("Good morning to you."));
        self.page.click(".cron-job button:text-is('Run')").await;
        self.page.shows(":text('Good morning to you.')").await;
        self.page.shows(".cron-job-status-ok").await;
        let asked = self.is_well("cron").await;
        assert!(asked.iter().any(|method| method == "cron.run"), "{asked:?}");
        self.page.click(".cron-job button:text-is('Remove')").await;
        self.page
            .act("hides", ".cron-job:has-text('Morning')", "")
            .await;
        self.is_well("cron, removed").await;
    }

    /// Waits until the configuration file says something.
    async fn file_says(&self, text: &str) {
        let path = self.gateway.config_file();
        support::wait::until(&format!("{text} in the file"), || async {
            std::fs::read_to_string(&path)
                .unwrap()
                .contains(text)
                .then_some(())
        })
        .await;
    }

    async fn config(&mut self) {
        self.tab("config").await;
        let field = ".cfg-field:has-text('Logging Console Style') input";
        self.page.fill(field, "compact").await;
        self.page.click("button:text-is('Save')").await;
        self.file_says("\"consoleStyle\": \"compact\"").await;
        self.page.shows(":text('No changes')").await;
        self.is_well("config, form").await;
        self.page.click("button:text-is('Raw')").await;
        self.page
            .click("button[aria-label='Toggle raw config redaction']")
            .await;
        // It shows the text with its next look at the gateway.
        let raw = ".config-raw-field textarea:not([readonly])";
        self.page.shows(raw).await;
        let raw = self.page.value(".config-raw-field textarea").await;
        assert!(!raw.contains(support::gateway::TOKEN), "{raw}");
        let edited = raw.replacen("\"compact\"", "\"json\"", 1);
        self.page.fill(".config-raw-field textarea", &edited).await;
        self.page.click("button:text-is('Save')").await;
        self.file_says("\"consoleStyle\": \"json\"").await;
        // What was hidden on the page is kept in the file.
        self.file_says(support::gateway::TOKEN).await;
        self.is_well("config, raw").await;
    }

    async fn smaller_things(&mut self) {
        self.tab("skills").await;
        self.page
            .click("summary:has-text('Installed Skills')")
            .await;
        self.page
            .click("summary:has-text('Installed Skills')")
            .await;
        self.page
            .click(".list-item:has-text('sky') button:text-is('Disable')")
            .await;
        self.page
            .shows(".list-item:has-text('sky') button:text-is('Enable')")
            .await;
        self.is_well("skills").await;

        self.tab("agents").await;
        self.page.click(".agent-tab:has-text('Files')").await;
        self.page.click(".agent-file-row:has-text('SOUL.md')").await;
        self.page.fill(".agent-file-textarea", "Be kind.").await;
        self.page
            .click(".agent-file-actions button:text-is('Save')")
            .await;
        let soul = self.gateway.state_dir().join("workspace/SOUL.md");
        support::wait::until("the agent's file", || async {
            std::fs::read_to_string(&soul)
                .is_ok_and(|t| t == "Be kind.")
                .then_some(())
        })
        .await;
        for part in ["Tools", "Skills", "Channels", "Cron Jobs"] {
            self.page
                .click(&format!(".agent-tab:has-text('{part}')"))
                .await;
        }
        self.is_well("agents").await;

        self.tab("debug").await;
        self.page
            .act("choose", "select >> nth=0", "agents.list")
            .await;
        self.page.click("button:text-is('Call')").await;
        self.page.shows("pre:has-text('defaultId')").await;
        self.is_well("debug").await;

        self.tab("usage").await;
        self.page.click("button:text-is('Refresh')").await;
        self.page.shows(".session-bar-row").await;
        self.page.click(".session-bar-row").await;
        let asked = self.is_well("usage").await;
        assert!(
            asked.iter().any(|method| method == "sessions.usage"),
            "{asked:?}"
        );
    }
}

#[tokio::test]
async fn a_person_uses_every_tab() {
    let Some(mut house) = House::open().await else {
        return;
    };
    let version = house
        .page
        .texts(".sidebar-version, .nav-version, :text-is('VERSION')")
        .await;
    assert!(!version.is_empty());
    house.chat().await;
    for tab in TABS.split_whitespace() {
        house.tab(tab).await;
        // Whatever the tab asks is asked and answered before the next one.
        let mut client = house.gateway.operator().await;
        client.ok("health", json!({})).await;
    }
    house.is_well("all tabs").await;
    house.cron().await;
    house.config().await;
    house.smaller_things().await;
}
