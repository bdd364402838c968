//! Posts, replies and likes in feeds: who may do what, and what is shown to whom.
//!
//! In feed `A` of 1, whose friends are 2 and 3: 4 follows 1, 5 is nobody to it, 6 has blocked it.

use chat::people::{self, BlockOutcome};
use chat::posts::{self, Counts, Post};
use chat::{LayerError, accounts, channels, check, erasure, inbox, opened};
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use schema::command::HistoryWindow;
use schema::{Emoji, Position, Seq, UserId};

use crate::world::{self, WALL, World, channel, words, world};

const LIKE: &str = "\u{2764}\u{fe0f}";

/// The feed, after a script.
pub(crate) fn feed(script: &str) -> World<MemoryEngine> {
    let mut world = world("");
    let engine = world.engine.clone();
    assert_eq!(world.run("A.1 starts feed; B.1 starts feed"), "made A; existed A");
    block_on(accounts::set_public(&engine, UserId(1), true)).expect("stored");
    let friends = [(UserId(1), UserId(2)), (UserId(3), UserId(1))];
    block_on(people::make_friends(&engine, &friends, WALL)).expect("made");
    assert!(block_on(people::follow(&engine, UserId(4), UserId(1), WALL)).expect("followed"));
    block_on(people::block(&engine, UserId(6), UserId(1), true, WALL)).expect("blocked");
    world.run(script);
    world
}

/// Runs a script behind others and says what each of its operations is answered.
fn check(before: &str, script: &str, expected: &str) {
    let answered = feed(before).run(script).replace('#', "");
    assert_eq!(answered, expected, "{before}; {script}");
}

#[test]
fn a_user_has_one_feed_and_nobody_is_a_member_of_it() {
    check("", "B.2 starts feed", "made B");
    check("", "A.1 starts feed", "existed A");
    let mut world = feed("A.1 posts a for friends");
    let engine = &world.engine;
    assert_eq!(block_on(posts::feed_of(engine, UserId(1))).expect("read"), Some(channel("A")));
    let refused = |result: Result<(), LayerError>| words(result.map(|()| "shown".to_owned()));
    for user in [1, 2] {
        let (user, feed) = (UserId(user), channel("A"));
        assert_eq!(refused(block_on(channels::get(engine, user, feed)).map(drop)), "102");
        assert_eq!(refused(block_on(opened::opened(engine, user, feed)).map(drop)), "102");
        assert_eq!(refused(block_on(opened::followed(engine, user, feed)).map(drop)), "102");
        assert_eq!(refused(block_on(opened::page_of_members(engine, user, feed, 0)).map(drop)), "102");
        let listed = block_on(channels::list(engine, user, None, 50)).expect("read").channels;
        assert!(listed.iter().all(|summary| summary.id != feed), "{listed:?}");
        let limits = inbox::InboxLimits { rows: 100, bytes: 1 << 20, at_connect: false };
        let page = block_on(inbox::read(engine, user, Position::START, 0, limits)).expect("read");
        let schema::page::InboxPage::Events { events, .. } = page else { panic!("{page:?}") };
        assert!(events.iter().all(|event| event.channel != feed), "{events:?}");
    }
    assert_eq!(refused(world.history(2, "A", HistoryWindow::Newest, 10).map(drop)), "102");
    for op in
        ["A.1 marks 1", "A.1 types on", "A.1 titles t", "A.1 mutes on", "A.1 adds 2", "A.2 removes 1", "A.1 blocks 2"]
    {
        assert_eq!(world.run(op), "102", "{op}");
    }
    assert_eq!((world.fed("A"), world.told_live()), (String::new(), String::new()));
    world.holds();
    block_on(check::run(&world.engine, |_| {})).expect("it holds");
}

#[test]
fn a_post_is_its_authors_and_says_for_whom_it_is() {
    check("", "A.1 posts a for friends, A.1 posts b for public", "1, 2");
    check("", "A.1 sends a", "107");
    check("", "A.2 posts a for friends", "102");
    check("", "A.2 sends a", "102");
    check("", "A.6 posts a for public", "102");
    check("A.1 posts a for friends", "A.1 posts a for friends; A.1 posts a for public", "1 again; 121");
    check("", "1 posts a for friends", "107");
    check("", "A.1 posts a for friends to 2+3", "1");
    check("", "A.1 posts a for friends to 4", "107");
    check("", "A.1 posts a for public to 4+5", "1");
    check("", "A.1 posts a for public to 6", "107");
}

