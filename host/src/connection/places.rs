//! How many sockets may be open that have not said hello: in all, and for each address.
//!
//! A place is taken at accept, before a byte is read, and given back at hello-ok or at the end.
//! One address can't take all of them, so that its flood leaves room for the others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places. Cheap to clone; clones share the count.
#[derive(Clone, Debug)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    most_each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    each: HashMap<IpAddr, usize>,
    refused: u64,
}

/// One place. Dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    places: Places,
    holder: IpAddr,
}

impl Places {
    /// `most` places, of which one address may hold `most_each`.
    pub fn new(most: usize, most_each: usize) -> Places {
        Places(Arc::new(Inner {
            most,
            most_each,
            taken: Mutex::default(),
        }))
    }

    /// A place for a socket of this address, if there is one.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let holder = holder(address);
        let mut taken = self.lock();
        let held = taken.each.get(&holder).copied().unwrap_or_default();
        if taken.all >= self.0.most || held >= self.0.most_each {
            taken.refused += 1;
            return None;
        }
        taken.all += 1;
        taken.each.insert(holder, held + 1);
        drop(taken);
        Some(Place {
            places: self.clone(),
            holder,
        })
    }

    /// How many are taken, and how many were refused since the last question.
    pub fn look(&self) -> (usize, u64) {
        let mut taken = self.lock();
        (taken.all, std::mem::take(&mut taken.refused))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Some(held) = taken.each.get_mut(&self.holder) {
            *held -= 1;
            if *held == 0 {
                taken.each.remove(&self.holder);
            }
        }
    }
}

/// Mapped addresses count as what they map; of IPv6 the network, which one host has whole.
fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_address_takes_them_all_and_a_dropped_one_is_free() {
        let places = Places::new(3, 2);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = places.take(address("192.0.2.1")).unwrap();
        let _second = places.take(address("::ffff:192.0.2.1")).unwrap();
        assert!(places.take(address("192.0.2.1")).is_none());
        let _third = places.take(address("2001:db8::1")).unwrap();
        assert!(places.take(address("192.0.2.9")).is_none());
        assert_eq!((places.look(), places.look()), ((3, 2), (3, 0)));
        drop(first);
        let _fourth = places.take(address("2001:db8::2")).unwrap();
        assert!(places.take(address("192.0.2.1")).is_none());
        drop((_second, _third, _fourth));
        assert!(places.lock().each.is_empty());
        assert_eq!(places.lock().all, 0);
    }
}
