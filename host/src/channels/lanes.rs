//! Work in lanes: in order inside a lane, side by side between lanes, never more than so many.
//!
//! The account's delivery uses it with one lane per conversation, the router with one per session.
//! Pure bookkeeping: whoever owns it starts the work and says when it ended.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Waiting work, sorted into lanes.
#[derive(Debug)]
pub struct Lanes<K, T> {
    /// Every lane with work, waiting or at work.
    queues: HashMap<K, VecDeque<T>>,
    /// Lanes that have work and are not busy, longest waiting first.
    ready: VecDeque<K>,
    busy: usize,
    busy_max: usize,
    len: usize,
}

impl<K: Hash + Eq + Clone, T> Lanes<K, T> {
    /// No work yet; at most `busy_max` lanes at work at a time.
    pub fn new(busy_max: usize) -> Self {
        Lanes {
            queues: HashMap::new(),
            ready: VecDeque::new(),
            busy: 0,
            busy_max,
            len: 0,
        }
    }

    /// Adds work at the end of its lane.
    pub fn push(&mut self, lane: K, work: T) {
        self.len += 1;
        match self.queues.get_mut(&lane) {
            Some(queue) => queue.push_back(work),
            None => {
                self.queues.insert(lane.clone(), VecDeque::from([work]));
                self.ready.push_back(lane);
            }
        }
    }

    /// The next work that may begin. Its lane is busy until [`Lanes::done`].
    pub fn begin(&mut self) -> Option<(K, T)> {
        if self.busy >= self.busy_max {
            return None;
        }
        let lane = self.ready.pop_front()?;
        let work = self.queues.get_mut(&lane).and_then(VecDeque::pop_front);
        let work = work.expect("a ready lane has work");
        self.busy += 1;
        self.len -= 1;
        Some((lane, work))
    }

    /// The work that `begin` gave for this lane has ended.
    pub fn done(&mut self, lane: &K) {
        debug_assert!(self.busy > 0);
        self.busy -= 1;
        match self.queues.get(lane) {
            Some(queue) if queue.is_empty() => {
                self.queues.remove(lane);
            }
            Some(_) => self.ready.push_back(lane.clone()),
            None => debug_assert!(false, "done for a lane that was not busy"),
        }
    }

    /// Takes more work of a busy lane, as long as it `fits`, from the front.
    pub fn take_while(&mut self, lane: &K, mut fits: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        let Some(queue) = self.queues.get_mut(lane) else {
            return taken;
        };
        while queue.front().is_some_and(&mut fits) {
            taken.extend(queue.pop_front());
        }
        self.len -= taken.len();
        taken
    }

    /// The work of a lane that waits, the longest waiting first.
    pub fn queued(&self, lane: &K) -> impl Iterator<Item = &T> {
        self.queues.get(lane).into_iter().flatten()
    }

    /// Whether work of a lane has begun and not ended.
    pub fn is_busy(&self, lane: &K) -> bool {
        self.queues.contains_key(lane) && !self.ready.contains(lane)
    }

    /// How much work waits to begin.
    pub fn waiting(&self) -> usize {
        self.len
    }

    /// True when nothing waits and nothing is at work.
    pub fn is_idle(&self) -> bool {
        self.len == 0 && self.busy == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn order_inside_a_lane_and_none_waits_for_another() {
        let mut lanes = Lanes::new(8);
        for (lane, work) in [("a", 1), ("a", 2), ("b", 3), ("a", 4)] {
            lanes.push(lane, work);
        }
        assert_eq!(lanes.begin(), Some(("a", 1)));
        assert_eq!(lanes.begin(), Some(("b", 3)));
        assert_eq!(lanes.begin(), None, "a is busy");
        lanes.done(&"b");
        assert_eq!(lanes.begin(), None);
        lanes.done(&"a");
        assert_eq!(lanes.begin(), Some(("a", 2)));
        lanes.push("a", 5);
        lanes.done(&"a");
        assert_eq!(lanes.begin(), Some(("a", 4)));
        lanes.done(&"a");
        assert_eq!(lanes.begin(), Some(("a", 5)));
        assert!(!lanes.is_idle());
        lanes.done(&"a");
        assert!(lanes.is_idle());
    }

    #[test]
    fn the_bound_holds_and_a_long_lane_does_not_starve_others() {
        let mut lanes = Lanes::new(2);
        for n in 0..3 {
            lanes.push("long", n);
        }
        for lane in ["b", "c"] {
            lanes.push(lane, 9);
        }
        assert_eq!(lanes.begin(), Some(("long", 0)));
        assert_eq!(lanes.begin(), Some(("b", 9)));
        assert_eq!(lanes.begin(), None, "two at work");
        lanes.done(&"long");
        assert_eq!(
            lanes.begin(),
            Some(("c", 9)),
            "c waited longer than the long lane"
        );
        assert_eq!(lanes.waiting(), 2);
    }
}
