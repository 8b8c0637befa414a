//! The threat model names tests: they must be there.

use std::path::Path;

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let root = testdata::workspace_dir();
    let text = std::fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let mut sources = String::new();
    for folder in ["builder/src", "builder/tests", "formats/src"] {
        collect(&root.join(folder), &mut sources);
    }
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("` |"));
    let names = rows.filter_map(|row| row.rsplit('|').nth(1));
    let names = names.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let tests: Vec<&str> = names
        .filter(|name| name.len() > 15 && !name.contains(['/', ':', ' ']))
        .collect();
    assert!(tests.len() > 30, "{tests:?}");
    for test in tests {
        assert!(
            sources.contains(&format!("fn {test}(")),
            "there is no test {test}"
        );
    }
}

fn collect(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
