//! Who is here: one entry for each device or program, and the version that says it changed.
//!
//! Filled by connections and by `system-event`; shown in hello-ok, `system-presence` and the
//! `presence` event. Bounded in number and age. Also counts the health snapshot's version,
//! because the wire sends the two together.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_schemas::presence::{PresenceEntry, PresenceEvent};

use crate::auth::scopes::union;
use crate::clock::Clock;
use crate::hub::{Caller, Event, Hub};
use crate::limits::{PRESENCE_ENTRIES_MAX, PRESENCE_TTL_MS};

/// The list of who is here. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Presence {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    hub: Hub,
    own: PresenceEntry,
    entries: Mutex<HashMap<String, PresenceEntry>>,
    presence_version: AtomicU64,
    health_version: AtomicU64,
}

impl Presence {
    /// A list with the gateway itself in it. `version` is the gateway's.
    pub fn new(clock: Clock, hub: Hub, version: &str) -> Self {
        let inner = Inner {
            own: own_entry(version),
            clock,
            hub,
            entries: Mutex::default(),
            presence_version: AtomicU64::new(1),
            health_version: AtomicU64::new(1),
        };
        Presence {
            inner: Arc::new(inner),
        }
    }

    /// The versions of presence and health, in this order.
    pub fn versions(&self) -> (u64, u64) {
        let load = |v: &AtomicU64| v.load(Ordering::Relaxed);
        (
            load(&self.inner.presence_version),
            load(&self.inner.health_version),
        )
    }

    /// Counts a refresh of the health snapshot; returns both versions.
    pub fn health_refreshed(&self) -> (u64, u64) {
        self.inner.health_version.fetch_add(1, Ordering::Relaxed);
        self.versions()
    }

    /// Notes a connection after its handshake. Command lines come and go and aren't shown.
    pub fn connected(&self, caller: &Caller, remote_ip: Option<&str>) {
        self.bump();
        if caller.client.mode == "cli" {
            return;
        }
        let key = key_of(caller);
        let mut entries = self.entries();
        let old = entries.get(&key);
        let fresh = connect_entry(caller, remote_ip, old, self.inner.clock.now_ms());
        entries.insert(key, fresh);
        trim(&mut entries);
    }

    /// Notes the end of a connection and tells everybody.
    pub fn disconnected(&self, caller: &Caller) {
        if caller.client.mode == "cli" {
            return;
        }
        if let Some(entry) = self.entries().get_mut(&key_of(caller)) {
            entry.reason = Some("disconnect".into());
            entry.ts = self.inner.clock.now_ms();
        }
        self.bump();
        self.publish();
    }

    /// Merges what a beacon says under `key`, and tells everybody. Returns the entry before.
    pub fn beacon(&self, key: &str, said: PresenceEntry) -> Option<PresenceEntry> {
        let key = key.to_lowercase();
        let mut entries = self.entries();
        let old = entries.get(&key).cloned();
        let merged = merge_beacon(
            old.clone().unwrap_or_default(),
            said,
            self.inner.clock.now_ms(),
        );
        entries.insert(key, merged);
        trim(&mut entries);
        drop(entries);
        self.bump();
        self.publish();
        old
    }

    /// All entries, newest first, the gateway among them.
    pub fn list(&self) -> Vec<PresenceEntry> {
        let now = self.inner.clock.now_ms();
        let mut entries = self.entries();
        entries.retain(|_, e| now.saturating_sub(e.ts) <= PRESENCE_TTL_MS);
        let mut list: Vec<_> = entries.values().cloned().collect();
        drop(entries);
        list.push(PresenceEntry {
            ts: now,
            ..self.inner.own.clone()
        });
        list.sort_by_key(|e| std::cmp::Reverse(e.ts));
        list
    }

    fn publish(&self) {
        let (presence, health) = self.versions();
        if self.inner.hub.is_empty() {
            return;
        }
        let event = PresenceEvent {
            presence: self.list(),
        };
        let json = serde_json::to_string(&event).expect("presence has text keys");
        let event = Event::versioned("presence", &json, presence, health);
        self.inner.hub.publish(event);
    }

