//! An operator's plugins: looked at, signed, installed from a file, a folder and a web server,
//! refused, switched, upgraded and removed, all through the command line.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::cli::{Ran, run};
use support::{Gateway, Setup, binaries, web};

use crate::telegram::House;

/// A machine of its own: a home, a publisher's key, a copy of echo.
struct Machine {
    home: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine {
            home: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(machine.state()).unwrap();
        // No gateway of another test may answer.
        let port = support::gateway::free_port();
        let config = json!({ "gateway": { "port": port }, "channels": { "echo": {} } });
        fs::write(machine.state().join("openclaw.json"), config.to_string()).unwrap();
        machine
    }

    fn state(&self) -> PathBuf {
        self.home.path().join(".openclaw")
    }

    fn plugins_file(&self) -> PathBuf {
        self.state().join("plugins.toml")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    async fn run(&self, line: &str) -> Ran {
        let words: Vec<&str> = line.split_whitespace().collect();
        run(self.home.path(), &[&["plugins"], &words[..]].concat()).await
    }

    async fn json(&self, line: &str) -> Value {
        let ran = self.run(&format!("{line} --json")).await;
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (Some(0), ""),
            "{line}: {ran:?}"
        );
        ran.json()
    }

    /// The error of a command that must fail with this exit code.
    async fn fails(&self, line: &str, code: i32) -> Value {
        let ran = self.run(&format!("{line} --json")).await;
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (Some(code), ""),
            "{line}: {ran:?}"
        );
        let answer = ran.json();
        assert_eq!(answer["ok"], false, "{line}");
        answer["error"].clone()
    }

    async fn refuses(&self, line: &str, expected: &str) {
        let error = self.fails(line, 1).await;
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(expected),
            "{message} instead of {expected}"
        );
        assert_eq!(self.kept(), 0, "{line} left a copy behind");
    }

    /// Files in the store of copies.
    fn kept(&self) -> usize {
        fs::read_dir(self.state().join("plugins/store")).map_or(0, Iterator::count)
    }

    /// A copy of echo under this name, as version `version`, which is as long as its own.
    fn echo(&self, name: &str, version: &str) -> PathBuf {
        let mut bytes = fs::read(binaries::library("gateway-plugin-echo")).unwrap();
        let own = b"\"version\": \"";
        let at = bytes.windows(own.len()).position(|w| w == own).unwrap() + own.len();
        bytes[at..at + version.len()].copy_from_slice(version.as_bytes());
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        path
    }

    /// A new key of this name; the public half.
    async fn key(&self, name: &str) -> String {
        let made = self.json(&format!("key new {name}.key")).await;
        made["publicKey"].as_str().unwrap().to_owned()
    }

    /// Writes `plugins.toml`.
    fn trusts(&self, text: &str) {
        fs::write(self.plugins_file(), format!("# Ours.\nschema = 1\n{text}")).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.plugins_file()).unwrap()
    }
}

