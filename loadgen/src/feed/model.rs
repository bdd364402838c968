//! Plain model of feeds: what was asked of the node and when it had answered, and what a reader may and must see by that.
//!
//! Owns every post, every change of the graph and every like of a run, each with the time in which it was under way: until
//! an answer came it may have happened or not, as a killed node leaves it. Knows no HTTP and no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::graph::{Account, Graph};

/// A post, by its place among all of a run.
pub(super) type Number = u32;

/// Posts of one account within a minute that a node takes, less one for clocks that differ.
const POSTS_A_MINUTE: usize = 9;
const MINUTE_US: u64 = 60_000_000;
/// Posts of one account within a day that a node takes, less a few.
const POSTS_A_DAY: usize = 95;

/// When something was under way, in microseconds of the run. Without an end nobody knows what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) asked_us: u64,
    pub(super) done_us: Option<u64>,
}

impl Span {
    pub(super) fn begun(asked_us: u64) -> Self {
        Self { asked_us, done_us: None }
    }

    /// Whether it was over before a time.
    fn is_before(self, at_us: u64) -> bool {
        self.done_us.is_some_and(|done_us| done_us <= at_us)
    }
}

/// When a page was read, from the request to the end of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from_us: u64,
    pub(super) to_us: u64,
}

/// What is so within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sight {
    Off,
    /// It was changing.
    Maybe,
    On,
}

/// Something that is on or off, and changes one at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Switch {
    before: bool,
    changes: Vec<(bool, Span)>,
}

impl Switch {
    pub(super) fn new(before: bool) -> Self {
        Self { before, changes: Vec::new() }
    }

    /// Whether a change is under way.
    pub(super) fn is_changing(&self) -> bool {
        self.changes.last().is_some_and(|(_, span)| span.done_us.is_none())
    }

    /// What it is once nothing changes.
    pub(super) fn is_on(&self) -> bool {
        self.changes.last().map_or(self.before, |&(on, _)| on)
    }

    pub(super) fn begin(&mut self, on: bool, asked_us: u64) {
        assert!(!self.is_changing(), "one change at a time");
        self.changes.push((on, Span::begun(asked_us)));
    }

    pub(super) fn done(&mut self, done_us: u64) {
        let (_, span) = self.changes.last_mut().expect("a change has begun");
        span.done_us = Some(done_us);
    }

    /// The last change was refused: it has not happened.
    pub(super) fn refused(&mut self) {
        assert!(self.is_changing(), "a change has begun");
        self.changes.pop();
    }

    /// Its changes, each with when it was asked for and answered, in seconds.
    pub(super) fn said(&self) -> String {
        let change = |&(on, Span { asked_us, done_us }): &(bool, Span)| {
            let to = if on { "on" } else { "off" };
            let done = done_us.map_or_else(String::new, |done_us| format!("{:.3}", done_us as f64 / 1e6));
            format!("{to} {:.3}-{done}", asked_us as f64 / 1e6)
        };
        if self.changes.is_empty() {
            "never on".to_owned()
        } else {
            self.changes.iter().map(change).collect::<Vec<_>>().join(", ")
        }
    }

    pub(super) fn within(&self, window: Window) -> Sight {
        let mut at = if self.before { Sight::On } else { Sight::Off };
        for &(on, span) in &self.changes {
            let to = if on { Sight::On } else { Sight::Off };
            if span.is_before(window.from_us) {
                at = to;
            } else if span.asked_us <= window.to_us && to != at {
                at = Sight::Maybe;
            }
        }
        at
    }
}

/// Who may see a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Friends,
    Public,
}

impl Audience {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Friends => "friends",
            Self::Public => "public",
        }
    }
}

/// What the node answered to a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) post_id: String,
    pub(super) sent_ms: u64,
}

/// One post.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) author: Account,
    pub(super) audience: Audience,
    pub(super) span: Span,
    pub(super) stored: Option<Stored>,
    pub(super) deletion: Option<Span>,
    /// Each gives the text the next number.
    pub(super) edits: Vec<Span>,
    pub(super) likes: BTreeMap<Account, Switch>,
    pub(super) replies: Vec<Span>,
    /// Whether somebody changes it right now.
    pub(super) is_busy: bool,
}

