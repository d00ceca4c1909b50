//! Whether granted scopes cover requested ones (pairing and device tokens).

/// Trims, drops blanks and repeats; keeps the first-seen order.
pub fn normalise(scopes: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(scopes.len());
    for scope in scopes.iter().map(|s| s.trim()).filter(|s| !s.is_empty()) {
        if !out.iter().any(|s| s == scope) {
            out.push(scope.to_owned());
        }
    }
    out
}

/// Like [`normalise`], sorted, as tokens store them.
pub fn normalise_sorted(scopes: &[String]) -> Vec<String> {
    let mut out = normalise(scopes);
    out.sort_unstable();
    out
}

/// The union of two lists in first-seen order.
pub fn union(old: &[String], new: &[String]) -> Vec<String> {
    normalise(&[old, new].concat())
}

/// Whether `allowed` covers `requested` for `role`.
pub fn allows(role: &str, requested: &[String], allowed: &[String]) -> bool {
    first_missing(role, requested, allowed).is_none()
}

/// The first requested scope that `allowed` doesn't cover.
pub fn first_missing(role: &str, requested: &[String], allowed: &[String]) -> Option<String> {
    let allowed = normalise(allowed);
    let has = |s: &str| allowed.iter().any(|a| a == s);
    let covered = |s: &str| {
        has(s)
            || (role == "operator"
                && ((s.starts_with("operator.") && has("operator.admin"))
                    || (s == "operator.read" && has("operator.write"))))
    };
    normalise(requested).into_iter().find(|s| !covered(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(role: &str, requested: &[&str], allowed: &[&str], expected: bool) {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            allows(role, &own(requested), &own(allowed)),
            expected,
            "{requested:?}"
        );
    }

    #[test]
    fn the_rules_of_satisfaction() {
        check("operator", &[], &[], true);
        check("operator", &["operator.read"], &[], false);
        check("operator", &["operator.read"], &["operator.write"], true);
        check("operator", &["operator.write"], &["operator.read"], false);
        check(
            "operator",
            &["operator.anything"],
            &["operator.admin"],
            true,
        );
        check("operator", &["custom"], &["operator.admin"], false);
        check(
            "operator",
            &[" operator.read ", ""],
            &["operator.read"],
            true,
        );
        check("node", &["operator.read"], &["operator.admin"], false);
        check("node", &["x"], &["x"], true);
    }
}
