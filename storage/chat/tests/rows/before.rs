//! What applications say before a message is stored: what the append makes of it, and which operations are worth a question.

use chat::hooks::{self, Screening};
use futures_lite::future::block_on;
use schema::ChannelOp;
use schema::op::ChannelKind;

use crate::append::{check, check_inbox};
use crate::world::{World, faulty, parse, store};

#[test]
fn what_an_application_refuses_is_refused_and_what_it_changes_is_stored_so() {
    check("1 sends a judged no; 1 sends a", "125; #1");
    check("1 sends a judged as b; 2 sends c", "#1; #2");
    check_inbox("1 sends a judged as b; 2 sends c judged no", 2, "g#1=b");
    check_inbox("1 sends a; 1 edits e=b of 1 judged as c; 1 edits f=d of 1 judged no", 2, "g#1=c, g#1 edited=c");
}

#[test]
fn a_retry_has_its_first_reply_whatever_an_application_says_by_then() {
    check("1 sends a; 1 sends a judged no; 1 sends a judged as b", "#1; #1 again; #1 again");
    check("1 sends a, 1 sends a judged no", "#1, #1 again");
    check("1 sends a judged as b; 1 sends a; 1 sends a judged no", "#1; #1 again; #1 again");
    check("1 sends a; 1 edits e=b of 1 judged as c; 1 edits e=b of 1 judged no", "#1; revision 1; revision 1");
    // It is known by what its sender said, not by what was made of it.
    check("1 sends a judged as b; 1 sends a=b", "#1; 121");
}

#[test]
fn what_the_channel_refuses_itself_it_refuses_as_ever() {
    check("9 sends a judged no; 9 sends a judged as b", "102; 102");
    check("1 sends a; 2 edits e=b of 1 judged no; 1 edits e=b of 2 judged no", "#1; 103; 123");
}

#[test]
fn nobody_is_asked_about_what_is_stored_and_who_is_no_member_comes_again() {
    let mut world = World::current(faulty(&store(), &[]));
    world.run("1 sends a, 1 edits e=b of 1, 2 removes 2");
    let check = |step: &str, expected: Screening| {
        let (channel, op): (_, ChannelOp) = parse(step);
        assert_eq!(block_on(hooks::screening(&world.engine, channel, &op)).expect("readable"), expected, "{step}");
    };
    check("1 sends b", Screening::Asks(ChannelKind::Group));
    check("d.1 sends b", Screening::Asks(ChannelKind::Direct));
    check("1 edits f=b of 1", Screening::Asks(ChannelKind::Group));
    check("1 sends a", Screening::Passes);
    check("1 edits e=b of 1", Screening::Passes);
    check("2 sends b", Screening::NoMember);
    check("9 sends b", Screening::NoMember);
    check("1 deletes f of 1", Screening::Passes);
}

#[test]
fn who_became_a_member_after_the_look_comes_again_and_is_asked_about() {
    check(
        "9 sends a judged unasked; 1 sends a judged unasked; 1 sends a; 1 sends a judged unasked",
        "102; 114; #1; #1 again",
    );
    check("1 sends a; 1 edits e=b of 1 judged unasked; 1 edits e=b of 1", "#1; 114; revision 1");
}
