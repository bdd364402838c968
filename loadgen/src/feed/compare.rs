//! Comparison of what a node showed with the model: posts that are missing, doubled, out of order, or may not be shown.
//!
//! Owns what is a fault. A post that is on its way into a feed is none while the load lasts: what was shown once has to
//! stay, and in the end all has to be there. Upholds nothing on its own; every finding names reader, post and times.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::graph::Account;
use super::model::{Audience, Model, Number, Post, Sight, Switch, Window};

/// One post as it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// What its text says of itself; none of one that no run wrote.
    pub(super) stamp: Option<Stamp>,
    pub(super) post_id: String,
    pub(super) author: Option<Account>,
    pub(super) sent_ms: u64,
    pub(super) likes: u64,
    pub(super) liked: bool,
    pub(super) replies: u64,
}

/// What a post's text says: which post it is, and how often it was edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) number: Number,
    pub(super) edit: u32,
}

impl Stamp {
    pub(super) fn body(self) -> String {
        format!("feed {:08x}.{} What a day: seen from here, a story of ordinary length.", self.number, self.edit)
    }

    pub(super) fn of(body: &str) -> Option<Self> {
        let (number, edit) = body.strip_prefix("feed ")?.split(' ').next()?.split_once('.')?;
        Some(Self { number: u32::from_str_radix(number, 16).ok()?, edit: edit.parse().ok()? })
    }
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The reader's own feed.
    Feed,
    /// The posts of one author.
    PostsOf(Account),
}

/// Pages that were read one after the other.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) reader: Account,
    pub(super) what: What,
    pub(super) window: Window,
    pub(super) entries: Vec<Entry>,
    /// Whether more follow the last.
    pub(super) more: bool,
}

/// How much has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// What was shown before; of one author's posts all that were answered.
    Meanwhile,
    /// All that was answered, with the likes and replies that it has.
    InTheEnd,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// It has to be there and is not.
    Missing,
    /// It is there twice, under one id or two.
    Doubled,
    /// It is behind an older one, or two of one time change places.
    OutOfOrder,
    /// It was deleted, its author is no friend any more, or it is for others.
    Forbidden,
    /// Its text is older than what was answered before it was read.
    Stale,
    /// It is not what its author wrote, or nobody wrote it.
    Mismatched,
    /// Its likes or replies are not as many as were answered, or the reader's own like is not told.
    Miscounted,
}

impl Fault {
    /// Whether time may heal it: a feed that is late, or a count that is.
    pub(super) fn may_be_late(self) -> bool {
        match self {
            Self::Missing | Self::Miscounted => true,
            Self::Doubled | Self::OutOfOrder | Self::Forbidden | Self::Stale | Self::Mismatched => false,
        }
    }
}

/// One fault in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) fault: Fault,
    pub(super) said: String,
}

/// The order in which posts of one time were shown, which has to be the same for all.
#[derive(Debug, Default)]
pub(super) struct Ties(HashSet<(Number, Number)>);