#[tokio::test]
async fn a_signed_file_is_installed_checked_switched_and_removed() {
    let machine = Machine::new();
    machine.echo("echo.so", "1.0.0");
    let key = machine.key("acme").await;
    machine.trusts(&format!(
        "[trust]  # who we know\nkeys = {{ acme = \"{key}\" }}\ntrusted = [\"acme\"]\n"
    ));
    let signed = machine.json("sign echo.so --key acme.key").await;
    let told = machine.json("inspect echo.so").await;
    assert_eq!(told["signature"]["state"], "trusted");
    assert_eq!(told["signature"]["key"], "acme");
    assert_eq!(told["manifest"]["id"], "echo");
    assert_eq!(told["sha256"], signed["sha256"]);

    let asked = machine.fails("install echo.so", 1).await;
    assert_eq!(asked["code"], "CONFIRMATION_NEEDED");
    assert_eq!(machine.kept(), 0, "without a yes nothing is kept");
    let sheet = machine.run("install echo.so --yes").await;
    for part in [
        "signed by  acme (trusted)",
        "echo 1.0.0 is installed",
        "no gateway runs",
    ] {
        assert!(sheet.out.contains(part), "{part:?} is missing: {sheet:?}");
    }
    let text = machine.text();
    assert!(
        text.starts_with("# Ours.\nschema = 1\n[trust]  # who we know\n"),
        "{text}"
    );
    assert!(text.contains("path = \"plugins/store/"), "{text}");
    // The source may go: what counts is the copy.
    fs::remove_file(machine.path("echo.so")).unwrap();
    let row = machine.json("list").await["plugins"][0].clone();
    assert_eq!(
        (&row["state"], &row["signedBy"]),
        (&json!("ready"), &json!("acme"))
    );
    assert_eq!(row["isolation"], "in-process");
    assert_eq!(machine.json("check").await["ok"], true);

    let off = machine.json("disable echo").await;
    assert_eq!(
        (&off["changed"], &off["gateway"]["state"]),
        (&json!(true), &json!("notRunning"))
    );
    assert_eq!(machine.json("disable echo").await["changed"], false);
    assert!(machine.text().contains("enabled = false"));
    assert_eq!(
        machine.json("check").await["ok"],
        true,
        "its accounts rest with it"
    );
    assert_eq!(machine.json("enable echo").await["changed"], true);
    machine.json("disable echo").await;
    let removed = machine.json("remove echo --purge").await;
    assert_eq!(removed["channel"], "echo");
    assert_eq!(machine.kept(), 0, "the copy goes with its last entry");
    assert!(machine.text().contains("# who we know"));
    machine.fails("remove echo", 1).await;
}

#[tokio::test]
async fn a_name_that_is_close_is_offered() {
    let machine = Machine::new();
    machine.trusts("[[plugin]]\nname = \"echo\"\npath = \"echo.so\"\n");
    let error = machine.fails("enable ech", 1).await;
    assert_eq!(error["code"], "PLUGIN_NOT_FOUND");
    assert!(
        error["details"]["fix"][0]
            .as_str()
            .unwrap()
            .contains("\"echo\""),
        "{error}"
    );
}

#[tokio::test]
async fn what_nobody_vouches_for_is_refused() {
    let machine = Machine::new();
    let library = machine.echo("echo.so", "1.0.0");
    let ours = machine.key("ours").await;
    machine.key("theirs").await;
    machine.trusts(&format!("[trust]\nkeys = {{ ours = \"{ours}\" }}\n"));
    let before = machine.text();

    machine
        .refuses("install echo.so --yes", "it is not signed (no echo.so.sig)")
        .await;
    machine.json("sign echo.so --key theirs.key").await;
    machine
        .refuses(
            "install echo.so --yes",
            "signed with a key that plugins.toml does not name",
        )
        .await;
    machine.json("sign echo.so --key ours.key").await;
    let mut bytes = fs::read(&library).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&library, &bytes).unwrap();
    machine
        .refuses(
            "install echo.so --yes",
            "its signature of key \"ours\" is not of this file",
        )
        .await;
    machine.json("sign echo.so --key ours.key").await;
    fs::set_permissions(&library, Permissions::from_mode(0o666)).unwrap();
    machine
        .refuses(
            "install echo.so --yes",
            "can be written by everybody on this machine (mode 0666)",
        )
        .await;
    fs::write(machine.path("text.so"), "hello").unwrap();
    machine
        .refuses("install text.so --yes", "not a shared library")
        .await;
    machine
        .refuses("install missing.so --yes", "there is no file")
        .await;
    let error = machine.fails("install echo --yes", 78).await;
    assert_eq!(error["code"], "NO_REGISTRY");
    fs::set_permissions(machine.path("ours.key"), Permissions::from_mode(0o640)).unwrap();
    let error = machine.fails("sign echo.so --key ours.key", 1).await;
    assert_eq!(error["code"], "KEY_EXPOSED");
    assert_eq!(machine.text(), before, "no refusal writes anything");

    fs::remove_file(machine.path("echo.so.sig")).unwrap();
    fs::set_permissions(&library, Permissions::from_mode(0o644)).unwrap();
    let done = machine.json("install echo.so --yes --allow-unsigned").await;
    assert_eq!(done["signedBy"], Value::Null);
    assert!(
        machine.text().contains("allow_unsigned = [\"echo\"]"),
        "{}",
        machine.text()
    );
    let second = machine
        .fails("install echo.so --yes --allow-unsigned --name two", 1)
        .await;
    assert!(
        second["message"]
            .as_str()
            .unwrap()
            .contains("already served by plugin echo")
    );
}

