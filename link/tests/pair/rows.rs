//! Rules of a link, told as what two ends say and hear.

use link::record::Record;
use link::{Bounds, LinkEvent};
use schema::mesh::{MeshError, MeshFrame};

use super::world::{Seen, Tamper, World, frame, number_of, version_of};

/// Room for three frames that must arrive, and for a few that need not.
const TIGHT: Bounds = Bounds { unsent_bytes_max: 400, resend_bytes_max: 500 };

/// A letter is a frame; behind it `!` says that it must arrive.
///
/// `A:ab!` A sends two frames · `up` the two are connected, and say all they have to · `flow` they say it ·
/// `second` a second passes, then they say it · `cut` the connection breaks, with what was under way · `half` what is
/// under way arrives up to its middle, then the connection breaks · `silence` four seconds in which nothing arrives ·
/// `A:anew` the end is made anew · `A:damaged`, `A:later` from now on its frame z is none on the way, or one of a later
/// version
fn run(bounds: Bounds, script: &str) -> String {
    let mut world = World::new(bounds, 0);
    for word in script.split_whitespace() {
        match word {
            "up" => {
                world.connect();
                world.flow();
            }
            "flow" => world.flow(),
            "second" => {
                world.pass_ms(1_000);
                world.flow();
            }
            "silence" => (0..4).for_each(|_| world.pass_ms(1_000)),
            "cut" => (0..2).for_each(|end| world.disconnect(end)),
            "half" => {
                for end in 0..2 {
                    world.transmit(end);
                    let bytes = world.write(end, usize::MAX);
                    world.deliver(end, bytes / 2);
                }
                (0..2).for_each(|end| world.disconnect(end));
            }
            word => {
                let (end, word) = word.split_once(':').unwrap_or_else(|| panic!("{word} is no word"));
                let end = usize::from(end == "B");
                match word {
                    "anew" => world.make_anew(end),
                    "damaged" => world.ends[end].tamper = Some(instead_of_z(vec![0; 20])),
                    "later" => world.ends[end].tamper = Some(instead_of_z(of_a_later_version())),
                    letters => {
                        for (at, letter) in letters.char_indices().filter(|(_, letter)| *letter != '!') {
                            let must_arrive = letters[at + 1..].starts_with('!');
                            world.send(end, u64::from(u32::from(letter)), must_arrive, 0);
                        }
                    }
                }
            }
        }
    }
    let [a, b] = world.ends.each_ref().map(|end| {
        let words: Vec<String> = end.seen.iter().map(|(_, seen)| say(seen)).collect();
        words.join(" ")
    });
    format!("A {a} | B {b}")
}

fn instead_of_z(other: Vec<u8>) -> Tamper {
    Box::new(move |record, out| match record {
        Record::Frame { seq, version, frame } => {
            let (number, _) = number_of(&MeshFrame::decode(frame).expect("a link sends frames"));
            let frame = if number == u64::from(b'z') { &other } else { frame };
            Record::Frame { seq, version, frame }.put(out);
        }
        record @ (Record::Resume { .. } | Record::Beat { .. }) => record.put(out),
    })
}

/// A frame with a byte changed so that it is of a kind that is yet to come.
fn of_a_later_version() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(1, false, 0).encode(&mut bytes);
    let later = (0..bytes.len()).map(|at| {
        let mut later = bytes.clone();
        later[at] = 0xEE;
        later
    });
    let is_later = |bytes: &Vec<u8>| matches!(MeshFrame::decode(bytes), Err(MeshError::Unknown { .. }));
    later.into_iter().find(is_later).expect("one byte is the kind")
}

fn say(seen: &Seen) -> String {
    match seen {
        Seen::Told(LinkEvent::Up) => "up".to_owned(),
        Seen::Told(LinkEvent::Frame { frame, version }) => {
            let (number, must_arrive) = number_of(frame);
            assert_eq!(*version, version_of(number), "the version comes with its frame");
            let letter = char::from_u32(number as u32).expect("a letter");
            format!("{letter}{}", if must_arrive { "!" } else { "" })
        }
        Seen::Told(LinkEvent::Gap) => "gap".to_owned(),
        Seen::Told(LinkEvent::PeerLost { generation }) => format!("lost-{generation}"),
        Seen::Told(LinkEvent::Silent) => "silent".to_owned(),
        Seen::Fault(fault) => format!("fault({fault})"),
    }
}