/// Every fault of a reading.
pub(super) fn compare(model: &Model, reading: &Reading, strictness: Strictness, ties: &mut Ties) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Reading { reader, what, window, entries, .. } = reading;
    let mut find = |fault, said: String| {
        let what = match what {
            What::Feed => "feed".to_owned(),
            What::PostsOf(author) => format!("list of account {author}'s posts"),
        };
        let (from, to) = (window.from_us as f64 / 1e6, window.to_us as f64 / 1e6);
        findings.push(Finding { fault, said: format!("account {reader}'s {what}, read {from:.3}-{to:.3} s: {said}") });
    };
    let mut seen: HashMap<Number, &str> = HashMap::new();
    let mut last: Option<(u64, Number)> = None;
    for entry in entries {
        let known = entry.stamp.and_then(|stamp| Some((stamp, model.post(stamp.number)?)));
        let Some((stamp, post)) = known else {
            find(Fault::Mismatched, format!("post {} is none of this run", entry.post_id));
            continue;
        };
        let number = stamp.number;
        if let Some(other) = seen.insert(number, &entry.post_id) {
            find(Fault::Doubled, format!("post {number} is there as {} and {other}", entry.post_id));
            continue;
        }
        if let Some((last_ms, before)) = last {
            let late = entry.sent_ms > last_ms;
            let swapped = entry.sent_ms == last_ms && !ties.agrees(before, number);
            if late || swapped {
                let times = format!("of {last_ms} before post {number} of {}", entry.sent_ms);
                find(Fault::OutOfOrder, format!("post {before} {times}"));
            }
        }
        last = Some((entry.sent_ms, number));
        for (fault, said) in of_entry(model, reading, strictness, entry, stamp, post) {
            find(fault, format!("post {number} ({}) {said}", entry.post_id));
        }
    }
    let reaches = |post: &Post| match (reading.more, entries.last(), &post.stored) {
        (false, ..) => true,
        // Of the time of the last one some may follow.
        (true, Some(last), Some(stored)) => stored.sent_ms > last.sent_ms,
        (true, ..) => false,
    };
    for number in expected(model, reading, strictness) {
        let post = &model.posts()[number as usize];
        if !seen.contains_key(&number) && reaches(post) {
            let id = post.stored.as_ref().map_or("", |stored| &stored.post_id);
            let done = post.span.done_us.unwrap_or_default() as f64 / 1e6;
            let author = post.author;
            find(
                Fault::Missing,
                format!("post {number} ({id}) of account {author}, answered at {done:.3} s, is missing"),
            );
        }
    }
    findings
}

impl Ties {
    fn agrees(&mut self, before: Number, after: Number) -> bool {
        self.0.insert((before, after));
        !self.0.contains(&(after, before))
    }
}

/// What is wrong with one post as it was shown.
fn of_entry(
    model: &Model,
    reading: &Reading,
    strictness: Strictness,
    entry: &Entry,
    stamp: Stamp,
    post: &Post,
) -> Vec<(Fault, String)> {
    let Reading { reader, what, window, .. } = *reading;
    let mut found = Vec::new();
    let is_its_own = entry.author == Some(post.author)
        && post.stored.as_ref().is_none_or(|stored| stored.post_id == entry.post_id && stored.sent_ms == entry.sent_ms);
    if !is_its_own {
        found.push((
            Fault::Mismatched,
            format!("is not what was answered: {:?}, by account {}", post.stored, post.author),
        ));
    }
    if post.is_deleted(window) {
        found.push((Fault::Forbidden, "was deleted before".to_owned()));
    }
    let sight = match what {
        What::Feed => model.belongs(post, reader, window),
        What::PostsOf(_) => model.is_visible(post, reader, window),
    };
    if sight == Sight::Off {
        let why = match post.audience {
            Audience::Friends => "is for friends of its author, of whom the reader is none",
            Audience::Public => "is of somebody whom the reader neither follows nor has as a friend",
        };
        found.push((Fault::Forbidden, why.to_owned()));
    }
    let (least, most) = post.edit_within(window);
    if !(least..=most).contains(&stamp.edit) {
        found.push((Fault::Stale, format!("has the text of edit {}, and not of {least} to {most}", stamp.edit)));
    }
    // What is being deleted loses its likes and replies with the deletion, and is shown until that is answered.
    let is_going = post.deletion.is_some_and(|span| span.asked_us <= window.to_us);
    if is_going {
        return found;
    }
    let own = post.likes.get(&reader).map_or(Sight::Off, |switch| switch.within(window));
    if own != Sight::Maybe && entry.liked != (own == Sight::On) {
        let changes = post.likes.get(&reader).map(Switch::said).unwrap_or_default();
        found.push((Fault::Miscounted, format!("tells the reader's own like as {}; it was {changes}", entry.liked)));
    }
    if strictness == Strictness::InTheEnd {
        let counts = [
            ("likes", entry.likes, post.likes_within(window)),
            ("replies", entry.replies, post.replies_within(window)),
        ];
        for (of, shown, expected) in counts {
            if expected.is_some_and(|expected| expected != shown) {
                found.push((Fault::Miscounted, format!("has {shown} {of}, and not {}", expected.unwrap_or_default())));
            }
        }
    }
    found
}