impl Post {
    /// Whether it was answered before the window, and nobody asked for its deletion until its end.
    pub(super) fn stands(&self, window: Window) -> bool {
        self.span.is_before(window.from_us) && self.deletion.is_none_or(|span| span.asked_us > window.to_us)
    }

    pub(super) fn is_deleted(&self, window: Window) -> bool {
        self.deletion.is_some_and(|span| span.is_before(window.from_us))
    }

    /// The numbers that its text may have within a window: from the last edit that was answered to the last that was asked.
    pub(super) fn edit_within(&self, window: Window) -> (u32, u32) {
        let until = |is: &dyn Fn(&Span) -> bool| self.edits.iter().take_while(|span| is(span)).count() as u32;
        (until(&|span| span.is_before(window.from_us)), until(&|span| span.asked_us <= window.to_us))
    }

    /// How many like it, if none of them is changing their mind.
    pub(super) fn likes_within(&self, window: Window) -> Option<u64> {
        let mut count = 0;
        for switch in self.likes.values() {
            match switch.within(window) {
                Sight::On => count += 1,
                Sight::Maybe => return None,
                Sight::Off => {}
            }
        }
        Some(count)
    }

    /// How many replies it has, if none is on its way.
    pub(super) fn replies_within(&self, window: Window) -> Option<u64> {
        self.replies.iter().all(|span| span.is_before(window.from_us)).then_some(self.replies.len() as u64)
    }
}

/// Everything that was asked of a node.
#[derive(Debug)]
pub(super) struct Model {
    friends: HashSet<(Account, Account)>,
    follows: HashSet<(Account, Account)>,
    public: HashSet<Account>,
    /// Pairs of friends that changed, the lower account first.
    befriended: HashMap<(Account, Account), Switch>,
    /// Pairs across which there ever was a block, likewise.
    blocked: HashMap<(Account, Account), Switch>,
    /// Followers and authors that changed.
    followed: HashMap<(Account, Account), Switch>,
    /// Of each account those whose posts were ever to come into its feed.
    authors: Vec<BTreeSet<Account>>,
    posts: Vec<Post>,
    by_author: HashMap<Account, Vec<Number>>,
    /// Of readers, what they were shown, and when the first answer that did so had come.
    shown: HashMap<Account, HashMap<Number, u64>>,
}

/// The two with the lower first, as friends are kept.
pub(super) fn pair(one: Account, other: Account) -> (Account, Account) {
    (one.min(other), one.max(other))
}

impl Model {
    pub(super) fn new(graph: &Graph) -> Self {
        let mut authors = vec![BTreeSet::new(); graph.users as usize];
        for &(one, other) in &graph.friends {
            authors[one as usize].insert(other);
            authors[other as usize].insert(one);
        }
        for &(follower, author) in &graph.follows {
            authors[follower as usize].insert(author);
        }
        Self {
            friends: graph.friends.iter().copied().collect(),
            follows: graph.follows.iter().copied().collect(),
            public: graph.public.iter().copied().collect(),
            befriended: HashMap::new(),
            blocked: HashMap::new(),
            followed: HashMap::new(),
            authors,
            posts: Vec::new(),
            by_author: HashMap::new(),
            shown: HashMap::new(),
        }
    }

    pub(super) fn is_public(&self, account: Account) -> bool {
        self.public.contains(&account)
    }

    /// Whether the account may post once more now, by the limits of nodes.
    pub(super) fn may_post(&self, author: Account, now_us: u64) -> bool {
        let posts = self.by_author.get(&author).map_or(&[][..], Vec::as_slice);
        let recent = posts.iter().rev().take_while(|&&number| {
            // From its end on, since that is the latest that a node may have counted it.
            let span = self.posts[number as usize].span;
            span.done_us.is_none_or(|done_us| done_us + MINUTE_US > now_us)
        });
        posts.len() < POSTS_A_DAY && recent.count() < POSTS_A_MINUTE
    }

