//! The two catalogues as tables: which methods and events the wire has and who may use them.
//!
//! Read by the host for every request (authorisation comes before "unknown method", so methods
//! that are not built need their scope as well) and for every event. A test proves the tables
//! equal to `methods.json` and `events.json`, which are the law.

use std::collections::HashMap;
use std::sync::OnceLock;

/// What an operator must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Nothing.
    Open,
    /// `operator.read` or `operator.write`.
    Read,
    /// `operator.write`.
    Write,
    /// `operator.admin`, which also stands for every other scope.
    Admin,
    /// `operator.pairing`.
    Pairing,
    /// `operator.approvals`.
    Approvals,
}

impl Scope {
    /// The scope's name on the wire; `None` for [`Scope::Open`].
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Open => None,
            Self::Read => Some("operator.read"),
            Self::Write => Some("operator.write"),
            Self::Admin => Some("operator.admin"),
            Self::Pairing => Some("operator.pairing"),
            Self::Approvals => Some("operator.approvals"),
        }
    }

    /// Whether an operator that holds `scopes` may pass.
    pub fn allows<S: AsRef<str>>(self, scopes: &[S]) -> bool {
        let Some(needed) = self.name() else {
            return true;
        };
        scopes.iter().map(AsRef::as_ref).any(|held| {
            held == needed
                || held == "operator.admin"
                || (self == Self::Read && held == "operator.write")
        })
    }
}

/// Which role may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Operators.
    Operator,
    /// Nodes; scopes play no part.
    Node,
    /// Both.
    Any,
}

/// One method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodSpec {
    /// The name on the wire.
    pub name: &'static str,
    /// What an operator must hold.
    pub scope: Scope,
    /// Which role may call it.
    pub role: Role,
    /// A call changes something.
    pub side_effect: bool,
    /// Named in hello-ok once it is built.
    pub advertised: bool,
    /// This gateway has a handler for it.
    pub built: bool,
    /// First protocol that has it.
    pub since: u32,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSpec {
    /// The name on the wire.
    pub name: &'static str,
    /// What a receiver must hold; with anything but [`Scope::Open`] nodes get none.
    pub scope: Scope,
    /// May be left out for a slow client. (A chat delta may as well: its sender says so.)
    pub droppable: bool,
    /// This gateway sends it.
    pub built: bool,
    /// First protocol that has it.
    pub since: u32,
}

/// Every method of the wire: the advertised ones in the order of hello-ok, then the others.
pub static METHODS: &[MethodSpec] = &[
    any("health").built(),
    read("doctor.memory.status").built(),
    read("logs.tail").built(),
    read("channels.status").built(),
    admin("channels.logout").effect().built(),
    read("status").built(),
    read("usage.status").built(),
    read("usage.cost").built(),
    read("tts.status"),
    read("tts.providers"),
    write("tts.enable").effect(),
    write("tts.disable").effect(),
    write("tts.convert").effect(),
    write("tts.setProvider").effect(),
    read("config.get").built(),
    admin("config.set").effect().built(),
    admin("config.apply").effect().built(),
    admin("config.patch").effect().built(),
    admin("config.schema").built(),
    read("config.schema.lookup").built(),
    admin("exec.approvals.get").built(),
    admin("exec.approvals.set").effect().built(),
    admin("exec.approvals.node.get"),
    admin("exec.approvals.node.set").effect(),
    approvals("exec.approval.request").effect().built(),
    approvals("exec.approval.waitDecision").built(),
    approvals("exec.approval.resolve").effect().built(),
    admin("wizard.start").effect(),
    admin("wizard.next").effect(),
    admin("wizard.cancel").effect(),
    admin("wizard.status"),
    read("talk.config").built(),
    write("talk.mode").effect().built(),
    read("models.list").built(),
    read("tools.catalog").built(),
    read("agents.list").built(),
    admin("agents.create").effect().built(),
    admin("agents.update").effect().built(),
    admin("agents.delete").effect().built(),
    read("agents.files.list").built(),
    read("agents.files.get").built(),
    admin("agents.files.set").effect().built(),
    read("skills.status").built(),
    node("skills.bins").built(),
    admin("skills.install").effect(),
    admin("skills.update").effect().built(),
    admin("update.run").effect(),
    read("voicewake.get").built(),
    write("voicewake.set").effect().built(),
    admin("secrets.reload").effect().built(),
    admin("secrets.resolve"),
    read("sessions.list").built(),
    read("sessions.preview").built(),
    admin("sessions.patch").effect().built(),
    admin("sessions.reset").effect().built(),
    admin("sessions.delete").effect().built(),
    admin("sessions.compact").effect().built(),
    read("last-heartbeat").built(),
    admin("set-heartbeats").effect().built(),
    write("wake").effect().built(),
    pairing("node.pair.request").effect(),
    pairing("node.pair.list"),
    pairing("node.pair.approve").effect(),
    pairing("node.pair.reject").effect(),
    pairing("node.pair.verify"),
    pairing("device.pair.list").built(),
    pairing("device.pair.approve").effect().built(),
    pairing("device.pair.reject").effect().built(),
    pairing("device.pair.remove").effect().built(),
    pairing("device.token.rotate").effect().built(),
    pairing("device.token.revoke").effect().built(),
    pairing("node.rename").effect(),
    read("node.list").built(),
    read("node.describe").built(),
    node("node.pending.drain").effect(),
    write("node.pending.enqueue").effect(),
    write("node.invoke").effect().built(),
    node("node.pending.pull"),
    node("node.pending.ack").effect(),
    node("node.invoke.result").effect().built(),
    node("node.event").effect(),
    node("node.canvas.capability.refresh").effect(),
    read("cron.list").built(),
    read("cron.status").built(),
    admin("cron.add").effect().built(),
    admin("cron.update").effect().built(),
    admin("cron.remove").effect().built(),
    admin("cron.run").effect().built(),
    read("cron.runs").built(),
    read("gateway.identity.get").built(),
    read("system-presence").built(),
    admin("system-event").effect().built(),
    write("send").effect().built(),
    write("agent").effect().built(),
    read("agent.identity.get").built(),
    write("agent.wait").built(),
    write("browser.request").effect(),
    read("chat.history").built(),
    write("chat.abort").effect().built(),
    write("chat.send").effect().built(),
    read("plugins.list").built(),
    admin("plugins.reload").effect().built(),
    admin("plugins.restart").effect().built(),
    read("sessions.get").hidden().built(),
    read("sessions.resolve").hidden().built(),
    read("sessions.export").hidden().built(),
    read("sessions.usage").hidden().built(),
    read("sessions.usage.timeseries").hidden().built(),
    read("sessions.usage.logs").hidden().built(),
    write("poll").effect().hidden(),
    admin("chat.inject").effect().hidden().built(),
    approvals("exec.approval.list").hidden().built(),
    write("push.test").effect().hidden(),
    pairing("device.pair.setupCode").effect().hidden().built(),
    admin("config.openFile").effect().hidden(),
    admin("connect").hidden().built(),
    admin("web.login.start").effect().hidden(),
    admin("web.login.wait").hidden(),
];

