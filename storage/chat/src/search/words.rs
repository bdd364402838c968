//! Terms of a text: words, and runs of characters of writing without reliable word borders.
//!
//! Owns where a folded text is cut, and the numbers (terms) that stand for its parts in the index. Hangul, Han, Kana,
//! Thai, Lao, Burmese and Khmer are runs: of a run every two characters that follow each other are a term, and its last
//! character with nothing behind it, so that every character begins a term and one alone can be looked for too. What
//! lies between runs is cut into words: letters, or digits, with their marks. All else separates, so that a part of a
//! name, a path, a number or a time is found as one of its words. Part of the index's format.

use schema::UserId;
use unicode_normalization::char::is_combining_mark;
use xxhash_rust::xxh3::xxh3_64;

/// A term: 26 bits. Of a pair the first character is the upper 16, the second the lower 10; of all else, as mixed as
/// they come.
///
/// Terms of different words may be equal, since whatever the index says is compared with the text itself. In a segment
/// of 10,000 terms a word that is not there is taken to be there in one of 6,700 cases; a pair oftener, in as many of
/// 1,024 as the segment has pairs that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Term(pub(super) u32);

/// Bits of a term.
pub(super) const TERM_BITS: u32 = 26;
/// Bits of a pair's second character.
const SECOND_BITS: u32 = 10;

impl Term {
    /// A word.
    fn word(word: &str) -> Self {
        Self::mixed(xxh3_64(word.as_bytes()))
    }

    /// Who sent a message.
    pub(super) fn sender(user: UserId) -> Self {
        let mut named = *b"from:\0\0\0\0\0\0\0\0";
        named[5..].copy_from_slice(&user.0.to_be_bytes());
        Self::mixed(xxh3_64(&named))
    }

    fn mixed(hash: u64) -> Self {
        Self(u32::try_from(hash >> (u64::BITS - TERM_BITS)).expect("26 bits"))
    }

    /// Two characters of a run, or its last.
    fn pair(first: char, second: Option<char>) -> Self {
        let second = second.map_or(0, |second| xxh3_64(&u32::from(second).to_be_bytes()) >> (u64::BITS - SECOND_BITS));
        Self(Self::first(first).0 | u32::try_from(second).expect("10 bits"))
    }

    /// The least term of those that a character begins.
    fn first(first: char) -> Self {
        let hash = xxh3_64(&u32::from(first).to_be_bytes()) >> (u64::BITS - (TERM_BITS - SECOND_BITS));
        Self(u32::try_from(hash).expect("16 bits") << SECOND_BITS)
    }
}

/// Terms of which a message must have one: from the first to and with the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TermRange {
    pub(super) first: Term,
    pub(super) last: Term,
}

impl From<Term> for TermRange {
    fn from(term: Term) -> Self {
        Self { first: term, last: term }
    }
}

/// A part of a folded text that can be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A word.
    Word(&'a str),
    /// Characters of Hangul, Han or Kana without a break.
    Run(&'a str),
}

impl Piece<'_> {
    /// The terms that a message has for it.
    pub(super) fn terms(self, mut each: impl FnMut(Term)) {
        match self {
            Self::Word(word) => each(Term::word(word)),
            Self::Run(run) => {
                let mut chars = run.chars().peekable();
                while let Some(first) = chars.next() {
                    each(Term::pair(first, chars.peek().copied()));
                }
            }
        }
    }

    /// The terms that a message must have to have this in it, the most telling first.
    pub(super) fn wanted(self, mut each: impl FnMut(TermRange)) {
        match self {
            Self::Word(word) => each(Term::word(word).into()),
            Self::Run(run) => {
                let mut chars = run.chars();
                let mut first = chars.next().expect("a run is not empty");
                if chars.as_str().is_empty() {
                    let least = Term::first(first);
                    each(TermRange { first: least, last: Term(least.0 | ((1 << SECOND_BITS) - 1)) });
                }
                for second in chars {
                    each(Term::pair(first, Some(second)).into());
                    first = second;
                }
            }
        }
    }
}

/// The parts of a folded text that can be looked for, in their order, with where they begin.
pub(super) fn pieces(folded: &str) -> impl Iterator<Item = (usize, Piece<'_>)> + Clone {
    let mut rest = folded;
    std::iter::from_fn(move || {
        let mut next = rest.char_indices().map(|(at, c)| (at, Kind::of(c)));
        // A mark belongs to the word that it stands in, and to none behind anything else.
        let (begin, kind) = next.find(|(_, kind)| !matches!(kind, Kind::Separator | Kind::Mark))?;
        let belongs = |other: Kind| other == kind || other == Kind::Mark && kind != Kind::Run;
        let end = next.find(|&(_, other)| !belongs(other)).map_or(rest.len(), |(end, _)| end);
        let at = folded.len() - rest.len() + begin;
        let piece = &rest[begin..end];
        rest = &rest[end..];
        Some((at, if kind == Kind::Run { Piece::Run(piece) } else { Piece::Word(piece) }))
    })
}