#[tokio::test]
async fn check_says_by_its_exit_code_whether_all_is_right() {
    let machine = Machine::new();
    machine.trusts("");
    let error = machine.fails("check", 78).await;
    let account = &error["details"]["accounts"][0];
    assert!(
        account["problems"][0]
            .as_str()
            .unwrap()
            .contains("no plugin serves echo")
    );
    machine.echo("echo.so", "1.0.0");
    machine.json("install echo.so --yes --allow-unsigned").await;
    assert_eq!(machine.json("check").await["ok"], true);

    let wrong =
        json!({ "channels": { "echo": { "accounts": { "a": { "prefix": 5 }, "b": {} } } } });
    fs::write(machine.state().join("openclaw.json"), wrong.to_string()).unwrap();
    let error = machine.fails("check", 78).await;
    assert_eq!(error["code"], "PLUGINS_CHECK_FAILED");
    let ran = machine.run("check").await;
    assert_eq!(ran.code, Some(78));
    assert!(
        ran.out.contains("account echo/a") && ran.err.contains("1 thing is wrong"),
        "{ran:?}"
    );

    fs::set_permissions(machine.plugins_file(), Permissions::from_mode(0o666)).unwrap();
    let error = machine.fails("check", 78).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("can be written by everybody")
    );
    fs::remove_file(machine.plugins_file()).unwrap();
    machine.fails("check", 78).await;
}

/// Two versions of echo in a signed registry below `registry/`; the machine knows its key.
async fn registry(machine: &Machine, url: &str) {
    machine.echo("registry/1.0/echo.so", "1.0.0");
    machine.echo("registry/1.1/echo.so", "1.1.0");
    let key = machine.key("release").await;
    for version in ["1.0", "1.1"] {
        machine
            .json(&format!(
                "sign registry/{version}/echo.so --key release.key"
            ))
            .await;
    }
    machine.json("index build registry --key release.key").await;
    machine.trusts(&format!(
        "[trust]\nkeys = {{ release = \"{key}\" }}\n\n[registry] # a mirror\nurl = {url:?}\n\
         key = \"release\"\n"
    ));
}

/// From the registry at `url`: search, an old version, the upgrade, a version taken back.
async fn lives_on_a_registry(machine: &Machine) {
    let found = machine.json("search ECH").await;
    assert_eq!(found["plugins"][0]["versions"][0]["version"], "1.1.0");
    assert_eq!(machine.json("search nothing").await["plugins"], json!([]));
    let done = machine.json("install echo@1.0.0 --yes").await;
    assert_eq!(
        (&done["version"], &done["signedBy"]),
        (&json!("1.0.0"), &json!("release"))
    );
    let dry = machine.json("upgrade --dry-run").await;
    assert_eq!(dry["plugins"][0]["to"], "1.1.0");
    assert_eq!(dry["installed"], json!([]));
    let done = machine.json("upgrade echo --yes").await;
    assert_eq!(done["installed"][0]["version"], "1.1.0");
    assert_eq!(
        machine.kept(),
        2,
        "one library and its signature: the old ones went"
    );
    assert_eq!(machine.json("upgrade --yes").await["installed"], json!([]));
    assert_eq!(machine.json("check").await["ok"], true);
    assert!(machine.text().contains("[registry] # a mirror"));

    machine
        .json("index build registry --key release.key --yank echo@1.1.0")
        .await;
    // A later build keeps what was taken back.
    machine.json("index build registry --key release.key").await;
    let error = machine.fails("install echo@1.1.0 --yes", 1).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("was taken back"),
        "{error}"
    );
    let done = machine.json("upgrade --yes").await;
    assert_eq!(
        done["installed"][0]["version"], "1.0.0",
        "back to one that still counts"
    );
}

