//! The decision on one visitor: what it gets, what has to be on disk before it hears so, and who
//! else is told afterwards. Called by the devices task, and by the handle for a visitor whose
//! admission changes nothing.

use super::request::{self, Book, Visitor};
use super::token::TokenKey;
use super::{Admission, DevicesError, Grant, Reason};
use crate::auth::scopes;
use crate::clock::Clock;
use crate::limits::DEVICES_MAX;
use crate::store::devices::{DeviceRecord, PendingRecord};

/// What becomes of a visitor.
pub(super) enum Decision {
    /// It may come in; the record is as it has to be from now on, if it has one.
    Admitted {
        device: Option<Box<DeviceRecord>>,
        /// The request that was approved without asking anybody.
        approved: Option<Box<PendingRecord>>,
    },
    /// Somebody has to approve first.
    Waits {
        request: Box<PendingRecord>,
        reason: Reason,
        /// Not merged into a request that waits already.
        is_new: bool,
    },
}

/// Decides. `joining` devices are new in the same transaction.
pub(super) fn decide(
    book: &Book,
    visitor: &Visitor,
    exempt: bool,
    joining: usize,
    clock: &Clock,
) -> Result<Decision, DevicesError> {
    let now = clock.now_ms();
    if !request::came_rightly(book, visitor, now) {
        return Err(DevicesError::TokenGone);
    }
    let device = book.devices.get(&visitor.device_id);
    let reason = request::obstacle(device, visitor).filter(|_| !exempt);
    let Some(reason) = reason else {
        let device = device.map(|old| Box::new(settled(old, visitor, exempt, clock)));
        return Ok(Decision::Admitted {
            device,
            approved: None,
        });
    };
    if let Some(given) = handed_over(visitor, reason) {
        room_for(book, device, joining)?;
        let request = request::ask(&Book::default(), visitor, reason, now, clock.uuid()).request;
        let paired = request::approve(device, &request, now, generation(clock));
        let both = with_operator(paired, given, now, generation(clock))?;
        return Ok(Decision::Admitted {
            device: Some(Box::new(settled(&both, visitor, true, clock))),
            approved: Some(Box::new(request)),
        });
    }
    let asked = request::ask(book, visitor, reason, now, clock.uuid());
    if let Some(excess) = request::scopes_excess(&asked.request.scopes) {
        return Err(DevicesError::TooLarge(excess));
    }
    if !asked.silent {
        return Ok(Decision::Waits {
            request: Box::new(asked.request),
            reason,
            is_new: asked.created,
        });
    }
    room_for(book, device, joining)?;
    let paired = request::approve(device, &asked.request, now, generation(clock));
    if let Some(excess) = request::scopes_excess(&paired.approved_scopes) {
        return Err(DevicesError::TooLarge(excess));
    }
    Ok(Decision::Admitted {
        device: Some(Box::new(settled(&paired, visitor, true, clock))),
        approved: Some(Box::new(asked.request)),
    })
}

fn room_for(
    book: &Book,
    device: Option<&DeviceRecord>,
    joining: usize,
) -> Result<(), DevicesError> {
    if device.is_none() && book.devices.len() + joining >= DEVICES_MAX {
        return Err(DevicesError::TooMany);
    }
    Ok(())
}

/// What a visitor is handed as operator, when its setup code stands for the approval: it asks for
/// nothing but to be a node.
fn handed_over(visitor: &Visitor, reason: Reason) -> Option<&[String]> {
    let asks_little = visitor.scopes.is_empty();
    let upgrade = matches!(reason, Reason::NotPaired | Reason::RoleUpgrade);
    visitor
        .handoff
        .as_deref()
        .filter(|_| upgrade && asks_little)
}

