//! Whether granted scopes cover requested ones (pairing and device tokens).

/// Trims, drops blanks and repeats; keeps the first-seen order.
pub fn normalise(scopes: &[String]) -> Vec<String> {
    distinct(filled(scopes), scopes.len())
}

/// Like [`normalise`], sorted, as tokens store them.
pub fn normalise_sorted(scopes: &[String]) -> Vec<String> {
    let mut out = normalise(scopes);
    out.sort_unstable();
    out
}

/// The union of two lists in first-seen order.
pub fn union(old: &[String], new: &[String]) -> Vec<String> {
    distinct(filled(old).chain(filled(new)), old.len() + new.len())
}

/// Without spaces around them and without empty ones.
fn filled(scopes: &[String]) -> impl Iterator<Item = &str> {
    scopes.iter().map(|s| s.trim()).filter(|s| !s.is_empty())
}

fn distinct<'a>(scopes: impl Iterator<Item = &'a str>, most: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(most);
    for scope in scopes {
        if !out.iter().any(|s| s == scope) {
            out.push(scope.to_owned());
        }
    }
    out
}

/// Whether `allowed` covers `requested` for `role`.
pub fn allows(role: &str, requested: &[String], allowed: &[String]) -> bool {
    first_missing(role, requested, allowed).is_none()
}

/// The first requested scope that `allowed` doesn't cover.
pub fn first_missing(role: &str, requested: &[String], allowed: &[String]) -> Option<String> {
    // Asked several times in each connect: nothing is copied.
    let has = |s: &str| filled(allowed).any(|a| a == s);
    let covered = |s: &str| {
        has(s)
            || (role == "operator"
                && ((s.starts_with("operator.") && has("operator.admin"))
                    || (s == "operator.read" && has("operator.write"))))
    };
    filled(requested).find(|s| !covered(s)).map(str::to_owned)
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
