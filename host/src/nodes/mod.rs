//! Nodes that are here, and the commands they were asked for and have not answered.
//!
//! Called by `connection` ([`Nodes::joined`], [`Nodes::left`]) and by the methods `node.*`. A node is
//! a connection; the last one of a device counts. Promises: an asker hears exactly one end, and a
//! node that leaves ends what was asked of that very connection at once.

mod ask;
pub mod policy;
mod run;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_schemas::catalogue::Role;
use gateway_schemas::nodes::{NodeInvokeRequest, NodeInvokeResultParams, NodeRow};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::config::NodesConfig;
use crate::hub::{Caller, ConnId, Event, Hub};
use crate::limits::NODE_INVOKE_TIMEOUT;
pub use ask::{Answered, Refusal};
use policy::Class;

/// The nodes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Nodes {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    hub: Hub,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By device id.
    here: HashMap<String, Arc<Node>>,
    /// By the id of the request.
    open: HashMap<String, Open>,
}

/// What a node said of itself in `connect`, beside what every client says.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// What it can be asked for.
    pub commands: Vec<String>,
    /// What its system lets it do.
    pub permissions: Option<BTreeMap<String, bool>>,
    /// Where it looks for programs.
    pub path_env: Option<String>,
    /// Its address, when it isn't this host.
    pub remote_ip: Option<String>,
}

/// A node that is here.
#[derive(Debug)]
pub struct Node {
    caller: Arc<Caller>,
    /// The declared ones that were allowed when it came, sorted.
    commands: Vec<String>,
    claims: Claims,
    since_ms: u64,
}

impl Node {
    /// Its platform as text, for refusals.
    pub fn platform(&self) -> &str {
        let platform = self.caller.client.platform.as_str();
        if platform.is_empty() {
            "unknown"
        } else {
            platform
        }
    }

    /// The kind of system it runs on.
    pub fn class(&self) -> Class {
        let client = &self.caller.client;
        Class::of(&client.platform, client.device_family.as_deref())
    }

    /// What it declared and may be asked for.
    pub fn commands(&self) -> &[String] {
        &self.commands
    }

    fn row(&self, node_id: &str) -> NodeRow {
        let client = &self.caller.client;
        let filled = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        let mut caps = self.caller.caps.clone();
        caps.sort_unstable();
        caps.dedup();
        NodeRow {
            node_id: node_id.to_owned(),
            display_name: client.display_name.clone(),
            platform: filled(&client.platform),
            version: filled(&client.version),
            device_family: client.device_family.clone(),
            model_identifier: client.model_identifier.clone(),
            remote_ip: self.claims.remote_ip.clone(),
            caps,
            commands: self.commands.clone(),
            path_env: self.claims.path_env.clone(),
            permissions: self.claims.permissions.clone(),
            connected_at_ms: Some(self.since_ms),
            paired: false,
            connected: true,
        }
    }
}

/// A command that was asked for.
#[derive(Debug)]
struct Open {
    node_id: String,
    conn: ConnId,
    answer: oneshot::Sender<NodeInvokeResultParams>,
}

/// What a node is asked for.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The node's device id.
    pub node_id: &'a str,
    /// The command.
    pub command: &'a str,
    /// What it takes.
    pub params: Option<&'a Value>,
    /// Longest wait, ms; `None`: 30 s.
    pub timeout_ms: Option<u64>,
    /// The asker's key, told to the node.
    pub idempotency_key: Option<&'a str>,
}

/// Why there is no answer of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvokeError {
    /// It is not here.
    NotConnected,
    /// It left before it answered. It may have done it.
    Left,
    /// It did not answer in time. It may do it yet.
    TimedOut,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Its asker has it.
    Told,
    /// Nobody waits for it: too late, or never asked.
    Ignored,
    /// It names another node than the one that sent it.
    OtherNode,
}

