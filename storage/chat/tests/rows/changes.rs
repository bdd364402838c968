//! Changes to messages: edits, deletions and reactions, to whom they are told, and what readers see of them.

use chat::keys;
use kv::memory::CommitFault::{Conflict, UnknownCommitted, UnknownLost};
use kv::memory::MemoryEngine;
use schema::command::HistoryWindow;
use schema::limits::{BODY_BYTES_MAX, BODY_INLINE_BYTES_MAX, EMOJIS_OF_MESSAGE_MAX};
use schema::op::EditOp;
use schema::{ChannelOp, ClientMsgId, Message, Seq, UserId};

use crate::append::{check, check_after, check_inbox};
use crate::world::{WALL, World, channel, rows, world};

#[test]
fn an_edit_is_the_authors_on_the_newest_revision() {
    check("1 sends a; 1 edits e=b of 1; 1 edits f=c of 1; 1 edits h=c of 1 at 1", "#1; revision 1; 122; revision 2");
    check("1 sends a, 1 edits e=b of 1, 1 edits f=c of 1 at 1", "#1, revision 1, revision 2");
    check("1 sends a; 2 edits e=b of 1; 9 edits e=b of 1", "#1; 103; 102");
    check("2 sends a; 1 edits e=b of 1", "#1; 103");
    check("1 sends a; 1 edits e=b of 0; 1 edits e=b of 2; 1 edits e= of 1", "#1; 123; 123; 107");
    check("2 sends a; 2 removes 2; 2 edits e=b of 1", "#1; changed; 103");
    check("2 sends a; 2 removes 2; 1 adds 2; 2 edits e=b of 1", "#1; changed; changed; revision 1");
    check("1 sends a; 1 deletes d of 1; 1 edits e=b of 1 at 1", "#1; revision 1; 123");
    check("1 sends a; 1 adds 4; 4 edits e=b of 1; 4 deletes f of 1; 4 puts h=👍 on 1", "#1; changed; 123; 123; 123");
}

#[test]
fn a_text_that_is_too_long_is_no_edit() {
    let mut world = world("1 sends a");
    let edit = |bytes: u32| {
        let (op_id, body) = (ClientMsgId::new(WALL, 9), "a".repeat(bytes as usize).into());
        ChannelOp::Edit(EditOp { by: UserId(1), seq: Seq(1), op_id, base_revision: 0, body, ruling: None })
    };
    let long = world.push_op(channel("g"), edit(BODY_BYTES_MAX + 1));
    world.drain();
    let refused = world.outcome(long).expect("answered").as_ref().map_err(|refusal| u16::from(refusal.code));
    assert_eq!(refused, Err(116));
    let fits = world.push_op(channel("g"), edit(BODY_BYTES_MAX));
    world.drain();
    assert!(world.outcome(fits).expect("answered").is_ok());
    world.holds();
}

#[test]
fn a_deletion_is_the_authors_or_an_admins() {
    check("2 sends a; 1 deletes e of 1", "#1; revision 1");
    check("2 sends a; 3 deletes e of 1; 2 deletes f of 1", "#1; 103; revision 1");
    check("2 sends a; 1 adds 3 admin; 3 deletes e of 1", "#1; changed; revision 1");
    check("d.2 sends a; d.1 deletes e of 1; d.2 deletes e of 1", "#1; 103; revision 1");
    check("1 sends a; 1 deletes e of 1; 1 deletes f of 1; 1 deletes f of 1", "#1; revision 1; revision 1; revision 1");
    check("1 sends a; 1 edits e=b of 1; 1 deletes f of 1", "#1; revision 1; revision 2");
    check("1 sends a; 1 deletes e of 0; 1 deletes e of 2; 9 deletes e of 1", "#1; 123; 123; 102");
    check("1 sends a; 1 deletes e of 1; 2 puts f=👍 on 1; 2 takes h=👍 off 1", "#1; revision 1; 123; 123");
}

#[test]
fn a_reaction_counts_once_for_each_user() {
    check("1 sends a; 2 puts e=👍 on 1; 3 puts e=👍 on 1; 2 takes f=👍 off 1", "#1; count 1; count 2; count 1");
    check("1 sends a, 2 puts e=👍 on 1, 2 puts f=👍 on 1, 2 takes h=👍 off 1", "#1, count 1, count 1, count 0");
    check("1 sends a; 2 takes e=👍 off 1; 2 puts f=❤️ on 1; 2 puts h=👍 on 1", "#1; count 0; count 1; count 1");
    check("1 sends a; 2 puts e=👍 on 2; 2 puts e=👍 on 0; 9 puts e=👍 on 1", "#1; 123; 123; 102");
    check(
        "1 sends a; 3 puts e=👍 on 1; 3 removes 3; 3 takes f=👍 off 1; 2 puts e=👍 on 1",
        "#1; count 1; changed; 103; count 2",
    );
    check("1 sends a; 2 puts e=👍 on 1; 2 puts f=👍🏽 on 1; 2 takes h=👍 off 1", "#1; count 1; count 1; count 0");
}

