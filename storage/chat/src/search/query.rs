//! Query of a search, and its match against a text.
//!
//! Owns the rules of a query and the snippet that is shown of a hit. A text has a query if it has each of its phrases,
//! as words that follow each other, and each of its runs, as part of a run. A phrase is words with no blank and no run
//! between them: mostly one, but three of a date.

use schema::limits::SEARCH_CHARS_MAX;
use schema::{ErrorCode, Refusal, UserId};

use super::fold::Folded;
use super::words::{Piece, Term, TermRange, pieces};

/// Characters of a snippet, and those of them that stand before what was found.
const SNIPPET_CHARS: usize = 80;
const SNIPPET_CHARS_BEFORE: usize = 24;

/// A query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    phrases: Vec<Vec<String>>,
    runs: Vec<String>,
    /// What a message must have in the index: of each of these one term.
    pub(super) terms: Vec<TermRange>,
}

impl Query {
    /// Reads a query: the words, and whose messages alone.
    ///
    /// # Errors
    /// 106 beyond 200 characters, 107 if there is nothing in it to look for.
    pub(super) fn parse(text: &str, from: Option<UserId>) -> Result<Self, Refusal> {
        let length = text.chars().count();
        if length > SEARCH_CHARS_MAX as usize {
            let text = format!("the query is {length} characters, the limit is {SEARCH_CHARS_MAX}");
            return Err(Refusal::new(ErrorCode::LimitExceeded, text));
        }
        let folded = Folded::of(text).text;
        let (mut phrases, mut runs, mut terms) = (Vec::<Vec<String>>::new(), Vec::new(), Vec::new());
        // Where the last piece ended, if it was a word.
        let mut word_end = None;
        for (at, piece) in pieces(&folded) {
            piece.wanted(|range| terms.push(range));
            match piece {
                Piece::Word(word) => {
                    let goes_on = word_end.is_some_and(|end| !folded[end..at].contains(char::is_whitespace));
                    match phrases.last_mut().filter(|_| goes_on) {
                        Some(phrase) => phrase.push(word.to_owned()),
                        None => phrases.push(vec![word.to_owned()]),
                    }
                    word_end = Some(at + word.len());
                }
                Piece::Run(run) => {
                    runs.push(run.to_owned());
                    word_end = None;
                }
            }
        }
        if terms.is_empty() {
            return Err(Refusal::new(ErrorCode::BadRequest, "the query has no word to look for"));
        }
        // One term first: what a single character begins is many.
        terms.sort_by_key(|range| (range.last.0 - range.first.0, *range));
        terms.dedup();
        terms.extend(from.map(|user| TermRange::from(Term::sender(user))));
        Ok(Self { phrases, runs, terms })
    }

    /// What is shown of a text that has what is asked for; `None` of one that has not.
    pub(super) fn snippet(&self, text: &str) -> Option<String> {
        let folded = Folded::of(text);
        let at = self.first_in(&folded.text)?;
        Some(cut(text, folded.original(at)))
    }

    /// Where the first part of the query stands in a folded text that has them all.
    fn first_in(&self, folded: &str) -> Option<usize> {
        let mut first: Option<usize> = None;
        let mut phrases: Vec<&[String]> = self.phrases.iter().map(Vec::as_slice).collect();
        let mut runs: Vec<&str> = self.runs.iter().map(String::as_str).collect();
        let mut pieces = pieces(folded);
        while let Some((at, piece)) = pieces.next() {
            let mut found = |within: usize| first = Some(first.map_or(at + within, |first| first.min(at + within)));
            match piece {
                Piece::Word(text) => phrases.retain(|phrase| {
                    let (word, rest) = phrase.split_first().expect("a phrase has a word");
                    let here = word == text && follow(pieces.clone(), rest);
                    if here {
                        found(0);
                    }
                    !here
                }),
                Piece::Run(text) => runs.retain(|run| {
                    let here = text.find(run);
                    here.map(&mut found);
                    here.is_none()
                }),
            }
            if phrases.is_empty() && runs.is_empty() {
                return first;
            }
        }
        None
    }
}

/// Whether these words come next.
fn follow<'a>(mut pieces: impl Iterator<Item = (usize, Piece<'a>)>, words: &[String]) -> bool {
    words.iter().all(|word| pieces.next().is_some_and(|(_, piece)| piece == Piece::Word(word)))
}