    /// A post is asked for; its number.
    pub(super) fn publish(&mut self, author: Account, audience: Audience, asked_us: u64) -> Number {
        let number = self.posts.len() as Number;
        self.posts.push(Post {
            author,
            audience,
            span: Span::begun(asked_us),
            stored: None,
            deletion: None,
            edits: Vec::new(),
            likes: BTreeMap::new(),
            replies: Vec::new(),
            is_busy: false,
        });
        self.by_author.entry(author).or_default().push(number);
        number
    }

    pub(super) fn published(&mut self, number: Number, stored: Stored, done_us: u64) {
        let post = self.post_mut(number);
        post.span.done_us = Some(done_us);
        post.stored = Some(stored);
    }

    pub(super) fn post(&self, number: Number) -> Option<&Post> {
        self.posts.get(number as usize)
    }

    pub(super) fn post_mut(&mut self, number: Number) -> &mut Post {
        &mut self.posts[number as usize]
    }

    pub(super) fn posts(&self) -> &[Post] {
        &self.posts
    }

    pub(super) fn posts_of(&self, author: Account) -> &[Number] {
        self.by_author.get(&author).map_or(&[], Vec::as_slice)
    }

    /// Who has posted, ascending.
    pub(super) fn authors(&self) -> BTreeSet<Account> {
        self.by_author.keys().copied().collect()
    }

    /// Whose posts a reader's feed may ever have had.
    pub(super) fn authors_of(&self, reader: Account) -> &BTreeSet<Account> {
        &self.authors[reader as usize]
    }

    /// The friendship of two, to be changed.
    pub(super) fn friendship(&mut self, one: Account, other: Account) -> &mut Switch {
        self.authors[one as usize].insert(other);
        self.authors[other as usize].insert(one);
        let pair = pair(one, other);
        let before = self.friends.contains(&pair);
        self.befriended.entry(pair).or_insert_with(|| Switch::new(before))
    }

    /// Whether one of two blocks the other, to be changed.
    pub(super) fn block(&mut self, one: Account, other: Account) -> &mut Switch {
        self.blocked.entry(pair(one, other)).or_default()
    }

    /// Whether nobody of two blocks the other.
    fn are_open(&self, one: Account, other: Account, window: Window) -> Sight {
        match self.blocked.get(&pair(one, other)).map_or(Sight::Off, |switch| switch.within(window)) {
            Sight::Off => Sight::On,
            Sight::Maybe => Sight::Maybe,
            Sight::On => Sight::Off,
        }
    }

    /// Whether one follows another, to be changed.
    pub(super) fn follow(&mut self, follower: Account, author: Account) -> &mut Switch {
        self.authors[follower as usize].insert(author);
        let before = self.follows.contains(&(follower, author));
        self.followed.entry((follower, author)).or_insert_with(|| Switch::new(before))
    }

    fn are_friends(&self, one: Account, other: Account, window: Window) -> Sight {
        let pair = pair(one, other);
        let base = || if self.friends.contains(&pair) { Sight::On } else { Sight::Off };
        self.befriended.get(&pair).map_or_else(base, |switch| switch.within(window))
    }

    fn follows(&self, follower: Account, author: Account, window: Window) -> Sight {
        let base = || if self.follows.contains(&(follower, author)) { Sight::On } else { Sight::Off };
        self.followed.get(&(follower, author)).map_or_else(base, |switch| switch.within(window))
    }

    /// Whether a post belongs into a reader's feed, its deletion aside. One's own may be there.
    pub(super) fn belongs(&self, post: &Post, reader: Account, window: Window) -> Sight {
        if post.author == reader {
            return Sight::Maybe;
        }
        let friends = self.are_friends(post.author, reader, window);
        let wants = match post.audience {
            Audience::Friends => friends,
            Audience::Public => friends.max(self.follows(reader, post.author, window)),
        };
        wants.min(self.are_open(post.author, reader, window))
    }

