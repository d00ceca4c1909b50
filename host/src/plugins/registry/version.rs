//! Which of two versions is newer, as semantic versioning has it; anything else is compared part
//! by part. Used for a registry's releases and for glibc's versions.

use std::cmp::Ordering;

/// Compares two versions: numbers as numbers, a pre-release before its release, what stands behind
/// `+` not at all.
pub fn compare(one: &str, two: &str) -> Ordering {
    let ((one, one_early), (two, two_early)) = (parts(one), parts(two));
    dotted(one, two).then_with(|| match (one_early, two_early) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(two)) => identifiers(one, two),
    })
}

/// The numbers, and what stands behind the first `-`.
fn parts(text: &str) -> (&str, Option<&str>) {
    let text = text.split('+').next().unwrap_or_default();
    match text.split_once('-') {
        Some((core, early)) => (core, Some(early)),
        None => (text, None),
    }
}

/// `1.2` is `1.2.0`.
fn dotted(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one.split('.'), two.split('.'));
    loop {
        match (one.next(), two.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => match identifier(a.unwrap_or("0"), b.unwrap_or("0")) {
                Ordering::Equal => {}
                different => return different,
            },
        }
    }
}

/// More identifiers are newer if all before are equal.
fn identifiers(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one.split('.'), two.split('.'));
    loop {
        match (one.next(), two.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match identifier(a, b) {
                Ordering::Equal => {}
                different => return different,
            },
        }
    }
}

/// Numbers as numbers, and before words.
fn identifier(one: &str, two: &str) -> Ordering {
    match (one.parse::<u64>(), two.parse::<u64>()) {
        (Ok(one), Ok(two)) => one.cmp(&two),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => one.cmp(two),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_everywhere() {
        let rising = [
            "0.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2",
            "1.10.0",
            "2.0.0",
        ];
        for (n, one) in rising.iter().enumerate() {
            for (m, two) in rising.iter().enumerate() {
                assert_eq!(compare(one, two), n.cmp(&m), "{one} and {two}");
            }
        }
        assert_eq!(compare("1.2", "1.2.0+build.7"), Ordering::Equal);
        assert_eq!(compare("2.9", "2.36"), Ordering::Less);
    }
}
