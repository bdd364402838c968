//! Load on a node's feeds: what threads do at times that are given before, each step by the model and into the model.
//!
//! Owns the steps, their repetition until an answer is known, and what is counted of them. A step is timed from when it was
//! due, so that what a stall does to those behind it is in the figures.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use schema::{ClientMsgId, UnixMs, UserId};

use super::client::{Client, Of, Page, Shown, Trouble};
use super::compare::{Entry, Fault, Reading, Stamp, Strictness, Ties, What, compare};
use super::graph::{Account, Graph};
use super::model::{Audience, Model, Number, Sight, Span, Window};
use crate::interrupt::Interrupt;
use crate::report::{Findings, Latencies, count_reason};

/// How long a step is repeated while nothing answers.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between repetitions.
const PAUSE: Duration = Duration::from_millis(20);
/// How late a page may be asked for: later ones would be no load but what an outage left.
const LATE_MAX: Duration = Duration::from_secs(1);
/// Posts of a page, as clients ask for.
pub(super) const PAGE: u32 = 20;
/// Posts of a page at most.
pub(super) const PAGE_MAX: u32 = 100;
/// Pages that are read one after the other while posts arrive.
const WALK_PAGES: usize = 5;
/// Posts of a page in which a post is looked for that has just been written, and how often.
const POLLED: u32 = 50;
const POLL: Duration = Duration::from_millis(10);
/// Pages of one feed in the end: 100,000 posts.
const PAGES_MAX: usize = 1_000;
/// Times that somebody or something is drawn for a step before it is left out.
const DRAWS: usize = 20;

/// What is timed.
pub(super) const PUBLISH: &str = "publish";
pub(super) const PAGE_READ: &str = "page";
pub(super) const LIKE: &str = "like";
pub(super) const LAST_FEED: &str = "last-feed";
pub(super) const TIMED: [&str; 4] = [PUBLISH, PAGE_READ, LIKE, LAST_FEED];

/// What is counted of a run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) latencies: BTreeMap<&'static str, Latencies>,
    pub(super) faults: BTreeMap<Fault, u64>,
    pub(super) findings: Findings,
    /// What nodes refused though it should have been done, and how often.
    pub(super) refused: BTreeMap<String, u64>,
    /// Posts that were shown and compared.
    pub(super) shown: u64,
    pub(super) readings: u64,
    /// Repetitions of a step that had no answer.
    pub(super) repeated: u64,
    /// Times that a limit of the node had a step wait.
    pub(super) limited: u64,
    /// Pages that were due while nothing answered.
    pub(super) unread: u64,
    /// Steps of other kinds that were done.
    pub(super) edits: u64,
    pub(super) deletions: u64,
    pub(super) replies: u64,
    pub(super) likes: u64,
    pub(super) graph_changes: u64,
}

impl Tally {
    pub(super) fn time(&mut self, what: &'static str, span: Duration) {
        self.latencies.entry(what).or_insert_with(Latencies::new).record(span.as_nanos() as u64);
    }
}

/// A post whose way into the feeds of its readers is timed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sampled {
    pub(super) number: Number,
    /// When it was due.
    pub(super) since: Instant,
}

/// What all threads share.
pub(super) struct Load {
    pub(super) client: Client,
    pub(super) graph: Graph,
    model: Mutex<Model>,
    ties: Mutex<Ties>,
    tally: Mutex<Tally>,
    accounts: HashMap<UserId, Account>,
    origin: Instant,
    interrupt: Interrupt,
    /// Whether steps that wait for an answer give up.
    is_over: AtomicBool,
}