fn check_in(bounds: Bounds, script: &str, expected: &str) {
    assert_eq!(run(bounds, script), expected, "{script}");
}

fn check(script: &str, expected: &str) {
    check_in(Bounds::default(), script, expected);
}

#[test]
fn frames_arrive_in_the_order_sent() {
    check("up", "A up | B up");
    check("up A:ab!c B:x!y flow", "A up x! y | B up a b! c");
    check("up A:a flow B:x flow A:b flow second second", "A up x | B up a b");
}

#[test]
fn without_a_connection_frames_that_must_arrive_are_kept_and_others_left_out() {
    check("A:a!b! up", "A up | B up a! b!");
    check("A:ab! up", "A up gap | B up b! gap");
    // Also where nothing follows that would show that a number is missing.
    check("A:a!b up", "A up gap | B up a! gap");
}

#[test]
fn what_was_under_way_is_sent_again_if_it_must_arrive_and_is_a_gap_if_not() {
    check("up A:a!b! cut up", "A up up | B up up a! b!");
    check("up A:a!bc! cut up", "A up up gap | B up up a! c! gap");
    check("up A:ab cut up", "A up up gap | B up up gap");
    check("up A:a!b!c!d! half up", "A up up | B up a! b! up c! d!");
    check("up A:abcd half up", "A up up gap | B up a b up gap");
    // What has arrived is neither sent again nor told as lost, whether or not it was acknowledged.
    check("up A:a!b flow cut up A:c flow", "A up up | B up a! b up c");
    check("up A:a!b second cut up cut up second", "A up up up | B up a! b up up");
}

#[test]
fn both_ends_begin_afresh_where_a_frame_that_must_arrive_cannot_be_kept() {
    check_in(TIGHT, "A:a!b!c! up", "A up | B up a! b! c!");
    check_in(TIGHT, "A:a!b!c!d! up", "A lost-2 up | B lost-2 up");
    check_in(TIGHT, "A:a!b!c!d!e! up", "A lost-2 up | B lost-2 up e!");
    check_in(TIGHT, "up A:a!b!c!d! flow A:e! flow", "A up lost-2 up | B up lost-2 up e!");
    // Both at once are one new beginning.
    check_in(TIGHT, "up A:a!b!c!d! B:w!x!y!z! flow A:e! flow", "A up lost-2 up | B up lost-2 up e!");
    // What the other end has sent before it knows is void: it comes before its end's own new beginning.
    check_in(TIGHT, "up A:a!b!c!d! B:x!y flow B:z! flow", "A up lost-2 up z! | B up lost-2 up");
    // Acknowledgements come in time where frames flow.
    check_in(TIGHT, "up A:a!b! flow A:c!d! flow A:e!f! flow", "A up | B up a! b! c! d! e! f!");
}

#[test]
fn a_full_queue_leaves_out_what_need_not_arrive_and_never_changes_the_order() {
    check_in(TIGHT, "up A:abcdefgh flow second", "A up gap | B up a b c gap");
    check_in(TIGHT, "up A:abcd!efg! flow second", "A up gap | B up a b c d! g! gap");
}

#[test]
fn gaps_are_told_once_a_second_at_most() {
    check("up A:a cut up A:b cut up", "A up up gap up | B up up gap up");
    check("up A:a cut up A:b cut up A:c flow second", "A up up gap up gap | B up up gap up c gap");
    check("A:abc up", "A up gap | B up gap");
}

#[test]
fn a_connection_that_brings_nothing_is_given_up() {
    check("up silence up", "A up silent up | B up silent up");
    check("up second second second second", "A up | B up");
    check("up A:a!b silence up", "A up silent up gap | B up silent up a! gap");
}

#[test]
fn an_end_that_was_made_anew_is_noticed() {
    check("up A:a! flow cut B:anew up A:b! flow", "A up lost-2 up | B up a! up lost-2 up b!");
}

#[test]
fn a_frame_that_cannot_be_read_is_not_sent_again() {
    check(
        "up A:damaged A:a!z!b! flow cut up A:c! flow",
        "A up lost-2 up | B up a! lost-2 fault(frame 2 cannot be read) up c!",
    );
}

#[test]
fn a_frame_of_a_later_version_is_lost_as_others_are() {
    check("up A:later A:azb flow second", "A up gap | B up a b gap");
    check("up A:later A:z flow cut up second", "A up up gap | B up gap up");
}