impl Nodes {
    /// Nobody is here yet.
    pub fn new(clock: Clock, hub: Hub) -> Nodes {
        let state = Mutex::default();
        Nodes {
            inner: Arc::new(Inner { clock, hub, state }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a node after its handshake; the former connection of the device counts no more.
    pub fn joined(&self, caller: &Arc<Caller>, claims: Claims, config: &NodesConfig) {
        let Some(id) = id_of(caller) else { return };
        let client = &caller.client;
        let class = Class::of(&client.platform, client.device_family.as_deref());
        let allowed = |command: &&str| policy::allows(config, class, command);
        let commands = claims.commands.iter().map(|command| command.trim());
        let commands = commands.filter(|command| !command.is_empty());
        let mut commands: Vec<String> = commands.filter(allowed).map(str::to_owned).collect();
        commands.sort_unstable();
        commands.dedup();
        let node = Node {
            caller: caller.clone(),
            commands,
            claims,
            since_ms: self.inner.clock.now_ms(),
        };
        self.state().here.insert(id.to_owned(), Arc::new(node));
    }

    /// Notes the end of a connection. What was asked of it ends; a newer one of the device stays.
    pub fn left(&self, caller: &Caller) {
        let Some(id) = id_of(caller) else { return };
        let mut state = self.state();
        if state
            .here
            .get(id)
            .is_some_and(|n| n.caller.conn == caller.conn)
        {
            state.here.remove(id);
        }
        // Dropping the sender tells the asker.
        state.open.retain(|_, open| open.conn != caller.conn);
    }

    /// The node of this device id, if it is here.
    pub fn get(&self, node_id: &str) -> Option<Arc<Node>> {
        self.state().here.get(node_id).cloned()
    }

    /// Rows of all nodes: `known` ones (paired as nodes, as their records have them) and those
    /// that are here. Connected ones first, then by name.
    pub fn list(&self, known: Vec<NodeRow>) -> Vec<NodeRow> {
        let mut rows: HashMap<String, NodeRow> = known
            .into_iter()
            .map(|row| (row.node_id.clone(), row))
            .collect();
        for (id, node) in &self.state().here {
            let own = node.row(id);
            let row = match rows.remove(id) {
                Some(known) => NodeRow {
                    display_name: own.display_name.or(known.display_name),
                    platform: own.platform.or(known.platform),
                    remote_ip: own.remote_ip.or(known.remote_ip),
                    paired: known.paired,
                    ..own
                },
                None => own,
            };
            rows.insert(id.clone(), row);
        }
        let mut rows: Vec<NodeRow> = rows.into_values().collect();
        rows.sort_by_cached_key(|row| {
            let name = row.display_name.as_ref().unwrap_or(&row.node_id);
            (!row.connected, name.to_lowercase(), row.node_id.clone())
        });
        rows
    }

    /// Asks a node and waits for its answer, whatever that says. Whether it may be asked is the
    /// caller's to check. Dropping the future gives the answer up; the node is not told.
    ///
    /// # Errors
    /// [`InvokeError`] when there is no answer.
    pub async fn invoke(&self, asked: Asked<'_>) -> Result<NodeInvokeResultParams, InvokeError> {
        let id = self.inner.clock.uuid();
        let (answer, answered) = oneshot::channel();
        let conn = {
            let mut state = self.state();
            let node = state.here.get(asked.node_id);
            let conn = node.ok_or(InvokeError::NotConnected)?.caller.conn;
            let node_id = asked.node_id.to_owned();
            let open = Open {
                node_id,
                conn,
                answer,
            };
            state.open.insert(id.clone(), open);
            conn
        };
        let _closed = Closed {
            nodes: self,
            id: &id,
        };
        let request = NodeInvokeRequest {
            id: id.clone(),
            node_id: asked.node_id.to_owned(),
            command: asked.command.to_owned(),
            params_json: asked.params.map(Value::to_string),
            timeout_ms: asked.timeout_ms,
            idempotency_key: asked.idempotency_key.map(str::to_owned),
        };
        let event = Event::new("node.invoke.request", &request);
        self.inner.hub.send_to(&[conn], event);
        let patience = asked.timeout_ms.map(Duration::from_millis);
        let patience = patience.unwrap_or(NODE_INVOKE_TIMEOUT);
        match tokio::time::timeout(patience, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(InvokeError::Left),
            Err(_) => Err(InvokeError::TimedOut),
        }
    }

    /// Takes a node's answer.
    pub fn answered(&self, caller: &Caller, answer: NodeInvokeResultParams) -> Taken {
        if id_of(caller) != Some(answer.node_id.as_str()) {
            return Taken::OtherNode;
        }
        let mut state = self.state();
        let own = state.open.get(&answer.id);
        if own.is_none_or(|open| open.node_id != answer.node_id) {
            return Taken::Ignored;
        }
        let Some(open) = state.open.remove(&answer.id) else {
            return Taken::Ignored;
        };
        // Its asker may be leaving right now.
        if open.answer.send(answer).is_ok() {
            Taken::Told
        } else {
            Taken::Ignored
        }
    }
}

/// The id of a node is that of its device.
fn id_of(caller: &Caller) -> Option<&str> {
    let device = caller.device_id.as_deref();
    device.filter(|_| caller.role == Role::Node)
}

/// Forgets a request whose asker is done with it.
struct Closed<'a> {
    nodes: &'a Nodes,
    id: &'a str,
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.nodes.state().open.remove(self.id);
    }
}

#[cfg(test)]
mod tests;