/// A lock whose holders leave it whole, whatever becomes of them.
fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    pub(super) fn new(client: Client, graph: Graph, interrupt: Interrupt) -> Self {
        let accounts = (0..).zip(client.users()).map(|(account, &user)| (user, account)).collect();
        Self {
            model: Mutex::new(Model::new(&graph)),
            graph,
            client,
            ties: Mutex::default(),
            tally: Mutex::default(),
            accounts,
            origin: Instant::now(),
            interrupt,
            is_over: AtomicBool::new(false),
        }
    }

    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        locked(&self.model)
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        locked(&self.tally)
    }

    pub(super) fn interrupted(&self) -> bool {
        self.interrupt.requested()
    }

    /// Has steps that wait for an answer give up.
    pub(super) fn give_up(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn now_us(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }

    /// Asks until it is known what came of it; that, and how often it was asked. None if it was refused or given up; what
    /// was refused at once has not happened.
    fn persist<T>(&self, ask: impl Fn() -> Result<T, Trouble>) -> (Result<T, Trouble>, u32) {
        let until = Instant::now() + PATIENCE;
        for tries in 1.. {
            let trouble = match ask() {
                Err(trouble @ (Trouble::Unknown(_) | Trouble::Later { .. })) => trouble,
                answer => return (answer, tries),
            };
            let pause = match &trouble {
                Trouble::Later { after, .. } => {
                    self.tally().limited += 1;
                    (*after).max(PAUSE)
                }
                Trouble::Unknown(_) | Trouble::Refused { .. } => {
                    self.tally().repeated += 1;
                    PAUSE
                }
            };
            if Instant::now() + pause > until || self.is_over.load(Ordering::Relaxed) {
                return (Err(trouble), tries);
            }
            std::thread::sleep(pause);
        }
        unreachable!("there are more tries than time")
    }

    /// Counts what should have been done.
    fn refused(&self, what: &str, trouble: &Trouble) {
        let mut tally = self.tally();
        tally.findings.note(|| format!("{what} was refused: {trouble}"));
        count_reason(&mut tally.refused, format!("{what}: {trouble}"));
    }

    /// Has an account write a post; its number, once it is answered.
    pub(super) fn publish(&self, author: Account, audience: Audience, due: Instant, id: u128) -> Option<Number> {
        let number = self.model().publish(author, audience, self.now_us());
        self.publish_as(number, author, audience, due, id)
    }

    /// The same, of one of these if their limits allow it; none else.
    pub(super) fn publish_of(&self, authors: &[Account], due: Instant, rng: &mut Rng) -> Option<Number> {
        let (author, audience, number) = {
            let (mut model, now_us) = (self.model(), self.now_us());
            let drawn = (0..DRAWS).map(|_| authors[rng.usize(0..authors.len())]);
            let author = drawn.into_iter().find(|&author| model.may_post(author, now_us))?;
            let is_cross = self.graph.cross.as_ref().is_some_and(|cross| cross.author == author);
            let public = model.is_public(author) && (is_cross || rng.bool());
            let audience = if public { Audience::Public } else { Audience::Friends };
            (author, audience, model.publish(author, audience, now_us))
        };
        self.publish_as(number, author, audience, due, rng.u128(..))
    }

    fn publish_as(
        &self,
        number: Number,
        author: Account,
        audience: Audience,
        due: Instant,
        id: u128,
    ) -> Option<Number> {
        let id = unique(id);
        let body = Stamp { number, edit: 0 }.body();
        let (answer, _) = self.persist(|| self.client.publish(author, &id, &body, audience));
        match answer {
            Ok(stored) => {
                self.model().published(number, stored, self.now_us());
                self.tally().time(PUBLISH, due.elapsed());
                Some(number)
            }
            Err(trouble @ Trouble::Refused { .. }) => {
                self.refused("a post", &trouble);
                None
            }
            // It may be there.
            Err(Trouble::Unknown(_) | Trouble::Later { .. }) => None,
        }
    }

    /// Reads pages and compares them; none if there was no answer. Gives what was found, where that is the caller's to count.
    pub(super) fn read(&self, reader: Account, what: What, limit: u32, pages: usize) -> Option<Reading> {
        let of = match what {
            What::Feed => Of::Feed,
            What::PostsOf(author) => Of::Posts(author),
        };
        let from_us = self.now_us();
        let (mut entries, mut cursor, mut more) = (Vec::new(), None::<String>, true);
        for _ in 0..pages {
            let Page { posts, more: more_follow, cursor: next } =
                match self.client.page(reader, of, limit, cursor.as_deref()) {
                    Ok(page) => page,
                    Err(trouble @ Trouble::Refused { .. }) => {
                        self.refused("a page", &trouble);
                        return None;
                    }
                    Err(Trouble::Unknown(_) | Trouble::Later { .. }) => return None,
                };
            entries.extend(posts.into_iter().map(|shown| self.entry(shown)));
            (more, cursor) = (more_follow, next);
            if !more || cursor.is_none() {
                break;
            }
        }
        Some(Reading { reader, what, window: Window { from_us, to_us: self.now_us() }, entries, more })
    }

    fn entry(&self, shown: Shown) -> Entry {
        let Shown { post_id, author, body, sent_ms, likes, liked, replies, revision: _ } = shown;
        let author = self.accounts.get(&author.user_id).copied();
        Entry { stamp: Stamp::of(&body), post_id, author, sent_ms, likes, liked, replies }
    }

    /// Compares what was read, counts what is wrong with it, but for what is late in the end, and whether that is anything.
    pub(super) fn compare(&self, reading: &Reading, strictness: Strictness, is_last: bool) -> bool {
        let findings = {
            let mut model = self.model();
            let findings = compare(&model, reading, strictness, &mut locked(&self.ties));
            if reading.what == What::Feed {
                let numbers = reading.entries.iter().filter_map(|entry| entry.stamp).map(|stamp| stamp.number);
                model.show(reading.reader, numbers, reading.window.to_us);
            }
            findings
        };
        let mut tally = self.tally();
        tally.readings += 1;
        tally.shown += reading.entries.len() as u64;
        let mut is_late = false;
        for finding in findings {
            if strictness == Strictness::InTheEnd && finding.fault.may_be_late() && !is_last {
                is_late = true;
                continue;
            }
            *tally.faults.entry(finding.fault).or_default() += 1;
            tally.findings.note(|| finding.said);
        }
        is_late
    }

    /// Reads all of a reader's feed, or all posts of an author, and compares it with everything that was answered. Whether
    /// something is late, or there was no answer.
    pub(super) fn compare_all(&self, reader: Account, what: What, is_last: bool) -> bool {
        match self.read(reader, what, PAGE_MAX, PAGES_MAX) {
            Some(reading) => self.compare(&reading, Strictness::InTheEnd, is_last),
            None => {
                if is_last {
                    let mut tally = self.tally();
                    *tally.faults.entry(Fault::Missing).or_default() += 1;
                    tally.findings.note(|| format!("account {reader}: there was no answer in the end"));
                }
                true
            }
        }
    }

    /// A page of somebody's feed as clients open it.
    fn open_feed(&self, due: Instant, rng: &mut Rng) {
        if due.elapsed() > LATE_MAX {
            self.tally().unread += 1;
            return;
        }
        if let Some(reading) = self.read(rng.u32(0..self.graph.users), What::Feed, PAGE, 1) {
            self.tally().time(PAGE_READ, due.elapsed());
            self.compare(&reading, Strictness::Meanwhile, false);
        }
    }

    /// Several pages of somebody's feed, or of the posts of one of its authors, while others write.
    fn walk(&self, due: Instant, rng: &mut Rng) {
        if due.elapsed() > LATE_MAX {
            self.tally().unread += 1;
            return;
        }
        let reader = rng.u32(0..self.graph.users);
        let authors: Vec<Account> = self.model().authors_of(reader).iter().copied().collect();
        let what = match rng.choice(&authors) {
            Some(&author) if rng.bool() => What::PostsOf(author),
            _ => What::Feed,
        };
        if let Some(reading) = self.read(reader, what, PAGE, WALK_PAGES) {
            self.compare(&reading, Strictness::Meanwhile, false);
        }
    }

    /// A post that stands, which is this thread's until it lets go of it.
    fn take_post(
        &self,
        rng: &mut Rng,
        is_wanted: impl Fn(&Model, Number) -> bool,
    ) -> Option<(Number, String, Account)> {
        let mut model = self.model();
        let count = model.posts().len();
        for _ in 0..DRAWS.min(count) {
            // Of the newest thousand: what people see is what they do something with.
            let number = rng.usize(count.saturating_sub(1_000)..count) as Number;
            let post = &model.posts()[number as usize];
            if let (Some(stored), None, false) = (&post.stored, post.deletion, post.is_busy) {
                let taken = (number, stored.post_id.clone(), post.author);
                if is_wanted(&model, number) {
                    model.post_mut(number).is_busy = true;
                    return Some(taken);
                }
            }
        }
        None
    }

    fn let_go(&self, number: Number) {
        self.model().post_mut(number).is_busy = false;
    }

    /// A friend or follower of a post's author, to whom it is shown.
    fn reader_of(&self, author: Account, number: Number, rng: &mut Rng) -> Option<Account> {
        let model = self.model();
        let now_us = self.now_us();
        let readers: Vec<Account> = model.authors_of(author).iter().copied().collect();
        let window = Window { from_us: now_us, to_us: now_us };
        let sees = |reader: &&Account| model.belongs(&model.posts()[number as usize], **reader, window) == Sight::On;
        rng.choice(&readers).filter(sees).copied()
    }

    /// Whether a refusal is right: somebody lost sight of the post meanwhile.
    fn lost_sight(&self, number: Number, reader: Account, from_us: u64) -> bool {
        let model = self.model();
        let window = Window { from_us, to_us: self.now_us() };
        let post = &model.posts()[number as usize];
        !post.stands(window) || model.is_visible(post, reader, window) != Sight::On
    }

    fn like(&self, due: Instant, rng: &mut Rng) {
        let Some((number, post_id, author)) = self.take_post(rng, |_, _| true) else { return };
        let reader = self.reader_of(author, number, rng);
        self.let_go(number);
        let Some(reader) = reader else { return };
        let (on, from_us) = {
            let mut model = self.model();
            let now_us = self.now_us();
            let switch = model.post_mut(number).likes.entry(reader).or_default();
            if switch.is_changing() {
                return;
            }
            let on = !switch.is_on();
            switch.begin(on, now_us);
            (on, now_us)
        };
        let (answer, tries) = self.persist(|| self.client.like(reader, &post_id, on));
        let lost = answer.is_err() && self.lost_sight(number, reader, from_us);
        let mut model = self.model();
        let switch = model.post_mut(number).likes.entry(reader).or_default();
        match answer {
            Ok(()) => {
                switch.done(self.now_us());
                drop(model);
                let mut tally = self.tally();
                tally.likes += 1;
                tally.time(LIKE, due.elapsed());
            }
            Err(trouble @ Trouble::Refused { .. }) => {
                if tries == 1 {
                    switch.refused();
                }
                drop(model);
                if !lost {
                    self.refused("a like", &trouble);
                }
            }
            // It may be one.
            Err(Trouble::Unknown(_) | Trouble::Later { .. }) => {}
        }
    }

    fn reply(&self, rng: &mut Rng) {
        let Some((number, post_id, author)) = self.take_post(rng, |_, _| true) else { return };
        let Some(reader) = self.reader_of(author, number, rng) else { return self.let_go(number) };
        let (id, from_us) = (unique(rng.u128(..)), self.now_us());
        self.model().post_mut(number).replies.push(Span::begun(from_us));
        let (answer, tries) = self.persist(|| self.client.reply(reader, &post_id, &id, "So it is here."));
        let lost = answer.is_err() && self.lost_sight(number, reader, from_us);
        {
            let (mut model, now_us) = (self.model(), self.now_us());
            let replies = &mut model.post_mut(number).replies;
            match &answer {
                Ok(()) => replies.last_mut().expect("it was added").done_us = Some(now_us),
                Err(Trouble::Refused { .. }) if tries == 1 => _ = replies.pop(),
                Err(_) => {}
            }
        }
        match answer {
            Ok(()) => self.tally().replies += 1,
            Err(trouble @ Trouble::Refused { .. }) if !lost => self.refused("a reply", &trouble),
            Err(_) => {}
        }
        self.let_go(number);
    }

    fn edit(&self, rng: &mut Rng) {
        let Some((number, post_id, author)) = self.take_post(rng, |_, _| true) else { return };
        let edit = {
            let (mut model, now_us) = (self.model(), self.now_us());
            let edits = &mut model.post_mut(number).edits;
            edits.push(Span::begun(now_us));
            edits.len() as u32
        };
        let stamp = Stamp { number, edit };
        let (answer, _) = self.persist(|| {
            let shown = self.client.post(author, &post_id)?;
            // An earlier try may have come through.
            if Stamp::of(&shown.body) == Some(stamp) {
                return Ok(());
            }
            self.client.edit(author, &post_id, &stamp.body(), shown.revision)
        });
        match answer {
            Ok(()) => {
                let now_us = self.now_us();
                self.model().post_mut(number).edits.last_mut().expect("it was added").done_us = Some(now_us);
                self.tally().edits += 1;
                self.let_go(number);
            }
            Err(trouble @ Trouble::Refused { .. }) => {
                self.refused("an edit", &trouble);
            }
            // What its text is remains open, so nobody else edits it.
            Err(Trouble::Unknown(_) | Trouble::Later { .. }) => {}
        }
    }

    fn delete(&self, rng: &mut Rng) {
        let Some((number, post_id, author)) = self.take_post(rng, |_, _| true) else { return };
        let asked_us = self.now_us();
        self.model().post_mut(number).deletion = Some(Span::begun(asked_us));
        let (answer, tries) = self.persist(|| self.client.delete(author, &post_id));
        // What an earlier try deleted is not there any more.
        let is_gone = matches!(&answer, Err(Trouble::Refused { status: 404, .. }) if tries > 1);
        match answer {
            Err(trouble @ Trouble::Refused { .. }) if !is_gone => self.refused("a deletion", &trouble),
            Err(_) if !is_gone => {}
            Ok(()) | Err(_) => {
                let done_us = self.now_us();
                self.model().post_mut(number).deletion = Some(Span { asked_us, done_us: Some(done_us) });
                self.tally().deletions += 1;
            }
        }
        self.let_go(number);
    }

    /// Ends a friendship of the graph, by a block in one of two cases, or makes it again.
    fn change_friendship(&self, rng: &mut Rng) {
        let Some(&(one, other)) = rng.choice(&self.graph.friends) else { return };
        let by_block = rng.bool();
        // The graph has them as friends, so that who never changed is one.
        let (on, was_blocked) = {
            let (mut model, now_us) = (self.model(), self.now_us());
            if model.friendship(one, other).is_changing() {
                return;
            }
            let on = !model.friendship(one, other).is_on();
            let was_blocked = model.block(one, other).is_on();
            model.friendship(one, other).begin(on, now_us);
            if was_blocked || (!on && by_block) {
                model.block(one, other).begin(!on, now_us);
            }
            (on, was_blocked)
        };
        // The lower one of two blocks the other, so that whose block it is need not be known.
        let steps: &[&dyn Fn() -> Result<(), Trouble>] = match (on, was_blocked) {
            (true, true) => {
                &[&|| self.client.block(one, other, false), &|| self.client.befriend(one, other, true), &|| {
                    self.client.befriend(other, one, true)
                }]
            }
            (true, false) => &[&|| self.client.befriend(one, other, true), &|| self.client.befriend(other, one, true)],
            (false, _) if by_block => &[&|| self.client.block(one, other, true)],
            (false, _) => &[&|| self.client.befriend(other, one, false)],
        };
        for step in steps {
            match self.persist(step).0 {
                Ok(()) => {}
                Err(trouble @ Trouble::Refused { .. }) => return self.refused("a change of a friendship", &trouble),
                // What became of it remains open.
                Err(Trouble::Unknown(_) | Trouble::Later { .. }) => return,
            }
        }
        let (mut model, now_us) = (self.model(), self.now_us());
        model.friendship(one, other).done(now_us);
        if model.block(one, other).is_changing() {
            model.block(one, other).done(now_us);
        }
        drop(model);
        self.tally().graph_changes += 1;
    }

    /// Has an account follow another, or do so no longer.
    pub(super) fn follow(&self, follower: Account, author: Account, on: bool) {
        {
            let (mut model, now_us) = (self.model(), self.now_us());
            let switch = model.follow(follower, author);
            if switch.is_changing() || switch.is_on() == on {
                return;
            }
            switch.begin(on, now_us);
        }
        let (answer, _) = self.persist(|| self.client.follow(follower, author, on));
        match answer {
            Ok(()) => {
                let now_us = self.now_us();
                self.model().follow(follower, author).done(now_us);
                self.tally().graph_changes += 1;
            }
            Err(trouble @ Trouble::Refused { .. }) => self.refused("a follow", &trouble),
            Err(Trouble::Unknown(_) | Trouble::Later { .. }) => {}
        }
    }

    /// Polls the feeds of some readers of a post, among them that of the last by id, until all show it.
    pub(super) fn time_last_feed(&self, sampled: Sampled, readers: usize, most: Duration, rng: &mut Rng) {
        let Sampled { number, since } = sampled;
        let mut waiting: Vec<Account> = {
            let model = self.model();
            let all: Vec<Account> = model.authors_of(model.posts()[number as usize].author).iter().copied().collect();
            let mut some = rng.choose_multiple(all.iter().copied(), readers.saturating_sub(1));
            // Readers are walked by their ids, which are drawn as accounts are made: the last of them is the last told.
            some.extend(all.iter().copied().max_by_key(|&reader| self.client.user(reader)));
            some
        };
        // One after the other: the time is that of the last, and each is asked no more than it has to be.
        while let Some(&reader) = waiting.last()
            && since.elapsed() < most
            && !self.interrupted()
        {
            let from_us = self.now_us();
            let Ok(page) = self.client.page(reader, Of::Feed, POLLED, None) else {
                std::thread::sleep(PAUSE);
                continue;
            };
            let is_it = |shown: &Shown| Stamp::of(&shown.body).is_some_and(|stamp| stamp.number == number);
            let is_wanted = || {
                let model = self.model();
                let window = Window { from_us, to_us: self.now_us() };
                let post = &model.posts()[number as usize];
                // Who is no friend any more is not waited for.
                post.stands(window) && model.belongs(post, reader, window) == Sight::On
            };
            if page.posts.iter().any(is_it) || !is_wanted() {
                waiting.pop();
            } else {
                std::thread::sleep(POLL);
            }
        }
        if !self.interrupted() {
            self.tally().time(LAST_FEED, since.elapsed());
        }
    }

    /// What is asked of the node in a second, once by each kind.
    pub(super) fn step(&self, step: Step, due: Instant, samples: &SyncSender<Sampled>, rng: &mut Rng) {
        match step {
            Step::Publish => {
                let all = self.graph.users;
                let ordinary: Vec<Account> = (0..DRAWS).map(|_| rng.u32(0..all)).collect();
                _ = self.publish_of(&ordinary, due, rng);
            }
            Step::PublishStar => {
                if let Some(number) = self.publish_of(&self.graph.stars, due, rng) {
                    // Where one is timed already this one is not.
                    _ = samples.try_send(Sampled { number, since: due });
                }
            }
            Step::Open => self.open_feed(due, rng),
            Step::Walk => self.walk(due, rng),
            Step::Like => self.like(due, rng),
            Step::Reply => self.reply(rng),
            Step::Edit => self.edit(rng),
            Step::Delete => self.delete(rng),
            Step::Befriend => self.change_friendship(rng),
        }
    }
}

