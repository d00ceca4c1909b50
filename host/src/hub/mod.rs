//! Who is connected, and how an event reaches them.
//!
//! Owners call [`Hub::publish`]; it never waits. The event is encoded once ([`event`]), put into
//! the queue of every entitled client ([`queue`]) and written by that client's own connection
//! task. The list of connections is copied when it changes, so that publishing holds no lock
//! while it walks.

mod caller;
mod event;
mod queue;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

pub use caller::{Caller, ClientInfo, ConnId};
pub use event::Event;
pub use queue::{Closing, Item, Queue};

/// Why a connection that came with the old shared secret is closed.
pub const SECRET_CHANGED: &str = "gateway secret changed";

/// One connection as others see it.
#[derive(Debug)]
pub struct Client {
    /// Who it is and what it may do.
    pub caller: Arc<Caller>,
    /// What waits to be written to it.
    pub queue: Queue,
}

/// The registry of connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    clients: RwLock<Arc<Vec<Arc<Client>>>>,
    last_id: AtomicU64,
}

impl Hub {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// An identifier for a new connection, unique in this process.
    pub fn next_id(&self) -> ConnId {
        ConnId(self.inner.last_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Adds a connection: from now on it gets events.
    pub fn register(&self, caller: Arc<Caller>) -> Arc<Client> {
        let client = Arc::new(Client {
            caller,
            queue: Queue::default(),
        });
        let mut clients = self
            .inner
            .clients
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut next = Vec::with_capacity(clients.len() + 1);
        next.extend(clients.iter().cloned());
        next.push(client.clone());
        *clients = Arc::new(next);
        client
    }

    /// Removes a connection; what waits for it is gone.
    pub fn unregister(&self, id: ConnId) {
        let mut clients = self
            .inner
            .clients
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let next = clients
            .iter()
            .filter(|c| c.caller.conn != id)
            .cloned()
            .collect();
        *clients = Arc::new(next);
    }

    /// The connections of this moment.
    pub fn clients(&self) -> Arc<Vec<Arc<Client>>> {
        self.inner
            .clients
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.clients().len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sends `event` to every connection that may see it, with the connection's next `seq`.
    pub fn publish(&self, event: Event) {
        let clients = self.clients();
        if clients.is_empty() {
            return;
        }
        let scope = event.scope();
        let event = Arc::new(event);
        for client in clients.iter().filter(|c| c.caller.may_see(scope)) {
            client.queue.push_event(&event);
        }
    }

    /// Sends `event` to the named connections only, without `seq`.
    pub fn send_to(&self, targets: &[ConnId], event: Event) {
        let event = Arc::new(event);
        for client in self
            .clients()
            .iter()
            .filter(|c| targets.contains(&c.caller.conn))
        {
            client.queue.push_targeted(&event);
        }
    }

    /// Closes the connections whose credential was taken from them.
    pub fn close_device(&self, reason: &'static str, taken: impl Fn(&Caller) -> bool) {
        for client in self.clients().iter().filter(|c| taken(&c.caller)) {
            client.queue.close(Closing {
                code: client.caller.credential_close_code(),
                reason: reason.into(),
            });
        }
    }

    /// Closes everybody, after what waits for them has been written.
    pub fn close_all(&self, code: u16, reason: &'static str) {
        for client in self.clients().iter() {
            client.queue.close(Closing {
                code,
                reason: reason.into(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn join(hub: &Hub, role: &str, scopes: &[&str]) -> Arc<Client> {
        hub.register(Arc::new(Caller::for_tests(hub.next_id(), role, scopes)))
    }

    fn texts(client: &Client) -> Vec<String> {
        let mut items = Vec::new();
        client.queue.take(&mut items);
        items
            .into_iter()
            .map(|item| match item {
                Item::Event { event, seq } => event.text(seq),
                Item::Text(text) => text,
            })
            .collect()
    }

    #[test]
    fn events_reach_those_who_may_see_them() {
        let hub = Hub::new();
        let reader = join(&hub, "operator", &["operator.read"]);
        let bare = join(&hub, "operator", &[]);
        let node = join(&hub, "node", &["operator.admin"]);
        hub.publish(Event::new("chat", &json!({"runId": "r"})));
        hub.publish(Event::new("tick", &json!({"ts": 1})));
        assert_eq!(
            texts(&reader),
            [
                r#"{"type":"event","event":"chat","payload":{"runId":"r"},"seq":1}"#,
                r#"{"type":"event","event":"tick","payload":{"ts":1},"seq":2}"#,
            ]
        );
        let tick = [r#"{"type":"event","event":"tick","payload":{"ts":1},"seq":1}"#];
        assert_eq!(texts(&bare), tick);
        assert_eq!(texts(&node), tick);
    }

    #[test]
    fn targeted_events_have_no_seq() {
        let hub = Hub::new();
        let one = join(&hub, "operator", &["operator.read"]);
        let other = join(&hub, "operator", &["operator.read"]);
        hub.send_to(&[one.caller.conn], Event::new("agent", &json!({})));
        assert_eq!(
            texts(&one),
            [r#"{"type":"event","event":"agent","payload":{}}"#]
        );
        assert!(texts(&other).is_empty());
    }

    #[test]
    fn a_device_is_closed_by_role() {
        let hub = Hub::new();
        let operator = join(&hub, "operator", &[]);
        let node = join(&hub, "node", &[]);
        hub.close_device("device token revoked", |c| c.role_name() == "node");
        assert!(operator.queue.closing().is_none());
        assert_eq!(node.queue.closing().map(|c| c.code), Some(1008));
    }

    #[test]
    fn who_left_gets_nothing() {
        let hub = Hub::new();
        let gone = join(&hub, "operator", &["operator.read"]);
        hub.unregister(gone.caller.conn);
        hub.publish(Event::new("tick", &json!({"ts": 1})));
        assert!(texts(&gone).is_empty());
        assert!(hub.is_empty());
    }
}
