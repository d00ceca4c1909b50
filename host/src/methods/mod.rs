//! The methods that clients call: the table, the call, who may make it.
//!
//! Called by `connection::request` for every request. A handler takes a [`Call`], asks owners and
//! returns an [`Outcome`]: no sockets, no locks. Handlers of one connection run side by side
//! inside its task and are dropped when the client leaves; work that has to be finished belongs
//! to an owner or to `parts.tasks`.

mod absent;
pub mod agent;
pub mod agents;
pub mod approvals;
pub mod channels;
pub mod chat;
pub mod config;
pub mod cron;
pub mod delivery;
pub mod devices;
pub mod health;
pub mod logs;
pub mod nodes;
pub mod plugins;
pub mod presence;
pub mod send;
pub mod sessions;
mod setup_url;
pub mod skills;
pub mod system;
pub mod usage;
pub mod voice;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use gateway_schemas::catalogue::{self, MethodSpec, Role, Scope};
use gateway_schemas::error::ErrorCode;
use gateway_schemas::frame;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::agent::Agent;
use crate::approvals::Approvals;
use crate::channels::Channels;
use crate::clock::Clock;
use crate::config::ConfigHandle;
use crate::cron::{Cron, input};
use crate::dedupe::Dedupe;
use crate::devices::Devices;
use crate::error::GatewayError;
use crate::hub::{Caller, Client, Hub};
use crate::nodes::Nodes;
use crate::presence::Presence;
use crate::reload::Reload;
use crate::sessions::Sessions;
use crate::shutdown::Tasks;
use crate::store::Store;
use crate::timers::health::HealthBoard;
use crate::timers::heartbeat::Heartbeats;
use crate::tools::{self, Tools};

/// Everything that handlers may ask, built once by `gateway`.
pub struct Parts {
    /// The configuration in force.
    pub config: ConfigHandle,
    /// Time, ids, randomness.
    pub clock: Clock,
    /// When the gateway started, ms.
    pub started_ms: u64,
    /// The database.
    pub store: Store,
    /// Connections and events.
    pub hub: Hub,
    /// Work that outlives its connection.
    pub tasks: Tasks,
    /// Idempotency keys.
    pub dedupe: Dedupe,
    /// Who is here.
    pub presence: Presence,
    /// Devices and pairing.
    pub devices: Devices,
    /// What may be run, and who is asked.
    pub approvals: Approvals,
    /// Nodes and what they were asked.
    pub nodes: Nodes,
    /// Channels and their accounts.
    pub channels: Channels,
    /// Sessions and transcripts.
    pub sessions: Sessions,
    /// The agent's runs.
    pub agent: Agent,
    /// Who changes the configuration.
    pub reload: Reload,
    /// The health snapshot.
    pub health: HealthBoard,
    /// Jobs that run by the clock.
    pub cron: Cron,
    /// The last heartbeat.
    pub heartbeats: Heartbeats,
    /// The gateway's own device id and public key.
    pub identity: gateway_schemas::system::GatewayIdentity,
}

impl Parts {
    /// Hands the agent what its models may call.
    pub fn equip(&self) {
        self.agent.set_approvals(self.approvals.clone());
        self.agent.set_toolbox(Tools::new(tools::Parts {
            approvals: self.approvals.clone(),
            channels: self.channels.clone(),
            sessions: self.sessions.clone(),
            agent: self.agent.clone(),
            cron: self.cron.clone(),
            devices: self.devices.clone(),
            nodes: self.nodes.clone(),
            clock: self.clock,
        }));
    }

    /// Channels with an account that should run and doesn't.
    pub fn failing_channels(&self) -> Vec<String> {
        self.channels.failing()
    }
}

/// Lenient input: params of the methods that take more than their contract says, in its order;
/// `None` for all others.
pub fn in_order(method: &str, params: Option<&str>) -> Option<String> {
    let tidy = match method {
        "cron.add" => input::create,
        "cron.update" => input::update,
        "node.invoke.result" => nodes::in_order,
        _ => return None,
    };
    let value = serde_json::from_str(params?).ok()?;
    Some(tidy(value).to_string())
}

/// What a handler returns.
pub type Outcome = Result<Reply, GatewayError>;
type HandlerFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;
type Handler = fn(Call) -> HandlerFuture;

/// The payload of a response, as JSON text.
#[derive(Debug)]
pub struct Reply(Text);

#[derive(Debug)]
enum Text {
    Own(String),
    Shared(Arc<str>),
}