#[test]
fn replies_and_likes_are_by_those_who_see_the_post() {
    let before = "A.1 posts a for friends; A.1 posts b for public";
    check(
        before,
        "A.2 posts r for friends re 1, A.3 posts s for friends re 2, A.1 posts t for friends re 1",
        "3, 4, 5",
    );
    check(before, "A.4 posts r for friends re 1; A.4 posts r for friends re 2", "123; 3");
    check(before, "A.5 posts r for friends re 1; A.5 posts r for friends re 2", "123; 3");
    check(before, "A.6 posts r for friends re 1; A.6 posts r for friends re 2", "123; 123");
    check(before, "A.2 posts r for friends re 0; A.2 posts r for friends re 3", "123; 123");
    for (user, friends, public) in
        [(1, "count 1", "count 1"), (2, "count 1", "count 1"), (4, "123", "count 1"), (6, "123", "123")]
    {
        let likes = format!("A.{user} puts l={LIKE} on 1; A.{user} puts m={LIKE} on 2");
        check(before, &likes, &format!("{friends}; {public}"));
    }
    check(before, &format!("A.2 puts l={LIKE} on 1; A.2 takes m={LIKE} off 1"), "count 1; count 0");
}

#[test]
fn a_reply_answers_a_post_and_no_reply() {
    let before = "A.1 posts a for friends; A.2 posts r for friends re 1";
    check(before, "A.3 posts s for friends re 2", "123");
    check(before, "A.1 posts s for friends re 2", "123");
    check(before, &format!("A.3 puts l={LIKE} on 2; A.4 puts l={LIKE} on 2"), "count 1; 123");
}

#[test]
fn what_is_there_is_edited_by_who_wrote_it_and_taken_away_by_the_feeds_author_too() {
    let before = "A.1 posts a for friends; A.2 posts r for friends re 1";
    check(before, "A.1 edits e=x of 1; A.2 edits e=x of 2; A.1 edits f=x of 2", "revision 1; revision 1; 103");
    check(before, "A.3 edits e=x of 1; A.5 edits e=x of 1", "103; 123");
    check(before, "A.3 deletes e of 2; A.5 deletes e of 2; A.2 deletes e of 1", "103; 123; 103");
    check(before, "A.2 deletes e of 2; A.2 deletes f of 2", "revision 1; revision 1");
    check(before, "A.1 deletes e of 2; A.1 deletes f of 1", "revision 1; revision 1");
    check(
        before,
        "A.1 deletes e of 1; A.2 posts s for friends re 1; A.2 edits s=x of 2; A.2 deletes t of 2",
        "revision 1; 123; 123; revision 1",
    );
}

#[test]
fn what_one_sees_ends_with_friendship() {
    let mut world = feed("A.1 posts a for friends; A.2 posts r for friends re 1");
    block_on(people::remove_friend(&world.engine, UserId(1), UserId(2))).expect("removed");
    let like = format!("A.2 puts l={LIKE} on 1");
    assert_eq!(
        world.run(&format!("A.2 posts s for friends re 1; {like}; A.2 edits e=x of 2; A.2 deletes e of 2")),
        "123; 123; 123; revision 1"
    );
    block_on(people::put_friend(&world.engine, UserId(2), UserId(1), WALL)).expect("asked");
    assert_eq!(world.run(&like), "123");
    block_on(people::put_friend(&world.engine, UserId(1), UserId(2), WALL)).expect("accepted");
    assert_eq!(world.run(&like), "count 1");
}