#[test]
fn a_message_has_so_many_emojis_and_no_more() {
    let all = "😀 😃 😄 😁 😆 😅 🤣 😂 🙂 🙃 🫠 😉 😊 😇 🥰 😍 🤩 😘 😗 😚 😙 🥲 😋 😛 😜 🤪 😝 🤑 🤗 🤭 🫢 🫣 🤫";
    let all: Vec<&str> = all.split(' ').collect();
    assert_eq!(all.len(), EMOJIS_OF_MESSAGE_MAX as usize + 1);
    let mut world = world("1 sends a");
    let puts: Vec<String> = (0..).zip(&all).map(|(id, emoji)| format!("2 puts e{id}={emoji} on 1")).collect();
    let replies = world.run(&puts.join(", "));
    assert!(replies.ends_with("count 1, 106") && replies.matches("106").count() == 1, "{replies}");
    assert_eq!(world.run("3 puts e=😀 on 1; 2 takes f=😃 off 1; 2 puts h=🤫 on 1"), "count 2; count 0; count 1");
    world.holds();
}

#[test]
fn an_operation_is_answered_once() {
    let first = "1 sends a; 1 edits e=b of 1; 1 edits e=b of 1; 1 edits e=c of 1; 1 edits e=b of 1 at 1";
    check(first, "#1; revision 1; revision 1; 121; 121");
    check("1 sends a; 1 edits a=b of 1; 1 deletes a of 1; 1 puts a=👍 on 1", "#1; 121; 121; 121");
    check(
        "1 sends a; 1 edits e=b of 1; 1 edits f=c of 1 at 1; 1 edits e=b of 1",
        "#1; revision 1; revision 2; revision 1",
    );
    check("1 sends a; 2 puts e=👍 on 1; 2 takes f=👍 off 1; 2 puts e=👍 on 1", "#1; count 1; count 0; count 1");
    check(
        "1 sends a; 2 takes e=👍 off 1; 2 puts f=👍 on 1; 2 takes e=👍 off 1; 3 puts e=👍 on 1",
        "#1; count 0; count 1; count 0; count 2",
    );
    check("1 sends a; 2 puts e=👍 on 1; 2 puts e=❤️ on 1; 2 takes e=👍 off 1", "#1; count 1; 121; 121");
    check("1 sends a; 1 deletes e of 1; 1 deletes e of 2", "#1; revision 1; 121");
    // Also to one who has left, and whatever the age of its membership; an id of no known day is refused.
    check(
        "2 sends a; 2 edits e=b of 1; 2 removes 2; 2 edits e=b of 1; 2 deletes f of 1",
        "#1; revision 1; changed; revision 1; 103",
    );
    check(
        "1 sends a; 1 edits e@-31=b of 1; 1 deletes e@2 of 1; 2 puts e@-31=👍 on 1; 9 puts e@2=👍 on 1",
        "#1; 124; 124; 124; 124",
    );
    check("1 sends a; 1 edits e@-29=b of 1", "#1; revision 1");
}

#[test]
fn a_change_whose_commit_was_unknown_takes_effect_once() {
    let script =
        "1 sends a, 1 edits e=b of 1; 2 puts e=👍 on 1; 3 puts e=👍 on 1; 2 takes f=👍 off 1; 1 deletes f of 1";
    let replies = "#1, revision 1; count 1; count 2; count 1; revision 2";
    for fates in [&[][..], &[UnknownCommitted; 5], &[UnknownLost, UnknownCommitted, Conflict, UnknownCommitted]] {
        check_after(fates, script, replies);
    }
}

