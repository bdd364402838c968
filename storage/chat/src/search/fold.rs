//! Texts as they are compared: what looks alike, or differs in case alone, is written alike.
//!
//! Owns the folded form of a text and where each part of it comes from. Ignorable characters go, every apostrophe is
//! U+0027, then compatibility composition (NFKC) and case folding go grapheme by grapheme, so a part of a text folds to
//! a part of the folded text, wherever it is cut between graphemes. PROTOCOL.md promises it for texts and queries
//! alike. Part of the index's format: another way of folding is another format.

use schema::text::is_ignorable;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// A text, folded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Folded {
    /// The folded text.
    pub(super) text: String,
    /// Where the two stop running in step: a place in `text`, and the place in the original from which it goes on.
    /// Ascending in both. Texts that fold to themselves have none.
    jumps: Vec<(usize, usize)>,
}

impl Folded {
    /// Folds a text.
    pub(super) fn of(original: &str) -> Self {
        let mut folded = Self { text: String::with_capacity(original.len()), jumps: Vec::new() };
        let mut at = 0;
        while let Some(plain) = plain_prefix(&original[at..]) {
            original[at..at + plain].chars().for_each(|c| folded.text.push(c.to_ascii_lowercase()));
            at += plain;
            let Some(grapheme) = original[at..].graphemes(true).next() else { break };
            fold_grapheme(grapheme, &mut folded.text);
            at += grapheme.len();
            if folded.original(folded.text.len()) != at {
                folded.jumps.push((folded.text.len(), at));
            }
        }
        folded
    }

    /// The place in the original of a place in the folded text.
    ///
    /// A place within what one grapheme was folded to may come out beyond that grapheme.
    pub(super) fn original(&self, at: usize) -> usize {
        let behind = self.jumps.partition_point(|&(folded, _)| folded <= at);
        let (folded, original) = behind.checked_sub(1).map_or((0, 0), |jump| self.jumps[jump]);
        original + (at - folded)
    }
}

/// Bytes at the beginning of a text that fold to themselves but for ASCII's case: characters of which each is a
/// grapheme by itself, whatever follows among them. `None` at the end of the text.
fn plain_prefix(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    chars.peek()?;
    let mut plain = 0;
    while let Some((at, c)) = chars.next() {
        if !is_plain(c) {
            break;
        }
        // What follows may belong to it: a mark, a joiner.
        match chars.peek() {
            Some(&(next, c)) if is_plain(c) => plain = next,
            Some(_) => break,
            None => plain = at + c.len_utf8(),
        }
    }
    Some(plain)
}

/// Printable ASCII, composed Hangul, and the unified ideographs of the first plane.
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{AC00}'..='\u{D7A3}' | '\u{4E00}'..='\u{9FFF}')
}

/// Case is folded by way of the upper case, which brings together what the lower case keeps apart, as ß and ss.
fn fold_grapheme(grapheme: &str, into: &mut String) {
    let shown = grapheme.chars().filter(|c| !is_ignorable(*c)).map(|c| if is_apostrophe(c) { '\'' } else { c });
    let folded = shown.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc();
    into.extend(folded);
}

/// What keyboards and editors write for an apostrophe, letters by Unicode among it.
fn is_apostrophe(c: char) -> bool {
    matches!(c,
        '\u{B4}'                    // acute accent
        | '\u{2B9}'                 // modifier letters: prime, turned comma, apostrophe, reversed comma, vertical line
        | '\u{2BB}'..='\u{2BD}'
        | '\u{2C8}'
        | '\u{55A}'                 // Armenian apostrophe
        | '\u{2018}'..='\u{201B}'   // single quotation marks
        | '\u{2032}'                // prime
        | '\u{A78B}'..='\u{A78C}'   // saltillo
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_folds_alike() {
        let check = |original: &str, expected: &str| assert_eq!(Folded::of(original).text, expected, "{original}");
        check("", "");
        check("Hello, World", "hello, world");
        check("안녕 Hello", "안녕 hello");
        check("안녕", "안녕");
        check("ＡＢＣ １２３", "abc 123");
        check("Straße STRASSE", "strasse strasse");
        check("ΣΊΣΥΦΟΣ σίσυφος", "σίσυφοσ σίσυφοσ");
        check("e\u{301}É", "éé");
        check("ｶﾞｷﾞ", "ガギ");
        check("漢字 ㍿", "漢字 株式会社");
        check("ㅋㅋ", "\u{110F}\u{110F}");
        check("a\u{301}\r\nB", "á\r\nb");
        for apostrophe in "'\u{2018}\u{2019}\u{201B}\u{2BC}\u{2BB}\u{2032}\u{B4}\u{FF07}\u{A78C}".chars() {
            check(&format!("Won{apostrophe}t"), "won't");
        }
        for ignorable in
            "\u{AD}\u{34F}\u{61C}\u{115F}\u{180E}\u{200B}\u{200C}\u{200D}\u{200E}\u{200F}\u{202A}\u{202C}\u{202E}\
                          \u{2060}\u{2064}\u{2066}\u{2069}\u{3164}\u{FE00}\u{FE0F}\u{FEFF}\u{FFA0}\u{E0001}\u{E01EF}"
                .chars()
        {
            check(&format!("{ignorable}Ki{ignorable}m{ignorable}"), "kim");
            check(&format!("{ignorable}김{ignorable}치{ignorable}"), "김치");
        }
        check("\u{202A}5678\u{202C}", "5678");
        check("e\u{34F}\u{301}", "é");
    }

    #[test]
    fn a_folded_place_is_found_in_the_original() {
        let check = |original: &str, word: &str, expected: &str| {
            let folded = Folded::of(original);
            let at = folded.text.find(word).expect("in it");
            let (begin, end) = (folded.original(at), folded.original(at + word.len()));
            assert_eq!(&original[begin..end], expected, "{word} in {original}");
        };
        check("Hello World", "world", "World");
        check("안녕 세상 Hello", "hello", "Hello");
        check("ＡＢＣ ＷＯＲＬＤ ｘ", "world", "ＷＯＲＬＤ");
        check("Straße, e\u{301}t \u{1100}\u{1161}", "가", "\u{1100}\u{1161}");
        check("ﬁx ﬁre", "fire", "ﬁre");
        check("\u{202A}56\u{AD}78\u{202C} Kim\u{200E} x", "5678", "56\u{AD}78\u{202C}");
        check("\u{202A}56\u{AD}78\u{202C} Kim\u{200E} x", "kim", "Kim\u{200E}");
    }

    #[test]
    fn a_part_of_a_text_folds_to_a_part_of_the_folded_text() {
        for original in [
            "ㅋㅏㅋ가\u{301}나 Ａ\u{302}b ﬁÉ",
            "co\u{AD}op\u{200E} won\u{2019}t \u{3164}가",
            "ｶﾞﾊﾟ漢\u{FE00}字ßẞ",
            "👍🏽 İıi K",
        ] {
            let whole = Folded::of(original).text;
            for (at, grapheme) in original.grapheme_indices(true) {
                let part = Folded::of(&original[at..]).text;
                assert!(whole.ends_with(&part), "{part} of {whole}");
                assert!(whole.contains(&Folded::of(grapheme).text), "{grapheme} of {whole}");
            }
        }
    }
}