    fn bump(&self) {
        self.inner.presence_version.fetch_add(1, Ordering::Relaxed);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, PresenceEntry>> {
        self.inner
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of(caller: &Caller) -> String {
    let id = caller
        .device_id
        .as_ref()
        .or(caller.client.instance_id.as_ref());
    id.unwrap_or(&caller.conn_uuid).to_lowercase()
}

fn trim(entries: &mut HashMap<String, PresenceEntry>) {
    while entries.len() > PRESENCE_ENTRIES_MAX {
        let oldest = entries
            .iter()
            .min_by_key(|(_, e)| e.ts)
            .map(|(key, _)| key.clone());
        oldest.map(|key| entries.remove(&key));
    }
}

/// What a fresh connect says; roles and scopes add up over the device's connections.
fn connect_entry(
    caller: &Caller,
    remote_ip: Option<&str>,
    old: Option<&PresenceEntry>,
    now: u64,
) -> PresenceEntry {
    let client = &caller.client;
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|t| !t.is_empty());
    let optional = |text: &Option<String>| text.as_deref().and_then(filled);
    let host = optional(&client.display_name).unwrap_or_else(|| client.id.clone());
    let list = |old: Option<&Vec<String>>, new: &[String]| {
        let all = union(old.map_or(&[][..], Vec::as_slice), new);
        (!all.is_empty()).then_some(all)
    };
    let text = old.and_then(|e| e.text.clone());
    PresenceEntry {
        text: Some(text.unwrap_or_else(|| format!("Node: {host} · mode {}", client.mode))),
        host: Some(host),
        ip: remote_ip.map(str::to_owned),
        version: filled(&client.version),
        platform: filled(&client.platform),
        device_family: optional(&client.device_family),
        model_identifier: optional(&client.model_identifier),
        mode: filled(&client.mode),
        last_input_seconds: old.and_then(|e| e.last_input_seconds),
        reason: Some("connect".into()),
        tags: old.and_then(|e| e.tags.clone()),
        ts: now,
        device_id: caller.device_id.clone(),
        roles: list(
            old.and_then(|e| e.roles.as_ref()),
            &[caller.role_name().to_owned()],
        ),
        scopes: list(old.and_then(|e| e.scopes.as_ref()), &caller.scopes),
        instance_id: caller
            .device_id
            .clone()
            .or_else(|| client.instance_id.clone()),
    }
}

fn merge_beacon(old: PresenceEntry, said: PresenceEntry, now: u64) -> PresenceEntry {
    let list = |new: Option<Vec<String>>, old: Option<Vec<String>>| match (new, old) {
        (Some(new), old) => Some(union(&old.unwrap_or_default(), &new)),
        (None, old) => old,
    };
    PresenceEntry {
        host: said.host.or(old.host),
        ip: said.ip.or(old.ip),
        version: said.version.or(old.version),
        platform: said.platform.or(old.platform),
        device_family: said.device_family.or(old.device_family),
        model_identifier: said.model_identifier.or(old.model_identifier),
        mode: said.mode.or(old.mode),
        last_input_seconds: said.last_input_seconds.or(old.last_input_seconds),
        reason: said.reason.or(old.reason),
        tags: old.tags,
        text: said.text.or(old.text),
        ts: now,
        device_id: said.device_id.or(old.device_id),
        roles: list(said.roles, old.roles),
        scopes: list(said.scopes, old.scopes),
        instance_id: said.instance_id.or(old.instance_id),
    }
}

fn own_entry(version: &str) -> PresenceEntry {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy().into_owned();
    let ip = lan_address().map(|a| a.to_string());
    let kernel = system.release().to_string_lossy();
    let (platform, family) = match std::env::consts::OS {
        "macos" => (format!("macos {kernel}"), "Mac"),
        os => (format!("{os} {kernel}"), "Linux"),
    };
    let shown_ip = ip.as_ref().map(|ip| format!(" ({ip})")).unwrap_or_default();
    PresenceEntry {
        text: Some(format!(
            "Gateway: {host}{shown_ip} · app {version} · mode gateway · reason self"
        )),
        host: Some(host),
        ip,
        version: Some(version.to_owned()),
        platform: Some(platform),
        device_family: Some(family.into()),
        model_identifier: Some(architecture().into()),
        mode: Some("gateway".into()),
        reason: Some("self".into()),
        ..PresenceEntry::default()
    }
}

/// The architecture as existing clients spell it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The address that this host would use on its network. Connecting a datagram socket only picks
/// a route: nothing is sent (the target is a documentation address).
pub fn lan_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::ConnId;

    fn presence() -> (Hub, Presence) {
        let hub = Hub::new();
        (hub.clone(), Presence::new(Clock::system(), hub, "1.0"))
    }

    #[test]
    fn the_gateway_is_always_there() {
        let (_hub, presence) = presence();
        let list = presence.list();
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].mode.as_deref(), Some("gateway"));
        assert!(
            list[0]
                .text
                .as_deref()
                .is_some_and(|t| t.starts_with("Gateway: "))
        );
    }

    #[test]
    fn connect_and_disconnect_keep_one_entry() {
        let (_hub, presence) = presence();
        let mut caller = Caller::for_tests(ConnId(1), "operator", &["operator.read"]);
        presence.connected(&caller, None);
        caller.role = gateway_schemas::catalogue::Role::Node;
        presence.connected(&caller, Some("10.0.0.2"));
        presence.disconnected(&caller);
        let list = presence.list();
        assert_eq!(list.len(), 2);
        let entry = list
            .iter()
            .find(|e| e.device_id.is_some())
            .expect("the device is listed");
        assert_eq!(
            entry.roles.as_deref(),
            Some(&["operator".to_owned(), "node".into()][..])
        );
        assert_eq!(entry.reason.as_deref(), Some("disconnect"));
        assert_eq!(presence.versions(), (4, 1));
    }

    #[test]
    fn command_lines_are_not_shown() {
        let (_hub, presence) = presence();
        let mut caller = Caller::for_tests(ConnId(1), "operator", &[]);
        caller.client.mode = "cli".into();
        presence.connected(&caller, None);
        presence.disconnected(&caller);
        assert_eq!(presence.list().len(), 1);
    }

    #[test]
    fn the_list_is_bounded() {
        let (_hub, presence) = presence();
        for i in 0..PRESENCE_ENTRIES_MAX + 20 {
            presence.beacon(&format!("host-{i}"), PresenceEntry::default());
        }
        assert_eq!(presence.list().len(), PRESENCE_ENTRIES_MAX + 1);
    }
}
