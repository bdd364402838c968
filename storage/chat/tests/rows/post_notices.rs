//! Who is told of likes, replies and mentions in a feed, and what.
//!
//! Users as in `feeds`: in feed `A` of 1, whose friends are 2 and 3; 4 follows 1.

use chat::{accounts, keys};
use futures_lite::future::block_on;
use kv::memory::MemoryEngine;
use kv::{Begin, Engine as _, RangeRequest, Transaction as _};
use schema::record::NoticeRecord;
use schema::{NoticeId, UnixMs, UserId};

use crate::feeds::feed;
use crate::world::World;

const LIKE: &str = "\u{2764}\u{fe0f}";

/// What is to be told by now: of each notice its user, category, title and text, in the order of their users.
fn to_tell(world: &World<MemoryEngine>) -> Vec<String> {
    block_on(async {
        let tx = world.engine.begin(Begin::Fresh);
        let first = keys::notice_due(UnixMs(0), UserId(0), NoticeId::default())[0];
        let page = tx.get_range(&RangeRequest::new(vec![first], vec![first + 1])).await?;
        let mut told = Vec::new();
        for row in page.rows {
            let (_, due, user, notice) = keys::notice_due_fields(&row.key).expect("a key of it");
            let value = tx.get(&keys::notice(notice)).await?.expect("what is due is there");
            let record = NoticeRecord::decode(&value).expect("a notice");
            assert_eq!((record.send_ms, record.app), (due, 0));
            let cancelled = if record.cancelled_ms.is_some() { " cancelled" } else { "" };
            told.push(format!("{} {}: {} / {}{cancelled}", user.0, record.category, record.title, record.body));
        }
        told.sort();
        Ok::<_, kv::Error>(told)
    })
    .expect("read")
}

fn check(script: &str, expected: &[&str]) {
    let mut world = feed("");
    for user in 1..=4 {
        let name = format!("user {user}");
        let named = accounts::set_display_name(&world.engine, UserId(user), &name);
        assert!(block_on(named).expect("stored").is_some());
    }
    world.run(script);
    assert_eq!(to_tell(&world), expected, "{script}");
}

#[test]
fn who_wrote_a_post_is_told_of_likes_and_replies_of_others() {
    let post = "A.1 posts a for friends";
    check(post, &[]);
    check(&format!("{post}; A.2 puts l={LIKE} on 1"), &["1 like: user 2 likes your post / a"]);
    check(
        &format!("{post}; A.2 puts l={LIKE} on 1; A.3 puts m={LIKE} on 1"),
        &["1 like: user 3 and 1 other like your post / a"],
    );
    check(&format!("{post}; A.1 puts l={LIKE} on 1; A.1 posts r for friends re 1"), &[]);
    check(&format!("{post}; A.4 puts l={LIKE} on 1"), &[]);
    check(&format!("{post}; A.2 posts r for friends re 1"), &["1 reply: user 2 replied to your post / r"]);
    // Of several within a moment the last; who wrote a reply is told who likes it.
    check(
        &format!("{post}; A.2 posts r for friends re 1; A.3 posts s for friends re 1; A.1 puts l={LIKE} on 2"),
        &["1 reply: user 3 replied to your post / s", "2 like: user 1 likes your post / r"],
    );
}

#[test]
fn a_like_that_is_taken_back_is_not_told() {
    let post = "A.1 posts a for friends";
    check(
        &format!("{post}; A.2 puts l={LIKE} on 1; A.2 takes m={LIKE} off 1"),
        &["1 like: user 2 likes your post / a cancelled"],
    );
    check(&format!("{post}; A.2 takes m={LIKE} off 1"), &[]);
}

#[test]
fn what_is_deleted_is_not_told() {
    let post = "A.1 posts a for friends to 2";
    check(&format!("{post}; A.1 deletes e of 1"), &["2 mention: user 1 mentioned you / a cancelled"]);
    let replied = "A.1 posts a for friends; A.2 posts r for friends re 1";
    check(&format!("{replied}; A.2 deletes e of 2"), &["1 reply: user 2 replied to your post / r cancelled"]);
    // A later one has taken its place.
    let again = "A.3 posts s for friends re 1; A.2 deletes e of 2";
    check(&format!("{replied}; {again}"), &["1 reply: user 3 replied to your post / s"]);
    check(
        &format!("{replied}; A.1 puts l={LIKE} on 2; A.2 deletes e of 2"),
        &["1 reply: user 2 replied to your post / r cancelled", "2 like: user 1 likes your post / r cancelled"],
    );
}

#[test]
fn who_does_not_know_the_writer_is_not_told() {
    // 3 is no friend of 2; the author of the post is told whoever answers.
    check("A.1 posts a for friends; A.2 posts r for friends re 1 to 3", &["1 reply: user 2 replied to your post / r"]);
    check("A.1 posts a for friends; A.2 posts r for friends re 1 to 1", &["1 mention: user 2 mentioned you / r"]);
}

#[test]
fn who_is_named_is_told_so() {
    check(
        "A.1 posts a for friends to 2+3",
        &["2 mention: user 1 mentioned you / a", "3 mention: user 1 mentioned you / a"],
    );
}