/// The record with the operator's role and a token for it.
fn with_operator(
    mut device: DeviceRecord,
    given: &[String],
    now: u64,
    generation: u64,
) -> Result<DeviceRecord, DevicesError> {
    if given.is_empty() {
        return Ok(device);
    }
    let role = "operator";
    device.roles = scopes::union(&device.roles, &[role.to_owned()]);
    device.scopes = scopes::union(&device.scopes, given);
    device.approved_scopes = scopes::union(&device.approved_scopes, given);
    if let Some(excess) = request::scopes_excess(&device.approved_scopes) {
        return Err(DevicesError::TooLarge(excess));
    }
    if !request::token_serves(&device, role, given) {
        let wanted = scopes::normalise_sorted(given);
        let token = request::new_token(device.tokens.get(role), wanted, now, generation);
        device.tokens.insert(role.to_owned(), token);
    }
    Ok(device)
}

/// The verdict on a visitor that is let in without any change; `None` when there is something to
/// decide or to write.
pub(super) fn unchanged(
    book: &Book,
    visitor: &Visitor,
    exempt: bool,
    key: &TokenKey,
) -> Option<Admission> {
    let Some(device) = book.devices.get(&visitor.device_id) else {
        return exempt.then(|| admission(None, visitor, key));
    };
    let known = exempt
        || (request::obstacle(Some(device), visitor).is_none()
            && request::touched(device, visitor) == *device);
    (known && !needs_token(device, visitor)).then(|| admission(Some(device), visitor, key))
}

/// The answer to an admitted visitor.
pub(super) fn admission(
    device: Option<&DeviceRecord>,
    visitor: &Visitor,
    key: &TokenKey,
) -> Admission {
    let grant = device
        .filter(|device| is_entitled(device, visitor))
        .and_then(|device| grant(device, &visitor.role, key));
    let others = match (device, &visitor.handoff) {
        (Some(device), Some(_)) => others(device, &visitor.role, key),
        _ => Vec::new(),
    };
    let pinned = device.map(|d| (d.about.platform.clone(), d.about.device_family.clone()));
    Admission::Admitted {
        grant,
        others,
        pinned: pinned.unwrap_or_default(),
    }
}

fn others(device: &DeviceRecord, role: &str, key: &TokenKey) -> Vec<(String, Grant)> {
    let roles = device.tokens.keys().filter(|other| *other != role);
    let live = roles.filter(|role| request::token_serves(device, role, &[]));
    live.filter_map(|role| Some((role.clone(), grant(device, role, key)?)))
        .collect()
}

/// The live token of a role.
pub(super) fn grant(device: &DeviceRecord, role: &str, key: &TokenKey) -> Option<Grant> {
    let token = device.tokens.get(role)?;
    Some(Grant {
        token: key.derive(&device.device_id, role, token.generation),
        scopes: token.scopes.clone(),
        issued_at_ms: token.rotated_at_ms.unwrap_or(token.created_at_ms),
    })
}

/// A number that no token was made from.
pub(super) fn generation(clock: &Clock) -> u64 {
    u64::from_be_bytes(clock.random())
}

/// The record of an admitted visitor, with a token of its role that serves.
fn settled(old: &DeviceRecord, visitor: &Visitor, exempt: bool, clock: &Clock) -> DeviceRecord {
    let mut device = if exempt {
        old.clone()
    } else {
        request::touched(old, visitor)
    };
    if needs_token(&device, visitor) {
        let wanted = scopes::normalise_sorted(&visitor.scopes);
        let old = device.tokens.get(&visitor.role);
        let token = request::new_token(old, wanted, clock.now_ms(), generation(clock));
        device.tokens.insert(visitor.role.clone(), token);
    }
    device
}

fn needs_token(device: &DeviceRecord, visitor: &Visitor) -> bool {
    is_entitled(device, visitor) && !request::token_serves(device, &visitor.role, &visitor.scopes)
}

fn is_entitled(device: &DeviceRecord, visitor: &Visitor) -> bool {
    scopes::allows(&visitor.role, &visitor.scopes, &device.approved_scopes)
}
