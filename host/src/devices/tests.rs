//! Tests of the devices task with its store: rotation, its end, and what a restart keeps.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::hub::{Caller, Client, ConnId};
use crate::limits::{SETUP_CODE_TTL_MS, SETUP_CODES_MAX, TOKEN_OVERLAP_MS, TOKEN_RETURN_MS};
use crate::store::devices::About;

/// Devices on a store of their own, with a clock that can be moved.
pub(super) struct Rig {
    pub(super) clock: Clock,
    pub(super) devices: Devices,
    pub(super) hub: Hub,
    store: Store,
    tasks: Tasks,
    folder: tempfile::TempDir,
}

impl Rig {
    pub(super) fn new() -> Rig {
        Rig::on(tempfile::tempdir().unwrap(), Clock::movable())
    }

    fn on(folder: tempfile::TempDir, clock: Clock) -> Rig {
        let store = Store::open(&folder.path().join("gateway.redb")).unwrap();
        let (hub, tasks) = (Hub::new(), Tasks::new("devices"));
        let key = TokenKey::for_tests();
        let devices = Devices::start(clock, store.clone(), hub.clone(), key, &tasks).unwrap();
        Rig {
            clock,
            devices,
            hub,
            store,
            tasks,
            folder,
        }
    }

    /// The same store in a new process, as after a crash: nothing is told to the old task.
    pub(super) async fn restart(self) -> Rig {
        self.tasks.stop(Duration::from_secs(5)).await;
        drop(self.devices);
        self.store.close().await;
        drop(self.store);
        Rig::on(self.folder, self.clock)
    }

    /// A live connection of the device that came with this token.
    pub(super) fn connected(&self, device: &str, role: &str, came_with: u64) -> Arc<Client> {
        let caller = Caller::for_tests(self.hub.next_id(), role, &[]);
        self.hub.register(Arc::new(Caller {
            device_id: Some(device.to_owned()),
            token_generation: Some(came_with),
            ..caller
        }))
    }
}

pub(super) fn visitor(device: &str, role: &str, wanted: &[String]) -> Visitor {
    Visitor {
        device_id: device.into(),
        public_key: format!("key of {device}"),
        about: About::default(),
        role: role.into(),
        scopes: wanted.to_vec(),
        silent: true,
        came_with: None,
        handoff: None,
    }
}

fn scopes(names: &[&str]) -> Vec<String> {
    names.iter().map(|s| format!("operator.{s}")).collect()
}

fn admin() -> Giver {
    Giver {
        scopes: scopes(&["admin"]),
    }
}

async fn granted(rig: &Rig, visitor: Visitor) -> Grant {
    match rig.devices.admit(visitor, false).await.unwrap() {
        Admission::Admitted { grant, .. } => grant.expect("a grant"),
        Admission::Pending { reason, .. } => panic!("waits: {reason:?}"),
    }
}