/// Every event of the wire, in the order of hello-ok.
pub static EVENTS: &[EventSpec] = &[
    event_of("connect.challenge", Scope::Open).built(),
    event_of("agent", Scope::Read).built(),
    event_of("chat", Scope::Read).built(),
    event_of("presence", Scope::Read).droppable().built(),
    event_of("tick", Scope::Open).droppable().built(),
    event_of("talk.mode", Scope::Read).droppable().built(),
    event_of("shutdown", Scope::Open).built(),
    event_of("health", Scope::Open).built(),
    event_of("heartbeat", Scope::Open).droppable().built(),
    event_of("cron", Scope::Read).droppable().built(),
    event_of("node.pair.requested", Scope::Pairing).droppable(),
    event_of("node.pair.resolved", Scope::Pairing).droppable(),
    event_of("node.invoke.request", Scope::Read).built(),
    event_of("device.pair.requested", Scope::Pairing)
        .droppable()
        .built(),
    event_of("device.pair.resolved", Scope::Pairing)
        .droppable()
        .built(),
    event_of("voicewake.changed", Scope::Read)
        .droppable()
        .built(),
    event_of("exec.approval.requested", Scope::Approvals)
        .droppable()
        .built(),
    event_of("exec.approval.resolved", Scope::Approvals)
        .droppable()
        .built(),
    event_of("update.available", Scope::Open).droppable(),
];

/// The method of that name.
pub fn method(name: &str) -> Option<&'static MethodSpec> {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static MethodSpec>> = OnceLock::new();
    BY_NAME
        .get_or_init(|| METHODS.iter().map(|m| (m.name, m)).collect())
        .get(name)
        .copied()
}

/// The event of that name.
pub fn event(name: &str) -> Option<&'static EventSpec> {
    EVENTS.iter().find(|e| e.name == name)
}

/// What an operator needs for a method: unknown ones need [`Scope::Admin`].
pub fn required_scope(method_name: &str) -> Scope {
    method(method_name).map_or(Scope::Admin, |m| m.scope)
}

/// Names of the methods to put in hello-ok.
pub fn advertised_methods() -> impl Iterator<Item = &'static str> {
    METHODS
        .iter()
        .filter(|m| m.advertised && m.built)
        .map(|m| m.name)
}

/// Names of the events to put in hello-ok.
pub fn advertised_events() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().filter(|e| e.built).map(|e| e.name)
}

