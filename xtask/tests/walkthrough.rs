//! The files and functions that docs/walkthrough.md leads through exist.

use std::fs;
use std::path::Path;

#[test]
fn every_step_of_the_walkthrough_is_there() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let text = fs::read_to_string(root.join("docs/walkthrough.md")).expect("docs/walkthrough.md is in the repository");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        cells.next()?.parse::<u32>().ok()?;
        Some((cells.next()?.trim_matches('`'), cells.next()?.trim_matches('`')))
    });
    let mut steps = 0;
    for (file, function) in rows {
        let code = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(
            code.contains(&format!("fn {function}(")) || code.contains(&format!("fn {function}<")),
            "{file} has {function}"
        );
        steps += 1;
    }
    assert_eq!(steps, 10);
}