/// An id as clients draw it.
fn unique(entropy: u128) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ClientMsgId::new(UnixMs(now.as_millis() as u64), entropy).to_string()
}

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Publish,
    PublishStar,
    Open,
    Walk,
    Like,
    Reply,
    Edit,
    Delete,
    Befriend,
}

/// How much is done in a second, and of what.
#[derive(Debug, Clone)]
pub(super) struct Mix {
    /// Each kind, and how many of it a second.
    rates: Vec<(Step, f64)>,
}

impl Mix {
    /// So many posts and pages a second, a post of each of `stars` authors in so long, and what people do beside.
    pub(super) fn new(publish: f64, read: f64, stars: u32, every: Duration) -> Self {
        let of_stars = f64::from(stars) / every.as_secs_f64();
        let rates = vec![
            (Step::Publish, publish),
            (Step::PublishStar, of_stars),
            (Step::Open, read * 0.8),
            (Step::Walk, read * 0.2),
            (Step::Like, publish * 2.0),
            (Step::Reply, publish * 0.3),
            (Step::Edit, publish * 0.2),
            (Step::Delete, publish * 0.1),
            (Step::Befriend, publish * 0.2),
        ];
        Self { rates }
    }

    pub(super) fn per_second(&self) -> f64 {
        self.rates.iter().map(|(_, rate)| rate).sum()
    }

