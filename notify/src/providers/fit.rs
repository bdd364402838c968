//! Payload limits: a text is cut so that its message fits into what a service takes.
//!
//! Owns where it is cut: at a character, with an ellipsis in the place of what is left out.

/// What stands for the rest of a text.
const ELLIPSIS: &str = "…";

/// A title and a text, for which `encode` gives what is sent, so that it has at most `bytes_max` bytes: whole if they
/// fit, or with the end of the text left out, and if that is not enough all of it and the end of the title. `None` if the
/// rest alone is too large.
pub(super) fn fit(
    title: &str,
    body: &str,
    bytes_max: usize,
    encode: impl Fn(&str, &str) -> Vec<u8>,
) -> Option<Vec<u8>> {
    let fits = |title: &str, body: &str| Some(encode(title, body)).filter(|bytes| bytes.len() <= bytes_max);
    fits(title, body)
        .or_else(|| longest(body, |body| fits(title, body)))
        .or_else(|| longest(title, |title| fits(title, "")))
}

/// The text cut to `chars_max` characters, the ellipsis among them.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max.saturating_sub(1)).chain(ELLIPSIS.chars()).collect(),
    }
}

/// What `encode` makes of the longest beginning of a text for which it makes anything: with a longer beginning it
/// makes nothing either.
fn longest<T>(text: &str, encode: impl Fn(&str) -> Option<T>) -> Option<T> {
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let cut = |kept: usize| format!("{}{ELLIPSIS}", text[..ends[kept]].trim_end());
    let (mut low, mut high) = (0, ends.len());
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        match encode(&cut(middle)) {
            Some(encoded) => (found, low) = (Some(encoded), middle + 1),
            None => high = middle,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character_and_then_the_title_is() {
        let check = |title: &str, body: &str, bytes_max, expected: Option<&str>| {
            let encode = |title: &str, body: &str| format!("{title}|{body}").into_bytes();
            let found = fit(title, body, bytes_max, encode).map(|bytes| String::from_utf8(bytes).expect("text"));
            assert_eq!(found.as_deref(), expected, "{title}|{body} in {bytes_max}");
        };
        check("title", "body", 10, Some("title|body"));
        check("title", "bodies", 11, Some("title|bo…"));
        check("title", "bodies", 9, Some("title|…"));
        check("title", "bodies", 8, Some("titl…|"));
        check("title", "a space", 11, Some("title|a…"));
        check("title", "öäüß", 13, Some("title|öä…"));
        check("title", "öäüß", 12, Some("title|ö…"));
        check("t", "🦀🦀🦀", 13, Some("t|🦀🦀…"));
        check("title", "", 4, Some("…|"));
        check("title", "body", 3, None);
        check("", "", 0, None);
    }

    #[test]
    fn characters_are_counted_with_the_ellipsis() {
        let check = |text: &str, expected: &str| assert_eq!(cut(text, 4), expected);
        check("", "");
        check("four", "four");
        check("five5", "fiv…");
        check("öäüß", "öäüß");
        check("öäüßö", "öäü…");
    }
}
