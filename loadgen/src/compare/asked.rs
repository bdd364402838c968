//! What two runs were asked to do: flags that differ, so that a figure is not taken for the server's difference.

use std::collections::BTreeMap;

/// Flags that say where a report goes and what is looked at, and change no load.
const NO_LOAD: [&str; 10] =
    ["--json", "--save", "--hlog", "--html", "--fail-if", "--pid", "--accounts", "--api", "--users", "--token-key"];

/// A line for each flag that differs.
pub(super) fn differences(before: &[String], after: &[String]) -> Vec<String> {
    let (before, after) = (flags(before), flags(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let said = |values: Option<&Vec<String>>| match values {
        None => "not given".to_owned(),
        Some(values) if values.iter().all(String::is_empty) => "given".to_owned(),
        Some(values) => values.join(", "),
    };
    let differing = names.into_iter().filter(|name| !NO_LOAD.contains(&name.as_str()));
    let differing = differing.filter(|name| before.get(*name) != after.get(*name));
    differing.map(|name| format!("{name}: {} | {}", said(before.get(name)), said(after.get(name)))).collect()
}

/// Values of each flag, as often as it is given; an empty one where it has none.
fn flags(arguments: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut flags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut at = arguments.iter().peekable();
    while let Some(argument) = at.next() {
        if !argument.starts_with("--") {
            continue;
        }
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (argument.as_str(), at.next_if(|next| !next.starts_with("--")).cloned().unwrap_or_default()),
        };
        flags.entry(name.to_owned()).or_default().push(value);
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_change_the_load_are_told_if_they_differ() {
        check("chat --rate 5", "chat --rate 5", "");
        check("chat --rate 5", "chat --rate=6", "--rate: 5 | 6");
        check("echo --raw --size 64", "echo --size 64", "--raw: given | not given");
        check("chat --save a --pid 1 --json", "chat --save b --pid 2 --fail-if a>1", "");
        check("chat --url a --url b", "chat --url a", "--url: a, b | a");
        check("chat --rate 5 --warmup 1", "chat --warmup 2", "--rate: 5 | not given; --warmup: 1 | 2");
    }

    fn check(before: &str, after: &str, expected: &str) {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(differences(&words(before), &words(after)).join("; "), expected);
    }
}