/// What a folded character does to the cutting of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Digit,
    Mark,
    Run,
    Separator,
}

impl Kind {
    fn of(c: char) -> Self {
        match c {
            'a'..='z' | 'A'..='Z' => Self::Letter,
            '0'..='9' => Self::Digit,
            '\0'..='\u{7F}' => Self::Separator,
            _ if in_runs(c) => Self::Run,
            _ if is_combining_mark(c) => Self::Mark,
            _ if c.is_numeric() => Self::Digit,
            _ if c.is_alphabetic() => Self::Letter,
            _ => Self::Separator,
        }
    }
}

/// Whether a folded character is of a writing without reliable word borders.
fn in_runs(c: char) -> bool {
    matches!(c,
        '\u{E01}'..='\u{E3A}'       // Thai
        | '\u{E40}'..='\u{E4E}'
        | '\u{E81}'..='\u{ECE}'     // Lao
        | '\u{EDC}'..='\u{EDF}'
        | '\u{1000}'..='\u{103F}'   // Burmese
        | '\u{1050}'..='\u{108F}'
        | '\u{1100}'..='\u{11FF}'   // Hangul that is not composed
        | '\u{1780}'..='\u{17D3}'   // Khmer
        | '\u{3005}'..='\u{3007}'   // Han: repetition, closing, zero
        | '\u{3041}'..='\u{3096}'   // Hiragana
        | '\u{309D}'..='\u{309F}'
        | '\u{30A1}'..='\u{30FA}'   // Katakana
        | '\u{30FC}'..='\u{30FF}'
        | '\u{31F0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}'   // Han
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{A960}'..='\u{A97C}'   // Hangul that is not composed
        | '\u{AC00}'..='\u{D7FB}'   // Hangul
        | '\u{F900}'..='\u{FAFF}'   // Han
        | '\u{20000}'..='\u{3FFFF}'
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_text_is_cut_into_words_and_runs() {
        let check = |text: &str, expected: &str| {
            let found: Vec<String> = pieces(text)
                .map(|(at, piece)| {
                    let (found, shown) = match piece {
                        Piece::Word(word) => (word, word.to_owned()),
                        Piece::Run(run) => (run, format!("[{run}]")),
                    };
                    assert!(text[at..].starts_with(found), "{found} is not at {at} of {text}");
                    shown
                })
                .collect();
            assert_eq!(found.join(" "), expected, "{text}");
        };
        check("", "");
        check("hello, world! it's 3.14", "hello world it s 3 14");
        check("report_final_v2.pdf", "report final v 2 pdf");
        check("10.4.1.74/mysql_threads-connected", "10 4 1 74 mysql threads connected");
        check("2026-11-28t10:00:00z", "2026 11 28 t 10 00 00 z");
        check("e\u{302}\u{301}te\u{301} \u{301}x", "e\u{302}\u{301}te\u{301} x");
        check("हिन्दी में", "हिन्दी में");
        check("สวัสดีครับ abc๑๒", "[สวัสดีครับ] abc ๑๒");
        check("안녕하세요 여러분", "[안녕하세요] [여러분]");
        check("iphone을 샀다", "iphone [을] [샀다]");
        check("東京タワーへ行く", "[東京タワーへ行く]");
        check("rust로 쓴 chat서버", "rust [로] [쓴] chat [서버]");
        check("👍 ... !!", "");
        check("naïve résumé привет", "naïve résumé привет");
        check("\u{110F}\u{110F} 네", "[\u{110F}\u{110F}] [네]");
    }

    #[test]
    fn what_is_wanted_is_among_the_terms_of_every_text_that_has_it() {
        let check = |text: &str, query: &str, expected: bool| {
            let mut terms = BTreeSet::new();
            pieces(text).for_each(|(_, piece)| piece.terms(|term| terms.extend([term])));
            let mut found = true;
            let mut look = |range: TermRange| found &= terms.range(range.first..=range.last).next().is_some();
            pieces(query).for_each(|(_, piece)| piece.wanted(&mut look));
            assert_eq!(found, expected, "{query} in {text}");
        };
        check("우리집에 와", "우리집", true);
        check("우리집에 와", "리집", true);
        check("우리집에 와", "집", true);
        check("우리집", "집", true);
        check("우리 집", "집", true);
        check("우리 집", "우리집", false);
        check("우리집", "짐", false);
        check("hello world", "world hello", true);
        check("hello world", "worl", false);
        check("iphone을 샀다", "iphone", true);
        check("iphone을 샀다", "을", true);
    }

    #[test]
    fn terms_are_part_of_the_format() {
        let term = |piece: Piece<'_>| {
            let mut terms = Vec::new();
            piece.terms(|term| terms.push(term.0));
            terms
        };
        assert_eq!(term(Piece::Word("hello")), [39_147_425]);
        assert_eq!(term(Piece::Run("안녕")), [35_220_166, 46_585_856]);
        assert_eq!(Term::sender(UserId(7)).0, 57_138_178);
        assert!(term(Piece::Run("안녕")).iter().all(|term| *term < 1 << TERM_BITS));
    }
}