const fn spec(name: &'static str, role: Role, scope: Scope) -> MethodSpec {
    MethodSpec {
        name,
        scope,
        role,
        side_effect: false,
        advertised: true,
        built: false,
        since: 3,
    }
}

const fn any(name: &'static str) -> MethodSpec {
    spec(name, Role::Any, Scope::Open)
}

const fn node(name: &'static str) -> MethodSpec {
    spec(name, Role::Node, Scope::Open)
}

const fn read(name: &'static str) -> MethodSpec {
    spec(name, Role::Operator, Scope::Read)
}

const fn write(name: &'static str) -> MethodSpec {
    spec(name, Role::Operator, Scope::Write)
}

const fn admin(name: &'static str) -> MethodSpec {
    spec(name, Role::Operator, Scope::Admin)
}

const fn pairing(name: &'static str) -> MethodSpec {
    spec(name, Role::Operator, Scope::Pairing)
}

const fn approvals(name: &'static str) -> MethodSpec {
    spec(name, Role::Operator, Scope::Approvals)
}

impl MethodSpec {
    const fn effect(mut self) -> Self {
        self.side_effect = true;
        self
    }

    const fn hidden(mut self) -> Self {
        self.advertised = false;
        self
    }

    const fn built(mut self) -> Self {
        self.built = true;
        self
    }
}

const fn event_of(name: &'static str, scope: Scope) -> EventSpec {
    EventSpec {
        name,
        scope,
        droppable: false,
        built: false,
        since: 3,
    }
}

impl EventSpec {
    const fn droppable(mut self) -> Self {
        self.droppable = true;
        self
    }

    const fn built(mut self) -> Self {
        self.built = true;
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::law;
    use serde_json::{Value, json};

    fn entries(file: &str, field: &str) -> serde_json::Map<String, Value> {
        let file: Value = serde_json::from_str(file).unwrap();
        file[field].as_object().unwrap().clone()
    }

    #[test]
    fn methods_are_those_of_the_law() {
        let mut law = entries(law::METHODS, "methods");
        for m in METHODS {
            let entry = law
                .remove(m.name)
                .unwrap_or_else(|| panic!("{} is not law", m.name));
            let role = match m.role {
                Role::Operator => "operator",
                Role::Node => "node",
                Role::Any => "any",
            };
            let mut expected = json!({
                "role": role, "scope": m.scope.name(), "sideEffect": m.side_effect,
                "advertised": m.advertised, "since": m.since,
            });
            if m.built {
                expected["params"] = entry["params"].clone();
                expected["result"] = entry["result"].clone();
            }
            assert_eq!(entry, expected, "{}", m.name);
            for part in ["params", "result"].iter().filter(|_| m.built) {
                law_has(&entry[part], m.name);
            }
        }
        assert!(
            law.is_empty(),
            "not in the table: {:?}",
            law.keys().collect::<Vec<_>>()
        );
    }

    #[test]
    fn events_are_those_of_the_law() {
        let mut law = entries(law::EVENTS, "events");
        for e in EVENTS {
            let entry = law
                .remove(e.name)
                .unwrap_or_else(|| panic!("{} is not law", e.name));
            let mut expected =
                json!({ "scope": e.scope.name(), "droppable": e.droppable, "since": e.since });
            if e.built {
                expected["payload"] = entry["payload"].clone();
                law_has(&entry["payload"], e.name);
            }
            assert_eq!(entry, expected, "{}", e.name);
        }
        assert!(
            law.is_empty(),
            "not in the table: {:?}",
            law.keys().collect::<Vec<_>>()
        );
    }

    /// A reference leads to a schema; `true` stands for anything.
    fn law_has(schema: &Value, name: &str) {
        if *schema != Value::Bool(true) {
            let reference = schema["$ref"]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {schema}"));
            assert!(
                law::schema(reference).is_some(),
                "{name} refers to {reference}"
            );
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::HashSet<_> = METHODS.iter().map(|m| m.name).collect();
        assert_eq!(names.len(), METHODS.len());
        let names: std::collections::HashSet<_> = EVENTS.iter().map(|e| e.name).collect();
        assert_eq!(names.len(), EVENTS.len());
    }

    #[test]
    fn write_stands_for_read_and_admin_for_all() {
        assert!(Scope::Read.allows(&["operator.write"]));
        assert!(!Scope::Write.allows(&["operator.read"]));
        assert!(Scope::Pairing.allows(&["operator.admin"]));
        assert!(!Scope::Pairing.allows(&["operator.write"]));
        assert!(Scope::Open.allows::<&str>(&[]));
    }

    #[test]
    fn unknown_methods_need_admin() {
        assert_eq!(required_scope("nope.method"), Scope::Admin);
        assert_eq!(required_scope("node.rename"), Scope::Pairing);
    }
}