async fn closed(client: &Client) -> u16 {
    let closed = async {
        loop {
            if let Some(closing) = client.queue.closing() {
                return closing.code;
            }
            client.queue.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed)
        .await
        .expect("the connection is closed")
}

#[tokio::test]
async fn a_rotated_token_works_until_its_time_is_up() {
    let rig = Rig::new();
    let wanted = scopes(&["read", "write"]);
    let first = granted(&rig, visitor("d", "operator", &wanted)).await;
    let check = |rig: &Rig, wanted: &[String], token: &str| {
        rig.devices.check_token("d", "operator", wanted, token)
    };
    let old = check(&rig, &wanted, &first.token).expect("a live token");
    let narrow = scopes(&["read"]);
    let second = rig
        .devices
        .rotate("d", "operator", Some(narrow.clone()), admin())
        .await
        .unwrap();
    // The old one works on, for what both are good for.
    assert_eq!(check(&rig, &narrow, &first.token), Some(old));
    assert_eq!(check(&rig, &wanted, &first.token), None);
    let new = check(&rig, &narrow, &second.token).expect("the new one works");
    // Whoever comes with the old one is given the new one.
    let mut returning = visitor("d", "operator", &narrow);
    returning.came_with = Some(old);
    assert_eq!(granted(&rig, returning).await, second);

    let rig = rig.restart().await;
    assert_eq!(
        check(&rig, &narrow, &first.token),
        Some(old),
        "the overlap is on disk"
    );
    let (with_old, with_new) = (
        rig.connected("d", "operator", old),
        rig.connected("d", "operator", new),
    );
    rig.clock.advance(TOKEN_OVERLAP_MS - TOKEN_RETURN_MS);
    assert_eq!(closed(&with_old).await, 1008);
    assert_eq!(
        check(&rig, &narrow, &first.token),
        Some(old),
        "it may come back"
    );
    let late = rig.connected("d", "operator", old);
    rig.clock.advance(TOKEN_RETURN_MS);
    assert_eq!(check(&rig, &narrow, &first.token), None);
    assert_eq!(closed(&late).await, 1008);
    assert!(with_new.queue.closing().is_none());
    assert_eq!(check(&rig, &narrow, &second.token), Some(new));
}

#[tokio::test]
async fn a_second_rotation_ends_the_first_token_at_once() {
    let rig = Rig::new();
    let wanted = scopes(&["read"]);
    let first = granted(&rig, visitor("d", "operator", &wanted)).await;
    let old = rig
        .devices
        .check_token("d", "operator", &wanted, &first.token);
    let client = rig.connected("d", "operator", old.unwrap());
    for _ in 0..2 {
        rig.devices
            .rotate("d", "operator", None, admin())
            .await
            .unwrap();
    }
    assert_eq!(closed(&client).await, 1008);
    let again = rig
        .devices
        .check_token("d", "operator", &wanted, &first.token);
    assert_eq!(again, None);
}

/// What is taken between the check of a token and the admission is taken.
#[tokio::test]
async fn a_token_that_was_taken_meanwhile_lets_nobody_in() {
    let rig = Rig::new();
    let wanted = scopes(&["read"]);
    let grant = granted(&rig, visitor("d", "operator", &wanted)).await;
    let mut returning = visitor("d", "operator", &wanted);
    returning.came_with = rig
        .devices
        .check_token("d", "operator", &wanted, &grant.token);
    assert!(returning.came_with.is_some());
    rig.devices.revoke("d", "operator").await.unwrap();
    let refused = rig.devices.admit(returning.clone(), false).await;
    assert!(
        matches!(refused, Err(DevicesError::TokenGone)),
        "{refused:?}"
    );
    rig.devices.remove("d").await.unwrap();
    let refused = rig.devices.admit(returning, false).await;
    assert!(
        matches!(refused, Err(DevicesError::TokenGone)),
        "{refused:?}"
    );
    // The shared secret would pair it anew.
    granted(&rig, visitor("d", "operator", &wanted)).await;
}

#[tokio::test]
async fn a_plain_node_gets_a_token_that_works() {
    let rig = Rig::new();
    let grant = granted(&rig, visitor("n", "node", &[])).await;
    assert!(grant.scopes.is_empty());
    let checked = |role| rig.devices.check_token("n", role, &[], &grant.token);
    assert!(checked("node").is_some());
    assert!(checked("operator").is_none());
}

#[test]
fn protocol_4_has_a_close_code_of_its_own() {
    let mut caller = Caller::for_tests(ConnId(1), "node", &[]);
    assert_eq!(caller.credential_close_code(), 1008);
    caller.protocol = 4;
    assert_eq!(caller.credential_close_code(), 4001);
}

#[tokio::test]
async fn a_setup_code_has_an_end_and_there_are_only_so_many() {
    let rig = Rig::new();
    let first = rig.devices.make_code(admin()).await.unwrap();
    let shown = async |token: &str, device: &str, role: &str| {
        let shown = rig.devices.show_code(token, device, role).await.unwrap();
        shown.is_some()
    };
    assert!(!shown("guess", "d", "node").await);
    assert!(shown(&format!(" {} ", first.token), "d", "node").await);
    assert!(!shown(&first.token, "e", "node").await, "it is d's");
    let pass = rig.devices.show_code(&first.token, "d", "node").await;
    rig.devices.burn_code(pass.unwrap().unwrap()).await.unwrap();
    assert!(!shown(&first.token, "d", "node").await);
    assert!(
        shown(&first.token, "d", "operator").await,
        "a phone has two roles"
    );
    rig.clock.advance(SETUP_CODE_TTL_MS);
    assert!(!shown(&first.token, "d", "operator").await);
    let oldest = rig.devices.make_code(admin()).await.unwrap();
    rig.clock.advance(1);
    for _ in 0..SETUP_CODES_MAX {
        rig.devices.make_code(admin()).await.unwrap();
    }
    assert!(!shown(&oldest.token, "d", "node").await);
    assert_eq!(rig.devices.shared.read().codes.len(), SETUP_CODES_MAX);
}
