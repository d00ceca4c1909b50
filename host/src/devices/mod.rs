//! Devices and their pairing: one task decides, the store remembers.
//!
//! Called by the handshake ([`Devices::check_token`], [`Devices::admit`]) and by the methods
//! `device.*`. Every decision and its writes are one transaction: what was answered survives a
//! crash. Whoever is let in without any change is looked up here, in the asker's own task. The
//! rules themselves are pure functions in [`request`].

mod admit;
mod overlap;
pub mod request;
mod setup;
mod task;
pub mod token;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use gateway_schemas::devices::{DevicePairList, PairedDevice};
use gateway_schemas::nodes::NodeRow;
use tokio::sync::{mpsc, oneshot};

use crate::auth::scopes;
use crate::clock::Clock;
use crate::hub::Hub;
use crate::limits::DEVICES_QUEUE_MAX;
use crate::shutdown::Tasks;
use crate::store::devices::DeviceRecord;
use crate::store::{Store, StoreError};
use request::Book;
pub use request::{Reason, Visitor};
pub use setup::{CodePass, SetupCode};
use task::{DevicesTask, Job};
use token::TokenKey;

/// Asks the devices task. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Devices {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

/// What the handle may look up. Only the task decides, and it writes before it believes.
#[derive(Debug)]
struct Shared {
    book: RwLock<Book>,
    key: TokenKey,
    clock: Clock,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a device operation failed.
#[derive(Clone, Debug)]
pub enum DevicesError {
    /// No request with this id waits.
    UnknownRequest,
    /// No such device.
    UnknownDevice,
    /// No such device, or no such role on it, or more than it was approved for.
    UnknownDeviceOrRole,
    /// The caller may not give what it has not.
    MissingScope(String),
    /// The table of devices is full.
    TooMany,
    /// The token that a visitor came with was taken from it meanwhile.
    TokenGone,
    /// More than will be stored of one device; says what.
    TooLarge(String),
    /// The store failed, or the task has ended.
    Store(Arc<StoreError>),
}

impl std::fmt::Display for DevicesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownRequest => f.write_str("unknown requestId"),
            Self::UnknownDevice => f.write_str("unknown deviceId"),
            Self::UnknownDeviceOrRole => f.write_str("unknown deviceId/role"),
            Self::MissingScope(scope) => write!(f, "missing scope: {scope}"),
            Self::TokenGone => f.write_str("the device token was revoked"),
            Self::TooLarge(what) => f.write_str(what),
            Self::TooMany => f.write_str("too many paired devices: remove one first"),
            Self::Store(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for DevicesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(e) => Some(&**e),
            _ => None,
        }
    }
}

impl From<StoreError> for DevicesError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// A device token as it is handed to its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The token itself.
    pub token: String,
    /// What it is good for; may exceed what this connection asked for.
    pub scopes: Vec<String>,
    /// When it was made, ms.
    pub issued_at_ms: u64,
}

/// The verdict on a visitor.
#[derive(Clone, Debug)]
pub enum Admission {
    /// It may come in.
    Admitted {
        /// Its device token, when it has or gets one.
        grant: Option<Grant>,
        /// Those of its other roles, when a setup code hands them over.
        others: Vec<(String, Grant)>,
        /// Platform and family as they were approved.
        pinned: (Option<String>, Option<String>),
    },
    /// Somebody has to approve first.
    Pending {
        /// The waiting request.
        request_id: String,
        /// Why.
        reason: Reason,
    },
}

/// Who asks for a change, for the checks of what it may give away.
#[derive(Clone, Debug)]
pub struct Giver {
    /// Its scopes.
    pub scopes: Vec<String>,
}