/// Those of these posts that a reader is shown: `1 a likes 2 replies 1`, `mine` where it likes it.
fn shown(world: &World<MemoryEngine>, reader: u64, seqs: &[u64]) -> String {
    let places: Vec<_> = seqs.iter().map(|&seq| (channel("A"), Seq(seq))).collect();
    let posts = block_on(posts::shown(&world.engine, UserId(reader), &places)).expect("read");
    let words = |post: Post| {
        let Post { owner, message, replies, .. } = post;
        assert_eq!(owner, UserId(1));
        let likes: Vec<_> = message.reactions.iter().map(|tally| (tally.count, tally.mine)).collect();
        let mine = if likes.iter().any(|&(_, mine)| mine) { " mine" } else { "" };
        let likes: u32 = likes.iter().map(|&(count, _)| count).sum();
        format!("{} {} likes {likes}{mine} replies {replies}", message.seq.0, message.body)
    };
    posts.into_iter().flatten().map(words).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_post_is_shown_to_those_who_see_it_with_its_counts() {
    let world = feed(&format!(
        "A.1 posts a for friends; A.1 posts b for public; A.2 posts r for friends re 1; A.3 posts s for friends re 1; A.4 posts t for friends re 2; \
         A.2 puts l={LIKE} on 1; A.3 puts l={LIKE} on 1; A.3 puts m={LIKE} on 3; A.1 deletes d of 4; A.3 takes n={LIKE} off 1"
    ));
    let check =
        |reader: u64, expected: &str| assert_eq!(shown(&world, reader, &[1, 2, 3, 4, 5, 6]), expected, "{reader}");
    let (a, b) = ("1 a likes 1 replies 1", "2 b likes 0 replies 1");
    let (r, t) = ("3 r likes 1 replies 0", "5 t likes 0 replies 0");
    check(1, &[a, b, r, t].join(", "));
    check(2, &format!("1 a likes 1 mine replies 1, {b}, {r}, {t}"));
    check(3, &format!("{a}, {b}, 3 r likes 1 mine replies 0, {t}"));
    check(4, &format!("{b}, {t}"));
    check(5, &format!("{b}, {t}"));
    check(6, "");
    let engine = &world.engine;
    let replies = |reader: u64, seq: u64, after: Option<u64>, limit| {
        let page = posts::replies(engine, UserId(reader), (channel("A"), Seq(seq)), after.map(Seq), limit);
        words(block_on(page).map(|page| {
            let seqs: Vec<_> = page.replies.iter().map(|post| post.message.seq.0.to_string()).collect();
            format!("{} next {:?}", seqs.join("+"), page.next.map(|seq| seq.0))
        }))
    };
    assert_eq!(replies(2, 1, None, 10), "3 next None");
    assert_eq!(replies(4, 1, None, 10), "123");
    assert_eq!(replies(4, 2, None, 1), "5 next None");
    assert_eq!(replies(4, 2, Some(5), 10), " next None");
    let likes = |reader: u64, seq: u64| {
        let emoji: Emoji = LIKE.parse().expect("an emoji");
        let page = posts::likes(engine, UserId(reader), (channel("A"), Seq(seq)), &emoji, None, 10);
        words(
            block_on(page)
                .map(|page| page.users.iter().map(|(user, ())| user.to_string()).collect::<Vec<_>>().join("+")),
        )
    };
    assert_eq!((likes(3, 1), likes(4, 1), likes(1, 3)), ("2".into(), "123".into(), "3".into()));
}

#[test]
fn who_blocks_another_sees_nothing_of_it_and_what_ties_them_ends() {
    let through = |world: &mut World<MemoryEngine>, by: u64, user: u64| match block_on(people::block(
        &world.engine,
        UserId(by),
        UserId(user),
        true,
        WALL,
    ))
    .expect("stored")
    {
        BlockOutcome::Done { .. } => {}
        BlockOutcome::ThroughChannel(_) => assert_eq!(world.run(&format!("d.{by} blocks {user}")), "changed"),
    };
    // 2 has a direct channel with 1, 3 and 4 have none.
    for (by, user) in [(1, 2), (2, 1), (1, 3), (3, 1), (1, 4), (4, 1)] {
        let mut world = feed("A.1 posts a for public; A.2 posts r for friends re 1");
        through(&mut world, by, user);
        let reader = if by == 1 { user } else { by };
        assert_eq!(shown(&world, reader, &[1, 2]), "", "{by} blocks {user}");
        assert_eq!(world.run(&format!("A.{reader} posts s for friends re 1")), "123");
        let counts = block_on(posts::counts(&world.engine, &[UserId(1), UserId(reader)])).expect("read");
        let (friends, followers) = if reader == 4 { (2, 0) } else { (1, 1) };
        assert_eq!(counts[0], Counts { posts: 1, followers, following: 0, friends }, "{by} blocks {user}");
        assert_eq!(counts[1], Counts::default(), "{by} blocks {user}");
        world.holds();
    }
    // Of two who see a post, one does not see what the other replies whom it blocks.
    let world = feed("A.1 posts a for friends; A.2 posts r for friends re 1");
    block_on(people::block(&world.engine, UserId(3), UserId(2), true, WALL)).expect("blocked");
    assert_eq!(shown(&world, 3, &[1, 2]), "1 a likes 0 replies 1");
}

#[test]
fn a_public_account_is_followed_and_counts_say_how_many_do() {
    let mut world = feed("A.1 posts a for public; A.1 posts b for friends");
    let engine = world.engine.clone();
    let follow = |user: u64, author: u64| {
        words(block_on(people::follow(&engine, UserId(user), UserId(author), WALL)).map(|changed| changed.to_string()))
    };
    assert_eq!((follow(4, 1), follow(5, 1), follow(5, 2)), ("false".into(), "true".into(), "103".into()));
    assert_eq!((follow(1, 1), follow(6, 1), follow(5, 77)), ("107".into(), "117".into(), "102".into()));
    let unfollow = |user: u64| block_on(people::unfollow(&engine, UserId(user), UserId(1))).expect("stored");
    assert_eq!((unfollow(4), unfollow(4)), (true, false));
    let counts = |user: u64| block_on(posts::counts(&engine, &[UserId(user)])).expect("read")[0];
    assert_eq!(counts(1), Counts { posts: 2, followers: 1, following: 0, friends: 2 });
    assert_eq!(counts(5), Counts { posts: 0, followers: 0, following: 1, friends: 0 });
    assert_eq!(counts(4), Counts::default());
    let followers = block_on(people::followers(&engine, UserId(1), None, 10)).expect("read").users;
    assert_eq!(followers.iter().map(|(user, _)| user.0).collect::<Vec<_>>(), [5]);
    let followed = block_on(people::followed(&engine, UserId(5), None, 10)).expect("read").users;
    assert_eq!(followed, [(UserId(1), WALL)]);
    // Of an account that is private again nobody but friends sees anything.
    block_on(accounts::set_public(&engine, UserId(1), false)).expect("stored");
    assert_eq!((shown(&world, 5, &[1, 2]), shown(&world, 2, &[1])), (String::new(), "1 a likes 0 replies 0".into()));
    assert_eq!(world.run("A.5 posts r for friends re 1"), "123");
    assert_eq!(world.run("A.1 deletes d of 1"), "revision 1");
    assert_eq!(counts(1).posts, 1);
}

#[test]
fn of_an_erased_author_nobody_is_shown_anything() {
    let world = feed("A.1 posts a for public; A.1 posts b for friends; A.2 posts r for friends re 1");
    let engine = &world.engine;
    assert!(block_on(erasure::erase(engine, UserId(1))).expect("erased"));
    for reader in [2, 3, 4, 5] {
        assert_eq!(shown(&world, reader, &[1, 2, 3]), "", "{reader}");
    }
    assert_eq!(block_on(posts::feed_of(engine, UserId(1))).expect("read"), None);
    let counts = block_on(posts::counts(engine, &[2, 3, 4].map(UserId))).expect("read");
    assert_eq!(counts, [Counts::default(); 3]);
}

#[test]
fn an_old_post_is_shown_after_an_edit_as_it_is_now() {
    let mut world = feed("A.1 posts a for friends");
    world.wall = world::WALL.plus_ms(5);
    assert_eq!(world.run("A.1 edits e=now of 1"), "revision 1");
    assert_eq!(shown(&world, 2, &[1]), "1 now likes 0 replies 0");
}

#[test]
fn what_knows_nothing_of_posts_goes_to_no_feed() {
    let before = "A.1 posts a for friends";
    check(before, "A.1 sends r re 1; A.2 sends r re 1", "107; 102");
    check(before, "A.2 puts l=👍 on 1", "107");
    let long = "x".repeat(5_001);
    check(before, &format!("A.1 posts p={long} for friends; A.2 posts r={long} for friends re 1"), "116; 116");
    check(before, &format!("A.1 edits e={long} of 1"), "116");
}

#[test]
fn who_blocks_another_is_neither_named_nor_liked_by_it() {
    let mut world = feed("A.1 posts a for friends; A.3 posts r for friends re 1");
    block_on(people::block(&world.engine, UserId(3), UserId(2), true, WALL)).expect("blocked");
    let answered =
        world.run(&format!("A.2 posts s for friends re 1 to 3; A.2 puts l={LIKE} on 2; A.2 puts m={LIKE} on 1"));
    assert_eq!(answered.replace('#', ""), "107; 123; count 1");
}
