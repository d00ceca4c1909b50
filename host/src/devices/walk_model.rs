//! The small model of what may happen to devices, and the dice of a walk.

use std::collections::{BTreeMap, BTreeSet};

pub(super) const DEVICES: [&str; 4] = ["d0", "d1", "d2", "d3"];
pub(super) const ROLES: [&str; 2] = ["operator", "node"];
pub(super) const SCOPES: [&str; 6] = [
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.pairing",
    "operator.talk.secrets",
    "else.where",
];

/// SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }

    pub(super) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(super) fn some_scopes(&mut self) -> Vec<String> {
        let count = self.below(4);
        (0..count).map(|_| self.one(&SCOPES).to_owned()).collect()
    }
}

/// Whether `held` covers `wanted`: the rule once more, by other means.
pub(super) fn covers(role: &str, wanted: &[String], held: &BTreeSet<String>) -> bool {
    wanted.iter().all(|w| {
        let mut enough = vec![w.as_str()];
        if role == "operator" && w.starts_with("operator.") {
            enough.push("operator.admin");
        }
        if role == "operator" && w == "operator.read" {
            enough.push("operator.write");
        }
        enough.iter().any(|e| held.contains(*e))
    })
}

pub(super) fn set(scopes: &[String]) -> BTreeSet<String> {
    scopes.iter().cloned().collect()
}

/// What the model knows of a device.
#[derive(Default)]
pub(super) struct Known {
    pub(super) paired: Option<Paired>,
    pub(super) pending: Option<Pending>,
}

pub(super) struct Paired {
    pub(super) platform: String,
    pub(super) roles: BTreeSet<String>,
    /// All that was ever given to it, by a person or silently.
    pub(super) approved: BTreeSet<String>,
    pub(super) tokens: BTreeMap<String, Token>,
}

/// A token; its text is not known before the device was told it.
pub(super) struct Token {
    pub(super) text: Option<String>,
    pub(super) scopes: BTreeSet<String>,
    pub(super) revoked: bool,
    pub(super) previous: Option<(Option<String>, BTreeSet<String>, u64)>,
}

pub(super) struct Pending {
    pub(super) id: String,
    pub(super) platform: String,
    pub(super) role: String,
    pub(super) roles: BTreeSet<String>,
    pub(super) scopes: BTreeSet<String>,
    pub(super) silent: bool,
    pub(super) ts: u64,
}