    fn draw(&self, rng: &mut Rng) -> Step {
        let mut at = rng.f64() * self.per_second();
        for &(step, rate) in &self.rates {
            if at < rate {
                return step;
            }
            at -= rate;
        }
        Step::Open
    }
}

/// Runs the mix on so many threads until its time is over or `stop` says so; what was begun is ended.
pub(super) fn run(load: &Load, mix: &Mix, span: Duration, threads: usize, seed: u64, samples: &SyncSender<Sampled>) {
    let next = AtomicU64::new(0);
    let (began, rate) = (Instant::now(), mix.per_second());
    let steps = (span.as_secs_f64() * rate) as u64;
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= steps || load.interrupted() {
                break;
            }
            let due = began + Duration::from_secs_f64(at as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // A step is the same whichever thread takes it.
            let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at);
            load.step(mix.draw(&mut rng), due, samples, &mut rng);
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(worker)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_of_each_kind_what_it_says() {
        let (mix, mut rng) = (Mix::new(10.0, 100.0, 8, Duration::from_secs(8)), Rng::with_seed(3));
        assert!((mix.per_second() - (10.0 * 3.8 + 1.0 + 100.0)).abs() < 1e-9, "{}", mix.per_second());
        let drawn: Vec<Step> = (0..10_000).map(|_| mix.draw(&mut rng)).collect();
        let part = |step: Step| drawn.iter().filter(|&&other| other == step).count() as f64 / 10_000.0;
        for (step, rate) in &mix.rates {
            let expected = rate / mix.per_second();
            assert!((part(*step) - expected).abs() < 0.02, "{step:?}: {} and not {expected}", part(*step));
        }
    }
}