impl Reply {
    /// Encodes a payload.
    ///
    /// # Errors
    /// `UNAVAILABLE` when it can't be written as JSON: a mistake of the program.
    pub fn of(payload: &impl Serialize) -> Outcome {
        serde_json::to_string(payload)
            .map(|text| Reply(Text::Own(text)))
            .map_err(|e| {
                GatewayError::unavailable("Error: the answer can't be encoded").caused_by(e)
            })
    }

    /// A payload that was encoded before and is shared.
    pub fn shared(json: Arc<str>) -> Reply {
        Reply(Text::Shared(json))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Own(text) => text,
            Text::Shared(text) => text,
        }
    }
}

/// One request of one client.
pub struct Call {
    /// Who asks.
    pub caller: Arc<Caller>,
    /// What may be asked.
    pub parts: Arc<Parts>,
    method: &'static str,
    params: Option<String>,
    client: Arc<Client>,
    id: String,
}

impl Call {
    /// The params as `T`. They passed the schema, so this fails only where `T` is narrower.
    ///
    /// # Errors
    /// `INVALID_REQUEST` with the method's name and what doesn't fit.
    pub fn params<T: DeserializeOwned>(&self) -> Result<T, GatewayError> {
        serde_json::from_str(self.params.as_deref().unwrap_or("{}"))
            .map_err(|e| self.invalid(&e.to_string()))
    }

    /// An `INVALID_REQUEST` in the form of a params refusal.
    pub fn invalid(&self, why: &str) -> GatewayError {
        GatewayError::invalid(format!("invalid {} params: {why}", self.method))
    }

    /// Sends an interim response under the same id; the handler's own answer follows later.
    pub fn accepted(&self, payload: &impl Serialize) {
        if let Ok(reply) = Reply::of(payload) {
            self.client
                .queue
                .push_response(frame::response_ok(&self.id, reply.as_str()));
        }
    }
}

/// A method ready to be called.
#[derive(Clone, Copy)]
pub struct Method {
    spec: &'static MethodSpec,
    handler: Handler,
}

impl Method {
    /// Its catalogue entry.
    pub fn spec(&self) -> &'static MethodSpec {
        self.spec
    }

    /// Starts the handler. `params` is JSON text that passed the schema, `None` for none.
    pub fn call(
        &self,
        client: &Arc<Client>,
        parts: &Arc<Parts>,
        id: String,
        params: Option<&str>,
    ) -> HandlerFuture {
        (self.handler)(Call {
            caller: client.caller.clone(),
            parts: parts.clone(),
            method: self.spec.name,
            params: params.map(str::to_owned),
            client: client.clone(),
            id,
        })
    }
}

/// Finds the method and checks that the caller may call it, in the wire's order: open methods,
/// role, scope, and only then whether the method exists.
///
/// # Errors
/// The refusal, worded as clients expect it.
pub fn authorise(caller: &Caller, name: &str) -> Result<Method, GatewayError> {
    let found = table().get(name);
    let spec = found.map(|m| m.spec).or_else(|| catalogue::method(name));
    let role = spec.map_or(Role::Operator, |s| s.role);
    let scope = spec.map_or(Scope::Admin, |s| s.scope);
    if role != Role::Any && role != caller.role {
        return Err(GatewayError::invalid(format!(
            "unauthorized role: {}",
            caller.role_name()
        )));
    }
    if caller.role == Role::Operator && !scope.allows(&caller.scopes) {
        return Err(missing(scope, caller.protocol));
    }
    match (found, spec) {
        (Some(method), _) => Ok(*method),
        (None, Some(_)) if name == "connect" => Err(GatewayError::invalid(
            "connect is only valid as the first request",
        )),
        (None, Some(_)) => Err(absent::refusal(name)),
        (None, None) => Err(GatewayError::invalid(format!("unknown method: {name}"))),
    }
}

/// Protocol 4 tells a missing scope from a bad request.
fn missing(scope: Scope, protocol: u32) -> GatewayError {
    let name = scope.name().unwrap_or_default();
    let text = format!("missing scope: {name}");
    if protocol < 4 {
        return GatewayError::invalid(text);
    }
    GatewayError::new(ErrorCode::Forbidden, text).with_details(json!({
        "code": "MISSING_SCOPE",
        "missingScope": name,
        "requiredScopes": [name],
    }))
}

/// Names of all methods that have a handler.
pub fn built() -> impl Iterator<Item = &'static str> {
    HANDLERS.iter().map(|(name, _)| *name)
}