    /// Whether a reader may see a post where the author's are listed, its deletion aside.
    pub(super) fn is_visible(&self, post: &Post, reader: Account, window: Window) -> Sight {
        let all_may = post.audience == Audience::Public && self.is_public(post.author);
        if post.author == reader {
            return Sight::On;
        }
        let may = if all_may { Sight::On } else { self.are_friends(post.author, reader, window) };
        may.min(self.are_open(post.author, reader, window))
    }

    /// What a reader's feed had shown before a time.
    pub(super) fn shown(&self, reader: Account, before_us: u64) -> impl Iterator<Item = Number> {
        let shown = self.shown.get(&reader).into_iter().flatten();
        shown.filter(move |&(_, &at_us)| at_us <= before_us).map(|(&number, _)| number)
    }

    /// Keeps what a reader's feed has shown, by an answer of this time.
    pub(super) fn show(&mut self, reader: Account, numbers: impl IntoIterator<Item = Number>, at_us: u64) {
        let shown = self.shown.entry(reader).or_default();
        numbers.into_iter().for_each(|number| _ = shown.entry(number).or_insert(at_us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes such as `on 10-20, off 30-`, and windows such as `5-9 off`.
    fn check(before: bool, changes: &str, windows: &str) {
        let numbers = |text: &str| {
            let (from, to) = text.split_once('-').expect("FROM-TO");
            (from.parse::<u64>().expect("a time"), to.parse::<u64>().ok())
        };
        let mut switch = Switch::new(before);
        for change in changes.split(", ").filter(|change| !change.is_empty()) {
            let (to, span) = change.split_once(' ').expect("what and when");
            let (asked_us, done_us) = numbers(span);
            switch.begin(to == "on", asked_us);
            done_us.into_iter().for_each(|done_us| switch.done(done_us));
        }
        for window in windows.split(", ") {
            let (span, expected) = window.split_once(' ').expect("when and what");
            let (from_us, to_us) = numbers(span);
            let window = Window { from_us, to_us: to_us.expect("an end") };
            assert_eq!(format!("{:?}", switch.within(window)).to_lowercase(), expected, "{changes}: {span}");
        }
    }

    #[test]
    fn what_was_answered_before_is_so_and_what_is_under_way_may_be() {
        check(true, "", "0-9 on");
        check(false, "on 10-20", "5-9 off, 5-10 maybe, 12-15 maybe, 15-30 maybe, 20-21 on");
        check(true, "off 10-20, on 30-40", "0-5 on, 5-12 maybe, 20-29 off, 25-30 maybe, 40-41 on, 0-99 maybe");
        check(true, "off 10-", "5-9 on, 50-60 maybe");
        check(true, "on 10-", "50-60 on");
    }

    #[test]
    fn an_account_posts_as_often_as_nodes_allow() {
        let graph = Graph { users: 2, friends: vec![], follows: vec![], public: vec![], stars: vec![], cross: None };
        let mut model = Model::new(&graph);
        let mut posts = 0;
        for now_us in (0..10_000_000_000).step_by(1_000_000) {
            if model.may_post(1, now_us) {
                posts += 1;
                let number = model.publish(1, Audience::Friends, now_us);
                model.published(number, Stored { post_id: String::new(), sent_ms: 0 }, now_us + 500_000);
            }
            if now_us == 59_000_000 {
                assert_eq!(posts, POSTS_A_MINUTE, "in the first minute");
            }
        }
        assert_eq!(posts, POSTS_A_DAY);
    }

    #[test]
    fn a_text_may_be_what_it_was_or_will_be_while_it_is_edited() {
        let graph = Graph { users: 2, friends: vec![], follows: vec![], public: vec![], stars: vec![], cross: None };
        let mut model = Model::new(&graph);
        let number = model.publish(0, Audience::Friends, 1);
        let post = model.post_mut(number);
        post.edits = vec![Span { asked_us: 10, done_us: Some(20) }, Span { asked_us: 30, done_us: None }];
        let within = |from_us, to_us| post.edit_within(Window { from_us, to_us });
        assert_eq!([within(2, 3), within(5, 15), within(20, 25), within(25, 35)], [(0, 0), (0, 1), (1, 1), (1, 2)]);
    }
}