/// The part of a text about a place in it.
fn cut(text: &str, at: usize) -> String {
    let at = text.floor_char_boundary(at);
    let back = |from: usize, chars: usize| -> usize {
        text[..from].char_indices().rev().take(chars).last().map_or(from, |(at, _)| at)
    };
    let begin = back(at, SNIPPET_CHARS_BEFORE);
    let rest: String = text[begin..].chars().take(SNIPPET_CHARS).collect();
    // A find near the end leaves room for what stands before it.
    let room = SNIPPET_CHARS - rest.chars().count();
    let begin_wider = back(begin, room);
    [&text[begin_wider..begin], &rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of `text` for a query, `-` for nothing, the code of a refusal.
    fn check(query: &str, text: &str, expected: &str) {
        let found = match Query::parse(query, None) {
            Ok(query) => query.snippet(text).unwrap_or_else(|| "-".into()),
            Err(refusal) => u16::from(refusal.code).to_string(),
        };
        assert_eq!(found, expected, "{query} in {text}");
    }

    #[test]
    fn a_text_has_every_word_as_a_word_and_every_run_as_a_part() {
        check("hello", "Hello, World!", "Hello, World!");
        check("WORLD hello", "Hello, World!", "Hello, World!");
        check("hell", "Hello, World!", "-");
        check("hello mars", "Hello, World!", "-");
        check("회의", "내일 회의실에서 봐요", "내일 회의실에서 봐요");
        check("회의 내일", "내일 회의실에서 봐요", "내일 회의실에서 봐요");
        check("의실", "내일 회의실에서 봐요", "내일 회의실에서 봐요");
        check("일회", "내일 회의실에서 봐요", "-");
        check("실", "내일 회의실에서 봐요", "내일 회의실에서 봐요");
        check("요", "내일 회의실에서 봐요", "내일 회의실에서 봐요");
        check("아이폰 iphone", "새 iPhone은 아이폰", "새 iPhone은 아이폰");
        check("京都", "東京都", "東京都");
        check("ｈｅｌｌｏ", "hello", "hello");
        check("straße", "STRASSE", "STRASSE");
    }

    #[test]
    fn a_name_a_path_and_a_time_are_found_by_their_parts() {
        /// Each query is found in the text, or each is not.
        fn all(text: &str, queries: &[&str], expected: bool) {
            for query in queries {
                check(query, text, if expected { text } else { "-" });
            }
        }
        let path = "10.4.1.74/MYSQL_threads-connected";
        all(
            path,
            &["threads", "mysql", "MYSQL_threads", "10.4.1.74", "4.1", "threads-connected", "connected 10"],
            true,
        );
        all(path, &["10.4.74", "threads_mysql", "thread"], false);
        let time = "2026-11-28T10:00:00Z";
        all(time, &["2026-11-28", "11-28", "10:00", "2026", "28 2026", time], true);
        all(time, &["2026-28", "28-11-2026", "202"], false);
        let file = "report_final_v2.pdf";
        all(file, &["report", "final", "v2", "pdf", "report final", "final_v2.pdf", "report-final"], true);
        all(file, &["v2.final", "repor", "v3"], false);
        all(
            "I won\u{2019}t, said Kim\u{200E}",
            &["won't", "won\u{2BC}t", "WON\u{2018}T", "kim", "k\u{AD}im\u{FE0F}"],
            true,
        );
        all("won't t won", &["won\u{2019}t", "t-won"], true);
        all("t won", &["won't"], false);
        all("iPhone15을 2026년 11월에", &["iphone15", "15을", "2026년", "11월", "2026년11월"], true);
        all("2026 11 28", &["2026-11-28"], true);
        all("\u{202A}5678\u{202C}", &["5678", "5678\u{FE0F}"], true);
        all("a a b", &["a-b"], true);
    }

    #[test]
    fn a_query_has_something_to_look_for_and_200_characters_at_most() {
        check("", "text", "107");
        check(" ?! 👍", "👍", "107");
        check(&"가".repeat(200), &"가".repeat(200), &"가".repeat(80));
        check(&"a ".repeat(100), "a", "a");
        check(&"a".repeat(201), "a", "106");
    }

    #[test]
    fn a_snippet_is_80_characters_about_the_first_word_found() {
        let long = |before: usize, after: usize| format!("{}회의{}", "가나 ".repeat(before), " 다라".repeat(after));
        let text = long(40, 40);
        let chars: Vec<char> = text.chars().collect();
        check("회의", &text, &chars[120 - 24..120 + 56].iter().collect::<String>());
        check("회의", &long(0, 40), &long(0, 40).chars().take(80).collect::<String>());
        check("회의", &long(40, 0), &long(40, 0).chars().skip(122 - 80).collect::<String>());
        check("회의", &long(3, 3), &long(3, 3));
        check("world hello", "hello, wide and wonderful world", "hello, wide and wonderful world");
    }
}