#[test]
fn an_inbox_tells_what_became_of_what_its_user_may_read() {
    let script = "1 sends a; 1 edits e=b of 1; 2 puts e=👍 on 1; 2 takes f=👍 off 1; 1 deletes d of 1";
    let told = "g#1 gone, g#1 edited=, g#1 +👍1, g#1 -👍0, g#1 deleted";
    check_inbox(script, 1, told);
    check_inbox(script, 3, told);
    check_inbox("1 sends a; 1 edits e=b of 1; 1 sends c", 3, "g#1=b, g#1 edited=b, g#2=c");
    let joined =
        "1 sends a; 1 adds 4; 1 sends b; 1 edits e=x of 1; 2 puts e=👍 on 1; 1 edits f=y of 2; 1 deletes d of 1";
    check_inbox(joined, 4, "g added 4, g#2=y, g#2 edited=y");
    let away = "1 sends a; 1 removes 3; 1 sends b; 1 adds 3; 1 edits e=x of 1; 1 edits f=y of 2; 2 puts e=👍 on 2";
    check_inbox(away, 3, "g#1=x, g removed 3, g added 3, g#1 edited=x");
    check_inbox("1 sends a; 1 removes 3; 1 edits e=x of 1", 3, "g#1=x, g removed 3");
    // What changes nothing is told nobody.
    check_inbox("1 sends a; 2 takes e=👍 off 1; 2 puts f=👍 on 1; 2 puts h=👍 on 1", 1, "g#1=a, g#1 +👍1");
    check_inbox("1 sends a; 1 deletes e of 1; 1 deletes f of 1", 1, "g#1 gone, g#1 deleted");
}

#[test]
fn a_deletion_leaves_nothing_of_what_was_said() {
    let long = "가나다".repeat(BODY_INLINE_BYTES_MAX as usize);
    let mut world = world(&format!("1 sends a={long} to 2+3; 1 edits e={long}b of 1"));
    world.run("2 puts e=👍 on 1; 3 puts e=❤️ on 1; 1 sends b");
    let g = channel("g");
    let left = |world: &World<MemoryEngine>| {
        let count = |range| rows(&world.engine, &range).len();
        let parts = [0, 1].map(|revision| count(keys::body_parts(g, Seq(1), revision)));
        let (reactions, tallies) = (keys::reactions(g, Seq(1)), keys::tallies_within(g, Seq(1), Seq(1)));
        let mentions = keys::mentions_before(UserId(2), None);
        (parts, count(reactions), count(tallies), count(mentions), count(keys::edits(g)))
    };
    assert_eq!(left(&world), ([0, 1], 2, 1, 1, 1), "the parts of the first revision are gone");
    // What is put there in the batch of the deletion goes too.
    assert_eq!(world.run("2 puts f=😀 on 1, 1 deletes d of 1, 2 puts h=😀 on 1"), "count 1, revision 2, 123");
    assert_eq!(left(&world), ([0, 0], 0, 0, 0, 1));
    world.holds();
}

fn shown(message: &Message) -> String {
    let edited = if message.edited_ms.is_some() { " edited" } else { "" };
    let deleted = if message.deleted { " deleted" } else { "" };
    let tally = |tally: &schema::message::Tally| {
        format!(" {}{}{}", tally.emoji, tally.count, if tally.mine { " mine" } else { "" })
    };
    let reactions: String = message.reactions.iter().map(tally).collect();
    format!("{}{edited}{deleted} r{}{reactions}", message.body, message.revision)
}

/// What user 2 reads of channel g's history after a script, all at once and one message at a time.
fn check_history(script: &str, expected: &str) {
    let world = world(script);
    let page = |window, limit| world.history(2, "g", window, limit).expect("a member").messages;
    let words = page(HistoryWindow::Newest, 200).iter().map(|message| shown(message)).collect::<Vec<_>>().join(", ");
    assert_eq!(words, expected, "{script}");
    let one = |seq| page(HistoryWindow::Around(Seq(seq)), 1).first().map(|message| shown(message));
    let pieces: Vec<String> = (1..).map_while(one).collect();
    assert_eq!(pieces.join(", "), expected, "{script}, one at a time");
}

#[test]
fn a_history_shows_messages_as_they_are_now() {
    check_history("1 sends a; 1 edits e=b of 1; 1 sends c", "b edited r1, c r0");
    check_history("1 sends a; 1 edits e=b of 1; 1 deletes d of 1; 1 sends c", " deleted r2, c r0");
    check_history(
        "1 sends a, 1 sends b; 1 puts e=👍 on 2; 2 puts e=👍 on 2; 3 puts e=❤️ on 2",
        "a r0, b r0 👍2 mine ❤️1",
    );
    check_history("1 sends a; 2 puts e=👍 on 1; 2 takes f=👍 off 1", "a r0");
    check_history("1 sends a; 1 puts e=❤️ on 1; 1 puts f=👍 on 1; 1 edits e2=b of 1", "b edited r1 ❤️1 👍1");
}