impl Devices {
    /// Loads the book and starts the task.
    ///
    /// # Errors
    /// [`StoreError`] when the stored devices can't be read.
    pub fn start(
        clock: Clock,
        store: Store,
        hub: Hub,
        key: TokenKey,
        tasks: &Tasks,
    ) -> Result<Devices, StoreError> {
        let (jobs, queue) = mpsc::channel(DEVICES_QUEUE_MAX);
        let book = RwLock::new(task::load(&store)?);
        let shared = Arc::new(Shared { book, key, clock });
        let task = DevicesTask::new(shared.clone(), store, hub);
        tasks.spawn("devices", task.run(queue, tasks.stop_token().clone()));
        Ok(Devices { jobs, shared })
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, DevicesError>>) -> Job,
    ) -> Result<T, DevicesError> {
        let closed = || DevicesError::from(StoreError::Closed);
        let (answer, answered) = oneshot::channel();
        self.jobs.send(job(answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// The generation of `token`, when it is a live token of the device and role and covers
    /// `wanted`. A rotated token counts as live until its time is up, but opens nothing that its
    /// successor doesn't.
    pub fn check_token(
        &self,
        device_id: &str,
        role: &str,
        wanted: &[String],
        token: &str,
    ) -> Option<u64> {
        let now = self.shared.clock.now_ms();
        let mut book = self.shared.write();
        let device = book.devices.get_mut(device_id)?;
        let own = device.tokens.get_mut(role)?;
        let matches =
            |generation| (self.shared.key).matches(device_id, role, generation, token.trim());
        let previous = request::live_previous(own, now).filter(|p| matches(p.generation));
        let (generation, held) = match previous {
            Some(previous) => (previous.generation, &previous.scopes),
            None => (own.generation, &own.scopes),
        };
        let good = own.revoked_at_ms.is_none()
            && (matches(generation) || request::is_imported(own, token))
            && scopes::allows(role, &own.scopes, &device.approved_scopes)
            && scopes::allows(role, wanted, held)
            && scopes::allows(role, wanted, &own.scopes);
        if good {
            // Written along with the device's next change: not worth a commit for each connect.
            own.last_used_at_ms = Some(now);
        }
        good.then_some(generation)
    }

    /// Whether a device still has what it was admitted with: the grant it is about to be told,
    /// and the token it came with. Asked after the connection was registered: whatever is taken
    /// from then on finds the connection there and closes it.
    pub fn still_grants(
        &self,
        device_id: &str,
        role: &str,
        grant: &Grant,
        came_with: Option<u64>,
    ) -> bool {
        let now = self.shared.clock.now_ms();
        let book = self.shared.read();
        let own = book.devices.get(device_id).and_then(|d| d.tokens.get(role));
        own.is_some_and(|own| {
            let key = &self.shared.key;
            own.revoked_at_ms.is_none()
                && key.matches(device_id, role, own.generation, &grant.token)
                && came_with.is_none_or(|g| request::lives(own, g, now))
        })
    }

    /// Lets the visitor in, pairs it silently, or makes its request wait.
    ///
    /// `exempt` visitors need no pairing; they get the token of a record that exists.
    ///
    /// # Errors
    /// [`DevicesError::TokenGone`], [`DevicesError::TooLarge`], [`DevicesError::TooMany`],
    /// [`DevicesError::Store`].
    pub async fn admit(&self, visitor: Visitor, exempt: bool) -> Result<Admission, DevicesError> {
        if let Some(excess) = visitor.excess() {
            return Err(DevicesError::TooLarge(excess));
        }
        {
            let book = self.shared.read();
            if !request::came_rightly(&book, &visitor, self.shared.clock.now_ms()) {
                return Err(DevicesError::TokenGone);
            }
            let known = admit::unchanged(&book, &visitor, exempt, &self.shared.key);
            if let Some(admission) = known {
                return Ok(admission);
            }
        }
        self.ask(|answer| Job::Admit {
            visitor: Box::new(visitor),
            exempt,
            answer,
        })
        .await
    }

    /// Devices that are paired as nodes, as their records have them.
    pub fn nodes(&self) -> Vec<NodeRow> {
        let book = self.shared.read();
        let is_node = |device: &&DeviceRecord| {
            let last = device.role.iter();
            device.roles.iter().chain(last).any(|role| role == "node")
        };
        let nodes = book.devices.values().filter(is_node);
        let row = |device: &DeviceRecord| NodeRow {
            node_id: device.device_id.clone(),
            display_name: device.about.display_name.clone(),
            platform: device.about.platform.clone(),
            remote_ip: device.about.remote_ip.clone(),
            paired: true,
            ..NodeRow::default()
        };
        nodes.map(row).collect()
    }

    /// Waiting requests, newest first, and paired devices, last approved first.
    ///
    /// # Errors
    /// [`DevicesError::Store`].
    pub async fn list(&self) -> Result<DevicePairList, DevicesError> {
        self.ask(|answer| Job::List { answer }).await
    }

    /// Approves a waiting request. `resolved` is published before this returns.
    ///
    /// # Errors
    /// [`DevicesError::UnknownRequest`], [`DevicesError::MissingScope`] when the giver has less
    /// than the request asks for, [`DevicesError::TooMany`], [`DevicesError::Store`].
    pub async fn approve(
        &self,
        request_id: &str,
        giver: Giver,
    ) -> Result<PairedDevice, DevicesError> {
        let request_id = request_id.to_owned();
        self.ask(|answer| Job::Approve {
            request_id,
            giver,
            answer,
        })
        .await
    }

    /// Rejects a waiting request; returns the device id.
    ///
    /// # Errors
    /// [`DevicesError::UnknownRequest`], [`DevicesError::Store`].
    pub async fn reject(&self, request_id: &str) -> Result<String, DevicesError> {
        let request_id = request_id.to_owned();
        self.ask(|answer| Job::Reject { request_id, answer }).await
    }

    /// Forgets a device and closes its connections; returns its id.
    ///
    /// # Errors
    /// [`DevicesError::UnknownDevice`], [`DevicesError::Store`].
    pub async fn remove(&self, device_id: &str) -> Result<String, DevicesError> {
        let device_id = device_id.trim().to_owned();
        self.ask(|answer| Job::Remove { device_id, answer }).await
    }

    /// Replaces the token of a device and role. The old one works on for
    /// [`crate::limits::TOKEN_OVERLAP_MS`]; connections that came with it are closed by then.
    ///
    /// # Errors
    /// [`DevicesError::UnknownDeviceOrRole`], [`DevicesError::MissingScope`],
    /// [`DevicesError::TooLarge`], [`DevicesError::Store`].
    pub async fn rotate(
        &self,
        device_id: &str,
        role: &str,
        scopes: Option<Vec<String>>,
        giver: Giver,
    ) -> Result<Grant, DevicesError> {
        let (device_id, role) = (device_id.trim().to_owned(), role.trim().to_owned());
        self.ask(|answer| Job::Rotate {
            device_id,
            role,
            scopes,
            giver,
            answer,
        })
        .await
    }

    /// Revokes the token of a device and role and closes their connections; returns the time, ms.
    ///
    /// # Errors
    /// [`DevicesError::UnknownDeviceOrRole`], [`DevicesError::Store`].
    pub async fn revoke(&self, device_id: &str, role: &str) -> Result<u64, DevicesError> {
        let (device_id, role) = (device_id.trim().to_owned(), role.trim().to_owned());
        self.ask(|answer| Job::Revoke {
            device_id,
            role,
            answer,
        })
        .await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod walk;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod walk_model;