/// Posts that have to be there, as far as the reading reaches.
fn expected(model: &Model, reading: &Reading, strictness: Strictness) -> Vec<Number> {
    let Reading { reader, what, window, .. } = *reading;
    let stands = |number: &Number| model.posts()[*number as usize].stands(window);
    let belongs = |number: &Number| model.belongs(&model.posts()[*number as usize], reader, window) == Sight::On;
    match (what, strictness) {
        (What::PostsOf(author), _) => {
            let visible =
                |number: &Number| model.is_visible(&model.posts()[*number as usize], reader, window) == Sight::On;
            model.posts_of(author).iter().copied().filter(|number| stands(number) && visible(number)).collect()
        }
        (What::Feed, Strictness::Meanwhile) => {
            let shown = model.shown(reader, window.from_us);
            shown.filter(|number| stands(number) && belongs(number)).collect()
        }
        (What::Feed, Strictness::InTheEnd) => {
            let all = model.authors_of(reader).iter().flat_map(|&author| model.posts_of(author)).copied();
            all.filter(|number| stands(number) && belongs(number)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::graph::Graph;
    use crate::feed::model::{Span, Stored};

    /// Accounts 0 to 4: 1 is a friend of 0 and 2, 3 follows 0, who is public; 4 is nobody's.
    /// Posts are numbered as they are written, at 10, 20, 30 …, and answered 5 later.
    fn model() -> Model {
        let graph = Graph {
            users: 5,
            friends: vec![(0, 1), (1, 2)],
            follows: vec![(3, 0)],
            public: vec![0],
            stars: vec![],
            cross: None,
        };
        let mut model = Model::new(&graph);
        let posts = [
            (0, Audience::Friends),
            (2, Audience::Friends),
            (0, Audience::Public),
            (0, Audience::Friends),
            (2, Audience::Friends),
        ];
        for (at, (author, audience)) in (1..).zip(posts) {
            let number = model.publish(author, audience, 10 * at);
            // Posts 3 and 4 are of one time.
            let sent_ms = 100 * at.min(4);
            model.published(number, Stored { post_id: format!("p{number}"), sent_ms }, 10 * at + 5);
        }
        model
    }

    /// Posts as they are shown: `3`, `3.1` with the text of an edit, `3@400` at another time, `3+` liked by the reader,
    /// `3#2` with two likes, `3x` under another id, `?` of nobody.
    fn entry(model: &Model, word: &str) -> Entry {
        let digits = |from: &str| {
            let rest = word.split_once(from)?.1;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
        };
        let Ok(number) = word.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse::<Number>() else {
            let post_id = "x".to_owned();
            return Entry { stamp: None, post_id, author: None, sent_ms: 0, likes: 0, liked: false, replies: 0 };
        };
        let post = model.post(number).expect("it was written");
        let stored = post.stored.clone().unwrap_or(Stored { post_id: format!("p{number}"), sent_ms: 0 });
        Entry {
            stamp: Stamp::of(&Stamp { number, edit: digits(".").unwrap_or_default() as u32 }.body()),
            post_id: if word.contains('x') { "other".to_owned() } else { stored.post_id },
            author: Some(post.author),
            sent_ms: digits("@").unwrap_or(stored.sent_ms),
            likes: digits("#").unwrap_or_default(),
            liked: word.contains('+'),
            replies: 0,
        }
    }

    fn read(model: &Model, reader: Account, what: What, at_us: u64, shown: &str, strictness: Strictness) -> String {
        let (shown, more) = shown.strip_suffix(" …").map_or((shown, false), |shown| (shown, true));
        let words = shown.split(' ').filter(|word| !word.is_empty());
        let entries = words.map(|word| entry(model, word)).collect();
        let reading = Reading { reader, what, window: Window { from_us: at_us, to_us: at_us + 1 }, entries, more };
        let found = compare(model, &reading, strictness, &mut Ties::default());
        let said: Vec<_> = found.iter().map(|finding| format!("{:?}", finding.fault).to_lowercase()).collect();
        if said.is_empty() { "well".to_owned() } else { said.join(" ") }
    }

    /// The feed of account 1 in the end.
    fn check(shown: &str, expected: &str) {
        assert_eq!(read(&model(), 1, What::Feed, 1_000, shown, Strictness::InTheEnd), expected, "{shown}");
    }

    #[test]
    fn what_is_missing_doubled_or_out_of_order_is_found() {
        check("4 3 2 1 0", "well");
        check("3 4 2 1 0", "well");
        check("4 3 1 0", "missing");
        check("", "missing missing missing missing missing");
        check("4 3 2 2 1 0", "doubled");
        check("4 3 2 1 2x 0", "doubled");
        check("4 3 1 2 0", "outoforder");
        check("0 4 3 2 1", "outoforder");
        check("4 3 2x 1 0", "mismatched");
        check("4 3 2@299 1 0", "mismatched");
        check("4 3 2 1 0 ?", "mismatched");
    }

    #[test]
    fn a_page_has_what_is_newer_than_its_last_post() {
        check("4 3 2 …", "well");
        check("4 2 …", "missing");
        // Of the last one's time another may follow.
        check("4 …", "well");
        check(" …", "well");
    }

    #[test]
    fn each_reader_sees_what_is_for_it_and_nothing_else() {
        let of = |reader, shown: &str| read(&model(), reader, What::Feed, 1_000, shown, Strictness::InTheEnd);
        assert_eq!(of(3, "2"), "well");
        assert_eq!(of(3, "3 2"), "forbidden");
        assert_eq!(of(3, ""), "missing");
        assert_eq!(of(4, "2"), "forbidden");
        assert_eq!(of(0, "3 2 0"), "well", "one's own may be there");
        assert_eq!(of(0, ""), "well");
        let listed =
            |reader, shown: &str| read(&model(), reader, What::PostsOf(0), 1_000, shown, Strictness::Meanwhile);
        assert_eq!(listed(4, "2"), "well", "the account is public");
        assert_eq!(listed(4, "2 0"), "forbidden");
        assert_eq!(listed(1, "3 2"), "missing", "a list is never late");
        assert_eq!(listed(0, "3 2 0"), "well");
    }

    #[test]
    fn nothing_is_shown_across_a_block() {
        let mut model = model();
        model.block(4, 0).begin(true, 500);
        let listed =
            |model: &Model, at_us, shown: &str| read(model, 4, What::PostsOf(0), at_us, shown, Strictness::Meanwhile);
        assert_eq!([listed(&model, 600, "2"), listed(&model, 600, "")], ["well", "well"], "it may be so already");
        model.block(4, 0).done(700);
        assert_eq!([listed(&model, 800, "2"), listed(&model, 800, "")], ["forbidden", "well"]);
        model.block(0, 3).begin(true, 500);
        model.block(0, 3).done(501);
        assert_eq!(
            read(&model, 3, What::Feed, 800, "2", Strictness::InTheEnd),
            "forbidden",
            "who follows sees nothing"
        );
    }

    #[test]
    fn while_the_load_lasts_a_feed_may_be_late_but_forgets_nothing() {
        let mut model = model();
        let of = |model: &Model, shown: &str| read(model, 1, What::Feed, 1_000, shown, Strictness::Meanwhile);
        assert_eq!(of(&model, "1 0"), "well");
        model.show(1, [0, 1, 2], 900);
        model.show(1, [3], 1_001);
        assert_eq!(of(&model, "1 0"), "missing");
        assert_eq!(of(&model, "2 1 0"), "well", "what another answer showed meanwhile may still be late");
    }

    #[test]
    fn what_was_deleted_or_is_an_earlier_friends_is_not_shown() {
        let mut model = model();
        let of = |model: &Model, at_us, shown: &str| read(model, 1, What::Feed, at_us, shown, Strictness::InTheEnd);
        model.post_mut(2).deletion = Some(Span { asked_us: 1_000, done_us: Some(2_000) });
        assert_eq!([of(&model, 990, "4 3 1 0"), of(&model, 990, "4 3 2 1 0")], ["missing", "well"]);
        assert_eq!([of(&model, 1_500, "4 3 1 0"), of(&model, 1_500, "4 3 2 1 0")], ["well", "well"]);
        assert_eq!([of(&model, 2_500, "4 3 1 0"), of(&model, 2_500, "4 3 2 1 0")], ["well", "forbidden"]);
        model.friendship(2, 1).begin(false, 3_000);
        assert_eq!([of(&model, 3_500, "4 3 1 0"), of(&model, 3_500, "3 0")], ["well", "well"]);
        model.friendship(2, 1).done(4_000);
        assert_eq!([of(&model, 4_500, "4 3 1 0"), of(&model, 4_500, "3 0")], ["forbidden forbidden", "well"]);
    }

    #[test]
    fn what_is_being_deleted_may_have_lost_its_likes() {
        let mut model = model();
        let like = model.post_mut(3).likes.entry(1).or_default();
        like.begin(true, 100);
        like.done(110);
        model.post_mut(3).deletion = Some(Span { asked_us: 1_000, done_us: Some(2_000) });
        let of = |at_us, shown: &str| read(&model, 1, What::Feed, at_us, shown, Strictness::InTheEnd);
        assert_eq!([of(900, "4 3#1 2 1 0"), of(900, "4 3+ 2 1 0")], ["miscounted", "miscounted"]);
        assert_eq!([of(1_500, "4 3 2 1 0"), of(1_500, "4 3+#1 2 1 0")], ["well", "well"]);
    }

    #[test]
    fn what_nobody_answered_may_be_there_once() {
        let mut model = model();
        let number = model.publish(0, Audience::Friends, 60);
        let of = |shown: &str| read(&model, 1, What::Feed, 1_000, shown, Strictness::InTheEnd);
        assert_eq!(number, 5);
        assert_eq!(of("4 3 2 1 0"), "well");
        assert_eq!(of("5@500 4 3 2 1 0"), "well");
        assert_eq!(of("5@500 5x@450 4 3 2 1 0"), "doubled");
    }

    #[test]
    fn texts_and_counts_are_those_that_were_answered() {
        let mut model = model();
        model.post_mut(4).edits.push(Span { asked_us: 100, done_us: Some(110) });
        let like = model.post_mut(3).likes.entry(1).or_default();
        like.begin(true, 100);
        like.done(110);
        let of = |shown: &str| read(&model, 1, What::Feed, 1_000, shown, Strictness::InTheEnd);
        assert_eq!(of("4.1 3+#1 2 1 0"), "well");
        assert_eq!(of("4 3+#1 2 1 0"), "stale");
        assert_eq!(of("4.2 3+#1 2 1 0"), "stale");
        assert_eq!(of("4.1 3#1 2 1 0"), "miscounted");
        assert_eq!(of("4.1 3+#2 2 1 0"), "miscounted");
        assert_eq!(of("4.1 3+#1 2 1 0#1"), "miscounted");
    }

    #[test]
    fn posts_of_one_time_are_in_one_order_for_all() {
        let model = model();
        let mut ties = Ties::default();
        let mut of = |shown: &str| {
            let entries = shown.split(' ').map(|word| entry(&model, word)).collect();
            let window = Window { from_us: 1_000, to_us: 1_001 };
            let reading = Reading { reader: 1, what: What::Feed, window, entries, more: false };
            compare(&model, &reading, Strictness::InTheEnd, &mut ties).len()
        };
        assert_eq!([of("3 4 2 1 0"), of("3 4 2 1 0"), of("4 3 2 1 0")], [0, 0, 1]);
    }
}