fn table() -> &'static HashMap<&'static str, Method> {
    static TABLE: OnceLock<HashMap<&'static str, Method>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let entry = |(name, handler): &(&'static str, Handler)| {
            let spec = catalogue::method(name).expect("every handler is in the catalogue");
            (
                *name,
                Method {
                    spec,
                    handler: *handler,
                },
            )
        };
        HANDLERS.iter().map(entry).collect()
    })
}

/// One line for each built method.
static HANDLERS: &[(&str, Handler)] = &[
    ("health", |c| Box::pin(health::health(c))),
    ("status", |c| Box::pin(health::status(c))),
    ("channels.status", |c| Box::pin(channels::status(c))),
    ("channels.logout", |c| Box::pin(channels::logout(c))),
    ("skills.status", |c| Box::pin(skills::status(c))),
    ("skills.bins", |c| Box::pin(skills::bins(c))),
    ("skills.update", |c| Box::pin(skills::update(c))),
    ("send", |c| Box::pin(send::send(c))),
    ("system-presence", |c| Box::pin(presence::list(c))),
    ("system-event", |c| Box::pin(presence::system_event(c))),
    ("last-heartbeat", |c| Box::pin(system::last_heartbeat(c))),
    ("voicewake.get", |c| Box::pin(voice::wake_words(c))),
    ("voicewake.set", |c| Box::pin(voice::set_wake_words(c))),
    ("talk.config", |c| Box::pin(voice::config(c))),
    ("talk.mode", |c| Box::pin(voice::mode(c))),
    ("doctor.memory.status", |c| Box::pin(system::memory(c))),
    ("logs.tail", |c| Box::pin(logs::tail(c))),
    ("set-heartbeats", |c| Box::pin(system::set_heartbeats(c))),
    ("wake", |c| Box::pin(system::wake(c))),
    ("gateway.identity.get", |c| Box::pin(system::identity(c))),
    ("agent", |c| Box::pin(agent::agent(c))),
    ("agent.wait", |c| Box::pin(agent::wait(c))),
    ("agent.identity.get", |c| Box::pin(agents::identity(c))),
    ("agents.list", |c| Box::pin(agents::list(c))),
    ("agents.create", |c| Box::pin(agents::create(c))),
    ("agents.update", |c| Box::pin(agents::update(c))),
    ("agents.delete", |c| Box::pin(agents::delete(c))),
    ("tools.catalog", |c| Box::pin(agents::tools(c))),
    ("agents.files.list", |c| Box::pin(agents::list_files(c))),
    ("agents.files.get", |c| Box::pin(agents::get_file(c))),
    ("agents.files.set", |c| Box::pin(agents::set_file(c))),
    ("models.list", |c| Box::pin(agents::models(c))),
    ("chat.history", |c| Box::pin(chat::history(c))),
    ("chat.send", |c| Box::pin(chat::send(c))),
    ("chat.abort", |c| Box::pin(chat::abort(c))),
    ("chat.inject", |c| Box::pin(chat::inject(c))),
    ("sessions.list", |c| Box::pin(sessions::list(c))),
    ("sessions.patch", |c| Box::pin(sessions::patch(c))),
    ("sessions.reset", |c| Box::pin(sessions::reset(c))),
    ("sessions.delete", |c| Box::pin(sessions::delete(c))),
    ("sessions.compact", |c| Box::pin(sessions::compact(c))),
    ("sessions.preview", |c| Box::pin(sessions::preview(c))),
    ("sessions.resolve", |c| Box::pin(sessions::find(c))),
    ("sessions.get", |c| Box::pin(sessions::get(c))),
    ("sessions.export", |c| Box::pin(sessions::export(c))),
    ("sessions.usage", |c| Box::pin(usage::sessions(c))),
    ("sessions.usage.timeseries", |c| {
        Box::pin(usage::timeseries(c))
    }),
    ("sessions.usage.logs", |c| Box::pin(usage::logs(c))),
    ("usage.cost", |c| Box::pin(usage::cost(c))),
    ("usage.status", |c| Box::pin(usage::status(c))),
    ("config.get", |c| Box::pin(config::get(c))),
    ("config.set", |c| Box::pin(config::set(c))),
    ("config.apply", |c| Box::pin(config::apply(c))),
    ("config.patch", |c| Box::pin(config::patch(c))),
    ("config.schema", |c| Box::pin(config::schema(c))),
    ("config.schema.lookup", |c| Box::pin(config::lookup(c))),
    ("secrets.reload", |c| Box::pin(config::reload_secrets(c))),
    ("cron.list", |c| Box::pin(cron::list(c))),
    ("cron.status", |c| Box::pin(cron::status(c))),
    ("cron.add", |c| Box::pin(cron::add(c))),
    ("cron.update", |c| Box::pin(cron::update(c))),
    ("cron.remove", |c| Box::pin(cron::remove(c))),
    ("cron.run", |c| Box::pin(cron::run(c))),
    ("cron.runs", |c| Box::pin(cron::runs(c))),
    ("exec.approvals.get", |c| Box::pin(approvals::file(c))),
    ("exec.approvals.set", |c| Box::pin(approvals::set_file(c))),
    ("exec.approval.request", |c| Box::pin(approvals::request(c))),
    ("exec.approval.waitDecision", |c| {
        Box::pin(approvals::wait(c))
    }),
    ("exec.approval.resolve", |c| Box::pin(approvals::resolve(c))),
    ("exec.approval.list", |c| Box::pin(approvals::list(c))),
    ("node.list", |c| Box::pin(nodes::list(c))),
    ("node.describe", |c| Box::pin(nodes::describe(c))),
    ("node.invoke", |c| Box::pin(nodes::invoke(c))),
    ("node.invoke.result", |c| Box::pin(nodes::result(c))),
    ("plugins.list", |c| Box::pin(plugins::list(c))),
    ("plugins.reload", |c| Box::pin(plugins::reload(c))),
    ("plugins.restart", |c| Box::pin(plugins::restart(c))),
    ("device.pair.list", |c| Box::pin(devices::list(c))),
    ("device.pair.approve", |c| Box::pin(devices::approve(c))),
    ("device.pair.reject", |c| Box::pin(devices::reject(c))),
    ("device.pair.remove", |c| Box::pin(devices::remove(c))),
    ("device.pair.setupCode", |c| {
        Box::pin(devices::setup_code(c))
    }),
    ("device.token.rotate", |c| Box::pin(devices::rotate(c))),
    ("device.token.revoke", |c| Box::pin(devices::revoke(c))),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::ConnId;

    #[track_caller]
    fn refused(role: &str, scopes: &[&str], method: &str, expected: &str) {
        let caller = Caller::for_tests(ConnId(1), role, scopes);
        let refusal = authorise(&caller, method).err().map(|e| e.to_string());
        assert_eq!(refusal.as_deref(), Some(expected));
    }

    #[test]
    fn the_order_of_refusals() {
        refused("node", &[], "status", "unauthorized role: node");
        refused("node", &[], "no.such", "unauthorized role: node");
        refused(
            "operator",
            &["operator.admin"],
            "node.event",
            "unauthorized role: operator",
        );
        refused("operator", &[], "status", "missing scope: operator.read");
        refused(
            "operator",
            &["operator.read"],
            "no.such",
            "missing scope: operator.admin",
        );
        refused(
            "operator",
            &["operator.read"],
            "config.set",
            "missing scope: operator.admin",
        );
        refused(
            "operator",
            &["operator.admin"],
            "no.such",
            "unknown method: no.such",
        );
        refused(
            "operator",
            &["operator.write"],
            "connect",
            "missing scope: operator.admin",
        );
        let admin = &["operator.admin"];
        refused(
            "operator",
            admin,
            "connect",
            "connect is only valid as the first request",
        );
        refused(
            "operator",
            admin,
            "web.login.start",
            "web login provider is not available",
        );
    }

    #[test]
    fn protocol_4_names_the_missing_scope() {
        let mut caller = Caller::for_tests(ConnId(1), "operator", &[]);
        caller.protocol = 4;
        let refusal = authorise(&caller, "status")
            .err()
            .expect("no scope, no status");
        let told = serde_json::to_value(refusal.shape()).expect("an error shape");
        let expected = json!({
            "code": "FORBIDDEN",
            "message": "missing scope: operator.read",
            "details": {
                "code": "MISSING_SCOPE",
                "missingScope": "operator.read",
                "requiredScopes": ["operator.read"],
            },
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn health_is_for_everybody() {
        for role in ["operator", "node"] {
            assert!(authorise(&Caller::for_tests(ConnId(1), role, &[]), "health").is_ok());
        }
    }

    #[test]
    fn what_is_built_is_what_the_catalogue_says() {
        let mut handled: Vec<_> = built().collect();
        let mut listed: Vec<_> = catalogue::METHODS
            .iter()
            .filter(|m| m.built && m.name != "connect")
            .map(|m| m.name)
            .collect();
        handled.sort_unstable();
        listed.sort_unstable();
        assert_eq!(handled, listed);
    }
}
