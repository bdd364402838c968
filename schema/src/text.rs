//! Names, and characters that show nothing.
//!
//! Owns what a name may consist of: a display name, a channel's title, what a client calls itself. Owns also which
//! characters are ignorable, for whoever compares texts: Unicode's Default_Ignorable_Code_Point.

/// Whether `text` can be told apart when it is shown on one line: it has a visible character, and none that breaks the
/// line or changes the direction of what stands behind it.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.chars().any(|c| !is_blank(c)) && !text.chars().any(is_forbidden)
}

/// Whether a character is Default_Ignorable_Code_Point (Unicode 16, `DerivedCoreProperties.txt`): it shows nothing by
/// itself.
#[must_use]
pub fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{AD}'                    // soft hyphen
        | '\u{34F}'                 // grapheme joiner
        | '\u{61C}'                 // Arabic letter mark
        | '\u{115F}'..='\u{1160}'   // Hangul fillers
        | '\u{17B4}'..='\u{17B5}'   // Khmer inherent vowels
        | '\u{180B}'..='\u{180F}'   // Mongolian variation selectors
        | '\u{200B}'..='\u{200F}'   // zero width, joiners, marks of direction
        | '\u{202A}'..='\u{202E}'   // embeddings and overrides of direction
        | '\u{2060}'..='\u{206F}'   // word joiner, invisible operators, isolates
        | '\u{3164}'                // Hangul filler
        | '\u{FE00}'..='\u{FE0F}'   // variation selectors
        | '\u{FEFF}'                // byte order mark
        | '\u{FFA0}'                // Hangul filler of half width
        | '\u{FFF0}'..='\u{FFF8}'
        | '\u{1BCA0}'..='\u{1BCA3}' // shorthand
        | '\u{1D173}'..='\u{1D17A}' // musical beams and slurs
        | '\u{E0000}'..='\u{E0FFF}' // tags, more variation selectors
    )
}

/// Whether a character takes room, if any, and shows nothing.
fn is_blank(c: char) -> bool {
    // Braille without dots, and the null note head.
    c.is_whitespace() || is_ignorable(c) || matches!(c, '\u{2800}' | '\u{1D159}')
}

/// Controls, line and paragraph separators, overrides, embeddings and isolates of direction, annotations between lines.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{206A}'..='\u{206F}' | '\u{FFF9}'..='\u{FFFB}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_something_on_one_line() {
        let check = |text: &str, expected: bool| assert_eq!(is_name(text), expected, "{text:?}");
        for name in [
            "Bora 보라",
            "ㅋㅋ",
            "ᄒᆞᆫ글",
            "👨\u{200D}👩\u{200D}👧",
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
            "❤\u{FE0F}",
            "کتاب\u{200C}ها",
            "שלום\u{200F}!",
            "kim\u{200E}",
            "e\u{301}",
            ".",
        ] {
            check(name, true);
        }
        for blank in [
            "",
            " ",
            "\u{3164}",
            "\u{200B}",
            "\u{AD}",
            "\u{115F}",
            "\u{1160}",
            "\u{FFA0}",
            "\u{2800}",
            "\u{2800} \u{3164}",
            "\u{FE0F}",
            "\u{FEFF}",
            "\u{2060}",
            "\u{200D}\u{200D}",
            "\u{A0}",
            "\u{3000}",
            "\u{34F}",
            "\u{17B4}",
            "\u{180E}",
            "\u{E0020}",
            "\u{1D173}",
        ] {
            check(blank, false);
        }
        for c in
            "\0\n\t\u{7F}\u{85}\u{2028}\u{2029}\u{202A}\u{202B}\u{202C}\u{202D}\u{202E}\u{2066}\u{2067}\u{2068}\u{2069}\
                  \u{206A}\u{FFF9}"
                .chars()
        {
            check(&format!("bo{c}ra"), false);
            check(&format!("bora{c}"), false);
        }
    }
}
