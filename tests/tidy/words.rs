//! Words: a type is called by the word the house has for the thing, and nothing is called after
//! a drawer.

use crate::{expect_none, source};

/// What a type name must not hold, and the word to use.
const WORDS: [(&str, &str); 10] = [
    ("User", "client, device or sender"),
    ("Transport", "channel"),
    ("Bot", "account"),
    ("Adapter", "plugin"),
    ("Packet", "inbound, outbound or receipt"),
    ("Notification", "event"),
    ("Cache", "snapshot"),
    ("Manager", "the thing itself; its task after the work"),
    ("Helper", "the thing itself"),
    ("Util", "the thing itself"),
];

/// Names that the wire gives: a message's role is `user` there.
const THE_WIRES_OWN: [&str; 1] = ["UserMessage"];

const DRAWERS: [&str; 8] = [
    "util", "utils", "helper", "helpers", "common", "manager", "misc", "shared",
];

#[test]
fn types_are_called_by_the_words_of_the_house() {
    let mut found = Vec::new();
    // Plugins speak their provider's words; the two contracts and the host speak ours.
    for file in source::all(&["schemas/src", "plugin-api", "host/src"]) {
        for keyword in ["struct", "enum", "trait", "type"] {
            for place in file.words(keyword) {
                let name = file.path_at(place + keyword.len() + 1);
                if THE_WIRES_OWN.contains(&name.as_str()) {
                    continue;
                }
                for (word, instead) in WORDS.iter().filter(|(word, _)| holds(&name, word)) {
                    let line = file.line(place);
                    found.push(format!(
                        "{}:{line}: `{name}`: not {word}, {instead}",
                        file.name
                    ));
                }
            }
        }
    }
    expect_none("a word means one thing on every floor", &found);
}

/// Whether a camel-case name holds a word as one of its parts.
fn holds(name: &str, word: &str) -> bool {
    name.match_indices(word).any(|(place, _)| {
        let next = name[place + word.len()..].chars().next();
        next.is_none_or(|c| !c.is_lowercase() || name[place + word.len()..].starts_with('s'))
    })
}

#[test]
fn nothing_is_a_drawer() {
    let found: Vec<_> = source::workspace()
        .iter()
        .filter(|file| {
            let steps = file.name.trim_end_matches(".rs").split('/');
            steps.into_iter().any(|step| DRAWERS.contains(&step))
        })
        .map(|file| file.name.clone())
        .collect();
    expect_none("a file is called after what lives in it", &found);
}

#[test]
fn parts_of_names_are_words() {
    assert!(holds("UserList", "User") && holds("Bots", "Bot"));
    assert!(!holds("Userland", "User") && !holds("Both", "Bot"));
}
