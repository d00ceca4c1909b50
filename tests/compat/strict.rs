//! The recordings of the reference, read by strict types: what our schemas promise to generated
//! clients holds for what those clients were made for. (What our gateway sends is read the same
//! way in every end-to-end test, by `support::Client`.)

use serde_json::Value;
use support::binaries::repository;
use support::strict::{definitions, problems_of};

#[test]
fn every_recording_is_read_by_strict_types() {
    let definitions = definitions();
    let (mut read, mut found) = (0, Vec::new());
    for folder in std::fs::read_dir(repository().join("schemas/examples")).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let reference = &definitions[name];
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            let is_valid = file
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("valid-");
            if !is_valid {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            let problems = problems_of(reference, &value);
            found.extend(
                problems
                    .into_iter()
                    .map(|p| format!("{}: {p}", file.display())),
            );
            read += 1;
        }
    }
    assert!(read > 200, "only {read} recordings");
    assert!(found.is_empty(), "{}", found.join("\n"));
}
