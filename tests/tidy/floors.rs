//! The order of the `mod` lines in `host/src/lib.rs` is the order of the floors: a module uses
//! only modules above its own line.

use crate::expect_none;
use crate::source::{self, Source};

#[test]
fn modules_use_only_floors_above_their_own() {
    let files = source::all(&["host/src"]);
    let floors = floors(&files);
    assert!(
        floors.len() > 10,
        "the map of the daemon was not understood: {floors:?}"
    );
    let mut found = Vec::new();
    for file in &files {
        let Some(own) = floors.iter().position(|floor| lives_in(&file.name, floor)) else {
            continue;
        };
        for (line, used) in uses(file) {
            let place = floors.iter().position(|floor| *floor == used);
            if place.is_some_and(|place| place > own) && !file.in_test(line) {
                let name = &file.name;
                found.push(format!(
                    "{name}:{line}: `{}` uses `{used}`, a floor below",
                    floors[own]
                ));
            }
        }
    }
    expect_none(
        "a module uses only modules above its own line in host/src/lib.rs",
        &found,
    );
}

fn floors(files: &[Source]) -> Vec<String> {
    let map = files
        .iter()
        .find(|file| file.name == "host/src/lib.rs")
        .unwrap();
    let mut floors = Vec::new();
    for place in map.words("mod") {
        floors.push(map.path_at(place + 4));
    }
    floors
}

fn lives_in(file: &str, floor: &str) -> bool {
    let rest = file.strip_prefix("host/src/").unwrap_or_default();
    rest == format!("{floor}.rs") || rest.starts_with(&format!("{floor}/"))
}

/// Each first step after `crate::`, also inside a group.
fn uses(file: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for place in file.places("crate::") {
        let line = file.line(place);
        let after = place + "crate::".len();
        if file.code.get(after) != Some(&'{') {
            found.push((line, first_step(&file.path_at(after))));
            continue;
        }
        let end = file.closing(after).unwrap_or(after);
        let group: String = file.code[after + 1..end].iter().collect();
        for item in top_level(&group) {
            found.push((line, first_step(item.trim())));
        }
    }
    found
}

fn first_step(path: &str) -> String {
    path.split([':', ' ', '{'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The items of a group, not those of groups inside it.
fn top_level(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (place, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    items.push(&group[start..]);
    items
}

#[test]
fn a_use_of_a_floor_below_is_seen() {
    let text = "use crate::{hub::{Hub, gateway}, cli};\nfn a() { crate::http::b() }\n";
    let file = Source::new("host/src/store/mod.rs".into(), text.into());
    let used: Vec<_> = uses(&file)
        .into_iter()
        .map(|(line, name)| format!("{line} {name}"))
        .collect();
    assert_eq!(used, ["1 hub", "1 cli", "2 http"]);
    assert!(lives_in("host/src/store/mod.rs", "store") && lives_in("host/src/clock.rs", "clock"));
}