#[tokio::test]
async fn a_folder_is_a_registry() {
    let machine = Machine::new();
    registry(&machine, "../registry/index.json").await;
    lives_on_a_registry(&machine).await;
}

#[tokio::test]
async fn a_web_server_is_a_registry() {
    let machine = Machine::new();
    let url = web::serve(machine.path("registry")).await;
    registry(&machine, &url).await;
    lives_on_a_registry(&machine).await;
    // A library by its address, with the signature beside it.
    machine.json("remove echo").await;
    let done = machine
        .json(&format!("install {url}1.1/echo.so --yes"))
        .await;
    assert_eq!(
        (&done["version"], &done["signedBy"]),
        (&json!("1.1.0"), &json!("release"))
    );
    let error = machine
        .fails(&format!("install {url}none.so --yes"), 1)
        .await;
    assert_eq!(error["code"], "NOT_FOUND");
}

#[tokio::test]
async fn a_registry_that_was_altered_is_refused() {
    let machine = Machine::new();
    registry(&machine, "../registry").await;
    let index = machine.path("registry/index.json");
    let good = fs::read_to_string(&index).unwrap();
    fs::write(&index, good.replace("1.1.0", "1.2.0")).unwrap();
    machine
        .refuses("install echo --yes", "is not of this index.json")
        .await;
    fs::write(&index, &good).unwrap();
    fs::rename(
        machine.path("registry/index.json.sig"),
        machine.path("index.sig"),
    )
    .unwrap();
    machine
        .refuses("search", "it is not signed (no index.json.sig)")
        .await;
    fs::rename(
        machine.path("index.sig"),
        machine.path("registry/index.json.sig"),
    )
    .unwrap();
    machine.echo("registry/1.1/echo.so", "9.9.9");
    machine
        .refuses("install echo --yes", "its index lists")
        .await;
    fs::write(machine.path("registry/1.1/echo.so"), "short").unwrap();
    machine
        .refuses("install echo --yes", "its index lists")
        .await;
    fs::remove_file(machine.path("registry/1.1/echo.so")).unwrap();
    machine
        .refuses("install echo --yes", "registry/1.1/echo.so")
        .await;
    machine
        .refuses("install ech --yes", "is it \"echo\"?")
        .await;
}

/// What the running gateway reads is told to it; its clients stay connected.
#[tokio::test]
async fn a_running_gateway_is_told() {
    let gateway: Gateway = Setup::new().start().await;
    let home = gateway.home().to_owned();
    let mut client = gateway.operator().await;
    for (word, change) in [("disable", "removed"), ("enable", "added")] {
        let words = ["plugins", word, "echo", "--json", "--timeout", "60s"];
        let ran = run(&home, &words).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let expected = json!({ "state": "applied", "change": change });
        assert_eq!(ran.json()["gateway"], expected, "{ran:?}");
    }
    client.ok("health", json!({})).await;
    let ran = run(&home, &["plugins", "remove", "echo", "--purge"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("stop the gateway"), "{ran:?}");
    let text = fs::read_to_string(gateway.state_dir().join("plugins.toml")).unwrap();
    assert!(
        text.contains("name = \"echo\""),
        "a refused purge removes nothing"
    );
}

#[tokio::test]
async fn what_a_plugin_kept_is_forgotten_on_request() {
    let mut house = House::start().await;
    house.round_trip("its place in the updates is kept").await;
    house.gateway.stop().await;
    let home = house.gateway.home().to_owned();
    let file = house.gateway.state_dir().join("plugins.toml");
    let before = fs::read_to_string(&file).unwrap();
    let purge = ["plugins", "remove", "telegram", "--purge", "--json"];
    let first = run(&home, &purge).await.json();
    assert!(
        first["forgottenValues"].as_u64().unwrap() > 0,
        "the offset at least: {first}"
    );
    fs::write(&file, before).unwrap();
    let second = run(&home, &purge).await.json();
    assert_eq!(second["forgottenValues"], 0, "{second}");
}
